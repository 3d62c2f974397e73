package tasks

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A registryPlan is a plan being made.
type registryPlan struct {
	f      *registryFacts
	wishes []registryWish
	why    string
	// kept are the ledger's entries that are still wished.
	kept []entry
	// judged are the runtimes of which kept has all that is wished.
	judged map[string]bool
}

func planRegistry(h inventory.Host, facts Facts) []Finding {
	p := &registryPlan{f: facts.(*registryFacts), wishes: registryWishes(h), judged: map[string]bool{}}
	if len(p.wishes) == 0 && len(p.f.ledger.entries) == 0 {
		return nil
	}
	var whys []string
	for _, w := range p.wishes {
		if !slices.Contains(whys, w.why) {
			whys = append(whys, w.why)
		}
	}
	p.why = strings.Join(whys, ", ")
	var changes []change
	for _, w := range p.wishes {
		changes = append(changes, change{Finding: p.reached(w)})
	}
	if len(p.wishes) > 0 {
		changes = append(changes, p.runtimes()...)
	}
	changes = append(changes, p.removals()...)
	return p.f.asRoot(p.f.ledger.remember(changes, p.isThere))
}

// runtimes are a finding each. That none is there is no fault: this host may be
// made ready before one is installed, and the next look finds it.
func (p *registryPlan) runtimes() []change {
	var all []change
	if p.f.has("containerd") {
		all = append(all, p.containerd())
	}
	if p.f.has("docker") {
		all = append(all, p.docker())
	}
	if p.f.has("crio") || p.f.has("podman") {
		all = append(all, p.containers())
	}
	for _, r := range ranchers {
		if i := slices.IndexFunc(r.units, p.f.has); i >= 0 {
			all = append(all, p.rancher(r, r.units[i]))
		}
	}
	if all == nil {
		all = append(all, change{Finding: Finding{
			Subject: "runtime", State: OK, Why: p.why,
			Have: "no container runtime is installed", Want: p.want() + " once there is one",
		}})
	}
	return all
}

// want is the wish in a few words.
func (p *registryPlan) want() string {
	var all []string
	for _, w := range p.wishes {
		text := w.name
		switch {
		case w.insecure:
			text += " unverified"
		case len(w.certs) > 0:
			text += " trusted"
		}
		if len(w.mirrorOf) > 0 {
			text += " as mirror of " + strings.Join(w.mirrorOf, ", ")
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// upstreams are the registries that are mirrored, each with what mirrors it.
func (p *registryPlan) upstreams() (names []string, mirrors map[string][]registryWish) {
	mirrors = map[string][]registryWish{}
	for _, w := range p.wishes {
		for _, m := range w.mirrorOf {
			if !slices.Contains(names, m) {
				names = append(names, m)
			}
			if !slices.ContainsFunc(mirrors[m], func(x registryWish) bool { return x.name == w.name }) {
				mirrors[m] = append(mirrors[m], w)
			}
		}
	}
	slices.Sort(names)
	return names, mirrors
}

// newChange is a finding about a runtime that begins by being as wished.
func (p *registryPlan) newChange(subject string) change {
	return change{Finding: Finding{Subject: subject, State: OK, Want: p.want(), Why: p.why}}
}

// stopped is a change that cannot be made: what is in the way, and what to do.
func (c change) stopped(state State, have, hint string) change {
	c.State, c.Have, c.Hint, c.Steps, c.adds, c.drops = state, have, hint, nil, nil, nil
	return c
}

// own makes a whole file of ours hold content.
func (p *registryPlan) own(c *change, path, content string) {
	add := entry{"file", path, fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
	p.kept = append(p.kept, add)
	has := p.f.file(path)
	if has.Presence == Present && has.content == content {
		return
	}
	c.Steps = append(c.Steps, p.writeOurs(has, content))
	c.adds = append(c.adds, add)
}

// writeOurs replaces a file that is ours. What somebody else has made of it
// since is worth keeping.
func (p *registryPlan) writeOurs(has file, content string) remote.Step {
	step := rewrite(has, content, 0o644)
	step.Write.Ours = has.Presence != Present || p.f.ledger.has(entry{"file", has.Path, fmt.Sprintf("%x", sha256.Sum256([]byte(has.content)))})
	return step
}

// isOurs reports whether a file is one that the ledger remembers as ours alone.
func (p *registryPlan) isOurs(path string) bool {
	return slices.ContainsFunc(p.f.ledger.entries, func(e entry) bool { return e.kind == "file" && e.path == path })
}

// trust makes a folder of which every .crt is trusted hold a registry's
// certificates, whoever put them there.
func (p *registryPlan) trust(c *change, folder string, w registryWish) (missing bool) {
	ours := folder + "/" + caName
	if len(w.certs) == 0 {
		return false
	}
	if p.f.trusts(folder, w.certs) && !p.isOurs(ours) {
		return false
	}
	before := len(c.Steps)
	p.own(c, ours, w.ca())
	return len(c.Steps) > before
}

// unreadable is the first of the files that cannot be read, or are none.
func (p *registryPlan) unreadable(c change, paths ...string) (change, bool) {
	for _, path := range paths {
		switch has := p.f.file(path); {
		case has.Presence == Unreadable:
			return c.stopped(Unknown, path+" cannot be read without root", "enable sudo for this host"), true
		case has.Presence == Irregular:
			return c.stopped(Unmet, path+" is not a regular file", "see what it is, and move it away"), true
		case notText(has) != "":
			return c.stopped(Unmet, notText(has), byHand), true
		}
	}
	return c, false
}

// settle sums a finding up: what is missing, or that nothing is.
func (c change) settle(missing []string, settled string) change {
	c.Have = settled
	if len(missing) > 0 {
		c.Have = strings.Join(missing, "; ")
	}
	if c.Steps != nil {
		c.State = Pending
	}
	return c
}
