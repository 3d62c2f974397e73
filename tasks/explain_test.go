package tasks

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
)

// TestExplained: every finding of every case has an explanation, and every file
// of explanations is that of a task.
func TestExplained(t *testing.T) {
	files, err := explainFiles.ReadDir("explain")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, task := range All {
		known[task.Name] = true
		if _, err := ExplainTask(task.Name); err != nil {
			t.Error(err)
		}
		paths, err := filepath.Glob(filepath.Join("testdata", task.Name, "*.txtar"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range archive.Files {
				if f.Name != "findings" {
					continue
				}
				for line := range strings.Lines(string(f.Data)) {
					// "ok SUBJECT: have …"
					head, _, ok := strings.Cut(line, ": have ")
					state, subject, _ := strings.Cut(head, " ")
					if !ok || strings.HasPrefix(line, " ") || state == "error:" {
						continue
					}
					if _, err := Explain(task.Name, subject); err != nil {
						t.Errorf("%s: %v", path, err)
					}
				}
			}
		}
	}
	for _, f := range files {
		// The kubernetes task is not in All yet.
		if name := strings.TrimSuffix(f.Name(), ".md"); !known[name] && name != "kubernetes" {
			t.Errorf("explain/%s explains no task", f.Name())
		}
	}
	for _, f := range acrossRoles([]HostFacts{{Host: inventory.Host{Settings: &inventory.Settings{Unfilled: []inventory.RoleRequirement{{Role: "system", Why: "w"}}}}}}) {
		if _, err := Explain(f.Task, f.Subject); err != nil {
			t.Error(err)
		}
	}
}

// TestExplain: a name goes before a pattern, and what is not known is answered
// with what is.
func TestExplain(t *testing.T) {
	for finding, want := range map[string]string{
		"nfs shared data volume":             "shared data volume",
		"nfs /mnt/data":                      "/*",
		"registry registry.corp.test:5000":   "*:*",
		"registry docker":                    "docker",
		"driver nvidia module for 6.1.0-1":   "nvidia module for *",
		"driver nvidia module loaded":        "nvidia module loaded",
		"egress [2001:db8::1]:443":           "*:*",
		"kubernetes machine-id 6f0c":         "machine-id",
		"kubernetes product_uuid 4c4c":       "product_uuid",
		"kubernetes mtu":                     "mtu",
		"kubernetes clocks":                  "clocks",
		"kubernetes kubelet versions":        "kubelet versions",
		"driver driver versions":             "driver versions",
		"kubernetes /etc/sysctl.d/99-x.conf": "/*",
	} {
		task, subject, _ := strings.Cut(finding, " ")
		e, err := Explain(task, subject)
		if err != nil || e.Subjects[0] != want {
			t.Errorf("%s: %v %v", finding, e.Subjects, err)
		}
	}
	if _, err := Explain("nfs", "mnt"); err == nil || !strings.Contains(err.Error(), "shared data volume, /*") {
		t.Errorf("an unknown finding: %v", err)
	}
}
