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
	"github.com/runai-prep/runai-prep/tasks"
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

// A look leaves no trace on a host's disk, and starts few programs beside those
// that every exec takes; subshells are not among them, see TestProcesses of tasks.
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
		var probes []remote.Probe
		for _, task := range tasks.All {
			p := task.Look(h)
			p.Endpoints, p.More = nil, nil // the connection is asked for those
			probes = append(probes, p)
		}
		login := -m.started()
		if _, err := c.Look(ctx, "", []remote.Probe{{Name: "nothing", Script: ":", Inline: true}}); err != nil {
			t.Fatal(err)
		}
		login += m.started()
		before, modules, pid := m.listing(), m.procModules(), m.started()
		sections, err := c.Look(ctx, tasks.Prelude, probes)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sections {
			if s.Failure != "" || s.Exit != 0 {
				t.Errorf("%s: %s: %s, exit status %d", h.Name, s.Name, s.Failure, s.Exit)
			}
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
		limit := 22 // a driver or a mount to be made calls for more
		if len(ills[h.Name]) == 0 {
			limit = 20
		}
		if n := m.started() - pid - login; n > limit {
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
