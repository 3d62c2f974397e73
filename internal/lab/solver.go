package lab

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// A pkg is one version of a package, in a repository or installed.
type pkg struct {
	name, version string
	section       string
	repo          *repository // nil: it is not known where it came from
	stream        string      // the module stream that it is of

	depends, provides, conflicts []string

	programs []string          // files that can be run
	data     map[string]string // other files
	links    map[string]string // symbolic links, to where they lead
	units    map[string]string // files of systemd's
	kernel   map[string]string // modules that come built, by path below /lib/modules
	dkms     string            // the name under which DKMS builds its source
	initrd   bool              // its installation has initramfs built anew
	headers  string            // the kernel that it has the headers of
}

// satisfies reports whether p is what r asks for.
func (p *pkg) satisfies(r relation) bool {
	if p.name == r.name {
		return r.by(p.version)
	}
	for _, given := range p.provides {
		g := parseRelation(given)
		if g.name == r.name && (r.op == "" || g.op == "=" && r.by(g.version)) {
			return true
		}
	}
	return false
}

// A solver finds what an installation comes to.
type solver struct {
	installed map[string]*pkg
	candidate func(name string) *pkg       // what the manager would take; nil: nothing
	providers func(name string) []*pkg     // candidates that give a name, of which they are not
	keep      func(name string) (yes bool) // is on hold

	named   map[string]*pkg // what was asked for
	plan    map[string]*pkg
	order   []string // of plan, what is needed first
	removed map[string]bool
	unmet   []string // what cannot be satisfied, as apt says it
}

// solve plans to have the packages of want and none of gone.
func (s *solver) solve(want []*pkg, gone []string) {
	s.named, s.plan, s.removed = map[string]*pkg{}, map[string]*pkg{}, map[string]bool{}
	for _, p := range want {
		s.named[p.name] = p
	}
	for _, name := range gone {
		if s.installed[name] != nil {
			s.removed[name] = true
		}
	}
	for _, p := range want {
		s.add(p)
	}
	for range 100 { // each round settles one package at least
		if !s.settle(want) {
			return
		}
	}
}

// is is what will be installed under a name; nil: nothing.
func (s *solver) is(name string) *pkg {
	if p := s.plan[name]; p != nil {
		return p
	}
	if s.removed[name] {
		return nil
	}
	return s.installed[name]
}

func (s *solver) add(p *pkg) {
	if s.plan[p.name] == p {
		return
	}
	s.plan[p.name] = p
	delete(s.removed, p.name)
	for _, d := range p.depends {
		s.need(p, d)
	}
	if !slices.Contains(s.order, p.name) {
		s.order = append(s.order, p.name)
	}
}

// met reports whether a dependency is satisfied in what will be.
func (s *solver) met(dependency string) bool {
	for alternative := range strings.SplitSeq(dependency, " | ") {
		r := parseRelation(alternative)
		if p := s.is(r.name); p != nil && p.satisfies(r) {
			return true
		}
		for _, p := range s.plan {
			if p.satisfies(r) {
				return true
			}
		}
		for name, p := range s.installed {
			if len(p.provides) > 0 && s.is(name) == p && p.satisfies(r) {
				return true
			}
		}
	}
	return false
}

// need brings along what a package needs.
func (s *solver) need(by *pkg, dependency string) {
	if s.met(dependency) {
		return
	}
	said := ""
	for alternative := range strings.SplitSeq(dependency, " | ") {
		r := parseRelation(alternative)
		options := s.providers(r.name)
		c := s.named[r.name]
		if c == nil {
			c = s.candidate(r.name)
		}
		if c != nil {
			options = append([]*pkg{c}, options...)
			if said == "" && !c.satisfies(r) {
				said = fmt.Sprintf(" but %s is to be installed", c.version)
			}
		}
		for _, c := range options {
			if c.satisfies(r) && s.plan[c.name] == nil {
				s.add(c)
				return
			}
		}
	}
	first := parseRelation(strings.Split(dependency, " | ")[0])
	s.unmet = append(s.unmet, fmt.Sprintf(" %s : Depends: %s%s", by.name, first, orElse(said, " but it is not installable")))
}

// settle mends one thing that the plan would break, and reports whether there
// was one.
func (s *solver) settle(want []*pkg) bool {
	names := make([]string, 0, len(s.installed))
	for name := range s.installed {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p := s.is(name)
		if p == nil || s.plan[name] != nil {
			continue
		}
		for _, d := range p.depends {
			if s.met(d) || !s.broke(d) {
				continue
			}
			// A newer one may go with the rest, else it cannot stay.
			c := s.candidate(name)
			if c != nil && c != p && compareVersions(c.version, p.version) != 0 && !s.keep(name) {
				before := len(s.unmet)
				s.add(c)
				if len(s.unmet) == before {
					return true
				}
				s.unmet = s.unmet[:before]
				delete(s.plan, name)
				s.order = slices.DeleteFunc(s.order, func(n string) bool { return n == name })
			}
			s.removed[name] = true
			return true
		}
		for _, other := range s.plan {
			if conflict(other, p) || conflict(p, other) {
				s.removed[name] = true
				return true
			}
		}
	}
	for _, p := range want {
		for _, other := range s.plan {
			if p != other && conflict(p, other) {
				s.unmet = append(s.unmet, fmt.Sprintf(" %s : Conflicts: %s", p.name, other.name))
				return false
			}
		}
	}
	return false
}

// broke reports whether a dependency that is not met was met before.
func (s *solver) broke(dependency string) bool {
	for alternative := range strings.SplitSeq(dependency, " | ") {
		r := parseRelation(alternative)
		for _, p := range s.installed {
			if p.satisfies(r) {
				return true
			}
		}
	}
	return false
}

func conflict(a, b *pkg) bool {
	if a.name == b.name {
		return false
	}
	for _, c := range a.conflicts {
		if b.satisfies(parseRelation(c)) {
			return true
		}
	}
	return false
}

// changes are the packages of the plan that are not there yet, in the order of
// installation.
func (s *solver) changes() []*pkg {
	var list []*pkg
	for _, name := range s.order {
		if p, have := s.plan[name], s.installed[name]; have == nil || have.version != p.version {
			list = append(list, p)
		}
	}
	return list
}

// gone are the packages that would be removed, in alphabetical order.
func (s *solver) gone() []string {
	var list []string
	for name := range s.removed {
		if s.plan[name] == nil {
			list = append(list, name)
		}
	}
	sort.Strings(list)
	return list
}
