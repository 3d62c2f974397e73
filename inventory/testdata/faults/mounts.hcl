# Mounts: what ends in fstab.
nfs_mount "mnt/data" { # ERROR Invalid nfs_mount: "mnt/data" is not an absolute path; begin it with /.
  server = "nas"
  export = "/data"
}
nfs_mount "/mnt/data/" { # ERROR Invalid nfs_mount: "/mnt/data/" is not a clean path; write "/mnt/data".
  server = "nas"
  export = "/data"
}
nfs_mount "/mnt/../etc" { # ERROR Invalid nfs_mount: "/mnt/../etc" is not a clean path; write "/etc".
  server = "nas"
  export = "/data"
}
nfs_mount "/" { # ERROR Invalid nfs_mount: "/" is part of the system: a mount would hide what the host needs to run; mount below /mnt, /srv or a folder of its own.
  server = "nas"
  export = "/data"
}
nfs_mount "/usr/lib/data" { # ERROR Invalid nfs_mount: "/usr/lib/data" is part of the system: a mount would hide what the host needs to run; mount below /mnt, /srv or a folder of its own.
  server = "nas"
  export = "/data"
}
nfs_mount "/var/lib" { # ERROR Invalid nfs_mount: "/var/lib" is part of the system: a mount would hide what the host needs to run; mount below /mnt, /srv or a folder of its own.
  server = "nas"
  export = "/data"
}
nfs_mount "/mnt/my data" { # ERROR Invalid nfs_mount: "/mnt/my data" holds a blank; remove it.
  server = "nas"
  export = "/data"
}
nfs_mount "/mnt/a" {
  server = "nas nas" # ERROR Invalid server: "nas nas" holds a blank; remove it.
  export = "export" # ERROR Invalid export: "export" is not an absolute path; begin it with /.
}
nfs_mount "/mnt/b" {
  server = "nas\tnas" # ERROR Invalid server: The value holds the control character U+0009; remove it.
  export = "/my data" # ERROR Invalid export: "/my data" holds a blank; remove it.
}
nfs_mount "/mnt/c" {
  server  = "nas"
  export  = "/a\nnone /etc nfs defaults 0 0" # ERROR Invalid export: The value holds the control character U+000A; remove it.
  version = "5" # ERROR Invalid version: "5" is not among the possible values "3", "4", "4.0", "4.1" and "4.2".
  options = ["hard,noatime"] # ERROR Invalid options: "hard,noatime" holds a comma; write a list of strings, one for each option.
}
nfs_mount "/mnt/d" {
  server  = "nas"
  export  = "/d"
  version = 4.1 # ERROR Invalid version: The number needs quotes: a version 4.10 without them is read as 4.1.
  options = ["vers=3", "hard", "soft", "rsize=1", "rsize=2", "no exec", "bg", "bind", "x#y"] # ERROR Conflicting options: The options "hard" and "soft" contradict each other. Keep one. # ERROR Conflicting options: The options "rsize=1" and "rsize=2" contradict each other. Keep one. # WARNING Mount in the background: systemd does not honour "bg" as mount does; the defaults _netdev and nofail keep a missing server from stopping the boot. Remove "bg". # WARNING Soft mount: With "soft" a slow server makes writes fail, and training data or checkpoints are damaged without a word. Use "hard" unless the mount is read-only. # WARNING Version among the options: The option "vers=3" names an NFS version. Say version = … instead, so that the mount in use is compared with it. # ERROR Invalid options: "no exec" holds a blank; remove it. # ERROR Invalid options: "bind" is not an option of a lasting NFS mount; remove it. # ERROR Invalid options: "x#y" holds the character '#', which fstab readers do not agree on; rename it.
}
nfs_mount "/mnt/e" {
  server    = "nas"
  export    = "/e/" # ERROR Invalid export: "/e/" is not a clean path; write "/e".
  options   = ["nfsvers=4.1", "noauto", "x-systemd.automount", "noauto"] # WARNING Automount among the options: Say automount = true instead of "x-systemd.automount", so that an idle mount is not taken for a missing one. # WARNING Version among the options: The option "nfsvers=4.1" names an NFS version. Say version = … instead, so that the mount in use is compared with it. # ERROR Duplicate in options: This stands in the list a second time. Remove it.
  automount = "yes" # ERROR Invalid automount: The word true or false is needed here, not a string.
}
nfs_mount "/mnt/f" { server = "nas" } # ERROR Mount without export: Nothing says which export of the server is mounted at "/mnt/f". Add export = ….
nfs_mount "/mnt/g" { export = "/g" } # ERROR Mount without server: Nothing says from which server "/mnt/g" is mounted. Add server = ….
nfs_mount "/mnt/h" {
  server  = "nas"
  export  = "/h"
  options = ["noauto"] # ERROR Conflicting options: With "noauto" the export is not mounted after a boot. Remove it, or say automount = true.
}
nfs_mount "/mnt/i" {
  server = "fe80::1"
  export = "/i"
}
nfs_mount "/mnt/j" {
  server = "[2001:db8::1]"
  export = "/"
}
nfs_mount "/mnt/gone" { enabled = false }
host "a" {}
nfs_mount "/mnt/k" { # ERROR Mount without export: Nothing says which export of the server is mounted at "/mnt/k". Add export = ….
  server = var.nas # ERROR Unknown variable: No variable "nas" is declared.
  export = null
}
nfs_mount "/mnt/l\u202e" { # ERROR Invalid nfs_mount: The value holds the invisible character U+202E; remove it.
  server  = "nas\u200b" # ERROR Invalid server: The value holds the invisible character U+200B; remove it.
  export  = "/l\ufeff" # ERROR Invalid export: The value holds the invisible character U+FEFF; remove it.
  options = ["hard\u00ad"] # ERROR Invalid options: The value holds the invisible character U+00AD; remove it.
}
