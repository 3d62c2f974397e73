package tasks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Single lines of squid.conf change and no other byte does, unless squid does
// not take it or the line is not there any more: then none does.
func TestSquidEdit(t *testing.T) {
	const conf = "# http_port 3128\n\n  \n\tacl a src 10.0.0.0/8\\\n  \\n 'x' \"$y\" caf\xe9\nhttp_port 3128\nhttp_port 3128 name=\\1&\n"
	for name, c := range map[string]struct {
		edit squidEdit
		want string // empty: refused
	}{
		"top":      {squidEdit{drop: "include /x", top: "include /x"}, strings.Replace(conf, "\tacl", "include /x\n\tacl", 1)},
		"again":    {squidEdit{drop: "http_port 3128", top: "http_port 3128"}, strings.Replace(strings.Replace(conf, "http_port 3128\nhttp", "http", 1), "\tacl", "http_port 3128\n\tacl", 1)},
		"replaced": {squidEdit{old: "http_port 3128", by: "http_port 8080"}, strings.Replace(conf, "\nhttp_port 3128\nh", "\nhttp_port 8080\nh", 1)},
		"odd":      {squidEdit{old: `http_port 3128 name=\1&`, by: `http_port 8080 name=\1&`}, strings.Replace(conf, `3128 name`, `8080 name`, 1)},
		"out":      {squidEdit{old: "http_port 3128"}, strings.Replace(conf, "\nhttp_port 3128\nh", "\nh", 1)},
		"gone":     {squidEdit{old: "http_port 9", by: "http_port 8080"}, ""},
		"bungled":  {squidEdit{old: "http_port 3128", by: "bungled"}, ""},
	} {
		shells := testShells
		if c.want == "" {
			shells = testShells[:1]
		}
		for _, shell := range shells {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			root := t.TempDir()
			for path, content := range map[string]string{
				squidMain:    conf,
				squidProgram: "#!/bin/sh\nif grep bungled; then echo 'FATAL: Bungled line' >&2; exit 1; fi\n",
			} {
				if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(root+path, []byte(content), 0o750); err != nil {
					t.Fatal(err)
				}
			}
			script := c.edit.step().Run.Script
			for _, folder := range []string{"/etc/squid", "/usr/sbin", "/var/lib/runai-prep"} {
				script = strings.ReplaceAll(script, folder, root+folder)
			}
			out, err := exec.Command(shell[0], append(shell[1:], "-c", script)...).CombinedOutput()
			got, _ := os.ReadFile(root + squidMain)
			if want := c.want; (err != nil) != (want == "") || want == "" && string(got) != conf || want != "" && string(got) != want {
				t.Errorf("%s: %v: %v: %s\n%q", name, shell, err, out, got)
			}
			if kept, _ := os.ReadFile(root + "/var/lib/runai-prep/backup" + root + squidMain); err == nil && string(kept) != conf {
				t.Errorf("%s: %v: the copy is %q", name, shell, kept)
			}
			if info, err := os.Stat(root + squidMain); err != nil || info.Mode().Perm() != 0o750 {
				t.Errorf("%s: %v: %v, %v", name, shell, info.Mode(), err)
			}
			if left, _ := filepath.Glob(root + "/etc/squid/*"); len(left) != 1 {
				t.Errorf("%s: %v: left are %q", name, shell, left)
			}
		}
	}
}

func TestSquidPortAt(t *testing.T) {
	for line, want := range map[string]string{
		"http_port 3128":                        "http_port 8080",
		"  http_port\t127.0.0.1:3128  name=a b": "  http_port 8080  name=a b",
		"http_port [::1]:3128 # mine":           "http_port 8080 # mine",
	} {
		ports := squidPorts([]squidLine{{squidMain, line}})
		if len(ports) != 1 {
			t.Fatalf("%q has %d ports", line, len(ports))
		}
		if got := ports[0].at(8080); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
}
