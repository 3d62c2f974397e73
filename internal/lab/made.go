package lab

import (
	"io/fs"
	"slices"
	"strings"
)

// made is a directory of /proc, /sys or /dev as it is at this moment: names to
// what is there. It is made up when somebody looks, so that the tree needs no
// upkeep; see node.find.
type made struct {
	machine *Machine
	node    *node
	ino     uint64
}

// newMade begins a directory; what sets apart its inodes from others'.
func (m *Machine) newMade(what string) *made {
	d := &made{machine: m, ino: fingerprint(what) >> 16}
	d.node = d.number(&node{mode: dirMode, kids: map[string]*node{}, show: aDirectory})
	return d
}

func (d *made) number(n *node) *node {
	d.ino++
	n.ino, n.mtime = d.ino, d.machine.bootTime()
	return n
}

// dir finds or makes a directory below.
func (d *made) dir(name string) *node {
	at := d.node
	for _, part := range splitPath(name) {
		if part == "" {
			continue
		}
		if at.kids[part] == nil {
			at.kids[part] = d.number(&node{mode: dirMode, kids: map[string]*node{}, show: aDirectory})
		}
		at = at.kids[part]
	}
	return at
}

// file adds a file that shows text.
func (d *made) file(name, text string) {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	d.dir(dir).kids[base] = d.number(&node{mode: 0o444, show: func(*Machine) string { return text }})
}

func (d *made) link(name, target string) {
	d.node.kids[name] = d.number(&node{mode: fs.ModeSymlink | 0o777, target: target})
}

// lookUp makes a directory of the image one whose further names are made up.
func (n *node) lookUp(all func(*Machine) map[string]func() *node) {
	n.find = func(m *Machine, name string) *node {
		if make := all(m)[name]; make != nil {
			return make()
		}
		return nil
	}
	n.list = func(m *Machine) []string {
		var names []string
		for name := range all(m) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
}
