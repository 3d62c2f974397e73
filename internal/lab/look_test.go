package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// listing is every file of a machine: what it holds, whose it is, when it was
// changed.
func (m *Machine) listing() map[string]string {
	list := map[string]string{}
	var walk func(string, *node)
	walk = func(name string, n *node) {
		list[name] = fmt.Sprint(n.mode, n.uid, n.gid, n.ino, n.mtime, n.target, string(n.data))
		for kid, k := range n.kids {
			walk(name+"/"+kid, k)
		}
	}
	m.fs.mu.Lock()
	defer m.fs.mu.Unlock()
	for _, mt := range m.fs.mounts {
		walk(fmt.Sprint(mt.point, " ", mt.id, " "), mt.root)
	}
	return list
}

// A look leaves no trace on a host's disk, and starts few programs.
func TestLookLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, h := range load(t, dir).Hosts {
		m := f.Machine(h.Name)
		c, err := d.Dial(ctx, target(h))
		if err != nil {
			continue // one that cannot be reached
		}
		before, modules, pid := m.listing(), m.procModules(), m.started()
		if _, err := look(ctx, c, h); err != nil {
			t.Fatal(err)
		}
		after := m.listing()
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if after[name] != before[name] {
				t.Errorf("%s: %s is now %q, was %q", h.Name, name, after[name], before[name])
			}
		}
		if len(after) != len(before) || m.procModules() != modules {
			t.Errorf("%s: %d files, before %d", h.Name, len(after), len(before))
		}
		limit := 36 // where there is something to do, more is asked
		if len(ills[h.Name]) == 0 {
			limit = 25
		}
		if n := m.started() - pid; n > limit {
			t.Errorf("%s: the look started %d programs", h.Name, n)
		} else {
			t.Logf("%s: %d programs", h.Name, n)
		}
		_ = c.Close()
	}
}

// started counts the processes since the boot; subshells are not among them.
func (m *Machine) started() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastPID
}
