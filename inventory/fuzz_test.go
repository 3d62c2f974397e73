package inventory_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
)

// FuzzLoad: no inventory makes Load panic or go on for ever, and every fault
// can be printed. Commands are not run.
func FuzzLoad(f *testing.F) {
	for _, glob := range []string{"testdata/faults/*.hcl", "testdata/unparsed/*.hcl", "../examples/*.hcl", "../examples/*/*.hcl", "profiles/*.hcl"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: no seeds: %v", glob, err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.HasSuffix(name, "/many.hcl") {
				f.Add(src)
			}
		}
	}
	f.Add([]byte("locals {\n a = [1,1]\n b = concat(local.a, local.a)\n c = [for x in local.b : local.b]\n}\nhost \"a[1:9]\" { address = \"${index % 0}${indices[9]}\" }"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := os.CreateTemp(dir, "*.hcl")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file.Name())
		if _, err := file.Write(src); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		inv, diags := inventory.Load(file.Name(), inventory.Options{
			LookupEnv: func(n string) (string, bool) { return "value", n == "PASSWORD" },
			Run:       func(context.Context, []string) ([]byte, error) { return nil, errors.New("not run") },
		})
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
		var out bytes.Buffer
		if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 78, true); err != nil {
			t.Fatal(err)
		}
		if !diags.HasErrors() {
			for _, h := range inv.Hosts {
				if h.Settings == nil || h.Address == "" || h.Requirements == nil {
					t.Errorf("a host without settings or address: %+v", h)
				}
			}
		}
		if out, _, diags := inventory.Format(src, "f.hcl"); !diags.HasErrors() {
			if again, _, _ := inventory.Format(out, "f.hcl"); !bytes.Equal(out, again) {
				t.Errorf("formatting twice differs:\n%s\n%s", out, again)
			}
		}
	})
}

// TestBinaryFile: what is no text at all ends in a bounded report.
func TestBinaryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "binary.hcl")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0x7f}, 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(path, inventory.Options{})
	if !diags.HasErrors() || len(diags) > 2000 {
		t.Errorf("%d diagnostics", len(diags))
	}
	var out bytes.Buffer
	if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 80, false); err != nil || out.Len() > 4<<20 {
		t.Errorf("a report of %d bytes: %v", out.Len(), err)
	}
}

// TestTooDeep: sources that would exhaust the stack of the parser, or of the
// evaluation.
func TestTooDeep(t *testing.T) {
	dir := t.TempDir()
	for name, expr := range map[string]string{
		"parentheses": strings.Repeat("(", 1<<12),
		"minus":       strings.Repeat("-", 1<<16) + "1",
		"sum":         "1" + strings.Repeat("+1", 1<<16),
		"indices":     "var.a" + strings.Repeat("[0]", 1<<16),
		"conditions":  strings.Repeat("1?1:", 1<<16) + "1",
		"objects":     strings.Repeat("{\n a = --", 1<<12),
		"number":      "\"${1e600000000}\"",
		"templates":   strings.Repeat(`"${`, 1<<12),
	} {
		path := filepath.Join(dir, name+".hcl")
		if err := os.WriteFile(path, []byte("locals {\n  a = "+expr+"\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		inv, diags := inventory.Load(path, inventory.Options{})
		if !strings.Contains(diags.Error(), "Too deeply nested") {
			t.Errorf("%s: %v", name, diags)
		}
		var out bytes.Buffer
		if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 80, false); err != nil || out.Len() > 2000 {
			t.Errorf("%s: a report of %d bytes: %v", name, out.Len(), err)
		}
	}
}
