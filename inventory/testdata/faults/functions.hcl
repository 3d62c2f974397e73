# Functions: bounded, and with hints.
locals {
  a = nosuch("x") # ERROR Call to unknown function: There is no function named "nosuch".
  b = uper("x") # ERROR Call to unknown function: There is no function named "uper". Did you mean "upper"?
  c = file("missing.pem") # ERROR Invalid function argument: Invalid value for "str" parameter: "missing.pem" cannot be read: no such file or directory; relative paths start from the inventory's folder.
  d = file("../faults") # ERROR Invalid function argument: Invalid value for "str" parameter: "../faults" cannot be read: it is not a regular file; relative paths start from the inventory's folder.
  e = format("%999999999d", 1) # ERROR Error in function call: Call to function "format" failed: the result is too long; build a shorter one.
  f = indent(999999999, "a\nb") # ERROR Error in function call: Call to function "indent" failed: the result is too long; build a shorter one.
  g = setproduct(range(1000), range(1000)) # ERROR Error in function call: Call to function "setproduct" failed: the result is too long; build a shorter one.
  h = templatefile("functions.tmpl", { x = 1 }) # ERROR Invalid function argument: Invalid value for "path" parameter: testdata/faults/functions.tmpl:1,9-13: Unknown variable; There is no variable named "name"..
  i = cidrsubnet("10.0.0.0/8", 30, 1) # ERROR Invalid function argument: Invalid value for "newbits" parameter: 10.0.0.0/8 cannot be extended by 30 bits.
  j = cidrhost("10.0.0.0/30", 4) # ERROR Invalid function argument: Invalid value for "hostnum" parameter: 10.0.0.0/30 has 4 addresses, none with this number.
  k = one([1, 2]) # ERROR Invalid function argument: Invalid value for "list" parameter: the list has 2 elements, not one or none.
  l = lookup({}, "x") # ERROR Invalid function argument: Invalid value for "key" parameter: the map has no key "x", and there is no default; give it as a third argument.
  m = command("nosuch-program-anywhere") # ERROR Error in function call: Call to function "command" failed: "nosuch-program-anywhere" failed: exit status 1; run it by hand to see why.
  n = upper("a", "b") # ERROR Too many function arguments: Function "upper" expects only 1 argument(s).
  o = sum(["a"]) # ERROR Invalid function argument: Invalid value for "list" parameter: a number is required.
  p = base64decode("###") # ERROR Invalid function argument: Invalid value for "str" parameter: not valid base64.
  q = replace("a", "/(/", "b") # ERROR Invalid function argument: Invalid value for "substr" parameter: error parsing regexp: missing closing ): `(`.
}
host "a" {}
