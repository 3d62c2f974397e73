# A site without a way out but its own proxy: what every host is to have.
#
#   export PROXY_PASSWORD=…
#   runai-prep plan examples/air-gapped

variable "mirror" {
  type    = string
  default = "mirror.corp.example"
}

ssh {
  user        = "ops"
  known_hosts = "known_hosts" # beside these files
}

proxy {
  http_proxy      = "http://proxy.corp.example:3128"
  https_proxy     = "http://proxy.corp.example:3128"
  username        = "runai"
  password        = env("PROXY_PASSWORD")
  no_proxy        = ["10.0.0.0/8", ".corp.example", ".svc", ".cluster.local"]
  ca_certificates = [file("corp-ca.pem")]
}

egress {
  allow = ["nvcr.io"]
  skip  = ["hub.docker.com", "quay.io"] # mirrored on site
}

registry "registry.corp.example:5000" {
  mirror_of = ["docker.io", "quay.io"]
  ca        = file("corp-ca.pem")
}

role "gpu" {
  nvidia_driver {
    version    = ">= 535.104, < 536"
    source     = "cuda-repo"
    repository = "http://${var.mirror}/cuda"
    reboot     = "never"
  }
}
