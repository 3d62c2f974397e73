package tasks

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// An nfsPlan is a plan being made: the facts as they will be when the steps of
// the findings so far have been carried out.
type nfsPlan struct {
	f       *nfsFacts
	fstab   file
	helper  bool
	gone    map[string]bool // paths whose mounts former steps have taken away
	covered []string        // paths that former steps have mounted anew
	wished  map[string]inventory.Mount
}

func planNFS(h inventory.Host, facts Facts) []Finding {
	f := facts.(*nfsFacts)
	if len(h.Mounts) == 0 && len(f.ledger.entries) == 0 {
		return f.sharedVolume(h)
	}
	p := &nfsPlan{
		f: f, fstab: f.fstab, helper: f.Helper != "",
		gone:   make(map[string]bool),
		wished: make(map[string]inventory.Mount),
	}
	for _, m := range h.Mounts {
		p.wished[m.Path] = m
	}
	var changes []change
	for _, m := range h.Mounts {
		changes = append(changes, p.mount(m))
	}
	return append(f.asRoot(f.ledger.remember(append(changes, p.removals()...), f.isThere)), f.sharedVolume(h)...)
}

// mount is the finding for one wish: mounted now, and listed for the next boot.
func (p *nfsPlan) mount(m inventory.Mount) change {
	c := change{Finding: Finding{Subject: m.Path, State: OK, Want: wantMount(m), Why: m.Why}}
	now := p.mountedNow(m)
	listed, line := p.listed(m)
	if !p.possible(m, now, listed, &c) {
		return c
	}
	c.Have = haveMount(now, listed)

	fresh := now.top == nil || now.problem != ""
	isNew := listed.problem != ""
	if m.Automount && p.f.Systemd {
		fresh = now.problem != "" || !now.automount
	} else if now.automount {
		fresh = true
	}
	if p.unreached(m, fresh, &c) {
		return c
	}
	if fresh && !p.unmountFirst(m, now, &c) {
		return c
	}
	// Without mount.nfs what is mounted now is not mounted at the next boot.
	unhelped := !p.helper
	if !fresh && !isNew && !unhelped {
		return c
	}
	c.State = Pending
	var steps []remote.Step
	if unhelped {
		if !fresh {
			c.Have += ", but mount.nfs is missing"
		}
		p.helper = true
		steps = append(steps, install(p.f.Manager, nfsPackage(p.f.Manager)))
	}
	// A line alone is tried too: what the kernel does not show of a mount, mount
	// may refuse at the next boot.
	if fresh || isNew {
		steps = append(steps, tryMount(m))
	}
	steps = append(steps, c.Steps...) // what is taken away first
	if absent := p.f.paths[m.Path].absent && len(now.stack) == 0; fresh && (absent || p.under(m.Path)) {
		steps = append(steps, makeFolder(m.Path, p.above(m.Path)))
		if absent && !p.under(m.Path) {
			c.adds = append(c.adds, entry{"folder", m.Path, ""})
		}
	}
	if isNew {
		c.adds = append(c.adds, entry{"mount", m.Path, line})
		var old []string
		for _, e := range listed.entries {
			old = append(old, e.line)
			if !p.f.ledger.has(entry{"mount", m.Path, e.line}) {
				c.adds = append(c.adds, entry{"was", m.Path, e.line})
			}
		}
		// Where only the line was taken out, the mount is still ours.
		if len(listed.entries) == 0 && now.top != nil && !fresh && !p.f.madeOurs(m.Path, now.top.Source) {
			c.adds = append(c.adds, entry{"adopted", m.Path, now.top.Source})
		}
		next := replaceLines(p.fstab.content, old, line)
		steps = append(steps, p.writeFstab(next)...)
	}
	if fresh {
		for _, e := range p.f.ledger.of("adopted") {
			if e.path == m.Path { // what is mounted now will be of our making
				c.drops = append(c.drops, e)
			}
		}
		if m.Automount {
			steps = append(steps, startAutomount(m))
		} else {
			steps = append(steps, mountStep(m))
		}
		p.covered = append(p.covered, m.Path)
		p.gone[m.Path] = false
	}
	c.Steps = steps
	return c
}

func wantMount(m inventory.Mount) string {
	var with []string
	if m.Version != "" {
		with = append(with, "vers="+m.Version)
	}
	for _, o := range m.Options {
		if !(m.Version != "" && isVersion(o)) {
			with = append(with, o)
		}
	}
	want := sourceOf(m)
	if with != nil {
		want += " with " + strings.Join(with, ",")
	}
	if m.Automount {
		want += ", on first use"
	}
	return want
}

// A mounted is what is at a wished path now, against the wish.
type mounted struct {
	stack     []mountInfo // all that is mounted exactly there, lowest first
	top       *mountInfo  // the NFS mount that is seen, if there is one
	automount bool
	local     *mountInfo // what is seen is another filesystem
	below     []mountInfo
	problem   string // why the top is not what was wished; empty: it is, or there is none
	unclear   string // why that cannot be told
	stale     bool
	hung      bool
}

func (p *nfsPlan) mountedNow(m inventory.Mount) mounted {
	var now mounted
	if p.gone[m.Path] {
		return now
	}
	now.stack = visible(p.f.Mounts, m.Path)
	for i, on := range now.stack {
		if on.Type == "autofs" && on.Source == "systemd-1" {
			now.automount = true
			continue
		}
		if i == len(now.stack)-1 && on.nfs() {
			now.top = &now.stack[i]
		} else if !on.nfs() {
			now.local = &now.stack[i]
		}
	}
	if now.local != nil || len(now.stack) > 0 {
		for _, other := range p.f.Mounts {
			if strings.HasPrefix(other.Path, m.Path+"/") && !p.gone[other.Path] && len(visible(p.f.Mounts, other.Path)) > 0 {
				now.below = append(now.below, other)
			}
		}
	}
	if now.top == nil {
		return now
	}
	has := p.f.paths[m.Path]
	now.hung = has.hung
	now.stale = has.stale
	same, unclear := p.f.sameServer(m, *now.top)
	now.unclear = unclear
	if unclear == "" && (has.absent || has.irregular || has.dangling) {
		now.unclear = "something is mounted there, and yet there is no folder"
	}
	switch {
	case !same:
		now.problem = "mounted from " + now.top.Source
	case now.stale:
		now.problem = "stale file handle"
	default:
		now.problem = p.wrongOptions(m, *now.top)
	}
	return now
}

// wrongOptions names the wished options that a mount does not have, and those
// that it has from a former line of fstab and that nobody wishes any more.
func (p *nfsPlan) wrongOptions(m inventory.Mount, top mountInfo) string {
	var wrong []string
	for _, e := range expectations(m) {
		if !e.holds(top) {
			name, _, _ := strings.Cut(e.option, "=")
			if opposites[name] != "" {
				name = opposites[name]
			}
			has, ok := top.option(name)
			switch {
			case !ok:
				wrong = append(wrong, e.option+" is missing")
			case has == "":
				wrong = append(wrong, "has "+name)
			default:
				wrong = append(wrong, name+"="+has)
			}
		}
	}
	now := strings.Split(fstabOptions(m), ",")
	for _, e := range p.entries(m.Path) {
		for o := range strings.SplitSeq(e.Options, ",") {
			was, ok := expect(o)
			if ok && !slices.Contains(now, o) && !isDefault(o) && !isVersion(o) && !sameKey(now, o) && was.holds(top) {
				wrong = append(wrong, "still has "+o)
			}
		}
	}
	if wrong == nil {
		return ""
	}
	return "mounted from " + top.Source + ", but " + strings.Join(wrong, ", ")
}

// sameKey reports whether options set what o sets, to whichever value.
func sameKey(options []string, o string) bool {
	key, _, _ := strings.Cut(o, "=")
	return slices.ContainsFunc(options, func(p string) bool { k, _, _ := strings.Cut(p, "="); return k == key })
}

// A listing is what fstab says of a path, against the wish.
type listing struct {
	entries []fstabEntry
	problem string // empty: one line, and it says what is wished
}

// entries are the lines of fstab as it will be for a path.
func (p *nfsPlan) entries(at string) []fstabEntry {
	return slices.DeleteFunc(parseFstab(p.fstab.content), func(e fstabEntry) bool { return e.Path != at })
}

func (p *nfsPlan) listed(m inventory.Mount) (listing, string) {
	l := listing{entries: p.entries(m.Path)}
	line := fstabLine(m)
	switch len(l.entries) {
	case 0:
		l.problem = "not in " + fstabPath
		return l, line
	case 1:
	default:
		l.problem = fmt.Sprintf("%s lists it %d times", fstabPath, len(l.entries))
		return l, line
	}
	e := l.entries[0]
	switch {
	case e.line == line:
	case !sameSource(e.Source, sourceOf(m)):
		l.problem = fstabPath + " says " + e.Source
	case p.f.ledger.has(entry{"mount", m.Path, e.line}):
		l.problem = fstabPath + " says " + e.Options
	default:
		// Somebody else's line that says the same is as good as ours.
		if missing := missingOptions(m, e); missing != "" {
			l.problem = fstabPath + " " + missing
		}
	}
	return l, line
}

// writeFstab replaces fstab once it is verified, and has systemd read it:
// otherwise systemd takes a new mount down again, by its old idea of the file.
func (p *nfsPlan) writeFstab(content string) []remote.Step {
	step := rewrite(p.fstab, content, 0)
	step.Write.Verify += verifyFstab
	p.fstab = file{Path: fstabPath, Presence: Present, content: content}
	if !p.f.Systemd {
		return []remote.Step{step}
	}
	// Its generator looks at every path of fstab, and gives up at a dead one
	// after 90 seconds.
	reload := daemonReload()
	reload.Run.Timeout = 3 * time.Minute
	return []remote.Step{step, reload}
}

// missingOptions is why somebody else's line does not say what is wished.
func missingOptions(m inventory.Mount, e fstabEntry) string {
	if e.option("noauto") {
		return "says noauto"
	}
	has := strings.Split(strings.ReplaceAll(e.Options, "nfsvers=", "vers="), ",")
	for o := range strings.SplitSeq(fstabOptions(m), ",") {
		key, _, _ := strings.Cut(o, "=")
		for _, h := range has {
			k, _, _ := strings.Cut(h, "=")
			if h != o && (k == key && k != h || opposites[o] == h || opposites[h] == o || contrary[o] == h) {
				return "says " + h
			}
		}
		if !slices.Contains(has, o) && opposites[o] == "" && o != "hard" {
			return "lacks " + o
		}
	}
	return ""
}

var contrary = map[string]string{"hard": "soft", "soft": "hard"}

func haveMount(now mounted, listed listing) string {
	var parts []string
	switch {
	case now.top == nil && now.automount:
		parts = append(parts, "an automount point")
	case now.top == nil:
		parts = append(parts, "not mounted")
	case now.problem != "":
		parts = append(parts, now.problem)
	default:
		v, _ := now.top.option("vers")
		parts = append(parts, fmt.Sprintf("mounted from %s, NFS %s", now.top.Source, v))
	}
	if now.top != nil && len(now.stack) > 1 && !(now.automount && len(now.stack) == 2) {
		parts = append(parts, fmt.Sprintf("stacked %d deep", len(now.stack)))
	}
	if now.hung {
		parts = append(parts, "its server does not answer")
	}
	switch nowhere := now.top == nil && !now.automount; {
	case listed.problem == "" && nowhere:
		parts = append(parts, "though "+fstabPath+" lists it")
	case listed.problem == "":
	case nowhere && len(listed.entries) == 0: // that goes without saying
	default:
		parts = append(parts, listed.problem)
	}
	return strings.Join(parts, ", ")
}

// unmountFirst plans what has to go before a wish can be mounted anew. It is
// never "remounted": that changes neither source nor most options.
func (p *nfsPlan) unmountFirst(m inventory.Mount, now mounted, c *change) bool {
	below := slices.Clone(now.below)
	if now.top == nil {
		// What is mounted below would be hidden by what is mounted here.
		for _, other := range p.f.Mounts {
			if strings.HasPrefix(other.Path, m.Path+"/") && !p.gone[other.Path] {
				below = append(below, other)
			}
		}
	}
	slices.SortFunc(below, func(a, b mountInfo) int { return strings.Compare(b.Path, a.Path) })
	for _, b := range below {
		if _, ours := p.wished[b.Path]; !ours || !b.nfs() {
			c.State = Unmet
			c.Have = haveMount(now, listing{}) + fmt.Sprintf("; %s is mounted below, at %s", b.Source, b.Path)
			c.Hint = "unmount it first"
			return false
		}
	}
	unmounts := now.top != nil || slices.ContainsFunc(below, func(b mountInfo) bool { return !p.gone[b.Path] })
	if state, why := p.busy(m.Path, now.hung); unmounts && state != OK {
		c.State, c.Have, c.Hint = state, haveMount(now, listing{})+"; "+why, ""
		if state == Unmet {
			c.Hint = "end what uses it, and apply again"
		}
		return false
	}
	for _, b := range below {
		if !p.gone[b.Path] {
			c.Steps = append(c.Steps, unmount(b.Path, "", ""))
			p.gone[b.Path] = true
		}
	}
	if now.automount && !m.Automount {
		defer func() { c.Steps = append(c.Steps, stopAutomount(m.Path)) }()
	}
	if now.top == nil {
		return true
	}
	option, because := "", ""
	switch {
	case now.stale:
		because = " (stale file handle)"
	case now.hung:
		option, because = "-f ", " (its server does not answer)"
	}
	for _, on := range now.stack {
		switch {
		case !on.nfs():
		case because == "":
			c.Steps = append(c.Steps, p.unmountAny(m.Path))
		default:
			c.Steps = append(c.Steps, unmount(m.Path, option, because))
		}
	}
	p.gone[m.Path] = true
	return true
}

// madeOurs reports whether the ledger has a mount of this source at the path.
func (f *nfsFacts) madeOurs(at, source string) bool {
	return slices.ContainsFunc(f.ledger.of("mount"), func(e entry) bool {
		ours, _ := parseFstabLine(e.text)
		return e.path == at && sameSource(source, ours.Source)
	})
}

// isThere reports whether something of the ledger is still on the host. What
// is remembered of the time before lasts as long as what took its place.
func (f *nfsFacts) isThere(e entry) bool {
	switch e.kind {
	case "folder":
		return !f.paths[e.path].absent
	case "was", "adopted":
		return slices.ContainsFunc(f.ledger.of("mount"), func(m entry) bool { return m.path == e.path && f.isThere(m) })
	}
	ours, _ := parseFstabLine(e.text)
	return hasLine(f.fstab.content, e.text) || slices.ContainsFunc(f.Mounts, func(m mountInfo) bool {
		return m.Path == e.path && m.nfs() && sameSource(m.Source, ours.Source)
	})
}

// sameServer compares what is mounted with what is wished. A server may have
// been written as a name then and as an address now: the address that the
// kernel talks to decides, with those that the host finds for the name. While
// it finds none, nothing can be told.
func (f *nfsFacts) sameServer(m inventory.Mount, has mountInfo) (same bool, unclear string) {
	if sameSource(has.Source, sourceOf(m)) {
		return true, ""
	}
	_, export := splitSource(has.Source)
	addr, _ := has.option("addr")
	at, err := netip.ParseAddr(addr)
	if err != nil || export != path.Clean(m.Export) {
		return false, ""
	}
	known := append([]string{m.Server}, f.addresses[m.Server]...)
	same = slices.ContainsFunc(known, func(a string) bool {
		b, err := netip.ParseAddr(a)
		return err == nil && b.Unmap() == at.Unmap()
	})
	if _, err := netip.ParseAddr(m.Server); err != nil && !same && (f.nameless[m.Server] || len(f.addresses[m.Server]) == 0) {
		return false, fmt.Sprintf("mounted from %s, and whether that is %s cannot be told: the host finds no address for the name", has.Source, m.Server)
	}
	return same, ""
}
