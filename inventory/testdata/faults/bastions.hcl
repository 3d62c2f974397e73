# Ways that lead through themselves.
ssh { bastion = ["ops@jump"] } # ERROR Cycle of bastions: The way to "jump" leads through itself: jump → jump. Give it a way of its own: ssh { bastion = [] } in its host block.
host "jump" { address = "10.0.0.1" }
host "gpu-[1:3]" { address = "10.0.1.${index}" }

group "east" {
  ssh { bastion = ["west-gate"] } # ERROR Cycle of bastions: The way to "east-gate" leads through itself: east-gate → west-gate → east-gate. Give it a way of its own: ssh { bastion = [] } in its host block.
}
group "west" {
  ssh { bastion = ["east-gate"] }
}
host "east-gate" {
  address = "10.1.0.1"
  groups  = ["east"]
}
host "west-gate" {
  address = "10.2.0.1"
  groups  = ["west"]
}

# By address, and in another spelling.
group "by-address" {
  ssh { bastion = ["root@10.3.0.1"] } # ERROR Cycle of bastions: The way to "gate" leads through itself: gate → gate. Give it a way of its own: ssh { bastion = [] } in its host block.
}
host "gate" {
  address = "::ffff:10.3.0.1"
  groups  = ["by-address"]
}
host "inner-[1:2]" {
  address = "10.3.1.${index}"
  groups  = ["by-address"]
}
host "north" {
  address = "north.example.com"
  ssh { bastion = ["South.example.com.:22"] } # ERROR Cycle of bastions: The way to "north" leads through itself: north → south → north. Give it a way of its own: ssh { bastion = [] } in its host block.
}
host "south" {
  address = "south.example.com"
  ssh { bastion = ["north"] }
}

# No cycles: another port, and a second network with the same address.
host "nat-1" {
  address = "10.4.0.1"
  ssh {
    port    = 2201
    bastion = ["10.4.0.1"]
  }
}
host "room" {
  address = "10.5.0.1"
  ssh { bastion = ["root@10.5.0.1"] }
}
host "door" {
  address = "10.5.0.1" # WARNING Two hosts at one address: The hosts "room" and "door" (bastions.hcl:50) both have the address 10.5.0.1, though behind different bastions. Make sure that these are two networks.
  ssh { bastion = [] }
}
