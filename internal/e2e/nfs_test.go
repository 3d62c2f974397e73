//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// Real mounts of a real server, by a machine with its own kernel: from nothing
// to mounted, through a reboot, drift, a changed option, a busy mount, and away.
func TestNFS(t *testing.T) {
	RequireVM(t)
	l := New(t)
	nas := l.VM(t, "nas", NFSServer())
	gpu := l.VM(t, "gpu-01")
	c := newController(t, l, []*Machine{gpu})
	head := `
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
  # An emulated machine is slow.
  connect_timeout = "60s"
}
host "gpu-01" { address = "` + gpu.IP + `" }
egress { enabled = false } # nothing outside is there
`
	mount := func(path, export, more string) string {
		return "nfs_mount \"" + path + "\" {\n  server = \"" + nas.IP + "\"\n  export = \"" + export + "\"\n" + more + "\n}\n"
	}
	v42, v3 := `version = "4.2"`, `version = "3"`
	c.write("inventory.hcl", head+mount("/mnt/data", "/srv/data", v42)+mount("/home/shared", "/srv/home", v3))
	gpu.SSH(t, "printf '# by hand\\n' >> /etc/fstab; apt-get update -qq")
	fstab := gpu.SSH(t, "cat /etc/fstab")

	contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "apt-get install nfs-common", "mount /mnt/data", "mount /home/shared")
	if got := gpu.SSH(t, "cat /etc/fstab"); got != fstab {
		t.Errorf("a plan changed fstab: %q", got)
	}
	c.run(0, "apply", "-y", "inventory.hcl")
	contains(t, "fstab", gpu.SSH(t, "cat /etc/fstab"), fstab)
	contains(t, "findmnt --fstab", gpu.SSH(t, "findmnt --fstab -n -o SOURCE,TARGET,FSTYPE,OPTIONS /mnt/data"), nas.IP+":/srv/data", "_netdev", "nofail")
	contains(t, "findmnt", gpu.SSH(t, "findmnt -n -o SOURCE,OPTIONS /mnt/data; cat /mnt/data/README"), nas.IP+":/srv/data", "vers=4.2", "data of the NFS server")
	contains(t, "findmnt", gpu.SSH(t, "findmnt -n -o SOURCE,OPTIONS /home/shared; cat /home/shared/README"), "vers=3", "homes of the NFS server")
	gpu.SSH(t, "findmnt --verify")

	if got := findings(c.result(0, "apply", "-y", "inventory.hcl")); len(got) > 0 {
		t.Errorf("a second apply: %q", got)
	}
	c.run(0, "check", "inventory.hcl")

	gpu.Reboot(t)
	gpu.SSH(t, "systemctl start remote-fs.target")
	c.run(0, "check", "inventory.hcl")

	// Drift: one unmounted by hand, the other's line gone from fstab.
	gpu.SSH(t, "umount /mnt/data; sed -i '/home.shared/d' /etc/fstab; systemctl daemon-reload")
	drift := strings.Join(findings(c.result(2, "check", "inventory.hcl")), "\n")
	contains(t, "drift", drift, "nfs /mnt/data pending", "nfs /home/shared pending")
	c.run(0, "apply", "-y", "inventory.hcl")
	c.run(0, "check", "inventory.hcl")

	// Another option: unmounted and mounted anew. Busy: who holds it is named,
	// and it is not torn away.
	c.write("inventory.hcl", head+mount("/mnt/data", "/srv/data", v42+"\n  options = [\"noatime\"]")+mount("/home/shared", "/srv/home", v3))
	gpu.SSH(t, "systemd-run -q --unit=holder --working-directory=/mnt/data sleep infinity; until [ \"$(readlink /proc/$(systemctl show -p MainPID --value holder)/cwd)\" = /mnt/data ]; do sleep 0.2; done")
	contains(t, "plan of a busy mount", c.run(3, "plan", "inventory.hcl"), "busy", "(sleep)")
	c.run(3, "apply", "-y", "inventory.hcl")
	contains(t, "a busy mount stays", gpu.SSH(t, "findmnt -n -o SOURCE /mnt/data; systemctl is-active holder"), nas.IP+":/srv/data", "active")
	gpu.SSH(t, "systemctl stop holder")
	contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "umount /mnt/data")
	c.run(0, "apply", "-y", "inventory.hcl")
	contains(t, "mounted anew", gpu.SSH(t, "findmnt -n -o OPTIONS /mnt/data"), "noatime")

	// A mount of somebody else's, and one of ours that left the inventory.
	gpu.SSH(t, "mkdir -p /mnt/theirs; mount -t nfs "+nas.IP+":/srv/home /mnt/theirs; echo '"+nas.IP+":/srv/home /mnt/theirs nfs _netdev,nofail 0 0' >> /etc/fstab")
	c.write("inventory.hcl", head+mount("/mnt/data", "/srv/data", v42+"\n  options = [\"noatime\"]"))
	contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "umount /home/shared")
	c.run(0, "apply", "-y", "inventory.hcl")
	after := gpu.SSH(t, "cat /proc/self/mounts /etc/fstab")
	lacks(t, "ours", after, "/home/shared")
	contains(t, "theirs", after, "/mnt/theirs", "# by hand")
	c.run(0, "check", "inventory.hcl")
}
