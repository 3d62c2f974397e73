package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// nft itself takes the rules, a second time for the same, and whatever roles and
// names there are.
func TestNFTablesLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.hcl")
	if err := os.WriteFile(path, []byte(`
egress { allow = ["a-b.example", "a.b.example:8443", "192.0.2.7", "[2001:db8::9]:5000"] }
role "gpu-a" {}
role "gpu_a" {}
host "a-[1:3]" {
  address = "10.0.0.${index}"
  role    = "gpu-a"
}
host "b" {
  address = "10.0.0.9"
  role    = "gpu_a"
}
host "c" { address = "2001:db8::1" }
host "d" {}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(path, inventory.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var rules bytes.Buffer
	if err := allowNFTables(&rules, inv, inv.Hosts); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"nft", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not here", program)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace of its own needs root")
	}
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "sh", "-ec", `nft -f "$1"; nft list ruleset; echo ====; nft -f "$1"; nft list ruleset`, "sh", file)
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "Operation not permitted") {
		t.Skipf("no nftables here: %s", out)
	}
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, rules.Bytes())
	}
	once, twice, _ := strings.Cut(string(out), "====\n")
	if once != twice || !strings.Contains(once, "10.0.0.1-10.0.0.3") {
		t.Errorf("loaded once:\n%s\nand twice:\n%s", once, twice)
	}
}
