//go:build linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// egressInventory wishes nothing of hosts but that they reach endpoints.
func egressInventory(endpoints []string, blocks string, machines ...*Machine) string {
	quoted := ""
	for _, e := range endpoints {
		quoted += strconv.Quote(e) + ", "
	}
	text := `
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
requirements "none" {}
requirements = "none"
egress {
  allow = [` + quoted + `]
}
` + blocks
	for _, m := range machines {
		text += fmt.Sprintf("host %q { address = %q }\n", m.Name, m.IP)
	}
	return text
}

// asked holds what curl on a host comes to against what is expected of each, as
// "exit status, HTTP status, that of CONNECT". All are asked at once.
func asked(t *testing.T, m *Machine, want map[string]string) {
	t.Helper()
	script := ""
	for arguments := range want {
		script += "{ out=$(curl -m 4 -sS -o /dev/null -w '%{http_code} %{http_connect}' " + arguments + " 2>/dev/null); echo \"$? $out|" + arguments + "\"; } &\n"
	}
	for line := range strings.Lines(m.SSH(t, script+"wait")) {
		got, arguments, _ := strings.Cut(strings.TrimSpace(line), "|")
		if got != want[arguments] {
			t.Errorf("on %s curl %s ends with %q, want %q", m.Name, arguments, got, want[arguments])
		}
	}
}

// What can stand in the way of a host, each really put there, and each told from
// the others.
func TestEgress(t *testing.T) {
	w := newWorld(t)
	box := newSigner(t, "Blue Box Inspection CA")
	fine := answer(http.StatusOK)
	w.serve("fine.example", w.known.config(), fine)
	w.name("closed.example", "reset.example", "prohibited.example", "dropped.example")
	w.serve("box.example", box.config(), fine)
	w.serve("misnamed.example", &tls.Config{Certificates: []tls.Certificate{*w.known.certificate("portal.corp.example")}}, fine)
	w.name("plain.example", "cut.example")
	w.listen(w.names["plain.example"]+":443", func(l net.Listener) { serveHTTP(l, fine) })
	w.listen(w.names["cut.example"]+":443", func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// As firewalls do that look at the name in the first packet.
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	})
	// Registries are known by their names.
	asRegistries := []string{"quay.io", "registry-1.docker.io", "nvcr.io", "ghcr.io", "registry.k8s.io", "runai.jfrog.io", "eu.gcr.io"}
	w.name("auth.docker.io", "cdn01.quay.io")
	for _, layers := range []string{"cdn.quay.io", "production.cloudflare.docker.com", "layers.nvcr.io", "storage.googleapis.com", "pkg-containers.githubusercontent.com"} {
		w.serve(layers, w.known.config(), answer(http.StatusNotFound))
	}
	w.serve("quay.io", w.known.config(), answer(http.StatusUnauthorized, "Www-Authenticate", `Basic realm="quay"`))
	w.serve("registry-1.docker.io", w.known.config(), answer(http.StatusUnauthorized, "Www-Authenticate", `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`))
	w.serve("nvcr.io", w.known.config(), answer(http.StatusUnauthorized, "Www-Authenticate", `Bearer realm="https://token.nvcr.example/token",service="nvcr"`))
	w.serve("ghcr.io", w.known.config(), answer(http.StatusNotFound))
	w.serve("registry.k8s.io", w.known.config(), answer(http.StatusServiceUnavailable))
	w.serve("runai.jfrog.io", w.known.config(), answer(http.StatusFound, "Location", "https://login.corp.example/captive?to=runai.jfrog.io"))
	w.serve("eu.gcr.io", w.known.config(), answer(http.StatusOK, "Content-Type", "text/html; charset=utf-8"))
	rules := w.firewall(
		"ip daddr "+w.names["reset.example"]+" tcp dport 443 reject with tcp reset",
		"ip daddr "+w.names["prohibited.example"]+" reject with icmp admin-prohibited",
		"ip daddr { "+w.names["dropped.example"]+", "+w.names["auth.docker.io"]+" } drop")
	contains(t, "the firewall", rules, "reject with tcp reset", "reject with icmp admin-prohibited", "drop")
	m := w.host("gpu-01")
	c := w.controller(m)

	want := map[string]said{
		"fine.example:443":         says("ok", "reached, certificate by Public Root"),
		"nosuch.example:443":       says("unmet", "no address for nosuch.example", "name server"),
		"closed.example:443":       says("unmet", "closed.example:443 refused the connection", "nobody listens there, or a firewall rejects it"),
		"reset.example:443":        says("unmet", "reset.example:443 refused the connection"),
		"prohibited.example:443":   says("unmet", "no way to prohibited.example:443", "firewall"),
		"dropped.example:443":      says("unmet", "no answer from dropped.example:443", "firewall"),
		"box.example:443":          says("unmet", "its certificate is not trusted, issued by Blue Box Inspection CA", "ca_certificates"),
		"misnamed.example:443":     says("unmet", "portal.corp.example", "issued by Public Root", "another server"),
		"plain.example:443":        says("unmet", "no TLS with plain.example:443"),
		"cut.example:443":          says("unmet", "no TLS with cut.example:443: the connection was closed", "cuts it off"),
		"quay.io:443":              says("ok", "reached"),
		"registry-1.docker.io:443": says("ok", "reached"),
		"nvcr.io:443":              says("ok", "reached", "it sends for tokens to token.nvcr.example:443", "not tried"),
		"ghcr.io:443":              says("unmet", "404"),
		"registry.k8s.io:443":      says("unmet", "503"),
		"runai.jfrog.io:443":       says("unmet", "302", "login.corp.example"),
		"eu.gcr.io:443":            says("unmet", "text/html"),

		// Where they send on to.
		"auth.docker.io:443":                       says("unmet", "no answer from auth.docker.io:443"),
		"production.cloudflare.docker.com:443":     says("ok", "reached"),
		"cdn.quay.io:443":                          says("ok", "reached"),
		"cdn01.quay.io:443":                        says("unmet", "cdn01.quay.io:443 refused the connection"),
		"cdn02.quay.io:443":                        says("unmet", "no address for cdn02.quay.io"),
		"cdn03.quay.io:443":                        says("unmet", "no address for cdn03.quay.io"),
		"layers.nvcr.io:443":                       says("ok", "reached"),
		"storage.googleapis.com:443":               says("ok", "reached"),
		"pkg-containers.githubusercontent.com:443": says("ok", "reached"),
	}
	var endpoints []string
	for e := range want {
		if name := strings.TrimSuffix(e, ":443"); strings.HasSuffix(name, ".example") || slices.Contains(asRegistries, name) {
			endpoints = append(endpoints, name)
		}
	}
	c.write("inventory.hcl", egressInventory(endpoints, "", m))

	t.Run("the host sees the same", func(t *testing.T) {
		m.SSH(t, "! getent hosts nosuch.example && getent hosts fine.example")
		asked(t, m, map[string]string{
			"https://fine.example/": "0 200 000", "https://nosuch.example/": "6 000 000", "https://closed.example/": "7 000 000", "https://reset.example/": "7 000 000",
			"https://prohibited.example/": "7 000 000", "https://dropped.example/": "28 000 000", "https://box.example/": "60 000 000", "https://misnamed.example/": "60 000 000",
		})
		contains(t, "openssl", m.SSH(t, "openssl s_client -connect box.example:443 -servername box.example </dev/null 2>&1 || true"), "Blue Box Inspection CA")
	})

	t.Run("through the SSH connection", func(t *testing.T) {
		holds(t, egressOf(c.result(3, "check", "inventory.hcl"), "gpu-01"), want)
	})

	t.Run("whom only one side trusts", func(t *testing.T) {
		c.write("inventory.hcl", egressInventory([]string{"fine.example", "box.example"}, "", m))
		c.write("public.pem", w.known.pem+box.pem)
		holds(t, egressOf(c.result(3, "check", "inventory.hcl"), "gpu-01"), map[string]said{
			"fine.example:443": says("ok", "Public Root"),
			"box.example:443":  says("unmet", "the host does not trust it", "Blue Box Inspection CA"),
		})
		c.write("public.pem", w.known.pem)
		m.SSH(t, "cp "+bundle+" /root; cat >>"+bundle+" <<'EOF'\n"+box.pem+"EOF")
		holds(t, egressOf(c.result(0, "check", "inventory.hcl"), "gpu-01"), map[string]said{
			"fine.example:443": says("ok", "Public Root"),
			"box.example:443":  says("ok", "certificate by Blue Box Inspection CA"),
		})
		asked(t, m, map[string]string{"https://box.example/": "0 200 000"})
		m.SSH(t, "cat /root/ca-certificates.crt >"+bundle)
	})

	withoutForwarding(t, m, c)

	t.Run("twelve that drop everything", func(t *testing.T) {
		var addresses []string
		want := map[string]said{"fine.example:443": says("ok", "reached")}
		for i := range 12 {
			address := w.name(fmt.Sprintf("hanging-%d.example", i))
			addresses = append(addresses, address)
			want[address+":443"] = says("unmet", "no answer from "+address+":443")
		}
		w.firewall("ip daddr { " + strings.Join(addresses, ", ") + " } drop")
		c.write("inventory.hcl", egressInventory(append(addresses, "fine.example"), "", m))
		r := c.result(3, "check", "inventory.hcl")
		holds(t, egressOf(r, "gpu-01"), want)
		t.Logf("the host took %.1f s", r.Hosts[0].ElapsedSeconds)
		if r.Hosts[0].ElapsedSeconds > 30 {
			t.Errorf("the host took %.1f s", r.Hosts[0].ElapsedSeconds)
		}
	})

	t.Run("a name server that does not answer", func(t *testing.T) {
		w.firewall("udp dport 53 drop")
		c.write("inventory.hcl", egressInventory([]string{"nosuch.example", "fine.example", "closed.example"}, "", m))
		r := c.result(3, "check", "inventory.hcl")
		holds(t, egressOf(r, "gpu-01"), map[string]said{
			"nosuch.example:443": says("unmet", "no address for nosuch.example", "name server"),
			"fine.example:443":   says("ok", "reached"),
			"closed.example:443": says("unmet", "refused"),
		})
		t.Logf("the host took %.1f s", r.Hosts[0].ElapsedSeconds)
	})
}
