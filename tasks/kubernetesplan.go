package tasks

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A kubernetesPlan is a plan being made.
type kubernetesPlan struct {
	h    inventory.Host
	f    *kubernetesFacts
	k    inventory.Kubernetes
	why  string
	kept []entry // of the ledger, that are still wished
}

func planKubernetes(h inventory.Host, facts Facts) []Finding {
	f := facts.(*kubernetesFacts)
	p := &kubernetesPlan{h: h, f: f}
	var changes []change
	add := func(more ...change) { changes = append(changes, more...) }
	if kubernetesWished(h) {
		p.k, p.why = *h.Kubernetes, h.Kubernetes.Why
		add(p.versions()...)
		add(p.node()...)
		if f.OpenShift == "" {
			add(p.swap(), p.modules(), p.sysctls(), p.cgroup())
		}
		add(p.ports(), p.hostname(), p.machineID(), p.time())
		add(p.security()...)
	}
	if f.Toolkit != nil {
		add(p.toolkit()...)
	}
	return f.asRoot(f.ledger.remember(append(changes, p.removals()...), f.isThere))
}

// finding is one of a subject that is wished as Kubernetes is.
func (p *kubernetesPlan) finding(subject, want string) change {
	return change{Finding: Finding{Subject: subject, State: OK, Want: want, Why: p.why}}
}

// because names the attribute that wishes it, where one does.
func (c change) because(why string) change {
	c.Why = cmp.Or(why, c.Why)
	return c
}

// warn adds a warning.
func (c *change) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.Warning != "" {
		text = c.Warning + "; " + text
	}
	c.Warning = text
}

// ofTheMachine says that a container cannot change what its kernel has.
const ofTheMachine = "this is a container: the machine that it runs on has to be changed"

// hashed is the entry of a file of ours.
func hashed(path, content string) entry {
	return entry{"file", path, fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
}

// own writes a file of ours, where it is not so already; it is kept. A file that
// somebody else has put there under its name is not overwritten.
func (p *kubernetesPlan) own(c *change, path, content string) (ok bool) {
	has, e := p.f.file(path), hashed(path, content)
	p.keep(path)
	p.kept = append(p.kept, e)
	if has.Presence == Present && has.content == content {
		return true
	}
	ours := slices.ContainsFunc(p.f.ledger.entries, func(e entry) bool { return e.path == path && e.kind == "file" })
	if has.Presence != Absent && !(ours && has.Presence == Present) {
		c.State, c.Steps, c.adds = Unmet, nil, nil
		c.Have, c.Hint = path+" is there, and runai-prep did not write it", "remove it, or give it another name"
		return false
	}
	c.adds = append(c.adds, e)
	c.Steps = append(c.Steps, remote.Step{
		Title: "write " + path,
		Write: &remote.File{Path: path, Mode: 0o644, Data: content, Old: has.old(), Ours: true},
	})
	return true
}

// keep says that what the ledger has of a file is still wished.
func (p *kubernetesPlan) keep(path string) {
	for _, e := range p.f.ledger.entries {
		if e.path == path {
			p.kept = append(p.kept, e)
		}
	}
}

// file is one that the probe looked at, or would have, had it been there.
func (f *kubernetesFacts) file(path string) file {
	if has, ok := f.files[path]; ok {
		return has
	}
	return file{Path: path, Presence: Absent}
}

// offMark is before a line that we have taken out of force.
const offMark = "#runai-prep# "

// commentOut takes lines out of force, and leaves them where they are.
func commentOut(content string, off func(line string) bool) (string, []string) {
	var gone []string
	lines := splitLines(content)
	for i, line := range lines {
		if text := strings.TrimSuffix(line, "\n"); off(text) {
			lines[i] = offMark + line
			gone = append(gone, text)
		}
	}
	return strings.Join(lines, ""), gone
}

// commentIn puts into force again what was taken out.
func commentIn(content string, lines []string) string {
	all := splitLines(content)
	for i, line := range all {
		if text, ok := strings.CutPrefix(line, offMark); ok && slices.Contains(lines, strings.TrimSuffix(text, "\n")) {
			all[i] = text
		}
	}
	return strings.Join(all, "")
}

// isThere reports whether something of the ledger is still on the host as it
// was put there, as far as can be seen.
func (f *kubernetesFacts) isThere(e entry) bool {
	has := f.file(e.path)
	switch {
	case has.Presence == Unreadable:
		return true
	case e.kind == "off":
		return hasLine(has.content, offMark+e.text)
	case e.kind == "made" || e.kind == "trusted":
		return has.Presence != Absent
	case e.kind == "disabled":
		return true // what we have switched off is given back, or forgotten then
	}
	return has.Presence == Present && hashed(e.path, has.content) == e
}

// removals take away what the ledger knows and nobody wishes any longer. What
// the kernel has now stays until the next boot: other things may need it.
func (p *kubernetesPlan) removals() []change {
	var gone []change
	var seen []string
	for _, e := range p.f.ledger.entries {
		if slices.Contains(p.kept, e) || slices.Contains(seen, e.path) ||
			slices.ContainsFunc(p.kept, func(k entry) bool { return k.path == e.path && k.kind == "file" }) {
			continue
		}
		seen = append(seen, e.path)
		if c, ok := p.removal(e.path); ok {
			gone = append(gone, c)
		}
	}
	return gone
}

func (p *kubernetesPlan) removal(path string) (change, bool) {
	c := change{Finding: Finding{Subject: path, State: Pending, Want: "absent", Why: noLonger}}
	has := p.f.file(path)
	var ours bool
	var off, units, trusted []string
	for _, e := range p.f.ledger.entries {
		if e.path != path || slices.Contains(p.kept, e) {
			continue
		}
		c.drops = append(c.drops, e)
		ours = ours || (e.kind == "file" || e.kind == "made") && p.f.isThere(e)
		switch e.kind {
		case "off":
			off = append(off, e.text)
		case "disabled":
			units = append(units, e.text)
		case "trusted":
			trusted = append(trusted, e.text)
		}
	}
	switch content := commentIn(has.content, off); {
	case units != nil:
		c.Have, c.Want = "switched off by runai-prep", "enabled, as it was before"
		c.Hint = "it starts at the next boot"
		for _, unit := range units {
			c.Steps = append(c.Steps, giveBackUnit(path, unit))
		}
	case has.Presence == Unreadable:
		c.State, c.Have, c.Hint, c.drops = Unknown, path+" cannot be read without root", "enable sudo for this host", nil
	case off != nil && content == has.content:
		return c, false // somebody was faster
	case off != nil && notText(has) != "":
		c.State, c.Have, c.Hint, c.drops = Unmet, notText(has), byHand, nil
	case off != nil:
		c.Have, c.Want = fmt.Sprintf("%d of its lines taken out of force by runai-prep", len(off)), "as it was before"
		c.Hint = "it has its effect at the next boot"
		c.Steps = append(c.Steps, p.rewriteShown(has, content)...)
	case has.Presence == Absent:
		return c, false
	case ours:
		c.Have = "written by runai-prep"
		c.Hint = "what the kernel has of it now stays until the next boot"
		if slices.Contains(toolkitPaths, path) {
			c.Hint = "what was installed from there stays, and runtimes go on knowing of it"
		}
		for _, key := range trusted {
			c.Have += ", and rpm trusts it"
			c.Steps = append(c.Steps, remote.Step{
				Title: "have rpm trust " + key + " no longer",
				Run:   &remote.Command{Timeout: 30 * time.Minute, Detached: true, Script: rpmDistrustScript(key, path)},
			})
		}
		c.Steps = append(c.Steps, remote.Step{Title: "remove " + path, Remove: &remote.Removal{Path: path, Old: has.old(), Ours: true}})
	default:
		c.State, c.Have, c.Hint, c.drops = OK, "it was changed since runai-prep wrote it, and is left alone", "remove it by hand if nobody needs it", nil
	}
	return c, true
}

// rewriteShown replaces a file that belongs to somebody else.
func (p *kubernetesPlan) rewriteShown(has file, content string) []remote.Step {
	step := rewrite(has, content, 0)
	if has.Path != fstabPath {
		return []remote.Step{step}
	}
	step.Write.Verify += verifyFstab
	if !p.f.Systemd {
		return []remote.Step{step}
	}
	return []remote.Step{step, daemonReload()}
}
