package inventory_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// TestExamples loads every inventory of the folder examples: without advice,
// and formatted.
func TestExamples(t *testing.T) {
	hosts := map[string]string{ // what each must come to
		"small.hcl":   "cpu-1, gpu-[1:2]",
		"racks.hcl":   "a-cpu-[1:2], a-gpu-[01:16], b-cpu-[1:2], b-gpu-[01:17]",
		"air-gapped":  "gpu-[01:08], proxy",
		"drivers.hcl": "image, infer-[01:04], lab-[1:2], op-[1:2], train-[01:08]",
	}
	found, err := filepath.Glob("../examples/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("../examples/*/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		found = append(found, filepath.Dir(f))
	}
	for _, path := range found {
		inv, diags := inventory.Load(path, inventory.Options{
			LookupEnv: func(n string) (string, bool) { return "x", n == "SUDO_PASSWORD" || n == "PROXY_PASSWORD" },
		})
		var out bytes.Buffer
		if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 80, false); err != nil || out.Len() > 0 {
			t.Errorf("%s: %v\n%s", path, err, out.String())
			continue
		}
		var names []string
		for _, h := range inv.Hosts {
			names = append(names, h.Name)
		}
		if want, known := hosts[filepath.Base(path)]; known && inventory.Compact(names) != want {
			t.Errorf("%s: hosts are %s, want %s", path, inventory.Compact(names), want)
		}
		delete(hosts, filepath.Base(path))
	}
	for name := range hosts {
		if _, err := os.Stat("../examples/" + name); err != nil {
			t.Errorf("%s is missing", name)
		}
	}
	for _, path := range append(folders, found...) {
		src, err := os.ReadFile(path)
		if err != nil {
			continue // a folder
		}
		if got, _, diags := inventory.Format(src, path); diags.HasErrors() || !bytes.Equal(got, src) {
			t.Errorf("%s is not formatted: %v", path, diags)
		}
	}
}
