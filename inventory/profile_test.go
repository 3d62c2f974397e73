package inventory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-version"

	"github.com/runai-prep/runai-prep/inventory"
)

// TestReleases: each release admits the first and the last version of its
// source, with all patches, and neither neighbour.
func TestReleases(t *testing.T) {
	profiles := map[string]*inventory.Profile{}
	for _, p := range inventory.Profiles() {
		profiles[p.Name] = p
	}
	for _, row := range []struct {
		name, kubernetes, openshift, operator, system string
		endpoints                                     int
		worker                                        bool
	}{
		{"runai-2.13", "1.23-1.28", "4.10-4.13", "", "8/16/50", 0, false},
		{"runai-2.16", "1.26-1.28", "4.11-4.14", "", "8/16/50", 0, false},
		{"runai-2.17", "1.27-1.29", "4.12-4.15", "", "8/16/50", 0, false},
		{"runai-2.18", "1.28-1.30", "4.12-4.16", "22.9-23.9", "8/16/50", 0, false},
		{"runai-2.19", "1.28-1.31", "4.12-4.17", "", "8/16/50", 8, false},
		{"runai-2.20", "1.29-1.32", "4.14-4.17", "22.9-25.3", "10/20/50", 8, true},
		{"runai-2.22", "1.31-1.33", "4.15-4.19", "", "10/20/50", 8, false},
		{"runai-2.23", "1.31-1.34", "4.16-4.19", "", "", 8, false},
		{"runai-2.24", "1.33-1.35", "4.17-4.20", "", "", 8, false},
		{"runai-2.25", "1.33-1.35", "4.18-4.21", "25.10-26.3", "10/20/50", 9, true},
	} {
		p := profiles[row.name]
		if p == nil {
			t.Errorf("%s is not there", row.name)
			continue
		}
		delete(profiles, row.name)
		admits(t, p.Name, p.Kubernetes, row.kubernetes)
		admits(t, p.Name, p.OpenShift, row.openshift)
		admits(t, p.Name, p.GPUOperator, row.operator)
		system := ""
		if r, ok := p.Role("system"); ok {
			system = fmt.Sprintf("%d/%d/%d", r.MinCPUs.Value, r.MinMemory.Value/1e9, r.MinDisk.Value/1e9)
			if r.StandIn != "cpu" {
				t.Errorf("%s: %q stands in for system nodes", p.Name, r.StandIn)
			}
		}
		if system != row.system {
			t.Errorf("%s: system nodes need %q, want %q", p.Name, system, row.system)
		}
		for _, role := range []string{"gpu", "cpu"} {
			r, ok := p.Role(role)
			if ok != row.worker || ok && (r.MinCPUs.Value != 2 || r.MinMemory.Value != 4e9 || r.MinDisk.IsSet()) {
				t.Errorf("%s: role %s: %v %+v", p.Name, role, ok, r)
			}
		}
		if len(p.Endpoints) != row.endpoints {
			t.Errorf("%s has %d endpoints, want %d", p.Name, len(p.Endpoints), row.endpoints)
		}
		for _, e := range p.Endpoints {
			system := strings.Contains("app.run.ai prometheus-us-central1.grafana.net runailabs.com", e.Host)
			if e.Port != 443 || system != slices.Equal(e.Roles, []string{"system"}) || system != (e.Phase == "run") {
				t.Errorf("%s: endpoint %+v", p.Name, e)
			}
		}
	}
	delete(profiles, inventory.DefaultProfile)
	for name := range profiles {
		t.Errorf("%s is built in and not in this table", name)
	}
}

// Whatever a built-in profile asks for has the sentence that asks for it, and
// where it stands: minima, maxima, recommendations, exclusions, advice, endpoints.
func TestEveryRowHasItsSentence(t *testing.T) {
	for _, p := range inventory.Profiles() {
		for _, r := range p.Rows() {
			text := r.Text
			if strings.HasPrefix(r.Key, "advice ") {
				text = r.Value
			}
			if strings.TrimSpace(text) == "" || strings.TrimSpace(r.Source) == "" || r.Title == "" {
				t.Errorf("%s: %s: title %q, sentence %q, source %q", p.Name, r.Key, r.Title, text, r.Source)
			}
		}
	}
}

// admits holds a requirement against "1.23-1.28"; empty: none.
func admits(t *testing.T, profile string, r inventory.Requirement, bounds string) {
	t.Helper()
	if bounds == "" {
		if r.Constraint != "" {
			t.Errorf("%s: %q was not seen", profile, r.Constraint)
		}
		return
	}
	c, err := version.NewConstraint(r.Constraint)
	if err != nil {
		t.Errorf("%s: %v", profile, err)
		return
	}
	low, high, _ := strings.Cut(bounds, "-")
	next := func(v string, by int) string {
		var major, minor int
		if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d.%d", major, minor+by)
	}
	for v, want := range map[string]bool{low: true, low + ".0": true, high: true, high + ".99": true, next(low, -1) + ".99": false, next(high, 1): false} {
		if got := c.Check(version.Must(version.NewVersion(v))); got != want {
			t.Errorf("%s: %s admits %s: %v", profile, r.Constraint, v, got)
		}
	}
}

// TestSystemRole: hosts of the role cpu stand in for system nodes only where
// there are none, and without either every host
// needs what system nodes need; the proxy needs all.
func TestSystemRole(t *testing.T) {
	for _, row := range []struct {
		roles string
		want  []string // role: CPUs, and whether app.run.ai is needed
	}{
		{"gpu cpu", []string{"gpu: 2 false", "cpu: 10 true"}},
		{"gpu cpu system", []string{"gpu: 2 false", "cpu: 2 false", "system: 10 true"}},
		{"gpu proxy", []string{"gpu: 2 true", "proxy: 0 true"}},
		{"gpu cpu system proxy", []string{"gpu: 2 false", "cpu: 2 false", "system: 10 true", "proxy: 0 true"}},
	} {
		src := "requirements = \"runai-2.25\"\n"
		for _, r := range strings.Fields(row.roles) {
			src += fmt.Sprintf("host %q { role = %q }\n", r+"-1", r)
		}
		var got []string
		for _, h := range load(t, inventory.Options{}, "i.hcl", src).Hosts {
			needs := slices.ContainsFunc(h.Egress, func(e inventory.Endpoint) bool { return e.Host == "app.run.ai" })
			got = append(got, fmt.Sprintf("%s: %d %v", h.Role, h.Resources.MinCPUs.Value, needs))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.roles, diff)
		}
	}
	inv := load(t, inventory.Options{}, "i.hcl", `
requirements = "runai-2.25"
host "[cpu,system]-1" { role = label }
`)
	if got := inv.Hosts[0].Resources.MinCPUs; got.Value != 2 || got.Why != "runai-2.25: CPU worker node" {
		t.Errorf("roles that patterns make are known before hosts are merged: %+v", got)
	}
}

// TestExcluded: a release is left out with its patches, and a declared
// profile's exclusion reaches the host.
func TestExcluded(t *testing.T) {
	for v, want := range map[string]bool{"1.22": true, "v1.22.3": true, "1.22.0-rc.1": true, "v1.22.3+k3s1": true, "1.2": false, "1.220": false, "1.21.9": false} {
		if got := inventory.Excluded([]string{"1.22"}, v); got != want {
			t.Errorf("%s: %v", v, got)
		}
	}
	inv := load(t, inventory.Options{}, "i.hcl", `
requirements = "site"
requirements "site" {
  extends = "runai-2.18"
  kubernetes { excluded = ["1.29"] }
}
host "a" {}
`)
	k := inv.Hosts[0].Kubernetes
	if !slices.Equal(k.Excluded, []string{"1.29"}) || k.Version.Value != ">= 1.28, < 1.31" {
		t.Errorf("kubernetes: %+v", k)
	}
}
