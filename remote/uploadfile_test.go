package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpload(t *testing.T) {
	const setup = `
mkdir -p /run/small /etc/up; mount -t tmpfs -o size=50m tmpfs /run/small`
	s := startSSHD(t, sshdOptions{setup: setup})
	off := startSSHD(t, sshdOptions{setup: setup + "\nmount -t tmpfs tmpfs /usr/lib/openssh"})
	data := make([]byte, 8<<20+5)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	from := filepath.Join(t.TempDir(), "driver.run")
	write(t, from, string(data), 0o600)
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	for _, c := range []struct {
		name, user string
		s          *sshd
	}{{"root", "root", s}, {"sudo with a password", "pw", s}, {"sudo by the shell", "pw", off}, {"terminal", "needstty", s}} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, newDialer(t), withSudoPassword(c.s.target(t, c.user), password))
			var h heard
			upload := func(u Upload) error {
				u.From = from
				return conn.Do(context.Background(), Step{Title: "upload", Upload: &u}, h.say)
			}
			path := "/etc/up/new/" + c.user + ".run"
			if err := upload(Upload{Path: path, Mode: 0o700, SHA256: strings.ToUpper(sum)}); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(c.s.path(path))
			must(t, err)
			info, err := os.Stat(c.s.path(path))
			must(t, err)
			if uid, _ := owner(info); string(got) != string(data) || info.Mode() != 0o700 || uid != 0 {
				t.Errorf("%d bytes of %d, mode %v, owner %d", len(got), len(data), info.Mode(), uid)
			}
			if lines := h.all(); len(lines) == 0 || lines[len(lines)-1] != "uploaded 8 of 8 MB" {
				t.Errorf("heard %q", lines)
			}
			// It is there already: not sent again, but its mode is settled.
			must(t, upload(Upload{Path: path, Mode: 0o755}))
			again, err := os.Stat(c.s.path(path))
			must(t, err)
			if !os.SameFile(info, again) || again.Mode() != 0o755 {
				t.Errorf("sent again, or mode %v", again.Mode())
			}
			if lines := h.all(); lines[len(lines)-1] != "the host has it already" {
				t.Errorf("heard %q", lines)
			}
			for words, u := range map[string]Upload{
				"has the SHA-256 sum " + sum:      {Path: path, SHA256: strings.Repeat("0", 64)},
				"not enough space in /run/small/": {Path: "/run/small/x.run"},
				"is not a file":                   {Path: "/etc/up"},
				"is not an absolute, clean path":  {Path: "/etc/../x"},
			} {
				if err := upload(u); err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("got %v, want %q", err, words)
				}
			}
			for _, dir := range []string{"/etc/up", "/etc/up/new", "/run/small"} {
				entries, err := os.ReadDir(c.s.path(dir))
				must(t, err)
				for _, e := range entries {
					if strings.Contains(e.Name(), tempMark) {
						t.Errorf("left over: %s/%s", dir, e.Name())
					}
				}
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		conn := dial(t, newDialer(t), s.target(t, "ops"))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- conn.Do(ctx, Step{Title: "upload", Upload: &Upload{From: from, Path: "/etc/up/cancelled.run"}}, nil)
		}()
		eventually(t, "the upload to begin", func() bool {
			found, _ := filepath.Glob(s.path("/etc/up/.cancelled.run" + tempMark + "*"))
			return len(found) > 0
		})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		found, err := filepath.Glob(s.path("/etc/up/*cancelled*"))
		must(t, err)
		hidden, err := filepath.Glob(s.path("/etc/up/.*cancelled*"))
		must(t, err)
		if len(found)+len(hidden) != 0 {
			t.Errorf("left over: %q %q", found, hidden)
		}
	})
}
