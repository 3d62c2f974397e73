# Three hosts: two with GPUs, and one dedicated CPU-only worker.
#
#   runai-prep plan small.hcl
#   runai-prep apply small.hcl

ssh {
  user          = "ubuntu"
  identity_file = "~/.ssh/id_ed25519"
}

nfs_mount "/mnt/data" {
  server  = "nas.example.com"
  export  = "/export/data"
  version = "4.1"
  options = ["hard", "noatime"]
}

role "gpu" {
  resources {
    min_cpus   = 16
    min_memory = "64GiB"
    min_disk   = "200GB"
  }

  nvidia_driver {
    version = ">= 535.104, < 536"
  }
}

host "gpu-[1:2]" {
  address = "192.0.2.1${index}"
  role    = "gpu"
}

# 4 CPUs, 4GB of memory and 20GB of disk come from the profile.
host "cpu-1" {
  address = "192.0.2.20"
  role    = "cpu"
}
