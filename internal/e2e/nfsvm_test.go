//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
)

// An nfsSite is a kernel's own NFS server, a client that has mount.nfs, and the
// program that looks after the client.
type nfsSite struct {
	*controller
	nas, gpu *Machine
}

// nfsAgain is a second address of the server: another server to whoever mounts.
const nfsAgain = "10.77.0.61"

// newNFSSite boots both from the image of a server, so that no test but TestNFS
// waits for an emulated machine to install mount.nfs.
func newNFSSite(t *testing.T) *nfsSite {
	RequireVM(t)
	RequireLong(t)
	l := New(t)
	s := &nfsSite{nas: l.VM(t, "nas", NFSServer()), gpu: l.VM(t, "gpu-01", NFSServer())}
	s.controller = newController(t, l, []*Machine{s.gpu})
	s.gpu.SSH(t, "systemctl disable -q --now nfs-server; printf '# by hand\\n' >> /etc/fstab")
	s.nas.SSH(t, `ip addr add `+nfsAgain+`/24 dev eth0
mkdir /srv/private /srv/moved && echo 'where the data moved' > /srv/moved/README
printf '%s\n' '/srv/private 10.77.0.99(rw,sync,no_subtree_check)' '/srv/moved *(rw,sync,no_subtree_check,no_root_squash)' >> /etc/exports
exportfs -ra`)
	return s
}

// step runs a part of the test that the later parts build on.
func (s *nfsSite) step(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	whole := s.t
	defer func() { s.t = whole }()
	ok := t.Run(name, func(t *testing.T) { s.t = t; f(t) })
	if !ok {
		t.FailNow()
	}
}

// wish writes the inventory: "PATH SERVER EXPORT more = attributes" each.
func (s *nfsSite) wish(mounts ...string) {
	s.t.Helper()
	text := `ssh {
  user            = "ops"
  identity_file   = "id_ed25519"
  known_hosts     = "known_hosts"
  connect_timeout = "60s"
}
egress { enabled = false } # nothing outside is there
kubernetes { enabled = false }
host "gpu-01" { address = "` + s.gpu.IP + "\" }\n"
	for _, m := range mounts {
		f := append(strings.SplitN(m, " ", 4), "")
		text += fmt.Sprintf("nfs_mount %q {\n  server = %q\n  export = %q\n  %s\n}\n", f[0], f[1], f[2], strings.ReplaceAll(f[3], "; ", "\n  "))
	}
	s.write("inventory.hcl", text)
}

// finds runs a command that must end with the code, and soon, and say of each
// path the state and the words; of a path that is not named it must say ok.
func (s *nfsSite) finds(code int, command string, want map[string][]string) {
	s.t.Helper()
	args := []string{command, "inventory.hcl"}
	if command == "apply" {
		args = []string{command, "-y", "inventory.hcl"}
	}
	began := time.Now()
	r := s.result(code, args...)
	// What hangs is given up after seconds; the rest is the emulated CPU, on a
	// busy machine.
	if took := time.Since(began); command != "apply" && took > 5*time.Minute {
		s.t.Errorf("%s took %s", command, took)
	}
	seen := make(map[string]report.Finding)
	for _, f := range r.Hosts[0].Findings {
		seen[f.Subject] = f
		if want[f.Subject] == nil && f.State != "ok" {
			s.t.Errorf("%s: %s is %s: %s %s", command, f.Subject, f.State, f.Have, f.Error)
		}
	}
	for path, words := range want {
		f, ok := seen[path]
		if !ok || f.State != words[0] {
			s.t.Errorf("%s: %s is %q, want %q: %s %s", command, path, f.State, words[0], f.Have, f.Error)
		}
		contains(s.t, command+" "+path, strings.Join(append(f.Steps, f.Have, f.Error, f.Hint), "\n"), words[1:]...)
	}
}

// mounted asks the client's kernel what is seen at a path.
func (s *nfsSite) mounted(path string, words ...string) {
	s.t.Helper()
	has, _ := s.gpu.Run(s.t.Context(), "root", "findmnt -n -o SOURCE,FSTYPE,OPTIONS --mountpoint "+path)
	if len(words) == 0 && has != "" {
		s.t.Errorf("%s is mounted: %s", path, has)
	}
	contains(s.t, path, has, words...)
}

// unchanged fails the test unless f leaves fstab and what is mounted alone.
func (s *nfsSite) unchanged(f func()) {
	s.t.Helper()
	const look = "cat /etc/fstab; grep ' - nfs\\| - autofs' /proc/self/mountinfo; ls /mnt"
	was := s.gpu.SSH(s.t, look)
	f()
	if now := s.gpu.SSH(s.t, look); now != was {
		s.t.Errorf("it was\n%s\nand is\n%s", was, now)
	}
}

// firewall lets the server's own firewall act on a packet; with none it is
// taken away.
func (s *nfsSite) firewall(rules ...string) {
	s.t.Helper()
	script := "nft delete table inet e2e 2>/dev/null || :\n"
	if rules != nil {
		script += "nft add table inet e2e && nft add chain inet e2e in '{ type filter hook input priority 0; }'\n"
	}
	for _, r := range rules {
		script += "nft add rule inet e2e in " + r + "\n"
	}
	s.nas.SSH(s.t, script)
}

// NFS in full, on two boots for all of it. A part can be run by itself with those
// that say so: TestNFSInFull/(on_first_use|boot_without_the_server).
func TestNFSInFull(t *testing.T) {
	s := newNFSSite(t)
	s.changes(t)
	s.troubles(t)
}

// Every version and what it takes to change one; what the network and the
// server refuse, found out before anything is touched. Each part builds on those
// before it.
func (s *nfsSite) changes(t *testing.T) {
	nas := s.nas.IP
	data := "/srv/data "
	v3, v40, v41, v42, any := "/mnt/v3 "+nas+" "+data+`version = "3"`, "/mnt/v40 "+nas+" "+data+`version = "4.0"`,
		"/mnt/v41 "+nas+" "+data+`version = "4.1"`, "/mnt/v42 "+nas+" "+data+`version = "4.2"`, "/mnt/any "+nas+" "+data

	s.step(t, "not reached", func(t *testing.T) {
		s.wish(v3, v42)
		firewall2049 := map[string][]string{
			"/mnt/v3":  {"unmet", "no answer from " + nas + ":2049", "a firewall on the way drops it"},
			"/mnt/v42": {"unmet", "no answer from " + nas + ":2049", "a firewall on the way drops it"},
		}
		s.unchanged(func() {
			s.firewall("tcp dport 2049 drop")
			s.finds(3, "plan", firewall2049)
			s.finds(3, "apply", firewall2049)
			s.firewall("tcp dport 111 reject with tcp reset")
			s.finds(3, "plan", map[string][]string{
				"/mnt/v3":  {"unmet", nas + ":111 refused the connection"},
				"/mnt/v42": {"pending", "mount /mnt/v42"},
			})
			s.firewall()
			s.nas.SSH(t, "systemctl stop nfs-server")
			s.finds(3, "plan", map[string][]string{
				"/mnt/v3":  {"unmet", nas + ":2049 refused the connection", "nobody listens there"},
				"/mnt/v42": {"unmet", nas + ":2049 refused the connection", "nobody listens there"},
			})
			s.nas.SSH(t, "systemctl start nfs-server")
		})
	})

	s.step(t, "versions", func(t *testing.T) {
		s.wish(v3, v40, v41, v42, any)
		s.run(0, "apply", "-y", "inventory.hcl")
		s.mounted("/mnt/v3", nas+":/srv/data", "nfs ", "vers=3,")
		s.mounted("/mnt/v40", "nfs4", "vers=4.0,")
		s.mounted("/mnt/v41", "vers=4.1,")
		s.mounted("/mnt/v42", "vers=4.2,")
		s.mounted("/mnt/any", "vers=4.2,") // as both agreed
		fstab := s.gpu.SSH(t, "findmnt --verify >/dev/null && cat /mnt/v3/README /etc/fstab")
		contains(t, "fstab", fstab, "data of the NFS server", "# by hand\n", nas+":/srv/data /mnt/v40 nfs _netdev,nofail,vers=4.0 0 0\n", nas+":/srv/data /mnt/any nfs _netdev,nofail 0 0\n")
		lacks(t, "the trial", s.gpu.SSH(t, "cat /proc/self/mountinfo"), "/var/lib/runai-prep")
		s.finds(0, "check", nil)
	})

	var changed []string
	s.step(t, "changes", func(t *testing.T) {
		// Another version, server, export, options; one of them busy twice over.
		changed = []string{
			"/mnt/v3 " + nas + " " + data + `version = "4.1"`,
			"/mnt/v40 " + nfsAgain + " " + data + `version = "4.0"`,
			"/mnt/v41 " + nas + ` /srv/moved version = "4.1"`,
			"/mnt/v42 " + nas + " " + data + `version = "4.2"; options = ["noatime", "timeo=300", "nconnect=2"]`,
			"/mnt/any " + nas + " " + data + `options = ["ro", "soft"]`,
		}
		s.wish(changed...)
		s.gpu.SSH(t, `systemd-run -q --unit=reader sh -c 'exec sleep infinity </mnt/any/README'
systemd-run -q --unit=worker --working-directory=/mnt/any sleep infinity
until [ "$(readlink /proc/$(systemctl show -P MainPID worker)/cwd) $(readlink /proc/$(systemctl show -P MainPID reader)/fd/0)" = "/mnt/any /mnt/any/README" ]; do sleep 0.2; done`)
		pids := strings.Fields(s.gpu.SSH(t, "systemctl show -P MainPID reader worker"))
		busy := []string{"unmet", "busy: ", pids[0] + " (sleep)", pids[1] + " (sleep)", "end what uses it"}
		s.finds(3, "plan", map[string][]string{
			"/mnt/v3":  {"pending", "vers=3", "umount /mnt/v3"},
			"/mnt/v40": {"pending", "mounted from " + nas + ":/srv/data", "umount /mnt/v40"},
			"/mnt/v41": {"pending", "mounted from " + nas + ":/srv/data", "umount /mnt/v41"},
			"/mnt/v42": {"unmet", "its timeo is that of /mnt/any"},
			"/mnt/any": busy,
		})
		// Connections and patience are those of the mount that was first.
		changed[3] = strings.Replace(changed[3], `"timeo=300", `, "", 1)
		s.wish(changed...)
		s.finds(3, "plan", map[string][]string{
			"/mnt/v3": {"pending"}, "/mnt/v40": {"pending"}, "/mnt/v41": {"pending"}, "/mnt/any": busy,
			"/mnt/v42": {"unmet", "its nconnect is that of /mnt/any"},
		})
		changed[3] = strings.Replace(changed[3], `, "nconnect=2"`, "", 1)
		s.wish(changed...)
		s.finds(3, "apply", map[string][]string{"/mnt/v3": {"fixed"}, "/mnt/v40": {"fixed"}, "/mnt/v41": {"fixed"}, "/mnt/v42": {"fixed"}, "/mnt/any": busy})
		s.mounted("/mnt/v3", "vers=4.1,")
		s.mounted("/mnt/v40", nfsAgain+":/srv/data", "vers=4.0,")
		s.mounted("/mnt/v41", nas+":/srv/moved", "vers=4.1,")
		s.mounted("/mnt/v42", "noatime")
		s.mounted("/mnt/any", "rw,", ",hard,")
		contains(t, "what it moved to", s.gpu.SSH(t, "cat /mnt/v41/README; systemctl is-active reader worker"), "where the data moved", "active\nactive\n")
		s.gpu.SSH(t, "systemctl stop reader worker")
		s.finds(0, "apply", map[string][]string{"/mnt/any": {"fixed", "umount /mnt/any"}})
		s.mounted("/mnt/any", "ro,", ",soft,")
		s.finds(0, "check", nil)
	})

	s.step(t, "refused", func(t *testing.T) {
		// The server lets this host's connections in, and nothing else. What
		// works stays, and so does fstab.
		s.wish("/mnt/v3 "+nas+` /srv/private version = "3"`, "/mnt/v40 "+nas+` /srv/nothing version = "3"`,
			"/mnt/v41 "+nas+` /srv/private version = "4.1"`, "/mnt/v42 "+nas+` /srv/nothing version = "4.2"`,
			"/mnt/any "+nas+" "+data+`options = ["ro", "soft", "nosuchoption"]`, "/mnt/new "+nas+" /srv/private automount = true")
		private := []string{"failed", "not permitted: " + nas + " exports /srv/private to 10.77.0.99"}
		nothing := []string{"failed", "no such export, nor a folder of one: " + nas + " exports /srv/", "/srv/moved"}
		s.unchanged(func() {
			s.finds(5, "apply", map[string][]string{
				"/mnt/v3": append(private, "access denied by server"), "/mnt/v40": append(nothing, "access denied by server"),
				"/mnt/v41": append(private, "No such file or directory"), "/mnt/v42": append(nothing, "No such file or directory"),
				"/mnt/any": {"failed", "an incorrect mount option was specified"}, "/mnt/new": private,
			})
		})
	})

	s.step(t, "down at apply", func(t *testing.T) {
		// Gone between the plan that was read and the apply of it.
		s.wish(append(changed, "/mnt/late "+nas+" /srv/home")...)
		s.run(2, "plan", "inventory.hcl", "--save-plan", "saved")
		s.nas.SSH(t, "systemctl stop nfs-server")
		s.unchanged(func() {
			contains(t, "a saved plan", s.run(3, "apply", "-y", "saved"), nas+":2049 refused the connection")
		})
		s.nas.SSH(t, "systemctl start nfs-server")
		s.wish(changed...)
		s.finds(0, "check", nil)
	})

	s.step(t, "down during apply", func(t *testing.T) {
		// The client's cable to the server is cut by what the program itself does.
		cut := func(when string) {
			s.gpu.SSH(t, `systemd-run -q --unit=cut sh -c '`+when+`
nft add table inet e2e; nft add chain inet e2e out "{ type filter hook output priority 0; }"; nft add rule inet e2e out tcp dport 2049 drop'`)
		}
		mend := func() { s.gpu.SSH(t, "nft delete table inet e2e") }
		late := func(words ...string) {
			t.Helper()
			r := s.result(5, "apply", "-y", "inventory.hcl")
			for _, f := range r.Hosts[0].Findings {
				if f.Subject == "/mnt/late" {
					contains(t, "/mnt/late", f.State+" "+f.Error, words...)
				}
			}
			s.mounted("/mnt/late")
		}
		s.wish(append(changed, "/mnt/late "+nas+" /srv/home")...)
		fstab := s.gpu.SSH(t, "cat /etc/fstab")
		cut("until grep -q /mnt/late /var/lib/runai-prep/nfs.ledger; do sleep 0.05; done")
		late("failed", "lets nothing be mounted within 40s")
		if now := s.gpu.SSH(t, "cat /etc/fstab"); now != fstab {
			t.Errorf("fstab is now %s", now)
		}
		mend()
		// Between the try and the mount: the line stands, and does no harm.
		cut("until grep -q /mnt/late /etc/fstab; do sleep 0.05; done")
		late("failed", "mount /mnt/late")
		contains(t, "fstab", s.gpu.SSH(t, "cat /etc/fstab"), fstab, nas+":/srv/home /mnt/late nfs _netdev,nofail 0 0\n")
		mend()
		s.finds(0, "apply", map[string][]string{"/mnt/late": {"fixed"}})
		s.mounted("/mnt/late", nas+":/srv/home")
	})

	s.step(t, "leaves the inventory", func(t *testing.T) {
		s.gpu.SSH(t, "mkdir /mnt/theirs && mount -t nfs "+nas+":/srv/home /mnt/theirs && echo '"+nas+":/srv/home /mnt/theirs nfs _netdev,nofail 0 0' >> /etc/fstab")
		s.wish(changed[3])
		s.run(0, "apply", "-y", "inventory.hcl")
		has := s.gpu.SSH(t, "cat /etc/fstab; grep ' - nfs' /proc/self/mountinfo; ls /mnt")
		lacks(t, "what is left", has, "/mnt/v3", "/mnt/v40", "/mnt/v41", "/mnt/any", "/mnt/late", "v3\n", "late\n")
		contains(t, "what is left", has, "# by hand", "/mnt/theirs nfs _netdev,nofail 0 0", "/mnt/theirs rw", "/mnt/v42 rw")
		s.finds(0, "check", nil)
	})
}
