package inventory_test

import (
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// NO_PROXY holds what the inventory knows to be inside, and says of each entry
// where it comes from. A host within a network that is given adds nothing, so
// that no runtime is restarted when one joins.
func TestNoProxy(t *testing.T) {
	direct := func(hosts string) string {
		t.Helper()
		inv := load(t, inventory.Options{}, "inventory.hcl", `
proxy {
  http_proxy = "http://proxy.example.com:3128"
  no_proxy   = ["10.0.0.0/8", ".corp.example"]
}
registry "registry.corp.example:5000" {}
registry "images.site.example" {}
`+hosts)
		var all []string
		for _, w := range inv.Hosts[0].Proxy.Direct {
			all = append(all, w.Value+" ("+w.Why+")")
		}
		return strings.Join(all, "\n")
	}
	const want = `10.0.0.0/8 (inventory.hcl:2)
.corp.example (inventory.hcl:2)
192.168.7.1 (host out)
out (host out)
elsewhere.example (host named)
named (host named)
images.site.example (registry images.site.example)
localhost (always)
127.0.0.1 (always)
::1 (always)
.svc (always)
.cluster.local (always)`
	const hosts = `
host "gpu-01" { address = "10.0.0.1" }
host "out" { address = "192.168.7.1" }
host "named" { address = "elsewhere.example" }
host "inside" { address = "inside.corp.example" }
`
	if got := direct(hosts); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := direct(hosts + `host "gpu-[02:99]" { address = "10.0.1.${index}" }`); got != want {
		t.Errorf("workers within a given network change the list:\n%s", got)
	}
}
