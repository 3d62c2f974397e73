package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

func target(h inventory.Host) remote.Target {
	return remote.Target{Name: h.Name, Host: h.Address, Port: h.SSH.Port, User: h.SSH.User, IdentityFiles: h.SSH.IdentityFiles,
		KnownHosts: h.SSH.KnownHosts, ConnectTimeout: h.SSH.ConnectTimeout,
		Sudo: remote.Sudo{Enabled: h.Sudo.Enabled, Password: h.Sudo.Password}}
}

// look looks at a host as the command does, and plans.
func look(ctx context.Context, c *remote.Conn, h inventory.Host) ([]tasks.Finding, error) {
	var probes []remote.Probe
	for _, t := range tasks.All {
		probes = append(probes, remote.Probe{Name: t.Name, Script: t.Probe(h)})
	}
	sections, err := c.Look(ctx, tasks.Prelude, probes)
	if err != nil {
		return nil, err
	}
	var all []tasks.Finding
	for i, t := range tasks.All {
		s := sections[i]
		if s.Failure != "" || s.Exit != 0 || s.Err != "" {
			return nil, fmt.Errorf("%s: %s, exit %d: %s\n%s", t.Name, s.Failure, s.Exit, s.Err, s.Out)
		}
		facts, err := t.Read(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w in\n%s", t.Name, err, s.Out)
		}
		for _, f := range t.Plan(h, facts) {
			f.Subject = t.Name + "/" + f.Subject
			all = append(all, f)
		}
	}
	return all, nil
}

func describe(findings []tasks.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-8s %s: have %s, want %s (%s) %s\n", f.State, f.Subject, f.Have, f.Want, f.Why, f.Hint)
		for _, s := range f.Steps {
			fmt.Fprintf(&b, "         - %s\n", s.Title)
		}
	}
	return b.String()
}

// ills is how each illness shows in a plan: what is not ok, and a piece of what
// the host has.
var ills = map[string]map[string]string{
	"gpu-01": {},
	"gpu-02": {"nfs//mnt/data": "not mounted"},
	"gpu-03": {"proxy/environment": oldProxy, "proxy/apt": oldProxy, "proxy/containerd": oldProxy},
	"gpu-04": {},
	"gpu-05": {"nfs//mnt/data": oldNAS + ":/data"},
	"gpu-06": {"proxy/environment": "not set", "proxy/apt": "not set", "proxy/containerd": "not set", "nfs//mnt/data": "not mounted"},
	"gpu-07": {"proxy/environment": "not set", "proxy/apt": "not set", "proxy/containerd": "not set", "nfs//mnt/data": "not mounted"},
	"cpu-01": {"resources/memory": "1.9"},
}

// Every host of the clinic shows its illness and no other; those that can be
// made ready are made ready by the steps that are planned, and a second look
// plans nothing.
func TestMadeReady(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	inv, diags := inventory.Load(filepath.Join(dir, "inventory.hcl"), inventory.Options{LookupEnv: func(string) (string, bool) { return "", false }})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(inv.Hosts) != len(f.Hosts) {
		t.Fatalf("%d hosts in the inventory, %d in the fleet", len(inv.Hosts), len(f.Hosts))
	}
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	for _, h := range inv.Hosts {
		t.Run(h.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c, err := d.Dial(ctx, target(h))
			if h.Name == "gpu-08" || h.Name == "gpu-09" {
				if err == nil {
					t.Fatal("it answered")
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			before, err := look(ctx, c, h)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("before:\n%s", describe(before))
			ill := maps.Clone(ills[h.Name])
			for _, finding := range before {
				have, expected := ill[finding.Subject]
				if (finding.State != tasks.OK) != expected || !strings.Contains(finding.Have, have) {
					t.Errorf("%s is %s: %s", finding.Subject, finding.State, finding.Have)
				}
				delete(ill, finding.Subject)
			}
			for subject := range ill {
				t.Errorf("nothing is said of %s", subject)
			}
			for _, finding := range before {
				for _, s := range finding.Steps {
					if err := c.Do(ctx, s); err != nil {
						t.Fatalf("%s: %s: %v", finding.Subject, s.Title, err)
					}
				}
			}
			after, err := look(ctx, c, h)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range after {
				want := tasks.OK
				if h.Name == "cpu-01" && strings.HasSuffix(finding.Subject, "/memory") {
					want = tasks.Unmet
				}
				if finding.State != want {
					t.Errorf("afterwards:\n%s", describe([]tasks.Finding{finding}))
				}
			}
			if missing := f.Machine(h.Name).Missing(); len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
		})
	}
}
