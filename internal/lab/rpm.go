package lab

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// An rpmRepository is one that a file of yum.repos.d or zypp's repos.d sets up.
type rpmRepository struct {
	*repository
	id      string
	uri     string
	enabled bool
}

// rpmRepositories are those that are set up; one that is not in the world has
// no packages.
func (m *Machine) rpmRepositories() []rpmRepository {
	var all []rpmRepository
	dir := "/etc/yum.repos.d"
	if m.spec.distro.manager == "zypper" {
		dir = "/etc/zypp/repos.d"
	}
	entries, _ := m.fs.readDir(root, dir)
	for _, e := range entries {
		text, _ := m.ReadFile(dir + "/" + e.name)
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
				all = append(all, rpmRepository{repository: &repository{}, id: line[1 : len(line)-1], enabled: true})
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !ok || len(all) == 0 {
				continue
			}
			r := &all[len(all)-1]
			switch key {
			case "baseurl":
				r.uri = address(strings.NewReplacer("$releasever", "9", "$basearch", "x86_64").Replace(value))
				for _, known := range m.spec.distro.repositories {
					if known.uri == r.uri {
						r.repository = known
					}
				}
			case "enabled":
				r.enabled = value == "1"
			}
		}
	}
	return all
}

// cache is where a package manager keeps what it knows of a repository.
func (m *Machine) cache(id string) string {
	if m.spec.distro.manager == "zypper" {
		return "/var/cache/zypp/solv/" + id + "/solv"
	}
	return "/var/cache/dnf/" + id + ".solv"
}

// refresh fetches what repositories have, through the proxy that is set.
func (p *process) refresh(tell func(r rpmRepository, trouble string)) (ok bool) {
	m := p.machine
	ok = true
	for _, r := range m.rpmRepositories() {
		if !r.enabled {
			continue
		}
		host, _, _ := strings.Cut(r.uri, "/")
		trouble := ""
		if r.repository.uri == "" || m.resolve(host) == "" {
			trouble = "Could not resolve host: " + host
		}
		if trouble == "" {
			trouble = m.rpmProxyTrouble()
		}
		tell(r, trouble)
		if trouble != "" {
			ok = false
			continue
		}
		if !p.slow(pace) {
			return false
		}
		m.must(m.WriteFile(m.cache(r.id), "metadata of "+r.uri+"\n", 0o644))
	}
	return ok
}

// rpmProxyTrouble is what keeps dnf or zypper from the network; "" if nothing.
func (m *Machine) rpmProxyTrouble() string {
	text, _ := m.ReadFile("/etc/dnf/dnf.conf")
	if m.spec.distro.manager == "zypper" {
		text, _ = m.ReadFile("/etc/sysconfig/proxy")
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key = strings.ToLower(strings.TrimSpace(key)); key != "proxy" && key != "http_proxy" {
			continue
		}
		proxy := address(strings.Trim(strings.TrimSpace(value), `"'`))
		if proxy != "" && !m.world.proxies[proxy] {
			return "Could not resolve proxy: " + proxy
		}
	}
	return ""
}

// knownRPMs are the repositories whose contents the manager has.
func (m *Machine) knownRPMs() map[string]*repository {
	all := map[string]*repository{}
	for _, r := range m.rpmRepositories() {
		if _, err := m.fs.stat(root, m.cache(r.id), true); err == nil && r.enabled {
			all[r.id] = r.repository
		}
	}
	return all
}

// An rpmView is what dnf or zypper knows at one moment.
type rpmView struct {
	m        *Machine
	known    map[string]*repository
	streams  map[string]string // of modules that are enabled
	unmasked bool              // packages of streams that are not enabled too
	locks    []string
}

func (m *Machine) rpmView(locks []string) *rpmView {
	return &rpmView{m: m, known: m.knownRPMs(), streams: m.enabledStreams(), locks: locks}
}

// A sourced is a package and the repository that it is in.
type sourced struct {
	*pkg
	from string
}

// all are the packages that match a pattern, the newest first.
func (v *rpmView) all(pattern string) []sourced {
	var list []sourced
	for id, r := range v.known {
		for _, p := range r.packages {
			if matched, _ := path.Match(pattern, p.name); matched && (v.unmasked || p.stream == "" || v.streams["nvidia-driver"] == p.stream) {
				list = append(list, sourced{p, id})
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].name != list[j].name {
			return list[i].name < list[j].name
		}
		if c := compareVersions(list[i].version, list[j].version); c != 0 {
			return c > 0
		}
		return list[i].from < list[j].from
	})
	return list
}

// candidate is the newest that no lock keeps away.
func (v *rpmView) candidate(name string) *pkg {
	for _, p := range v.all(name) {
		if v.unlocked(p.pkg) {
			return p.pkg
		}
	}
	return nil
}

// unlocked reports whether locks leave a version of a package to be installed.
func (v *rpmView) unlocked(p *pkg) bool {
	about := false
	for _, l := range v.locks {
		if l == p.name {
			return v.m.installed(p.name) == p.version
		}
		if strings.HasPrefix(l, p.name+"-") {
			about = true
			epoch, rest := cutEpoch(p.version)
			if ok, _ := path.Match(l, p.name+"-"+epoch+":"+rest+".x86_64"); ok {
				return true
			}
		}
	}
	return !about
}

func (v *rpmView) providers(name string) []*pkg {
	var list []*pkg
	for _, p := range v.all("*") {
		if p.name != name && p.satisfies(relation{name: name}) && v.candidate(p.name) == p.pkg {
			list = append(list, p.pkg)
		}
	}
	return list
}

// find is the package that a word of the command line means.
func (v *rpmView) find(word string) *pkg {
	if p := v.candidate(word); p != nil {
		return p
	}
	for _, w := range []string{word, strings.TrimSuffix(strings.TrimSuffix(word, ".x86_64"), ".noarch")} {
		for _, p := range v.all("*") {
			_, version := cutEpoch(p.version)
			upstream, _ := cutRevision(version)
			if w == p.name || w == p.name+"-"+version || w == p.name+"-"+p.version || w == p.name+"-"+upstream ||
				w == p.name+"="+version || w == p.name+"="+upstream || w == p.name+"="+p.version {
				return p.pkg
			}
		}
	}
	if list := v.providers(word); len(list) > 0 {
		return list[0]
	}
	return nil
}

// solver plans with what the view shows.
func (v *rpmView) solver() *solver {
	return &solver{installed: v.m.allInstalled(), candidate: v.candidate, providers: v.providers, keep: func(string) bool { return false }}
}

// transact carries a plan out, telling each package.
func (p *process) transact(s *solver, tell func(doing string, x *pkg)) bool {
	m := p.machine
	for _, name := range s.gone() {
		tell("remove", s.installed[name])
		if !p.slow(pace) {
			return false
		}
		m.uninstall(name)
	}
	changes := s.changes()
	for _, x := range changes {
		doing := "install"
		old := m.have(x.name)
		if old != nil && x.name != "kernel-devel" {
			doing = "upgrade"
			if compareVersions(x.version, old.version) < 0 {
				doing = "downgrade"
			}
			m.takeFiles(old, x)
		}
		tell(doing, x)
		if !p.slow(2 * pace) {
			return false
		}
		m.putFiles(x)
		m.configure(p, x)
	}
	m.afterInstall(p, changes)
	return p.ctx.Err() == nil
}

// rpmLock waits until no other package manager is at work; told says who is.
func (p *process) rpmLock(file string, told func(pid int)) (unlock func()) {
	last := 0
	for {
		unlock, holder := p.dpkgLock(file)
		if unlock != nil {
			return unlock
		}
		if told == nil {
			return nil
		}
		if holder != last {
			told(holder)
			last = holder
		}
		if !p.slow(20 * time.Millisecond) {
			return nil
		}
	}
}

// nevra is a package as rpm -q prints it.
func nevra(x *pkg) string {
	_, version := cutEpoch(x.version)
	return x.name + "-" + version + ".x86_64"
}

func rpm(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-q -a -qa -i -l -e -V -U --import --whatprovides --all --nodeps --quiet --query", "--qf --queryformat")
	m := p.machine
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case isSet(set, "--import"):
		if p.cred.uid != 0 {
			fmt.Fprintln(p.stderr, "error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Permission denied)")
			return 1
		}
		for _, name := range args {
			if _, err := p.readFile(name); err != nil {
				fmt.Fprintf(p.stderr, "error: %s: import read failed(2).\n", name)
				return 1
			}
		}
		return 0
	case !isSet(set, "-q", "--query"):
		return p.lacks(strings.Join(p.args[1:], " "))
	}
	format := set["--qf"] + set["--queryformat"]
	show := func(x *pkg) {
		if format == "" {
			p.println(nevra(x))
			return
		}
		epoch, version := cutEpoch(x.version)
		upstream, release := cutRevision(version)
		text := strings.NewReplacer(`\n`, "\n", `\t`, "\t", "%{NAME}", x.name, "%{EPOCHNUM}", epoch, "%{EPOCH}", epoch, "%{VERSION}", upstream,
			"%{RELEASE}", release, "%{ARCH}", "x86_64").Replace(format)
		p.print(text)
	}
	status := 0
	if isSet(set, "-a", "--all") {
		if len(args) == 0 {
			args = []string{"*"}
		}
		for _, name := range m.packageNames() {
			if slices.ContainsFunc(args, func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }) {
				show(m.have(name))
			}
		}
		return 0
	}
	for _, word := range args {
		found := false
		for _, name := range m.packageNames() {
			x := m.have(name)
			_, version := cutEpoch(x.version)
			upstream, _ := cutRevision(version)
			named := word == name || word == name+"-"+upstream || word == name+"-"+version || word == nevra(x) || isSet(set, "--whatprovides") && x.satisfies(relation{name: word})
			if named {
				found = true
				show(x)
			}
		}
		if !found {
			status++
			if isSet(set, "--whatprovides") {
				p.printf("no package provides %s\n", word)
			} else {
				p.printf("package %s is not installed\n", word)
			}
		}
	}
	return status
}
