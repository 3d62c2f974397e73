package inventory_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// TestShownBesideSecrets prints the faults of sources with a secret in the line
// of the fault: validate and fmt show the line, and not the secret.
func TestShownBesideSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		src, hidden string
		shown       string // part of the report
	}{
		"a quote is missing":         {"sudo {\n  password = \"hunter2secret\n}\n", "hunter2", "password = "},
		"a quoted name":              {`sudo { "password" = "hunter2" }`, "hunter2", `sudo { "password" = `},
		"a short secret, quoted":     {`sudo { "password" = "xyz" }`, "xyz", `sudo { "password" = `},
		"a colon":                    {"sudo {\n  password: \"hunter2\"\n}\n", "hunter2", "password: "},
		"a colon, far from quotes":   {"sudo { password: hunter2 extra }\n", "hunter2", "password: "},
		"no sign at all":             {"sudo {\n  password \"hunter2\"\n}\n", "hunter2", "password "},
		"single quotes":              {"sudo {\n  password = 'hunter2'\n}\n", "hunter2", "password = "},
		"the value on the next line": {"sudo {\n  password =\n\n  hunter2\n}\n", "hunter2", "sudo"},
		"a quote above":              {"ssh { user = \"a }\nsudo { password = \"hunter2\" } x\n", "hunter2", "user = "},
		"a quote above, a colon":     {"ssh { user = \"a }\nsudo { \"password\": \"hunter2\" } x\n", "hunter2", "user = "},
		"deep nesting":               {"sudo { password = " + strings.Repeat("(", 501) + "\"hunter2\" }\n", "hunter2", "deeply nested"},
		"a URL":                      {`proxy { https_proxy = "http://u:hunter2@p:3128" }`, "hunter2", "credentials"},
		"a URL with a blank":         {`proxy { https_proxy = "http://u:hunter2 x@p:3128" }`, "hunter2", "credentials"},
		"a URL, open":                {"proxy { https_proxy = \"http://u:hunter2@p:3128 }\n", "hunter2", "https_proxy = "},
		"a URL with no user":         {`proxy { https_proxy = "http://hunter2@p:3128" }`, "hunter2", "credentials"},
		"no scheme":                  {`proxy { https_proxy = "u:hunter2@p:3128" }`, "hunter2", "credentials"},
		"composed":                   {"locals { pw = \"hunter2\" }\nproxy { no_proxy = [\"http://u:${local.pw}@p:3128/\"] }", "hunter2@", "no_proxy = "},
		"a mirror":                   {`nvidia_driver { repository = "http://u:hunt$er2@mirror/cuda" }`, "er2", "repository = "},
		"a label":                    {`registry "u:hunter2@registry:5000" {}`, "hunter2", "registry "},
		"a label with a scheme":      {`registry "http://u:hunter2@registry:5000" {}`, "hunter2", "registry "},
		"an endpoint":                {`egress { allow = ["quay.io", "u:hunter2@quay.io"] }`, "hunter2", `"quay.io"`},
		"an address":                 {`host "a" { address = "root:hunter2@10.0.0.1" }`, "hunter2", "address = "},
		"a hop":                      {`ssh { bastion = ["root:hunter2@10.0.0.1"] }`, "hunter2", "use a key or the agent"},
		"a user":                     {`ssh { user = "root:hunter2" }`, "hunter2", "password = env("},
		"a comment":                  {"host \"a\" { role = \"nope\" } # http://u:hunter2@p\n", "hunter2", "nope"},
		"a short secret, unquoted":   {"sudo { password = xyz }\n", "xyz", "password = "},

		"a comment behind a password": {"ssh {\n  password = env(\"P\")  # from the vault\n  host_key = \"strikt\"\n}", "", `"strikt" is not among`},
		"a comment, and its line":     {"ssh {\n  password = env(\"P\") // from the vault\n  host_key = \"strikt\"\n}", "", `  host_key = "strikt"`},
		"an object on one line":       {`locals { a = { token = "hunter2", mode = "fast" }.b }`, "hunter2", `mode = "fast"`},
		"colons in an object":         {`locals { a = { mode: "fast", "token": "hunter2" }.b }`, "hunter2", `mode: "fast"`},
		"a condition":                 {"locals {\n  a = false ? \"password\" : \"none\" + 1\n}\n", "", `? "password" : "none" + 1`},
		"a short secret, and others":  {"sudo { password = \"a\" }\nhost \"a\" { role = \"gpux\" }", "", `There is no role "gpux"; add role`},
		"a short secret, and a name":  {"sudo { password = \"a\" }\nhost \"a\" {}\nhost \"b\" { address = \"a\" }", "", `The hosts "a" and "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "i.hcl")
			if err := os.WriteFile(path, []byte(c.src), 0o600); err != nil {
				t.Fatal(err)
			}
			inv, diags := inventory.Load(path, inventory.Options{LookupEnv: func(string) (string, bool) { return "from-env", true }})
			var loaded, formatted bytes.Buffer
			if err := inventory.WriteDiagnostics(&loaded, inv.Files, diags, 0, false); err != nil {
				t.Fatal(err)
			}
			_, files, diags := inventory.Format([]byte(c.src), "i.hcl")
			if err := inventory.WriteDiagnostics(&formatted, files, diags, 0, false); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(loaded.String(), c.shown) {
				t.Errorf("does not show %q:\n%s", c.shown, loaded.String())
			}
			if c.hidden != "" && strings.Contains(loaded.String()+formatted.String(), c.hidden) {
				t.Errorf("shows a secret:\n%s\n%s", loaded.String(), formatted.String())
			}
			if diags.HasErrors() && formatted.String() != strings.ReplaceAll(loaded.String(), path, "i.hcl") {
				t.Errorf("fmt reports\n%s\nand validate\n%s", formatted.String(), loaded.String())
			}
		})
	}
}

// TestNoCommands: no program is run, and the hosts are there all the same.
func TestNoCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "i.hcl")
	if err := os.WriteFile(path, []byte("sudo { password = command(\"pass\", \"show\") }\nssh { password = sops(\"x.yaml\") }\nhost \"gpu-[1:3]\" { role = \"gpu\" }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(path, inventory.Options{NoCommands: true, Run: func(_ context.Context, argv []string) ([]byte, error) {
		t.Errorf("runs %q", argv)
		return []byte("x"), nil
	}})
	if len(diags) != 2 || !strings.Contains(diags[0].Detail, "no program is run") {
		t.Errorf("got %v, want one fault for each program", diags)
	}
	if len(inv.Hosts) != 3 || inv.Hosts[2].Name != "gpu-3" || inv.Hosts[2].Role != "gpu" {
		t.Errorf("%+v", inv.Hosts)
	}
}

// TestEmptyFolder: the way out of it exists.
func TestEmptyFolder(t *testing.T) {
	_, diags := inventory.Load(t.TempDir(), inventory.Options{})
	if len(diags) != 1 || strings.Contains(diags[0].Detail, "`runai-prep") {
		t.Fatalf("%v", diags)
	}
	for _, named := range []string{"docs/inventory.md", "examples/"} {
		if _, err := os.Stat("../" + named); err != nil || !strings.Contains(diags[0].Detail, named) {
			t.Errorf("%s: %v; %s", named, err, diags[0].Detail)
		}
	}
}
