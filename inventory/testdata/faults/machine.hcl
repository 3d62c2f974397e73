# Drivers, resources, Kubernetes.
resources {
  min_cpus   = 0 # ERROR Invalid min_cpus: 0 is out of range; use a whole number from 1 to 1000000.
  min_memory = "4G" # ERROR Invalid min_memory: The size "4G" has the unit "G", which means different sizes to different programs; write KiB, MiB, GiB, TiB for units of 1024, or kB, MB, GB, TB for units of 1000.
  min_disk   = "20" # ERROR Invalid min_disk: The size "20" has no unit; write "20GiB" for units of 1024, or "20GB" for units of 1000.
  disk_path  = "var/lib" # ERROR Invalid disk_path: "var/lib" is not an absolute path; begin it with /.
}
kubernetes { version = "about 1.20" } # ERROR Invalid version: "about 1.20" is not a version constraint; write one such as ">= 1.15" or ">= 535.104, < 536".
role "a" {
  resources {
    min_cpus   = 4.5 # ERROR Invalid min_cpus: 4.5 is out of range; use a whole number from 1 to 1000000.
    min_memory = 4 # ERROR Invalid min_memory: The size "4" has no unit; write "4GiB" for units of 1024, or "4GB" for units of 1000.
    min_disk   = "-5GiB" # ERROR Invalid min_disk: The size "-5GiB" is out of range; use one above zero and below 8192PiB.
    disk_path  = "/var/lib/" # ERROR Invalid disk_path: "/var/lib/" is not a clean path; write "/var/lib".
  }
}
role "b" {
  resources {
    min_memory = "lots" # ERROR Invalid min_memory: "lots" is not a size; write a number and a unit, such as "4GiB" or "20GB".
    min_disk   = "9999999999PiB" # ERROR Invalid min_disk: The size "9999999999PiB" is out of range; use one above zero and below 8192PiB.
  }
}
role "gpu" {
  nvidia_driver {
    version        = ">= banana" # ERROR Invalid version: ">= banana" is not a version constraint; write one such as ">= 1.15" or ">= 535.104, < 536".
    source         = "cuda" # ERROR Invalid source: "cuda" is not among the possible values "distro", "cuda-repo", "runfile" and "none".
    flavor         = "free" # ERROR Invalid flavor: "free" is not among the possible values "auto", "open" and "proprietary".
    repository     = "ftp://mirror/cuda" # ERROR Invalid repository: "ftp://mirror/cuda" has the scheme "ftp"; use http, https or file.
    repository_key = "C0934C99" # ERROR Invalid repository_key: "C0934C99" is not the fingerprint of a key; write the 40 hexadecimal digits that gpg --show-keys prints, without blanks.
    sha256         = "abc" # ERROR Invalid sha256: "abc" is not a SHA-256 checksum; write the 64 hexadecimal digits that sha256sum prints.
    reboot         = "always" # ERROR Invalid reboot: "always" is not among the possible values "when-needed" and "never".
    hold           = 5 # ERROR Invalid hold: The word true or false is needed here, not a number.
    fractional_gpu = "perhaps" # ERROR Invalid fractional_gpu: The word true or false is needed here, not a string.
    busy           = "wait" # ERROR Invalid busy: "wait" does not say how long; write one such as "wait=30m".
  }
}
role "c" {
  nvidia_driver { busy = "wait=soon" } # ERROR Invalid busy: "soon" is not a duration; write a number and a unit, such as "10s", "500ms" or "1m30s".
}
role "d" {
  nvidia_driver { busy = "kill" } # ERROR Invalid busy: "kill" is not among the possible values "refuse", "drain" and "wait=30m".
}
role "e" {
  nvidia_driver { source = "runfile" } # ERROR Driver without runfile: With source = "runfile" the file is needed: runfile = "NVIDIA-Linux-x86_64-….run".
}
role "f" {
  nvidia_driver { # WARNING Runfile not found: There is no file at the path that runfile names. It is read on this machine when apply uploads it. # WARNING Runfile without checksum: A runfile is run as root, and nothing says which one is meant: whatever lies there at that moment is taken. Add its checksum: sha256 = "…", as sha256sum prints it.
    source  = "runfile"
    runfile = "x.run"
  }
}
role "g" {
  nvidia_driver { runfile = "x.run" } # WARNING Runfile without effect: A runfile is given, but source is "distro". Say source = "runfile" to install from it, or leave it out.
}
role "h" {
  nvidia_driver { version = "< 384" } # ERROR Impossible driver version: No version fulfils "< 384, >= 384.81", which includes the profile's minimum. Change version.
}
role "i" {
  nvidia_driver { version = ">= 535.104, < 536" }
}
role "j" {
  nvidia_driver { version = "= 390.12, != 390.12" } # ERROR Impossible driver version: No version fulfils "= 390.12, != 390.12, >= 384.81", which includes the profile's minimum. Change version.
}
host "a" { role = "a" }
host "e" { role = "e" }
host "f" { role = "f" }
host "g" { role = "g" }
host "h" { role = "h" }
host "i" { role = "i" }
host "j" { role = "j" }
