# The way to hosts.
ssh {
  user            = "root:toor" # ERROR Invalid user: The user name holds a colon, as if a password followed; write the login name alone, and the password as password = env("…").
  port            = 0 # ERROR Invalid port: 0 is out of range; use a whole number from 1 to 65535.
  identity_file   = ["~/.ssh/id", 5, "~/.ssh/id"] # ERROR Duplicate in identity_file: This stands in the list a second time. Remove it.
  known_hosts     = {} # ERROR Invalid known_hosts: A list of strings is needed here, not an object.
  host_key        = "off" # ERROR Invalid host_key: Host keys are always verified: there is no "off"; use "accept-new" to add the keys of hosts seen for the first time, or `runai-prep trust` to look at them first.
  host_key_sha256 = "MD5:aa" # ERROR Invalid host_key_sha256: "MD5:aa" is not a SHA-256 fingerprint; write it as `ssh-keygen -lf` prints it: SHA256: and 43 characters.
  bastion         = ["ops@jump:22", "jump:22", "ops:pw@jump", "ssh://jump", "jump:99999", "a,b", "ops@[2001:db8::1]:22", "-o x"] # ERROR Invalid bastion: The way leads through "jump" twice. Name each hop once, in order. # ERROR Invalid bastion: The hop holds a password; use a key or the agent for bastions. # ERROR Invalid bastion: "ssh://jump" is a URL; write a hop as user@host:port. # ERROR Invalid bastion: "99999" is not a port; use a number from 1 to 65535. # ERROR Invalid bastion: "a,b" holds a comma; write the hops as a list of strings, in order. # ERROR Invalid bastion: "-o x" holds a blank; remove it.
  connect_timeout = "10" # ERROR Invalid connect_timeout: "10" is not a duration; write a number and a unit, such as "10s", "500ms" or "1m30s".
  keepalive       = "1h" # ERROR Invalid keepalive: The duration 1h0m0s is out of range; use one from 1s to 10m0s.
}
sudo {
  password = "" # ERROR Empty password: The password is empty. Set it, or leave the attribute out.
  enabled  = "maybe" # ERROR Invalid enabled: The word true or false is needed here, not a string.
}
role "cpu" {
  ssh {
    port            = 22.5 # ERROR Invalid port: 22.5 is out of range; use a whole number from 1 to 65535.
    host_key        = "strickt" # ERROR Invalid host_key: "strickt" is not among the possible values "strict" and "accept-new".
    connect_timeout = 10 # ERROR Invalid connect_timeout: "10" is not a duration; write a number and a unit, such as "10s", "500ms" or "1m30s".
    user            = ["a"] # ERROR Invalid user: A string is needed here, not a tuple.
  }
}
host "a" {
  ssh { port = "22x" } # ERROR Invalid port: A number is needed here, not a string.
}
host "b" {
  ssh { port = 70000 } # ERROR Invalid port: 70000 is out of range; use a whole number from 1 to 65535.
}
