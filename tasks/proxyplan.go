package tasks

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// noLonger is why something of ours is taken away.
const noLonger = "no longer in the inventory"

// A proxyPlan is a plan being made.
type proxyPlan struct {
	w     proxyWish
	f     *proxyFacts
	why   string
	added map[string]bool // paths that former findings have written
	// kept are the ledger's entries that are still wished.
	kept []entry
}

func planProxy(h inventory.Host, facts Facts) []Finding {
	p := &proxyPlan{f: facts.(*proxyFacts), added: make(map[string]bool)}
	if h.Proxy == nil && len(p.f.ledger.entries) == 0 {
		return nil
	}
	var before, units, trust []change
	if h.Proxy != nil {
		p.w, p.why = wishOf(h), h.Proxy.Why
		wished := func(target string) bool { return h.Proxy.Targets == nil || slices.Contains(h.Proxy.Targets, target) }
		listed := h.Proxy.Targets != nil
		trust = p.certificates(wished)
		if len(p.w.assignments()) > 0 {
			if wished("environment") {
				before = append(before, p.environment())
			}
			for _, manager := range []string{"apt", "dnf", "zypper"} {
				switch {
				case !wished(manager):
				case p.f.Manager == manager || manager == "dnf" && p.f.Manager == "yum":
					before = append(before, p.packageManager())
				case listed:
					before = append(before, p.notHere(manager, "is not this host's package manager"))
				}
			}
			for _, name := range runtimes {
				if !wished(name) {
					continue
				}
				switch u := p.f.unit(name); {
				case u != nil && u.Load == "loaded":
					units = append(units, p.unit(u))
				case u != nil && u.Load == "masked":
					units = append(units, p.notHere(name, "is masked"))
				case u != nil && u.Load != "not-found":
					units = append(units, p.notLoaded(u))
				case listed:
					units = append(units, p.notHere(name, "is not installed"))
				}
				// A drop-in of a runtime that is gone harms nobody.
				p.ownFile(dropInPath(name), p.w.dropIn())
			}
		}
	}
	var gone []change
	for _, g := range p.removals() {
		switch same := func(c change) bool { return c.Subject == g.Subject }; {
		case slices.ContainsFunc(before, same):
			before = together(before, g)
		case slices.ContainsFunc(trust, same):
			trust = together(trust, g)
		default:
			gone = append(gone, g)
		}
	}
	come := slices.DeleteFunc(slices.Concat(units, gone), func(c change) bool {
		_, ignored := h.Ignores("proxy", c.Subject)
		return ignored
	})
	for i := range trust {
		trust[i].leaveRestarts(come)
	}
	changes := slices.Concat(before, trust, units)
	if h.Proxy != nil {
		changes = append(changes, p.noProxy(h.Proxy, append(slices.Clone(before), units...))...)
	}
	changes = append(changes, gone...)
	return p.f.asRoot(p.f.ledger.remember(changes, p.f.isThere))
}

// notLoaded is the finding for a unit that systemd cannot make sense of: its
// settings are unknown, and what it would do with a drop-in is too.
func (p *proxyPlan) notLoaded(u *unitFacts) change {
	return change{Finding: Finding{
		Subject: u.Name, State: Unknown, Why: p.why, Want: p.wantSecretly(),
		Have: u.Name + ".service cannot be loaded (" + u.Load + ")",
		Hint: "see what systemctl status " + u.Name + " says of it",
	}}
}

// notHere is the finding for a target that was asked for by name. It is no
// fault: one list of targets serves hosts of several kinds. When the program
// is installed later, the next look finds it.
func (p *proxyPlan) notHere(target, why string) change {
	return change{Finding: Finding{
		Subject: target, State: OK, Why: p.why,
		Have: target + " " + why,
		Want: p.want() + " once it is there",
	}}
}

// want is the wish in a few words; user and password are no part of it.
func (p *proxyPlan) want() string {
	text := p.w.http
	switch {
	case p.w.http == "":
		text = p.w.https + " for https"
	case p.w.https == "":
		text += " for http"
	case p.w.https != p.w.http:
		text += ", for https " + p.w.https
	}
	return masked(text)
}

func (p *proxyPlan) wantSecretly() string {
	if p.w.credentials() {
		return p.want() + " with credentials"
	}
	return p.want()
}

// lines edits a file of which only single lines are ours.
func (p *proxyPlan) lines(subject, path string, want []assignment, mode fs.FileMode) change {
	c := change{Finding: Finding{Subject: subject, State: OK, Want: p.want(), Why: p.why}}
	syntax := lineSyntaxes[path]
	f := p.f.files[path]
	if f.Path == "" {
		f = file{Path: path, Presence: Absent}
	}
	for _, a := range want {
		p.kept = append(p.kept, lineEntry(path, syntax, a))
	}
	switch f.Presence {
	case Unreadable:
		c.State, c.Have, c.Hint = Unknown, path+" cannot be read without root", "enable sudo for this host"
		return c
	case Irregular:
		c.State, c.Have = Unmet, path+" is not a regular file"
		return c
	}
	content := p.withoutStale(path, syntax, want, syntax.set(f.content, want), &c)
	c.Have = "set in " + path
	for _, a := range want {
		if syntax.set(f.content, []assignment{a}) == f.content {
			continue
		}
		c.adds = append(c.adds, lineEntry(path, syntax, a))
		if was, ok := syntax.assigned(f.content, a.name); ok && !p.f.ledger.knows(path, a.name) {
			c.adds = append(c.adds, wasEntry(path, a.name, was))
		}
	}
	tooOpen := mode == 0o600 && f.Presence == Present && !isRootOnly(p.f.modes[path])
	if content == f.content && !tooOpen {
		return c
	}
	if why := notText(f); why != "" {
		c.State, c.Have, c.Hint, c.adds, c.drops = Unmet, why, byHand, nil, nil
		return c
	}
	c.State = Pending
	c.Have = differing(syntax, f.content, want)
	if want == nil || c.drops != nil && c.adds == nil {
		c.Have = "set in " + path + " by runai-prep"
	}
	if tooOpen && content == f.content {
		c.Have = path + " holds credentials and is not root's alone"
	}
	dropped := func(kind string) bool {
		return slices.ContainsFunc(c.drops, func(e entry) bool { return e.kind == kind })
	}
	if dropped("secret was") {
		c.Hint = "what stood there before held credentials: find it in /var/lib/runai-prep/backup" + path
	} else if path != curlrcPath && mode == 0 && dropped("secret line") && !holdsCredentials(content) {
		mode = 0o644 // as it was before it held a password
	}
	c.Steps = []remote.Step{rewrite(f, content, mode)}
	if path == curlrcPath && content == "" { // it was made for the password alone
		c.Steps = []remote.Step{{Title: "remove " + path, Remove: &remote.Removal{Path: path, Ours: true, Verify: unchanged(f)}}}
	}
	return c
}

// lineEntry is the ledger's entry for a line. Of one with a password it has the
// name only: nobody but root may know even its sum.
func lineEntry(path string, syntax lineSyntax, a assignment) entry {
	if isSecretName(a.name) {
		return entry{"secret line", path, a.name}
	}
	return entry{"line", path, syntax.format(a)}
}

// wasEntry remembers a line of somebody else that ours takes the place of. One
// with credentials is only in the copy of the whole file that is kept: the
// ledger is for everybody to read.
func wasEntry(path, name, line string) entry {
	if isSecretName(name) || holdsCredentials(line) {
		return entry{"secret was", path, name}
	}
	return entry{"was", path, line}
}

// nameOf is the name that the line of an entry assigns.
func nameOf(e entry) string {
	if strings.HasPrefix(e.kind, "secret ") {
		return e.text
	}
	syntax, ok := lineSyntaxes[e.path]
	if !ok {
		return "" // the ledger was edited
	}
	a, _ := syntax.parse(e.text)
	return a.name
}

// was is what stood in the place of our line before.
func (l ledger) was(path, name string) (entry, bool) {
	for _, e := range l.entries {
		if (e.kind == "was" || e.kind == "secret was") && e.path == path && nameOf(e) == name {
			return e, true
		}
	}
	return entry{}, false
}

// knows reports whether a line of the name is remembered already: what has
// taken its place since is no more than a change to what we wrote.
func (l ledger) knows(path, name string) bool {
	return slices.ContainsFunc(l.entries, func(e entry) bool { return e.path == path && nameOf(e) == name })
}

// withoutStale takes the lines out that we put there and that are no longer
// wished, and puts those back that stood there before. One that somebody has
// changed since is no longer ours.
func (p *proxyPlan) withoutStale(path string, syntax lineSyntax, want []assignment, content string, c *change) string {
	wanted := func(name string) bool {
		return slices.ContainsFunc(want, func(a assignment) bool { return a.name == name })
	}
	// Credentials belong to the address beside them: where that is not ours
	// any more, they are not either.
	ours := false
	for _, e := range p.f.ledger.entries {
		ours = ours || e.kind == "line" && e.path == path && hasLine(p.f.files[path].content, e.text)
	}
	for _, e := range p.f.ledger.entries {
		if e.path != path || e.kind != "line" && e.kind != "secret line" || wanted(nameOf(e)) {
			continue
		}
		stale := func(line string) bool {
			a, ok := syntax.parse(line)
			return ok && (e.kind == "line" && line == e.text || e.kind == "secret line" && a.name == e.text && (ours || path == curlrcPath))
		}
		was, had := p.f.ledger.was(path, nameOf(e))
		next := replaceAssignments(content, syntax, stale, func(a assignment) string {
			switch {
			case had && was.kind == "was":
				return was.text
			case path == sysconfigPath: // YaST wants the lines to be there, as the package brings them
				a.value = ""
				if a.name == "PROXY_ENABLED" {
					a.value = "no"
				}
				return syntax.format(a)
			}
			return ""
		})
		if next != content {
			content = next
			c.drops = append(c.drops, e)
			if had {
				c.drops = append(c.drops, was)
			}
		}
	}
	return content
}

// replaceAssignments puts other lines in the place of those that are stale, or
// none.
func replaceAssignments(content string, syntax lineSyntax, stale func(line string) bool, by func(assignment) string) string {
	var b strings.Builder
	for _, line := range splitLines(content) {
		text := strings.TrimSuffix(line, "\n")
		if stale(text) {
			a, _ := syntax.parse(text)
			if line = by(a); line != "" {
				line += "\n"
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

func isSecretName(name string) bool {
	return name == "proxy_username" || name == "proxy_password" || name == "proxy-user"
}

// isRootOnly reads what stat said: the mode and the owner's number.
func isRootOnly(mode string) bool { return mode == "600 0" || mode == "400 0" }

// differing tells what content assigns instead of what is wanted.
func differing(syntax lineSyntax, content string, want []assignment) string {
	lines := splitLines(content)
	start, end := syntax.bounds(lines)
	var unset, others []string
	for _, w := range want {
		has, found := "", false
		for i := max(start, 0); i < end; i++ {
			if a, ok := syntax.parse(strings.TrimSuffix(lines[i], "\n")); ok && a.name == w.name {
				has, found = a.value, true
			}
		}
		switch {
		case !found || has == "":
			unset = append(unset, w.name)
		case has == w.value:
		case isSecretName(w.name):
			others = append(others, w.name+" is another")
		case !slices.Contains(others, strings.ToUpper(w.name)+" is "+maskedAddress(has)):
			others = append(others, w.name+" is "+maskedAddress(has))
		}
	}
	switch {
	case others == nil && len(unset) == len(want):
		return "not set"
	case unset != nil:
		others = append(others, strings.Join(unset, ", ")+" not set")
	}
	return strings.Join(others, ", ")
}

func (p *proxyPlan) environment() change {
	c := p.lines("environment", environmentPath, p.w.assignments(), 0)
	if p.w.credentials() {
		c.Want += " without its credentials, for every user can read " + environmentPath
	}
	return c
}

func (p *proxyPlan) packageManager() change {
	credentials := func(user, password string) []assignment {
		if !p.w.credentials() {
			return nil
		}
		as := []assignment{{user, p.w.username}}
		if p.w.password != "" {
			as = append(as, assignment{password, p.w.password})
		}
		return as
	}
	var mode fs.FileMode
	if p.w.credentials() {
		mode = 0o600
	}
	switch p.f.Manager {
	case "zypper":
		want := []assignment{{"PROXY_ENABLED", "yes"}}
		for _, a := range p.w.assignments() {
			if a.name == strings.ToUpper(a.name) {
				want = append(want, a)
			}
		}
		c := p.lines("zypper", sysconfigPath, want, 0)
		if p.w.credentials() && c.State != Unknown && c.State != Unmet {
			user := p.lines("zypper", curlrcPath, []assignment{{"proxy-user", p.w.username + ":" + p.w.password}}, mode)
			c.Want = p.wantSecretly()
			c.Steps, c.adds = append(c.Steps, user.Steps...), append(c.adds, user.adds...)
			if user.State != OK {
				c.State = user.State
				c.Have = strings.TrimPrefix(c.Have+"; ", "set in "+sysconfigPath+"; ") + "credentials in " + curlrcPath + ": " + user.Have
			}
		}
		return c
	case "dnf", "yum":
		path := dnfPath
		if p.f.Manager == "yum" {
			path = yumPath
		}
		want := append([]assignment{{"proxy", p.w.dnfURL()}}, credentials("proxy_username", "proxy_password")...)
		c := p.lines("dnf", path, want, mode)
		c.Want = masked(p.w.dnfURL())
		if p.w.credentials() {
			c.Want += " with credentials, so that " + path + " is root's alone"
		}
		return c
	}
	return p.apt()
}

// write replaces a file that is ours alone.
func (p *proxyPlan) write(f file, path, content string, mode fs.FileMode) remote.Step {
	f.Path = path
	if _, signed := p.f.intact[path]; signed || mode == 0o600 { // with a password, now or until now
		return remote.Step{Title: "write " + path, Write: &remote.File{Path: path, Mode: mode, Secret: secret.New(content), Ours: true}}
	}
	return p.writeOurs(f, content, mode)
}

// writeOurs replaces a file that is ours and was shown. What somebody else has
// made of it since is worth keeping.
func (p *proxyPlan) writeOurs(f file, content string, mode fs.FileMode) remote.Step {
	step := rewrite(f, content, mode)
	step.Write.Ours = f.Presence != Present || p.f.ledger.has(entry{"file", f.Path, fmt.Sprintf("%x", sha256.Sum256([]byte(f.content)))})
	return step
}

// ownFile is the ledger's entry for a whole file; of one with a password not
// even a sum is kept where others can read it.
func (p *proxyPlan) ownFile(path, content string) entry {
	e := entry{"file", path, fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
	if strings.HasPrefix(content[strings.IndexByte(content, ' ')+1:], "Written by runai-prep, sha256") {
		e = entry{"secret", path, ""}
	}
	p.kept = append(p.kept, e)
	return e
}
