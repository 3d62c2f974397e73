//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// A server that dies, forgets and comes back; mounts on first use; and what of
// all this a boot makes, with the server and without. Each part builds on the
// first alone.
func (s *nfsSite) troubles(t *testing.T) {
	nas := s.nas.IP
	v42, v3 := "/mnt/v42 "+nas+` /srv/data version = "4.2"`, "/mnt/v3 "+nas+` /srv/home version = "3"`
	auto := "/mnt/auto " + nas + " /srv/data automount = true"

	s.step(t, "on first use", func(t *testing.T) {
		s.wish(v42, v3, auto)
		s.run(0, "apply", "-y", "inventory.hcl")
		s.finds(0, "check", nil)
		s.mounted("/mnt/auto", "systemd-1", "autofs") // neither the trial nor looking was a use
		lacks(t, "before its first use", s.gpu.SSH(t, "findmnt -n -t nfs4 -o TARGET"), "/mnt/auto")
		contains(t, "its first use", s.gpu.SSH(t, "cat /mnt/auto/README; findmnt -n -t nfs4 -o TARGET"), "data of the NFS server", "/mnt/auto")
		s.finds(0, "check", nil)
		// Every order that matters to a boot, as systemd has it.
		for _, unit := range []string{"mnt-v42.mount", "mnt-v3.mount"} {
			order := s.gpu.SSH(t, "systemctl show -p After -p Wants -p Before -p WantedBy -p RequiredBy "+unit)
			contains(t, unit, order, "network-online.target", "remote-fs-pre.target", "WantedBy=remote-fs.target", "RequiredBy=\n")
		}
	})

	s.step(t, "stale", func(t *testing.T) {
		// The server has another folder at the place of the old one.
		s.nas.SSH(t, `exportfs -ua; mv /srv/data /srv/former; mkdir /srv/data; echo 'data anew' > /srv/data/README; exportfs -ra`)
		contains(t, "the client", s.gpu.SSH(t, "cat /mnt/v42/README 2>&1 || :"), "Stale file handle")
		// The folder itself is good for as long as the client remembers what it was (acdirmax, a minute).
		const forgotten = "until ! [ -d /mnt/v42 ] && ! [ -d /mnt/auto ]; do sleep 1; done"
		s.gpu.SSH(t, forgotten)
		s.finds(2, "plan", map[string][]string{
			"/mnt/v42":  {"pending", "stale file handle", "umount /mnt/v42"},
			"/mnt/auto": {"pending", "stale file handle", "umount /mnt/auto"},
		})
		// Work that stands in the folder is named, and nothing is torn from it.
		s.gpu.SSH(t, "systemctl show -P ActiveState mnt-v42.mount")
		s.run(0, "apply", "-y", "inventory.hcl")
		contains(t, "the client", s.gpu.SSH(t, "cat /mnt/v42/README /mnt/auto/README"), "data anew\ndata anew\n")
		s.finds(0, "check", nil)

		// Taken back altogether: what is stale cannot be mended, and stays. Given
		// again it is as it was.
		s.nas.SSH(t, "cp /etc/exports /etc/exports.whole; sed -i '\\,^/srv/data,d' /etc/exports; exportfs -ra; exportfs -f")
		s.gpu.SSH(t, forgotten)
		s.finds(5, "apply", map[string][]string{
			"/mnt/v42":  {"failed", "no such export", "/srv/home"},
			"/mnt/auto": {"failed", "no such export", "/srv/home"},
		})
		s.mounted("/mnt/v42", nas+":/srv/data")
		s.nas.SSH(t, "mv /etc/exports.whole /etc/exports; exportfs -ra")
		s.run(0, "apply", "-y", "inventory.hcl")
		s.finds(0, "check", nil)
	})

	s.step(t, "silent", func(t *testing.T) {
		s.gpu.SSH(t, `ls /mnt/v42 /mnt/v3 /mnt/auto
systemd-run -q --unit=worker --working-directory=/mnt/v42 sleep infinity
until [ "$(readlink /proc/$(systemctl show -P MainPID worker)/cwd)" = /mnt/v42 ]; do sleep 0.2; done`)
		s.nas.Partition(t)
		dead := map[string][]string{"/mnt/v42": {"unmet"}, "/mnt/v3": {"unmet"}, "/mnt/auto": {"unmet"}}
		// At once: the kernel answers for the folders from memory, and the server's
		// port is what tells.
		s.finds(3, "check", dead)
		contains(t, "the client", s.gpu.SSH(t, "for p in v42 v3 auto; do timeout -s KILL 3 df /mnt/$p; echo $p $?; done 2>&1"), "v42 137", "v3 137", "auto 137")
		// When it has forgotten, folders hang.
		s.gpu.SSH(t, "for p in v42 v3 auto; do until timeout -s KILL 5 stat /mnt/$p >/dev/null; [ $? = 137 ]; do sleep 2; done; done")
		dead = map[string][]string{"/mnt/v42": {"unmet", "its server does not answer"}, "/mnt/v3": {"unmet", "its server does not answer"}, "/mnt/auto": {"unmet", "its server does not answer"}}
		s.finds(3, "plan", dead)
		s.finds(3, "check", dead)
		// What is wished otherwise has to wait, and what has left is busy.
		s.wish(v3+`; options = ["noatime"]`, auto)
		pid := strings.TrimSpace(s.gpu.SSH(t, "systemctl show -P MainPID worker"))
		s.unchanged(func() {
			s.finds(3, "apply", map[string][]string{
				"/mnt/v3": {"unmet", nas + ":2049"}, "/mnt/auto": dead["/mnt/auto"],
				"/mnt/v42": {"unmet", "busy: " + pid + " (sleep)\n"}, // and no service that follows what is mounted here
			})
		})
		s.nas.Heal(t)
		s.gpu.SSH(t, "systemctl stop worker; ls /mnt/v42 /mnt/v3 /mnt/auto")
		s.wish(v42, v3, auto)
		s.finds(0, "check", nil)
	})

	s.step(t, "boot", func(t *testing.T) {
		s.gpu.Reboot(t)
		s.gpu.SSH(t, "systemctl start remote-fs.target mnt-v42.mount mnt-v3.mount")
		s.finds(0, "check", nil)
		// Not before the network was there.
		s.gpu.SSH(t, `at() { systemctl show -P "$2" "$1"; }
online=$(at network-online.target ActiveEnterTimestampMonotonic); [ "$online" -gt 0 ]
for unit in mnt-v42.mount mnt-v3.mount; do [ "$(at $unit InactiveExitTimestampMonotonic)" -ge "$online" ] || exit 1; done`)
		contains(t, "what is mounted", s.gpu.SSH(t, "cat /mnt/v42/README /mnt/v3/README"), "data", "homes of the NFS server")
	})

	s.step(t, "boot without the server", func(t *testing.T) {
		s.gpu.PowerOff(t)
		s.nas.Partition(t)
		s.gpu.Start(t)
		// The boot is done while the mounts still wait.
		s.gpu.SSH(t, `until systemctl is-active -q multi-user.target; do sleep 0.5; done`)
		waiting := s.gpu.SSH(t, "systemctl show -p ActiveState mnt-v42.mount mnt-v3.mount; systemctl is-active mnt-auto.automount")
		contains(t, "during the boot", waiting, "ActiveState=activating", "\nactive\n")
		dead := []string{"unmet", nas + ":2049"}
		s.finds(3, "check", map[string][]string{"/mnt/v42": dead, "/mnt/v3": dead, "/mnt/auto": dead})
		lacks(t, "looking", s.gpu.SSH(t, "systemctl show -p ActiveState mnt-auto.mount"), "activating")
		s.gpu.SSH(t, "timeout 5 ls /mnt/auto; [ $? = 124 ]") // a use waits, and can be ended
		s.gpu.SSH(t, "until [ \"$(systemctl show -P ActiveState mnt-v42.mount) $(systemctl show -P ActiveState mnt-v3.mount) $(systemctl show -P ActiveState mnt-auto.mount)\" = 'failed failed failed' ]; do sleep 1; done")
		s.finds(3, "check", map[string][]string{"/mnt/v42": dead, "/mnt/v3": dead, "/mnt/auto": dead})

		// Back, nothing mounts what has failed; apply does, and a use.
		s.nas.Heal(t)
		s.finds(2, "check", map[string][]string{
			"/mnt/v42": {"pending", "not mounted, though /etc/fstab lists it", "mount /mnt/v42"},
			"/mnt/v3":  {"pending", "not mounted, though /etc/fstab lists it", "mount /mnt/v3"},
		})
		s.run(0, "apply", "-y", "inventory.hcl")
		s.finds(0, "check", nil)
		contains(t, "what is mounted", s.gpu.SSH(t, "cat /mnt/v42/README /mnt/v3/README /mnt/auto/README"), "data", "\nhomes of the NFS server\ndata")
	})

	s.step(t, "leaves while its server is dead", func(t *testing.T) {
		s.nas.Partition(t)
		s.wish("/mnt/auto " + nas + " /srv/data automount = true")
		s.result(3, "apply", "-y", "inventory.hcl")
		s.nas.Heal(t)
		s.result(0, "apply", "-y", "inventory.hcl")
		s.mounted("/mnt/v42")
		s.mounted("/mnt/v3")
		lacks(t, "fstab", s.gpu.SSH(t, "cat /etc/fstab"), "/mnt/v42", "/mnt/v3")
		s.finds(0, "check", nil)
	})
}
