package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	text := func(o TextOptions) func(io.Writer, Result) error {
		return func(w io.Writer, r Result) error { return Text(w, r, o) }
	}
	for name, c := range map[string]struct {
		result Result
		write  func(io.Writer, Result) error
	}{
		"plan.txt":          {plan(), text(TextOptions{})},
		"plan-verbose.txt":  {plan(), text(TextOptions{Verbose: true, Width: 120})},
		"plan-color.txt":    {plan(), text(TextOptions{Color: true})},
		"many.txt":          {many(), text(TextOptions{})},
		"many.nagios":       {many(), Nagios},
		"plan-settled.txt":  {settled("plan"), text(TextOptions{})},
		"apply.txt":         {apply(), text(TextOptions{})},
		"apply-settled.txt": {settled("apply"), text(TextOptions{})},
		"check.txt":         {check(), text(TextOptions{})},
		"check-settled.txt": {settled("check"), text(TextOptions{})},
		"drivers-plan.txt":  {drivers("plan"), text(TextOptions{})},
		"drivers.txt":       {drivers("apply"), text(TextOptions{})},
		"drivers.html":      {drivers("apply"), HTML},
		"drivers.xml":       {drivers("apply"), JUnit},
		"drivers.nagios":    {drivers("check"), Nagios},
		"plan.html":         {plan(), HTML},
		"apply.xml":         {apply(), JUnit},
		"plan.nagios":       {plan(), Nagios},
		"check.nagios":      {check(), Nagios},
		"check.json":        {check(), JSON},
		"verdicts.txt":      {verdicts(), text(TextOptions{})},
		"verdicts.html":     {verdicts(), HTML},
		"verdicts.xml":      {verdicts(), JUnit},
		"verdicts.nagios":   {verdicts(), Nagios},
		"verdicts.json":     {verdicts(), JSON},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.write(&b, c.result); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runai-prep.prom")
	r := check()
	r.Hosts = r.Hosts[:8]
	for _, h := range verdicts().Hosts {
		h.Name += "v"
		r.Hosts = append(r.Hosts, h)
	}
	r.Fleet = verdicts().Fleet
	r.Finish()
	if err := WriteMetrics(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "check.prom", got)
}

func TestFactsText(t *testing.T) {
	type mount struct {
		Source, Path string
		Options      []string
		Stale        bool
	}
	doc := Facts{Hosts: []HostFacts{
		{Name: "gpu-01", Address: "10.0.1.1:22", Role: "gpu", Facts: map[string]any{
			"resources": struct {
				CPUs   int    `json:"cpus"`
				Memory int64  `json:"memory_bytes"`
				OS     string `json:"os"`
				Empty  string `json:"swap"`
			}{64, 270000000000000001, "Debian GNU/Linux 12 (bookworm)", ""},
			"nfs": struct {
				Mounts  []mount `json:"mounts"`
				Tools   struct{ Installed bool }
				Ledger  []string          `json:"ledger"`
				Fstab   string            `json:"fstab"`
				Kernels map[string]string `json:"kernels"`
			}{Mounts: []mount{{"nas:/a", "/mnt/a", []string{"hard", "vers=4.1"}, false}, {"nas:/b", "/mnt/b", nil, true}},
				Fstab: "# a comment\nproc\t/proc proc defaults 0 0\nhttp://bob:hunter2@x\x1b[2J\n"},
		}, Errors: map[string]string{"proxy": "no answer within 10s"}},
		{Name: "gpu-02", Address: "10.0.1.2:22", Error: "connect: dial tcp 10.0.1.2:22: i/o timeout"},
	}}
	var b bytes.Buffer
	if err := FactsText(&b, doc); err != nil {
		t.Fatal(err)
	}
	golden(t, "facts.txt", b.Bytes())
}
