host "a" {
  address = "10.0.0.1
  sudo { password = canary-bare extra }
}
