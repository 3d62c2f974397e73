package inventory_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/runai-prep/runai-prep/inventory"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/faults from what Load says")

// canary is part of every secret of the fixtures.
const canary = "canary"

// TestFaults loads each fixture and compares its diagnostics with the comments
// that it ends its lines with: `# ERROR summary: detail`, or WARNING. Those
// outside the file are expected at its end. Comments also give what comes from
// outside: `# --var name=value`, `# env NAME=value`, `# command NAME=output`.
//
// No output of any writer may hold a secret, whatever else is wrong.
func TestFaults(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/faults/*.hcl")
	if err != nil || len(fixtures) < 10 {
		t.Fatalf("no fixtures: %v %v", fixtures, err)
	}
	for _, name := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".hcl"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			inv, diags := inventory.Load(name, fixtureOptions(string(src)))
			got := annotate(string(src), name, diags)
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(src), got); diff != "" && !*update {
				t.Errorf("diagnostics differ (-want +got):\n%s", diff)
			}
			if len(diags) == 0 {
				t.Error("no diagnostic: the fixture shows nothing")
			}
			for _, d := range diags {
				if d.Detail == "" || d.Expression != nil || d.EvalContext != nil {
					t.Errorf("%v: no detail, or the values of variables attached", d)
				}
			}
			var out bytes.Buffer
			if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 80, true); err != nil {
				t.Fatal(err)
			}
			if err := hcl.NewDiagnosticTextWriter(&out, inv.Files, 80, true).WriteDiagnostics(diags); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%v %+v %#v", diags.Error(), diags, inv.Hosts[:min(len(inv.Hosts), 50)])
			for line := range strings.SplitSeq(out.String(), "\n") {
				if strings.Contains(line, canary) {
					t.Errorf("shows a secret: %s", line)
				}
			}
		})
	}
}

var (
	expectation = regexp.MustCompile(`(?m)[ \t]*# (ERROR|WARNING) .*$`)
	nowhere     = regexp.MustCompile(`(?m)^# NOWHERE .*\n`)
)

// annotate rewrites the expectations of a fixture.
func annotate(src, name string, diags hcl.Diagnostics) string {
	src = nowhere.ReplaceAllString(src, "")
	lines := strings.Split(expectation.ReplaceAllString(src, ""), "\n")
	var end []string
	for _, d := range diags {
		word := "ERROR"
		if d.Severity == hcl.DiagWarning {
			word = "WARNING"
		}
		text := fmt.Sprintf("# %s %s: %s", word, d.Summary, strings.ReplaceAll(d.Detail, "\n", " "))
		if d.Subject == nil || d.Subject.Filename != name {
			if d.Subject != nil {
				text += " (" + d.Subject.Filename + ")"
			}
			end = append(end, "# NOWHERE"+text[1:]+"\n")
			continue
		}
		lines[d.Subject.Start.Line-1] += " " + text
	}
	return strings.Join(lines, "\n") + strings.Join(end, "")
}

// fixtureOptions reads what a fixture's first comments give it.
func fixtureOptions(src string) inventory.Options {
	env, outputs := map[string]string{}, map[string]string{}
	o := inventory.Options{
		LookupEnv: func(n string) (string, bool) { v, ok := env[n]; return v, ok },
		Now:       func() time.Time { return time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) },
		Run: func(_ context.Context, argv []string) ([]byte, error) {
			if out, ok := outputs[argv[0]]; ok {
				return []byte(out), nil
			}
			return nil, errors.New("exit status 1")
		},
	}
	for line := range strings.SplitSeq(src, "\n") {
		if v, ok := strings.CutPrefix(line, "# --var "); ok {
			o.Vars = append(o.Vars, v)
		}
		if v, ok := strings.CutPrefix(line, "# env "); ok {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		if v, ok := strings.CutPrefix(line, "# command "); ok {
			name, value, _ := strings.Cut(v, "=")
			outputs[name] = strings.ReplaceAll(value, `\n`, "\n")
		}
	}
	return o
}

// TestUnparsed loads files that do not parse: the place is named, and the line
// is shown without what looks like a secret in it.
func TestUnparsed(t *testing.T) {
	files, err := filepath.Glob("testdata/unparsed/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v %v", files, err)
	}
	for _, name := range files {
		inv, diags := inventory.Load(name, inventory.Options{})
		if !diags.HasErrors() || diags[0].Subject == nil {
			t.Errorf("%s: no fault with a place: %v", name, diags)
		}
		var out bytes.Buffer
		if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 0, false); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), canary) || !strings.Contains(out.String(), name+":") {
			t.Errorf("%s: shows a secret, or no place:\n%s", name, out.String())
		}
	}
}
