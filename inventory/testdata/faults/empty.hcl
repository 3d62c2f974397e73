# An inventory without hosts does nothing. # WARNING No hosts: The inventory declares no host, so there is nothing to do. Add host "NAME" { … }.
variable "a" { default = 1 }
