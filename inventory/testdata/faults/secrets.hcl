# Whatever goes wrong with a secret, no diagnostic shows it.
# env PASSWORD=canary-env
# env NUMBER=canary-number
# env EMPTY=
# --var token=canary-token
# command pass=canary-command
# command lines=canary-a\ncanary-b
variable "token" {
  type      = string
  sensitive = true
}
variable "default" {
  default   = "canary-default"
  sensitive = true
}
locals {
  plain  = "canary-literal"
  number = parseint(env("NUMBER"), 10) # ERROR Invalid function argument: The call of "parseint" failed. The reason is not shown, because it may hold the sensitive value that the call was given.
  json   = jsondecode(var.token) # ERROR Error in function call: The call of "jsondecode" failed. The reason is not shown, because it may hold the sensitive value that the call was given.
  cidr   = cidrhost(sensitive("canary-sensitive"), 1) # ERROR Invalid function argument: The call of "cidrhost" failed. The reason is not shown, because it may hold the sensitive value that the call was given.
  loop   = [for s in [var.token] : parseint(s, 10)] # ERROR Invalid function argument: The call of "parseint" failed. The reason is not shown, because it may hold the sensitive value that the call was given.
  lookup = { x = 1 }[var.token] # ERROR Invalid index: The given key does not identify an element in this collection value.
  dict   = { (command("pass")) = 1 }.y # ERROR Unsupported attribute: This object does not have an attribute named "y".
  add    = 1 + var.default # ERROR Invalid operand: Unsuitable value for right operand: a number is required.
  format = format("%d", var.token) # ERROR Error in function call: The call of "format" failed. The reason is not shown, because it may hold the sensitive value that the call was given.
  unset  = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
}
ssh {
  user     = var.token # ERROR Sensitive value in user: The value is sensitive, but user is shown in plans and results. Use it in a password, or say that it may be seen: nonsensitive(…).
  password = local.plain + 1 # ERROR Invalid operand: Unsuitable value for left operand: a number is required.
  port     = env("PASSWORD") # ERROR Invalid port: A number is needed here, not a string.
}
proxy {
  http_proxy  = "http://user:${env("PASSWORD")}@proxy:3128" # ERROR Invalid http_proxy: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
  https_proxy = command("pass") # ERROR Sensitive value in https_proxy: The value is sensitive, but https_proxy is shown in plans and results. Use it in a password, or say that it may be seen: nonsensitive(…).
  username    = env("PASSWORD")
  password    = command("lines") # ERROR Invalid password: The password holds a line break. Read it without its final newline: trimspace(…).
}
role "a" {
  sudo { password = ["canary-list"] } # ERROR Invalid password: A string is needed here, not a tuple.
}
role "b" {
  sudo { password = env("EMPTY") } # ERROR Empty password: The password is empty. Set it, or leave the attribute out.
}
role "c" {
  sudo { password = canary-bare } # ERROR Unknown name: There is no "(sensitive)" here. Write var.NAME or local.NAME, or put text in quotes. Known are "local" and "var".
}
role "d" {
  sudo { password = command("fails", "canary-argument") } # ERROR Error in function call: Call to function "command" failed: "fails" failed: exit status 1; run it by hand to see why.
}
role "e" {
  sudo { passwort = "canary-misspelt" } # ERROR Unsupported argument: An argument named "passwort" is not expected here. Did you mean "password"?
}
nfs_mount "/mnt/data" {
  server = var.token # ERROR Sensitive value in server: The value is sensitive, but server is shown in plans and results. Use it in a password, or say that it may be seen: nonsensitive(…).
  export = "/${env("PASSWORD")} x" # ERROR Invalid export: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
}
host "a" { address = "${var.token} x" } # ERROR Sensitive value in address: The value is sensitive, but address is shown in plans and results. Use it in a password, or say that it may be seen: nonsensitive(…).
host "b" { role = env("PASSWORD") } # ERROR Invalid role: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
host "c" { groups = [env("PASSWORD")] } # ERROR Invalid groups: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
host "d" {
  address = nonsensitive("10.0.0.1")
  proxy { password = "canary-host" }
}
role "f" { requirements = env("PASSWORD") } # ERROR Invalid requirements: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
requirements "g" { extends = env("PASSWORD") } # ERROR Invalid extends: The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.
