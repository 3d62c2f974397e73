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

// A host of EL goes from nothing to one branch of NVIDIA's repository and on to
// the next, whose modules DKMS builds, and nothing of the former is left.
func TestUpgradeFromNVIDIAsRepository(t *testing.T) {
	const name = "gpu-12"
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	wish := func(text string) {
		t.Helper()
		file := filepath.Join(dir, "inventory.hcl")
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(old), `group "el"`)
		head, tail := string(old[:at]), string(old[at:])
		before, rest, _ := strings.Cut(tail, `version = "`)
		_, after, _ := strings.Cut(rest, `"`)
		if err := os.WriteFile(file, []byte(head+before+`version = "`+text+`"`+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apply := func() {
		t.Helper()
		for _, h := range load(t, dir).Hosts {
			if h.Name != name {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c, err := d.Dial(ctx, target(h))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			before, err := look(ctx, c, h)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range before {
				for _, s := range finding.Steps {
					if err := c.Do(ctx, s, nil); err != nil {
						t.Fatalf("%s: %s: %v", finding.Subject, s.Title, err)
					}
				}
			}
			after, err := look(ctx, c, h)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range after {
				if finding.State != tasks.OK {
					t.Errorf("afterwards:\n%s", describe([]tasks.Finding{finding}))
				}
			}
		}
	}
	for _, step := range []struct{ wish, version, gone string }{
		{">= 570, < 571", "570.158.01", "580.95.05"},
		{">= 580.65, < 581", "580.95.05", "570.158.01"},
	} {
		wish(step.wish)
		apply()
		out, _ := f.Machine(name).Run("rpm -qa 'kmod-nvidia*' 'nvidia-driver-cuda*'; dkms status; modinfo -F version nvidia; cat /proc/driver/nvidia/version; dkms autoinstall -k $(uname -r); modinfo -F version nvidia; ls /lib/modules/*/extra /lib/modules/*/updates 2>&1")
		if !strings.Contains(out, "nvidia-open/"+step.version+", ") || !strings.Contains(out, "Module for x86_64  "+step.version+" ") || strings.Contains(out, step.gone) {
			t.Errorf("%s is wished:\n%s", step.wish, out)
		}
	}
}
