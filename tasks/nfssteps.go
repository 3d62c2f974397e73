package tasks

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func nfsPackage(manager string) string {
	return map[string]string{"apt": "nfs-common", "dnf": "nfs-utils", "yum": "nfs-utils", "zypper": "nfs-client"}[manager]
}

func makeFolder(at string) remote.Step {
	return remote.Step{Title: "mkdir " + at, Run: &remote.Command{Script: "umask 022; mkdir -p -- " + quote(at)}}
}

// killed is what a script says when timeout had to end it.
func killed(seconds int, command, otherwise string) string {
	return fmt.Sprintf(`timeout -s KILL %d %s
status=$?
if [ "$status" = 137 ] || [ "$status" = 124 ]; then echo %s >&2; fi
exit "$status"
`, seconds, command, quote(otherwise))
}

func mountStep(m inventory.Mount) remote.Step {
	return remote.Step{Title: "mount " + m.Path, Run: &remote.Command{
		Script:  killed(60, "mount -- "+quote(m.Path), sourceOf(m)+" did not answer within 60s"),
		Timeout: 75 * time.Second,
	}}
}

// unmount with an option: -f aborts requests to a server that does not answer,
// -l parts with a handle that is stale. Neither is used on a mount that works.
func unmount(at, option, because string) remote.Step {
	// Without an option the kernel refuses while anything uses the mount.
	disrupts := at + " goes away"
	switch option {
	case "-f ":
		disrupts = "requests to the server that does not answer fail"
	case "-l ":
		disrupts = "what still has files below " + at + " open has them no more"
	}
	return remote.Step{Title: "umount " + option + at + because, Disrupts: disrupts, Run: &remote.Command{
		Script:  killed(60, "umount "+option+"-- "+quote(at), "the mount did not let go within 60s"),
		Timeout: 75 * time.Second,
	}}
}

// unitOf is the name that systemd gives to a path.
func unitOf(at, suffix string) string {
	var b strings.Builder
	trimmed := strings.Trim(path.Clean(at), "/")
	for i := range len(trimmed) {
		switch c := trimmed[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i > 0, c == ':', c == '_',
			'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + suffix
}

func startAutomount(m inventory.Mount) remote.Step {
	unit := unitOf(m.Path, ".automount")
	return remote.Step{Title: "systemctl start " + unit, Run: &remote.Command{Script: "systemctl start -- " + quote(unit)}}
}

func stopAutomount(at string) remote.Step {
	unit := unitOf(at, ".automount")
	return remote.Step{
		Title: "systemctl stop " + unit, Disrupts: "what uses files below " + at + " loses them",
		Run: &remote.Command{Script: "systemctl stop -- " + quote(unit)},
	}
}

// removals take away the mounts that we made and nobody wishes any longer.
func (p *nfsPlan) removals() []change {
	var gone []change
	for _, e := range slices.Backward(p.f.ledger.of("mount")) { // children before parents
		if _, wished := p.wished[e.path]; wished || slices.ContainsFunc(gone, func(c change) bool { return c.Subject == e.path }) {
			continue
		}
		if c, found := p.removal(e); found {
			gone = append(gone, c)
		}
	}
	return gone
}

func (p *nfsPlan) removal(e entry) (change, bool) {
	c := change{Finding: Finding{Subject: e.path, State: Pending, Want: "not mounted", Why: noLonger}}
	for _, same := range p.f.ledger.entries {
		if same.path == e.path {
			c.drops = append(c.drops, same)
		}
	}
	ours, _ := parseFstabLine(e.text)
	listed := hasLine(p.fstab.content, e.text)
	stack := visible(p.f.Mounts, e.path)
	var top *mountInfo
	if n := len(stack); n > 0 && !p.gone[e.path] {
		top = &stack[n-1]
	}
	mountedByUs := top != nil && (top.nfs() && sameSource(top.Source, ours.Source) || top.Type == "autofs" && ours.option("x-systemd.automount"))
	switch {
	case p.fstab.Presence != Present && p.fstab.Presence != Absent:
		c.State, c.Have, c.drops = Unknown, fstabPath+" is "+string(p.fstab.Presence), nil
		return c, true
	case !listed && len(p.entries(e.path)) > 0:
		c.State, c.drops = OK, nil
		c.Have = fmt.Sprintf("%s was changed for it since runai-prep wrote it; it is left alone", fstabPath)
		c.Hint = "unmount it and take the line out by hand if nobody needs it"
		return c, true
	case !listed && !mountedByUs:
		return c, false // somebody was faster
	}
	var has []string
	if mountedByUs {
		has = append(has, "mounted from "+ours.Source)
		if holders := p.f.holders[e.path]; len(holders) > 0 {
			c.State, c.Have, c.drops = Unmet, has[0]+"; busy: "+strings.Join(holders, ", "), nil
			c.Hint = "end what uses it, and apply again"
			return c, true
		}
		if ours.option("x-systemd.automount") {
			c.Steps = append(c.Steps, stopAutomount(e.path))
		} else {
			c.Steps = append(c.Steps, unmount(e.path, "", ""))
		}
		p.gone[e.path] = true
	}
	if listed {
		has = append(has, "listed in "+fstabPath)
		next := withoutLines(p.fstab.content, func(line string) bool { return line == e.text })
		c.Steps = append(c.Steps, p.writeFstab(next)...)
	}
	if p.f.ledger.has(entry{"folder", e.path, ""}) && (top == nil || mountedByUs) {
		c.Steps = append(c.Steps, remote.Step{
			Title: "rmdir " + e.path + " if it is empty",
			Run:   &remote.Command{Script: "rmdir -- " + quote(e.path) + " 2>/dev/null || :"},
		})
	}
	c.Have = strings.Join(has, ", ") + " by runai-prep"
	return c, true
}
