package remote

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// fakeApt logs its calls, and fails in the ways of the real one: lists absent,
// dpkg interrupted, the lock held.
const fakeApt = `
mkdir /run/bin /run/state; mount -t tmpfs tmpfs /usr/local
mkdir -p /usr/local/sbin
cat >/usr/local/sbin/apt-get <<'E'
#!/bin/sh
echo "apt-get $* [$DEBIAN_FRONTEND $NEEDRESTART_SUSPEND $LC_ALL]" >>/run/state/log
for last; do :; done
case " $* " in
*" update "*) touch /run/state/lists; exit 0 ;;
*" locked "*) if [ ! -e /run/state/tried ]; then touch /run/state/tried; echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42" >&2; exit 100; fi; exit 0 ;;
*" broken "*) [ -e /run/state/configured ] || { echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem." >&2; exit 100; } ;;
*" nosuch "*) echo "E: Unable to locate package nosuch" >&2; exit 100 ;;
esac
[ -e /run/state/lists ] || { echo "E: Unable to locate package $last" >&2; exit 100; }
exit 0
E
cat >/usr/local/sbin/dpkg <<'E'
#!/bin/sh
echo "dpkg $*" >>/run/state/log; touch /run/state/configured
E
cat >/usr/local/sbin/zypper <<'E'
#!/bin/sh
echo "zypper $*" >>/run/state/log; exit 102
E
cat >/usr/local/sbin/dnf <<'E'
#!/bin/sh
echo "dnf $*" >>/run/state/log
case " $* " in *" slow "*)
	trap 'trap "" TERM; sleep 1; echo tidy >>/run/state/log; exit 1' TERM
	touch /run/state/slow; sleep 4717 & wait ;;
*" noisy "*) touch /run/state/noisy; until [ -e /run/state/lost ]; do sleep 0.05; done; echo out; echo err >&2; echo finished >>/run/state/log ;;
esac
E
chmod 755 /usr/local/sbin/*
`

func TestInstall(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: fakeApt})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	install := func(manager string, names ...string) (string, error) {
		_ = os.Remove(s.path("/run/state/log"))
		err := conn.Do(context.Background(), Step{Title: "install " + strings.Join(names, " "), Install: &Packages{Manager: manager, Names: names}}, nil)
		log, _ := os.ReadFile(s.path("/run/state/log"))
		return string(log), err
	}
	const call = "apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends --no-remove install "
	const env = " [noninteractive 1 C]\n"
	const update = "apt-get -q -o DPkg::Lock::Timeout=600 update" + env
	for _, c := range []struct{ manager, name, want string }{
		{"apt", "nfs-common", call + "nfs-common" + env + update + call + "nfs-common" + env},
		{"apt", "nfs-common", call + "nfs-common" + env},
		{"apt", "broken", call + "broken" + env + "dpkg --force-confdef --force-confold --configure -a\n" + call + "broken" + env},
		{"apt", "locked", call + "locked" + env + call + "locked" + env},
		{"zypper", "nfs-client", "zypper --non-interactive install --no-recommends nfs-client\n"},
	} {
		if log, err := install(c.manager, c.name); err != nil || log != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, log, c.want)
		}
	}
	if log, err := install("dnf", "nfs-utils"); err != nil || log != "dnf -y --setopt=install_weak_deps=False install nfs-utils\n" {
		t.Errorf("%v %s", err, log)
	}
	_, err := install("apt", "nosuch")
	var failed *CommandError
	if !errors.As(err, &failed) || failed.Exit != 100 || failed.Stderr != "E: Unable to locate package nosuch" {
		t.Errorf("got %#v", err)
	}
	for _, bad := range []string{"-oDebug=1", "a b", "$(id)", "", "x;y"} {
		if log, err := install("apt", bad); err == nil || log != "" {
			t.Errorf("%q was installed: %s", bad, log)
		}
	}
}

// A package manager is never torn from its work: it may tidy up when it is
// ended early, and goes on to its end when the connection is lost.
func TestInstallIsNotTorn(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: fakeApt})
	appears := func(path string, words string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if data, err := os.ReadFile(s.path(path)); err == nil && strings.Contains(string(data), words) {
				return
			}
		}
		t.Errorf("no %q in %s", words, path)
	}
	install := func(ctx context.Context, conn *Conn, name string) <-chan error {
		done := make(chan error, 1)
		go func() {
			done <- conn.Do(ctx, Step{Title: "install", Install: &Packages{Manager: "dnf", Names: []string{name}}}, nil)
		}()
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	done := install(ctx, conn, "slow")
	appears("/run/state/slow", "")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	appears("/run/state/log", "tidy")
	noProcess(t, s, "sleep 4717")

	done = install(context.Background(), conn, "noisy")
	appears("/run/state/noisy", "")
	_ = conn.Close()
	wantError(t, <-done, Session, "closed")
	must(t, os.WriteFile(s.path("/run/state/lost"), nil, 0o644))
	appears("/run/state/log", "finished")
}

// A reboot is done when the host answers with another boot id: the old sshd's
// answers before, and its silence, are not it.
func TestReboot(t *testing.T) {
	// The namespaces share the kernel's boot id; a file stands in for it.
	const setup = `
mount -t tmpfs tmpfs /usr/local; mkdir -p /usr/local/sbin
cat /proc/sys/kernel/random/uuid >/etc/boot_id; mount --bind /etc/boot_id /proc/sys/kernel/random/boot_id
printf '#!/bin/sh\n[ "$1" = reboot ] && touch /etc/rebooting\n' >/usr/local/sbin/systemctl; chmod 755 /usr/local/sbin/systemctl`
	first := startSSHD(t, sshdOptions{setup: setup})
	conn := dial(t, newDialer(t), first.target(t, "ops"))
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
	startSSHD(t, sshdOptions{setup: setup, port: first.port, dir: first.dir})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "[ ! -e /etc/rebooting ] && echo fresh"}})
	if err != nil || got[0].Out != "fresh\n" {
		t.Error(got, err)
	}

	t.Run("never goes down", func(t *testing.T) {
		err := conn.Do(context.Background(), Step{Title: "reboot", Reboot: &Reboot{Timeout: 3 * time.Second}}, nil)
		if err == nil || !strings.Contains(err.Error(), "not back within 3s: it has not gone down yet") {
			t.Error(err)
		}
	})
}
