package tasks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

const modulesFile = "# Written by runai-prep: modules for Kubernetes.\noverlay\nbr_netfilter\n"

// modules are loaded now, and by the next boot.
func (p *kubernetesPlan) modules() change {
	c := p.finding("modules", "overlay and br_netfilter loaded, now and at the next boot")
	var have, missing, unlisted []string
	for _, m := range p.f.Modules {
		text := m.Name + " loaded"
		if !m.Loaded {
			text = m.Name + " not loaded"
			missing = append(missing, m.Name)
		}
		if !p.f.loadedAtBoot(m.Name) {
			text += ", not listed for the next boot"
			unlisted = append(unlisted, m.Name)
		}
		have = append(have, text)
	}
	c.Have = strings.Join(have, "; ")
	p.keep(modulesLoadPath)
	if unlisted != nil && !p.own(&c, modulesLoadPath, modulesFile) {
		return c
	}
	switch {
	case missing == nil:
	case p.f.Container != "":
		c.warn("%s: %s", strings.Join(missing, " and ")+" not loaded", ofTheMachine)
	default:
		var script strings.Builder
		for _, name := range missing {
			script.WriteString("modprobe " + name + " || exit 1\n")
		}
		c.Steps = append(c.Steps, remote.Step{Title: "modprobe " + strings.Join(missing, " "), Run: &remote.Command{Script: script.String()}})
	}
	if c.Steps != nil {
		c.State = Pending
	}
	return c
}

// bootFiles are the files of a kind in force at the next boot: of several with
// one name the first folder's; in the order in which they are read.
func (f *kubernetesFacts) bootFiles(folder, single string) []string {
	var names []string
	seen := map[string]bool{}
	for _, name := range f.boot {
		if !strings.HasSuffix(path.Dir(name), "/"+folder) || seen[path.Base(name)] {
			continue
		}
		seen[path.Base(name)] = true
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	if slices.Contains(f.boot, single) {
		names = append(names, single)
	}
	return names
}

func (f *kubernetesFacts) loadedAtBoot(module string) bool {
	files := f.bootFiles("modules-load.d", "/etc/modules")
	return slices.ContainsFunc(f.Settings, func(s settingFacts) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(s.Line), " ")
		return slices.Contains(files, s.File) && name == module
	})
}

// An assigned is who sets a value at boot.
type assigned struct{ value, file, line string }

// setAtBoot are those who set a name at boot, in their order: the last one's
// value holds. What is not read by systemd, /etc/sysctl.conf, counts elsewhere.
func (f *kubernetesFacts) setAtBoot(name string) []assigned {
	single := "/etc/sysctl.conf"
	if f.Systemd {
		single = ""
	}
	var all []assigned
	for _, from := range f.bootFiles("sysctl.d", single) {
		for _, s := range f.Settings {
			if s.File != from {
				continue
			}
			if n, value, ok := parseSysctl(s.Line); ok && n == name {
				all = append(all, assigned{value, from, s.Line})
			}
		}
	}
	return all
}

// parseSysctl reads a line of sysctl.d(5): dots or slashes in a name, a dash
// before what may fail. One setting has two names.
func parseSysctl(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false
	}
	name, value, ok = strings.Cut(strings.TrimPrefix(line, "-"), "=")
	name = strings.ReplaceAll(strings.TrimSpace(name), "/", ".")
	if name == "net.ipv4.conf.all.forwarding" {
		name = "net.ipv4.ip_forward"
	}
	return name, strings.TrimSpace(value), ok
}

// sysctls are set now, and by the next boot, whoever else sets them.
func (p *kubernetesPlan) sysctls() change {
	var names []string
	for _, s := range p.f.Sysctls {
		names = append(names, s.Name)
	}
	c := p.finding("sysctls", strings.Join(names, ", ")+" are 1, now and at the next boot")
	p.keep(sysctlPath)
	content := "# Written by runai-prep: for Kubernetes.\n"
	var have, now, fixed []string
	wrong := false
	var against []assigned // who sets another value after ours
	for _, s := range p.f.Sysctls {
		content += s.Name + " = 1\n"
		value := s.Value
		switch {
		case s.Presence == "absent":
			value = "not there"
		case s.Presence == "fixed" && s.Value != "1":
			fixed = append(fixed, s.Name)
		}
		if s.Value != "1" || s.Presence == "absent" {
			now = append(now, s.Name)
		}
		text := s.Name + " is " + value
		set := p.f.setAtBoot(s.Name)
		if len(set) == 0 || set[len(set)-1].value != "1" {
			wrong = true
			text += ", not set at boot"
			if len(set) > 0 {
				last := set[len(set)-1]
				text = strings.TrimSuffix(text, "not set at boot") + fmt.Sprintf("set to %s by %s", clip(last.value, 20), last.file)
			}
		}
		for _, a := range set {
			if a.value != "1" && (path.Base(a.file) > path.Base(sysctlPath) || a.file == "/etc/sysctl.conf") {
				against = append(against, a)
			}
		}
		if text != s.Name+" is 1" {
			have = append(have, text)
		}
	}
	if c.Have = strings.Join(have, "; "); have == nil {
		c.Have = "all 1"
	}
	if wrong {
		if !p.own(&c, sysctlPath, content) || !p.silence(&c, against) {
			return c
		}
	}
	for _, a := range against {
		p.keep(a.file)
	}
	for _, e := range p.f.ledger.of("off") {
		if e.path != fstabPath { // what set another value stays out of force
			p.kept = append(p.kept, e)
		}
	}
	if p.f.Container != "" {
		now = p.inContainer(&c, now, fixed)
	}
	if now != nil {
		var script strings.Builder
		for _, name := range now {
			script.WriteString("echo 1 >/proc/sys/" + strings.ReplaceAll(name, ".", "/") + " || exit 1\n")
		}
		c.Steps = append(c.Steps, remote.Step{Title: "sysctl " + strings.Join(now, "=1 ") + "=1", Run: &remote.Command{Script: script.String()}})
	}
	if c.Steps != nil {
		c.State = Pending
	}
	return c
}

// inContainer leaves what can be set from inside a container.
func (p *kubernetesPlan) inContainer(c *change, now, fixed []string) []string {
	var can, cannot []string
	for _, name := range now {
		i := slices.IndexFunc(p.f.Sysctls, func(s sysctlFacts) bool { return s.Name == name })
		if slices.Contains(fixed, name) || p.f.Sysctls[i].Presence == "absent" {
			cannot = append(cannot, name)
		} else {
			can = append(can, name)
		}
	}
	if cannot != nil {
		c.warn("%s cannot be set here: %s", strings.Join(cannot, ", "), ofTheMachine)
	}
	return can
}

// silence takes the lines out of force that say something else later than our
// file does.
func (p *kubernetesPlan) silence(c *change, against []assigned) bool {
	for _, a := range against {
		has := p.f.file(a.file)
		why := ""
		switch {
		case !strings.HasPrefix(a.file, "/etc/"):
			why = a.file + " is read later than ours and sets another value"
		case has.Presence != Present:
			why = a.file + " sets another value, and is " + string(has.Presence)
		case notText(has) != "":
			why = notText(has)
		}
		if why != "" {
			c.State, c.Steps, c.adds = Unmet, nil, nil
			c.Have, c.Hint = why, "take the line out of it: "+clip(a.line, 80)
			return false
		}
	}
	var done []string
	for _, a := range against {
		if slices.Contains(done, a.file) {
			continue
		}
		done = append(done, a.file)
		content, gone := commentOut(p.f.file(a.file).content, func(line string) bool {
			return slices.ContainsFunc(against, func(b assigned) bool { return b.file == a.file && b.line == line })
		})
		for _, line := range gone {
			e := entry{"off", a.file, line}
			c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		}
		c.Steps = append(c.Steps, p.rewriteShown(p.f.file(a.file), content)...)
	}
	return true
}
