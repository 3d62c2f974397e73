package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// A proxy with a login is set, and when it leaves the inventory each host is as
// it was before, whatever its package manager reads.
func TestProxyGone(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	file := filepath.Join(dir, "inventory.hcl")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(whole), "\nproxy {\n")
	_, after, found := strings.Cut(rest, "\n}\n")
	if !found {
		t.Fatalf("no proxy block in\n%s", whole)
	}
	const proxy = `
proxy {
  http_proxy  = "http://10.77.0.1:3128"
  https_proxy = "http://10.77.0.1:3128"
  username    = "runai"
  password    = env("PROXY_PASSWORD")
}
`
	for _, name := range []string{"gpu-03", "gpu-12", "gpu-13"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // on a busy machine
			defer cancel()
			var c *remote.Conn
			settle := func(block string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(before+block+after), 0o600); err != nil {
					t.Fatal(err)
				}
				inv, diags := inventory.Load(file, inventory.Options{LookupEnv: func(n string) (string, bool) { return "p@ss%w:rd 4711", n == "PROXY_PASSWORD" }})
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				for _, h := range inv.Hosts {
					if h.Name != name {
						continue
					}
					if c == nil {
						if c, err = d.Dial(ctx, target(h)); err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { c.Close() })
					}
					plan := func() (all []tasks.Finding) {
						t.Helper()
						probe := tasks.Proxy.Look(h)
						probe.Timeout = time.Minute
						sections, err := c.Look(ctx, tasks.Prelude, []remote.Probe{probe})
						if err != nil {
							t.Fatal(err)
						}
						facts, err := tasks.Proxy.Read(sections[0])
						if err != nil {
							t.Fatal(err)
						}
						return tasks.Proxy.Plan(h, facts)
					}
					for _, finding := range plan() {
						for _, s := range finding.Steps {
							if err := c.Do(ctx, s, nil); err != nil {
								t.Errorf("%s: %s: %v", finding.Subject, s.Title, err)
							}
						}
					}
					for _, finding := range plan() {
						if finding.State != tasks.OK {
							t.Errorf("afterwards:\n%s", describe([]tasks.Finding{finding}))
						}
					}
				}
			}
			m := f.Machine(name)
			was, content := m.listing(), map[string]string{}
			for _, path := range []string{"/etc/environment", "/etc/dnf/dnf.conf", "/etc/sysconfig/proxy"} {
				content[path], _ = m.ReadFile(path)
			}
			settle(proxy)
			if text, _ := m.ReadFile("/etc/environment"); !strings.Contains(text, "10.77.0.1") {
				t.Errorf("the proxy is not set: %s", text)
			}
			settle("\n")
			for path := range m.listing() {
				if strings.Contains(path, "/var/lib/runai-prep") {
					continue // copies of what others had there
				}
				if _, had := was[path]; !had && !strings.HasSuffix(path, ".service.d") && !strings.HasSuffix(path, "/etc/runai-prep") {
					t.Errorf("%s is left", path)
				}
			}
			for path, had := range content {
				if now, _ := m.ReadFile(path); now != had {
					t.Errorf("%s is now\n%s\nand was\n%s", path, now, had)
				}
			}
		})
	}
}
