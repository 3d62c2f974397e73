package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A repository of packages without files, and real apt and dpkg with a
// database of their own, which is the machine's at first.
const realApt = `
mkdir /run/state
mount -t tmpfs tmpfs /var/cache/apt; mkdir -p /var/cache/apt/archives/partial
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/preferences.d/* /etc/apt/apt.conf.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] copy:%s ./' >/etc/apt/sources.list`

type deb struct{ name, version, fields, postinst string }

var debs = []deb{
	{"rp-x", "1.0", "", ""},
	{"rp-x", "2.0", "", ""},
	{"rp-nvidia-a", "1.0", "", ""},
	{"rp-nvidia-b", "1.0", "Conflicts: rp-nvidia-a\n", ""},
	{"rp-app", "1.0", "Depends: rp-nvidia-a\n", ""},
	{"rp-slow", "1.0", "", "#!/bin/sh\ntouch /run/state/slow\nuntil [ -e /run/state/go ]; do sleep 0.05; done\necho rp-slow is set up\n"},
	{"rp-faulty", "1.0", "", "#!/bin/sh\nmkdir -p /run/state/build\necho \"x.c:1: error: no such function\" >/run/state/build/make.log\necho bad return status for module build >&2\necho Consult /run/state/build/make.log for more information. >&2\nexit 10\n"},
	{"rp-absent", "1.0", "", ""},
	{"rp-damaged", "1.0", "", ""},
}

func makeRepository(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	var index strings.Builder
	for i, d := range debs {
		tree := filepath.Join(t.TempDir(), strconv.Itoa(i))
		must(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
		control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.com>\n%sDescription: x\n", d.name, d.version, d.fields)
		write(t, filepath.Join(tree, "DEBIAN/control"), control, 0o644)
		if d.postinst != "" {
			write(t, filepath.Join(tree, "DEBIAN/postinst"), d.postinst, 0o755)
		}
		name := d.name + "_" + d.version + "_all.deb"
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb: %v: %s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		fmt.Fprintf(&index, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control, name, len(data), sha256.Sum256(data))
	}
	must(t, os.Remove(filepath.Join(dir, "rp-absent_1.0_all.deb")))
	data, err := os.ReadFile(filepath.Join(dir, "rp-damaged_1.0_all.deb"))
	must(t, err)
	data[len(data)-1] ^= 1
	write(t, filepath.Join(dir, "rp-damaged_1.0_all.deb"), string(data), 0o644)
	write(t, filepath.Join(dir, "Packages"), index.String(), 0o644)
}

// inside runs a program on the server's machine.
func (s *sshd) inside(script string) *exec.Cmd {
	return exec.Command("nsenter", "-t", strconv.Itoa(s.pid), "-m", "-p", "sh", "-c", script)
}

// installed is what dpkg says of a package: "ii 1.0", or nothing.
func (s *sshd) installed(name string) string {
	out, _ := s.inside("dpkg-query -W -f '${db:Status-Abbrev} ${Version}' " + name + " 2>/dev/null").Output()
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestRealApt(t *testing.T) {
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIP: needs a Debian with apt-get and dpkg-deb")
		}
	}
	dir, err := os.MkdirTemp("", "runai-prep-apt-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	makeRepository(t, dir)
	s := startSSHD(t, sshdOptions{setup: fmt.Sprintf(realApt, dir)})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var h heard
	do := func(p Packages) error {
		p.Manager = "apt"
		return conn.Do(context.Background(), Step{Title: "install", Install: &p}, h.say)
	}
	is := func(name, want string) {
		t.Helper()
		if got := s.installed(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	good := func(p Packages) {
		t.Helper()
		if err := do(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	refused := func(words string, p Packages) {
		t.Helper()
		err := do(p)
		var failed *CommandError
		if !errors.As(err, &failed) || !strings.Contains(failed.Stderr, words) {
			t.Errorf("%+v: got %v, want %q", p, err, words)
		}
		t.Log(err)
	}
	x := func(version string) []string { return []string{"rp-x=" + version} }

	// There are no lists at first.
	good(Packages{Names: x("1.0")})
	is("rp-x", "ii 1.0")
	good(Packages{Names: []string{"rp-x"}, Refresh: true})
	is("rp-x", "ii 2.0")
	refused("downgraded", Packages{Names: x("1.0")})
	is("rp-x", "ii 2.0")
	good(Packages{Names: x("1.0"), Downgrade: true})
	must(t, s.inside("apt-mark hold rp-x").Run())
	refused("eld packages", Packages{Names: x("2.0")})
	good(Packages{Names: x("2.0"), Held: true})
	is("rp-x", "hi 2.0")

	refused("rp.x", Packages{Names: []string{"rp.x"}})
	good(Packages{Names: []string{"rp-nvidia-a"}})
	refused("would also remove rp-nvidia-a", Packages{Names: []string{"rp-nvidia-b"}})
	is("rp-nvidia-a", "ii 1.0")
	good(Packages{Names: []string{"rp-nvidia-b"}, Replaces: true})
	is("rp-nvidia-b", "ii 1.0")
	good(Packages{Names: []string{"rp-app"}, Remove: []string{"rp-nvidia-b"}})
	is("rp-app", "ii 1.0")
	is("rp-nvidia-b", "")
	refused("would also remove rp-app", Packages{Names: []string{"rp-nvidia-b"}, Remove: []string{"rp-nvidia-a"}, Replaces: true})
	refused("would also remove rp-app", Packages{Remove: []string{"rp-nvidia-a"}})
	is("rp-app", "ii 1.0")
	is("rp-nvidia-a", "ii 1.0")

	good(Packages{Names: []string{"rp-slow"}, DownloadOnly: true})
	is("rp-slow", "")
	if _, err := os.Stat(s.path("/var/cache/apt/archives/rp-slow_1.0_all.deb")); err != nil {
		t.Error(err)
	}
	refused("rp-absent_1.0_all.deb", Packages{Names: []string{"rp-absent", "rp-slow"}})
	refused("ash Sum mismatch", Packages{Names: []string{"rp-damaged", "rp-slow"}})
	is("rp-slow", "")

	// Somebody else is at it: named, waited for.
	other := s.inside("DEBIAN_FRONTEND=noninteractive apt-get -y install rp-slow")
	must(t, other.Start())
	eventually(t, "the other one to be at it", func() bool { _, err := os.Stat(s.path("/run/state/slow")); return err == nil })
	refused("waited in vain: /var/lib/dpkg/lock-frontend is held by apt-get -y install rp-slow", Packages{Names: x("2.0"), Timeout: 12 * time.Second})
	done := make(chan error, 1)
	go func() { done <- do(Packages{Names: x("1.0"), Downgrade: true, Held: true}) }()
	eventually(t, "the holder's name", func() bool {
		return strings.Contains(strings.Join(h.all(), "\n"), "waiting: /var/lib/dpkg/lock-frontend is held by apt-get -y install rp-slow (pid ")
	})
	must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
	must(t, <-done)
	must(t, other.Wait())
	is("rp-x", "hi 1.0")
	is("rp-slow", "ii 1.0")

	// Killed in the middle, all of it.
	must(t, s.inside("rm /run/state/*; dpkg --purge rp-slow").Run())
	other = s.inside("DEBIAN_FRONTEND=noninteractive apt-get -y install rp-slow")
	must(t, other.Start())
	eventually(t, "the other one to be at it", func() bool { _, err := os.Stat(s.path("/run/state/slow")); return err == nil })
	must(t, s.inside("pkill -KILL 'apt-get|dpkg'; pkill -KILL -f '[.]postinst'; touch /run/state/go").Run())
	_ = other.Wait()
	good(Packages{Names: x("2.0"), Held: true})
	is("rp-slow", "ii 1.0")
	is("rp-x", "hi 2.0")

	// Half installed by others.
	must(t, s.inside("dpkg --purge rp-app rp-nvidia-a && dpkg --force-depends -i "+dir+"/rp-app_1.0_all.deb || true").Run())
	good(Packages{Names: x("1.0"), Held: true, Downgrade: true})
	is("rp-nvidia-a", "ii 1.0")
	is("rp-x", "hi 1.0")

	refused("bad return status for module build", Packages{Names: []string{"rp-faulty"}})
	refused("x.c:1: error: no such function", Packages{Names: []string{"rp-faulty"}}) // in the log that is named
	noProcess(t, s, "apt-get")
}
