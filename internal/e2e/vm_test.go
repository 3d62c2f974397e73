//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// A VM mounts from another, which a kernel without NFS of its own cannot.
func TestVM(t *testing.T) {
	RequireVM(t)
	l := New(t)
	nas := l.VM(t, "nas", NFSServer())
	gpu := l.VM(t, "gpu-01")

	if out := gpu.SSH(t, "hostname; dpkg-query -W -f '${Status}' nfs-common 2>&1 || true; test ! -e /sbin/mount.nfs"); !strings.HasPrefix(out, "gpu-01\n") || strings.Contains(out, "installed\n") {
		t.Errorf("gpu-01 says %q", out)
	}
	gpu.SSH(t, "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq nfs-common >/dev/null")

	for _, version := range []string{"4.2", "3"} {
		for _, m := range []*Machine{gpu, nas} {
			out := m.SSH(t, `set -e
mkdir -p /mnt/data; mount -t nfs -o vers=`+version+` `+nas.IP+`:/srv/data /mnt/data
cat /mnt/data/README; hostname > /mnt/data/written; grep ' /mnt/data ' /proc/self/mountinfo; umount /mnt/data`)
			if !strings.Contains(out, "data of the NFS server") || !strings.Contains(out, "vers="+version+",") {
				t.Errorf("NFS %s on %s: %q", version, m.Name, out)
			}
			if w := nas.SSH(t, "cat /srv/data/written"); strings.TrimSpace(w) != m.Name {
				t.Errorf("NFS %s: %s wrote, the server has %q", version, m.Name, w)
			}
		}
	}

	gpu.SSH(t, "echo '"+nas.IP+":/srv/data /mnt/data nfs _netdev,nofail 0 0' >> /etc/fstab")
	before := gpu.BootID(t)
	gpu.Reboot(t)
	if gpu.BootID(t) == before {
		t.Error("same boot_id")
	}
	// With nofail neither sshd nor remote-fs.target waits for it; this joins the job.
	gpu.SSH(t, "systemctl start mnt-data.mount && grep ' /mnt/data ' /proc/self/mountinfo")
	gpu.PowerOff(t)
	gpu.Start(t)
	gpu.SSH(t, "test -x /sbin/mount.nfs")
}
