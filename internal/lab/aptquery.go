package lab

import (
	"fmt"
	"sort"
	"strings"
)

func aptMark(p *process) int {
	if len(p.args) < 2 {
		return p.lacks("without a command")
	}
	m := p.machine
	view := m.aptView("", "")
	var said []string
	names := p.args[2:]
	if p.args[1] != "showhold" && p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "E: Could not create temporary file for /var/lib/apt/extended_states - mkstemp (13: Permission denied)")
		return 100
	}
	for _, name := range names {
		if len(view.offers(name)) == 0 {
			fmt.Fprintf(p.stderr, "E: Unable to locate package %s\nE: No packages found\n", name)
			return 100
		}
	}
	m.mu.Lock()
	for _, name := range names {
		was := m.held[name]
		switch {
		case p.args[1] == "hold" && was:
			said = append(said, name+" was already set on hold.")
		case p.args[1] == "hold":
			m.held[name] = true
			said = append(said, name+" set on hold.")
		case p.args[1] == "unhold" && was:
			delete(m.held, name)
			said = append(said, "Canceled hold on "+name+".")
		case p.args[1] == "unhold":
			said = append(said, name+" was already not on hold.")
		case p.args[1] == "manual" || p.args[1] == "auto":
			said = append(said, name+" set to "+map[string]string{"manual": "manually", "auto": "automatically"}[p.args[1]]+" installed.")
		}
	}
	if p.args[1] == "showhold" {
		for name := range m.held {
			if m.held[name] {
				said = append(said, name)
			}
		}
		sort.Strings(said)
	}
	m.mu.Unlock() // before printing, which may be into a file
	for _, line := range said {
		p.println(line)
	}
	return 0
}

func aptCache(p *process) int {
	set, args, unknown := permuted(p.args[1:], "--no-generate -g -n -a -q --generate --names-only --all-versions --installed", "-o -c --option")
	if unknown != "" || len(args) == 0 {
		return p.lacks(orElse(unknown, "without a command"))
	}
	view := p.machine.aptView("", "")
	verb, names := args[0], args[1:]
	switch verb {
	case "pkgnames":
		return p.aptNames(view, names)
	case "policy":
		for _, name := range names {
			p.aptPolicy(view, name)
		}
		return 0
	case "madison":
		for _, name := range names {
			for _, o := range view.offers(name) {
				for _, r := range o.from {
					p.printf("%10s | %10s | http://%s %s/%s amd64 Packages\n", name, o.version, r.uri, r.suite, r.component)
				}
			}
		}
		return 0
	case "show":
		found := false
		for _, name := range names {
			for i, o := range view.offers(name) {
				if i == 0 || isSet(set, "-a", "--all-versions") {
					p.printf("Package: %s\nVersion: %s\nSection: %s\nDepends: %s\n\n", name, o.version, o.section, strings.Join(o.depends, ", "))
					found = true
				}
			}
		}
		if !found {
			fmt.Fprintln(p.stderr, "E: No packages found")
			return 100
		}
		return 0
	}
	return p.lacks(verb)
}

func (p *process) aptNames(view *aptView, prefixes []string) int {
	seen := map[string]bool{}
	for _, r := range view.known {
		for _, x := range r.packages {
			seen[x.name] = true
		}
	}
	for _, name := range p.machine.packageNames() {
		seen[name] = true
	}
	var names []string
	for name := range seen {
		if len(prefixes) == 0 || strings.HasPrefix(name, prefixes[0]) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if len(names) > 0 {
		p.println(strings.Join(names, "\n"))
	}
	return 0
}

func (p *process) aptPolicy(view *aptView, name string) {
	offers := view.offers(name)
	if len(offers) == 0 {
		return
	}
	have, candidate := orElse(p.machine.installed(name), "(none)"), "(none)"
	if c := view.candidate(name); c != nil {
		candidate = c.version
	}
	p.printf("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", name, have, candidate)
	for _, o := range offers {
		mark := "    "
		if o.version == have {
			mark = " ***"
		}
		p.printf("%s %s %d\n", mark, o.version, o.priority)
		for _, r := range o.from {
			priority := o.priority
			if priority != 990 {
				priority = 500
			}
			p.printf("        %d http://%s %s/%s amd64 Packages\n", priority, r.uri, r.suite, r.component)
		}
		if o.version == have {
			p.print("        100 /var/lib/dpkg/status\n")
		}
	}
}

// aptConfig is apt-config dump and shell, of the files' simple assignments.
func aptConfig(p *process) int {
	if len(p.args) < 2 || p.args[1] != "dump" {
		return p.lacks(strings.Join(p.args[1:], " "))
	}
	files, _ := p.machine.fs.readDir(root, "/etc/apt/apt.conf.d")
	for _, f := range files {
		text, _ := p.machine.ReadFile("/etc/apt/apt.conf.d/" + f.name)
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if name, value, ok := strings.Cut(line, " "); ok && strings.Contains(name, "::") && strings.HasSuffix(value, `";`) {
				p.printf("%s %s\n", name, value)
			}
		}
	}
	return 0
}
