host "gpu-[01:08]" {
  address = "10.0.1.${index}"
  role    = "gpu"
}

# This host is the proxy. It lets the others reach what they need, and nothing
# else; it uses no proxy itself.
host "proxy" {
  address = "10.0.0.5"
  role    = "proxy"

  squid {
    port    = 3128
    clients = ["10.0.0.0/8"]
  }

  proxy { enabled = false }
}
