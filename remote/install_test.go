package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// fakeManagers log their calls, and show a table of what they would do.
const fakeManagers = `
mkdir /run/state; mount -t tmpfs tmpfs /usr/local
mkdir -p /usr/local/sbin
cat >/usr/local/sbin/dnf <<'E'
#!/bin/sh
for a; do if [ -f "$a" ]; then echo "script: $(tr '\n' ';' <$a)" >>/run/state/log; fi; done
echo "${0##*/} $*" | sed 's,/var/lib[^ ]*,FILE,' >>/run/state/log
case " $* " in
*" --assumeno "*) cat /run/state/table; echo 'Operation aborted.'; exit 1 ;;
*" slow "*)
	trap 'trap "" TERM; sleep 1; echo tidy >>/run/state/log; exit 1' TERM
	touch /run/state/slow; sleep 4717 & wait ;;
*" nosuch "*) echo "Error: Unable to find a match: nosuch" >&2; exit 1 ;;
esac
E
cat >/usr/local/sbin/zypper <<'E'
#!/bin/sh
echo "zypper $*" >>/run/state/log
case " $* " in
*" --dry-run "*) cat /run/state/table ;;
*" locks "*) printf '# | Name | Type | Repository\n1 | x | package | (any)\n' ;;
*" busy "*) if [ ! -e /run/state/tried ]; then touch /run/state/tried; echo "System management is locked"; exit 7; fi ;;
esac
exit 102
E
ln -s dnf /usr/local/sbin/yum
printf '#!/bin/sh\ncase $2 in old) exit 1;; esac\n' >/usr/local/sbin/rpm
chmod 755 /usr/local/sbin/*
echo $$ >/run/zypp.pid
`

// dnfTable is what dnf and yum show before they ask, with lines that go on.
const dnfTable = `Dependencies resolved.
================================================================================
 Package             Arch     Version           Repository                 Size
================================================================================
Installing:
 nvidia-driver       x86_64   3:550.54.15-1.el9 cuda                       10 M
Removing:
%s
Transaction Summary
================================================================================
Install  1 Package
Operation aborted.
`

func TestInstall(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: fakeManagers})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	install := func(table string, p Packages) (string, error) {
		_ = os.Remove(s.path("/run/state/log"))
		must(t, os.WriteFile(s.path("/run/state/table"), []byte(table), 0o644))
		err := conn.Do(context.Background(), Step{Title: "install", Install: &p}, nil)
		log, _ := os.ReadFile(s.path("/run/state/log"))
		return string(log), err
	}
	removing := func(lines string) string { return fmt.Sprintf(dnfTable, lines) }
	const nvidia = " kmod-nvidia-latest-dkms-with-a-long-name\n                     x86_64   3:535.54.03-1.el9 @cuda                      30 M\n nvidia-driver-libs  x86_64   3:535.54.03-1.el9 @cuda                      90 M\n"
	const weak = "--best --setopt=install_weak_deps=False"
	for _, c := range []struct {
		p           Packages
		table, want string
		fails       string
	}{
		{p: Packages{Manager: "dnf", Names: []string{"nfs-utils"}}, want: "dnf -y " + weak + " install nfs-utils\n"},
		{p: Packages{Manager: "dnf", Names: []string{"nvidia-driver"}, Replaces: true, Held: true}, table: removing(nvidia),
			want: "dnf " + weak + " --allowerasing --disableplugin=versionlock --assumeno install nvidia-driver\ndnf -y " + weak + " --allowerasing --disableplugin=versionlock install nvidia-driver\n"},
		{p: Packages{Manager: "dnf", Names: []string{"nvidia-driver"}, Replaces: true}, table: removing(nvidia + " kubelet             x86_64   1.30.0-1          @kubernetes                90 M\n"),
			fails: "dnf would also remove kubelet", want: "dnf " + weak + " --allowerasing --assumeno install nvidia-driver\n"},
		{p: Packages{Manager: "dnf", Names: []string{"nvidia-driver"}, Replaces: true}, table: removing(" kernel-core         x86_64   5.14.0-1          @baseos                90 M\n nvidia-container-toolkit x86_64 1 @x 1 M\n"),
			fails: "dnf would also remove kernel-core nvidia-container-toolkit", want: "dnf " + weak + " --allowerasing --assumeno install nvidia-driver\n"},
		{p: Packages{Manager: "dnf", Names: []string{"nvidia-driver-535.54.03"}}, table: "Downgrading:\n nvidia-driver x86_64 3:535.54.03 cuda 1 M\n\n",
			fails: "older versions in the place of nvidia-driver", want: "dnf " + weak + " --assumeno install nvidia-driver-535.54.03\n"},
		{p: Packages{Manager: "dnf", Names: []string{"a"}, Remove: []string{"old"}, DownloadOnly: true}, table: removing(" old x86_64 1 @x 1 M\n"),
			want: "dnf " + weak + " --downloadonly --allowerasing --assumeno install a\nscript: remove old;install a;run;\ndnf " + weak + " --downloadonly --assumeno shell FILE\nscript: remove old;install a;run;\ndnf -y " + weak + " --downloadonly shell FILE\n"},
		{p: Packages{Manager: "dnf", Names: []string{"nosuch"}}, fails: "Unable to find a match: nosuch", want: "dnf -y " + weak + " install nosuch\n"},
		{p: Packages{Manager: "yum", Names: []string{"x-1.0"}, Downgrade: true, Refresh: true},
			want: "yum -q clean expire-cache\nyum --assumeno install x-1.0\nyum -y downgrade x-1.0\nyum -y install x-1.0\n"},
		{p: Packages{Manager: "zypper", Names: []string{"nfs-client"}, Release: "nfs"}, want: "zypper --non-interactive install --no-recommends --from nfs -- nfs-client\n"},
		{p: Packages{Manager: "zypper", Names: []string{"busy"}}, want: "zypper --non-interactive install --no-recommends -- busy\nzypper --non-interactive install --no-recommends -- busy\n"},
		{p: Packages{Manager: "zypper", Names: []string{"x=1", "y"}, Remove: []string{"old"}, Held: true, Downgrade: true}, table: "The following package is going to be REMOVED:\n  old\n\n1 package to remove.\n",
			want: "zypper --non-interactive locks\nzypper --non-interactive removelock x\nzypper --non-interactive install --dry-run --no-recommends --oldpackage -- x=1 y !old\n" +
				"zypper --non-interactive install --no-recommends --oldpackage -- x=1 y !old\nzypper --non-interactive addlock x\n"},
		{p: Packages{Manager: "zypper", Names: []string{"y"}, Replaces: true}, table: "The following 2 packages are going to be REMOVED:\n  nvidia-x\n  kubelet\n\n",
			fails: "zypper would also remove kubelet", want: "zypper --non-interactive install --dry-run --no-recommends --force-resolution -- y\n"},
	} {
		log, err := install(c.table, c.p)
		if log != c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c.p, log, c.want)
		}
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%+v: got %v, want %q", c.p, err, c.fails)
		}
	}
	for _, p := range []Packages{
		{Names: []string{"-oDebug=1"}}, {Names: []string{"a b"}}, {Names: []string{"$(id)"}}, {Names: []string{""}}, {Names: []string{"x;y"}}, {Names: []string{"x'y"}},
		{}, {Names: []string{"x"}, Release: "a b"}, {Names: []string{"x"}, Release: "el9"}, {Remove: []string{"x=1"}}, {Manager: "pacman", Names: []string{"x"}},
	} {
		if p.Manager == "" {
			p.Manager = "dnf"
		}
		if log, err := install("", p); err == nil || log != "" {
			t.Errorf("%+v was installed: %s", p, log)
		}
	}
}

// A package manager is never torn from its work: when its time is over it may
// tidy up, and it goes on to its end when nobody follows any more.
func TestInstallIsNotTorn(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: fakeManagers})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	install := func(ctx context.Context, limit time.Duration) error {
		return conn.Do(ctx, Step{Title: "install", Install: &Packages{Manager: "dnf", Names: []string{"slow"}, Timeout: limit}}, nil)
	}
	err := install(context.Background(), 2*time.Second)
	var failed *CommandError
	if !errors.As(err, &failed) || failed.Reason != "killed after 2s" {
		t.Error(err)
	}
	if log := readFile(t, s.path("/run/state/log")); !strings.Contains(log, "tidy") {
		t.Errorf("log: %s", log)
	}
	noProcess(t, s, "sleep 4717")

	must(t, os.Remove(s.path("/run/state/slow")))
	done := make(chan error, 1)
	go func() { done <- install(context.Background(), 0) }()
	eventually(t, "the manager to be at it", func() bool { _, err := os.Stat(s.path("/run/state/slow")); return err == nil })
	_ = conn.Close()
	wantError(t, <-done, Session, "closed")
	waitProcess(t, s, "sleep 4717")
}

// A reboot is done when the host answers with another boot id: the old sshd's
// answers before, and its silence, are not it.
func TestReboot(t *testing.T) {
	// The namespaces share the kernel's boot id; a file stands in for it.
	const setup = `
mount -t tmpfs tmpfs /usr/local; mkdir -p /usr/local/sbin
cat /proc/sys/kernel/random/uuid >/etc/boot_id; mount --bind /etc/boot_id /proc/sys/kernel/random/boot_id
printf '#!/bin/sh\nif [ "$1" = reboot ]; then touch /etc/rebooting; else echo >>/etc/asked; cat /etc/state; exit 1; fi\n' >/usr/local/sbin/systemctl
chmod 755 /usr/local/sbin/systemctl; : >/etc/state; mkdir -p /run/systemd/system`
	first := startSSHD(t, sshdOptions{setup: setup})
	conn := dial(t, newDialer(t), first.target(t, "ops"))
	lock, err := conn.Lock(context.Background(), alice, 0, nil)
	must(t, err)
	done := make(chan error, 1)
	go func() {
		done <- conn.Do(context.Background(), Step{Title: "reboot", Reboot: &Reboot{Timeout: time.Minute}}, nil)
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(first.path("/etc/rebooting")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no reboot was asked for")
		}
	}
	// It answers for a while as if nothing had happened.
	logins := strings.Count(first.log.String(), "Accepted")
	for strings.Count(first.log.String(), "Accepted") < logins+2 {
		time.Sleep(20 * time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("back before it went down: %v", err)
	default:
	}
	first.stop()
	second := startSSHD(t, sshdOptions{setup: setup, port: first.port, dir: first.dir})
	asked := func(times int) {
		t.Helper()
		eventually(t, "the new boot's state to be asked for", func() bool {
			said, _ := os.ReadFile(second.path("/etc/asked"))
			return len(said) >= times
		})
	}
	// It says nothing yet; then that it is starting. Meanwhile the network is set
	// up, and connections break.
	asked(2)
	must(t, os.WriteFile(second.path("/etc/state"), []byte("starting\n"), 0o644))
	second.stop()
	second = startSSHD(t, sshdOptions{setup: setup + "; echo starting >/etc/state", port: first.port, dir: first.dir})
	asked(2)
	select {
	case err := <-done:
		t.Fatalf("back before its services were: %v", err)
	default:
	}
	must(t, os.WriteFile(second.path("/etc/state"), []byte("degraded\n"), 0o644))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "[ ! -e /etc/rebooting ] && echo fresh"}})
	if err != nil || got[0].Out != "fresh\n" {
		t.Error(got, err)
	}

	// The lock came along.
	if w := lookForWork(t, conn); w == nil || w.Holder != alice {
		t.Errorf("at work: %+v", w)
	}
	must(t, conn.Do(context.Background(), Step{Title: "go on", Run: &Command{Script: "true"}}, nil))
	must(t, lock.Close())

	t.Run("refused", func(t *testing.T) {
		err := conn.Do(context.Background(), Step{Title: "reboot", Reboot: &Reboot{Refused: "inventory.hcl:12"}}, nil)
		if err == nil || !strings.Contains(err.Error(), "not allowed (inventory.hcl:12)") {
			t.Error(err)
		}
	})
	t.Run("never goes down", func(t *testing.T) {
		err := conn.Do(context.Background(), Step{Title: "reboot", Reboot: &Reboot{Timeout: 10 * time.Second}}, nil)
		if err == nil || !strings.Contains(err.Error(), "not back within 10s: it has not gone down yet") {
			t.Error(err)
		}
	})
}
