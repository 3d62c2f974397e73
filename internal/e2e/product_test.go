//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
)

// program is the runai-prep under test, built once, or the one that is given.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("RUNAI_PREP_E2E_PROGRAM"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "runai-prep-e2e-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "runai-prep")
	build := exec.Command("go", "build", "-o", out, "github.com/runai-prep/runai-prep/cmd/runai-prep")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(text))
	}
	return out, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil && path != os.Getenv("RUNAI_PREP_E2E_PROGRAM") {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// A controller runs the program on an inventory, as an engineer's laptop would.
type controller struct {
	t   *testing.T
	lab *Lab
	env []string
}

func newController(t *testing.T, l *Lab, machines []*Machine, env ...string) *controller {
	t.Helper()
	if _, err := program(); err != nil {
		t.Fatalf("build runai-prep: %v", err)
	}
	var known strings.Builder
	for _, m := range machines {
		known.WriteString(m.KnownHost())
	}
	c := &controller{t, l, append(env, "XDG_STATE_HOME="+filepath.Join(l.Dir, "state"))}
	c.write("known_hosts", known.String())
	return c
}

func (c *controller) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.lab.Dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run runs the program; the test fails unless it ends with this exit code.
func (c *controller) run(code int, args ...string) (stdout string) {
	c.t.Helper()
	path, err := program()
	if err != nil {
		c.t.Fatal(err)
	}
	limit := 90 * time.Minute // a driver's build in an emulated CPU, on a busy machine
	if os.Getenv("RUNAI_PREP_E2E_SLOW") == "1" {
		limit = 3 * time.Hour
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	cmd := c.lab.Command(ctx, path, args...)
	cmd.Env = append(cmd.Env, c.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	got := cmd.ProcessState.ExitCode()
	shown := out.String()
	if len(shown) > 6000 {
		shown = shown[:3000] + "\n[…]\n" + shown[len(shown)-3000:]
	}
	if got != code {
		c.t.Fatalf("runai-prep %s: exit code %d, want %d (%v)\n%s%s", strings.Join(args, " "), got, code, err, shown, errs.String())
	}
	c.t.Logf("$ runai-prep %s\n%s%s", strings.Join(args, " "), shown, errs.String())
	for _, e := range c.env {
		if name, secret, _ := strings.Cut(e, "="); strings.HasSuffix(name, "_PASSWORD") && strings.Contains(out.String()+errs.String(), secret) {
			c.t.Errorf("runai-prep %s shows %s", strings.Join(args, " "), name)
		}
	}
	return out.String()
}

// result runs the program with -o json.
func (c *controller) result(code int, args ...string) report.Result {
	c.t.Helper()
	var r report.Result
	out := c.run(code, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		c.t.Fatalf("runai-prep %s: not JSON: %v", strings.Join(args, " "), err)
	}
	return r
}

// findings lists "host task subject state" of everything that is not ok.
func findings(r report.Result) []string {
	var found []string
	for _, h := range r.Hosts {
		for _, f := range h.Findings {
			if f.State != "ok" {
				found = append(found, strings.Join([]string{h.Name, f.Task, f.Subject, f.State}, " "))
			}
		}
	}
	return found
}

// contains fails the test unless text holds all of these.
// contains looks for words as they are, or as they stand where lines were
// folded.
func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	unfolded := strings.Join(strings.Fields(text), " ")
	for _, w := range wanted {
		if !strings.Contains(text, w) && !strings.Contains(unfolded, w) {
			t.Errorf("%s: no %q in\n%s", what, w, text)
		}
	}
}

func lacks(t *testing.T, what, text string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(text, w) {
			t.Errorf("%s: %q in\n%s", what, w, text)
		}
	}
}
