package lab

import (
	"fmt"
	"path/filepath"
	"strings"
)

// inventoryFor writes the inventory of a fleet whose files lie in dir.
func inventoryFor(dir string, patients []patient) string {
	var b strings.Builder
	sick := false
	for _, p := range patients {
		sick = sick || p.illness != patients[0].illness
	}
	b.WriteString(inventoryHead(sick, patients[0].name))
	fmt.Fprintf(&b, `ssh {
  user            = "ops"
  identity_file   = %q
  known_hosts     = %q
  connect_timeout = "15s"
}

`, filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "known_hosts"))
	b.WriteString(inventoryWishes)
	if !sick {
		first, last := patients[0].name, patients[len(patients)-1].name
		_, from, _ := strings.Cut(first, "-")
		_, to, _ := strings.Cut(last, "-")
		pattern := fmt.Sprintf("gpu-[%s:%s]", from, to)
		if from == to {
			pattern = first
		}
		b.WriteString("# Every practice host listens on loopback, at a port of its own.\nlocals {\n  port = {\n")
		for _, p := range patients {
			fmt.Fprintf(&b, "    %q = %d\n", p.name, p.port)
		}
		b.WriteString("  }\n}\n\n")
		fmt.Fprintf(&b, "host %q {\n  address = \"127.0.0.1\"\n  role    = \"gpu\"\n  ssh { port = local.port[name] }\n}\n", pattern)
		return b.String()
	}
	b.WriteString(inventoryGroups)
	for _, p := range patients {
		fmt.Fprintf(&b, "# %s\nhost %q {\n  address = \"127.0.0.1\"\n  role    = %q\n", sentence(p.illness), p.name, p.role)
		if len(p.groups) > 0 {
			fmt.Fprintf(&b, "  groups  = [\"%s\"]\n", strings.Join(p.groups, `", "`))
		}
		if len(p.images) > 0 {
			fmt.Fprintf(&b, "  images  = [\"%s\"]\n", strings.Join(p.images, `", "`))
		}
		fmt.Fprintf(&b, "  ssh { port = %d }\n}\n\n", p.port)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func inventoryHead(sick bool, first string) string {
	if !sick {
		return "# A practice fleet of runai-prep lab. Its hosts live in memory, and as long as\n# the lab runs. To look around: ssh -F ssh_config " + first + "\n\n"
	}
	return `# A practice fleet of runai-prep lab: every host has an illness of its own, named
# in the comment above it. The hosts live in memory, and as long as the lab
# runs: break what you like.
#
#   runai-prep plan inventory.hcl
#   runai-prep apply inventory.hcl --limit rack-a
#   runai-prep check inventory.hcl
#
# To look around, or to make some drift:
#
#   ssh -F ssh_config gpu-01 cat /etc/fstab
#   ssh -F ssh_config gpu-01 sudo umount /mnt/data

`
}

var inventoryWishes = `variable "nas" {
  type        = string
  default     = "` + nasName + `"
  description = "The NFS server; try --var nas=10.77.0.9, the old one: it lacks the export, and nothing is lost."
}

proxy {
  http_proxy  = "` + proxyURL + `"
  https_proxy = "` + proxyURL + `"
  no_proxy    = ["` + strings.ReplaceAll(noProxy, ",", `", "`) + `"]

  # Behind the proxy a box looks into TLS and signs with this authority.
  ca_certificates = [file("` + authorityFile + `")]
}

nfs_mount "` + mountPath + `" {
  server  = var.nas
  export  = "` + nasExport + `"
  version = "4.2"
  options = ["hard", "noatime"]
}

# A registry on the premises. Take the # away, and each containerd trusts it and
# pulls images of docker.io through it.
# registry "` + practiceRegistry + `:5000" {
#   mirror_of = ["docker.io"]
#   ca        = file("` + authorityFile + `")
# }

resources {
  min_disk  = "100GiB"
  disk_path = "/var/lib"
}

role "gpu" {
  resources {
    min_cpus   = 8
    min_memory = "32GiB"
  }
  nvidia_driver {
    version = ">= 535.216, < 536"
  }
}

`

const inventoryGroups = `role "cpu" {
  nfs_mount "` + mountPath + `" { enabled = false }
}

# Where sudo asks; a real inventory would say password = env("SUDO_PASSWORD").
group "locked" {
  sudo { password = "` + password + `" }
}

group "el" {
  nvidia_driver {
    version = ">= 580.65, < 581"
    source  = "cuda-repo"
  }
}

group "rack-a" {}

group "rack-b" {
  ssh { connect_timeout = "10s" }
}

group "rack-c" {}

group "suse" {
  nvidia_driver { version = ">= 580.65, < 581" }
}

`
