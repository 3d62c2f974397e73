# Two racks of GPU hosts, each behind its own bastion, and one newer machine
# that differs.

requirements = "site"

requirements "site" {
  extends = "runai-2020"
  title   = "What our cluster team asks for"

  nvidia_driver {
    title   = "driver of the training images"
    version = ">= 535.104"
  }

  endpoint "registry.example.com:5000" {
    title = "Images of our teams"
  }
}

variable "nas" {
  type        = string
  default     = "nas.example.com"
  description = "NFS server of the racks"

  validation {
    condition     = !startswith(var.nas, "/")
    error_message = "Name the server alone; the export is fixed."
  }
}

variable "mounts" {
  type    = map(string)
  default = { data = "/export/data", home = "/export/home" }
}

locals {
  network = "10.20.0.0/16"
  rack_a  = cidrsubnet(local.network, 8, 1) # 10.20.1.0/24
  rack_b  = cidrsubnet(local.network, 8, 2)
}

ssh {
  user            = "ops"
  connect_timeout = "10s"
  keepalive       = "15s"
}

sudo {
  password = env("SUDO_PASSWORD")
}

nfs_mount "/mnt/data" {
  server  = var.nas
  export  = var.mounts.data
  version = "4.2"
  options = ["hard", "noatime", "nconnect=8"]
}

role "gpu" {
  resources {
    min_cpus   = 64
    min_memory = "512GiB"
    min_disk   = "1TB"
  }

  nvidia_driver {
    version        = "~> 535.104"
    fractional_gpu = true
    busy           = "wait=30m"
  }

  nfs_mount "/mnt/home" {
    server    = var.nas
    export    = var.mounts.home
    automount = true
  }
}

group "rack-a" {
  ssh { bastion = ["ops@jump-a.example.com"] }
}

group "rack-b" {
  ssh { bastion = ["ops@jump-b.example.com:2222"] }
}

# a-gpu-01 … a-gpu-16 at 10.20.1.1 … 10.20.1.16.
host "a-gpu-[01:16]" {
  address = cidrhost(local.rack_a, index)
  role    = "gpu"
  groups  = ["rack-a"]
}

host "b-gpu-[01:16]" {
  address = cidrhost(local.rack_b, index)
  role    = "gpu"
  groups  = ["rack-b"]
}

host "b-gpu-17" {
  address = cidrhost(local.rack_b, 17)
  role    = "gpu"
  groups  = ["rack-b"]

  # Attribute by attribute over the role's: the rest stays.
  nvidia_driver { version = ">= 550.54, < 551" }
}

host "[a,b]-cpu-[1:2]" {
  address = cidrhost(label == "a" ? local.rack_a : local.rack_b, 100 + indices[1])
  role    = "cpu"
  groups  = ["rack-${label}"]
}
