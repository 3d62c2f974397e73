//go:build linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
)

// A squidSite is a proxy, a client of it, and the world outside, which
// this side plays: whoever connects to it is told hello.
type squidSite struct {
	*controller
	lab           *Lab
	proxy, client *Machine
	port          int
}

// outside is the address of the world, beside the controller's on the bridge.
const outside = "10.77.0.2"

// squidWorld are the names that the proxies know, all of them the world's.
const squidWorld = "127.0.0.1 localhost\n" + outside + " runai-charts.storage.googleapis.com hub.docker.com gcr.io quay.io" +
	" prometheus-us-central1.grafana.net app.run.ai registry.corp.example mirror.corp.example evil.example\n"

func newSquidSite(t *testing.T, opts ...Option) *squidSite {
	t.Helper()
	l := New(t)
	s := &squidSite{lab: l, port: 3128}
	s.proxy = l.Host(t, "proxy", append(opts, File("/etc/hosts", squidWorld, 0o644),
		File("/etc/squid/conf.d/test.conf", "# squid waits half a minute for its clients when it is stopped.\nshutdown_lifetime 1 second\n", 0o644))...)
	s.client = l.Host(t, "gpu-01")
	s.controller = newController(t, l, []*Machine{s.proxy, s.client})
	if out, err := l.Command(t.Context(), "ip", "addr", "add", outside+"/24", "dev", "br0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, port := range []int{80, 443, 5000} {
		listener, err := l.Listen("tcp", fmt.Sprintf("%s:%d", outside, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go s.play(listener)
	}
	return s
}

// play answers HTTP, and echoes everything else.
func (s *squidSite) play(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			if first, err := r.Peek(4); err == nil && string(first) == "GET " {
				if _, err := http.ReadRequest(r); err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
				}
				return
			}
			_, _ = io.Copy(conn, r)
		}()
	}
}

// wish writes the inventory: what the proxy is to be, and what else all hosts
// are to reach.
func (s *squidSite) wish(squid string, allow ...string) {
	list := ""
	for _, name := range allow {
		list += fmt.Sprintf("%q, ", name)
	}
	s.write("inventory.hcl", fmt.Sprintf(`
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
egress {
  allow = [%s]
}
host "proxy" {
  address = %q
  %s
}
host "gpu-01" {
  address = %q
}
`, list, s.proxy.IP, squid, s.client.IP))
}

// as is the squid block for a port.
func (s *squidSite) as(port int) string {
	s.port = port
	return fmt.Sprintf("squid {\n port = %d\n clients = [%q]\n }", port, s.client.IP)
}

// findings of one command about the proxy: "subject state".
func (s *squidSite) squid(code int, args ...string) map[string]report.Finding {
	s.t.Helper()
	r := s.result(code, append(args, "inventory.hcl", "--task", "squid")...)
	found := map[string]report.Finding{}
	for _, f := range r.Hosts[0].Findings {
		found[f.Subject] = f
	}
	return found
}

// apply makes everything as wished, and a second apply find nothing to do.
func (s *squidSite) apply() {
	s.t.Helper()
	found := s.squid(0, "apply", "-y")
	for subject, f := range found {
		if f.State != "ok" && f.State != "fixed" {
			s.t.Errorf("%s is %s: %s", subject, f.State, f.Have)
		}
	}
	for subject, f := range s.squid(0, "apply", "-y") {
		if f.State != "ok" {
			s.t.Errorf("a second apply: %s is %s: %s", subject, f.State, f.Have)
		}
	}
}

// asked holds what the proxy answers to requests of the client to the status
// that each is to have.
func (s *squidSite) asked(want map[string]string) {
	s.t.Helper()
	script := "ask() { timeout 10 bash -c 'exec 3<>/dev/tcp/$0/$1 && printf \"%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\" \"$2\" >&3 && head -n 1 <&3' " +
		fmt.Sprintf("%s %d \"$1\" || echo; }\n", s.proxy.IP, s.port)
	requests := slices.Sorted(maps.Keys(want))
	for _, request := range requests {
		script += "ask '" + request + "'\n"
	}
	answers := strings.Split(s.client.SSH(s.t, script), "\n")
	for i, request := range requests {
		if !strings.Contains(answers[i], " "+want[request]+" ") {
			s.t.Errorf("%s: %q, want %s", request, strings.TrimSpace(answers[i]), want[request])
		}
	}
}

var squidRequests = map[string]string{
	"CONNECT app.run.ai:443":             "200",
	"CONNECT GCR.IO:443":                 "200",
	"CONNECT registry.corp.example:5000": "200",
	"GET http://mirror.corp.example/":    "200",
	"CONNECT evil.example:443":           "403",
	"CONNECT evil.app.run.ai:443":        "403",
	"CONNECT app.run.ai:5000":            "403",
	"CONNECT app.run.ai:22":              "403",
	"CONNECT mirror.corp.example:80":     "403",
	"CONNECT " + outside + ":443":        "403", // the address that an allowed name has
	"GET http://app.run.ai/":             "403",
	"GET http://evil.example/":           "403",
}

// A host becomes the proxy, follows its inventory, and ceases to be it.
func TestSquid(t *testing.T) {
	RequireLong(t)
	s := newSquidSite(t)
	allow := []string{"registry.corp.example:5000", "mirror.corp.example:80"}
	s.wish(s.as(3128), allow...)
	plan := s.run(2, "plan", "inventory.hcl", "--task", "squid")
	contains(t, "plan", plan, "apt-get install squid", " endpoints for "+s.client.IP+"/32, and nothing else")
	s.apply()
	s.asked(squidRequests)
	packaged := s.proxy.SSH(t, "sha256sum </etc/squid/squid.conf")
	if sum := s.proxy.SSH(t, "dpkg --verify squid"); strings.Contains(sum, "squid.conf") {
		t.Errorf("squid.conf is not the package's any more: %s", sum)
	}

	t.Run("others are no clients", func(t *testing.T) {
		conn, err := s.lab.Dial(t.Context(), "tcp", s.proxy.IP+":3128")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "CONNECT app.run.ai:443 HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 403 ") {
			t.Errorf("the controller is told %q, %v", line, err)
		}
	})

	t.Run("drift", func(t *testing.T) {
		s.proxy.SSH(t, `sed -i '1i http_access allow all' /etc/squid/conf.d/00-runai-prep.conf
sed -i 's/ gcr.io$/ evil.example/' /etc/squid/conf.d/00-runai-prep.conf; systemctl reload squid`)
		found := s.squid(2, "check")
		contains(t, "what drifted", found["config"].Have, "lacks gcr.io:443", "lets through evil.example:443")
		s.apply()
		contains(t, "the copy of what was edited by hand", s.proxy.SSH(t, "cat /var/lib/runai-prep/backup/etc/squid/conf.d/00-runai-prep.conf"), "allow all")
		s.proxy.SSH(t, "systemctl disable --now -q squid")
		found = s.squid(2, "check")
		contains(t, "a stopped service", found["service"].Have, "inactive", "not started at boot")
		s.apply()
		s.asked(squidRequests)
	})

	t.Run("somebody's rule comes first", func(t *testing.T) {
		s.proxy.SSH(t, "echo 'http_access allow all' >/etc/squid/conf.d/00-all.conf; systemctl reload squid")
		found := s.squid(3, "check")
		contains(t, "config", found["config"].Have, "/etc/squid/conf.d/00-all.conf", "http_access allow all")
		s.proxy.SSH(t, "rm /etc/squid/conf.d/00-all.conf; systemctl reload squid")
	})

	t.Run("what runs is not what the files say", func(t *testing.T) {
		s.proxy.SSH(t, `printf 'http_port 3128\nshutdown_lifetime 1 second\nhttp_access allow all\n' >/etc/squid/other.conf
mkdir -p /etc/systemd/system/squid.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/sbin/squid --foreground -sYC -f /etc/squid/other.conf\n' >/etc/systemd/system/squid.service.d/other.conf
systemctl daemon-reload; systemctl restart squid`)
		found := s.squid(3, "check")
		contains(t, "answers", found["answers"].Have, "lets through", "127.0.0.1:443")
		s.proxy.SSH(t, "rm -r /etc/squid/other.conf /etc/systemd/system/squid.service.d; systemctl daemon-reload; systemctl restart squid")
		s.apply()
	})

	t.Run("the list grows while tunnels are open", func(t *testing.T) {
		tunnel := s.tunnel("app.run.ai:443")
		allow = append(allow, "evil.example")
		s.wish(s.as(3128), allow...)
		contains(t, "config", s.squid(2, "plan")["config"].Have, "lacks evil.example:443")
		s.apply()
		s.asked(map[string]string{"CONNECT evil.example:443": "200"})
		tunnel("after the reload")
	})

	t.Run("what squid does not accept changes nothing", func(t *testing.T) {
		s.proxy.SSH(t, "echo 'http_access allow no_such_acl' >/etc/squid/conf.d/zz-broken.conf")
		before := s.proxy.SSH(t, "cat /etc/squid/conf.d/00-runai-prep.conf")
		s.wish(s.as(3128), "registry.corp.example:5000")
		found := s.squid(5, "apply", "-y")
		contains(t, "config", found["config"].Error, "zz-broken.conf", "no_such_acl")
		if after := s.proxy.SSH(t, "cat /etc/squid/conf.d/00-runai-prep.conf"); after != before {
			t.Errorf("the rules were replaced:\n%s", after)
		}
		s.asked(map[string]string{"CONNECT evil.example:443": "200"})
		s.proxy.SSH(t, "rm /etc/squid/conf.d/zz-broken.conf")
		s.apply()
		s.asked(map[string]string{"CONNECT evil.example:443": "403"})
	})

	t.Run("another port", func(t *testing.T) {
		s.wish(s.as(8080), "registry.corp.example:5000", "mirror.corp.example:80")
		s.apply()
		s.asked(squidRequests)
		if out, err := s.client.Run(t.Context(), "root", fmt.Sprintf("bash -c ': </dev/tcp/%s/3128'", s.proxy.IP)); err == nil {
			t.Errorf("somebody listens on the old port: %s", out)
		}
		if ports := s.proxy.SSH(t, "grep '^http_port' /etc/squid/squid.conf"); ports != "http_port 8080\n" {
			t.Errorf("squid.conf has %q", ports)
		}
		back := s.proxy.SSH(t, "sed 's/^http_port 8080$/http_port 3128/' /etc/squid/squid.conf | sha256sum")
		if back != packaged {
			t.Error("more than one line of squid.conf has changed")
		}
	})

	t.Run("a reboot", func(t *testing.T) {
		s.proxy.Reboot(t)
		s.squid(0, "check")
		s.asked(squidRequests)
	})

	t.Run("no longer the proxy", func(t *testing.T) {
		s.wish("")
		s.apply()
		if sum := s.proxy.SSH(t, "sha256sum </etc/squid/squid.conf"); sum != packaged {
			t.Error("squid.conf is not the package's again")
		}
		left := s.proxy.SSH(t, "ls /etc/squid/conf.d; ls /var/lib/runai-prep/*.ledger 2>/dev/null || true; systemctl is-active squid")
		if left != "debian.conf\ntest.conf\nactive\n" {
			t.Errorf("left is %q", left)
		}
		s.port = 3128
		s.asked(map[string]string{"CONNECT app.run.ai:443": "403"})
	})
}

// tunnel opens a connection from the client through the proxy, and gives back
// what asks whether it still is one.
func (s *squidSite) tunnel(to string) (still func(when string)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	s.t.Cleanup(cancel)
	cmd := s.lab.Command(ctx, "ssh", "-F", "none", "-i", s.lab.IdentityFile, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=known_hosts",
		"-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "root@"+s.client.IP,
		fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/%s/%d; cat <&3 & exec cat >&3'`, s.proxy.IP, s.port))
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	read := func(when, want string) {
		s.t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				s.t.Fatalf("the tunnel broke %s: %v", when, err)
			}
			if strings.Contains(line, want) {
				return
			}
		}
	}
	_, _ = io.WriteString(in, "CONNECT "+to+" HTTP/1.1\r\nHost: x\r\n\r\n")
	read("at once", " 200 ")
	return func(when string) {
		s.t.Helper()
		_, _ = io.WriteString(in, "are you there\n")
		read(when, "are you there")
	}
}

// upstreamSquidConf is what squid's own sources and the packages of EL install:
// they include no folder, and let the local networks through.
const upstreamSquidConf = `#
# Recommended minimum configuration:
#
acl localnet src 10.0.0.0/8		# RFC 1918 local private network (LAN)
acl SSL_ports port 443
acl Safe_ports port 80		# http
acl Safe_ports port 443		# https
acl Safe_ports port 1025-65535	# unregistered ports

http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
#
# INSERT YOUR OWN RULE(S) HERE TO ALLOW ACCESS FROM YOUR CLIENTS
#
http_access allow localnet
http_access allow localhost
http_access deny all

# Squid normally listens to port 3128
http_port 3128

coredump_dir /var/spool/squid
refresh_pattern .		0	20%	4320`

// A squid.conf that includes nothing and lets others through, first as that of a
// squid that is there already, then as that of a package that is yet to come.
func TestSquidWithoutFolder(t *testing.T) {
	RequireLong(t)
	s := newSquidSite(t, File("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"18.04\"\nNAME=Ubuntu\n", 0o644))
	allow := []string{"registry.corp.example:5000", "mirror.corp.example:80"}
	s.wish(s.as(8080), allow...)
	s.apply() // the package is not there yet, and its squid.conf unknown
	s.asked(squidRequests)

	s.wish("")
	s.apply()
	s.proxy.SSH(t, "cat >/etc/squid/squid.conf <<'EOF'\n"+upstreamSquidConf+"\nEOF\nchmod 640 /etc/squid/squid.conf; chgrp proxy /etc/squid/squid.conf\nsystemctl reload squid")
	before := s.proxy.SSH(t, "stat -c '%a %U %G' /etc/squid/squid.conf; cat /etc/squid/squid.conf")
	s.wish(s.as(3128), allow...)
	s.apply()
	s.asked(squidRequests)
	conf := s.proxy.SSH(t, "stat -c '%a %U %G' /etc/squid/squid.conf; cat /etc/squid/squid.conf")
	if strings.Replace(conf, "include /etc/squid/runai-prep.conf\n", "", 1) != before {
		t.Errorf("more than one line was added:\n%s", conf)
	}

	s.proxy.SSH(t, "sed -i '1i http_access allow all' /etc/squid/squid.conf; systemctl reload squid")
	contains(t, "config", s.squid(2, "check")["config"].Have, "decides before it includes")
	s.apply()
	s.asked(squidRequests)
	s.proxy.SSH(t, "sed -i '/^http_access allow all$/d' /etc/squid/squid.conf")

	s.wish("")
	s.apply()
	if after := s.proxy.SSH(t, "stat -c '%a %U %G' /etc/squid/squid.conf; cat /etc/squid/squid.conf"); after != before {
		t.Errorf("squid.conf is not as it was:\n%s", after)
	}
}
