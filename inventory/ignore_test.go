package inventory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

// What is ignored adds up over the levels; the highest has the first word on
// each finding, and may take away what a lower one says.
func TestIgnore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.hcl")
	src := `ignore = { "kubernetes/*" = "not ours", "resources/cpus" = "top", "nfs//mnt/old" = "going" }
role "batch" {
  ignore        = ["resources/cpus", "kubernetes/swap"]
  ignore_reason = "batch nodes, OPS-4711"
}
host "plain" {}
host "batch-[1:2]" {
  address = "10.0.0.${index}"
  role    = "batch"
  ignore  = { "nfs//mnt/old" = null, "egress/*.quay.io:443" = "asked by ${name}" }
}
`
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(path, inventory.Options{})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	got := map[string][]inventory.Ignored{}
	for _, h := range inv.Hosts {
		got[h.Name] = h.Ignore
	}
	top := func(finding, reason string) inventory.Ignored {
		return inventory.Ignored{Finding: finding, Reason: reason, Why: "inventory.hcl:1"}
	}
	batch := func(name string) []inventory.Ignored {
		return []inventory.Ignored{
			{Finding: "egress/*.quay.io:443", Reason: "asked by " + name, Why: "inventory.hcl:10"},
			{Finding: "resources/cpus", Reason: "batch nodes, OPS-4711", Why: "inventory.hcl:3"},
			{Finding: "kubernetes/swap", Reason: "batch nodes, OPS-4711", Why: "inventory.hcl:3"},
			top("kubernetes/*", "not ours"),
		}
	}
	want := map[string][]inventory.Ignored{
		"plain":   {top("nfs//mnt/old", "going"), top("resources/cpus", "top"), top("kubernetes/*", "not ours")},
		"batch-1": batch("batch-1"),
		"batch-2": batch("batch-2"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIgnoredCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, task, subject string
		want                   bool
	}{
		{"kubernetes/swap", "kubernetes", "swap", true},
		{"kubernetes/swap", "kubernetes", "swaps", false},
		{"kubernetes/swap", "nfs", "swap", false},
		{"nfs//mnt/data", "nfs", "/mnt/data", true},
		{"nfs/*", "nfs", "/mnt/data", true},
		{"nfs//mnt/*/x", "nfs", "/mnt/a/b/x", true},
		{"nfs//mnt/*/x", "nfs", "/mnt/a/b/y", false},
		{"egress/*.quay.io:443", "egress", "cdn01.quay.io:443", true},
		{"egress/*.quay.io:443", "egress", "quay.io:443", false},
		{"egress/[::1]:443", "egress", "[::1]:443", true},
		{"egress/cdn0?.quay.io:443", "egress", "cdn03.quay.io:443", true},
		{"egress/a*a*a*a*a*b", "egress", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"driver/*", "driver", "", true},
	} {
		if got := (inventory.Ignored{Finding: c.pattern}).Covers(c.task, c.subject); got != c.want {
			t.Errorf("%s covers %s/%s: %t", c.pattern, c.task, c.subject, got)
		}
	}
}
