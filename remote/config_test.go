package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func configured(t *testing.T, text string) *Dialer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	write(t, file, text, 0o600)
	return &Dialer{ConfigFile: file}
}

func TestConfigRefusesWhatItCannotHonour(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Host gpu-*\n\tProxyCommand nc %h %p", "config:2: ProxyCommand is not supported"},
		{"Host other\n\tProxyCommand nc %h %p", ""},
		{"Host gpu-*\n\tProxyCommand none", ""},
		{"Host gpu-*\n\tProxyJump none\nHost *\n\tProxyCommand nc %h %p", ""},
		{"Match host gpu-1 exec \"test -e /x\"\n\tUser root", "config:1: Match exec is not supported"},
		{"Match exec \"true\" host other\n\tUser root", ""},
		{"Match exec true\n\tForwardAgent yes", ""},
		{"Match final\n\tHostName 10.0.0.1", "config:1: Match final is not supported"},
		{"Match user nobody exec true\n\tHostName 10.0.0.1", ""},
		{"Match !host gpu-1 exec true\n\tHostName 10.0.0.1", ""},
		{"Host gpu-1\n\tPort ssh", "config:2: Port ssh is none"},
		{"Host gpu-1\n\tIdentityFile ~/%C", "%C in"},
		{"Host \x00", ""},
	} {
		_, err := configured(t, c.text).route(Target{Name: "gpu-1", Host: "gpu-1", User: "ops"})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestConfigMatchesNameAndAddress(t *testing.T) {
	d := configured(t, `
Host gpu-1
	User by-name
	HostName elsewhere.example
	IdentityFile ~/by-name
Host 10.0.0.?
	Port 2222
	HostName 10.1.1.1
	HostKeyAlias gpu-%h
	IdentityFile ~/by-address
	UserKnownHostsFile ~/a "~/b c"
`)
	t.Setenv("HOME", "/home/me")
	way, err := d.route(Target{Name: "gpu-1", Host: "10.0.0.7"})
	must(t, err)
	e := way[0]
	if e.user != "by-name" || e.address() != "10.1.1.1:2222" || e.hostKeyName != "gpu-10.1.1.1:22" {
		t.Errorf("got %+v", e)
	}
	if got := strings.Join(e.identities, " "); got != "/home/me/by-name /home/me/by-address" {
		t.Errorf("identities %s", got)
	}
	if got := strings.Join(e.knownHosts, ","); got != "/home/me/a,/home/me/b c,/etc/ssh/ssh_known_hosts" {
		t.Errorf("known_hosts %s", got)
	}
	if way, err = d.route(Target{Name: "gpu-1", Host: "10.0.0.77"}); err != nil || way[0].address() != "10.0.0.77:22" {
		t.Errorf("? is one character, and HostName of the name's block does not lead away from an address: %s %v", way[0].address(), err)
	}
}

func TestConfigCirclesEnd(t *testing.T) {
	d := configured(t, "Host a\n\tProxyJump b\nHost b\n\tProxyJump a\n")
	if _, err := d.route(Target{Host: "a"}); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "config")
	write(t, file, "Include "+file+"\nHost a\n\tUser x\n", 0o600)
	if _, err := (&Dialer{ConfigFile: file}).route(Target{Host: "a"}); err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Error(err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("Host a b !c\n\tUser x\nMatch host a exec \"x y\"\n Port=22\n", "a")
	f.Add("Match\nMatch all\n HostName %h%%\n ProxyJump a,ssh://b@[::1]:22/", "a")
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "include") {
			t.Skip("reads files")
		}
		d := &Dialer{ConfigFile: os.DevNull}
		d.configOnce.Do(func() { d.configRead = parseConfig("config", text, 0) })
		way, err := d.route(Target{Name: "n", Host: host})
		if err == nil && len(way) > maxHops+1 {
			t.Errorf("%d hops", len(way))
		}
	})
}
