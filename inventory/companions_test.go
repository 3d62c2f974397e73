package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// Where registries send on to belongs to what a host needs, goes with what
// sends there, and gives way to what is asked for by itself.
func TestCompanions(t *testing.T) {
	for name, c := range map[string]struct{ egress, want string }{
		"as the profile has it": {"", "quay.io cdn.quay.io cdn01.quay.io cdn02.quay.io cdn03.quay.io"},
		"skipped":               {`skip = ["quay.io"]`, ""},
		"one of them skipped":   {`skip = ["cdn.quay.io", "cdn03.quay.io:443"]`, "quay.io cdn01.quay.io cdn02.quay.io"},
		"of many names":         {"skip = [\"quay.io\", \"*.pkg.dev\"]\nallow = [\"gcr.io\"]", "gcr.io(i.hcl:3) storage.googleapis.com"},
		"asked for":             {`allow = ["cdn01.quay.io"]`, "quay.io cdn.quay.io cdn02.quay.io cdn03.quay.io cdn01.quay.io(i.hcl:2)"},
		"skipped and asked for": {"skip = [\"quay.io\"]\nallow = [\"ghcr.io\", \"ghcr.io:8443\"]", "ghcr.io(i.hcl:3) pkg-containers.githubusercontent.com ghcr.io:8443(i.hcl:3)"},
		"twice":                 {`allow = ["docker.io", "hub.docker.com", "us.gcr.io"]`, "quay.io cdn.quay.io cdn01.quay.io cdn02.quay.io cdn03.quay.io docker.io(i.hcl:2) registry-1.docker.io auth.docker.io production.cloudflare.docker.com production.cloudfront.docker.com(listed) docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com(listed) hub.docker.com(i.hcl:2) us.gcr.io(i.hcl:2) storage.googleapis.com *.pkg.dev(listed)"},
	} {
		inv := load(t, inventory.Options{}, "i.hcl", `egress {
`+c.egress+`
}
requirements = "p"
requirements "p" {
  endpoint "quay.io" {}
}
host "a" {}
`)
		var got []string
		for _, e := range inv.Hosts[0].Egress {
			text := e.Host
			if e.Port != 443 {
				text = fmt.Sprintf("%s:%d", e.Host, e.Port)
			}
			if e.Listed {
				text += "(listed)"
			}
			if e.Why == "i.hcl:2" || e.Why == "i.hcl:3" {
				text += "(" + e.Why + ")"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}
