package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A driverPlan is a plan being made.
type driverPlan struct {
	h    inventory.Host
	w    driverWish
	f    *driverFacts
	need gpuNeed
	has  installedDriver

	reason string        // why something is to be installed; empty: what is there is as wished
	to     *driverTarget // nil: nothing is to be, or can be, installed
	// no and noHint are why what is to be done cannot be, with what to do.
	no, noHint string
	route      route
	began      bool // a finding has the steps that lead up to unloading the driver
	drains     bool // which drain the node
}

// A route is how the module that is loaded becomes the wished one.
type route int

const (
	stay   route = iota // it is the wished one
	load                // none is loaded
	reload              // services are stopped, and the modules unloaded
	reboot              // something holds the modules that only a reboot ends
)

// planDriver is what is to be done about the driver, and what the images that are
// to run ask of it.
func planDriver(h inventory.Host, facts Facts) []Finding {
	f := facts.(*driverFacts)
	found, p := planInstallation(h, f)
	return append(found, imageFindings(h, f, p, found)...)
}

// planInstallation is the order of work; nil: no driver is wished. What a person must decide comes first, and
// where it is unmet nothing after it is begun; then one transaction replaces
// the driver, and the places that can disagree are proved one by one.
func planInstallation(h inventory.Host, f *driverFacts) ([]Finding, *driverPlan) {
	w, ok := wishedDriver(h)
	if !ok || h.Driver == nil && len(f.GPUs) == 0 {
		return nil, nil // the profile asks for a driver where there is a GPU
	}
	p := &driverPlan{h: h, w: w, f: f, need: needOf(f.GPUs), has: installedOf(f)}
	found := []change{p.gpus()}
	switch {
	case len(f.GPUs) == 0 && w.RequireGPU:
		return p.findings(append(found, p.node())), p
	case f.Owner == "gpu-operator":
		// Its user space is in its container, and its modules are built at its start.
		return p.findings(append(found, p.owned(), p.node())), p
	}
	p.w.verify = p.w.verify || f.Owner != ""
	p.decide()
	found = append(found, p.secureBoot(), p.space(), p.processes())
	nouveau := p.nouveau()
	if p.nouveauFirst() {
		found, nouveau = append(found, nouveau), change{}
	}
	found = append(found, p.driver())
	if p.no != "" && p.has.version == "" && f.Loaded.Version == "" {
		return p.findings(append(found, p.node())), p // there is nothing to say of the places
	}
	found = append(found, p.packages())
	for _, k := range f.Kernels {
		found = append(found, p.module(k))
	}
	return p.findings(append(found, nouveau, p.loaded(), p.userSpace(), p.services(), p.persistenced(), p.fabricManager(), p.cuda(), p.node())), p
}

// findings leaves out what there is nothing to say about, and makes of what
// only verifies, and of what only root may change, what a person has to do.
func (p *driverPlan) findings(all []change) []Finding {
	all = slices.DeleteFunc(all, func(c change) bool { return c.Subject == "" })
	if p.w.verify {
		for i := range all {
			if c := &all[i]; c.State == Pending {
				c.State, c.Steps, c.Back, c.After, c.Undo, c.adds, c.drops, c.ends = Unmet, nil, nil, nil, nil, nil, nil, nil
				if with, ok := strings.CutPrefix(c.Hint, "comes with "); ok {
					c.Hint = "see " + with
				}
			}
		}
	}
	found := p.f.asRoot(p.f.ledger.remember(all, p.f.isThere))
	for i := range found {
		if found[i].State != Pending {
			found[i].Back, found[i].After, found[i].Undo = nil, nil, nil
		}
	}
	return found
}

// decide finds out whether something is to be installed, what, and whether it
// can be.
func (p *driverPlan) decide() {
	p.reason = p.lacks()
	if why, hint := p.w.unservable(p.need); why != "" {
		p.no, p.noHint = why, hint
	} else if p.reason != "" && !p.w.verify {
		p.resolve()
	} else if !p.w.verify && p.has.dkms {
		p.buildable()
	}
	p.route = p.way()
}

// buildable finds out whether the module of the installed driver can be built for
// the kernel that runs, where it is missing.
func (p *driverPlan) buildable() {
	for _, k := range p.f.Kernels {
		names := p.dkmsHeaders(k)
		if !k.Running || k.Module != "" || len(names) == 0 {
			continue
		}
		if p.no, p.noHint = p.headersGoneOf(k, names[0]); p.no != "" {
			p.reason = "without its module for " + k.Release
		}
	}
}

// resolve finds the target, and what stands in its way.
func (p *driverPlan) resolve() {
	if p.w.Source == "runfile" {
		p.to, p.no, p.noHint = p.byRunfile()
	} else {
		p.to, p.no, p.noHint = p.choose(p.prefer())
	}
	if p.no != "" || p.to == nil {
		return
	}
	if held := p.heldBy(); p.to.runfile && p.f.Loaded.Version != "" && held != "" {
		p.no, p.noHint = "NVIDIA's installer does not replace a driver that is held by "+held, "end that, or wish packages"
		return
	}
	if p.no, p.noHint = p.foreignHold(); p.no != "" {
		return
	}
	if p.no, p.noHint = p.headersGone(); p.no != "" {
		return
	}
	if p.firmwareMissing() && !p.w.NonFree {
		p.no, p.noHint = "the component "+firmwareComponent+" is not enabled", "wish non_free = true, or enable it"
		return
	}
	// These two have findings of their own.
	if why, _ := p.secureBootForbids(); why != "" {
		p.no, p.noHint = "Secure Boot would not let its modules in", "see secure boot"
	} else if why, _ := p.spaceLacks(); why != "" {
		p.no, p.noHint = "there is not enough space", "see disk space"
	}
}

// installing reports whether the transaction is going to be carried out.
func (p *driverPlan) installing() bool { return p.to != nil && p.no == "" }

// want is the version that every place must have in the end; empty: one of the
// range that is not known yet.
func (p *driverPlan) want() string {
	switch {
	case p.installing():
		return p.to.version
	case p.reason != "":
		return ""
	}
	return p.has.version
}

// wantText is want, or the range.
func (p *driverPlan) wantText() string {
	if v := p.want(); v != "" {
		return v
	}
	return p.w.text()
}

func (p *driverPlan) finding(subject, want string) change {
	return change{Finding: Finding{Subject: subject, State: OK, Want: want, Why: p.w.Why}}
}

// comesWith makes a finding pending that the steps of another one settle.
func (c *change) comesWith(subject string) {
	c.State, c.Hint = Pending, "comes with "+subject
}

// unmet makes a finding one for a person.
func (c *change) unmet(hint string) { c.State, c.Hint = Unmet, hint }

// gpus is what there is on the bus, and whether the range can serve it.
func (p *driverPlan) gpus() change {
	c := p.finding("gpus", "one or more NVIDIA GPUs on the PCI bus")
	if !p.w.RequireGPU {
		c.Want = "NVIDIA GPUs, or none yet"
	}
	if len(p.f.GPUs) == 0 {
		c.Have = "none"
		if p.w.RequireGPU {
			c.unmet("see whether the GPU is seated and powered (lspci -d 10de:) or passed through; for an image that will run elsewhere wish require_gpu = false")
		}
		return c
	}
	c.Have = countGPUs(p.f.GPUs)
	if p.f.NVSwitches > 0 {
		c.Have += fmt.Sprintf(", %d NVSwitches", p.f.NVSwitches)
	}
	var held []string
	for _, g := range p.f.GPUs {
		if g.Driver != "" && g.Driver != "nvidia" && g.Driver != "nouveau" {
			held = append(held, g.Address+" by "+g.Driver)
		}
	}
	switch why, hint := p.w.unservable(p.need); {
	case why != "":
		c.Want = "GPUs that " + p.w.text() + flavored(p.w.Flavor) + " can drive"
		c.Have += ": " + why
		c.unmet(hint)
	case len(held) == len(p.f.GPUs):
		c.Have += ", all bound to another driver: " + strings.Join(held, ", ")
		c.unmet("they are set aside, as for a virtual machine: give one back to the host")
	case p.need.unknownOf != "":
		c.Hint = p.need.unknownOf + " is not in the table of GPUs: whether the range can serve it is not known"
	}
	return c
}

func flavored(flavor string) string {
	if flavor == "auto" {
		return ""
	}
	return " " + flavor
}

// countGPUs is "8 × H100 SXM5 80GB (Hopper)".
func countGPUs(all []gpu) string {
	var labels []string
	count := make(map[string]int)
	for _, g := range all {
		if count[g.label()]++; count[g.label()] == 1 {
			labels = append(labels, g.label())
		}
	}
	for i, l := range labels {
		labels[i] = fmt.Sprintf("%d × %s", count[l], l)
	}
	return strings.Join(labels, ", ")
}

// owned is the driver of a host on which somebody else keeps it: it is
// measured, and left alone.
func (p *driverPlan) owned() change {
	c := p.finding("nvidia driver", p.w.text())
	v := p.f.Loaded.Version
	c.Have = v + ", kept by " + p.f.Owner
	if v == "" {
		c.Have = "not loaded, kept by " + p.f.Owner
	}
	hints := map[string]string{
		"gpu-operator": "the GPU Operator keeps the driver: change driver.version in its Helm values, or set driver.enabled=false there to give the host its own",
		"dgx-os":       "DGX OS keeps the driver: upgrade it as its release notes say",
	}
	hint, ok := hints[p.f.Owner]
	if !ok {
		hint = p.f.Owner + " keeps the driver: change it there"
	}
	if v == "" || !p.w.within(v) {
		c.unmet(hint)
	} else if p.w.Source != "none" {
		c.Hint = hint
	}
	return c
}

// driver is the headline: what is installed, and the transaction.
func (p *driverPlan) driver() change {
	if p.f.Owner != "" {
		return p.owned()
	}
	c := p.finding("nvidia driver", p.w.text()+flavored(p.w.Flavor))
	c.Have = p.has.describe(p.f)
	if p.installing() {
		c.Want += " (" + p.to.describe()
		if p.to.open {
			c.Want += ", open modules"
		}
		if p.downgrades() {
			c.Want += ", a downgrade"
		}
		c.Want += ")"
	}
	switch {
	case p.no != "":
		if p.reason != "" {
			c.Have += p.because()
		}
		c.unmet(p.no + ": " + p.noHint)
	case p.reason != "" && p.w.verify:
		c.Have += p.because()
		c.unmet(`install a driver, or let it be installed: nvidia_driver { source = "distro" }`)
	case p.reason != "":
		c.Have += p.because()
		c.State = Pending
		c.Hint = p.former()
		p.transaction(&c)
	case p.route == reboot || p.route == reload || p.route == load:
		c.comesWith("nvidia module loaded")
	case slices.ContainsFunc(p.f.Kernels, func(k driverKernel) bool { return k.Running && k.Module != p.want() }):
		c.comesWith("the module for the running kernel")
	}
	return c
}

func (p *driverPlan) because() string {
	if p.has.version == "" && p.f.Runfile == "" {
		return ""
	}
	return "; " + p.reason
}

// former names the packages that go, for whoever wants them back.
func (p *driverPlan) former() string {
	var was []string
	for _, i := range p.f.Packages {
		if kernelPackage.MatchString(i.Name) || userPackage.MatchString(i.Name) {
			was = append(was, i.Name+" "+i.Version)
		}
	}
	if was == nil {
		return ""
	}
	hint := "formerly " + strings.Join(was, ", ")
	if p.w.Rollback && p.goingBack() == nil {
		hint += "; there is no way back to them by itself: the repository has them no more"
	}
	return hint
}

// packages are what the package manager has, and whether it holds them.
func (p *driverPlan) packages() change {
	c := p.finding("nvidia packages", p.wantText())
	if p.w.Source == "runfile" && p.reason == "" || p.f.Runfile != "" && len(p.has.names) == 0 && p.w.verify {
		c.Want, c.Have = "none beside NVIDIA's installer", "none"
		if len(p.has.names) > 0 {
			c.Have = p.has.list()
		}
		return c
	}
	if p.w.Source == "runfile" {
		return change{}
	}
	c.Have, c.Aside = p.has.list(), !p.f.dpkgInterrupted
	hold := p.w.Hold && !p.w.verify
	if hold {
		c.Want += ", held"
	}
	switch {
	case p.no != "" && p.reason != "":
		c.unmet("see nvidia driver")
		return c
	case p.reason != "":
		c.comesWith("nvidia driver")
	case p.f.dpkgInterrupted:
		c.State = Pending
		c.Have += "; dpkg was interrupted"
		c.Steps = []remote.Step{configureAll()}
	}
	if !p.w.verify { // whether it is held is the business of whoever installs it
		p.keepPinned(&c)
		p.hold(&c, hold)
	}
	return c
}

// module is that of one kernel on disk.
func (p *driverPlan) module(k driverKernel) change {
	c := p.finding("nvidia module for "+k.Release, p.wantText())
	if k.Module != "" && p.notOfFlavor(k.Open) != "" {
		c.Want += " (" + flavorName(!k.Open) + ")"
	}
	switch {
	case k.Guessed:
		c.Want += ", for what may be the kernel of the next boot: " + k.Why
	case k.Running && k.Next:
	case k.Running:
		c.Want += ", for the running kernel"
	default:
		c.Want += ", for the kernel of the next boot"
	}
	c.Have = k.describe()
	right := k.Module != "" && k.Module == p.want() && p.reason == "" && !strings.HasSuffix(k.DKMS, " failed")
	switch {
	case right && k.Guessed:
		c.State, c.Hint = Unknown, "whether the kernel of the next boot has a module is not known: name it in GRUB_DEFAULT, or with grub-set-default"
	case right:
	case p.no != "" || p.w.verify && p.reason != "":
		c.unmet("see nvidia driver")
	case p.w.verify && !k.Running && k.Module == "":
		c.unmet("build it before the next boot, or the driver will not load then")
	case p.w.verify || p.w.Source == "runfile" && p.reason == "" && !p.f.dkms:
		c.unmet("build or install the module of the driver's version for this kernel")
	case p.installing() && p.to.runfile:
		c.comesWith("nvidia driver")
		p.buildSteps(&c, k)
	default:
		c.State = Pending
		p.buildSteps(&c, k)
	}
	return c
}

func (k driverKernel) describe() string {
	switch {
	case k.Module != "":
		text := k.Module + " (" + flavorName(k.Open)
		if k.Signed {
			text += ", signed"
		}
		text += ")"
		if _, state, _ := strings.Cut(k.DKMS, " "); state != "" && state != "installed" {
			text += ", DKMS has " + k.DKMS
		}
		return text
	case k.DKMS != "" && !k.Headers:
		return "none: DKMS has " + k.DKMS + ", and there are no headers"
	case k.DKMS != "":
		return "none: DKMS has " + k.DKMS
	case !k.Headers:
		return "none, and no headers"
	}
	return "none"
}

// loaded is the module in the kernel's memory.
func (p *driverPlan) loaded() change {
	if len(p.f.GPUs) == 0 && p.f.Loaded.Version == "" {
		return change{} // it does not load without a GPU
	}
	c := p.finding("nvidia module loaded", p.wantText())
	c.Have = p.f.Loaded.Version
	if c.Have == "" {
		c.Have = "none"
		if p.f.Nouveau.Loaded {
			c.Have = "none, nouveau is"
		}
	} else if p.notOfFlavor(p.f.Loaded.Open) != "" {
		c.Have += " (" + flavorName(p.f.Loaded.Open) + ")"
		c.Want += " (" + flavorName(!p.f.Loaded.Open) + ")"
	}
	switch {
	case p.route == stay && p.no == "" && p.reason == "":
		p.brokenGPUs(&c)
	case (p.no != "" || p.w.verify) && p.reason != "":
		c.unmet("see nvidia driver")
	case p.route == stay:
		c.comesWith("nvidia driver")
	case p.w.verify:
		c.unmet(p.routeHint())
	default:
		c.State = Pending
		if p.route == reboot {
			c.Hint = "needs a reboot: " + p.whyReboot()
		}
		p.loadSteps(&c)
	}
	return c
}

// brokenGPUs is about a driver that is loaded and does not work.
func (p *driverPlan) brokenGPUs(c *change) {
	s := p.f.SMI
	var down []string
	for _, g := range p.f.GPUs {
		if !g.Up && !g.Excluded && (g.Driver == "nvidia" || g.Driver == "") {
			down = append(down, g.Address)
		}
	}
	switch {
	case s == nil && len(down) > 0:
		c.State = Unknown
		c.Have += "; whether the driver works with " + strings.Join(down, ", ") + " is not known, for nothing has used it yet and nvidia-smi was not found"
		c.Hint = "see what nvidia-smi says"
	case s == nil:
	case s.Exit == 137 || s.Exit == 124:
		c.Have += ", and nvidia-smi does not answer"
		c.unmet("a GPU is sick: see what dmesg says of NVRM and Xid, and power the host off and on")
	case s.Exit != 0:
		c.Have += fmt.Sprintf(", and nvidia-smi fails (exit status %d): %s", s.Exit, s.Said)
		c.unmet("see what dmesg says of NVRM")
	case s.GPUs == 0 && s.Driver != "":
		// It ended well and named the driver: its table may be one that is not
		// known here.
	case s.GPUs == 0 && len(down) > 0:
		c.State = Unknown
		c.Have += "; whether the driver works with " + strings.Join(down, ", ") + " is not known, for nvidia-smi names no GPU"
		if s.Said != "" {
			c.Have += ": " + s.Said
		}
		c.Hint = "see what nvidia-smi -L says"
	case s.GPUs < len(p.f.GPUs)-excluded(p.f.GPUs):
		c.Have += fmt.Sprintf(", and nvidia-smi sees %d of %d GPUs", s.GPUs, len(p.f.GPUs))
		if len(down) > 0 {
			c.Have += "; not " + strings.Join(down, ", ")
		}
		c.unmet("see what dmesg says of NVRM and of the GPU that is missing")
	}
}

func excluded(all []gpu) (n int) {
	for _, g := range all {
		if g.Excluded || g.Driver != "" && g.Driver != "nvidia" {
			n++
		}
	}
	return n
}

// userSpace is the version that programs are linked with.
func (p *driverPlan) userSpace() change {
	c := p.finding("nvidia user space", p.wantText())
	c.Have = p.f.UserSpace
	if c.Have == "" {
		c.Have = "none"
	}
	switch {
	case p.f.UserSpace != "" && p.f.UserSpace == p.want() && (p.reason == "" || p.reason == p.wrongFlavor()):
	case p.no != "" && p.reason != "":
		c.unmet("see nvidia driver")
	case p.w.verify:
		c.unmet("see nvidia driver")
	default:
		c.comesWith("nvidia driver")
	}
	return c
}

// cuda is what the driver supports, where the wish names a minimum.
func (p *driverPlan) cuda() change {
	if p.w.MinCUDA == "" {
		return change{}
	}
	c := p.finding("cuda", p.w.MinCUDA+" supported by the driver")
	c.Aside = true
	has := ""
	if p.f.SMI != nil {
		has = p.f.SMI.CUDA
	}
	loaded := p.f.Loaded.Version
	if loaded == "" {
		loaded = p.f.UserSpace
	}
	if has == "" {
		has = cudaFor(loaded)
	}
	c.Have = has
	if has == "" {
		c.Have = "none"
	}
	then := cudaFor(p.want())
	switch fits := (driverWish{bounds: constraintOf(p.w.MinCUDA)}).within; {
	case has != "" && fits(has):
	case p.installing() && (then == "" || fits(then)):
		c.comesWith("nvidia driver")
	default:
		c.unmet("wish a later driver: CUDA 9.0 came with 384")
	}
	return c
}
