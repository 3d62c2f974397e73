package lab

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// have is a package as it is installed; nil: it is not.
func (m *Machine) have(name string) *pkg {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.packages[name]
}

// installed is the version of a package; "" if it is not installed.
func (m *Machine) installed(name string) string {
	if p := m.have(name); p != nil {
		return p.version
	}
	return ""
}

func (m *Machine) packageNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.packages))
}

// allInstalled is a copy of the package database.
func (m *Machine) allInstalled() map[string]*pkg {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.packages)
}

func (m *Machine) isHeld(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[name]
}

// install puts packages and what they need onto the machine, from all
// repositories that its system has, as whoever set it up did. A version is
// given as name=version.
func (m *Machine) install(names ...string) {
	newest := func(name string) *pkg {
		name, version, _ := strings.Cut(name, "=")
		var best *pkg
		for _, r := range m.spec.distro.repositories {
			for _, p := range r.packages {
				if p.name == name && (version == "" || p.version == version) && (best == nil || compareVersions(p.version, best.version) > 0) {
					best = p
				}
			}
		}
		return best
	}
	var want []*pkg
	for _, name := range names {
		p := newest(name)
		if p == nil {
			panic("lab: no package " + name) // a mistake in this package
		}
		want = append(want, p)
	}
	s := solver{installed: m.allInstalled(), keep: func(string) bool { return false }, providers: func(name string) []*pkg {
		var all []*pkg
		for _, r := range m.spec.distro.repositories {
			for _, p := range r.packages {
				if p.satisfies(relation{name: name}) {
					all = append(all, p)
				}
			}
		}
		return all
	}}
	s.candidate = func(name string) *pkg {
		// What is named with a version draws its like along.
		if p := newest(name + "=" + want[0].version); p != nil {
			return p
		}
		return newest(name)
	}
	s.solve(want, nil)
	if len(s.unmet) > 0 {
		panic(fmt.Sprint("lab: ", s.unmet))
	}
	for _, name := range s.gone() {
		m.uninstall(name)
	}
	for _, p := range s.changes() {
		if old := m.have(p.name); old != nil {
			m.takeFiles(old, p)
		}
		m.putFiles(p)
		m.configure(nil, p)
	}
	m.afterInstall(nil, s.changes())
}

// putFiles unpacks a package.
func (m *Machine) putFiles(p *pkg) {
	list := []string{"/."}
	for _, file := range p.programs {
		m.must(m.WriteFile(file, elf+path.Base(file), 0o755))
		list = append(list, file)
	}
	for file, text := range p.data {
		m.must(m.WriteFile(file, text, 0o644))
		list = append(list, file)
	}
	for file, text := range p.kernel {
		m.must(m.WriteFile("/usr/lib/modules/"+file, text, 0o644))
		list = append(list, "/lib/modules/"+file)
	}
	for file, target := range p.links {
		m.must(m.mkdirs(path.Dir(file)))
		_ = m.Remove(file)
		m.must(m.fs.symlink(root, target, file))
		list = append(list, file)
	}
	for unit, text := range p.units {
		m.must(m.WriteFile("/usr/lib/systemd/system/"+unit, text, fs.FileMode(0o644)))
		list = append(list, "/lib/systemd/system/"+unit)
	}
	if m.spec.distro.manager == "apt" {
		sort.Strings(list)
		m.must(m.WriteFile("/var/lib/dpkg/info/"+p.name+".list", strings.Join(list, "\n")+"\n", 0o644))
	}
}

// takeFiles removes a package's files but those that another version of it,
// which may be nil, has too.
func (m *Machine) takeFiles(old, by *pkg) {
	stays := map[string]bool{}
	if by != nil {
		for file := range by.data {
			stays[file] = true
		}
		for file := range by.links {
			stays[file] = true
		}
		for _, file := range by.programs {
			stays[file] = true
		}
	}
	var files []string
	files = append(files, old.programs...)
	files = append(files, slices.Collect(maps.Keys(old.data))...)
	files = append(files, slices.Collect(maps.Keys(old.links))...)
	for file := range old.kernel {
		files = append(files, "/usr/lib/modules/"+file)
	}
	for _, file := range files {
		if !stays[file] {
			_ = m.Remove(file)
		}
	}
	if by == nil {
		for unit := range old.units {
			m.stopUnit(unit)
			_ = m.Remove("/usr/lib/systemd/system/" + unit)
			_ = m.Remove("/etc/systemd/system/multi-user.target.wants/" + unit)
		}
		_ = m.Remove("/var/lib/dpkg/info/" + old.name + ".list")
	}
	if old.dkms != "" {
		m.dkmsRemove(old.dkms, driverVersion(old.version))
	}
}

// configure is the end of an installation: the package counts as installed, its
// services run, and its modules are built. Without a process p nobody waits for
// that and nobody sees it.
func (m *Machine) configure(p *process, x *pkg) {
	m.mu.Lock()
	m.packages[x.name] = x
	m.mu.Unlock()
	if len(x.units) > 0 {
		m.reloadUnits()
		for _, unit := range slices.Sorted(maps.Keys(x.units)) {
			m.enable(unit)
			m.startUnit(unit)
		}
	}
	if x.dkms != "" {
		m.dkmsInstall(p, x.dkms, driverVersion(x.version))
	}
	if x.headers != "" && m.have("dkms") != nil {
		m.dkmsAutoinstall(p, x.headers, true)
	}
}

// afterInstall is what is done once after all packages: triggers.
func (m *Machine) afterInstall(p *process, done []*pkg) {
	if !slices.ContainsFunc(done, func(x *pkg) bool { return x.initrd }) {
		return
	}
	kernels := m.kernels()
	k := kernels[len(kernels)-1]
	if p != nil && m.spec.distro.manager == "apt" {
		p.printf("Processing triggers for initramfs-tools (0.142) ...\nupdate-initramfs: Generating %s\n", m.initramfs(k))
	}
	if p != nil && !p.slow(150*time.Millisecond) {
		return
	}
	m.writeInitramfs(k)
}

// uninstall takes a package away, with its programs.
func (m *Machine) uninstall(name string) {
	p := m.have(name)
	if p == nil {
		return
	}
	m.takeFiles(p, nil)
	m.mu.Lock()
	delete(m.packages, name)
	delete(m.held, name)
	m.mu.Unlock()
	m.reloadUnits()
}

// driverVersion is a package's version without epoch and revision.
func driverVersion(v string) string {
	_, v = cutEpoch(v)
	v, _ = cutRevision(v)
	return v
}
