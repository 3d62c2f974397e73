# Blocks that are wrong as a whole, for some host.
role "a" {
  proxy { username = "u" } # ERROR Proxy without URL: The proxy has neither http_proxy nor https_proxy. Add one, or take the block away with enabled = false.
}
role "b" {
  proxy { http_proxy = "http://p:3128" }
}
group "user" {
  proxy { username = "u" } # WARNING Proxy without password: The proxy has a user name but no password, and so is asked with an empty one. Add password = env("PROXY_PASSWORD"), or leave the user name out.
}
group "password" {
  proxy { password = "canary-secret" } # ERROR Proxy without user name: The proxy has a password but no user name. Add username = ….
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
