//go:build linux

package tasks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	goversion "github.com/hashicorp/go-version"
	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A host on which there is nothing to do is asked with five processes, whatever
// its distribution; one on which there is, with a dozen or so.
func TestDriverProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can look at a tree of files as if it were a host")
	}
	programs, err := newToolbox("dash", "cat", "find", "grep", "timeout", "env")
	if err != nil {
		t.Skipf("a program for the trees is not here: %v", err)
	}
	for pattern, most := range map[string]int{"*-wished": 3, "rocky-9-busy": 9, "ubuntu-22.04-busy": 10, "sles-15-busy": 7, "rocky-9-secure-boot-requested": 8} {
		paths, err := filepath.Glob("testdata/driver/" + pattern + ".txtar")
		if err != nil || len(paths) == 0 {
			t.Errorf("there is no case %s (%v)", pattern, err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parts := make(map[string]string)
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			if parts["host"] == "" {
				continue // a recording
			}
			root := t.TempDir()
			if err := hostTree(root, parts["host"], parts["host.offers"]); err != nil {
				t.Fatal(err)
			}
			if err := programs.into(root); err != nil {
				t.Fatal(err)
			}
			// What stands in for a program runs cat, which the program does not.
			stand, ins := 0, parts["probe"]
			for _, block := range []string{"\n@packages\n", "\n@units\n", "\n@space\n", "\n@policy\n", "\n@rpms\n", "\n@streams\n", "\n@zypper\n", "\n@yum\n"} {
				stand += strings.Count(ins, block)
			}
			stand += strings.Count(ins, "|filename:")
			if strings.Contains(ins, "\n@policy\n") {
				stand-- // that one is what cat itself becomes
			}
			for _, block := range []string{"\n@rpms\n", "\n@streams\n", "\n@zypper\n"} {
				stand -= strings.Count(ins, block)
			}
			if n := processesIn(t, root, "/usr/bin/dash", loadHost(t, parts["inventory.hcl"]), Driver) - stand; n > most {
				t.Errorf("%s: %d processes, and its share is %d", path, n, most)
			} else {
				t.Logf("%s: %d", filepath.Base(path), n)
			}
		}
	}
}

// The shell and go-version say the same of a version and a constraint.
func TestWishedVersion(t *testing.T) {
	constraints := []string{">= 535.104, < 536, >= 384.81", "> 535.104.05", "<= 550.54", "= 535.104.05", "535.104.05", "!= 535.104.05", "~> 535.104", "~> 535.104.05", "~> 535", ">= 410.104"}
	versions := []string{"535.104", "535.104.05", "535.104.5", "535.99", "535.261.03", "536", "536.1", "384.81", "384.9", "550.54.15", "550.54", "550.100", "410.104", "410.48"}
	var script strings.Builder
	script.WriteString(Prelude + probeDriverTools[:strings.Index(probeDriverTools, "# line FILE")])
	var want []string
	for _, c := range constraints {
		parsed, err := goversion.NewConstraint(c)
		if err != nil {
			t.Fatal(err)
		}
		script.WriteString(wishedVersion(&inventory.Driver{Constraint: c}))
		for _, v := range versions {
			script.WriteString("if wished " + v + "; then echo '" + v + " is " + c + "'; else echo '" + v + " is not " + c + "'; fi\n")
			is := " is not "
			if parsed.Check(goversion.Must(goversion.NewVersion(v))) {
				is = " is "
			}
			want = append(want, v+is+c)
		}
	}
	for _, shell := range testShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		cmd := exec.Command(shell[0], shell[1:]...)
		cmd.Stdin = strings.NewReader(script.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", shell, err)
		}
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Errorf("%v: got %q, want %q", shell, got[min(i, len(got)-1)], want[i])
			}
		}
	}
}

// nvidia-smi can hang so that nothing ends it; then it is named.
func TestHangingSMI(t *testing.T) {
	_, err := readDriver(remote.Section{Name: "driver", Out: "@kernel 6.1\n@smi\n!began\n", Failure: "no answer within 10s"})
	if err == nil || !strings.Contains(err.Error(), "nvidia-smi did not end") {
		t.Errorf("got %v", err)
	}
}
