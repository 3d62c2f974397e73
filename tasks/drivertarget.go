package tasks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A driverTarget is what is to be installed.
type driverTarget struct {
	packaging
	open    bool
	branch  int
	version string // NVIDIA's; empty: the repository is still to be set up, and what it has is not known
	from    string // "bookworm/non-free"
	release string // another release of the distribution than the host's own, that it comes from
	module  string // dnf's stream
	runfile bool   // NVIDIA's own installer instead of packages

	names  []string // as the manager takes them, with versions
	bare   []string // the same without
	remove []string
	// optional are those that are left out where the repositories turn out not
	// to have them: a site's own may pack them otherwise.
	optional []string
}

// describe is the target in a few words: "535.261.03 from bookworm/non-free".
func (t *driverTarget) describe() string {
	switch {
	case t.runfile:
		return t.version + " by NVIDIA's installer"
	case t.version == "":
		return "the newest of it in " + t.title
	}
	return t.version + " from " + t.from
}

// A candidate is one version that a repository offers.
type candidate struct {
	row     packaging
	open    bool
	branch  int
	version string
	offer   driverOffer
	release string
}

// choose finds what to install; without a target it says why there is none,
// and what to do.
func (p *driverPlan) choose(prefer string) (t *driverTarget, why, hint string) {
	rows := packagingsOf(p.f, p.w.Source)
	if len(rows) == 0 {
		return nil, fmt.Sprintf("no packages of the driver are known for %s from source %q", p.f.Name, p.w.Source), p.otherSource()
	}
	if why, hint := p.sourcesMissing(); why != "" {
		if hint != "" {
			return nil, why, hint
		}
		return p.unresolved(rows)
	}
	if len(p.f.Offers) == 0 {
		return p.unresolved(rows) // the lists were never fetched
	}
	all := p.candidates(rows)
	possible := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool {
		return !p.w.within(c.version) || !slices.Contains(p.w.flavors(p.need, c.branch), c.open) || !p.modulesOffered(c)
	})
	if len(possible) == 0 {
		return nil, p.lacking(rows[0], all), p.lackingHint(all)
	}
	possible = p.likeInstalled(p.flavored(possible))
	if prefer != "" {
		if same := slices.DeleteFunc(slices.Clone(possible), func(c candidate) bool { return c.version != prefer }); len(same) > 0 {
			possible = same
		}
	}
	best := slices.MaxFunc(possible, func(a, b candidate) int {
		// What the host's own release has comes before all that others have:
		// those bring their C library along.
		if (a.release == "") != (b.release == "") {
			if a.release == "" {
				return 1
			}
			return -1
		}
		if c := compareVersions(a.version, b.version); c != 0 {
			return c
		}
		return slices.IndexFunc(rows, func(r packaging) bool { return r.title == b.row.title }) -
			slices.IndexFunc(rows, func(r packaging) bool { return r.title == a.row.title })
	})
	t = &driverTarget{packaging: best.row, open: best.open, branch: best.branch, version: best.version, from: best.offer.From, release: best.release}
	why, hint = p.name(t, best)
	if why != "" {
		return nil, why, hint
	}
	return t, "", ""
}

// candidates are all versions that the host's repositories have of the wished
// source, whether they fit or not.
func (p *driverPlan) candidates(rows []packaging) []candidate {
	var all []candidate
	for _, row := range rows {
		for _, open := range []bool{true, false} {
			for _, pattern := range row.set(open).key {
				for _, o := range p.f.Offers {
					named, ok := matches(pattern, o.Name)
					v := driverVersion(o.Version)
					// A package named for one branch with the version of another
					// is a transition to that one.
					if !ok || v == "" || branchOf(v) == 0 || named != 0 && named != branchOf(v) || !p.ofSource(o) {
						continue
					}
					all = append(all, candidate{row, open, branchOf(v), v, o, p.otherRelease(o.From)})
				}
			}
		}
	}
	return all
}

// ofSource reports whether an offer comes from the wished source. Debian's and
// NVIDIA's packages have the same names; those of rpm's world do not meet.
func (p *driverPlan) ofSource(o driverOffer) bool {
	if p.f.Manager != "apt" {
		return true
	}
	return p.isNVIDIAs(o.From) == (p.w.Source == "cuda-repo")
}

// isNVIDIAs reports whether an offer comes from NVIDIA's repository, or from
// the mirror of it that is wished. Like those of a site's own, it is flat: its
// offers are named by its address instead of by suite and component.
func (p *driverPlan) isNVIDIAs(from string) bool {
	return strings.Contains(from, "/compute/cuda/repos/") || from == p.f.Sources.CUDA && from != "" ||
		p.w.Repository != "" && p.w.Source == "cuda-repo" && from == shortAddress(p.w.Repository)
}

// codenames are of the releases whose os-release does not say them.
var codenames = map[string]string{
	"ubuntu 18.04": "bionic", "ubuntu 20.04": "focal", "ubuntu 22.04": "jammy", "ubuntu 24.04": "noble", "ubuntu 26.04": "resolute",
	"debian 10": "buster", "debian 11": "bullseye", "debian 12": "bookworm", "debian 13": "trixie",
}

// otherRelease is the release that an offer of apt's comes from where it is not
// the host's own, or one of its backports: what apt takes only with -t.
func (p *driverPlan) otherRelease(from string) string {
	own := codenames[p.f.ID+" "+p.f.System.Version]
	suite, component, ok := strings.Cut(from, "/")
	if p.f.Manager != "apt" || own == "" || !ok || component == "" || strings.Contains(from, "://") {
		return ""
	}
	switch suite {
	case own, own + "-updates", own + "-security", own + "-proposed-updates", own + "-proposed", "stable", "oldstable":
		return ""
	}
	if !suiteName.MatchString(suite) {
		return ""
	}
	return suite
}

var suiteName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// modulesOffered: built modules are no use where one of the kernels has none.
func (p *driverPlan) modulesOffered(c candidate) bool {
	for _, pattern := range c.row.set(c.open).kernel {
		for _, k := range p.f.Kernels {
			if name := fill(pattern, c.branch, k.Release); !p.offered(name) && !p.installed(name) {
				return false
			}
		}
	}
	return true
}

func (p *driverPlan) offered(name string) bool {
	return slices.ContainsFunc(p.f.Offers, func(o driverOffer) bool { return o.Name == name || ofKernel(name, o.Name, o.Version) })
}

func (p *driverPlan) installed(name string) bool {
	return slices.ContainsFunc(p.f.Packages, func(i driverPackage) bool {
		return !i.Broken && (i.Name == name || ofKernel(name, i.Name, i.Version))
	})
}

// ofKernel reports whether a package of rpm's is what a manager takes the name
// with a kernel's release for: kernel-devel 5.14.0-427.13.1.el9_4 is
// kernel-devel-5.14.0-427.13.1.el9_4.x86_64.
func ofKernel(name, pkg, v string) bool {
	rest, ok := strings.CutPrefix(name, pkg+"-")
	_, bare, epoch := strings.Cut(v, ":")
	if !epoch {
		bare = v
	}
	return ok && bare != "" && strings.HasPrefix(pkg, "kernel") && (rest == bare || strings.HasPrefix(rest, bare+"."))
}

// likeInstalled keeps a host with the kind of packages that it has: DKMS and
// built modules are not mixed. Only where Secure Boot lets none but signed ones
// in, those come first.
func (p *driverPlan) likeInstalled(all []candidate) []candidate {
	keep := func(keep func(candidate) bool) []candidate {
		return slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !keep(c) })
	}
	if p.f.SecureBoot == "on" && !p.keyEnrolled() {
		if signed := keep(func(c candidate) bool { return c.row.set(c.open).signed }); len(signed) > 0 {
			return signed
		}
	}
	if p.has.dkms || p.has.prebuilt {
		if same := keep(func(c candidate) bool { return (c.row.headers == nil) == p.has.prebuilt }); len(same) > 0 {
			return same
		}
	}
	return all
}

// flavored keeps the kind of module that is to be preferred for each version:
// the one that the host has, for it works there; else the packager's choice.
func (p *driverPlan) flavored(all []candidate) []candidate {
	better := func(c candidate) bool {
		if open, known := p.hasOpen(); known {
			return c.open == open
		}
		return c.open == (c.row.openFirst && c.branch >= firstOpen || p.w.flavors(p.need, c.branch)[0])
	}
	return slices.DeleteFunc(slices.Clone(all), func(c candidate) bool {
		return !better(c) && slices.ContainsFunc(all, func(o candidate) bool { return o.version == c.version && o.release == c.release && better(o) })
	})
}

// lacking says what there is instead of what was wished.
func (p *driverPlan) lacking(row packaging, all []candidate) string {
	var has []string
	for _, c := range all {
		text := c.version
		if c.open {
			text += " (open)"
		}
		if !slices.Contains(has, text) {
			has = append(has, text)
		}
	}
	slices.SortFunc(has, func(a, b string) int {
		return compareVersions(strings.TrimSuffix(a, " (open)"), strings.TrimSuffix(b, " (open)"))
	})
	if has == nil {
		return fmt.Sprintf("%s has no driver for this host", row.title)
	}
	if most := 6; len(has) > most {
		has = append([]string{"…"}, has[len(has)-most:]...)
	}
	return fmt.Sprintf("%s has %s", row.title, strings.Join(has, ", "))
}

func (p *driverPlan) lackingHint(all []candidate) string {
	for _, c := range all {
		if p.w.within(c.version) && !slices.Contains(p.w.flavors(p.need, c.branch), c.open) {
			return fmt.Sprintf("of these, none in the range has %s modules: wish another flavor, or another version", map[bool]string{true: "proprietary", false: "open"}[c.open])
		}
	}
	return "wish another version, or " + strings.TrimPrefix(p.otherSource(), "wish ")
}

func (p *driverPlan) otherSource() string {
	if p.w.Source == "distro" {
		return `wish source = "cuda-repo", which has all branches`
	}
	return `wish source = "runfile"`
}

// unresolved is a target whose version is not known before the lists have been
// fetched: the steps themselves see to it that it is in the range.
func (p *driverPlan) unresolved(rows []packaging) (t *driverTarget, why, hint string) {
	row := rows[len(rows)-1] // needs no offers to be named
	branch := p.w.branch()
	open := p.w.Source == "cuda-repo" && !p.need.proprietary || p.need.open
	if p.w.Flavor != "auto" {
		open = p.w.Flavor == "open"
	} else if has, known := p.hasOpen(); known && p.need.open == p.need.proprietary {
		open = has
	} else if branch != 0 {
		may := p.w.flavors(p.need, branch)
		open = len(may) > 0 && may[0] || row.openFirst && branch >= firstOpen && slices.Contains(may, true)
	}
	set := row.set(open)
	t = &driverTarget{packaging: row, open: open, branch: branch}
	if branch == 0 && strings.Contains(set.key[0], "{B}") && !(len(set.key) > 1 && !strings.Contains(set.key[1], "{B}")) || row.stream && branch == 0 {
		return nil, "the packages are named for their branch, and " + p.w.text() + " names none",
			`wish one branch, as in version = ">= 550, < 551", or fetch the host's package lists first`
	}
	key := set.key[0]
	if branch == 0 && len(set.key) > 1 {
		key = set.key[1]
	}
	t.add(p.oneOf(fill(key, branch, "")), "")
	for _, name := range append(slices.Clone(set.same), set.loose...) {
		name = p.oneOf(fill(name, branch, ""))
		t.add(name, "")
		t.optional = append(t.optional, name)
	}
	if p.f.NVSwitches > 0 && len(row.fabric) > 0 {
		t.add(fill(row.fabric[0], branch, ""), "")
	}
	if row.stream {
		t.module = p.stream(t)
	}
	t.remove = p.leftovers(t)
	return t, "", ""
}

// branch is the one branch that the range allows; 0: it allows several.
func (w driverWish) branch() int {
	for _, number := range versionNumber.FindAllString(w.Constraint, -1) {
		if b := branchOf(number); w.reaches(b, b) && !w.reaches(0, b-1) && !w.reaches(b+1, newestBranch) {
			return b
		}
	}
	return 0
}

func (t *driverTarget) add(name, exact string) {
	if slices.Contains(t.bare, name) {
		return
	}
	t.bare = append(t.bare, name)
	t.names = append(t.names, name+exact)
}

// name fills in which packages a target is.
func (p *driverPlan) name(t *driverTarget, c candidate) (why, hint string) {
	set := c.row.set(c.open)
	exact := func(o driverOffer) string {
		switch p.f.Manager {
		case "dnf", "yum":
			return "-" + driverVersion(o.Version)
		}
		return "=" + o.Version
	}
	t.add(c.offer.Name, exact(c.offer))
	for _, pattern := range set.same {
		name := p.oneOf(fill(pattern, c.branch, ""))
		if o, ok := p.offerOf(name, c); ok {
			t.add(name, exact(o))
		} else if p.offered(name) || p.installed(name) {
			t.add(name, "") // the pin, or what depends on it, says which
		} // else a site's own repository has it in another package
	}
	for _, pattern := range set.kernel {
		for _, k := range p.f.Kernels {
			t.add(fill(pattern, c.branch, k.Release), "")
		}
	}
	for _, pattern := range set.loose {
		name := fill(pattern, c.branch, "")
		if p.installed(name) || !p.offered(name) {
			continue // one of another version does, and may not come from another release
		}
		i := slices.IndexFunc(p.f.Offers, func(o driverOffer) bool { return o.Name == name && o.Best })
		if o, ok := p.offerOf(name, c); ok && c.release == "" {
			t.add(name, exact(o))
		} else if i >= 0 && c.release != "" {
			t.add(name, exact(p.f.Offers[i]))
		} else {
			t.add(name, "")
		}
	}
	if p.f.NVSwitches > 0 {
		name, o, ok := p.fabricOf(c)
		if !ok {
			return fmt.Sprintf("NVSwitch needs the fabric manager of the very same version, and %s has none of %s", c.row.title, c.version), p.otherSource()
		}
		t.add(name, exact(o))
	}
	if c.row.stream {
		t.module = p.stream(t)
	}
	t.remove = p.leftovers(t)
	return "", ""
}

// oneOf is of several names, with | between them, the first that is offered.
func (p *driverPlan) oneOf(names string) string {
	first, _, _ := strings.Cut(names, "|")
	for name := range strings.SplitSeq(names, "|") {
		if p.offered(name) {
			return name
		}
	}
	return first
}

// offerOf is the offer of a package that has the driver's version; of the same
// repository where there are several.
func (p *driverPlan) offerOf(name string, c candidate) (driverOffer, bool) {
	var found driverOffer
	ok := false
	for _, o := range p.f.Offers {
		if o.Name != name || driverVersion(o.Version) != c.version || !p.ofSource(o) {
			continue
		}
		if !ok || o.From == c.offer.From {
			found, ok = o, true
		}
	}
	return found, ok
}

func (p *driverPlan) fabricOf(c candidate) (string, driverOffer, bool) {
	for _, pattern := range c.row.fabric {
		name := fill(pattern, c.branch, "")
		for _, o := range p.f.Offers {
			if o.Name == name && driverVersion(o.Version) == c.version {
				return name, o, true
			}
		}
	}
	return "", driverOffer{}, false
}

// stream is dnf's name for the branch and flavour.
func (p *driverPlan) stream(t *driverTarget) string {
	want, latest := fmt.Sprintf("%d-dkms", t.branch), "latest-dkms"
	if t.open {
		want, latest = fmt.Sprintf("%d-open", t.branch), "open-dkms"
	}
	has := func(name string) bool {
		return slices.ContainsFunc(p.f.Sources.Streams, func(s string) bool { return strings.TrimSuffix(s, "[e]") == name })
	}
	if !has(want) && has(latest) {
		return latest
	}
	return want
}

// brings reports whether a package with modules is one that the target, which
// is named by a metapackage, depends on.
func (t *driverTarget) brings(name string) bool {
	return slices.ContainsFunc(t.set(t.open).brings, func(pattern string) bool {
		branch, ok := matches(pattern, name)
		return ok && (branch == 0 || t.branch == 0 || branch == t.branch)
	})
}

// leftovers are the packages that must go in the same transaction: those of
// another branch or flavour, which would otherwise stay beside the new ones.
func (p *driverPlan) leftovers(t *driverTarget) []string {
	var gone []string
	named := strings.Contains(strings.Join(t.set(t.open).key, " "), "{B}")
	for _, i := range p.f.Packages {
		if slices.Contains(t.bare, i.Name) {
			gone = append(gone, p.besides(t, i)...)
			continue
		}
		m := branchNamed.FindStringSubmatch(i.Name)
		switch {
		case t.metapackage() && t.brings(i.Name):
			continue
		case t.metapackage() && slices.ContainsFunc(t.set(!t.open).key, func(key string) bool { _, ok := matches(key, i.Name); return ok }):
		case kernelPackage.MatchString(i.Name):
		case fabricPackage.MatchString(i.Name): // of two branches, the files are the same
		case prebuilt.MatchString(i.Name) && t.headers != nil:
		case m != nil && named && t.branch != 0 && m[2] != fmt.Sprint(t.branch):
		case m != nil && named && prebuilt.MatchString(i.Name) && strings.Contains(i.Name, "-open") != t.open:
		default:
			continue
		}
		gone = append(gone, i.Name)
	}
	return gone
}

// besides is a package of SUSE's with modules that would stay beside the same
// one of another version (multiversion(kernel)), although the files are the same.
func (p *driverPlan) besides(t *driverTarget, installed driverPackage) []string {
	name, exact := installed.Name, installed.Name+"="+installed.Version
	if p.f.Manager != "zypper" || !kernelPackage.MatchString(name) || slices.Contains(t.names, name) || slices.Contains(t.names, exact) {
		return nil
	}
	return []string{exact}
}
