package remote

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// chain starts n servers that all let ops in with one key, and a target on the
// last with the others as its bastions.
func chain(t *testing.T, n int, options ...sshdOptions) ([]*sshd, Target) {
	t.Helper()
	var servers []*sshd
	var known strings.Builder
	var target Target
	for i := range n {
		var o sshdOptions
		if i < len(options) {
			o = options[i]
		}
		s := startSSHD(t, o)
		servers = append(servers, s)
		known.WriteString(s.knownLine())
		if i == 0 {
			target = s.target(t, "ops")
		}
		s.authorize(t, "ops", string(ssh.MarshalAuthorizedKey(readPublicHalf(t, target.IdentityFiles[0]))))
		target.Port = s.port
		if i < n-1 {
			target.Bastions = append(target.Bastions, Hop{Host: "127.0.0.1", Port: s.port})
		}
	}
	write(t, target.KnownHosts[0], known.String(), 0o600)
	return servers, target
}

func readPublicHalf(t *testing.T, file string) ssh.PublicKey {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	signer, err := ssh.ParsePrivateKey(data)
	must(t, err)
	return signer.PublicKey()
}

func TestBastionsAreSharedAndNamed(t *testing.T) {
	servers, target := chain(t, 3)
	d := newDialer(t)
	var wait sync.WaitGroup
	for range 15 {
		wait.Go(func() {
			ctx := context.Background()
			c, err := d.Dial(ctx, target)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			got, err := c.Look(ctx, "", []Probe{{Name: "who", Script: "id -u"}})
			if err != nil || got[0].Out != "0\n" {
				t.Error(got, err)
			}
		})
	}
	wait.Wait()
	for i, want := range []int{1, 1, 15} {
		if got := strings.Count(servers[i].log.String(), "Accepted publickey"); got != want {
			t.Errorf("server %d saw %d logins, want %d", i, got, want)
		}
	}

	// A bastion that was lost is dialled again.
	for _, h := range d.hops.byPath {
		h.link.close()
		<-h.link.dead
	}
	if err := tryDial(t, d, target); err != nil {
		t.Error(err)
	}

	// Each hop is verified, and a failure says which.
	lines := strings.Split(strings.TrimSpace(readLine(t, target.KnownHosts[0])), "\n")
	write(t, target.KnownHosts[0], lines[0]+"\n", 0o600)
	wantError(t, tryDial(t, newDialer(t), target), HostKey, fmt.Sprintf("bastion ops@127.0.0.1:%d: unknown host", servers[1].port), "--limit host")
	// Trust goes hop by hop.
	d = newDialer(t)
	for range 2 {
		keys, err := d.HostKeys(context.Background(), target)
		must(t, err)
		if _, err := d.Trust(keys); err != nil {
			t.Error(err)
		}
	}
	if err := tryDial(t, d, target); err != nil {
		t.Error(err)
	}
	write(t, target.KnownHosts[0], strings.Join(lines, "\n")+"\n", 0o600)
	servers[1].authorize(t, "ops")
	d = newDialer(t)
	for range 3 {
		wantError(t, tryDial(t, d, target), Authentication, fmt.Sprintf("bastion ops@127.0.0.1:%d: permission denied", servers[1].port))
	}
	if got := strings.Count(servers[1].log.String(), "Connection closed by authenticating user"); got > 1 {
		t.Errorf("a bastion that refuses us was asked %d times", got)
	}
}

// A bastion is not told the password of somebody else, nor where a key is named.
func TestPasswordOfATargetIsNotForEveryBastion(t *testing.T) {
	const config = "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no"
	servers, target := chain(t, 2, sshdOptions{config: config}, sshdOptions{config: config})
	bastion, last := servers[0], servers[1]
	t.Setenv("HOME", t.TempDir())
	bastion.authorize(t, "ops")
	target.Password = secret.New(password)
	wantError(t, tryDial(t, newDialer(t), target), Authentication, "bastion ops@", "password is for bastions only where")

	target.IdentityFiles = nil
	target.User, target.Bastions[0].User = "ops", "pw"
	wantError(t, tryDial(t, newDialer(t), target), Authentication, "bastion pw@", "password is for bastions only where")
	if log := bastion.log.String(); strings.Contains(log, "password for") {
		t.Errorf("the bastion was told a password:\n%s", log)
	}

	target.Bastions[0].User = ""
	if err := tryDial(t, newDialer(t), target); err != nil {
		t.Error(err)
	}
	for _, s := range []*sshd{bastion, last} {
		for end := time.Now().Add(10 * time.Second); !strings.Contains(s.log.String(), "Accepted password for ops"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not by password:\n%s", s.log)
			}
		}
	}
}

func TestBastionThatDoesNotForward(t *testing.T) {
	servers, target := chain(t, 2, sshdOptions{config: "AllowTcpForwarding no"})
	wantError(t, tryDial(t, newDialer(t), target), Connect,
		fmt.Sprintf("bastion ops@127.0.0.1:%d does not forward", servers[0].port), "AllowTcpForwarding")
	servers, target = chain(t, 2)
	target.Port = 1
	wantError(t, tryDial(t, newDialer(t), target), Connect, "127.0.0.1:1 from bastion ops@", "refused")
	target.Host = "no-such-host.invalid"
	wantError(t, tryDial(t, newDialer(t), target), Resolve, "no-such-host.invalid:1 from bastion ops@")
	_ = servers
}

func TestSSHConfigFindsTheWay(t *testing.T) {
	servers, target := chain(t, 3)
	home := t.TempDir()
	t.Setenv("HOME", home)
	must(t, os.MkdirAll(filepath.Join(home, ".ssh", "conf.d"), 0o700))
	must(t, os.Rename(target.IdentityFiles[0], filepath.Join(home, ".ssh", "key of host-0")))
	must(t, os.Rename(target.KnownHosts[0], filepath.Join(home, ".ssh", "known")))
	write(t, filepath.Join(home, ".ssh", "conf.d", "site"), `
Match host "host-?" localuser *
	IdentitiesOnly yes
	IdentityFile "~/.ssh/key of %n"
Match final host elsewhere
	ProxyCommand false
`, 0o600)
	config := filepath.Join(home, ".ssh", "config")
	write(t, config, fmt.Sprintf(`
Include conf.d/*
Host host-0 !host-1
	HostName 127.0.0.1
	Port=%d
	ProxyJump jump
Host jump jump-first
	HostName 127.0.0.1
	IdentityFile %%d/.ssh/key?of?host-0
	IdentityFile "%%d/.ssh/key of host-0"
Host jump
	Port %d
	ProxyJump jump-first
Match host jump-first
	Port %d
Host *
	User ops
	UserKnownHostsFile ~/.ssh/known
`, servers[2].port, servers[1].port, servers[0].port), 0o600)
	d := &Dialer{}
	t.Setenv("SSH_AUTH_SOCK", "")
	defer func() { _ = d.Close() }()
	c := dial(t, d, Target{Name: "host-0", Host: "host-0"})
	if got, want := c.Address(), fmt.Sprintf("127.0.0.1:%d", servers[2].port); got != want {
		t.Errorf("went to %s, want %s", got, want)
	}
	if len(c.route) != 3 {
		t.Errorf("went by %d hops", len(c.route)-1)
	}
	// What the inventory says wins.
	wantError(t, tryDial(t, d, Target{Name: "host-0", Host: "host-0", User: "nosuch"}), Authentication, "permission denied for nosuch")
}
