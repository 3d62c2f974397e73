//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// started tells when each runtime was started last, and how often since the boot.
const started = `for u in containerd docker kubelet; do
	echo "$u $(systemctl show -P InvocationID $u) $(systemctl show -P NRestarts $u) $(journalctl -b -q -o cat -u $u _PID=1 | grep -c '^Started')"
done`

// A box looks into TLS with an authority of its own, once as the proxy and once in
// the way of those who go straight. What is said of it, before and after its
// authority is given to hosts; and another proxy refuses in its own words.
func TestIntercepted(t *testing.T) {
	RequireLong(t)
	w := newWorld(t)
	corp := newSigner(t, "Corp Inspection CA")
	w.serve("straight.example", corp.config(), answer(http.StatusOK))
	// registry.k8s.io is for the proxy alone to know.
	box := &boxProxy{as: corp.config(), world: answer(http.StatusUnauthorized), forbid: map[string]string{"evil.example": "Category Gambling"}}
	guard := &boxProxy{as: corp.config(), world: answer(http.StatusOK), login: "runai:right"}
	w.listen(Controller+":3128", box.serve)
	w.listen(Controller+":3129", guard.serve)
	m := w.host("gpu-01", Runtimes())
	c := w.controller(m)
	endpoints := []string{"straight.example", "app.run.ai", "registry.k8s.io", "evil.example"}
	proxy := func(port int, lines string) string {
		return fmt.Sprintf("proxy {\n https_proxy = \"http://%s:%d\"\n no_proxy = [\"straight.example\", \"10.77.0.0/24\"]\n %s\n}\n", Controller, port, lines)
	}
	c.write("corp.pem", corp.pem)
	const authority = `ca_certificates = [file("corp.pem")]`
	through := " through " + Controller + ":3128"
	refused := says("unmet", "the proxy "+Controller+":3128 did not let it through", "403 Category Gambling", "X-Squid-Error: ERR_ACCESS_DENIED", "allow CONNECT to evil.example:443")
	curl := map[string]string{"https://straight.example/": "60 000 000", "--proxy http://" + Controller + ":3128 https://registry.k8s.io/v2/": "60 000 200", "--proxy http://" + Controller + ":3128 https://evil.example/": "56 000 403"}

	t.Run("untrusted", func(t *testing.T) {
		c.write("inventory.hcl", egressInventory(endpoints, proxy(3128, ""), m))
		holds(t, egressOf(c.result(3, "plan", "inventory.hcl"), m.Name), map[string]said{
			"straight.example:443": says("unmet", "its certificate is not trusted, issued by Corp Inspection CA", "ca_certificates"),
			"app.run.ai:443":       says("unmet", "its certificate is not trusted"+through+", issued by Corp Inspection CA", "ca_certificates", "today containerd and docker go straight: no address for app.run.ai"),
			"registry.k8s.io:443":  says("unmet", "its certificate is not trusted"+through, "Corp Inspection CA"),
			"evil.example:443":     refused,
		})
		asked(t, m, curl)
		// The proxy is set all the same: it is what is wished.
		c.run(3, "apply", "-y", "inventory.hcl")
	})

	before := m.SSH(t, started)
	t.Run("its authority given", func(t *testing.T) {
		c.write("inventory.hcl", egressInventory(endpoints, proxy(3128, authority), m))
		want := map[string]said{
			"straight.example:443": says("ok", "reached, certificate by Corp Inspection CA"),
			"app.run.ai:443":       says("ok", "reached"+through+", certificate by Corp Inspection CA"),
			"registry.k8s.io:443":  says("ok", "reached"+through+", certificate by Corp Inspection CA"),
			"evil.example:443":     refused,
		}
		plan := c.run(3, "plan", "inventory.hcl")
		contains(t, "plan", plan, "update-ca-certificates", "disruptive: containerd restarts")
		r := c.result(3, "apply", "-y", "inventory.hcl")
		holds(t, egressOf(r, m.Name), want)
		contains(t, "apply", strings.Join(findings(r), "\n"), "gpu-01 proxy ca certificates fixed")
		contains(t, "the store", m.SSH(t, "ls -l /etc/ssl/certs /usr/local/share/ca-certificates; openssl verify -CAfile "+bundle+" /usr/local/share/ca-certificates/runai-prep-*"), "runai-prep-", ".crt: OK")
		for arguments := range curl {
			if !strings.Contains(arguments, "evil") {
				curl[arguments] = strings.NewReplacer("60 000 200", "0 401 200", "60 000 000", "0 200 000").Replace(curl[arguments])
			}
		}
		asked(t, m, curl)
		restartedOnce(t, before, m.SSH(t, started), "containerd", "docker")

		before = m.SSH(t, started)
		r = c.result(3, "apply", "-y", "inventory.hcl")
		if got := strings.Join(findings(r), "\n"); got != "gpu-01 egress evil.example:443 unmet" {
			t.Errorf("a second apply: %s", got)
		}
		if after := m.SSH(t, started); after != before {
			t.Errorf("a second apply restarted something: %s, was %s", after, before)
		}
	})

	t.Run("a login", func(t *testing.T) {
		want := func(state string, words ...string) {
			t.Helper()
			code := map[string]int{"ok": 2, "unmet": 3}[state] // the proxy is yet to be changed
			holds(t, egressOf(c.result(code, "plan", "inventory.hcl"), m.Name), map[string]said{"app.run.ai:443": says(state, words...)})
		}
		c.write("inventory.hcl", egressInventory([]string{"app.run.ai"}, proxy(3129, authority), m))
		want("unmet", "the proxy "+Controller+":3129 did not let it through", "407 Who are you", `Basic realm="Blue Box"`, "BlueBox/4.2", "username and password")
		login := func(password string) {
			c.env = append(c.env, "PROXY_PASSWORD="+password)
			c.write("inventory.hcl", egressInventory([]string{"app.run.ai"}, proxy(3129, authority+"\nusername = \"runai\"\npassword = env(\"PROXY_PASSWORD\")"), m))
		}
		login("wrong")
		want("unmet", "407 Who are you")
		login("right")
		want("ok", "reached through "+Controller+":3129", "today containerd and docker ask the proxy "+Controller+":3128: reached")
	})

	t.Run("the proxy itself", func(t *testing.T) {
		c.write("inventory.hcl", egressInventory([]string{"app.run.ai"}, proxy(3130, authority), m))
		holds(t, egressOf(c.result(3, "plan", "inventory.hcl"), m.Name), map[string]said{
			"app.run.ai:443": says("unmet", "the proxy "+Controller+":3130 refused the connection")})
		w.firewall("tcp dport 3128 drop")
		c.write("inventory.hcl", egressInventory([]string{"app.run.ai"}, proxy(3128, authority), m))
		holds(t, egressOf(c.result(3, "plan", "inventory.hcl"), m.Name), map[string]said{
			"app.run.ai:443": says("unmet", "no answer from the proxy "+Controller+":3128")})
		w.firewall()
	})

	t.Run("another worker", func(t *testing.T) {
		c.write("inventory.hcl", egressInventory(nil, proxy(3128, authority), m))
		c.run(0, "apply", "-y", "inventory.hcl")
		before := m.SSH(t, started)
		other := w.host("gpu-02", Runtimes())
		c.write("known_hosts", m.KnownHost()+other.KnownHost())
		c.write("inventory.hcl", egressInventory(nil, proxy(3128, authority), m, other))
		for _, h := range c.result(2, "plan", "inventory.hcl").Hosts {
			if want := map[string]string{"gpu-01": "settled", "gpu-02": "pending"}[h.Name]; h.Status != want {
				t.Errorf("%s is %s: %v", h.Name, h.Status, h.Findings)
			}
		}
		c.run(0, "apply", "-y", "inventory.hcl")
		if after := m.SSH(t, started); after != before {
			t.Errorf("a worker joined, and gpu-01 restarted something: %s, was %s", after, before)
		}
		lacks(t, "NO_PROXY of gpu-02", other.SSH(t, "systemctl show containerd -p Environment"), m.IP, other.IP)
	})

	// The same box, for a host that has no proxy. The first apply is killed when the
	// bundle is made, and before it comes to the runtimes.
	t.Run("no proxy at all", func(t *testing.T) {
		const hook = "#!/bin/sh\ntouch /run/e2e-hook\nwhile [ ! -e /run/e2e-go ]; do sleep 0.1; done\n"
		m := w.host("gpu-03", Runtimes(), File("/etc/ca-certificates/update.d/e2e", hook, 0o755))
		c := w.controller(m)
		c.write("corp.pem", corp.pem)
		endpoints := []string{"straight.example"}
		ask := map[string]string{"https://straight.example/": "60 000 000"}
		asked(t, m, ask)
		c.write("inventory.hcl", egressInventory(endpoints, "proxy { "+authority+" }\n", m))
		r := c.result(2, "plan", "inventory.hcl")
		if got := strings.Join(findings(r), "\n"); got != "gpu-03 proxy ca certificates pending" {
			t.Errorf("plan: %s", got)
		}
		trusted := map[string]said{"straight.example:443": says("ok", "reached, certificate by Corp Inspection CA")}
		holds(t, egressOf(r, m.Name), trusted)

		before := m.SSH(t, started)
		killed := c.start("", "apply", "-y", "inventory.hcl")
		killed.await("the bundle", func() bool { return m.SSH(t, "ls /run/e2e-hook 2>/dev/null || true") != "" })
		_ = killed.cmd.Process.Kill()
		<-killed.done
		m.SSH(t, "touch /run/e2e-go; while pgrep -x update-ca-certi >/dev/null; do sleep 0.1; done")
		restartedOnce(t, before, m.SSH(t, started))
		contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "containerd and docker began before that", "systemctl restart docker", "disruptive: containerd restarts")
		holds(t, egressOf(c.result(0, "apply", "-y", "inventory.hcl"), m.Name), trusted)
		restartedOnce(t, before, m.SSH(t, started), "containerd", "docker")
		asked(t, m, map[string]string{"https://straight.example/": "0 200 000"})
		lacks(t, "the host", m.SSH(t, "cat /etc/environment; find /etc/systemd /etc/apt"), "proxy")

		// Who makes the bundle anew makes no reason for another restart.
		before = m.SSH(t, started)
		m.SSH(t, "update-ca-certificates --fresh")
		c.run(0, "apply", "-y", "inventory.hcl")

		c.write("inventory.hcl", egressInventory(endpoints, "", m))
		// As long as the host trusts it, it is what the host has.
		contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "1 trusted by runai-prep and no longer wished", "update-ca-certificates --fresh")
		c.run(3, "apply", "-y", "inventory.hcl")
		asked(t, m, ask)
		lacks(t, "the host", m.SSH(t, "ls /etc/ssl/certs /usr/local/share/ca-certificates /var/lib/runai-prep"), "runai-prep-", "proxy.ledger")
		restartedOnce(t, before, m.SSH(t, started))
	})
}

// restartedOnce holds that these units and no others were started once more.
func restartedOnce(t *testing.T, before, after string, units ...string) {
	t.Helper()
	was, is := strings.Split(strings.TrimSpace(before), "\n"), strings.Split(strings.TrimSpace(after), "\n")
	for i := range was {
		var unit, id, nowID string
		var restarts, n, nowRestarts, nowN int
		_, _ = fmt.Sscan(was[i], &unit, &id, &restarts, &n)
		_, _ = fmt.Sscan(is[i], &unit, &nowID, &nowRestarts, &nowN)
		more := 0
		for _, u := range units {
			if u == unit {
				more = 1
			}
		}
		if nowN != n+more || nowRestarts != restarts || (id != nowID) != (more == 1) {
			t.Errorf("%s: %q became %q, want %d starts more", unit, was[i], is[i], more)
		}
	}
}
