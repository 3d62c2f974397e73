package lab

import (
	"strings"
	"testing"
)

// What a mount says and how it ends is read by people and by plans: these are
// the words of util-linux 2.38 and nfs-utils 2.6, from their sources.
func TestMount(t *testing.T) {
	f := start(t, Config{Hosts: 1, Fresh: true})
	m := f.Hosts[0]
	for _, step := range []struct {
		script, out string
		exit        int
	}{
		{"mount /mnt/data", "mount: /mnt/data: can't find in /etc/fstab.\n", 1},
		{"mkdir /mnt/data; mount -t nfs nas.example.com:/export/data /mnt/data",
			"mount: /mnt/data: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.\n" +
				"       dmesg(1) may have more information after failed mount system call.\n", 32},
		{"apt-get -y -qq install nfs-common >/dev/null; grep -c nfs /proc/filesystems", "0\n", 1},
		{"mount nosuch.example.com:/export/data /mnt/data", "mount.nfs: Failed to resolve server nosuch.example.com: Name or service not known\n", 32},
		{"mount 10.77.0.77:/export/data /mnt/data", "mount.nfs: Connection timed out\n", 32},
		{"mount nas.example.com:/nosuch /mnt/data", "mount.nfs: mounting nas.example.com:/nosuch failed, reason given by server: No such file or directory\n", 32},
		{"mount -o vers=3 nas.example.com:/nosuch /mnt/data", "mount.nfs: access denied by server while mounting nas.example.com:/nosuch\n", 32},
		{"mount -o nonsense nas.example.com:/export/data /mnt/data", "mount.nfs: an incorrect mount option was specified\n", 32},
		{"mount nas.example.com:/export/data /mnt/nosuch", "mount.nfs: mount point /mnt/nosuch does not exist\n", 32},
		{"mount -o ro,vers=4.1 nas.example.com:/export/data /mnt/data && grep -c nfs /proc/filesystems", "2\n", 0},
		{"grep -o ' /mnt/data .* - nfs4 [^ ]*' /proc/self/mountinfo", " /mnt/data ro,relatime shared:31 - nfs4 nas.example.com:/export/data\n", 0},
		{"mount nas.example.com:/export/data /mnt/data", "mount.nfs: /mnt/data is busy or already mounted or sharecache fail\n", 32},
		{"echo x >/mnt/data/file", "sh: 1: cannot create /mnt/data/file: Read-only file system\n", 1},
		{"rmdir /mnt/data", "rmdir: failed to remove '/mnt/data': Device or resource busy\n", 1},
		{"cd /mnt/data && umount /mnt/data", "umount: /mnt/data: target is busy.\n", 32},
		{"mount -o vers=3 nas.example.com:/export/scratch /mnt/data && echo stacked >/mnt/data/file", "", 0},
		{"umount /mnt/data && ls /mnt/data && umount /mnt/data", "", 0},
		{"umount /mnt/data", "umount: /mnt/data: not mounted.\n", 32},
		{"unshare -m sh -c 'mount --make-rprivate / && mount nas.example.com:/export/data /mnt/data && findmnt -n -o SOURCE /mnt/data'; findmnt /mnt/data", "nas.example.com:/export/data\n", 1},
		{"unshare -m sh -c 'mount nas.example.com:/export/data /mnt/data && umount /mnt/data && mount 10.77.0.9:/export/data /mnt/data'", "mount.nfs: mounting 10.77.0.9:/export/data failed, reason given by server: No such file or directory\n", 32},
		{"mount nas.example.com:/export/data /mnt/data; unshare -m umount /mnt/data; findmnt -n -o SOURCE /mnt/data; umount /mnt/data", "nas.example.com:/export/data\n", 0},
		{"showmount --no-headers -e nas.example.com", "/export/data    *\n/export/scratch *\n", 0},
		{"echo 'nas.example.com:/export/data /mnt/data nfs _netdev,nofail 0 0' >>/etc/fstab; systemctl daemon-reload; systemctl start mnt-data.mount; findmnt -n -o SOURCE /mnt/data", "nas.example.com:/export/data\n", 0},
	} {
		out, exit := m.Run(step.script)
		if out != step.out || exit != step.exit {
			t.Errorf("%s:\n  got  %q, exit %d\n  want %q, exit %d", step.script, out, exit, step.out, step.exit)
		}
	}
}

// A running service has the environment of its last start, whatever is in its
// files: that is what a plan must not be fooled by.
func TestUnits(t *testing.T) {
	f := start(t, Config{Hosts: 1, Fresh: true})
	m := f.Hosts[0]
	look := func() string {
		out, _ := m.Run(`systemctl show -p NeedDaemonReload --value containerd
systemctl show -p Environment containerd
pid=$(systemctl show -p MainPID --value containerd)
[ "$pid" = 0 ] || tr '\0' '\n' </proc/$pid/environ | grep X=`)
		return strings.ReplaceAll(out, "\n", " ")
	}
	for _, step := range []struct{ script, want string }{
		{"true", "no Environment= "},
		{"mkdir /etc/systemd/system/containerd.service.d; printf '[Service]\\nEnvironment=\"X=a b\" Y=50%%\\n' >/etc/systemd/system/containerd.service.d/x.conf", "yes Environment= "},
		{"systemctl daemon-reload", `no Environment="X=a b" Y=50% `},
		{"systemctl restart containerd", `no Environment="X=a b" Y=50% X=a b `},
		{"rm /etc/systemd/system/containerd.service.d/x.conf; systemctl daemon-reload", "no Environment= X=a b "},
		{"systemctl try-restart containerd", "no Environment= "},
		{"systemctl stop containerd; systemctl is-active containerd", "no Environment= "},
	} {
		m.Run(step.script)
		if got := look(); got != step.want {
			t.Errorf("after %s:\n  got  %q\n  want %q", step.script, got, step.want)
		}
	}
	if out, exit := m.Run("systemctl restart nosuch"); out != "Failed to restart nosuch.service: Unit nosuch.service not found.\n" || exit != 5 {
		t.Errorf("restart of no unit: %q, exit %d", out, exit)
	}
}
