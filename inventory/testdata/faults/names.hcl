# Names that nothing declares, and names declared twice.
requirement = "runai-2020" # ERROR Unsupported argument: An argument named "requirement" is not expected here. Did you mean "requirements"?

sssh { user = "ops" } # ERROR Unsupported block type: Blocks of type "sssh" are not expected here. Did you mean "ssh"?

nfs "/mnt/a" {} # ERROR Unsupported block type: Blocks of type "nfs" are not expected here. Did you mean "nfs_mount"?
driver {} # ERROR Unsupported block type: Blocks of type "driver" are not expected here. Did you mean "nvidia_driver"?
warehouse {} # ERROR Unsupported block type: Blocks of type "warehouse" are not expected here. Known are "ssh", "sudo", "proxy", "egress", "nfs_mount", "registry", "resources", "nvidia_driver", "squid", "kubernetes", "container_toolkit", "variable", "requirements", "role", "group", "host" and "locals".

ssh {
  user = "ops"
  usr  = "ops" # ERROR Unsupported argument: An argument named "usr" is not expected here. Did you mean "user"?
}
ssh { port = 22 } # ERROR Duplicate ssh block: The block ssh stands here a second time; the first is at names.hcl:10. Put both into one.

role "gpu" {
  sudo { enabld = false } # ERROR Unsupported argument: An argument named "enabld" is not expected here. Did you mean "enabled"?
}
role "gpu" {} # ERROR Duplicate role: The role "gpu" is declared a second time; the first is at names.hcl:16. Put both into one.
role "storage" {}
group "rack-a" {}
group "rack-a" {} # ERROR Duplicate group: The group "rack-a" is declared a second time; the first is at names.hcl:21. Put both into one.
group "-rack" {} # ERROR Invalid group name: "-rack" is not a valid name; use letters, digits, '.', '-' and '_', with a letter or digit at both ends.

nfs_mount "/mnt/a" {
  server = "nas"
  export = "/a"
}
nfs_mount "/mnt/a" { # ERROR Duplicate nfs_mount block: The block nfs_mount "/mnt/a" stands here a second time; the first is at names.hcl:25. Put both into one.
  server = "nas"
  export = "/b"
}

host "one" {
  role   = "gpuu" # ERROR Invalid role: There is no role "gpuu"; add role "gpuu" { … }, or use a known one. Did you mean "gpu"?
  groups = ["rack-a", "rack-b"] # ERROR Invalid groups: No block declares the group "rack-b"; add group "rack-b" { … }. Did you mean "rack-a"?
  adress = "10.0.0.1" # ERROR Unsupported argument: An argument named "adress" is not expected here. Did you mean "address"?
}
host "two" {
  role   = "storage"
  groups = "rack-a"
}
host "two" {} # ERROR Duplicate host: The block at names.hcl:39 declares two already. Give each host one block.
host "thr ee" {} # ERROR Invalid host name: "thr ee" is not a valid name; use letters, digits, '.', '-' and '_', with a letter or digit at both ends.
host "four" { groups = ["rack-a", "rack-a"] } # ERROR Duplicate in groups: This stands in the list a second time. Remove it.
host "five" { address = nas } # ERROR Unknown name: There is no "nas" here. Write var.NAME or local.NAME, or put text in quotes. Known are "local", "var" and "name".
host "six" { address = "${index}" } # ERROR Unknown name: There is no "index" here. Write var.NAME or local.NAME, or put text in quotes. Known are "local", "var" and "name".
host "seven" { address = local.nothing } # ERROR Unknown local value: No local value "nothing" is declared.
host "eight" {
  nfs_mount {} # ERROR Missing name for nfs_mount: The block needs a name. Write it as nfs_mount "NAME" { … }.
  unknown "x" {} # ERROR Unsupported block type: Blocks of type "unknown" are not expected here. Known are "ssh", "sudo", "proxy", "egress", "nfs_mount", "registry", "resources", "nvidia_driver", "squid", "kubernetes" and "container_toolkit".
}
