# --var count=many
# --var list=[1,
# --var nsa=x
# --var broken
# --var size=3
# --var token=canary-secret
# env RUNAI_PREP_VAR_object={name="x"}
variable "nas" { type = string } # ERROR Variable without value: The variable "nas" has no default, and no value is given. Give it one: --var nas=…, a --var-file, or RUNAI_PREP_VAR_nas in the environment.
variable "nas" {} # ERROR Duplicate variable: The variable "nas" is declared a second time; the first is at variables.hcl:8. Rename one.
variable "count" { type = number }
variable "list" { type = list(string) }
variable "object" {
  type = object({ name = string, port = number, size = optional(string, "1GiB") })
}
variable "kind" { type = strin } # ERROR Invalid type specification: The keyword "strin" is not a valid type specification.
variable "bad-default" {
  type    = bool
  default = "perhaps" # ERROR Invalid value of variable: The default of the variable "bad-default" does not have the type bool: a bool is required.
}
variable "1st" {} # ERROR Invalid variable name: "1st" cannot be written as var.NAME. Use letters, digits, '-' and '_', beginning with a letter.
variable "size" {
  type = number
  validation {
    condition     = var.size > 5 # ERROR Invalid value of variable "size": The size must be above 5.
    error_message = "The size must be above 5."
  }
  validation {
    condition     = var.size > 1
    error_message = "The size must be above 1."
  }
  validation { condition = true } # ERROR Missing required argument: The argument "error_message" is required, but no definition was found.
}
variable "token" {
  type      = string
  sensitive = true
  validation {
    condition     = length(var.token) > 50 # ERROR Invalid value of variable "token": The value is refused by its validation, whose error_message cannot be shown.
    error_message = "The token ${var.token} is too short."
  }
}
variable "extra" {
  default  = 1
  nullable = true # ERROR Unsupported argument: An argument named "nullable" is not expected here. Known are "type", "default", "description" and "sensitive".
}
host "a" { address = var.nsa } # ERROR Unknown variable: No variable "nsa" is declared. Did you mean "nas"?
host "b" { address = var.nas }
host "c" { address = var }
# NOWHERE ERROR Invalid --var: The --var number 4 has no value. Write it as --var name=value.
# NOWHERE ERROR Unknown variable: --var names the variable "nsa", which the inventory does not declare. Did you mean "nas"?
# NOWHERE ERROR Invalid value of variable: The value of the variable "count" does not have the type number: a number is required. (<--var count>)
# NOWHERE ERROR Missing expression: Expected the start of an expression, but found the end of the file. (<--var list>)
# NOWHERE ERROR Invalid value of variable: The value of the variable "object" does not have the type object({name=string,port=number,size=string}): attribute "port" is required. (<RUNAI_PREP_VAR_object>)
