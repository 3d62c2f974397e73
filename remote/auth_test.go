package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// startAgent serves keys and returns the socket.
func startAgent(t *testing.T, keys ...agent.AddedKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		must(t, ring.Add(k))
	}
	dir, err := os.MkdirTemp("", "a") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = agent.ServeAgent(ring, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return socket
}

func privateKey(t *testing.T, file, passphrase string) any {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	var key any
	if passphrase == "" {
		key, err = ssh.ParseRawPrivateKey(data)
	} else {
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(data, []byte(passphrase))
	}
	must(t, err)
	return key
}

func readLine(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	return strings.TrimSpace(string(data))
}

// tryDial dials and closes, and returns the error.
func tryDial(t *testing.T, d *Dialer, target Target) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := d.Dial(ctx, target)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// wantError checks stage and words of an error.
func wantError(t *testing.T, err error, stage Stage, words ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want an error at stage %q", err, stage)
		return
	}
	if e.Stage != stage {
		t.Errorf("stage %q, want %q: %v", e.Stage, stage, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error()+"\n"+e.Hint, w) {
			t.Errorf("%q (hint %q) does not say %q", err, e.Hint, w)
		}
	}
	t.Logf("%v\n    hint: %s", err, e.Hint)
}

func TestKeysOfEveryKind(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	dir := t.TempDir()
	base := s.target(t, "ops")
	for _, k := range [][]string{
		{"ed25519"}, {"rsa", "-b", "2048"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "521"},
		{"ed25519", "-C", "with a comment"}, {"rsa", "-b", "2048", "-m", "PEM"},
	} {
		file := filepath.Join(dir, strings.Join(k, ""))
		keygen(t, append([]string{"-f", file, "-t"}, k...)...)
		s.authorize(t, "ops", readLine(t, file+".pub"))
		target := base
		target.IdentityFiles = []string{file}
		if err := tryDial(t, newDialer(t), target); err != nil {
			t.Errorf("%v: %v", k, err)
		}
	}

	t.Run("user certificate", func(t *testing.T) {
		file := filepath.Join(dir, "certified")
		keygen(t, "-t", "rsa", "-b", "2048", "-f", file)
		keygen(t, "-s", s.dir+"/user-ca", "-I", "me", "-n", "ops", file+".pub")
		s.authorize(t, "ops")
		target := base
		target.IdentityFiles = []string{file}
		if err := tryDial(t, newDialer(t), target); err != nil {
			t.Error(err)
		}
		// The same from an agent that holds the certificate.
		key := privateKey(t, file, "")
		cert := readPublic(file + "-cert.pub").(*ssh.Certificate)
		must(t, os.Remove(file+"-cert.pub"))
		if err := tryDial(t, newDialer(t), target); err == nil {
			t.Error("got in without a certificate")
		}
		d := newDialer(t)
		t.Setenv("SSH_AUTH_SOCK", startAgent(t, agent.AddedKey{PrivateKey: key, Certificate: cert}))
		target.IdentityFiles = nil
		t.Setenv("HOME", t.TempDir())
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
	})

	t.Run("encrypted", func(t *testing.T) {
		file := filepath.Join(dir, "encrypted")
		keygen(t, "-t", "ed25519", "-f", file, "-N", "open sesame", "-a", "1")
		s.authorize(t, "ops", readLine(t, file+".pub"))
		target := base
		target.IdentityFiles = []string{file}
		wantError(t, tryDial(t, newDialer(t), target), Authentication, file+" is encrypted", "ssh-add "+file)

		// Once asked for all hosts, and again after a wrong answer only.
		var asked atomic.Int32
		d := newDialer(t)
		d.Prompt = func(_ context.Context, question string) (secret.Text, error) {
			if !strings.Contains(question, file) {
				t.Errorf("asked %q", question)
			}
			if asked.Add(1) == 1 {
				return secret.New("wrong"), nil
			}
			return secret.New("open sesame"), nil
		}
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if err := tryDial(t, d, target); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}

		d = newDialer(t)
		t.Setenv("SSH_AUTH_SOCK", startAgent(t, agent.AddedKey{PrivateKey: privateKey(t, file, "open sesame")}))
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
		// An identity of which only the public half is here.
		must(t, os.Remove(file))
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
	})

	t.Run("explicit before a full agent", func(t *testing.T) {
		var keys []agent.AddedKey
		for i := range 20 {
			file := filepath.Join(dir, fmt.Sprint("wrong", i))
			newKeyFile(t, file)
			keys = append(keys, agent.AddedKey{PrivateKey: privateKey(t, file, "")})
		}
		target := s.target(t, "ops")
		d := newDialer(t)
		t.Setenv("SSH_AUTH_SOCK", startAgent(t, keys...))
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
		// Without an identity there are not so many tries that sshd hangs up
		// before the password.
		t.Setenv("HOME", t.TempDir())
		target.IdentityFiles = nil
		wantError(t, tryDial(t, d, target), Authentication, "permission denied for ops", "agent SHA256:", "only the first")
		target.Password = secret.New(password)
		if err := tryDial(t, d, target); err != nil {
			t.Error(err)
		}
	})

	t.Run("key for all to read", func(t *testing.T) {
		target := s.target(t, "ops")
		must(t, os.Chmod(target.IdentityFiles[0], 0o644))
		wantError(t, tryDial(t, newDialer(t), target), Authentication, "0644", "chmod 600")
		target.IdentityFiles = []string{"/nonexistent/id"}
		wantError(t, tryDial(t, newDialer(t), target), Authentication, "/nonexistent/id: no such file", "nothing to try")
	})
}

func TestPasswords(t *testing.T) {
	for name, config := range map[string]string{
		"password":             "PasswordAuthentication yes\nKbdInteractiveAuthentication no",
		"keyboard-interactive": "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes",
		"both":                 "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nUsePAM yes",
		"key and password":     "AuthenticationMethods publickey,password\nUsePAM yes",
	} {
		t.Run(name, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{config: config})
			target := s.target(t, "pw")
			if name != "key and password" {
				target.IdentityFiles = nil
				t.Setenv("HOME", t.TempDir())
			}
			target.Password = secret.New(password)
			if err := tryDial(t, newDialer(t), target); err != nil {
				t.Error(err)
			}
			target.Password = secret.New("wrong")
			err := tryDial(t, newDialer(t), target)
			wantError(t, err, Authentication, "permission denied for pw", "check the password")
			if strings.Contains(err.Error(), "wrong") {
				t.Errorf("the password shows: %v", err)
			}
			if n := strings.Count(s.log.String(), "Failed "); n > 1 {
				t.Errorf("%d failures count against the account:\n%s", n, s.log)
			}
		})
	}
}
