ssh { password = "canary-open }
host "a" {}
