package remote

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

func ptr(s string) *string { return &s }

func TestWriteKeepsWhatIsThere(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: `
printf '# mine\n/dev/sda / ext4\n' >/etc/fstab; chown 7:8 /etc/fstab; chmod 640 /etc/fstab
ln -s /etc/fstab /etc/link`})
	off := startSSHD(t, sshdOptions{config: "Subsystem sftp /nonexistent", setup: `
printf '# mine\n/dev/sda / ext4\n' >/etc/fstab; chown 7:8 /etc/fstab; chmod 640 /etc/fstab
ln -s /etc/fstab /etc/link
rm -f /run/x; mount -t tmpfs tmpfs /usr/lib/openssh`})
	for _, c := range []struct {
		name, user, sudoPassword string
		s                        *sshd
	}{
		{"root SFTP", "root", "", s}, {"sudo SFTP", "ops", "", s}, {"sudo SFTP with password", "pw", password, s},
		{"root by the shell", "root", "", off}, {"sudo by the shell", "pw", password, off}, {"terminal", "needstty", password, s},
		{"fish without", "fish", password, off},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat("/usr/bin/fish"); c.user == "fish" && err != nil {
				t.Skip("SKIP: needs fish (apt-get install fish)")
			}
			conn := dial(t, newDialer(t), withSudoPassword(c.s.target(t, c.user), c.sudoPassword))
			ctx := context.Background()
			before, err := os.ReadFile(c.s.path("/etc/fstab"))
			must(t, err)
			after := string(before) + "it's \"new\" \t\\ $HOME `x` \xff\x01 € line\nno newline at the end by " + c.name
			step := Step{Title: "write /etc/fstab", Write: &File{Path: "/etc/link", Data: after, Old: ptr(string(before)), Verify: `grep -q "new" "$1" && [ ! -e /etc/never ]`}}
			if err := conn.Do(ctx, step, nil); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(c.s.path("/etc/fstab"))
			must(t, err)
			if string(got) != after {
				t.Errorf("got %q", got)
			}
			info, err := os.Lstat(c.s.path("/etc/fstab"))
			must(t, err)
			if uid, gid := owner(info); info.Mode() != 0o640 || uid != 7 || gid != 8 {
				t.Errorf("mode %v, owner %d:%d", info.Mode(), uid, gid)
			}
			if info, err := os.Lstat(c.s.path("/etc/link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Error("the link is gone")
			}
			backup, err := os.ReadFile(c.s.path("/var/lib/runai-prep/backup/etc/fstab"))
			if err != nil || string(backup) != "# mine\n/dev/sda / ext4\n" {
				t.Errorf("backup: %q %v", backup, err)
			}
			// Again: nothing to do, and no fault.
			if err := conn.Do(ctx, step, nil); err != nil {
				t.Errorf("again: %v", err)
			}
			// Changed since, and refused by the check: nothing written.
			for _, f := range []*File{
				{Path: "/etc/fstab", Data: "x", Old: ptr("something else")},
				{Path: "/etc/fstab", Data: "x"},
				{Path: "/etc/absent", Data: "x", Old: ptr("was there")},
				{Path: "/etc/fstab", Data: "x", Old: &after, Verify: "echo no such server >&2; exit 7"},
				{Path: "/etc/ssh", Data: "x"},
			} {
				if c.name != "sudo SFTP" && c.name != "root by the shell" {
					continue // two ways are enough
				}
				err := conn.Do(ctx, Step{Title: "write it", Write: f}, nil)
				var refused *CommandError
				if !errors.As(err, &refused) {
					t.Errorf("%+v: %v", f, err)
				} else {
					t.Log(err)
				}
			}
			if got, _ := os.ReadFile(c.s.path("/etc/fstab")); string(got) != after {
				t.Errorf("changed to %q", got)
			}
			// A new secret, in a new folder.
			secretFile := "/etc/systemd/system/x-" + word() + ".d/proxy.conf"
			if err := conn.Do(ctx, Step{Title: "write proxy", Write: &File{Path: secretFile, Mode: 0o600, Secret: secret.New("user:pass\n")}}, nil); err != nil {
				t.Fatal(err)
			}
			info, err = os.Lstat(c.s.path(secretFile))
			must(t, err)
			if uid, gid := owner(info); info.Mode() != 0o600 || uid != 0 || gid != 0 {
				t.Errorf("mode %v, owner %d:%d", info.Mode(), uid, gid)
			}
			if err := conn.Do(ctx, Step{Title: "remove", Remove: &Removal{Path: secretFile, Old: ptr("other")}}, nil); err == nil {
				t.Error("a changed file was removed")
			}
			if err := conn.Do(ctx, Step{Title: "remove", Remove: &Removal{Path: secretFile, Verify: "echo not that one >&2; exit 7"}}, nil); err == nil || !strings.Contains(err.Error(), "not that one") {
				t.Errorf("a file was removed that was not to be: %v", err)
			}
			for range 2 {
				if err := conn.Do(ctx, Step{Title: "remove", Remove: &Removal{Path: secretFile, Old: ptr("user:pass\n")}}, nil); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Lstat(c.s.path(secretFile)); !os.IsNotExist(err) {
				t.Error(err)
			}
			noLeftovers(t, c.s)
			if conn.maySFTP() != strings.Contains(c.name, " SFTP") {
				t.Errorf("SFTP was used: %t", conn.maySFTP())
			}
		})
	}
}

// A file that cannot be replaced is told so, and nothing is left beside it.
func TestWriteWhereNothingCanBeWritten(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: `
echo old >/etc/hosts; mount --bind /etc/hosts /etc/hosts
mkdir /etc/ro; echo old >/etc/ro/file; mount --bind -o ro /etc/ro /etc/ro`})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	for path, words := range map[string]string{
		"/etc/hosts":         "a mount of its own",
		"/etc/ro/file":       "Read-only file system",
		"/etc/ro/sub/folder": "Read-only file system",
	} {
		f := &File{Path: path, Data: "new\n"}
		if path != "/etc/ro/sub/folder" {
			f.Old = ptr("old\n")
		}
		err := conn.Do(context.Background(), Step{Title: "write " + path, Write: f}, nil)
		var refused *CommandError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", path, err, words)
		}
		t.Log(err)
	}
	noLeftovers(t, s)
}

// noLeftovers finds temporary files that were not taken away.
func noLeftovers(t *testing.T, s *sshd) {
	t.Helper()
	for _, dir := range []string{"/etc", "/etc/systemd/system"} {
		entries, err := os.ReadDir(s.path(dir))
		must(t, err)
		for _, e := range entries {
			if strings.Contains(e.Name(), "runai-prep") {
				t.Errorf("left over: %s/%s", dir, e.Name())
			}
		}
	}
}

func TestRunSaysHowItFailed(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	ctx := context.Background()
	run := func(script string, limit time.Duration) error {
		return conn.Do(ctx, Step{Title: "mount /mnt/data", Run: &Command{Script: script, Timeout: limit}}, nil)
	}
	if err := run("test \"$(id -u)\" = 0", 0); err != nil {
		t.Error(err)
	}
	var said []string
	must(t, conn.Do(ctx, Step{Title: "try", Run: &Command{Script: "echo not tried; printf '\\033[31mred\\n'; echo quiet >&2"}}, func(line string) { said = append(said, line) }))
	if got, want := strings.Join(said, "|"), `not tried|\x1b[31mred`; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
	err := run("echo out; printf 'mount.nfs: \\033[31mno such host\\n' >&2; exit 32", 0)
	if got, want := err.Error(), `mount /mnt/data: exit status 32: mount.nfs: \x1b[31mno such host`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	begun := time.Now()
	err = run("echo waiting >&2; sleep 4713", time.Second)
	if got, want := err.Error(), "mount /mnt/data: killed after 1s: waiting"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	noProcess(t, s, "sleep 4713")
}

// noProcess waits a moment for a process to be gone.
func noProcess(t *testing.T, s *sshd, words string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = nil
		for _, p := range s.processes(t) {
			if strings.Contains(p, words) {
				left = append(left, p)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("still running: %q", left)
}
