# Blocks that are wrong as a whole, for some host.
role "a" {
  proxy { username = "u" } # ERROR Proxy without URL: The proxy has neither http_proxy nor https_proxy. Add one; or give ca_certificates alone, where a box on the way looks into TLS without being a proxy; or take the block away with enabled = false.
}
role "b" {
  proxy { http_proxy = "http://p:3128" }
}
group "user" {
  proxy { username = "u" } # WARNING Proxy without password: The proxy has a user name but no password, and so is asked with an empty one. Add password = env("PROXY_PASSWORD"), or leave the user name out.
}
group "password" {
  proxy { password = "canary-secret" } # ERROR Proxy without URL: The block names no proxy, so that username and password would have no effect. Add http_proxy or https_proxy; or leave nothing but ca_certificates and targets, where a box on the way looks into TLS without being a proxy. # ERROR Proxy without user name: The proxy has a password but no user name. Add username = ….
}
role "transparent" {
  proxy { ca_certificates = [file("ca/valid.pem")] }
}
group "no_proxy" {
  proxy { no_proxy = ["10.0.0.0/8"] } # ERROR Proxy without URL: The block names no proxy, so that no_proxy would have no effect. Add http_proxy or https_proxy; or leave nothing but ca_certificates and targets, where a box on the way looks into TLS without being a proxy.
}
group "targets" {
  proxy { targets = ["docker"] }
}
host "a" { role = "a" }
host "b1" {
  role   = "b"
  groups = ["user"]
}
host "b2" {
  role   = "b"
  groups = ["password"]
}
host "b3" {
  role   = "b"
  groups = ["user", "password"]
}
host "none" {
  proxy { ca_certificates = [] } # ERROR Proxy without URL: The proxy has neither http_proxy nor https_proxy. Add one; or give ca_certificates alone, where a box on the way looks into TLS without being a proxy; or take the block away with enabled = false.
}
host "wrong" {
  proxy { ca_certificates = ["nonsense"] } # ERROR Invalid ca_certificates: The text is not a PEM certificate; read one with file("ca.pem").
}
host "c[1:2]" {
  role   = "transparent"
  groups = ["targets"]
}
host "d1" {
  role   = "transparent"
  groups = ["user", "password"]
}
host "d2" {
  role   = "transparent"
  groups = ["no_proxy"]
}
