package tasks

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/remote"
)

// What is tried of the way that runtimes take today: where it differs from the
// wished one, once for those that go alike, and not where it is not known.
func TestPresentEndpoints(t *testing.T) {
	unit := func(name, environment string) string {
		return "|Id=" + name + ".service\n|LoadState=loaded\n|ActiveState=active\n|NeedDaemonReload=no\n|Environment=" + environment + "\n|\n"
	}
	proxied := func(units ...string) remote.Section {
		text := "@manager apt\n@init systemd\n@file /var/lib/runai-prep/proxy.ledger\n!absent\n@assigns /etc/default/docker.proxy\n|HTTPS_PROXY=\"http://file:8080\"\n@units\n" + strings.TrimSuffix(strings.Join(units, ""), "|\n")
		for _, u := range units {
			name, _, _ := strings.Cut(strings.TrimPrefix(u, "|Id="), "\n")
			text += "@environ " + name + "\n!none\n"
		}
		return remote.Section{Name: "proxy", Out: text + "@end\n"}
	}
	const wish = `proxy {
  https_proxy = "http://wished:3128"
  no_proxy    = ["b.test"]
}
`
	pem, err := os.ReadFile("../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	box := "proxy {\n  ca_certificates = [<<EOT\n" + string(pem) + "EOT\n  ]\n}\n"
	// A drop-in of ours that the inventory knows no more, beside somebody else's.
	const dropIn = "# Written by runai-prep: the outbound proxy.\n[Service]\nEnvironment=\"HTTPS_PROXY=http://old:8080\"\n"
	const dropInPath = "/etc/systemd/system/docker.service.d/runai-prep-proxy.conf"
	both := unit("docker", "HTTPS_PROXY=http://old:8080") + strings.TrimSuffix(unit("containerd", "HTTPS_PROXY=http://other:8080"), "|\n")
	ours := remote.Section{Name: "proxy", Out: "@manager apt\n@init systemd\n@file /var/lib/runai-prep/proxy.ledger\n" +
		fmt.Sprintf("|file\t%s\t%x\n", dropInPath, sha256.Sum256([]byte(dropIn))) +
		"@file " + dropInPath + "\n|" + strings.ReplaceAll(strings.TrimSuffix(dropIn, "\n"), "\n", "\n|") + "\n@units\n" + both +
		"@environ docker\n!none\n@environ containerd\n!none\n@end\n"}
	wished := "HTTP_PROXY=http://wished:3128 HTTPS_PROXY=http://wished:3128 NO_PROXY=b.test,localhost"
	for name, c := range map[string]struct {
		inventory string
		section   remote.Section
		want      string
	}{
		"as wished":             {wish, proxied(unit("containerd", wished)), ""},
		"not set":               {wish, proxied(unit("containerd", ""), unit("docker", "")), "containerd and docker a.test straight"},
		"another":               {wish, proxied(unit("containerd", "https_proxy=old:8080 NO_PROXY=a.test"), unit("kubelet", "")), "containerd a.test straight, containerd b.test old:8080"},
		"with a password":       {wish, proxied(unit("docker", "HTTPS_PROXY=http://me:secret@wished:3128 NO_PROXY=b.test")), "docker a.test me@wished:3128"},
		"of another kind":       {wish, proxied(unit("docker", "HTTPS_PROXY=socks5://old:1080 NO_PROXY=b.test")), ""},
		"in a file":             {wish, proxied(unit("docker", "\n|EnvironmentFiles=/etc/default/docker.proxy (ignore_errors=yes)")), "docker a.test file:8080, docker b.test file:8080"},
		"in a file of ours":     {wish, proxied(unit("docker", "\n|EnvironmentFiles=/etc/runai-prep/proxy.env (ignore_errors=yes)")), ""},
		"not looked at":         {wish, remote.Section{Name: "proxy", Failure: "no answer within 10s"}, ""},
		"no proxy wished":       {"", remote.Section{Name: "egress", Out: "@units\n" + unit("containerd", "HTTPS_PROXY=http://old:8080") + "@end\n"}, "containerd a.test old:8080, containerd b.test old:8080"},
		"a box, and no proxy":   {box, proxied(unit("containerd", "HTTPS_PROXY=http://old:8080"), unit("docker", "")), "containerd a.test old:8080, containerd b.test old:8080"},
		"no proxy anywhere":     {"", remote.Section{Name: "egress", Out: "@units\n" + unit("containerd", "") + "@end\n"}, ""},
		"no proxy, nothing set": {"", remote.Section{Name: "egress", Out: "@end\n"}, ""},
		"ours, and unwished":    {"", ours, "containerd a.test other:8080, containerd b.test other:8080"},
		"of a box, unwished":    {box, ours, "containerd a.test other:8080, containerd b.test other:8080"},
		"unwished, and ignored": {"ignore = { \"proxy/docker\" = \"it stays\" }\n", ours, "docker a.test old:8080, docker b.test old:8080, containerd a.test other:8080, containerd b.test other:8080"},
	} {
		h := loadHost(t, c.inventory+"requirements = \"none\"\nrequirements \"none\" {}\negress { allow = [\"a.test\", \"b.test\"] }\nhost \"localhost\" {}\n")
		// The authority of a box is trusted for every way, there where TLS is spoken.
		for _, e := range append(reachEgress(h), presentEndpoints(h, []remote.Section{c.section})...) {
			if (len(e.Roots) == 1 && e.Roots[0] == string(pem)) != (c.inventory == box) {
				t.Errorf("%s: %s trusts %q", name, e.Host, e.Roots)
			}
		}
		sections := []remote.Section{{Name: "resources"}, c.section}
		if c.section.Out == ours.Out { // the units are looked at for egress
			sections = append(sections, remote.Section{Name: "egress", Out: "@units\n" + both + "@end\n"})
		}
		var got []string
		for _, e := range presentEndpoints(h, sections) {
			way := "straight"
			if e.Proxy != nil {
				way = fmt.Sprintf("%s:%d", e.Proxy.Host, e.Proxy.Port)
				if e.Proxy.Username != "" {
					way = e.Proxy.Username + "@" + way
				}
			}
			got = append(got, e.Of+" "+e.Host+" "+way)
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Another worker is no reason to touch the runtimes of the hosts that are there,
// as long as what no_proxy gives covers it.
func TestAnotherWorker(t *testing.T) {
	const fleet = `proxy {
  http_proxy = "http://proxy.example.com:3128"
  no_proxy   = ["10.0.0.0/8", ".cluster.example"]
}
host "gpu-[01:03].cluster.example" { address = "10.0.1.${index}" }
`
	before := wishOf(loadHost(t, fleet))
	for text, same := range map[string]bool{
		`host "gpu-04.cluster.example" { address = "10.0.1.4" }`:               true,
		`host "gpu-04" { address = "10.0.1.4" }`:                               true,
		`host "gpu-04" { address = "192.168.1.4" }`:                            false,
		`host "gpu-04.cluster.example" { address = "192.0.2.4" }`:              false,
		`host "gpu-04.cluster.example" { address = "gpu-04.cluster.example" }`: true,
	} {
		h := loadHost(t, fleet+text+"\n")
		after := wishOf(h)
		if (after.dropIn() == before.dropIn()) != same || slices.Equal(after.secretAssignments(), before.secretAssignments()) != same {
			t.Errorf("%s: NO_PROXY is now %s, was %s", text, after.noProxy, before.noProxy)
		}
		// What runs with what was wished before runs as wished now.
		facts := runsWith(t, before)
		pending := slices.ContainsFunc(planProxy(h, facts), func(f Finding) bool { return f.Subject == "containerd" && f.State == Pending })
		if pending == same {
			t.Errorf("%s: a restart of containerd is planned: %v", text, pending)
		}
	}
}

// runsWith are the facts of a host on which all was done for a wish.
func runsWith(t *testing.T, w proxyWish) Facts {
	t.Helper()
	var set []string
	for _, a := range w.assignments() {
		set = append(set, a.String())
	}
	drop := ""
	for line := range strings.Lines(w.dropIn()) {
		drop += "|" + line
	}
	facts, err := readProxy(remote.Section{Name: "proxy", Out: "@manager apt\n@init systemd\n@root\n@file /var/lib/runai-prep/proxy.ledger\n!absent\n@file /etc/environment\n!absent\n@file " + dropInPath("containerd") + "\n" + drop +
		"@units\n|Id=containerd.service\n|LoadState=loaded\n|ActiveState=active\n|NeedDaemonReload=no\n|MainPID=7\n|Environment=" + strings.Join(set, " ") +
		"\n@environ containerd.service\n!count " + fmt.Sprint(len(set)) + "\n@end\n"})
	if err != nil {
		t.Fatal(err)
	}
	return facts
}
