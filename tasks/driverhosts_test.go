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
)

// TestDriverHosts runs the probe where a case says what the host is like, and
// holds what it prints to the case. Such a case has, in place of a recording,
//
//	host        a host in words, see hostTree
//	host.after  the same host when the steps had been carried out
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
	programs, err := newToolbox(append(hostShells, "ls", "grep", "timeout", "env")...)
	if err != nil {
		t.Skipf("a program for the trees is not here: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { probeCase(t, programs, path) })
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
	for from, to := range map[string]string{"host": "probe", "host.after": "after"} {
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
		for _, shell := range hostShells {
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
		Stdin:       strings.NewReader(Prelude + "( eval " + quote(probeDriver(h)) + " ) </dev/null\n"),
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
var hostShells = []string{"dash", "bash"}

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
