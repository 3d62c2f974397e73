package tasks

import (
	"path"
	"slices"
	"strings"
)

// containers is what CRI-O and Podman share: registries.conf with the parts
// beside it, which are read in the order of their names, and of which the last
// to speak of a registry says all that holds of it; and a folder of
// certificates for each. Podman reads them at every pull. CRI-O is restarted,
// though a signal would do, for then its socket shows that it was.
func (p *registryPlan) containers() change {
	subject := "podman"
	if p.f.has("crio") {
		subject = "crio"
	}
	c := p.newChange(subject)
	if stopped, ok := p.unreadable(c, registriesPath, registriesDropIn); ok {
		return stopped
	}
	var missing []string
	for _, w := range p.wishes {
		if p.trust(&c, containersCerts+"/"+w.name, w) {
			missing = append(missing, w.name+" not trusted")
		}
	}
	wanted := p.registriesConf()
	holds, stop := p.registries(registriesDropIn)
	if stop != "" {
		return c.stopped(Unmet, stop, "bring it into the form of today, [[registry]]: podman and CRI-O refuse to mix the two")
	}
	theirs := !slices.ContainsFunc(wanted, func(r containersRegistry) bool { return !holds[r.prefix].covers(r) })
	if ours := p.f.file(registriesDropIn); wanted != nil && (!theirs || ours.Presence != Absent && p.isOurs(registriesDropIn)) {
		if ours.Presence != Absent && !p.isOurs(registriesDropIn) {
			return c.stopped(Unmet, registriesDropIn+" is there, and runai-prep did not write it", "remove it, or give it another name")
		}
		for _, r := range wanted {
			if by := holds[r.prefix]; by.from > registriesDropIn && !by.covers(r) {
				return c.stopped(Unmet, by.from+" is read later and says something else of "+r.prefix, "take "+r.prefix+" out of it")
			}
		}
		content := containersFile(wanted)
		if ours.content != content {
			missing = append(missing, notYet(wanted, ours))
		}
		p.own(&c, registriesDropIn, content)
	}
	if p.f.has("crio") && slices.Contains(p.f.starts["crio"], "running") {
		changed := p.f.newerIn("/etc/containers")
		wrote := slices.ContainsFunc(c.adds, func(e entry) bool { return e.path == registriesDropIn })
		if len(changed) > 0 && !wrote {
			missing = append(missing, "crio runs since before "+strings.Join(changed, ", ")+" changed")
		}
		if len(changed) > 0 || wrote {
			c.Steps = append(c.Steps, restart("crio"))
		}
	}
	p.judged["containers"] = true
	return c.settle(missing, "set in /etc/containers")
}

func notYet(wanted []containersRegistry, ours file) string {
	if ours.Presence != Absent {
		return registriesDropIn + " says something else"
	}
	var names []string
	for _, r := range wanted {
		names = append(names, r.prefix)
	}
	return "nothing set for " + strings.Join(names, ", ")
}

// A containersRegistry is a table [[registry]].
type containersRegistry struct {
	prefix   string
	insecure bool
	mirrors  []containersMirror
	from     string // the file that says so
}

type containersMirror struct {
	location string
	insecure bool
	partly   bool // only for some pulls
}

// covers reports whether a table does what another is wished to do.
func (r containersRegistry) covers(wish containersRegistry) bool {
	if wish.insecure && !r.insecure {
		return false
	}
	for _, m := range wish.mirrors {
		if !slices.ContainsFunc(r.mirrors, func(x containersMirror) bool {
			return x.location == m.location && !x.partly && (x.insecure || !m.insecure)
		}) {
			return false
		}
	}
	return true
}

func (p *registryPlan) registriesConf() []containersRegistry {
	names, mirrors := p.upstreams()
	var wanted []containersRegistry
	for _, name := range names {
		r := containersRegistry{prefix: name}
		for _, w := range mirrors[name] {
			r.mirrors = append(r.mirrors, containersMirror{location: w.name, insecure: w.insecure})
		}
		wanted = append(wanted, r)
	}
	for _, w := range p.wishes {
		if !w.insecure {
			continue
		}
		if i := slices.IndexFunc(wanted, func(r containersRegistry) bool { return r.prefix == w.name }); i >= 0 {
			wanted[i].insecure = true
			continue
		}
		wanted = append(wanted, containersRegistry{prefix: w.name, insecure: true})
	}
	return wanted
}

func containersFile(wanted []containersRegistry) string {
	var b strings.Builder
	b.WriteString("# Written by runai-prep: on-premise registries.\n")
	insecure := func(indent string, is bool) {
		if is {
			b.WriteString(indent + "insecure = true\n")
		}
	}
	for _, r := range wanted {
		b.WriteString("\n[[registry]]\nprefix = " + tomlString(r.prefix) + "\nlocation = " + tomlString(r.prefix) + "\n")
		insecure("", r.insecure)
		for _, m := range r.mirrors {
			b.WriteString("\n[[registry.mirror]]\nlocation = " + tomlString(m.location) + "\n")
			insecure("", m.insecure)
		}
	}
	return b.String()
}

// registries are the tables that hold without one file, by prefix.
func (p *registryPlan) registries(without string) (holds map[string]containersRegistry, stop string) {
	var parts []string
	for name := range p.f.files {
		if path.Dir(name) == path.Dir(registriesDropIn) && name != without {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts)
	holds = map[string]containersRegistry{}
	for _, name := range append([]string{registriesPath}, parts...) {
		has := p.f.file(name)
		doc, err := parseTOML(has.content)
		if err != nil {
			return nil, name + " cannot be read: " + clip(err.Error(), 120)
		}
		if tomlTable(doc, "registries") != nil {
			return nil, name + " is of the old form, [registries.search]"
		}
		tables, _ := doc["registry"].([]any)
		for _, t := range tables {
			table, _ := t.(map[string]any)
			r := containersRegistry{from: name}
			r.prefix, _ = table["prefix"].(string)
			if r.prefix == "" {
				r.prefix, _ = table["location"].(string)
			}
			r.insecure, _ = table["insecure"].(bool)
			mirrors, _ := table["mirror"].([]any)
			for _, m := range mirrors {
				x, _ := m.(map[string]any)
				var mirror containersMirror
				mirror.location, _ = x["location"].(string)
				mirror.insecure, _ = x["insecure"].(bool)
				from, _ := x["pull-from-mirror"].(string)
				digests, _ := table["mirror-by-digest-only"].(bool)
				mirror.partly = digests || from != "" && from != "all"
				r.mirrors = append(r.mirrors, mirror)
			}
			holds[r.prefix] = r
		}
	}
	return holds, ""
}
