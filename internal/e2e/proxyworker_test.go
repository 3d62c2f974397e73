//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A worker reaches what it needs through a squid that is set up beside it, and
// nothing else, while the straight way is closed: what the product says of that
// is what the host's own programs meet.
func TestProxyWorker(t *testing.T) {
	RequireLong(t)
	w := newWorld(t)
	w.serve("app.run.ai", w.known.config(), answer(http.StatusOK))
	w.serve("ghcr.io", w.known.config(), answer(http.StatusUnauthorized, "Www-Authenticate", `Bearer realm="https://ghcr.io/token"`))
	w.serve("pkg-containers.githubusercontent.com", w.known.config(), answer(http.StatusNotFound))
	w.serve("evil.example", w.known.config(), answer(http.StatusOK))
	proxy := w.host("proxy-01", File("/etc/squid/conf.d/test.conf", "shutdown_lifetime 1 second\n", 0o644))
	// It knows the proxy's name and no other.
	worker := w.host("gpu-01", Runtimes(), File("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gpu-01\n"+proxy.IP+" proxy-01\n", 0o644))
	c := w.controller(proxy, worker)
	inventory := func(allow string) {
		c.write("inventory.hcl", fmt.Sprintf(`
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
requirements "none" {}
requirements = "none"
egress {
  allow = ["app.run.ai", "ghcr.io"%s]
}
registry "registry.corp.example:5000" {}
role "gpu" {
  proxy {
    http_proxy  = "http://proxy-01:3128"
    https_proxy = "http://proxy-01:3128"
    no_proxy    = ["10.77.0.0/25", ".corp.example"]
  }
}
host "proxy-01" {
  address = %q
  role    = "proxy"
  squid {
    port    = 3128
    clients = [%q]
  }
}
host "gpu-01" {
  address = %q
  role    = "gpu"
}
`, allow, proxy.IP, worker.IP, worker.IP))
	}
	rules := w.firewall("ip saddr " + worker.IP + " tcp dport { 80, 443 } reject with tcp reset")
	contains(t, "the firewall", rules, "ip saddr "+worker.IP)
	tasks := []string{"--task", "proxy,squid,egress"}

	// Before anything is done: what is wished does not work yet, and what the
	// runtimes do today does not either.
	inventory("")
	plan := egressOf(c.result(3, append([]string{"plan", "inventory.hcl"}, tasks...)...), "gpu-01")
	holds(t, plan, map[string]said{
		"app.run.ai:443": says("unmet", "the proxy proxy-01:3128 refused the connection", "today containerd and docker go straight: no address for app.run.ai"),
		"ghcr.io:443":    says("unmet", "the proxy proxy-01:3128 refused the connection"),
		"pkg-containers.githubusercontent.com:443": says("unmet", "the proxy proxy-01:3128 refused the connection"),
	})

	// The proxy first, then who asks it.
	c.run(0, append([]string{"apply", "-y", "inventory.hcl", "--limit", "proxy-01"}, tasks...)...)
	before := worker.SSH(t, started)
	r := c.result(0, append([]string{"apply", "-y", "inventory.hcl"}, tasks...)...)
	reached := map[string]said{
		"app.run.ai:443": says("ok", "reached through proxy-01:3128, certificate by Public Root"),
		"ghcr.io:443":    says("ok", "reached through proxy-01:3128"),
		"pkg-containers.githubusercontent.com:443": says("ok", "reached through proxy-01:3128"),
	}
	holds(t, egressOf(r, "gpu-01"), reached)
	for _, f := range egressOf(r, "gpu-01") {
		lacks(t, f.Subject, f.Have, "today")
	}
	restartedOnce(t, before, worker.SSH(t, started), "containerd", "docker", "kubelet")

	// systemd's own word for what was written, and the running processes'.
	for _, unit := range []string{"containerd", "docker"} {
		const noProxy = "10.77.0.0/25,.corp.example,localhost,127.0.0.1,::1,.svc,.cluster.local"
		contains(t, unit, worker.SSH(t, "systemctl show -p Environment "+unit), "HTTPS_PROXY=http://proxy-01:3128", "https_proxy=http://proxy-01:3128", "NO_PROXY="+noProxy+" ", "no_proxy="+noProxy)
		contains(t, unit+", running", worker.SSH(t, `tr '\0' '\n' </proc/$(systemctl show -P MainPID `+unit+`)/environ`), "HTTPS_PROXY=http://proxy-01:3128\n", "NO_PROXY="+noProxy+"\n")
	}

	// The host itself: /etc/environment brings the proxy to those who log in.
	asked(t, worker, map[string]string{
		"https://app.run.ai/":                                     "0 200 200",
		"https://ghcr.io/v2/":                                     "0 401 200",
		"https://evil.example/":                                   "56 000 403",
		"--noproxy '*' https://app.run.ai/":                       "6 000 000",
		"--noproxy '*' -k https://" + w.names["app.run.ai"] + "/": "7 000 000",
	})

	// What squid forbids is named as such, in its own words.
	limited := append([]string{"plan", "inventory.hcl", "--limit", "gpu-01"}, tasks...)
	inventory(`, "evil.example"`)
	reached["evil.example:443"] = says("unmet", "the proxy proxy-01:3128 did not let it through", "403 Forbidden", "X-Squid-Error: ERR_ACCESS_DENIED", "allow CONNECT to evil.example:443")
	holds(t, egressOf(c.result(3, limited...), "gpu-01"), reached)
	// And what it cannot resolve, too.
	inventory(`, "nosuch.example"`)
	c.run(3, append([]string{"apply", "-y", "inventory.hcl"}, tasks...)...)
	delete(reached, "evil.example:443")
	reached["nosuch.example:443"] = says("unmet", "the proxy proxy-01:3128 did not let it through", "500", "X-Squid-Error: ERR_CANNOT_FORWARD", "its name server")
	holds(t, egressOf(c.result(3, limited...), "gpu-01"), reached)

	// The runtimes' drop-in goes, and it is said what they meet without it.
	inventory("")
	worker.SSH(t, "rm /etc/systemd/system/containerd.service.d/*.conf; systemctl daemon-reload; systemctl restart containerd")
	found := egressOf(c.result(2, limited...), "gpu-01")["app.run.ai:443"]
	contains(t, "without its drop-in", found.Have, "reached through proxy-01:3128", "today containerd goes straight: no address")
	lacks(t, "docker still has it", found.Have, "docker")
	if strings.Count(found.Have, "today") != 1 {
		t.Error(found.Have)
	}
}
