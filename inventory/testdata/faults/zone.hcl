nfs_mount "/mnt/data" {
  server = "fe80::1%$(id)" # ERROR Invalid server: "fe80::1%$(id)" names "$(id)" as its zone, which is no name of an interface.
  export = "/export"
}
nfs_mount "/mnt/more" {
  server = "fe80::1%eth0"
  export = "/export"
}
host "gpu-01" { address = "10.0.0.1" }
