package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// interrupted is the file that dpkg leaves when it was cut off in the middle.
const interrupted = "/var/lib/dpkg/updates/0001"

// dpkgState is what dpkg says of a package: the wish and the state.
func (m *Machine) dpkgState(name string) (want, status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	want, status = "install", "installed"
	if m.held[name] {
		want = "hold"
	}
	if m.halfway[name] {
		status = "unpacked"
	}
	return want, status
}

// dpkgStatus is /var/lib/dpkg/status.
func (m *Machine) dpkgStatus() string {
	var b strings.Builder
	for _, name := range m.packageNames() {
		want, status := m.dpkgState(name)
		fmt.Fprintf(&b, "Package: %s\nStatus: %s ok %s\nPriority: optional\nSection: admin\nArchitecture: amd64\nVersion: %s\n\n", name, want, status, m.installed(name))
	}
	return b.String()
}

func dpkgQuery(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-W -l -s -L --show --list --status --listfiles --print-architecture --configure -a -i --audit --no-pager --force-confdef --force-confold --pending", "-f --showformat -S --search --compare-versions --force")
	m := p.machine
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case isSet(set, "--print-architecture"):
		p.println("amd64")
		return 0
	case isSet(set, "--configure"):
		return p.dpkgConfigure()
	case isSet(set, "--audit"):
		return p.dpkgAudit()
	}
	format := "${binary:Package}\t${Version}\n"
	if f := set["-f"] + set["--showformat"]; f != "" {
		format = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(f)
	}
	if len(args) == 0 {
		args = []string{"*"}
	}
	status := 0
	for _, pattern := range args {
		pattern, _, _ = strings.Cut(pattern, ":")
		matched := false
		for _, name := range m.packageNames() {
			if ok, _ := path.Match(pattern, name); !ok {
				continue
			}
			matched = true
			want, is := m.dpkgState(name)
			abbrev := want[:1] + map[string]string{"installed": "i", "unpacked": "U"}[is] + " "
			switch {
			case isSet(set, "-s", "--status"):
				p.printf("Package: %s\nStatus: %s ok %s\nVersion: %s\n", name, want, is, m.installed(name))
			case isSet(set, "-l", "--list"):
				p.printf("%s %s %s amd64 a package\n", strings.TrimSpace(abbrev), name, m.installed(name))
			case isSet(set, "-L", "--listfiles"):
				text, _ := m.ReadFile("/var/lib/dpkg/info/" + name + ".list")
				p.print(text)
			default:
				p.print(strings.NewReplacer("${Package}", name, "${binary:Package}", name, "${Version}", m.installed(name), "${Status}", want+" ok "+is,
					"${db:Status-Status}", is, "${db:Status-Abbrev}", abbrev, "${db:Status-Want}", want, "${Architecture}", "amd64").Replace(format))
			}
		}
		if !matched {
			if isSet(set, "-s", "--status") {
				fmt.Fprintf(p.stderr, "dpkg-query: package '%s' is not installed and no information is available\nUse dpkg --info (= dpkg-deb --info) to examine archive files.\n", pattern)
			} else {
				fmt.Fprintf(p.stderr, "dpkg-query: no packages found matching %s\n", pattern)
			}
			status = 1
		}
	}
	return status
}

// halves are packages that were unpacked and not configured.
func (m *Machine) halves() []*pkg {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*pkg
	for name := range m.halfway {
		list = append(list, m.packages[name])
	}
	slices.SortFunc(list, func(a, b *pkg) int { return strings.Compare(a.name, b.name) })
	return list
}

// dpkgConfigure is dpkg --configure -a.
func (p *process) dpkgConfigure() int {
	m := p.machine
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "dpkg: error: requested operation requires superuser privilege")
		return 2
	}
	unlock, holder := p.dpkgLock("/var/lib/dpkg/lock-frontend")
	if unlock == nil {
		fmt.Fprintf(p.stderr, "dpkg: error: dpkg frontend lock was locked by another process with pid %d\n", holder)
		return 2
	}
	defer unlock()
	todo := m.halves()
	for _, x := range todo {
		if !p.setUp(x) {
			return 2
		}
	}
	m.afterInstall(p, todo)
	_ = m.Remove(interrupted)
	return 0
}

func (p *process) dpkgAudit() int {
	todo := p.machine.halves()
	if len(todo) == 0 {
		return 0
	}
	p.println("The following packages have been unpacked but not yet configured.\nThey must be configured using dpkg --configure or the configure\nmenu option in dselect for them to work:")
	for _, x := range todo {
		p.printf(" %-20s a package\n", x.name)
	}
	return 1
}

// setUp configures one package, which takes its moment.
func (p *process) setUp(x *pkg) bool {
	p.printf("Setting up %s (%s) ...\n", x.name, x.version)
	if !p.slow(pace) {
		return false
	}
	p.machine.configure(p, x)
	if p.ctx.Err() != nil {
		return false
	}
	p.machine.mu.Lock()
	delete(p.machine.halfway, x.name)
	p.machine.mu.Unlock()
	return true
}

// dpkgLock takes one of the locks of apt and dpkg, or says who has it.
func (p *process) dpkgLock(name string) (unlock func(), holder int) {
	h, err := p.machine.fs.open(root, name, 0x42, 0o640) // O_RDWR|O_CREAT
	if err != nil {
		return func() {}, 0
	}
	l, other, _ := p.lock("POSIX", h, name)
	if l == nil {
		return nil, other.pid
	}
	return func() { p.machine.unlock(l) }, 0
}
