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
