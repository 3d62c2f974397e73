requirements = "runai-2020"

variable "nas" {
  type        = string
  default     = "nas.example.com"
  description = "NFS server"
}
locals { pod_cidr = "10.244.0.0/16" }

ssh {
  user            = "ubuntu"
  port            = 22
  identity_file   = "~/.ssh/id_ed25519"
  password        = env("SSH_PASSWORD")
  known_hosts     = "~/.ssh/known_hosts"
  host_key        = "strict"
  host_key_sha256 = "SHA256:ikFWHTdwHHkm4qqCE/JNxjWIP4bWcwEpIvgTO5rnBWE"
  bastion         = ["ops@jump-1:22"]
  connect_timeout = "10s"
  keepalive       = "15s"
}

sudo {
  password = env("SUDO_PASSWORD")
  enabled  = true
}

proxy {
  http_proxy      = "http://proxy.example.com:3128"
  https_proxy     = "http://proxy.example.com:3128"
  username        = "runai"
  password        = env("PROXY_PASSWORD")
  no_proxy        = ["10.0.0.0/8", local.pod_cidr]
  ca_certificates = [file("corp-ca.pem")]
  targets         = ["environment", "apt", "dnf", "zypper", "containerd", "docker", "crio", "kubelet"]
}

egress {
  allow = ["quay.io", "gcr.io", "app.run.ai", "registry.corp.example:5000"]
  skip  = ["hub.docker.com"]
}

nfs_mount "/mnt/data" {
  server    = var.nas
  export    = "/export/data"
  version   = "4.1"
  options   = ["hard", "noatime"]
  automount = false
}
registry "registry.corp.example:5000" {
  mirror_of = ["docker.io", "quay.io"]
  ca        = file("registry-ca.pem")
  insecure  = false
}

resources {
  min_cpus   = 4
  min_memory = "4GiB"
  min_disk   = "20GiB"
  disk_path  = "/var/lib"
}

role "gpu" {
  nvidia_driver {
    version        = ">= 535.104, < 536"
    source         = "runfile"
    flavor         = "auto"
    repository     = "http://mirror.corp/cuda/ubuntu2204"
    repository_key = "0123456789abcdef0123456789abcdef01234567"
    runfile        = "NVIDIA-Linux-x86_64-535.104.05.run"
    sha256         = "0000000000000000000000000000000000000000000000000000000000000000"
    reboot         = "when-needed"
    hold           = true
    fractional_gpu = true
    busy           = "wait=30m"
    require_gpu    = true
    rollback       = false
    non_free       = true
  }
}

group "rack-a" {
  ssh { bastion = ["ops@jump-a"] }
}

host "gpu-[01:16]" {
  address = "10.0.1.${index}"
  role    = "gpu"
  groups  = ["rack-a"]
}
host "cpu-01" {
  address = "10.0.2.1"
  role    = "cpu"
  resources { min_disk = "50GiB" }
}
host "proxy" {
  address = "10.0.0.5"
  role    = "proxy"
  squid {
    port    = 3128
    clients = ["10.0.0.0/8"]
  }
}
