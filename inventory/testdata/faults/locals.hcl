# Local values in any order, and in circles.
locals {
  a = local.b # ERROR Cycle of local values: The local values need each other in a circle: a → b → c → a. Break it with a value that needs none of them.
  b = "${local.c}!"
  c = local.a
  d = local.e
  e = "fine"
  f = local.missing # ERROR Unknown local value: No local value "missing" is declared. Known are "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l" and "m".
  g = { x = local.g } # ERROR Cycle of local values: The local values need each other in a circle: g → g. Break it with a value that needs none of them.
  h = var.none # ERROR Unknown variable: No variable "none" is declared.
  i = 1 + "one" # ERROR Invalid operand: Unsuitable value for right operand: a number is required.
  j = local.i
  k = 1e999 * 1e999 # ERROR Value too large: The local value "k" is too large. Build smaller ones.
  l = local.k * local.k
  m = "${local.l}"
}
locals { e = "again" } # ERROR Duplicate local value: The local value "e" is set a second time; the first is at locals.hcl:7. Rename one.
host "a" { address = local.d }
host "b" { address = local.j }
