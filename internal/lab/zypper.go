package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const zyppLockFile = "/run/zypp.pid"

// zyppLocks are the names that zypper leaves alone.
func (m *Machine) zyppLocks() []string {
	text, _ := m.ReadFile("/etc/zypp/locks")
	var names []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "solvable_name:"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// A zypperRun is one call of zypper.
type zypperRun struct {
	*process
	set map[string]string
}

func (z *zypperRun) has(names ...string) bool { return isSet(z.set, names...) }

func zypper(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-n -q -s -y --non-interactive --no-refresh --quiet --no-recommends --oldpackage --force-resolution --download-only --dry-run --details --gpg-auto-import-keys --no-confirm --match-exact -x", "-t --type --from --from-repo --repo -r")
	if unknown != "" || len(args) == 0 {
		return p.lacks(orElse(unknown, "without a command"))
	}
	z := &zypperRun{process: p, set: set}
	verb, args := args[0], args[1:]
	if verb == "search" || verb == "se" {
		return z.search(args)
	}
	if verb == "locks" || verb == "ll" {
		return z.listLocks()
	}
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "Root privileges are required to run this command.")
		return 5
	}
	unlock := p.rpmLock(zyppLockFile, nil)
	if unlock == nil {
		p.println("System management is locked by the application with pid 4711 (/usr/bin/zypper).\nClose this application before trying again.")
		return 7
	}
	defer unlock()
	_ = p.machine.WriteFile(zyppLockFile, fmt.Sprintf("%d\n", p.pid), 0o644)
	switch verb {
	case "refresh", "ref":
		return z.fetch()
	case "install", "in":
		return z.install(args)
	case "remove", "rm":
		for i := range args {
			args[i] = "!" + args[i]
		}
		return z.install(args)
	case "addlock", "al", "removelock", "rl":
		return z.lock(verb[0] == 'a', args)
	}
	return p.lacks(verb)
}

func (z *zypperRun) fetch() int {
	ok := z.refresh(func(r rpmRepository, trouble string) {
		if trouble == "" {
			z.printf("Retrieving repository '%s' metadata ......................................[done]\nBuilding repository '%[1]s' cache ...........................................[done]\n", r.id)
			return
		}
		z.printf("Problem retrieving files from '%s'.\nDownload (curl) error for 'http://%s/repodata/repomd.xml':\nError code: Connection failed\nError message: %s\n", r.id, r.uri, trouble)
	})
	if !ok {
		z.println("Some of the repositories have not been refreshed because of an error.")
		return 4
	}
	z.println("All repositories have been refreshed.")
	return 0
}

// cached sees to it that every repository's contents are there.
func (z *zypperRun) cached() {
	m := z.machine
	if z.has("--no-refresh") {
		return
	}
	for _, r := range m.rpmRepositories() {
		if _, err := m.fs.stat(root, m.cache(r.id), true); r.enabled && err != nil {
			_ = z.fetch()
			return
		}
	}
}

func (z *zypperRun) search(patterns []string) int {
	m := z.machine
	view := m.rpmView(nil)
	z.print("Loading repository data...\nReading installed packages...\n")
	found := false
	for _, pattern := range patterns {
		for _, x := range view.all(pattern) {
			if !found {
				z.print("\nS  | Name                                           | Type    | Version                           | Arch   | Repository\n---+------------------------------------------------+---------+-----------------------------------+--------+-----------\n")
			}
			found = true
			mark := "  "
			if have := m.installed(x.name); have == x.version {
				mark = "i+"
			} else if have != "" {
				mark = "v "
			}
			z.printf("%s | %-46s | package | %-33s | x86_64 | %s\n", mark, x.name, x.version, x.from)
		}
		for _, name := range m.packageNames() {
			x := m.have(name)
			if ok, _ := path.Match(pattern, name); ok && !slices.ContainsFunc(view.all(name), func(o sourced) bool { return o.version == x.version }) {
				found = true
				z.printf("i+ | %-46s | package | %-33s | x86_64 | (System Packages)\n", name, x.version)
			}
		}
	}
	if !found {
		z.println("No matching items found.")
		return 104
	}
	return 0
}

func (z *zypperRun) listLocks() int {
	locks := z.machine.zyppLocks()
	if len(locks) == 0 {
		z.println("\nThere are no package locks defined.")
		return 0
	}
	z.print("\n#  | Name | Type    | Repository | Comment\n---+------+---------+------------+--------\n")
	for i, name := range locks {
		z.printf("%d  | %s | package | (any)      | \n", i+1, name)
	}
	return 0
}

func (z *zypperRun) lock(add bool, names []string) int {
	locks := z.machine.zyppLocks()
	for _, name := range names {
		switch has := slices.Contains(locks, name); {
		case add && !has:
			locks = append(locks, name)
		case !add && has:
			locks = slices.DeleteFunc(locks, func(l string) bool { return l == name })
		}
	}
	text := ""
	for _, name := range locks {
		text += "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: " + name + "\n"
	}
	z.machine.put("/etc/zypp/locks", text)
	if add {
		z.println("Specified lock has been successfully added.")
	} else {
		z.printf("%d lock has been successfully removed.\n", len(names))
	}
	return 0
}

// install installs, and removes what begins with "!".
func (z *zypperRun) install(words []string) int {
	m := z.machine
	z.cached()
	z.print("Loading repository data...\nReading installed packages...\n")
	locks := m.zyppLocks()
	view := m.rpmView(nil)
	var want []*pkg
	var gone []string
	for _, word := range words {
		if name, ok := strings.CutPrefix(word, "!"); ok {
			name, version, one := strings.Cut(name, "=")
			if have := m.have(name); have == nil || one && have.version != version {
				z.printf("Package '%s' is not installed.\n", word[1:])
			}
			// One version goes by itself where another takes its place.
			if !one || !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, name+"=") }) {
				gone = append(gone, name)
			}
			continue
		}
		x := view.find(word)
		have := m.have(strings.Split(word, "=")[0])
		switch {
		case x == nil && have == nil:
			z.printf("'%s' not found in package names. Trying capabilities.\nNo provider of '%[1]s' found.\n", word)
			return 104
		case x == nil || have != nil && have.version == x.version:
			z.printf("'%s' is already installed.\n", word)
		case have != nil && compareVersions(x.version, have.version) < 0 && !z.has("--oldpackage"):
			z.printf("The selected package '%s' from repository '%s' has lower version than the installed one. Use 'zypper install --oldpackage' to force installation of the package.\n", nevra(x), view.idOf(x))
		default:
			want = append(want, x)
		}
	}
	s := view.solver()
	s.keep = func(name string) bool { return slices.Contains(locks, name) }
	s.solve(want, gone)
	problem := strings.Join(s.unmet, "\n")
	for _, x := range s.changes() {
		if slices.Contains(locks, x.name) {
			problem = fmt.Sprintf(" the to be installed %s is locked and cannot be installed", nevra(x))
		}
	}
	for _, name := range s.gone() {
		if !slices.Contains(gone, name) && !z.has("--force-resolution") {
			problem = fmt.Sprintf(" the installed %s conflicts with what is to be installed", nevra(s.installed[name]))
		}
	}
	if problem != "" {
		z.printf("Resolving package dependencies...\n\nProblem:%s\n Solution 1: do not install\n\nChoose from above solutions by number or cancel [1/c/d/?] (c): c\n", problem)
		return 4
	}
	changes := s.changes()
	z.println("Resolving package dependencies...")
	if len(changes)+len(s.gone()) == 0 {
		z.println("Nothing to do.")
		return 0
	}
	var fresh, newer, older []string
	for _, x := range changes {
		switch have := s.installed[x.name]; {
		case have == nil:
			fresh = append(fresh, x.name)
		case compareVersions(x.version, have.version) < 0:
			older = append(older, x.name)
		default:
			newer = append(newer, x.name)
		}
	}
	for _, section := range []struct {
		one, many string
		names     []string
	}{
		{"The following NEW package is going to be installed:", "The following %d NEW packages are going to be installed:", fresh},
		{"The following package is going to be upgraded:", "The following %d packages are going to be upgraded:", newer},
		{"The following package is going to be downgraded:", "The following %d packages are going to be downgraded:", older},
		{"The following package is going to be REMOVED:", "The following %d packages are going to be REMOVED:", s.gone()},
	} {
		switch len(section.names) {
		case 0:
		case 1:
			z.printf("\n%s\n  %s\n", section.one, section.names[0])
		default:
			z.printf("\n"+section.many+"\n  %s\n", len(section.names), strings.Join(section.names, " "))
		}
	}
	z.printf("\n%d packages to install, %d to remove.\nOverall download size: 10.0 MiB. Already cached: 0 B.\nContinue? [y/n/v/...? shows all options] (y): y\n", len(changes), len(s.gone()))
	if z.has("--dry-run") {
		return 0
	}
	for i, x := range changes {
		z.printf("Retrieving: %s (%s) (%d/%d)\n", nevra(x), view.idOf(x), i+1, len(changes))
		if !z.slow(pace) {
			return 8
		}
	}
	if z.has("--download-only") {
		return 0
	}
	n, all := 0, len(changes)+len(s.gone())
	doing := map[string]string{"install": "Installing", "upgrade": "Installing", "downgrade": "Installing", "remove": "Removing"}
	if !z.transact(s, func(verb string, x *pkg) {
		n++
		z.printf("(%d/%d) %s: %s [..done]\n", n, all, doing[verb], nevra(x))
	}) {
		return 8
	}
	return 0
}
