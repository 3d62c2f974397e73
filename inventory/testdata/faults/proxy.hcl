# Proxies, registries, squid: what ends in unit and environment files.
proxy {
  http_proxy      = "http://user:canary-secret@proxy:3128" # ERROR Invalid http_proxy: The URL holds credentials, which would end in files that everybody reads; write username = … and password = … beside it.
  https_proxy     = "proxy:3128" # ERROR Invalid https_proxy: "proxy:3128" is not a URL; write one such as http://proxy.example.com:3128.
  username        = "run\nai" # ERROR Invalid username: The value holds the control character U+000A; remove it.
  password        = "canary-secret"
  no_proxy        = ["10.0.0.0/33", "10.0.0.1/8", "a,b", "a b", ".svc", "*.example.com", "*", "::1", "a;b", ".svc"] # ERROR Invalid no_proxy: "10.0.0.0/33" is not a network; write an address and a prefix length, such as 10.0.0.0/8. # ERROR Invalid no_proxy: "10.0.0.1/8" has bits set beyond its prefix length; write "10.0.0.0/8". # ERROR Invalid no_proxy: "a,b" holds a comma; write a list of strings, one for each. # ERROR Invalid no_proxy: "a b" holds a blank; remove it. # ERROR Invalid no_proxy: "a;b" holds the character ';', which would break the unit and environment files it is written into; remove it. # ERROR Duplicate in no_proxy: This stands in the list a second time. Remove it.
  ca_certificates = ["nonsense"] # ERROR Invalid ca_certificates: The text is not a PEM certificate; read one with file("ca.pem").
  targets         = ["environment", "podman"] # ERROR Invalid targets: "podman" is not among the possible values "environment", "apt", "dnf", "zypper", "containerd", "docker", "crio" and "kubelet".
}
role "a" {
  proxy {
    http_proxy  = "http://proxy" # ERROR Invalid http_proxy: "http://proxy" names no port, and programs do not agree on a default; add it, such as http://proxy:3128.
    https_proxy = "socks5://proxy:1080" # ERROR Invalid https_proxy: "socks5://proxy:1080" has the scheme "socks5"; a proxy's URL begins with http:// or https://.
  }
}
role "b" {
  proxy {
    http_proxy  = "http://proxy:3128/path" # ERROR Invalid http_proxy: "http://proxy:3128/path" goes on after the port; write http://proxy:3128.
    https_proxy = "http://pro xy:3128" # ERROR Invalid https_proxy: "http://pro xy:3128" is not a URL; write one such as http://proxy.example.com:3128.
  }
}
role "c" {
  proxy {
    http_proxy  = "http://proxy:0" # ERROR Invalid http_proxy: "0" is not a port; use a number from 1 to 65535.
    https_proxy = "http://$proxy:3128" # ERROR Invalid https_proxy: "$proxy" is neither a host name nor an IP address.
  }
}
role "d" {
  proxy { https_proxy = "http://proxy:3128\r\nX: y" } # ERROR Invalid https_proxy: The value holds the control character U+000D; remove it.
}
role "e" {
  proxy { no_proxy = [".svc\u200b"] } # ERROR Invalid no_proxy: The value holds the invisible character U+200B; remove it.
}
role "f" {
  proxy { username = "run\u202eai" } # ERROR Invalid username: The value holds the invisible character U+202E; remove it.
}
host "x" {}
host "y" {
  proxy { enabled = false }
  registry "https://registry.example.com" {} # ERROR Invalid registry: "https://registry.example.com" is not a registry; write host or host:port, without scheme or path.
  registry "registry.example.com:99999" {} # ERROR Invalid registry: "99999" is not a port; use a number from 1 to 65535.
  registry "registry.example.com:5000" { # ERROR Registry mirrors itself: The registry "registry.example.com:5000" is named as a mirror of itself. Remove it from mirror_of.
    mirror_of = ["docker.io", "docker.io/library", "registry.example.com:5000"] # ERROR Invalid mirror_of: "docker.io/library" is not a registry; write host or host:port, without scheme or path.
    insecure  = true
    ca        = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" # ERROR Invalid ca: The PEM text holds a certificate that cannot be parsed; export it anew.
  }
  squid {
    port    = 65536 # ERROR Invalid port: 65536 is out of range; use a whole number from 1 to 65535.
    clients = ["10.0.0.0", "10.1.2.3/8", "clients"] # ERROR Invalid clients: "10.1.2.3/8" has bits set beyond its prefix length; write "10.0.0.0/8". # ERROR Invalid clients: "clients" is not a network; write an address and a prefix length, such as 10.0.0.0/8.
  }
}
