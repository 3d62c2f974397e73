package tasks

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// certificates are one finding: which of the wished are trusted, whoever put
// them there. Runtimes read the bundle once, when they first need it, so those of
// them that run and are wished are restarted; and so are those that have run
// since before one of ours came to the host, because an earlier apply was cut off.
func (p *proxyPlan) certificates(wished func(target string) bool) []change {
	if len(p.w.certificates) == 0 {
		return nil
	}
	c := change{Finding: Finding{Subject: "ca certificates", State: OK, Why: p.why}}
	var names, missing []string
	store, known := trustStores[p.f.trust()]
	var writes []remote.Step
	var ours []string // files of those that are trusted
	for _, cert := range p.w.certificates {
		names = append(names, cert.name)
		has, content := p.f.files[store.path(cert)], cert.pem
		if has.Path == "" {
			has = file{Path: store.path(cert), Presence: Absent}
		}
		add := entry{"file", has.Path, fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
		p.kept = append(p.kept, add)
		if slices.Contains(p.f.Trusted, cert.line()) {
			ours = append(ours, has.Path)
			continue
		}
		missing = append(missing, cert.name)
		// One that is there is written all the same: its time tells who began
		// before it was trusted.
		writes = append(writes, p.writeOurs(has, content, 0o644))
		c.adds = append(c.adds, add)
	}
	c.Want = "trusted: " + strings.Join(names, ", ")
	if !known {
		c.State, c.Have = Unmet, unknownStore
		return []change{c}
	}
	c.Have = "in " + store.bundle
	if missing != nil {
		c.State, c.Have = Pending, "not trusted: "+strings.Join(missing, ", ")
		if p.f.noTool {
			c.Steps = append(c.Steps, install(p.f.Manager, store.pkg))
		}
		c.Steps = append(append(c.Steps, writes...), updateTrust(store, false))
	}
	var late []string
	for _, name := range pullers { // the kubelet asks nobody outside
		u := p.f.unit(name)
		if u == nil || u.Load != "loaded" || u.pid == 0 || !wished(name) {
			continue
		}
		before := p.f.beganBefore(u, ours)
		if before {
			late = append(late, name)
		}
		if before || missing != nil {
			c.Steps = append(c.Steps, restart(name))
		}
	}
	if missing == nil && late != nil {
		c.State = Pending
		c.Have = "trusted, but " + strings.Join(late, " and ") + " began before that, and cannot know it"
	}
	return []change{c}
}

const unknownStore = "no store of certificates is known for this host"

// leaveRestarts leaves restarts to those changes that bring them anyway, later.
func (c *change) leaveRestarts(others []change) {
	var with []string
	c.Steps = slices.DeleteFunc(c.Steps, func(s remote.Step) bool {
		i := slices.IndexFunc(others, func(o change) bool {
			return slices.ContainsFunc(o.Steps, func(other remote.Step) bool { return other.Title == s.Title })
		})
		if i >= 0 {
			with = append(with, others[i].Subject)
		}
		return i >= 0
	})
	if c.State == Pending && len(c.Steps) == 0 {
		c.comesWith(strings.Join(with, ", "))
	}
}

func (f *proxyFacts) trust() string {
	switch f.Manager {
	case "apt":
		return "debian"
	case "dnf", "yum":
		return "el"
	case "zypper":
		return "suse"
	}
	return ""
}

func install(manager, name string) remote.Step {
	title := map[string]string{"apt": "apt-get install "}[manager]
	if title == "" {
		title = manager + " install "
	}
	return remote.Step{Title: title + name, Install: &remote.Packages{Manager: manager, Names: []string{name}}}
}

// removals take away what the ledger knows and nobody wishes any longer. Only
// what still is as we wrote it; for the rest a finding says so, and it stays.
func (p *proxyPlan) removals() []change {
	var gone []change
	for _, of := range []struct {
		subject, path string
	}{
		{"environment", environmentPath},
		{"dnf", dnfPath}, {"dnf", yumPath},
		{"zypper", sysconfigPath}, {"zypper", curlrcPath},
	} {
		if slices.ContainsFunc(p.kept, func(e entry) bool { return e.path == of.path }) ||
			!slices.ContainsFunc(p.f.ledger.entries, func(e entry) bool { return e.path == of.path }) {
			continue
		}
		c := p.lines(of.subject, of.path, nil, 0)
		if c.State != OK {
			c.Want, c.Why = "not set by runai-prep", noLonger
			if slices.ContainsFunc(c.drops, func(e entry) bool { return e.kind == "was" }) {
				c.Want = "set as it was before"
			}
			gone = together(gone, c)
		}
	}
	certificates := change{Finding: Finding{Subject: "ca certificates", State: Pending, Why: noLonger}}
	var last []change
	seen := make(map[string]bool)
	for _, e := range p.f.ledger.entries {
		if e.kind != "file" && e.kind != "secret" || seen[e.path] ||
			slices.ContainsFunc(p.kept, func(k entry) bool { return k.path == e.path }) {
			continue
		}
		seen[e.path] = true
		switch c, found := p.removal(e); {
		case !found && c.Subject == certificates.Subject:
			// Its file is gone and it may be trusted still, if who took it away
			// was cut off.
			certificates.drops = append(certificates.drops, e)
		case !found:
		case c.Subject == certificates.Subject && c.State == Pending:
			certificates.Steps = append(certificates.Steps, c.Steps...)
			certificates.drops = append(certificates.drops, e)
		case e.path == proxyEnvPath: // after the units that read it
			last = append(last, c)
		default:
			gone = append(gone, c)
		}
	}
	if n := len(certificates.drops); n > 0 {
		certificates.Have = fmt.Sprintf("%d trusted by runai-prep and no longer wished", n)
		certificates.Want = "trusted no longer by what starts from now on"
		if store, known := trustStores[p.f.trust()]; known {
			certificates.Steps = append(certificates.Steps, updateTrust(store, true))
		} else {
			certificates.State, certificates.Steps, certificates.drops = Unmet, nil, nil
			certificates.Hint = unknownStore
		}
		gone = append(gone, certificates)
	}
	return append(gone, last...)
}

// together adds what is taken away to the change of the same subject, and before
// it: zypper's address and its credentials are in two files, and a certificate
// may take another's place. Where one cannot be made, neither is.
func together(all []change, gone change) []change {
	i := slices.IndexFunc(all, func(c change) bool { return c.Subject == gone.Subject })
	stuck := func(c change) bool { return c.State == Unmet || c.State == Unknown }
	switch {
	case i < 0:
		return append(all, gone)
	case stuck(all[i]):
		return all
	case stuck(gone):
		all[i] = gone
		return all
	}
	c := &all[i]
	if c.State == OK {
		c.State = gone.State
	}
	c.Have += "; " + gone.Have
	if c.Hint == "" {
		c.Hint = gone.Hint
	}
	c.Steps, c.drops = append(slices.Clone(gone.Steps), c.Steps...), append(c.drops, gone.drops...)
	return all
}

func subjectOf(filePath string) string {
	switch {
	case filePath == aptPath:
		return "apt"
	case strings.HasSuffix(filePath, ".service.d/"+dropInName):
		return strings.TrimSuffix(path.Base(path.Dir(filePath)), ".service.d")
	case strings.HasPrefix(path.Base(filePath), "runai-prep-"):
		return "ca certificates"
	}
	return filePath
}

func (p *proxyPlan) removal(e entry) (change, bool) {
	c := change{
		Finding: Finding{Subject: subjectOf(e.path), State: Pending, Have: e.path + ", written by runai-prep", Want: "absent", Why: noLonger},
	}
	ours := false // as one of the entries has it: an interrupted run leaves two
	f := p.f.files[e.path]
	for _, same := range p.f.ledger.entries {
		if same.path == e.path {
			c.drops = append(c.drops, same)
			ours = ours || f.Presence == Present && p.f.isThere(same)
		}
	}
	intact, signed := p.f.intact[e.path]
	u := p.f.unit(c.Subject)
	switch {
	case f.Presence == Unreadable:
		c.State, c.Have, c.Hint, c.drops = Unknown, e.path+" cannot be read without root", "enable sudo for this host", nil
		return c, true
	case signed && intact:
		c.Steps = append(c.Steps, remote.Step{Title: "remove " + e.path, Remove: &remote.Removal{Path: e.path, Ours: true}})
	case ours:
		c.Steps = append(c.Steps, remote.Step{Title: "remove " + e.path, Remove: &remote.Removal{Path: e.path, Old: f.old(), Ours: true}})
	case signed || f.Presence == Present:
		c.State, c.Have, c.drops = OK, e.path+" was changed since runai-prep wrote it, and is left alone", nil
		c.Hint = "remove it by hand if nobody needs it"
		return c, true
	case u == nil || !u.outdated() && !u.Stale:
		return c, false // somebody was faster
	default:
		c.Have = u.Name + " runs with the proxy of a file that is gone"
	}
	if u != nil {
		c.Steps = append(c.Steps, daemonReload())
		if u.pid > 0 && (u.other || u.count > 0 || len(u.extra) > 0) {
			c.Steps = append(c.Steps, restart(u.Name))
		}
	}
	return c, true
}

// isThere reports whether something of the ledger is still on the host as it
// was put there, as far as can be seen.
func (f *proxyFacts) isThere(e entry) bool {
	has := f.files[e.path]
	switch e.kind {
	case "was", "secret was": // as long as what took its place is, whoever changed that
		_, there := lineSyntaxes[e.path].assigned(has.content, nameOf(e))
		return there || has.Presence == Unreadable
	case "line":
		return hasLine(has.content, e.text)
	case "secret line":
		return has.Presence == Present
	case "secret":
		_, signed := f.intact[e.path]
		return signed || has.Presence == Same || has.Presence == Differs || has.Presence == Unreadable
	}
	return has.Presence == Unreadable ||
		has.Presence == Present && fmt.Sprintf("%x", sha256.Sum256([]byte(has.content))) == e.text
}
