package tasks

import "strings"

// This file is about versions that are older or newer than what is installed.

// prefer is the version that the host keeps where it can: of those that its
// packages have, the newest in the range, for an upgrade that was interrupted
// is finished and not undone.
func (p *driverPlan) prefer() string {
	best := ""
	for _, v := range []string{p.has.version, p.has.kernel, p.has.user} {
		if v != "" && p.w.within(v) && (best == "" || compareVersions(v, best) > 0) {
			best = v
		}
	}
	return best
}

// newer are the installed packages of the driver that are newer than what is to
// be installed.
func (p *driverPlan) newer() []string {
	var names []string
	for _, i := range p.f.Packages {
		v := driverVersion(i.Version)
		if !driverPart(i.Name) || !isDriverVersion(v) {
			continue
		}
		if p.to.version != "" && compareVersions(v, p.to.version) > 0 || p.to.version == "" && p.to.branch != 0 && branchOf(v) > p.to.branch {
			names = append(names, i.Name)
		}
	}
	return names
}

// driverPart reports whether a package is one of those that all have the
// driver's version.
func driverPart(name string) bool {
	switch {
	case ownVersion.MatchString(name):
		return false
	case strings.HasPrefix(name, "linux-"): // the kernel's
		return false
	}
	return strings.Contains(name, "nvidia") || strings.HasPrefix(name, "libcuda") || strings.HasPrefix(name, "cuda-drivers") || strings.HasPrefix(name, "libnv")
}

// downgrades reports whether an older driver takes a newer one's place.
func (p *driverPlan) downgrades() bool {
	was := p.has.version
	if was == "" {
		return false
	}
	if p.to.version == "" {
		return p.to.branch != 0 && branchOf(was) > p.to.branch
	}
	return compareVersions(was, p.to.version) > 0
}
