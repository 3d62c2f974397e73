package lab

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

const rpmLockFile = "/var/lib/rpm/.rpm.lock"

// enabledStreams are the module streams that dnf's state has, by module.
func (m *Machine) enabledStreams() map[string]string {
	streams := map[string]string{}
	files, _ := m.fs.readDir(root, "/etc/dnf/modules.d")
	for _, f := range files {
		text, _ := m.ReadFile("/etc/dnf/modules.d/" + f.name)
		module, stream, enabled := "", "", false
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "name":
				module = value
			case "stream":
				stream = value
			case "state":
				enabled = value == "enabled"
			}
		}
		if enabled {
			streams[module] = stream
		}
	}
	return streams
}

// versionlocks are dnf's.
func (m *Machine) versionlocks() []string {
	text, _ := m.ReadFile("/etc/dnf/plugins/versionlock.list")
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// A dnfRun is one call of dnf.
type dnfRun struct {
	*process
	set map[string]string
}

func (d *dnfRun) has(names ...string) bool { return isSet(d.set, names...) }

// tells prints what -q keeps back.
func (d *dnfRun) tells(format string, a ...any) {
	if !d.has("-q", "--quiet") {
		d.printf(format, a...)
	}
}

func (d *dnfRun) failed(format string, a ...any) int {
	fmt.Fprintf(d.stderr, "Error: "+format+"\n", a...)
	return 1
}

func dnf(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-y -q -C -v --assumeyes --assumeno --quiet --cacheonly --allowerasing --downloadonly --disable-modular-filtering --best --nobest --refresh --nogpgcheck --showduplicates --all --available",
		"--setopt --qf --queryformat --disableplugin --enablerepo --disablerepo --repo")
	if unknown != "" || len(args) == 0 {
		return p.lacks(orElse(unknown, "without a command"))
	}
	d := &dnfRun{process: p, set: set}
	verb, args := args[0], args[1:]
	switch verb {
	case "repoquery":
		return d.repoquery(args)
	case "module":
		return d.module(args)
	}
	if p.cred.uid != 0 && verb != "list" {
		return d.failed("This command has to be run with superuser privileges (under the root user on most systems).")
	}
	switch verb {
	case "install", "upgrade", "update", "remove", "erase", "downgrade":
		return d.transaction([][]string{append([]string{verb}, args...)})
	case "shell":
		return d.shell(args)
	case "versionlock":
		return d.versionlock(args)
	case "makecache":
		if !d.metadata() {
			return 1
		}
		d.tells("Metadata cache created.\n")
		return 0
	case "clean":
		for _, r := range p.machine.rpmRepositories() {
			_ = p.machine.Remove(p.machine.cache(r.id))
		}
		d.tells("Cache was expired\n")
		return 0
	}
	return p.lacks(verb)
}

// metadata has what the repositories have, or says what failed.
func (d *dnfRun) metadata() bool {
	m := d.machine
	missing := slices.ContainsFunc(m.rpmRepositories(), func(r rpmRepository) bool {
		_, err := m.fs.stat(root, m.cache(r.id), true)
		return r.enabled && err != nil
	})
	if !missing && !d.has("--refresh") {
		d.tells("Last metadata expiration check: 0:12:07 ago.\n")
		return true
	}
	if d.has("-C", "--cacheonly") {
		for _, r := range m.rpmRepositories() {
			if _, err := m.fs.stat(root, m.cache(r.id), true); r.enabled && err != nil {
				d.failed("Cache-only enabled but no cache for '%s'", r.id)
				return false
			}
		}
	}
	return d.refresh(func(r rpmRepository, trouble string) {
		if trouble == "" {
			d.tells("%-50s 1.2 MB/s | 2.1 MB     00:01\n", r.id)
			return
		}
		fmt.Fprintf(d.stderr, "Errors during downloading metadata for repository '%s':\n  - Curl error (6): Couldn't resolve host name for http://%s/repodata/repomd.xml [%s]\n", r.id, r.uri, trouble)
		d.failed("Failed to download metadata for repo '%s': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried", r.id)
	})
}

func (d *dnfRun) repoquery(patterns []string) int {
	if !d.metadata() {
		return 1
	}
	view := d.machine.rpmView(nil)
	view.unmasked = d.has("--disable-modular-filtering")
	format := orElse(d.set["--qf"]+d.set["--queryformat"], "%{name}-%{epoch}:%{version}-%{release}.%{arch}\n")
	seen := map[string]bool{}
	for _, pattern := range patterns {
		list := view.all(pattern)
		if len(list) == 0 {
			if x := view.find(pattern); x != nil {
				list = []sourced{{x, view.idOf(x)}}
			}
		}
		for _, x := range list {
			epoch, version := cutEpoch(x.version)
			upstream, release := cutRevision(version)
			line := strings.NewReplacer(`\n`, "\n", `\t`, "\t", "%{name}", x.name, "%{epoch}", epoch, "%{version}", upstream, "%{release}", release, "%{arch}", "x86_64", "%{repoid}", x.from).Replace(format)
			if !seen[line] {
				seen[line] = true
				d.print(strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	}
	return 0
}

// idOf is the repository that a package is from.
func (v *rpmView) idOf(x *pkg) string {
	for _, p := range v.all(x.name) {
		if p.pkg == x {
			return p.from
		}
	}
	return "@System"
}

// module is dnf module list, enable, reset and switch-to.
func (d *dnfRun) module(args []string) int {
	if len(args) == 0 {
		return d.lacks("module without a command")
	}
	if !d.metadata() {
		return 1
	}
	m := d.machine
	streams := map[string]bool{}
	repo := ""
	for id, r := range m.knownRPMs() {
		for _, p := range r.packages {
			if p.stream != "" {
				streams[p.stream], repo = true, id
			}
		}
	}
	enabled := m.enabledStreams()["nvidia-driver"]
	const file = "/etc/dnf/modules.d/nvidia-driver.module"
	switch args[0] {
	case "list":
		if len(streams) == 0 || len(args) > 1 && args[1] != "nvidia-driver" {
			return d.failed("No matching Modules to list")
		}
		var names []string
		for s := range streams {
			names = append(names, s)
		}
		sort.Strings(names)
		d.printf("%s\nName          Stream         Profiles                                Summary\n", repo)
		for _, s := range names {
			mark := ""
			if s == enabled {
				mark = " [e]"
			}
			d.printf("nvidia-driver %-14s default [d], fm, ks, src                 Nvidia driver for %s branch\n", s+mark, branch(strings.ReplaceAll(s, "-", ".")))
		}
		d.print("\nHint: [d]efault, [e]nabled, [x]disabled, [i]nstalled\n")
		return 0
	case "reset":
		_ = m.Remove(file)
		return 0
	case "enable", "switch-to", "install":
		if len(args) < 2 {
			return d.failed("module: too few arguments")
		}
		name, stream, _ := strings.Cut(args[1], ":")
		switch {
		case name != "nvidia-driver" || !streams[stream]:
			return d.failed("Problems in request:\nmissing groups or modules: %s", args[1])
		case enabled != "" && enabled != stream && args[0] == "enable":
			return d.failed("It is not possible to switch enabled streams of a module unless explicitly enabled via configuration option module_stream_switch.\nIt is recommended to rather remove all installed content from the module, and reset the module using 'dnf module reset <module_name>' command. After you reset the module, you can install the other stream.")
		}
		m.put(file, "[nvidia-driver]\nname=nvidia-driver\nstream="+stream+"\nprofiles=\nstate=enabled\n\n")
		return 0
	}
	return d.lacks("module " + args[0])
}

func (d *dnfRun) versionlock(args []string) int {
	m := d.machine
	const file = "/etc/dnf/plugins/versionlock.list"
	if m.have("python3-dnf-plugin-versionlock") == nil {
		fmt.Fprintln(d.stderr, "No such command: versionlock. Please use /usr/bin/dnf --help\nIt could be a DNF plugin command, try: \"dnf install 'dnf-command(versionlock)'\"")
		return 1
	}
	locks := m.versionlocks()
	verb := "list"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "list":
		for _, l := range locks {
			d.println(l)
		}
		return 0
	case "add":
		for _, name := range args {
			x := m.have(name)
			if x == nil {
				fmt.Fprintf(d.stderr, "No package found for: %s\n", name)
				continue
			}
			epoch, version := cutEpoch(x.version)
			line := name + "-" + epoch + ":" + version + ".*"
			if !slices.Contains(locks, line) {
				locks = append(locks, line)
				d.tells("Adding versionlock on: %s\n", line)
			}
		}
	case "delete":
		var kept []string
		status := 1
		for _, l := range locks {
			if slices.ContainsFunc(args, func(name string) bool {
				rest, ok := strings.CutPrefix(l, name+"-")
				return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
			}) {
				status = 0
				d.tells("Deleting versionlock for: %s\n", l)
				continue
			}
			kept = append(kept, l)
		}
		if locks = kept; status != 0 {
			return d.failed("No package found for: %s", strings.Join(args, ", "))
		}
	default:
		return d.lacks("versionlock " + verb)
	}
	text := ""
	for _, l := range locks {
		text += l + "\n"
	}
	m.put(file, text)
	return 0
}

// shell is dnf shell FILE: lines of commands, carried out as one at "run".
func (d *dnfRun) shell(args []string) int {
	if len(args) == 0 {
		return d.lacks("shell without a file")
	}
	text, err := d.readFile(args[0])
	if err != nil {
		return d.failed("Cannot open %s for reading", args[0])
	}
	var wishes [][]string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "run":
			_ = d.transaction(wishes) // its own status tells nothing of it
			wishes = nil
		default:
			wishes = append(wishes, f)
		}
	}
	return 0
}

// transaction installs and removes, after a table of what is going to be.
func (d *dnfRun) transaction(wishes [][]string) int {
	m := d.machine
	unlock := d.rpmLock(rpmLockFile, func(pid int) { d.printf("Waiting for process with pid %d to finish.\n", pid) })
	if unlock == nil {
		return 1
	}
	defer unlock()
	if !d.metadata() {
		return 1
	}
	locks := m.versionlocks()
	if d.set["--disableplugin"] == "versionlock" {
		locks = nil
	}
	view := m.rpmView(locks)
	var want []*pkg
	var gone []string
	for _, wish := range wishes {
		for _, word := range wish[1:] {
			if wish[0] == "remove" || wish[0] == "erase" {
				gone = append(gone, word)
				continue
			}
			x := view.find(word)
			have := m.have(word)
			switch {
			case x == nil && have != nil:
				d.tells("Package %s is already installed.\n", nevra(have))
			case x == nil:
				d.printf("No match for argument: %s\n", word)
				return d.failed("Unable to find a match: %s", word)
			case m.installed(x.name) == x.version:
				d.tells("Package %s is already installed.\n", nevra(x))
			default:
				want = append(want, x)
			}
		}
	}
	s := view.solver()
	s.solve(want, gone)
	named := func(name string) bool { return slices.Contains(gone, name) }
	if len(s.unmet) > 0 {
		return d.failed("\n Problem: conflicting requests\n  -%s", strings.Join(s.unmet, "\n  -"))
	}
	for _, name := range s.gone() {
		if !named(name) && !d.has("--allowerasing") && len(want) > 0 {
			return d.failed("\n Problem: problem with installed package %s\n  - package %s conflicts with %s provided by %s from @System\n(try to add '--allowerasing' to command line to replace conflicting packages or '--skip-broken' to skip uninstallable packages)",
				nevra(s.installed[name]), nevra(want[0]), name, nevra(s.installed[name]))
		}
	}
	if len(s.changes())+len(s.gone()) == 0 {
		d.tells("Dependencies resolved.\nNothing to do.\nComplete!\n")
		return 0
	}
	d.table(s, view, want)
	switch {
	case d.has("--assumeno"):
		d.println("Operation aborted.")
		return 1
	case !d.has("-y", "--assumeyes"):
		d.println("Is this ok [y/N]: Operation aborted.")
		return 1
	}
	d.tells("Downloading Packages:\n")
	for i, x := range s.changes() {
		d.tells("(%d/%d): %s.rpm\n", i+1, len(s.changes()), nevra(x))
		if !d.slow(pace) {
			return 1
		}
	}
	if d.has("--downloadonly") {
		d.println("Complete!\nThe downloaded packages were saved in cache until the next successful transaction.\nYou can remove cached packages by executing 'dnf clean packages'.")
		return 0
	}
	d.tells("Running transaction check\nTransaction check succeeded.\nRunning transaction test\nTransaction test succeeded.\nRunning transaction\n")
	doing := map[string]string{"install": "Installing", "upgrade": "Upgrading", "downgrade": "Downgrading", "remove": "Erasing"}
	if !d.transact(s, func(verb string, x *pkg) { d.printf("  %-17s: %s\n", doing[verb], nevra(x)) }) {
		return 1
	}
	d.tells("Complete!\n")
	return 0
}

func (d *dnfRun) table(s *solver, view *rpmView, want []*pkg) {
	rule := strings.Repeat("=", 80)
	d.printf("Dependencies resolved.\n%s\n Package                 Arch    Version                Repository           Size\n%[1]s\n", rule)
	section := func(head string, fits func(x *pkg) bool, list []*pkg) {
		first := true
		for _, x := range list {
			if !fits(x) {
				continue
			}
			if first {
				d.println(head)
				first = false
			}
			d.printf(" %-23s x86_64  %-22s %-20s 10 M\n", x.name, strings.TrimPrefix(x.version, "0:"), view.idOf(x))
		}
	}
	order := func(x *pkg) int {
		if have := s.installed[x.name]; have != nil {
			return compareVersions(x.version, have.version)
		}
		return 0
	}
	section("Installing:", func(x *pkg) bool { return s.installed[x.name] == nil && slices.Contains(want, x) }, s.changes())
	section("Upgrading:", func(x *pkg) bool { return order(x) > 0 }, s.changes())
	section("Downgrading:", func(x *pkg) bool { return order(x) < 0 }, s.changes())
	section("Installing dependencies:", func(x *pkg) bool { return s.installed[x.name] == nil && !slices.Contains(want, x) }, s.changes())
	var gone []*pkg
	for _, name := range s.gone() {
		gone = append(gone, s.installed[name])
	}
	section("Removing:", func(*pkg) bool { return true }, gone)
	d.printf("\nTransaction Summary\n%s\n", rule)
	d.printf("Install  %d Packages\nRemove   %d Packages\n\n", len(s.changes()), len(gone))
}
