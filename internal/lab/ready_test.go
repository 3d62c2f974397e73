package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
	"golang.org/x/sync/errgroup"
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
		probes = append(probes, t.Look(h))
	}
	sections, err := c.Look(ctx, tasks.Prelude, probes)
	if err != nil {
		return nil, err
	}
	var all []tasks.Finding
	for i, t := range tasks.All {
		s := sections[i]
		if s.Failure != "" || s.Exit != 0 || s.Err != "" && s.Err != "Killed\n" {
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

func load(t testing.TB, dir string) *inventory.Inventory {
	t.Helper()
	inv, diags := inventory.Load(filepath.Join(dir, "inventory.hcl"), inventory.Options{LookupEnv: func(string) (string, bool) { return "", false }})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return inv
}

// ills is how each illness shows in a plan: what is not ok, and a piece of what
// the host has.
var ills = map[string]map[string]string{
	"gpu-01": {},
	"gpu-02": {"nfs//mnt/data": "not mounted"},
	"gpu-03": {"proxy/environment": oldProxy, "proxy/apt": oldProxy, "proxy/containerd": oldProxy, "proxy/no_proxy": "not everywhere"},
	"gpu-04": with(driverIll("470.256.02", "5.15.0-143-generic"), stopped, map[string]string{"driver/image " + practiceImage: "PyTorch 2.1.0, CUDA 12.2.2, requires cuda>=12.2"}),
	"gpu-05": {"nfs//mnt/data": oldNAS + ":/data"},
	"gpu-06": with(driverIll("none", "5.15.0-143-generic"), map[string]string{
		"driver/nouveau": "loaded", "driver/nvidia-persistenced": "not installed",
		"proxy/ca certificates": "not trusted: Example Corp practice CA",
		"proxy/environment":     "not set", "proxy/apt": "not set", "proxy/containerd": "not set", "proxy/no_proxy": "not everywhere", "nfs//mnt/data": "not mounted"}),
	"gpu-07": {"proxy/ca certificates": "not trusted: Example Corp practice CA", "proxy/environment": "not set", "proxy/apt": "not set", "proxy/containerd": "not set", "proxy/no_proxy": "not everywhere", "nfs//mnt/data": "not mounted"},
	"gpu-10": {"driver/nvidia driver": "535.309.01, and 535.261.03 loaded", "driver/nvidia packages": "535.309.01", "driver/nvidia module loaded": "535.261.03", "driver/nvidia services": "will stop while the driver is replaced"},
	"gpu-11": with(driverIll("535.183.01", "5.15.0-143-generic"), stopped, map[string]string{"driver/gpu processes": "python3 (ops, docker 3f1c9d0b7a6e)"}),
	"gpu-12": with(driverIll("none", rockyKernel), map[string]string{"driver/nouveau": "loaded", "driver/nvidia-persistenced": "not installed"}),
	"gpu-13": with(driverIll("570.158.01", slesKernel), stopped),
	"gpu-14": {"driver/nvidia module for 6.1.0-38-amd64": "none"},
	"cpu-01": {"resources/memory": "1.9"},
	"cpu-02": {"egress/quay.io:443": "403"},
}

// driverIll is a driver that is to be replaced.
func driverIll(has, kernel string) map[string]string {
	return map[string]string{"driver/nvidia driver": has, "driver/nvidia packages": has, "driver/nvidia module for " + kernel: has,
		"driver/nvidia module loaded": has, "driver/nvidia user space": has}
}

// stopped are services that stop while the driver that is loaded is replaced.
var stopped = map[string]string{"driver/nvidia services": "will stop while the driver is replaced"}

func with(a map[string]string, others ...map[string]string) map[string]string {
	a = maps.Clone(a)
	for _, b := range others {
		maps.Copy(a, b)
	}
	return a
}

// stays are those of the clinic that no plan makes well, and what stays.
var stays = map[string]string{"cpu-01": "resources/memory", "cpu-02": "egress/quay.io:443", "gpu-11": "driver/"}

// Every host of the clinic shows its illness and no other; those that can be
// made ready are made ready by the steps that are planned, and a second look
// plans nothing.
func TestMadeReady(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	inv := load(t, dir)
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
		steps:
			for _, finding := range before {
				for _, s := range finding.Steps {
					err := c.Do(ctx, s, nil)
					if s.Run != nil && s.Run.Guard && err != nil {
						// What a guard keeps from being done is left undone.
						if !strings.Contains(err.Error(), "python3") {
							t.Errorf("the guard says %v", err)
						}
						break steps
					}
					if err != nil {
						t.Fatalf("%s: %s: %v", finding.Subject, s.Title, err)
					}
				}
			}
			after, err := look(ctx, c, h)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range after {
				undone := stays[h.Name] != "" && strings.HasPrefix(finding.Subject, stays[h.Name])
				if finding.State != tasks.OK && !undone {
					t.Errorf("afterwards:\n%s", describe([]tasks.Finding{finding}))
				}
			}
			if missing := f.Machine(h.Name).Missing(); len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
		})
	}
}

// Drift that is made by hand is found, what is not wrong is not, and all of it
// outlives a reboot or does not as on a real machine.
func TestDrift(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	h := load(t, dir).Hosts[0]
	m := f.Machine(h.Name)
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pending := func() string {
		t.Helper()
		c, err := d.Dial(ctx, target(h))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		findings, err := look(ctx, c, h)
		if err != nil {
			t.Fatal(err)
		}
		var subjects []string
		for _, finding := range findings {
			if finding.State != tasks.OK {
				subjects = append(subjects, finding.Subject)
			}
		}
		return strings.Join(subjects, " ")
	}
	by := func(script string) {
		t.Helper()
		if out, exit := m.Run(script); exit != 0 {
			t.Fatalf("%s: exit %d\n%s", script, exit, out)
		}
	}
	if got := pending(); got != "" {
		t.Fatalf("at first: %s", got)
	}
	by("umount /mnt/data")
	if got := pending(); got != "nfs//mnt/data" {
		t.Errorf("unmounted: %q", got)
	}
	// fstab is as it was, so a reboot, here as a step of a plan, mends it.
	c, err := d.Dial(ctx, target(h))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := m.BootID()
	if err := c.Do(ctx, remote.Step{Title: "reboot", Reboot: &remote.Reboot{Timeout: 30 * time.Second}}, nil); err != nil {
		t.Fatal(err)
	}
	if m.BootID() == before || m.Boots() != 2 {
		t.Errorf("%d boots, boot id %s, before %s", m.Boots(), m.BootID(), before)
	}
	if got := pending(); got != "" {
		t.Errorf("after the reboot: %q", got)
	}
	// A drop-in counts once systemd has read it and the unit was started anew.
	by("rm /etc/systemd/system/containerd.service.d/http-proxy.conf; systemctl daemon-reload; systemctl restart containerd")
	if got := pending(); got != "proxy/containerd proxy/no_proxy" {
		t.Errorf("without the drop-in: %q", got)
	}
	by("grep -v /mnt/data /etc/fstab >/tmp/new; cat /tmp/new >/etc/fstab; : >/etc/environment")
	if got := pending(); got != "proxy/environment proxy/containerd proxy/no_proxy nfs//mnt/data" {
		t.Errorf("without lines: %q", got)
	}
	if missing := m.Missing(); len(missing) > 0 {
		t.Errorf("missing: %v", missing)
	}
}

// A NAS that died makes everything hang that touches its mount. The look comes
// back all the same, and says so.
func TestDeadNAS(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	h := load(t, dir).Hosts[0]
	m := f.Machine(h.Name)
	m.Silence("nas.example.com", true)
	for _, script := range []string{"[ -d /mnt/data ]", "ls /mnt/data", "cat </mnt/data/file", "stat /mnt/data", "df /mnt/data", "cd /mnt/data", "echo /mnt/data/*", "umount /mnt/data"} {
		if out, exit := m.Run("timeout -s KILL 0.05 sh -c '" + script + "'"); exit != 137 {
			t.Errorf("%s did not hang: exit %d, %s", script, exit, out)
		}
	}
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := d.Dial(ctx, target(h))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	findings, err := look(ctx, c, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		if (finding.State == tasks.OK) != (finding.Subject != "nfs//mnt/data") {
			t.Errorf("%s", describe([]tasks.Finding{finding}))
		}
		if finding.Subject == "nfs//mnt/data" {
			t.Log(describe([]tasks.Finding{finding}))
		}
	}
	m.Silence("nas.example.com", false)
	if out, exit := m.Run("umount /mnt/data"); exit != 0 {
		t.Errorf("after it came back: %s", out)
	}
}

// Five hundred hosts fit into one process; many are looked at at once.
func TestFiveHundred(t *testing.T) {
	const hosts, looks = 500, 50
	dir := t.TempDir()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	f := start(t, Config{Dir: dir, Hosts: hosts})
	runtime.GC()
	runtime.ReadMemStats(&after)
	perHost := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / hosts
	t.Logf("started in %v, %d KiB a host", time.Since(began), perHost>>10)
	if perHost > 128<<10 {
		t.Errorf("a host takes %d KiB", perHost>>10)
	}
	inv := load(t, dir)
	if len(inv.Hosts) != hosts || len(f.Hosts) != hosts {
		t.Fatalf("%d hosts in the inventory, %d in the fleet", len(inv.Hosts), len(f.Hosts))
	}
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	began = time.Now()
	var g errgroup.Group
	g.SetLimit(16)
	for i := 0; i < hosts; i += hosts / looks {
		h := inv.Hosts[i]
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			c, err := d.Dial(ctx, target(h))
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			defer c.Close()
			findings, err := look(ctx, c, h)
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			for _, finding := range findings {
				if finding.State != tasks.OK {
					return fmt.Errorf("%s is not healthy: %s", h.Name, describe(findings))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d looked at in %v", looks, time.Since(began))
}
