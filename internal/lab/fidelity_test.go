package lab

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The same scripts under a real dash and on a practice host print the same,
// on both outputs, and end alike: that keeps the imitation honest.
func TestLikeDash(t *testing.T) {
	dash, err := exec.LookPath("dash")
	if err != nil {
		t.Skip("no dash here to compare with")
	}
	if out, err := exec.Command("cp", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU")) {
		t.Skip("no GNU coreutils here to compare with")
	}
	scripts, err := filepath.Glob("testdata/fidelity/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	f := start(t, Config{Hosts: 1})
	m := f.Hosts[0]
	for _, file := range scripts {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if needs, ok := strings.CutPrefix(strings.SplitN(string(script), "\n", 2)[0], "# needs: "); ok {
				program, _, _ := strings.Cut(needs, " ")
				if out, err := exec.Command(program, "--version").Output(); err != nil || !strings.Contains(string(out), needs) {
					t.Skipf("needs %s", needs)
				}
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "script"), script, 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(dash, "script")
			cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "LC_ALL=C"}
			var both bytes.Buffer
			cmd.Stdout, cmd.Stderr = &both, &both
			err = cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if err := m.WriteFile("/srv/"+t.Name()+"/script", string(script), 0o644); err != nil {
				t.Fatal(err)
			}
			got, status := m.Run("cd /srv/" + t.Name() + "; LC_ALL=C exec sh script")
			want := strings.Split(both.String(), "\n")
			have := strings.Split(got, "\n")
			for i := range max(len(want), len(have)) {
				w, h := "(nothing)", "(nothing)"
				if i < len(want) {
					w = want[i]
				}
				if i < len(have) {
					h = have[i]
				}
				if w != h {
					t.Errorf("line %d of the output:\n  dash:          %s\n  practice host: %s", i+1, w, h)
					break
				}
			}
			if real := cmd.ProcessState.ExitCode(); real != status {
				t.Errorf("exit status %d, under dash %d", status, real)
			}
		})
	}
}
