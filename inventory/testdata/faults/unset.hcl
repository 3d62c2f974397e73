# What has no value is one fault, not a second one for want of it.
host "a" {
  proxy {
    http_proxy = "http://proxy:3128"
    username   = "runai"
    password   = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
  }
}
host "b" {
  proxy {
    http_proxy = "http://proxy:3128"
    username   = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
    password   = "canary-secret"
  }
}
host "c-[1:2]" {
  proxy {
    http_proxy = env("UNSET_${index}") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_1" is not set; export it before the command is run. # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_2" is not set; export it before the command is run.
    username   = "runai-${index}"
    password   = env("UNSET_${index}") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_1" is not set; export it before the command is run. # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_2" is not set; export it before the command is run.
  }
}
host "d" {
  nfs_mount "/mnt/data" {
    server = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
    export = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
  }
}
host "e" {
  nvidia_driver {
    source  = "runfile"
    runfile = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
    sha256  = env("UNSET_VARIABLE") # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
  }
}
role "f" {
  squid { clients = [env("UNSET_VARIABLE")] } # ERROR Error in function call: Call to function "env" failed: the environment variable "UNSET_VARIABLE" is not set; export it before the command is run.
}
host "f" { role = "f" }
