package lab

import (
	"path"
	"slices"
	"sort"
	"strings"
)

// A repository is where packages come from: for apt one component of a suite at
// an address, for dnf and zypper an address.
type repository struct {
	uri       string // without the scheme and a slash at the end
	suite     string
	component string
	label     string            // "Debian:12.15/oldstable", as apt says in a simulation
	release   map[string]string // n, a, o, l, v of apt's pins
	packages  []*pkg
}

func address(uri string) string {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		rest = uri
	}
	return strings.TrimRight(rest, "/")
}

// list is the file that apt-get update fetches it into.
func (r *repository) list() string {
	name := strings.ReplaceAll(r.uri, "/", "_")
	if r.component == "" {
		return "/var/lib/apt/lists/" + name + "_Packages"
	}
	return "/var/lib/apt/lists/" + name + "_dists_" + r.suite + "_" + r.component + "_binary-amd64_Packages"
}

// An aptSource is one address and suite of sources.list.
type aptSource struct {
	uri, suite string
	components []string
}

// aptSources reads what apt is told of its repositories.
func (m *Machine) aptSources() []aptSource {
	var all []aptSource
	files := []string{"/etc/apt/sources.list"}
	entries, _ := m.fs.readDir(root, "/etc/apt/sources.list.d")
	for _, e := range entries {
		files = append(files, "/etc/apt/sources.list.d/"+e.name)
	}
	for _, file := range files {
		text, err := m.ReadFile(file)
		switch {
		case err != nil:
		case strings.HasSuffix(file, ".sources"):
			all = append(all, deb822(text)...)
		case strings.HasSuffix(file, ".list"), file == "/etc/apt/sources.list":
			all = append(all, aptSourcesIn(text)...)
		}
	}
	return all
}

// aptSourcesIn reads apt's one-line format.
func aptSourcesIn(text string) []aptSource {
	var all []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if before, after, ok := strings.Cut(line, "["); ok {
			_, after, _ = strings.Cut(after, "]")
			line = before + after
		}
		if f := strings.Fields(line); len(f) > 2 && f[0] == "deb" {
			all = append(all, aptSource{f[1], f[2], f[3:]})
		}
	}
	return all
}

func deb822(text string) []aptSource {
	var all []aptSource
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string]string{}
		last := ""
		for line := range strings.Lines(stanza) {
			switch key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ":"); {
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, " "):
				fields[last] += " " + strings.TrimSpace(line)
			case ok:
				last = strings.ToLower(key)
				fields[last] = strings.TrimSpace(value)
			}
		}
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || fields["enabled"] == "no" {
			continue
		}
		for _, uri := range strings.Fields(fields["uris"]) {
			for _, suite := range strings.Fields(fields["suites"]) {
				all = append(all, aptSource{uri, suite, strings.Fields(fields["components"])})
			}
		}
	}
	return all
}

// of are the repositories of a source; missing are components that are not
// there.
func (s aptSource) of(all []*repository) (found []*repository, missing bool) {
	components := s.components
	if len(components) == 0 {
		components = []string{""}
	}
	for _, c := range components {
		i := slices.IndexFunc(all, func(r *repository) bool {
			return r.uri == address(s.uri) && r.suite == s.suite && r.component == c
		})
		if i < 0 {
			missing = true
			continue
		}
		found = append(found, all[i])
	}
	return found, missing
}

// known are the repositories of which the package manager has lists.
func (m *Machine) known() []*repository {
	var all []*repository
	for _, s := range m.aptSources() {
		found, _ := s.of(m.spec.distro.repositories)
		for _, r := range found {
			if _, err := m.fs.stat(root, r.list(), true); err == nil && !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// A pin is a stanza of apt's preferences.
type pin struct {
	packages []string
	kind     string // version, release, origin
	what     string
	priority int
}

func (m *Machine) pins(folder string) []pin {
	files := []string{"/etc/apt/preferences"}
	entries, _ := m.fs.readDir(root, folder)
	for _, e := range entries {
		files = append(files, folder+"/"+e.name)
	}
	var all []pin
	for _, file := range files {
		text, _ := m.ReadFile(file)
		for stanza := range strings.SplitSeq(text, "\n\n") {
			var p pin
			for line := range strings.Lines(stanza) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
				value = strings.TrimSpace(value)
				switch strings.ToLower(key) {
				case "package":
					p.packages = strings.Fields(value)
				case "pin":
					p.kind, p.what, _ = strings.Cut(value, " ")
				case "pin-priority":
					p.priority = atoi(value)
				}
			}
			if len(p.packages) > 0 {
				all = append(all, p)
			}
		}
	}
	return all
}

func atoi(s string) int {
	n, sign := 0, 1
	for i, c := range s {
		switch {
		case i == 0 && c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			n = n*10 + int(c-'0')
		}
	}
	return n * sign
}

// about reports whether the pin is about a package in a repository.
func (p pin) about(x *pkg, r *repository, general bool) bool {
	named := slices.ContainsFunc(p.packages, func(pattern string) bool {
		ok, _ := path.Match(pattern, x.name)
		return ok && (pattern == "*") == general
	})
	if !named {
		return false
	}
	switch p.kind {
	case "version":
		ok, _ := path.Match(p.what, x.version)
		return ok
	case "origin":
		host, _, _ := strings.Cut(r.uri, "/")
		return strings.Trim(p.what, `"`) == host
	case "release":
		for condition := range strings.SplitSeq(p.what, ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(condition), "=")
			if !ok {
				key, value = "a", strings.TrimSpace(condition)
				if r.release["n"] == value {
					continue
				}
			}
			have := r.release[key]
			if key == "c" {
				have = r.component
			}
			if matched, _ := path.Match(value, have); !matched {
				return false
			}
		}
		return true
	}
	return false
}

// An offer is a version of a package that a repository has, with the priority
// that apt gives it.
type offer struct {
	*pkg
	priority int
	from     []*repository
}

// An aptView is what apt knows at one moment.
type aptView struct {
	m       *Machine
	target  string // -t
	known   []*repository
	pins    []pin
	offered map[string][]offer
}

func (m *Machine) aptView(target, preferences string) *aptView {
	if preferences == "" {
		preferences = "/etc/apt/preferences.d"
	}
	return &aptView{m: m, target: target, known: m.known(), pins: m.pins(preferences), offered: map[string][]offer{}}
}

// offers are the versions of a package that apt knows, the newest first.
func (v *aptView) offers(name string) []offer {
	if all, ok := v.offered[name]; ok {
		return all
	}
	var all []offer
	for _, r := range v.known {
		for _, p := range r.packages {
			if p.name != name {
				continue
			}
			priority := v.priority(p, r)
			if i := slices.IndexFunc(all, func(o offer) bool { return o.version == p.version }); i >= 0 {
				all[i].from = append(all[i].from, r)
				all[i].priority = max(all[i].priority, priority)
				continue
			}
			all = append(all, offer{p, priority, []*repository{r}})
		}
	}
	if have := v.m.have(name); have != nil && !slices.ContainsFunc(all, func(o offer) bool { return o.version == have.version }) {
		all = append(all, offer{have, 100, nil})
	}
	sort.SliceStable(all, func(i, j int) bool { return compareVersions(all[i].version, all[j].version) > 0 })
	v.offered[name] = all
	return all
}

func (v *aptView) priority(p *pkg, r *repository) int {
	first := func(general bool) int {
		return slices.IndexFunc(v.pins, func(pin pin) bool { return pin.about(p, r, general) })
	}
	if i := first(false); i >= 0 {
		return v.pins[i].priority
	}
	if v.target != "" && (r.suite == v.target || r.release["a"] == v.target) {
		return 990
	}
	if i := first(true); i >= 0 {
		return v.pins[i].priority
	}
	return 500
}

// candidate is what apt would install; nil: nothing.
func (v *aptView) candidate(name string) *pkg {
	have := v.m.have(name)
	var best *offer
	for _, o := range v.offers(name) {
		if o.priority < 0 || have != nil && o.priority < 1000 && compareVersions(o.version, have.version) < 0 {
			continue
		}
		if best == nil || o.priority > best.priority {
			best = &o
		}
	}
	if best == nil {
		return nil
	}
	return best.pkg
}

// providers are the candidates that give a name which is not theirs.
func (v *aptView) providers(name string) []*pkg {
	var all []*pkg
	for _, r := range v.known {
		for _, p := range r.packages {
			if len(p.provides) > 0 && p.name != name && p.satisfies(relation{name: name}) && v.candidate(p.name) == p {
				all = append(all, p)
			}
		}
	}
	return all
}
