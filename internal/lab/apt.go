package lab

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// pace is how long a package takes to be unpacked, and again to be set up.
const pace = 6 * time.Millisecond

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

// An aptRun is one call of apt-get.
type aptRun struct {
	*process
	set      map[string]string
	simulate bool
	view     *aptView
}

func (a *aptRun) has(names ...string) bool { return isSet(a.set, names...) }

// option is one of -o's; "" if it is not given.
func (a *aptRun) option(name string) string {
	for line := range strings.SplitSeq(a.set["-o"]+"\n"+a.set["--option"], "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

func (a *aptRun) error(format string, args ...any) int {
	fmt.Fprintf(a.stderr, "E: "+format+"\n", args...)
	return 100
}

func aptGet(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-y -q -qq -d -f -s -m -V -u --yes --assume-yes --quiet --no-install-recommends --install-recommends --fix-broken --fix-missing --download-only --allow-downgrades --allow-change-held-packages --reinstall --purge --simulate --dry-run --print-uris --no-remove --only-upgrade --error-on=any --no-download",
		"-o -t -c --option --target-release --error-on")
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case len(args) == 0 && !isSet(set, "-f", "--fix-broken"):
		return p.lacks("without a command")
	case len(args) == 0:
		args = []string{"install"}
	}
	a := &aptRun{process: p, set: set, simulate: isSet(set, "-s", "--simulate", "--dry-run")}
	verb, names := args[0], args[1:]
	if p.cred.uid != 0 && !a.simulate {
		fmt.Fprintln(p.stderr, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)")
		return a.error("Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?")
	}
	switch verb {
	case "update":
		return a.update()
	case "install":
		return a.install(names)
	case "remove", "purge":
		for i := range names {
			names[i] += "-"
		}
		return a.install(names)
	case "download":
		return a.download(names)
	case "clean", "autoclean", "autoremove", "check":
		return 0
	}
	p.machine.miss("apt-get " + verb)
	return a.error("Invalid operation %s", verb)
}

// locked takes a lock, waiting as it is told to.
func (a *aptRun) locked(file, what string) (unlock func()) {
	limit := time.Duration(atoi(a.option("DPkg::Lock::Timeout"))) * time.Second
	end, told := time.Now().Add(limit), false
	for {
		unlock, holder := a.dpkgLock(file)
		if unlock != nil {
			return unlock
		}
		name := "unknown"
		if h := a.machine.process(holder); h != nil {
			name = path.Base(h.args[0])
		}
		if time.Now().After(end) || limit == 0 {
			a.error("Could not get lock %s. It is held by process %d (%s)", file, holder, name)
			fmt.Fprintln(a.stderr, "N: Be aware that removing the lock file is not a solution and may break your system.")
			a.error("Unable to %s (%s), is another process using it?", what, file)
			return nil
		}
		if !told {
			a.printf("Waiting for cache lock: Could not get lock %s. It is held by process %d (%s)...\n", file, holder, name)
			told = true
		}
		if !a.slow(20 * time.Millisecond) {
			return nil
		}
	}
}

// update fetches the lists of what the sources name.
func (a *aptRun) update() int {
	m := a.machine
	unlock := a.locked("/var/lib/apt/lists/lock", "lock directory /var/lib/apt/lists/")
	if unlock == nil {
		return 100
	}
	defer unlock()
	why, reaches := m.aptReaches()
	status := 0
	var failed []string
	for i, s := range m.aptSources() {
		found, missing := s.of(m.spec.distro.repositories)
		host, _, _ := strings.Cut(address(s.uri), "/")
		trouble := why
		if reaches && m.resolve(host) == "" {
			trouble = fmt.Sprintf("Could not resolve '%s'", host)
		}
		switch {
		case trouble != "":
			a.printf("Err:%d %s %s InRelease\n  %s\n", i+1, s.uri, s.suite, trouble)
			failed = append(failed, fmt.Sprintf("W: Failed to fetch %s/dists/%s/InRelease  %s", strings.TrimRight(s.uri, "/"), s.suite, trouble))
		case missing:
			a.printf("Err:%d %s %s Release\n  404  Not Found\n", i+1, s.uri, s.suite)
			failed = append(failed, fmt.Sprintf("E: The repository '%s %s Release' does not have a Release file.", s.uri, s.suite))
			status = 100
		default:
			a.printf("Get:%d %s %s InRelease [151 kB]\n", i+1, s.uri, s.suite)
			for _, r := range found {
				m.must(m.WriteFile(r.list(), "Packages of "+r.uri+"\n", 0o644))
			}
			if !a.slow(pace) {
				return 100
			}
		}
	}
	a.print("Reading package lists...\n")
	for _, line := range failed {
		fmt.Fprintln(a.stderr, line)
	}
	if len(failed) > 0 && status == 0 {
		fmt.Fprintln(a.stderr, "W: Some index files failed to download. They have been ignored, or old ones used instead.")
	}
	return status
}

// install installs, and removes what ends in a dash.
func (a *aptRun) install(names []string) int {
	m := a.machine
	if !a.simulate {
		unlock := a.locked("/var/lib/dpkg/lock-frontend", "acquire the dpkg frontend lock")
		if unlock == nil {
			return 100
		}
		defer unlock()
	}
	if _, err := m.fs.stat(root, interrupted, true); err == nil && !a.simulate {
		return a.error("dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ")
	}
	a.print("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	target := a.set["-t"] + a.set["--target-release"]
	a.view = m.aptView(target, a.option("Dir::Etc::PreferencesParts"))
	if target != "" && !slices.ContainsFunc(a.view.known, func(r *repository) bool { return r.suite == target || r.release["a"] == target }) {
		return a.error("The value '%s' is invalid for APT::Default-Release as such a release is not available in the sources", target)
	}
	var want []*pkg
	var gone []string
	for _, word := range names {
		if name, ok := strings.CutSuffix(word, "-"); ok {
			if m.installed(name) == "" {
				a.printf("Package '%s' is not installed, so not removed\n", name)
			}
			gone = append(gone, name)
			continue
		}
		p, status := a.wanted(word)
		if status != 0 {
			return status
		}
		if p != nil {
			want = append(want, p)
		}
	}
	held := map[string]bool{}
	for _, name := range m.packageNames() {
		held[name] = m.isHeld(name)
	}
	s := &solver{installed: m.allInstalled(), candidate: a.view.candidate, providers: a.view.providers,
		keep: func(name string) bool { return held[name] && !a.has("--allow-change-held-packages") }}
	s.solve(want, gone)
	if more := a.siblings(s, held); len(more) > 0 && len(s.unmet) == 0 {
		s.order = nil
		s.solve(append(want, more...), gone)
	}
	if len(s.unmet) > 0 {
		a.print("Some packages could not be installed. This may mean that you have\nrequested an impossible situation or if you are using the unstable\ndistribution that some required packages have not yet been created\nor been moved out of Incoming.\nThe following information may help to resolve the situation:\n\nThe following packages have unmet dependencies:\n")
		for _, line := range s.unmet {
			a.println(line)
		}
		return a.error("Unable to correct problems, you have held broken packages.")
	}
	return a.carryOut(s, names, held)
}

// siblings are the installed packages of one source with those that the plan
// upgrades: apt takes them along (APT::Get::Upgrade-By-Source-Package).
func (a *aptRun) siblings(s *solver, held map[string]bool) []*pkg {
	var more []*pkg
	for _, x := range s.changes() {
		have := s.installed[x.name]
		if have == nil || compareVersions(x.version, have.version) < 0 {
			continue
		}
		for name, other := range s.installed {
			if c := a.view.candidate(name); other.version == have.version && !s.removed[name] && !held[name] && c != nil && c.version == x.version {
				more = append(more, c)
			}
		}
	}
	slices.SortFunc(more, func(x, y *pkg) int { return strings.Compare(x.name, y.name) })
	return slices.Compact(more)
}

// wanted is the package that a word of the command line means; nil: it is
// there already.
func (a *aptRun) wanted(word string) (*pkg, int) {
	name, version, exact := strings.Cut(word, "=")
	name, suite, _ := strings.Cut(name, "/")
	offers := a.view.offers(name)
	have := a.machine.have(name)
	if len(offers) == 0 {
		if p := a.view.providers(name); len(p) == 1 {
			a.printf("Note, selecting '%s' instead of '%s'\n", p[0].name, name)
			return p[0], 0
		}
		return nil, a.error("Unable to locate package %s", name)
	}
	for _, o := range offers {
		fits := exact && o.version == version || suite != "" && slices.ContainsFunc(o.from, func(r *repository) bool { return r.suite == suite })
		if fits {
			if have != nil && have.version == o.version {
				a.printf("%s is already the newest version (%s).\n", name, have.version)
				return nil, 0
			}
			return o.pkg, 0
		}
	}
	switch {
	case exact:
		return nil, a.error("Version '%s' for '%s' was not found", version, name)
	case suite != "":
		return nil, a.error("Release '%s' for '%s' was not found", suite, name)
	}
	p := a.view.candidate(name)
	switch {
	case p == nil:
		a.printf("Package %s is not available, but is referred to by another package.\nThis may mean that the package is missing, has been obsoleted, or\nis only available from another source\n\n", name)
		return nil, a.error("Package '%s' has no installation candidate", name)
	case have != nil && have.version == p.version:
		a.printf("%s is already the newest version (%s).\n", name, have.version)
		return nil, 0
	}
	return p, 0
}

func (a *aptRun) list(head string, names []string) {
	if len(names) == 0 {
		return
	}
	sort.Strings(names)
	a.println(head)
	line := " "
	for _, name := range names {
		if len(line)+len(name) > 77 {
			a.println(line)
			line = " "
		}
		line += " " + name
	}
	a.println(line)
}

// carryOut says what will be done, and does it.
func (a *aptRun) carryOut(s *solver, names []string, held map[string]bool) int {
	changes, gone := s.changes(), s.gone()
	var extra, fresh, upgraded, downgraded, kept []string
	for _, p := range changes {
		named := slices.ContainsFunc(names, func(n string) bool { return strings.Split(strings.Split(n, "=")[0], "/")[0] == p.name })
		have := s.installed[p.name]
		switch {
		case have == nil:
			fresh = append(fresh, p.name)
		case compareVersions(p.version, have.version) < 0:
			downgraded = append(downgraded, p.name)
		default:
			upgraded = append(upgraded, p.name)
		}
		if !named {
			extra = append(extra, p.name)
		}
		if held[p.name] {
			kept = append(kept, p.name)
		}
	}
	for _, name := range gone {
		if held[name] {
			kept = append(kept, name)
		}
	}
	a.list("The following additional packages will be installed:", extra)
	a.list("The following packages will be REMOVED:", slices.Clone(gone))
	a.list("The following NEW packages will be installed:", fresh)
	a.list("The following held packages will be changed:", kept)
	a.list("The following packages will be upgraded:", upgraded)
	a.list("The following packages will be DOWNGRADED:", downgraded)
	count := fmt.Sprintf("%d upgraded, %d newly installed, ", len(upgraded), len(fresh))
	if len(downgraded) > 0 {
		count += fmt.Sprintf("%d downgraded, ", len(downgraded))
	}
	a.printf("%s%d to remove and 0 not upgraded.\n", count, len(gone))
	yes := a.has("-y", "--yes", "--assume-yes")
	switch {
	case len(kept) > 0 && yes && !a.has("--allow-change-held-packages"):
		return a.error("Held packages were changed and -y was used without --allow-change-held-packages.")
	case len(downgraded) > 0 && yes && !a.has("--allow-downgrades"):
		return a.error("Packages were downgraded and -y was used without --allow-downgrades.")
	case len(gone) > 0 && a.has("--no-remove"):
		return a.error("Packages need to be removed but remove is disabled.")
	case len(changes)+len(gone) == 0:
		return 0
	case a.simulate:
		a.showSimulation(s, changes, gone)
		return 0
	}
	if len(changes) > 0 {
		if status := a.fetch(changes); status != 0 {
			return status
		}
	}
	if a.has("-d", "--download-only") {
		a.print("Download complete and in download only mode\n")
		return 0
	}
	return a.unpack(s, changes, gone)
}

func (a *aptRun) showSimulation(s *solver, changes []*pkg, gone []string) {
	for _, name := range gone {
		a.printf("Remv %s [%s]\n", name, s.installed[name].version)
	}
	from := func(p *pkg) string {
		if p.repo == nil {
			return p.version
		}
		return p.version + " " + p.repo.label
	}
	for _, p := range changes {
		old := ""
		if have := s.installed[p.name]; have != nil {
			old = " [" + have.version + "]"
		}
		a.printf("Inst %s%s (%s [amd64])\n", p.name, old, from(p))
	}
	for _, p := range changes {
		a.printf("Conf %s (%s [amd64])\n", p.name, from(p))
	}
}

// fetch downloads what is not in the cache yet.
func (a *aptRun) fetch(changes []*pkg) int {
	m := a.machine
	unlock := a.locked("/var/cache/apt/archives/lock", "lock directory /var/cache/apt/archives/")
	if unlock == nil {
		return 100
	}
	defer unlock()
	why, ok := m.aptReaches()
	n := 0
	for _, p := range changes {
		file := "/var/cache/apt/archives/" + p.name + "_" + strings.ReplaceAll(p.version, ":", "%3a") + "_amd64.deb"
		if _, err := m.fs.stat(root, file, true); err == nil || p.repo == nil {
			continue
		}
		n++
		if !ok {
			a.error("Failed to fetch http://%s/pool/%s_%s_amd64.deb  %s", p.repo.uri, p.name, p.version, why)
			continue
		}
		a.printf("Get:%d http://%s %s/%s amd64 %s amd64 %s\n", n, p.repo.uri, p.repo.suite, p.repo.component, p.name, p.version)
		if !a.slow(pace) {
			return 100
		}
		m.must(m.WriteFile(file, "!<arch>\n", 0o644))
	}
	if !ok && n > 0 {
		return a.error("Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
	}
	if n > 0 {
		a.printf("Fetched %d packages in 1s\n", n)
	}
	return 0
}

// download puts packages into the folder where the program runs.
func (a *aptRun) download(words []string) int {
	view := a.machine.aptView("", "")
	for _, word := range words {
		name, version, _ := strings.Cut(word, "=")
		offers := view.offers(name)
		i := slices.IndexFunc(offers, func(o offer) bool { return version == "" || o.version == version })
		switch {
		case len(offers) == 0:
			return a.error("Unable to locate package %s", name)
		case i < 0:
			return a.error("Version '%s' for '%s' was not found", version, name)
		case len(offers[i].from) == 0:
			return a.error("Can't find a source to download version '%s' of '%s:amd64'", offers[i].version, name)
		}
		r := offers[i].from[0]
		if why, ok := a.machine.aptReaches(); !ok {
			return a.error("Failed to fetch http://%s/pool/%s_%s_amd64.deb  %s", r.uri, name, offers[i].version, why)
		}
		a.printf("Get:1 http://%s %s/%s amd64 %s amd64 %s\n", r.uri, r.suite, r.component, name, offers[i].version)
		if !a.slow(pace) {
			return 100
		}
		if err := a.writeFile(name+"_"+strings.ReplaceAll(offers[i].version, ":", "%3a")+"_amd64.deb", []byte("!<arch>\n"), 0o644); err != nil {
			return a.error("%s", strerror(err))
		}
	}
	return 0
}

// unpack is dpkg's part. Cut off in the middle it leaves what dpkg
// --configure -a finishes.
func (a *aptRun) unpack(s *solver, changes []*pkg, gone []string) int {
	m := a.machine
	unlock, holder := a.dpkgLock("/var/lib/dpkg/lock")
	if unlock == nil {
		return a.error("Could not get lock /var/lib/dpkg/lock. It is held by process %d", holder)
	}
	defer unlock()
	m.must(m.WriteFile(interrupted, "", 0o600))
	for _, name := range gone {
		a.printf("Removing %s (%s) ...\n", name, m.installed(name))
		if !a.slow(pace) {
			return 100
		}
		m.uninstall(name)
	}
	for _, p := range changes {
		old := m.have(p.name)
		file := p.name + "_" + strings.ReplaceAll(p.version, ":", "%3a") + "_amd64.deb"
		if old == nil {
			a.printf("Selecting previously unselected package %s.\nPreparing to unpack .../%s ...\nUnpacking %s (%s) ...\n", p.name, file, p.name, p.version)
		} else {
			a.printf("Preparing to unpack .../%s ...\n", file)
			if old.dkms != "" {
				a.printf("Deleting module %s-%s completely from the DKMS tree.\n", old.dkms, driverVersion(old.version))
			}
			a.printf("Unpacking %s (%s) over (%s) ...\n", p.name, p.version, old.version)
		}
		if !a.slow(pace) {
			return 100
		}
		if old != nil {
			m.takeFiles(old, p)
		}
		m.putFiles(p)
		m.mu.Lock()
		m.packages[p.name], m.halfway[p.name] = p, true
		m.mu.Unlock()
	}
	for _, p := range changes {
		if !a.setUp(p) {
			return 100
		}
	}
	m.afterInstall(a.process, changes)
	if a.ctx.Err() != nil {
		return 100
	}
	_ = m.Remove(interrupted)
	return 0
}
