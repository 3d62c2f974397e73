package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
)

// An installedDriver is what the package manager and the file system have.
type installedDriver struct {
	version  string // of the user space, or else of the packages; empty: none
	kernel   string // of the package with the module's source; empty: none, or the modules come built
	user     string // of the packages of the user space
	dkms     bool   // DKMS builds the modules
	prebuilt bool   // they come built
	broken   []string
	names    []driverPackage // the packages that tell
}

func installedOf(f *driverFacts) installedDriver {
	var has installedDriver
	for _, i := range f.Packages {
		v := driverVersion(i.Version)
		switch {
		case kernelPackage.MatchString(i.Name):
			has.kernel = v
			if strings.Contains(i.Name, "-kmp-") {
				has.prebuilt = true
			} else {
				has.dkms = true
			}
		case userPackage.MatchString(i.Name):
			has.user = v
		case prebuilt.MatchString(i.Name):
			has.prebuilt = true
		default:
			if i.Broken && (strings.Contains(i.Name, "nvidia") || strings.HasPrefix(i.Name, "libcuda")) {
				has.broken = append(has.broken, i.Name)
			}
			continue
		}
		has.names = append(has.names, i)
		if i.Broken {
			has.broken = append(has.broken, i.Name)
		}
	}
	has.version = f.UserSpace
	if has.version == "" {
		has.version = has.user
	}
	if has.version == "" {
		has.version = has.kernel
	}
	return has
}

// describe is the driver in a few words.
func (has installedDriver) describe(f *driverFacts) string {
	if has.version == "" {
		if f.Loaded.Version != "" {
			return f.Loaded.Version + " loaded, and none installed"
		}
		return "none"
	}
	text := has.version
	if f.Runfile != "" {
		text += " by NVIDIA's installer"
	}
	switch {
	case len(f.GPUs) == 0 && f.Loaded.Version == "":
	case f.Loaded.Version == "":
		text += ", not loaded"
	case f.Loaded.Version != has.version:
		text += ", and " + f.Loaded.Version + " loaded"
	}
	return text
}

// list are the packages that tell, with their versions.
func (has installedDriver) list() string {
	if len(has.names) == 0 {
		return "none"
	}
	var all []string
	for _, i := range has.names {
		text := i.Name + " " + i.Version
		if i.Held {
			text += " (held)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// lacks is why what is installed is not what was wished; empty: it is.
func (p *driverPlan) lacks() string {
	has, f := p.has, p.f
	switch {
	case p.w.Source == "runfile" && f.Runfile == "" && has.version == "":
		return "no driver is installed"
	case p.w.Source == "runfile" && f.Runfile == "":
		return "it comes from packages"
	case p.w.Source != "runfile" && !p.w.verify && f.Runfile != "":
		return "NVIDIA's own installer has put it here"
	case has.version == "":
		return "no driver is installed"
	case len(has.broken) > 0:
		return "half installed: " + strings.Join(has.broken, ", ")
	case !p.w.within(has.version):
		return "not " + p.w.text()
	case f.Runfile != "":
	case has.kernel == "" && !has.prebuilt && len(has.names) > 0:
		return "the package with the kernel module is missing"
	case f.UserSpace == "":
		return "its libraries are missing"
	case has.kernel != "" && has.kernel != has.version:
		return "the package with the kernel module is " + has.kernel
	case has.user != "" && has.user != has.version:
		return "the package with the libraries is " + has.user
	}
	if why := p.wrongFlavor(); why != "" {
		return why
	}
	if v := p.fabricVersion(); f.NVSwitches > 0 && v != has.version && f.Runfile == "" && !p.w.verify {
		if v == "" {
			return "the fabric manager, which NVSwitch needs, is missing"
		}
		return "the fabric manager is " + v
	}
	if has.prebuilt && f.Runfile == "" && !has.dkms {
		for _, k := range f.Kernels {
			if k.Module == "" {
				return "the module for " + k.Release + " is missing"
			}
		}
	}
	return ""
}

// wrongFlavor is why the modules on disk are not of the wished kind.
func (p *driverPlan) wrongFlavor() string {
	for _, k := range p.f.Kernels {
		if k.Module == "" {
			continue
		}
		if why := p.notOfFlavor(k.Open); why != "" {
			return why
		}
	}
	return ""
}

// notOfFlavor is why a kind of module is not the wished one, or not one that
// drives the GPUs; empty: it is.
func (p *driverPlan) notOfFlavor(open bool) string {
	switch {
	case open && p.need.proprietary:
		return "its modules are the open ones, and " + p.need.closedWhy
	case !open && p.need.open:
		return "its modules are the proprietary ones, and " + p.need.openWhy
	case open && p.w.Flavor == "proprietary", !open && p.w.Flavor == "open":
		return "its modules are the " + flavorName(open) + " ones"
	}
	return ""
}

// hasOpen is the kind of module that the host has.
func (p *driverPlan) hasOpen() (open, known bool) {
	for _, k := range p.f.Kernels {
		if k.Module != "" && (!known || k.Running) {
			open, known = k.Open, true
		}
	}
	return open, known
}

// way is how the wished module gets loaded.
func (p *driverPlan) way() route {
	f := p.f
	after := p.want()
	switch {
	case len(f.GPUs) == 0 && f.Loaded.Version == "" || p.no != "" && p.reason != "":
		return stay // without a GPU it does not load
	case f.Loaded.Version == "" && f.Nouveau.Loaded && f.Nouveau.InUse && !p.nouveauFirst():
		return reboot
	case f.Loaded.Version == "":
		return load
	case f.Loaded.Version == after && p.notOfFlavor(f.Loaded.Open) == "" && !(p.installing() && f.Runfile != ""):
		return stay
	case p.heldBy() != "":
		return reboot
	}
	return reload
}

// nouveauFirst: NVIDIA's installer does not begin while nouveau is loaded, so
// that goes before, with a reboot of its own where it is in use.
func (p *driverPlan) nouveauFirst() bool {
	return p.f.Nouveau.Loaded && p.installing() && p.to.runfile
}

// heldBy is what keeps the modules from being unloaded, beside services that
// are stopped and processes whose end is waited for; empty: nothing that was
// seen. A drain leaves the pods of daemon sets, and those that have a GPU open
// as a device plugin does.
func (p *driverPlan) heldBy() string {
	f := p.f
	switch {
	case p.w.Busy == "drain" && slices.ContainsFunc(p.work(), gpuProcess.inPod):
		return "pods, some of which a drain leaves"
	case len(f.Loaded.Holders) > 0:
		return "the modules " + strings.Join(f.Loaded.Holders, ", ")
	case f.Loaded.Display > 0 && len(p.work()) == 0:
		return "a console or a display on the GPU"
	case f.Loaded.RefCount > 0 && len(f.Processes) == 0 && len(p.running()) == 0:
		return "something that no process shows, as a console does"
	}
	return ""
}

func (p *driverPlan) whyReboot() string {
	if p.f.Loaded.Version == "" {
		return "nouveau drives the console, and cannot be unloaded"
	}
	return p.f.Loaded.Version + " is held by " + p.heldBy()
}

// routeHint is what a person does who does it by hand.
func (p *driverPlan) routeHint() string {
	switch p.route {
	case load:
		return "modprobe nvidia"
	case reload:
		return "stop what uses the GPUs, unload the old modules and load the new, or reboot"
	}
	return "reboot: " + p.whyReboot()
}

func constraintOf(text string) version.Constraints {
	c, _ := version.NewConstraint(text)
	return c
}

// keyEnrolled: Secure Boot has the key that DKMS signs with, as mokutil says or
// a module shows that it has signed and that is loaded.
func (p *driverPlan) keyEnrolled() bool {
	return p.f.mok == "enrolled" || p.f.Loaded.Version != "" && slices.ContainsFunc(p.f.Kernels, func(k driverKernel) bool {
		return k.Running && k.Signed && k.DKMS != "" && k.Module == p.f.Loaded.Version
	})
}

// secureBoot is said where it bears on what is done, or on what is loaded.
func (p *driverPlan) secureBoot() change {
	c := p.finding("secure boot", "off, or modules signed by a key that it knows")
	switch {
	case p.f.SecureBoot == "on":
	case p.f.SecureBoot == "" && p.reason != "" && !p.w.verify:
		c.State, c.Have, c.Hint = Unknown, "whether it is on cannot be told", "see what mokutil --sb-state says"
		return c
	default:
		return change{}
	}
	why, hint := p.secureBootForbids()
	switch {
	case p.to != nil && why != "":
		c.Have = "on, and " + why
		c.unmet(hint)
	case p.to != nil && p.to.set(p.to.open).signed:
		c.Have = "on; the modules are signed by the distribution's key"
	case p.keyEnrolled():
		c.Have = "on; the key that DKMS signs with is enrolled"
	case p.f.Loaded.Version != "":
		c.Have = "on; the module is loaded"
	default:
		c.Have = "on"
		for _, k := range p.f.Kernels {
			if k.Running && k.Module != "" && !k.Signed {
				c.Have = "on, and the module for " + k.Release + " is not signed"
				c.unmet(mokHint(p.f.ID))
			}
		}
	}
	return c
}

func (p *driverPlan) secureBootForbids() (why, hint string) {
	if p.f.SecureBoot != "on" || p.to == nil || p.to.set(p.to.open).signed || p.keyEnrolled() || len(p.f.GPUs) == 0 {
		return "", ""
	}
	why = "Secure Boot does not let modules in that are built here: the key they are signed with is not enrolled"
	if p.f.mok == "requested" {
		return why + " yet", "reboot, and confirm the enrolment at the console"
	}
	return why, mokHint(p.f.ID)
}

func mokHint(id string) string {
	key := "/var/lib/dkms/mok.pub"
	if id == "ubuntu" {
		key = "/var/lib/shim-signed/mok/MOK.der"
	}
	return "enrol the key of DKMS at the console (mokutil --import " + key + ", then a reboot), wish a source whose modules are signed, or switch Secure Boot off"
}

// foreignHold: somebody has held a package at a version that is not wished.
func (p *driverPlan) foreignHold() (why, hint string) {
	if p.to.runfile {
		return "", ""
	}
	var held []string
	for _, i := range p.f.Packages {
		if i.Held && !p.f.ours(i.Name) && (slices.Contains(p.to.bare, i.Name) || slices.Contains(p.to.remove, i.Name)) &&
			(p.to.version == "" || driverVersion(i.Version) != p.to.version) {
			held = append(held, i.Name)
		}
	}
	if held == nil {
		return "", ""
	}
	release := map[string]string{"apt": "apt-mark unhold ", "dnf": "dnf versionlock delete ", "yum": "yum versionlock delete ", "zypper": "zypper removelock "}[p.f.Manager]
	return "somebody holds " + strings.Join(held, ", "), "if that is no longer meant: " + release + strings.Join(held, " ")
}

// headersGone: DKMS cannot build for a kernel whose headers are neither here
// nor to be had.
func (p *driverPlan) headersGone() (why, hint string) {
	if p.to.headers == nil || p.to.runfile {
		return "", ""
	}
	for _, k := range p.f.Kernels {
		if why, hint := p.headersGoneOf(k, fill(p.to.headers[0], p.to.branch, k.Release)); why != "" {
			return why, hint
		}
	}
	return "", ""
}

// headersGoneOf is about one kernel, whose headers are the package called name.
func (p *driverPlan) headersGoneOf(k driverKernel, name string) (why, hint string) {
	if k.Headers || len(p.f.Offers) == 0 || p.offered(name) || p.installed(name) {
		return "", ""
	}
	hint = "fetch the package lists, or install " + name + " from an archive of the distribution"
	if k.Running && !k.Next {
		hint = "reboot into the newer kernel first, or install " + name
	}
	return "no repository has the headers of " + k.Release + " any more", hint
}

// spaceNeeded is what an installation needs, in bytes. Debian's 535 without a
// desktop was measured with its compiler and headers: 145 MB fetched, 384 MB
// unpacked, 250 MB for DKMS' build. NVIDIA's full packages are thrice as large.
func (p *driverPlan) spaceNeeded() map[string]int64 {
	need := map[string]int64{"/usr": 600 << 20, "/var": 600 << 20, "/boot": 100 << 20}
	if p.to.runfile || p.to.source == "cuda-repo" {
		need["/usr"], need["/var"] = 1500<<20, 1500<<20
	}
	// What has the same space free to the byte is one filesystem.
	if free, looked := p.f.Space["/usr"]; looked && p.f.Space["/var"] == free {
		need["/usr"] += need["/var"]
		delete(need, "/var")
	}
	return need
}

var spaceFolders = []string{"/usr", "/var", "/boot"}

func (p *driverPlan) spaceLacks() (why, hint string) {
	need := p.spaceNeeded()
	for _, folder := range spaceFolders {
		if free, looked := p.f.Space[folder]; looked && free < need[folder] {
			return fmt.Sprintf("%s has %d MB free, and %d are needed", folder, free>>20, need[folder]>>20), "make room in " + folder
		}
	}
	return "", ""
}

func (p *driverPlan) space() change {
	if p.to == nil {
		return change{}
	}
	var want, have, unseen []string
	need := p.spaceNeeded()
	for _, folder := range spaceFolders {
		if free, looked := p.f.Space[folder]; looked && need[folder] > 0 {
			want = append(want, fmt.Sprintf("%d MB in %s", need[folder]>>20, folder))
			have = append(have, fmt.Sprintf("%d MB in %s", free>>20, folder))
		} else if !looked && need[folder] > 0 && folder != "/boot" { // which not every host has
			want = append(want, fmt.Sprintf("%d MB in %s", need[folder]>>20, folder))
			have = append(have, "not known in "+folder)
			unseen = append(unseen, folder)
		}
	}
	c := p.finding("disk space", strings.Join(want, ", ")+" free")
	c.Have = strings.Join(have, ", ")
	if why, hint := p.spaceLacks(); why != "" {
		c.unmet(hint)
	} else if unseen != nil {
		c.State, c.Hint = Unknown, "see what df says of "+strings.Join(unseen, " and ")
	}
	return c
}
