package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// removals take away the mounts that we made and nobody wishes any longer,
// those below others first.
func (p *nfsPlan) removals() []change {
	var last []entry // of each path; what was remembered for a change that failed has never been there
	listed := func(e entry) bool { return hasLine(p.f.fstab.content, e.text) }
	for _, e := range slices.Backward(p.f.ledger.of("mount")) {
		if _, wished := p.wished[e.path]; wished {
			continue
		}
		i := slices.IndexFunc(last, func(l entry) bool { return l.path == e.path })
		if i < 0 {
			last = append(last, e)
		} else if !p.f.isThere(last[i]) && p.f.isThere(e) || !listed(last[i]) && listed(e) {
			last[i] = e
		}
	}
	slices.SortFunc(last, func(a, b entry) int { return strings.Compare(b.path, a.path) })
	var gone []change
	for _, e := range last {
		if c, found := p.removal(e); found {
			gone = append(gone, c)
		}
	}
	return gone
}

// A former mount is what stands of one at its path.
type former struct {
	fstabEntry            // the line that was written for it
	before     []string   // lines of fstab that it replaced
	listed     bool       // the line still stands
	mounts     int        // how often it is mounted there
	automount  bool       // by the automount that we made
	over       *mountInfo // what somebody else mounted there
	below      *mountInfo // what is mounted below it
	kept       bool       // it is not ours to unmount
}

func (p *nfsPlan) former(e entry) former {
	f := former{listed: hasLine(p.fstab.content, e.text)}
	f.fstabEntry, _ = parseFstabLine(e.text)
	for _, old := range p.f.ledger.of("was") {
		if old.path == e.path {
			f.before = append(f.before, old.text)
			if was, _ := parseFstabLine(old.text); sameSource(was.Source, f.Source) && !was.option("noauto") {
				f.kept = true
			}
		}
	}
	f.kept = f.kept || slices.ContainsFunc(p.f.ledger.of("adopted"), func(a entry) bool { return a.path == e.path })
	if p.gone[e.path] {
		return f
	}
	stack := visible(p.f.Mounts, e.path)
	for i, on := range stack {
		switch {
		case on.nfs() && sameSource(on.Source, f.Source):
			f.mounts++
		case on.Type == "autofs" && f.option("x-systemd.automount"):
			f.automount = true
		default:
			f.over = &stack[i]
		}
	}
	for i, m := range p.f.Mounts {
		if strings.HasPrefix(m.Path, e.path+"/") && !p.gone[m.Path] && len(visible(p.f.Mounts, m.Path)) > 0 {
			f.below = &p.f.Mounts[i]
		}
	}
	return f
}

func (p *nfsPlan) removal(e entry) (change, bool) {
	c := change{Finding: Finding{Subject: e.path, State: Pending, Want: "not mounted", Why: noLonger}}
	leave := func(state State, have, hint string) (change, bool) {
		c.State, c.Have, c.Hint, c.Steps, c.drops = state, have, hint, nil, nil
		return c, true
	}
	f := p.former(e)
	mounted := f.mounts > 0 || f.automount
	unmounts := mounted && !f.kept
	switch {
	case p.fstab.Presence != Present && p.fstab.Presence != Absent:
		return leave(Unknown, fstabPath+" is "+string(p.fstab.Presence), "")
	case !f.listed && len(p.entries(e.path)) > 0:
		return leave(OK, fstabPath+" was changed for it since runai-prep wrote it; it is left alone",
			"unmount it and take the line out by hand if nobody needs it")
	case !f.listed && !mounted:
		return c, false // somebody was faster
	case f.listed && notText(p.fstab) != "":
		return leave(Unmet, notText(p.fstab), byHand)
	case unmounts && f.over != nil:
		return leave(Unmet, fmt.Sprintf("mounted from %s by runai-prep, and %s (%s) at the same place by somebody else", f.Source, f.over.Source, f.over.Type), "unmount that first")
	case unmounts && f.below != nil:
		return leave(Unmet, fmt.Sprintf("mounted from %s by runai-prep; %s is mounted below, at %s", f.Source, f.below.Source, f.below.Path), "unmount that first")
	}
	var has []string
	if mounted {
		has = append(has, "mounted from "+f.Source)
	}
	if unmounts {
		if state, why := p.busy(e.path, false); f.mounts > 0 && state == Unmet {
			return leave(state, has[0]+"; "+why, "end what uses it, and apply again")
		} else if f.mounts > 0 && state != OK {
			return leave(state, has[0]+"; "+why, "")
		}
		if f.automount {
			c.Steps = append(c.Steps, stopAutomount(e.path))
		} else {
			for range f.mounts {
				c.Steps = append(c.Steps, p.unmountAny(e.path))
			}
		}
		p.gone[e.path] = true
	}
	if f.listed {
		has = append(has, "listed in "+fstabPath)
		c.Steps = append(c.Steps, p.writeFstab(f.restored(p.fstab.content))...)
	}
	for _, same := range p.f.ledger.entries {
		if same.path == e.path {
			c.drops = append(c.drops, same)
		}
	}
	if p.f.ledger.has(entry{"folder", e.path, ""}) && f.over == nil && f.below == nil && (unmounts || !mounted) && f.before == nil {
		c.Steps = append(c.Steps, remote.Step{
			Title: "rmdir " + e.path + " if it is empty",
			Run:   &remote.Command{Script: "rmdir -- " + quote(e.path) + " 2>/dev/null || :"},
		})
	}
	c.Have = strings.Join(has, ", ") + " by runai-prep"
	switch {
	case f.before != nil && f.kept:
		c.Want = "as " + fstabPath + " had it before"
		c.Hint = "it stays mounted, as it was before runai-prep"
	case f.before != nil:
		c.Want = "as " + fstabPath + " had it before"
		c.Hint = "it is mounted that way at the next boot, or by: mount " + e.path
	case !mounted:
		c.Want = "not listed in " + fstabPath
	case f.kept:
		c.Want = "not listed in " + fstabPath
		c.Hint = "it stays mounted, as it was before runai-prep"
	}
	return c, true
}

// restored is fstab with the lines of before in place of ours.
func (f former) restored(content string) string {
	if f.before == nil {
		return withoutLines(content, func(line string) bool { return line == f.line })
	}
	return replaceLines(content, []string{f.line}, strings.Join(f.before, "\n"))
}
