package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// A box looks into TLS and is no proxy. On each family its certificate is
// trusted and nothing else is changed; an apply that was cut off before the
// runtime was restarted is carried on; and without the block it is gone again.
func TestTransparentBox(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	box, err := os.ReadFile("../../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("box.pem", string(box))
	whole, err := os.ReadFile(filepath.Join(dir, "inventory.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(whole), "\nproxy {\n")
	_, after, found := strings.Cut(rest, "\n}\n")
	if !found {
		t.Fatalf("no proxy block in\n%s", whole)
	}
	// What began in this second may have begun after it.
	time.Sleep(time.Second)

	for name, bundle := range map[string]string{
		"gpu-01": "/etc/ssl/certs/ca-certificates.crt",
		"gpu-12": "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"gpu-13": "/var/lib/ca-certificates/ca-bundle.pem",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // on a busy machine
			defer cancel()
			m := f.Machine(name)
			var c *remote.Conn
			plan := func() []tasks.Finding {
				t.Helper()
				for _, h := range load(t, dir).Hosts {
					if h.Name != name {
						continue
					}
					if c == nil {
						if c, err = d.Dial(ctx, target(h)); err != nil {
							t.Fatal(err)
						}
					}
					probe := tasks.Proxy.Look(h)
					probe.Timeout = time.Minute
					sections, err := c.Look(ctx, tasks.Prelude, []remote.Probe{probe})
					if err != nil {
						t.Fatal(err)
					}
					facts, err := tasks.Proxy.Read(sections[0])
					if err != nil {
						t.Fatalf("%v in\n%s\n%s", err, sections[0].Out, sections[0].Err)
					}
					return tasks.Proxy.Plan(h, facts)
				}
				t.Fatal("it is not in the inventory")
				return nil
			}
			// do carries out the steps up to the first of a title.
			do := func(findings []tasks.Finding, until string) {
				t.Helper()
				for _, finding := range findings {
					for _, s := range finding.Steps {
						if until != "" && strings.HasPrefix(s.Title, until) {
							return
						}
						if err := c.Do(ctx, s, nil); err != nil {
							t.Fatalf("%s: %v", s.Title, err)
						}
					}
				}
			}
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			want := func(findings []tasks.Finding, state tasks.State, have string, restarts int) {
				t.Helper()
				got := 0
				for _, finding := range findings {
					for _, s := range finding.Steps {
						if s.Disrupts != "" {
							got++
						}
					}
				}
				if len(findings) != 1 || findings[0].Subject != "ca certificates" || findings[0].State != state || !strings.Contains(findings[0].Have, have) || got != restarts {
					t.Fatalf("want %s, %q, %d restarts:\n%s", state, have, restarts, describe(findings))
				}
			}
			trusts := func() bool {
				known, _ := m.ReadFile(bundle)
				return strings.Contains(known, string(box))
			}

			write("inventory.hcl", before+"\nproxy {\n  ca_certificates = [file(\"box.pem\")]\n}\n"+after)
			first := plan()
			want(first, tasks.Pending, "not trusted: ", 1)
			do(first, "systemctl restart")
			if !trusts() {
				t.Fatal("it is not trusted")
			}
			missed := plan()
			want(missed, tasks.Pending, "containerd began before", 1)
			if n := len(missed[0].Steps); n != 1 {
				t.Errorf("%d steps:\n%s", n, describe(missed))
			}
			do(missed, "")
			want(plan(), tasks.OK, bundle, 0)

			write("inventory.hcl", before+"\n"+after)
			gone := plan()
			want(gone, tasks.Pending, "1 trusted by runai-prep and no longer wished", 0)
			do(gone, "")
			if left := plan(); len(left) != 0 || trusts() {
				t.Errorf("it is trusted: %v\n%s", trusts(), describe(left))
			}
			if missing := m.Missing(); len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
		})
	}
}
