package tasks

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

// TestRequirements: docs/requirements.md says of every requirement of every
// built-in profile what is done about it. With -update it is written.
func TestRequirements(t *testing.T) {
	const path = "../docs/requirements.md"
	got := requirementsPage(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/requirements.md is not as the profiles are; go test ./tasks -run TestRequirements -update (-want +got):\n%s", diff)
	}
}

func requirementsPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(`# Requirements of Run:ai, and what is done about each

Written by a test from the profiles (inventory/profiles): go test ./tasks -run TestRequirements -update. What was not
seen in a source is not in a profile. Of each requirement the last column says which finding shows it;
` + "`runai-prep explain TASK/SUBJECT`" + ` says how it is looked at. The sentences of the sources stand below each table.

An inventory chooses a profile with ` + "`requirements = \"runai-2.25\"`" + `; the default is ` + "`" + inventory.DefaultProfile + "`" + `.
` + "`runai-prep profiles diff A B INVENTORY`" + ` says what an upgrade would break.

| profile | Kubernetes | OpenShift | GPU Operator | NVIDIA driver | system node: CPUs / memory / disk |
| --- | --- | --- | --- | --- | --- |
`)
	profiles := inventory.Profiles()
	for _, p := range profiles {
		r, ok := p.Role("system")
		if !ok {
			r, ok = p.Role("cpu")
			ok = ok && r.Recommended
		}
		node := ""
		if ok {
			node = fmt.Sprintf("%d / %v / %v", r.MinCPUs.Value, r.MinMemory.Value, r.MinDisk.Value)
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", p.Name, strings.NewReplacer(".", "").Replace(p.Name),
			p.Kubernetes.Constraint, p.OpenShift.Constraint, p.GPUOperator.Constraint, p.Driver.Constraint, node)
	}
	for _, p := range profiles {
		fmt.Fprintf(&b, "\n## %s\n\n%s. Source, where a row names no other: %s.\n\n| requirement | value | shown by |\n| --- | --- | --- |\n", p.Name, p.Title, p.Source)
		var sources strings.Builder
		told := map[string]bool{}
		for _, r := range p.Rows() {
			proof, proved := Proves(r.Key)
			if proved == (len(proof.Findings) == 0) {
				t.Errorf("%s: %s: shown is %v, by %v", p.Name, r.Key, proved, proof.Findings)
			}
			if !proved && proof.Words == "" {
				t.Errorf("%s: nothing is said of %s", p.Name, r.Key)
			}
			var how []string
			for _, f := range proof.Findings {
				task, subject, _ := strings.Cut(f, "/")
				if _, err := Explain(task, subject); err != nil {
					t.Errorf("%s: %s: %v", p.Name, r.Key, err)
				}
				how = append(how, "`"+f+"`")
			}
			words := strings.Join(how, ", ")
			switch {
			case words == "":
				words = "no task. " + proof.Words
			case proof.Words != "":
				words += ". " + proof.Words
			}
			value := r.Value
			if strings.HasPrefix(r.Key, "advice ") {
				value = "advice"
				r.Text = r.Value
			}
			title := r.Key
			if r.Title != "" {
				title += ": " + r.Title
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(title), cell(value), cell(words))
			head, _, _ := strings.Cut(r.Key, ":")
			if strings.HasPrefix(r.Key, "endpoint ") {
				head = r.Key
			}
			said := r.Text
			if r.Source != p.Source {
				said = strings.TrimSpace(said + " (" + r.Source + ")")
			}
			if said != "" && !told[said] {
				told[said] = true
				fmt.Fprintf(&sources, "- %s: %s\n", head, said)
			}
		}
		if sources.Len() > 0 {
			b.WriteString("\n" + sources.String())
		}
	}
	return b.String()
}

// cell is text within a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
