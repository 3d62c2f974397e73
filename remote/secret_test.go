package remote

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// A secret on its way to its place can never be opened by others: neither its
// temporary file nor the file itself is seen with a mode that lets them.
func TestSecretIsNeverReadable(t *testing.T) {
	const setup = `
mkdir /etc/w; echo old >/etc/w/theirs; chown 7:8 /etc/w/theirs; chmod 600 /etc/w/theirs`
	s := startSSHD(t, sshdOptions{setup: setup})
	off := startSSHD(t, sshdOptions{setup: setup + "\nmount -t tmpfs tmpfs /usr/lib/openssh"})
	for _, c := range []struct {
		name, user string
		s          *sshd
	}{{"root SFTP", "root", s}, {"sudo SFTP", "ops", s}, {"root by the shell", "root", off}, {"sudo by the shell", "ops", off}} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, newDialer(t), c.s.target(t, c.user))
			dir := c.s.path("/etc/w/")
			quit, done := make(chan struct{}), make(chan int)
			go func() {
				seen, open := 0, make(map[string]bool)
				for {
					select {
					case <-quit:
						done <- seen
						return
					default:
					}
					entries, _ := os.ReadDir(dir)
					for _, e := range entries {
						info, err := os.Lstat(dir + e.Name())
						if err != nil {
							continue
						}
						if strings.Contains(e.Name(), tempMark) {
							seen++
						}
						if info.Mode()&0o077 != 0 && !open[e.Name()] {
							open[e.Name()] = true
							t.Errorf("%s is seen with mode %v", e.Name(), info.Mode())
						}
					}
				}
			}()
			for _, f := range []string{"new", "theirs", "new"} {
				content := f + strings.Repeat(" secret", 1000)
				err := conn.Do(context.Background(), Step{Title: "write", Write: &File{Path: "/etc/w/" + f, Secret: secret.New(content)}}, nil)
				if err != nil {
					t.Error(err)
				}
				info, err := os.Lstat(dir + f)
				must(t, err)
				if uid, gid := owner(info); info.Mode() != 0o600 || uid != 0 || gid != 0 {
					t.Errorf("%s: mode %v, owner %d:%d", f, info.Mode(), uid, gid)
				}
			}
			close(quit)
			if <-done == 0 {
				t.Error("no temporary file was seen")
			}
			if conn.maySFTP() != strings.Contains(c.name, " SFTP") {
				t.Errorf("SFTP was used: %t", conn.maySFTP())
			}
			must(t, os.Remove(dir+"new"))
			must(t, os.Chown(dir+"theirs", 7, 8))
		})
	}
}

// What others had in a file is kept once. What we put there ourselves is not,
// for it may hold a password that is to be gone.
func TestBackupIsOfOthersOnly(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: "echo theirs >/etc/dnf.conf"})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	do := func(step Step) {
		t.Helper()
		step.Title = "do it"
		if err := conn.Do(context.Background(), step, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range []string{"user:one\n", "user:two\n"} {
		do(Step{Write: &File{Path: "/etc/proxy.env", Secret: secret.New(content), Ours: true}})
		do(Step{Write: &File{Path: "/etc/dnf.conf", Secret: secret.New("theirs\n" + content)}})
	}
	do(Step{Write: &File{Path: "/etc/plain", Data: "one\n", Ours: true}})
	do(Step{Write: &File{Path: "/etc/plain", Data: "two\n", Old: ptr("one\n"), Ours: true}})
	do(Step{Remove: &Removal{Path: "/etc/plain", Old: ptr("two\n"), Ours: true}})
	do(Step{Remove: &Removal{Path: "/etc/proxy.env", Ours: true}})
	if _, err := os.Lstat(s.path("/etc/proxy.env")); !os.IsNotExist(err) {
		t.Error(err)
	}
	top := s.path("/var/lib/runai-prep/backup")
	entries, err := os.ReadDir(top + "/etc")
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != "dnf.conf" {
		t.Errorf("kept: %v", entries)
	}
	if data, err := os.ReadFile(top + "/etc/dnf.conf"); string(data) != "theirs\n" {
		t.Errorf("kept %q %v", data, err)
	}
	if info, err := os.Lstat(top); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
}

// What somebody who was killed left beside a file goes with the next change of
// it, and what another one is writing right now stays.
func TestSweep(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: "mkdir /etc/w"})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	left := map[string]time.Duration{ // name: age
		".file" + tempMark + "rpa":            3 * time.Minute,
		".file" + tempMark + "rpb":            0,
		".file" + tempMark + "mine":           time.Hour,
		".other" + tempMark + "rpa":           time.Hour,
		"file" + tempMark + "rpa":             time.Hour,
		".file.d" + tempMark + "rpa":          time.Hour,
		".a [*] $x 'file'" + tempMark + "rpa": time.Hour,
	}
	for name, age := range left {
		write(t, s.path("/etc/w/"+name), "secret", 0o600)
		then := time.Now().Add(-age)
		must(t, os.Chtimes(s.path("/etc/w/"+name), then, then))
	}
	must(t, os.Symlink("/etc/passwd", s.path("/etc/w/.file"+tempMark+"rplink")))
	do := func(step Step) {
		t.Helper()
		step.Title = "do it"
		if err := conn.Do(context.Background(), step, nil); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(s.path("/etc/w"))
		must(t, err)
		for _, e := range entries {
			delete(left, e.Name())
		}
		var gone []string
		for name := range left {
			gone = append(gone, name)
		}
		t.Log(gone)
	}
	expectGone := func(name string) {
		t.Helper()
		if _, ok := left[name]; !ok || len(left) != 1 {
			t.Errorf("gone: %v, want %s", left, name)
		}
		left = map[string]time.Duration{}
		entries, err := os.ReadDir(s.path("/etc/w"))
		must(t, err)
		for _, e := range entries {
			left[e.Name()] = 0
		}
	}
	do(Step{Write: &File{Path: "/etc/w/file", Data: "x\n"}})
	expectGone(".file" + tempMark + "rpa")
	do(Step{Remove: &Removal{Path: "/etc/w/a [*] $x 'file'"}})
	expectGone(".a [*] $x 'file'" + tempMark + "rpa")
}
