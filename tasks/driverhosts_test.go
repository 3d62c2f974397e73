package tasks

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// TestDriverHosts runs the probe where a case says what the host is like, and
// holds what it prints to the case. Such a case has, in place of a recording,
//
//	host        a host in words, see hostTree
//	host.after  what it is like when the steps had been carried out, but for
//	            the files that they write, which are taken from the plan
//	host.offers what its package manager says of its repositories, as the
//	            program itself prints it
//
// of which a tree of files is made, and the real shell runs in it. What the
// probe prints is then the case's probe and after; -update writes them.
func TestDriverHosts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can look at a tree of files as if it were a host")
	}
	paths, err := filepath.Glob("testdata/driver/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	programs, err := newToolbox(append(hostShells, "cat", "find", "grep", "timeout", "env")...)
	if err != nil {
		t.Skipf("a program for the trees is not here: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			probeCase(t, programs, path)
		})
	}
}

func probeCase(t *testing.T, programs toolbox, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := func(name string) string {
		for _, f := range archive.Files {
			if f.Name == name {
				return string(f.Data)
			}
		}
		return ""
	}
	h := loadHost(t, part("inventory.hcl"))
	for _, from := range []string{"host", "host.after"} {
		to := map[string]string{"host": "probe", "host.after": "after"}[from]
		words := part(from)
		if words == "" {
			continue
		}
		root := t.TempDir()
		if err := hostTree(root, words, part("host.offers")); err != nil {
			t.Fatal(err)
		}
		if err := programs.into(root); err != nil {
			t.Fatal(err)
		}
		if from == "host.after" {
			carryOut(t, root, h, part("probe"))
		}
		for i, shell := range hostShells {
			if name := filepath.Base(path); i > 0 && !strings.HasPrefix(name, "rocky-9-") && !strings.HasPrefix(name, "ubuntu-22.04-") {
				break // one system of each kind will do to see that the shells agree
			}
			got, errs := lookInside(t, root, shell, h)
			if errs != "" {
				t.Errorf("%s: %s: standard error: %s", from, shell, errs)
			}
			if want := part(to); got != want && *update && shell == hostShells[0] {
				setPart(archive, to, got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("%s: %s (-want +got):\n%s", from, shell, cmp.Diff(want, got))
			}
		}
	}
}

// carryOut writes what the plan writes to a host that printed probe.
func carryOut(t *testing.T, root string, h inventory.Host, probe string) {
	t.Helper()
	facts, err := readDriver(remote.Section{Name: "driver", Out: probe})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range planDriver(h, facts) {
		for _, s := range f.Steps {
			switch {
			case s.Write != nil:
				path := filepath.Join(root, s.Write.Path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(s.Write.Data), 0o644); err != nil {
					t.Fatal(err)
				}
			case s.Remove != nil:
				_ = os.Remove(filepath.Join(root, s.Remove.Path))
			}
		}
	}
}

func setPart(a *txtar.Archive, name, data string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(data)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(data)})
}

// lookInside runs the probe with root as the root of all files.
func lookInside(t *testing.T, root, shell string, h inventory.Host) (out, errs string) {
	t.Helper()
	cmd := &exec.Cmd{
		Path: "/usr/bin/" + shell, Args: []string{"sh"}, Env: []string{"LC_ALL=C", "PATH=/usr/bin"}, Dir: "/",
		Stdin:       strings.NewReader(inOneShell(probeDriver(h))),
		SysProcAttr: &syscall.SysProcAttr{Chroot: root},
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

// hostShells look at the trees; the first one is what /bin/sh is there.
var hostShells = []string{"dash", "bash", "busybox"}

// toolbox are programs of this machine with the libraries that they are linked
// with: paths in a tree, and the files that are to stand there.
type toolbox map[string]string

func newToolbox(names ...string) (toolbox, error) {
	box := make(toolbox)
	add := func(at, from string) error {
		real, err := filepath.EvalSymlinks(from)
		box[at] = real
		return err
	}
	for _, name := range names {
		at, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		linked, err := exec.Command("ldd", at).Output()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", at, err)
		}
		if err := add("/usr/bin/"+name, at); err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(linked)) {
			if strings.HasPrefix(word, "/") {
				if err := add(word, word); err != nil {
					return nil, err
				}
			}
		}
	}
	return box, nil
}

// into mounts nothing: what can be linked is, and the rest is copied.
func (b toolbox) into(root string) error {
	for at, from := range b {
		to := filepath.Join(root, at)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if os.Link(from, to) == nil {
			continue
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			return err
		}
	}
	return nil
}
