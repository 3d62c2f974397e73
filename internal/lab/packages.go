package lab

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
)

// install puts a package of the catalogue and what it needs onto the machine,
// and returns what was new, in the order of installation.
func (m *Machine) install(name string) []string {
	p, ok := m.spec.distro.catalogue[name]
	if !ok || m.installed(name) != "" {
		return nil
	}
	var done []string
	for _, d := range p.depends {
		done = append(done, m.install(d)...)
	}
	list := "/.\n"
	for _, file := range p.files {
		m.must(m.WriteFile(file, elf+path.Base(file), 0o755))
		list += file + "\n"
	}
	m.must(m.WriteFile("/var/lib/dpkg/info/"+name+".list", list, 0o644))
	m.mu.Lock()
	m.packages[name] = p.version
	m.mu.Unlock()
	m.installUnits(p.units)
	return append(done, name)
}

func (m *Machine) installed(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.packages[name]
}

// uninstall takes a package away, with its programs.
func (m *Machine) uninstall(name string) {
	p := m.spec.distro.catalogue[name]
	for unit := range p.units {
		m.stopUnit(unit)
		_ = m.Remove("/usr/lib/systemd/system/" + unit)
		_ = m.Remove("/etc/systemd/system/multi-user.target.wants/" + unit)
	}
	for _, file := range p.files {
		_ = m.Remove(file)
	}
	_ = m.Remove("/var/lib/dpkg/info/" + name + ".list")
	m.mu.Lock()
	delete(m.packages, name)
	m.mu.Unlock()
	m.reloadUnits()
}

func (m *Machine) packageNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.packages {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// dpkgStatus is /var/lib/dpkg/status.
func (m *Machine) dpkgStatus() string {
	var b strings.Builder
	for _, name := range m.packageNames() {
		want := "install"
		m.mu.Lock()
		if m.held[name] {
			want = "hold"
		}
		m.mu.Unlock()
		fmt.Fprintf(&b, "Package: %s\nStatus: %s ok installed\nPriority: optional\nSection: admin\nArchitecture: amd64\nVersion: %s\n\n", name, want, m.installed(name))
	}
	return b.String()
}

// aptProxy is the proxy that apt's configuration names, as host:port.
func (m *Machine) aptProxy() string {
	proxy := ""
	files, _ := m.fs.readDir(root, "/etc/apt/apt.conf.d")
	for _, f := range files {
		if strings.Contains(strings.TrimPrefix(f.name, "."), ".") && !strings.HasSuffix(f.name, ".conf") {
			continue
		}
		text, _ := m.ReadFile("/etc/apt/apt.conf.d/" + f.name)
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(strings.ToLower(line), "acquire::http::proxy ") {
				if q := strings.Split(line, `"`); len(q) > 1 {
					proxy = q[1]
				}
			}
		}
	}
	if proxy == "" || strings.EqualFold(proxy, "direct") {
		return ""
	}
	_, proxy, _ = strings.Cut(proxy, "://")
	if at := strings.LastIndexByte(proxy, '@'); at >= 0 {
		proxy = proxy[at+1:]
	}
	return strings.TrimRight(proxy, "/")
}

// aptReaches reports whether apt gets through to the archive; why says what
// it prints when not.
func (m *Machine) aptReaches() (why string, ok bool) {
	proxy := m.aptProxy()
	if proxy == "" || m.world.proxies[proxy] {
		return "", true
	}
	host, port, _ := strings.Cut(proxy, ":")
	if m.resolve(host) == "" {
		return fmt.Sprintf("Could not resolve '%s'", host), false
	}
	return fmt.Sprintf("Could not connect to %s:%s (%s). - connect (113: No route to host)", host, port, m.resolve(host)), false
}

func aptGet(p *process) int {
	m := p.machine
	set, args, unknown := permuted(p.args[1:], "-y -q -qq -d -f -s -m -V --yes --assume-yes --quiet --no-install-recommends --install-recommends --fix-broken --download-only --allow-downgrades --allow-change-held-packages --reinstall --purge --simulate --dry-run --print-uris --no-remove --only-upgrade",
		"-o -t -c --option --target-release")
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case len(args) == 0:
		return p.lacks("without a command")
	}
	verb, names := args[0], args[1:]
	simulate := isSet(set, "-s", "--simulate", "--dry-run")
	if p.cred.uid != 0 && !simulate {
		fmt.Fprintln(p.stderr, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)")
		fmt.Fprintln(p.stderr, "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?")
		return 100
	}
	switch verb {
	case "update":
		if why, ok := m.aptReaches(); !ok {
			p.printf("Err:1 http://deb.debian.org/debian stable InRelease\n  %s\nReading package lists...\n", why)
			fmt.Fprintf(p.stderr, "W: Failed to fetch http://deb.debian.org/debian/dists/stable/InRelease  %s\n", why)
			fmt.Fprintln(p.stderr, "W: Some index files failed to download. They have been ignored, or old ones used instead.")
			return 0
		}
		p.print("Hit:1 http://deb.debian.org/debian stable InRelease\nReading package lists...\n")
		m.must(m.WriteFile("/var/lib/apt/lists/deb.debian.org_debian_dists_stable_InRelease", "Origin: Debian\n", 0o644))
		return 0
	case "install":
		return p.aptInstall(names, set, simulate)
	case "remove", "purge":
		for _, name := range names {
			if m.installed(name) == "" {
				p.printf("Package '%s' is not installed, so not removed\n", name)
				continue
			}
			p.printf("Removing %s (%s) ...\n", name, m.installed(name))
			if !simulate {
				m.uninstall(name)
			}
		}
		return 0
	case "clean", "autoclean", "autoremove", "check":
		return 0
	}
	fmt.Fprintf(p.stderr, "E: Invalid operation %s\n", verb)
	m.miss("apt-get " + verb)
	return 100
}

func (p *process) aptInstall(names []string, set map[string]string, simulate bool) int {
	m := p.machine
	p.print("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	var fresh []string
	for i, name := range names {
		name, version, _ := strings.Cut(name, "=")
		names[i] = name
		candidate, known := m.spec.distro.catalogue[name]
		switch {
		case m.installed(name) != "" && version == "":
			p.printf("%s is already the newest version (%s).\n", name, m.installed(name))
			continue
		case !known && m.installed(name) == "":
			fmt.Fprintf(p.stderr, "E: Unable to locate package %s\n", name)
			return 100
		case version != "" && version != candidate.version:
			fmt.Fprintf(p.stderr, "E: Version '%s' for '%s' was not found\n", version, name)
			return 100
		}
		fresh = append(fresh, name)
	}
	if len(fresh) == 0 {
		p.print("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
		return 0
	}
	if why, ok := m.aptReaches(); !ok {
		for _, name := range fresh {
			fmt.Fprintf(p.stderr, "E: Failed to fetch http://deb.debian.org/debian/pool/main/%s/%s.deb  %s\n", name[:1], name, why)
		}
		fmt.Fprintln(p.stderr, "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
		return 100
	}
	if simulate {
		for _, name := range fresh {
			p.printf("Inst %s (%s)\nConf %s (%s)\n", name, m.spec.distro.catalogue[name].version, name, m.spec.distro.catalogue[name].version)
		}
		return 0
	}
	if isSet(set, "-d", "--download-only") {
		return 0
	}
	count := 0
	for _, name := range fresh {
		for _, done := range m.install(name) {
			p.printf("Setting up %s (%s) ...\n", done, m.installed(done))
			count++
		}
	}
	p.printf("0 upgraded, %d newly installed, 0 to remove and 0 not upgraded.\n", count)
	return 0
}

func aptMark(p *process) int {
	if len(p.args) < 2 {
		return p.lacks("without a command")
	}
	m := p.machine
	m.mu.Lock()
	var said []string
	for _, name := range p.args[2:] {
		switch p.args[1] {
		case "hold":
			m.held[name] = true
			said = append(said, name+" set on hold.")
		case "unhold":
			delete(m.held, name)
			said = append(said, "Canceled hold on "+name+".")
		}
	}
	if p.args[1] == "showhold" {
		for name := range m.held {
			said = append(said, name)
		}
	}
	m.mu.Unlock() // before printing, which may be into a file
	for _, line := range said {
		p.println(line)
	}
	return 0
}

func aptCache(p *process) int {
	if len(p.args) < 3 {
		return p.lacks("without a command")
	}
	for _, name := range p.args[2:] {
		candidate, known := p.machine.spec.distro.catalogue[name]
		if !known {
			if p.args[1] != "policy" {
				fmt.Fprintf(p.stderr, "E: No packages found\n")
				return 100
			}
			continue
		}
		have := p.machine.installed(name)
		if have == "" {
			have = "(none)"
		}
		switch p.args[1] {
		case "policy":
			p.printf("%s:\n  Installed: %s\n  Candidate: %s\n", name, have, candidate.version)
		case "show":
			p.printf("Package: %s\nVersion: %s\nSection: %s\n", name, candidate.version, candidate.section)
		default:
			return p.lacks(p.args[1])
		}
	}
	return 0
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

func dpkgQuery(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-W -l -s -L --show --list --status --listfiles --print-architecture --configure -a -i --audit --no-pager", "-f --showformat -S --search")
	m := p.machine
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case isSet(set, "--print-architecture"):
		p.println("amd64")
		return 0
	case isSet(set, "--configure", "--audit"):
		return 0
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
			m.mu.Lock()
			want := "install"
			if m.held[name] {
				want = "hold"
			}
			m.mu.Unlock()
			switch {
			case isSet(set, "-s", "--status"):
				p.printf("Package: %s\nStatus: %s ok installed\nVersion: %s\n", name, want, m.installed(name))
			case isSet(set, "-l", "--list"):
				p.printf("ii  %s %s amd64 a package\n", name, m.installed(name))
			case isSet(set, "-L", "--listfiles"):
				text, _ := m.ReadFile("/var/lib/dpkg/info/" + name + ".list")
				p.print(text)
			default:
				p.print(strings.NewReplacer("${Package}", name, "${binary:Package}", name, "${Version}", m.installed(name), "${Status}", want+" ok installed",
					"${db:Status-Status}", "installed", "${db:Status-Abbrev}", want[:1]+"i ", "${db:Status-Want}", want, "${Architecture}", "amd64").Replace(format))
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

// updateCA is update-ca-certificates: the bundle is the base one and every
// certificate of /usr/local/share/ca-certificates.
func updateCA(p *process) int {
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "/usr/sbin/update-ca-certificates: 101: cannot create /etc/ssl/certs/ca-certificates.crt.new: Permission denied")
		return 2
	}
	m := p.machine
	bundle := "# 140 certificates of public authorities\n"
	old, _ := m.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	added, removed := 0, 0
	var names []string
	files, _ := m.fs.readDir(root, "/usr/local/share/ca-certificates")
	for _, f := range files {
		if !strings.HasSuffix(f.name, ".crt") {
			continue
		}
		text, _ := m.ReadFile("/usr/local/share/ca-certificates/" + f.name)
		bundle += text
		link := strings.TrimSuffix(f.name, ".crt") + ".pem"
		names = append(names, link)
		if m.fs.symlink(root, "/usr/local/share/ca-certificates/"+f.name, "/etc/ssl/certs/"+link) == nil {
			added++
		}
	}
	links, _ := m.fs.readDir(root, "/etc/ssl/certs")
	for _, l := range links {
		if l.mode&fs.ModeSymlink != 0 && !slices.Contains(names, l.name) {
			_ = m.Remove("/etc/ssl/certs/" + l.name)
			removed++
		}
	}
	if bundle != old {
		m.must(m.WriteFile("/etc/ssl/certs/ca-certificates.crt", bundle, 0o644))
	}
	p.printf("Updating certificates in /etc/ssl/certs...\n%d added, %d removed; done.\nRunning hooks in /etc/ca-certificates/update.d...\ndone.\n", added, removed)
	return 0
}
