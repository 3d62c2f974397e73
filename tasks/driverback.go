package tasks

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// formerPackages are the installed ones that have the version of the driver
// that is going to be replaced.
func (p *driverPlan) formerPackages() []driverPackage {
	return slices.DeleteFunc(slices.Clone(p.f.Packages), func(i driverPackage) bool {
		// Built modules have the kernel's version.
		return i.Broken || driverVersion(i.Version) != p.has.version && !prebuilt.MatchString(i.Name)
	})
}

// goingBack are the steps to the driver that was there before; nil: it is not
// wished, or not possible, for the repositories must still have all of it.
func (p *driverPlan) goingBack() []remote.Step {
	if !p.w.Rollback || !p.installing() || p.to.runfile || p.has.version == "" || p.f.Runfile != "" || len(p.has.broken) > 0 {
		return nil
	}
	former := p.formerPackages()
	back := remote.Packages{Replaces: true, Downgrade: true, Held: true}
	if p.f.Manager == "apt" {
		back.Preferences = aptAlonePath
	}
	key := false
	for _, i := range former {
		if !slices.ContainsFunc(p.f.Offers, func(o driverOffer) bool { return o.Name == i.Name && o.Version == i.Version }) {
			return nil
		}
		key = key || kernelPackage.MatchString(i.Name) || p.has.prebuilt
		switch p.f.Manager {
		case "dnf", "yum":
			back.Names = append(back.Names, i.Name+"-"+p.has.version)
		default:
			back.Names = append(back.Names, i.Name+"="+i.Version)
		}
	}
	if !key {
		return nil
	}
	for i, name := range p.to.bare {
		switch {
		case p.f.Manager == "zypper" && kernelPackage.MatchString(name) && !slices.Contains(back.Names, p.to.names[i]): // see besides
			back.Remove = append(back.Remove, p.to.names[i])
		case !p.installed(name) && (kernelPackage.MatchString(name) || branchNamed.MatchString(name)):
			back.Remove = append(back.Remove, name)
		}
	}
	loaded := len(p.f.GPUs) > 0 && p.f.Loaded.Version != ""
	var steps []remote.Step
	if loaded {
		steps = append(steps, p.guard())
		if p.f.Systemd {
			steps = append(steps, stopOwn())
		}
		steps = append(steps, p.unloadOther())
	}
	if p.f.Manager == "apt" {
		steps = append(steps, aptAlone(p.has.version))
	}
	if p.to.module != "" && p.enabledStream() != "" {
		back.Stream = streamOf(p.enabledStream())
	}
	steps = append(steps, p.install(back))
	switch p.f.Manager {
	case "apt":
		steps = append(steps, p.formerPin())
	case "dnf", "yum":
		steps = append(steps, p.formerLock(former)...)
	}
	for _, k := range p.f.Kernels {
		if k.Module != "" {
			steps = append(steps, moduleStep(k.Release, p.has.version, p.has.dkms))
		}
	}
	if loaded {
		load := loadStep(p.has.version)
		load.Title = "load nvidia " + p.has.version + " again"
		steps = append(steps, load)
		if names := p.running(); len(names) > 0 {
			steps = append(steps, startUnits(names))
		}
	}
	return steps
}

// asItWas is for an installation that failed before anything was replaced: the
// driver that was unloaded is still the one that the host has.
func (p *driverPlan) asItWas() []remote.Step {
	v, names := p.f.Loaded.Version, p.stopped()
	switch {
	case v == "" || p.route == reboot || p.route == stay && len(names) == 0:
		return nil // nothing was taken away
	case p.route == stay:
		return []remote.Step{startUnits(names)}
	}
	start := ""
	if len(names) > 0 {
		start = "		systemctl start --" + unitWords(names) + " || exit 1\n"
	}
	return []remote.Step{{Title: "load nvidia " + v + " again, if it is still installed", Run: &remote.Command{Timeout: 5 * time.Minute, Script: `version=` + quote(v) + `
for name in nvidia nvidia-current nvidia-current-open; do
	if [ "$(modinfo -F version "$name" 2>/dev/null)" = "$version" ]; then
		modprobe nvidia || exit 1
		modprobe nvidia-uvm 2>/dev/null
` + start + `		exit 0
	fi
done
echo "$version has been replaced: its module is not on the host any more"
`}}}
}

// unloadOther takes out the module that is loaded then, unless it is the former
// one: the new one, or what a failed attempt has left.
func (p *driverPlan) unloadOther() remote.Step {
	return remote.Step{
		Title: "unload nvidia, unless it is " + p.f.Loaded.Version, Disrupts: "no GPU can be used until the former driver is loaded",
		Run: &remote.Command{Timeout: 2 * time.Minute, Script: `case " $(cat /proc/driver/nvidia/version 2>/dev/null) " in
*` + quote(" "+p.f.Loaded.Version+" ") + `*) exit 0 ;;
esac
` + p.unloadScript(p.running())},
	}
}

// formerPin makes the preferences that everybody's apt reads what they were.
func (p *driverPlan) formerPin() remote.Step {
	step := remote.Step{Title: "remove " + pinPath, Run: &remote.Command{Script: "rm -f " + pinPath}}
	if was := p.f.files[pinPath]; was.Presence == Present {
		step.Title = "write " + pinPath + " as it was"
		step.Run.Script = "umask 022\nprintf %s " + quote(was.content) + " >" + pinPath
	}
	return step
}

// formerLock locks the former versions again, or none where none were: dnf and
// yum lock a version, and it may be the new one's by then.
func (p *driverPlan) formerLock(former []driverPackage) []remote.Step {
	var held []string
	for _, i := range former {
		if i.Held {
			held = append(held, i.Name)
		}
	}
	switch {
	case held != nil:
		return []remote.Step{holdStep(p.f.Manager, held, true, false)}
	case p.w.Hold:
		return []remote.Step{holdStep(p.f.Manager, p.holdNames(), false, false)}
	}
	return nil
}

func (p *driverPlan) enabledStream() string {
	for _, s := range p.f.Sources.Streams {
		if name, ok := strings.CutSuffix(s, "[e]"); ok {
			return name
		}
	}
	return ""
}

func holdEntry(name string) entry { return entry{"hold", "/", name} }

func fileEntry(path, content string) entry {
	return entry{"file", path, fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
}

// isThere reports whether something of the ledger is still on the host. A file
// that was not looked at is taken to be as it was.
func (f *driverFacts) isThere(e entry) bool {
	switch e.kind {
	case "hold":
		return slices.ContainsFunc(f.Packages, func(i driverPackage) bool { return i.Held && (i.Name == e.text || e.text == "*") })
	case "stopped":
		u := f.unit(e.text)
		return u != nil && !u.Active
	case "file":
		now, shown := f.files[e.path]
		return !shown || now.Presence == Present && fileEntry(e.path, now.content) == e
	}
	return true
}

// hold keeps everybody's upgrades away from the driver's packages, or ends
// that where it is no longer wished. What somebody else holds stays held.
func (p *driverPlan) hold(c *change, wish bool) {
	if p.installing() && wish && p.to.metapackage() {
		p.holdAll(c)
		return
	}
	names := p.holdNames()
	var change []string
	for _, name := range names {
		e := holdEntry(name)
		held := slices.ContainsFunc(p.f.Packages, func(i driverPackage) bool { return i.Name == name && i.Held })
		// dnf and yum lock a version, so a new one is locked anew.
		anew := p.installing() && (p.f.Manager == "dnf" || p.f.Manager == "yum")
		switch {
		case wish && (!held || anew):
			change = append(change, name)
			c.adds = append(c.adds, e)
		case !wish && held && p.f.ours(name):
			change = append(change, name)
			c.drops = append(c.drops, e, holdEntry("*"))
		}
	}
	if change == nil {
		return
	}
	if c.State == OK {
		c.State = Pending
		if !wish {
			c.Want += ", not held"
		}
	}
	c.Hint = ""
	c.Steps = append(c.Steps, holdStep(p.f.Manager, change, wish, p.installing() && len(p.to.optional) > 0))
}

// metapackage reports whether what is named only brings the packages of the driver,
// which are not known by name before they are there.
func (t *driverTarget) metapackage() bool {
	return t.source == "cuda-repo" && len(t.set(t.open).same) == 0
}

// holdAll holds whatever has come of the version. All holds are ours then.
func (p *driverPlan) holdAll(c *change) {
	v := p.to.version
	if v == "" {
		v = fmt.Sprint(p.to.branch) + "."
	}
	c.Hint = ""
	c.adds = append(c.adds, holdEntry("*"))
	c.Steps = append(c.Steps, remote.Step{Title: "hold what has come of " + p.wantText(), Run: &remote.Command{Timeout: 2 * time.Minute, Script: `nl='
'
set -f
IFS=$nl
held=
for line in $(dpkg-query -W -f '${Package} ${Version}\n' '*nvidia*' 'libcuda*' 'cuda-drivers*' 2>/dev/null); do
	case ${line#* } in ` + quote(v) + `*) held="$held${line%% *}$nl" ;; esac
done
[ -n "$held" ] || { echo "no package of ` + v + ` is installed" >&2; exit 1; }
apt-mark hold $held
`}})
}

// ours reports whether a hold was put on by us.
func (f *driverFacts) ours(name string) bool {
	return f.ledger.has(holdEntry(name)) || f.ledger.has(holdEntry("*"))
}

// holdNames are the packages that pull all others of the driver along.
func (p *driverPlan) holdNames() []string {
	var names []string
	if p.installing() && !p.to.runfile {
		set := p.to.set(p.to.open)
		for _, name := range p.to.bare {
			if !slices.Contains(set.loose, name) {
				names = append(names, name)
			}
		}
		return names
	}
	// Those that were named when they were installed; where somebody else has
	// installed others, those that tell.
	for _, row := range packagings {
		if !slices.Contains(row.ids, p.f.ID) || !slices.Contains(row.manager, p.f.Manager) {
			continue
		}
		for _, open := range []bool{true, false} {
			set := row.set(open)
			is := func(name, patterns string) bool {
				return slices.ContainsFunc(strings.Split(patterns, "|"), func(pattern string) bool { _, ok := matches(pattern, name); return ok })
			}
			// Another packaging has some of the same packages; whose key is here tells.
			if !slices.ContainsFunc(set.key, func(key string) bool {
				return slices.ContainsFunc(p.f.Packages, func(i driverPackage) bool { return is(i.Name, key) })
			}) {
				continue
			}
			for _, i := range p.f.Packages {
				named := func(patterns string) bool { return is(i.Name, patterns) }
				if !slices.Contains(names, i.Name) && (slices.ContainsFunc(set.key, named) || slices.ContainsFunc(set.same, named)) {
					names = append(names, i.Name)
				}
			}
		}
	}
	if len(names) > 0 {
		return names
	}
	for _, i := range p.has.names {
		names = append(names, i.Name)
	}
	return names
}

// holdStep holds packages, or ends that. Some may be absent where they were
// optional and no repository had them; apt is asked which are there.
func holdStep(manager string, names []string, hold, someAbsent bool) remote.Step {
	words := quotedWords(names)
	title := "hold"
	verb := map[string]string{"apt": "apt-mark hold", "zypper": "zypper --non-interactive addlock"}[manager]
	if !hold {
		title = "no longer hold"
		verb = map[string]string{"apt": "apt-mark unhold", "zypper": "zypper --non-interactive removelock"}[manager]
	}
	script := verb + words
	if manager == "apt" && hold && someAbsent {
		script = "set --\nfor name in" + words + `; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in installed) set -- "$@" "$name" ;; esac
done
apt-mark hold "$@"
`
	}
	if manager == "dnf" || manager == "yum" {
		// Not every system comes with the plugin; what it has locked before is
		// another version.
		plugin := map[string]string{"dnf": "'dnf-command(versionlock)'", "yum": "yum-plugin-versionlock"}[manager]
		script = fmt.Sprintf("%[1]s -q versionlock list >/dev/null 2>&1 || %[1]s -y -q install %[2]s || exit 1\n%[1]s -q versionlock delete%[3]s >/dev/null 2>&1\n", manager, plugin, words)
		if hold {
			script += manager + " -q versionlock add" + words
		} else {
			script += "exit 0"
		}
	}
	return remote.Step{Title: title + " " + strings.Join(names, ", "), Run: &remote.Command{
		Script: script, Timeout: 5 * time.Minute,
		Detached: manager != "apt", // the plugin may have to be installed
	}}
}
