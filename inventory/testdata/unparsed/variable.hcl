variable "token" {
  sensitive = true
  default = "canary-default" "canary-more"
}
host "a" {}
