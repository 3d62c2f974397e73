package remote

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func TestKnownHosts(t *testing.T) {
	dir, err := os.MkdirTemp("", "runai-prep-sshd-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// Three keys and, for the ecdsa one, a certificate.
	keygen(t, "-t", "ed25519", "-f", dir+"/ca")
	keygen(t, "-t", "ecdsa", "-f", dir+"/host_ecdsa")
	keygen(t, "-s", dir+"/ca", "-h", "-I", "host", "-n", "127.0.0.1", dir+"/host_ecdsa.pub")
	s := startSSHD(t, sshdOptions{dir: dir, hostKeys: []string{"ed25519", "rsa", "ecdsa"}})
	pub := func(name string) string { return readLine(t, filepath.Join(dir, name+".pub")) }
	print := func(name string) string { return ssh.FingerprintSHA256(readPublic(filepath.Join(dir, name+".pub"))) }
	host := fmt.Sprintf("[127.0.0.1]:%d", s.port)
	keygen(t, "-t", "rsa", "-f", dir+"/other_rsa")
	keygen(t, "-t", "ed25519", "-f", dir+"/other_ed")

	for _, c := range []struct {
		name, known, pin string
		words            []string // of the error; none: accepted
	}{
		{name: "plain", known: host + " " + pub("host_ed25519")},
		{name: "only the rsa key is known", known: host + " " + pub("host_rsa")},
		{name: "hashed", known: xknownhosts.HashHostname(host) + " " + pub("host_rsa")},
		{name: "several, one of them stale", known: host + " " + pub("other_ed") + "\n" + host + " " + pub("host_ed25519")},
		{name: "wildcard without a port", known: "127.0.0.* " + pub("host_rsa")},
		{name: "authority", known: "@cert-authority 127.0.0.* " + pub("ca")},
		{name: "foreign authority and a known key", known: "@cert-authority * " + pub("other_ed") + "\n" + host + " " + pub("host_ecdsa")},
		{name: "unknown", known: "elsewhere " + pub("host_ed25519"), words: []string{"unknown host " + host, "ssh-ed25519 " + print("host_ed25519"), "runai-prep trust"}},
		{name: "foreign authority", known: "@cert-authority * " + pub("other_ed"), words: []string{"not accepted"}},
		{name: "changed", known: "# comment\n" + host + " " + pub("other_ed"), words: []string{"has changed", print("other_ed"), print("host_ed25519"), "known:2"}},
		{name: "changed type and all", known: host + " " + pub("other_rsa"), words: []string{"has changed", print("other_rsa"), print("host_rsa"), "known:1"}},
		{name: "revoked", known: "@revoked * " + pub("host_ed25519") + "\n" + host + " " + pub("host_ed25519"), words: []string{"revoked", "known:1"}},
		{name: "a broken line beside", known: "x ssh-new AAAA\n" + host + " " + pub("host_ed25519")},
		{name: "changed below a broken line", known: "x ssh-new AAAA\n" + host + " " + pub("other_ed"), words: []string{"has changed", "known:2"}},
		{name: "broken revocation", known: "@revoked * ssh-new AAAA\n" + host + " " + pub("host_ed25519"), words: []string{"known:1"}},
		{name: "pinned", pin: print("host_ed25519")},
		{name: "pinned of another type", pin: print("host_rsa")},
		{name: "pinned against known_hosts", known: host + " " + pub("other_ed"), pin: print("host_ecdsa")},
		{name: "wrong pin", known: host + " " + pub("host_ed25519"), pin: print("other_ed"), words: []string{"the inventory pins " + print("other_ed"), print("host_ed25519")}},
		{name: "pinned but revoked", known: "@revoked * " + pub("host_ed25519"), pin: print("host_ed25519"), words: []string{"revoked"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := s.target(t, "ops")
			file := filepath.Join(t.TempDir(), "known")
			write(t, file, c.known+"\n", 0o600)
			target.KnownHosts = []string{"/nonexistent/known_hosts", file}
			target.HostKeySHA256 = c.pin
			err := tryDial(t, newDialer(t), target)
			if c.words == nil && err != nil {
				t.Error(err)
			}
			if c.words != nil {
				wantError(t, err, HostKey, c.words...)
			}
			if after := readLine(t, file); after != strings.TrimSpace(c.known) {
				t.Errorf("known_hosts was changed:\n%s", after)
			}
		})
	}
}

func TestAcceptNewAndTrust(t *testing.T) {
	s := startSSHD(t, sshdOptions{hostKeys: []string{"ed25519", "ecdsa"}})
	target := s.target(t, "ops")
	target.AcceptNew = true
	file := filepath.Join(t.TempDir(), "new", "known_hosts")
	target.KnownHosts = []string{file}

	// As many runs at once as there may be.
	var wait sync.WaitGroup
	dialers := []*Dialer{newDialer(t), newDialer(t)}
	for i := range 20 {
		wait.Go(func() {
			if err := tryDial(t, dialers[i%2], target); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	data, err := os.ReadFile(file)
	must(t, err)
	if string(data) != s.knownLine() {
		t.Errorf("got  %swant %s", data, s.knownLine())
	}
	for path, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}

	t.Run("a changed key is not new", func(t *testing.T) {
		newKeyFile(t, filepath.Join(t.TempDir(), "x"))
		other := newKeyFile(t, filepath.Join(t.TempDir(), "y"))
		write(t, file, fmt.Sprintf("[127.0.0.1]:%d %s", s.port, other), 0o600) // and no newline
		wantError(t, tryDial(t, dialers[0], target), HostKey, "has changed")
	})

	t.Run("trust", func(t *testing.T) {
		d := newDialer(t)
		target.AcceptNew = false
		keys, err := d.HostKeys(context.Background(), target)
		must(t, err)
		if len(keys) != 2 || keys[0].Conflict == "" || keys[1].Conflict != "" || keys[1].Known {
			t.Fatalf("got %+v", keys)
		}
		if strings.Contains(s.log.String(), "Accepted publickey for nobody") {
			t.Error("logged in")
		}
		_, err = d.Trust(keys)
		wantError(t, err, HostKey, "conflicts with "+file+":1")
		if got := strings.Count(readLine(t, file), "\n"); got != 1 {
			t.Errorf("%d newlines: %s", got, readLine(t, file))
		}
		must(t, os.Remove(file))
		keys, err = d.HostKeys(context.Background(), target)
		must(t, err)
		files, err := d.Trust(keys)
		must(t, err)
		if len(files) != 1 || files[0] != file {
			t.Errorf("wrote %q", files)
		}
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
		keys, err = d.HostKeys(context.Background(), target)
		must(t, err)
		if !keys[0].Known || !keys[1].Known {
			t.Errorf("got %+v", keys)
		}
	})
}
