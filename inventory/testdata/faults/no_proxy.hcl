registry "registry.corp.example:5000" { mirror_of = ["docker.io"] }
proxy {
  http_proxy = "http://proxy.corp.example:3128"
  no_proxy   = ["10.0.0.0/8", ".corp.example", "*.lab.example", "fd00::/8", "gpu-01"] # WARNING NO_PROXY is read differently: With this list Go would go straight to [fd00::]:443, and curl and Python requests through the proxy. Ranges of IPv4, addresses, and names without port or asterisk are read alike. # WARNING NO_PROXY is read differently: With this list Go would go straight to name.lab.example:443, and curl and Python requests through the proxy. Ranges of IPv4, addresses, and names without port or asterisk are read alike. # WARNING NO_PROXY names many hosts: 60 hosts are not within what no_proxy gives, so that each is named, and every runtime is restarted whenever one joins. Give their network, such as no_proxy = ["10.0.0.0/8"].
}
host "gpu-[01:60]" { address = "11.0.0.${index}" }
host "cpu-01" { address = "10.0.0.1" }
