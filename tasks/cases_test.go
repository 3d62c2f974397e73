package tasks

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

var update = flag.Bool("update", false, "write what the plans say into the cases")

// TestCases replays hosts. Each testdata/TASK/CASE.txtar is one: a comment
// that says which host this was and how it came about, and
//
//	inventory.hcl  the wishes for its first host
//	probe          what the task's probe printed there (probe.err, probe.exit),
//	               how the way to its endpoints went (probe.reached), and when the
//	               controller had it and asked for it (probe.clock, probe.began); what kubectl printed of its
//	               cluster (probe.nodes, probe.version, probe.clusterversion)
//	findings       what Plan makes of it, with every step whole
//	after          what the probe printed when the steps had been carried out:
//	               nothing may be pending then
//
// Outputs are recorded. Where one was made from a recording by hand, or from
// documentation, the comment says so.
func TestCases(t *testing.T) {
	for _, task := range All {
		paths, err := filepath.Glob(filepath.Join("testdata", task.Name, "*.txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) == 0 {
			t.Errorf("task %s has no cases in testdata/%s", task.Name, task.Name)
		}
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), ".txtar")
			t.Run(task.Name+"/"+name, func(t *testing.T) { runCase(t, task, path) })
		}
	}
}

func runCase(t *testing.T, task Task, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(strings.TrimSpace(string(archive.Comment))) == 0 {
		t.Error("the case has no comment")
	}
	part := func(name string) (string, bool) {
		for _, f := range archive.Files {
			if f.Name == name {
				return string(f.Data), true
			}
		}
		return "", false
	}
	text, _ := part("inventory.hcl")
	h := loadHost(t, text)
	section := func(name string) (remote.Section, bool) {
		s := remote.Section{Name: task.Name}
		var ok bool
		s.Out, ok = part(name)
		s.Err, _ = part(name + ".err")
		s.Reached, _ = part(name + ".reached")
		if nodes, ok := part(name + ".nodes"); ok {
			var c Cluster
			version, _ := part(name + ".version")
			c.ReadNodes(printed(nodes))
			c.ReadVersion(printed(version))
			if c.IsOpenShift() {
				text, _ := part(name + ".clusterversion")
				c.ReadClusterVersion([]byte(text))
			}
			s.Cluster = c.OfHost(h, s)
		}
		if clock, ok := part(name + ".clock"); ok {
			if s.Clock, err = time.Parse(time.RFC3339Nano, strings.TrimSpace(clock)); err != nil {
				t.Fatal(err)
			}
		}
		if began, ok := part(name + ".began"); ok {
			if s.Began, err = time.Parse(time.RFC3339Nano, strings.TrimSpace(began)); err != nil {
				t.Fatal(err)
			}
		}
		if exit, ok := part(name + ".exit"); ok {
			if s.Exit, err = strconv.Atoi(strings.TrimSpace(exit)); err != nil {
				t.Fatal(err)
			}
		}
		return s, ok
	}

	before, ok := section("probe")
	if !ok {
		t.Fatal("the case has no probe")
	}
	got, pending := "", false
	if facts, err := task.Read(before); err != nil {
		got = "error: " + err.Error() + "\n"
	} else {
		found := task.Plan(h, facts)
		checkFindings(t, found)
		got = showFindings(found)
		for _, f := range found {
			pending = pending || f.State == Pending
		}
	}
	if want, _ := part("findings"); got != want {
		if *update {
			archive.Files = withFindings(archive.Files, got)
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("findings (-want +got):\n%s", cmp.Diff(want, got))
		}
	}

	after, ok := section("after")
	if ok != pending {
		t.Errorf("pending is %v, and there being an output afterwards is %v", pending, ok)
	}
	if !ok {
		return
	}
	facts, err := task.Read(after)
	if err != nil {
		t.Fatalf("afterwards: %v", err)
	}
	for _, f := range task.Plan(h, facts) {
		if f.State == Pending {
			t.Errorf("still pending afterwards:\n%s", showFindings([]Finding{f}))
		}
	}
}

// printed is what kubectl printed, or what it said in the place of that: no JSON.
func printed(text string) ([]byte, error) {
	if !strings.HasPrefix(text, "{") {
		return nil, errors.New(strings.TrimSpace(text))
	}
	return []byte(text), nil
}

func withFindings(files []txtar.File, findings string) []txtar.File {
	var all []txtar.File
	for _, f := range files {
		if f.Name == "after" && !hasFile(all, "findings") {
			all = append(all, txtar.File{Name: "findings", Data: []byte(findings)})
		}
		if f.Name == "findings" {
			f.Data = []byte(findings)
		}
		all = append(all, f)
	}
	if !hasFile(all, "findings") {
		all = append(all, txtar.File{Name: "findings", Data: []byte(findings)})
	}
	return all
}

func hasFile(files []txtar.File, name string) bool {
	for _, f := range files {
		if f.Name == name {
			return true
		}
	}
	return false
}

func loadHost(t *testing.T, text string) inventory.Host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "inventory.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(path, inventory.Options{LookupEnv: func(string) (string, bool) { return "", false }})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return inv.Hosts[0]
}

// checkFindings holds every finding to the vocabulary.
func checkFindings(t *testing.T, found []Finding) {
	t.Helper()
	seen := make(map[string]bool)
	for _, f := range found {
		if f.Subject == "" || f.Have == "" || f.Want == "" || f.Why == "" {
			t.Errorf("a finding leaves something unsaid: %+v", f)
		}
		if seen[f.Subject] {
			t.Errorf("two findings are about %s", f.Subject)
		}
		seen[f.Subject] = true
		if pending := f.State == Pending; !pending && len(f.Steps) > 0 || pending && len(f.Steps)+len(f.After) == 0 && !strings.HasPrefix(f.Hint, "comes with ") {
			t.Errorf("%s is %s and has %d steps", f.Subject, f.State, len(f.Steps))
		}
		for _, s := range slices.Concat(f.Steps, f.Back, f.After) {
			if holdsCredentials(s.Title) || s.Run != nil && masked(s.Run.Script) != s.Run.Script || s.Write != nil && masked(s.Write.Data) != s.Write.Data {
				t.Errorf("step %q shows credentials", s.Title)
			}
			// Only zypper removes one version of several; remote refuses the others' steps.
			if s.Install != nil && s.Install.Manager != "zypper" && strings.ContainsAny(strings.Join(s.Install.Remove, " "), "=/~^") {
				t.Errorf("step %q is to remove %q, which are no bare names", s.Title, s.Install.Remove)
			}
		}
		for _, text := range []string{f.Have, f.Want, f.Hint} {
			if masked(text) != text {
				t.Errorf("%s shows credentials: %s", f.Subject, text)
			}
		}
	}
}

// showFindings is a plan as the cases have it: every step with all that it
// does, secrets too, as those of a case are nobody's.
func showFindings(found []Finding) string {
	if len(found) == 0 {
		return "none\n"
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: have %s; want %s (%s)\n", f.State, f.Subject, f.Have, f.Want, f.Why)
		if f.Warning != "" {
			fmt.Fprintf(&b, "  warning: %s\n", f.Warning)
		}
		if f.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", f.Hint)
		}
		showSteps(&b, "step", f.Steps)
		showSteps(&b, "back", f.Back)
		showSteps(&b, "after", f.After)
	}
	return b.String()
}

func showSteps(b *strings.Builder, kind string, steps []remote.Step) {
	for _, s := range steps {
		fmt.Fprintf(b, "  %s: %s\n", kind, s.Title)
		if s.Disrupts != "" {
			fmt.Fprintf(b, "    disrupts: %s\n", s.Disrupts)
		}
		switch {
		case s.Run != nil:
			if s.Run.Guard {
				b.WriteString("    guard\n")
			}
			if s.Run.Detached {
				b.WriteString("    detached\n")
			}
			show(b, "$ ", strings.Replace(s.Run.Script, tryScript, "(and a try)", 1))
		case s.Write != nil:
			showFile(b, s.Write)
		case s.Remove != nil && s.Remove.Old != nil:
			show(b, "- ", *s.Remove.Old)
		case s.Install != nil:
			showPackages(b, s.Install)
		case s.Upload != nil:
			fmt.Fprintf(b, "    %s to %s, mode %04o, sha256 %s\n", filepath.Base(s.Upload.From), s.Upload.Path, s.Upload.Mode, s.Upload.SHA256)
		case s.Reboot != nil && s.Reboot.Refused != "":
			fmt.Fprintf(b, "    refused by %s\n", s.Reboot.Refused)
		}
	}
}

func showPackages(b *strings.Builder, p *remote.Packages) {
	fmt.Fprintf(b, "    $ %s: %s\n", p.Manager, strings.Join(p.Names, " "))
	if len(p.Remove) > 0 {
		fmt.Fprintf(b, "    remove: %s\n", strings.Join(p.Remove, " "))
	}
	var how []string
	for word, is := range map[string]bool{
		"download only": p.DownloadOnly, "downgrade": p.Downgrade, "held": p.Held, "refresh": p.Refresh,
		"replaces": p.Replaces, "release " + p.Release: p.Release != "",
	} {
		if is {
			how = append(how, word)
		}
	}
	slices.Sort(how)
	if how != nil {
		fmt.Fprintf(b, "    %s\n", strings.Join(how, ", "))
	}
}

func show(b *strings.Builder, prefix, text string) {
	for line := range strings.Lines(text) {
		b.WriteString("    " + prefix + strings.TrimSuffix(line, "\n") + "\n")
		if !strings.HasSuffix(line, "\n") && prefix == "" {
			b.WriteString("    \\ No newline at end of file\n")
		}
	}
}

func showFile(b *strings.Builder, w *remote.File) {
	if w.Mode != 0 {
		fmt.Fprintf(b, "    mode: %04o\n", w.Mode)
	}
	if !w.Secret.IsZero() {
		show(b, "secret: ", w.Secret.Reveal())
	} else {
		old, from := "", "/dev/null"
		if w.Old != nil {
			old, from = *w.Old, w.Path
		}
		show(b, "", udiff.Unified(from, w.Path, old, w.Data))
	}
	if rest, ok := strings.CutSuffix(w.Verify, verifyFstab); ok {
		show(b, "verify: ", rest+"(as an fstab)")
	} else {
		show(b, "verify: ", rest)
	}
}
