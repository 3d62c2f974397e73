# Addresses, and two names for one machine.
ssh { port = 22 }
group "far" {
  ssh { bastion = ["jump"] }
}
host "a" { address = "10.0.0.1" }
host "b" { address = "10.0.0.1" } # ERROR Two hosts at one address: The hosts "a" and "b" (addresses.hcl:6) both have the address 10.0.0.1, port 22. Correct one of them.
host "c" {
  address = "10.0.0.1"
  ssh { port = 2222 }
}
host "d" {
  address = "10.0.0.1" # WARNING Two hosts at one address: The hosts "a" and "d" (addresses.hcl:6) both have the address 10.0.0.1, though behind different bastions. Make sure that these are two networks.
  groups  = ["far"]
}
host "e" { address = "10.0.0.256" } # ERROR Invalid address: "10.0.0.256" is not an IP address; write four numbers up to 255, such as 10.0.1.5.
host "f" { address = "http://10.0.0.5" } # ERROR Invalid address: "http://10.0.0.5" is a URL; write the host name or IP address alone.
host "g" { address = "10.0.0.6:22" } # ERROR Invalid address: "10.0.0.6:22" holds a port; write it as ssh { port = … }.
host "h" { address = "root@10.0.0.6" } # ERROR Invalid address: "root@10.0.0.6" holds a user name; write it as ssh { user = … }.
host "i" { address = "[2001:db8::1]" } # ERROR Invalid address: "[2001:db8::1]" holds brackets; write an IPv6 address without them.
host "j" { address = "2001:DB8:0:0::2" }
host "k" { address = "2001:db8::2" } # ERROR Two hosts at one address: The hosts "j" and "k" (addresses.hcl:21) both have the address 2001:db8::2, port 22. Correct one of them.
host "l" { address = "nas server" } # ERROR Invalid address: "nas server" holds a blank; remove it.
host "m" { address = "" } # ERROR Invalid address: The value is empty; set it, or leave the attribute out.
host "n" { address = "a..b" } # ERROR Invalid address: "a..b" is neither a host name nor an IP address.
host "o" { address = "a\nb" } # ERROR Invalid address: The value holds the control character U+000A; remove it.
host "p" { address = ["10.0.0.9"] } # ERROR Invalid address: A string is needed here, not a tuple.
host "q" { address = null }
host "r" { address = "NODE.example.com" }
host "s" { address = "node.example.com." } # ERROR Two hosts at one address: The hosts "r" and "s" (addresses.hcl:29) both have the address node.example.com., port 22. Correct one of them.
host "t" { address = "-oProxyCommand=x" } # ERROR Invalid address: "-oProxyCommand=x" is neither a host name nor an IP address.
host "10.0.0.300" {} # ERROR Invalid address: The name is the address, too, but "10.0.0.300" is not an IP address; write four numbers up to 255, such as 10.0.1.5; give the host an address = ….
host "10.0.0.30" {}
host "a..b" { address = "10.0.0.31" }
host "c..d" {} # ERROR Invalid address: The name is the address, too, but "c..d" is neither a host name nor an IP address; give the host an address = ….
host "u" { address = "10.0.0.40" }
host "v" { address = "::ffff:10.0.0.40" } # ERROR Two hosts at one address: The hosts "u" and "v" (addresses.hcl:36) both have the address 10.0.0.40, port 22. Correct one of them.
host "w" { address = "10.0.0\u200b.41" } # ERROR Invalid address: The value holds the invisible character U+200B; remove it.
