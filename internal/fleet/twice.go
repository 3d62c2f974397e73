package fleet

import (
	"context"
	"reflect"
	"slices"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// LookTwice visits every host once and plans for it twice: by what is wished of
// it in from, and in to, which are the same hosts in the same order. What either
// asks for is looked at. It returns the visits of both in the order of hosts.
func (f *Fleet) LookTwice(ctx context.Context, from, to []inventory.Host) (one, other []*Visit) {
	one, other = make([]*Visit, len(from)), make([]*Visit, len(to))
	f.sideBySide(len(from), func(i int) {
		v := &Visit{Host: from[i], strict: f.Strict}
		w := &Visit{Host: to[i], strict: f.Strict}
		one[i], other[i] = v, w
		probes, ours := bothLooks(f.Tasks, v.Host, w.Host)
		if sections, ok := f.see(ctx, v, probes); ok {
			f.judge(v, sections)
			f.judge(w, ours(sections))
		}
		w.Address, w.Err, w.interrupted, w.elapsed = v.Address, v.Err, v.interrupted, v.elapsed
		v.hangUp()
		f.event(v, "")
	})
	return one, other
}

// bothLooks are the probes for two wishes of one host, and what makes of their
// sections those that the second would have had alone. A probe that both ask in
// the same words is asked once, with the endpoints of both.
func bothLooks(all []tasks.Task, h, g inventory.Host) (probes []remote.Probe, second func(map[string]remote.Section) map[string]remote.Section) {
	apart := map[string]string{} // what the second look of a task is called
	for _, t := range all {
		a, b := t.Look(h), t.Look(g)
		if both, ok := united(a, b); ok {
			probes = append(probes, both)
			continue
		}
		b.Name += " again"
		apart[t.Name] = b.Name
		probes = append(probes, a, b)
	}
	return probes, func(sections map[string]remote.Section) map[string]remote.Section {
		ours := make(map[string]remote.Section, len(sections))
		for name, s := range sections {
			ours[name] = s
		}
		for task, name := range apart {
			if s, ok := sections[name]; ok {
				s.Name = task
				ours[task] = s
			}
		}
		return ours
	}
}

// united asks what two probes ask; false: their scripts differ, or the way to
// one endpoint does.
func united(a, b remote.Probe) (remote.Probe, bool) {
	if a.Script != b.Script || a.Timeout != b.Timeout || !reflect.DeepEqual(a.Cluster, b.Cluster) {
		return a, false
	}
	var ok bool
	if a.Endpoints, ok = union(a.Endpoints, b.Endpoints); !ok {
		return a, false
	}
	first, then := a.More, b.More
	if first == nil || then == nil {
		return a, first == nil && then == nil
	}
	a.More = func(sections []remote.Section) []remote.Endpoint {
		more, ok := union(first(sections), then(sections))
		if !ok { // of two ways to one endpoint, each is tried
			return append(first(sections), then(sections)...)
		}
		return more
	}
	return a, true
}

// union are the endpoints of both; false: the two know different ways to one.
// Images and the ways to them are the inventory's alone.
func union(a, b []remote.Endpoint) ([]remote.Endpoint, bool) {
	all := slices.Clone(a)
	for _, e := range b {
		i := slices.IndexFunc(a, func(o remote.Endpoint) bool {
			return o.Host == e.Host && o.Port == e.Port && o.Of == e.Of && imageOf(o) == imageOf(e)
		})
		switch {
		case i < 0:
			all = append(all, e)
		case e.Image == nil && !reflect.DeepEqual(a[i], e):
			return nil, false
		}
	}
	return all, true
}

// imageOf is the image that an endpoint is asked for; empty: none.
func imageOf(e remote.Endpoint) string {
	if e.Image == nil {
		return ""
	}
	return e.Image.Name
}
