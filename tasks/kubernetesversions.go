package tasks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"

	"github.com/runai-prep/runai-prep/inventory"
)

// versions are those of what is installed, against the wished range and against
// each other. What is not installed yet is no fault.
func (p *kubernetesPlan) versions() []change {
	found := []change{p.kubelet()}
	if p.f.OpenShift != "" || p.f.find("oc") != nil || p.cluster().OpenShift != "" {
		found = append(found, p.openshift())
	}
	for _, name := range []string{"kubeadm", "kubectl"} {
		if has := p.f.find(name); has != nil {
			found = append(found, p.beside(*has))
		}
	}
	for _, name := range []string{"containerd", "dockerd", "crio"} {
		if has := p.f.find(name); has != nil {
			found = append(found, p.runtime(*has))
		}
	}
	return found
}

// node is the program that runs as kubelet: itself, or what has it inside.
func (f *kubernetesFacts) node() *nodeProgram {
	for _, name := range []string{"kubelet", "k3s", "rke2"} {
		if has := f.find(name); has != nil {
			return has
		}
	}
	return nil
}

// orAny is a range in words.
func orAny(constraint string) string {
	if constraint == "" {
		return "any version"
	}
	return constraint
}

// within reports whether a version lies in a range; an empty range has all.
func versionWithin(v, constraint string) bool {
	if constraint == "" {
		return true
	}
	bounds, err := version.NewConstraint(constraint)
	parsed, err2 := version.NewVersion(v)
	return err == nil && err2 == nil && bounds.Check(parsed)
}

// minorOf is the 28 of 1.28.3; -1 of what is no such version.
func minorOf(v string) int {
	parts := strings.Split(v, ".")
	if len(parts) < 2 || parts[0] != "1" {
		return -1
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return -1
	}
	return n
}

func versionBefore(a, b string) bool {
	x, err1 := version.NewVersion(a)
	y, err2 := version.NewVersion(b)
	return err1 == nil && err2 == nil && x.LessThan(y)
}

// said fills in what a program says of itself; false: it does not.
func (c *change) said(has nodeProgram) bool {
	c.Have = has.Full
	if has.Name == "k3s" || has.Name == "rke2" {
		c.Have = has.Name + " " + has.Full
	}
	if has.Version != "" {
		return true
	}
	c.State = Unknown
	switch {
	case has.Fault != "":
		c.Have = has.Path + ": " + has.Fault
	default:
		c.Have = fmt.Sprintf("%s says %q", has.Path, has.Said)
	}
	return false
}

// ranged is a finding of what has to be in a range; without one any version will do.
func (p *kubernetesPlan) ranged(subject string, want inventory.Wish[string]) change {
	c := p.finding(subject, orAny(want.Value))
	if want.IsSet() {
		c.Why = want.Why
	}
	return c
}

func (p *kubernetesPlan) kubelet() change {
	want := p.k.Version
	c := p.ranged("kubelet", want)
	has := p.f.node()
	if p.f.OpenShift != "" {
		c.Want = "as OpenShift brings it"
		c.Have = "not to be seen"
		if has != nil {
			c.said(*has)
		}
		return c
	}
	if has == nil {
		c.Have = "not installed yet"
		return c
	}
	if !c.said(*has) {
		return c
	}
	minor := minorOf(has.Version)
	switch {
	case !p.supported(&c, has.Version):
		c.Hint = "install a kubelet of this range, and kubeadm with it, before the host joins"
		return c
	case p.k.Recommended != "" && versionBefore(has.Version, p.k.Recommended):
		c.warn("%s is recommended", p.k.Recommended)
	}
	if !p.fitsAPI(&c, has.Version) {
		return c
	}
	switch {
	case p.f.Cgroups == "v1" && minor >= 35:
		c.State, c.Have, c.Hint = Unmet, c.Have+", which does not start on cgroup v1", "boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false in kubelet's configuration"
	case p.f.Cgroups == "v1" && minor >= 31:
		c.warn("cgroup v1 is in maintenance since Kubernetes 1.31")
	case p.f.Cgroups == "v2" && minor >= 0 && minor < 19:
		c.State, c.Have, c.Hint = Unmet, c.Have+", which does not start on cgroup v2", "boot with systemd.unified_cgroup_hierarchy=0, or install a newer one"
	case p.f.Cgroups == "v2" && minor >= 19 && minor < 25:
		c.warn("cgroup v2 is stable since Kubernetes 1.25")
	}
	if has.Name == "kubelet" && p.runtimeOfKubelet() == "" {
		c.warn("no container runtime is installed")
	}
	return c
}

// supported reports whether a version of Kubernetes is one that is wished; where it is not,
// the finding says so.
func (p *kubernetesPlan) supported(c *change, v string) bool {
	switch {
	case !versionWithin(v, p.k.Version.Value):
	case inventory.Excluded(p.k.Excluded, v):
		c.Want += ", but not " + strings.Join(p.k.Excluded, ", ")
	default:
		return true
	}
	c.State = Unmet
	return false
}

// fitsAPI reports whether a kubelet's version goes with that of the API server,
// as far as that is known; where it does not, the finding says so.
func (p *kubernetesPlan) fitsAPI(c *change, v string) bool {
	api := p.apiServer()
	if api == "" {
		return true
	}
	why := skew("kubelet", v, api)
	if why == "" {
		return true
	}
	c.State, c.Have, c.Hint = Unmet, c.Have+": "+why, "see https://kubernetes.io/releases/version-skew-policy/"
	return false
}

// skew says what is wrong with a node's version beside an API server's: it may
// not be newer, and may be three minors older, two before 1.25.
func skew(what, v, api string) string {
	a, b := minorOf(v), minorOf(api)
	oldest := b - 3
	if a < 25 {
		oldest = b - 2
	}
	switch {
	case a < 0 || b < 0:
		return ""
	case a > b:
		return fmt.Sprintf("%s is newer than the API server, which is %s", what, api)
	case a < oldest:
		return fmt.Sprintf("%s is more than %d minor versions older than the API server, which is %s", what, b-oldest, api)
	}
	return ""
}

// beside is kubeadm or kubectl, which go with kubelet.
func (p *kubernetesPlan) beside(has nodeProgram) change {
	c := p.finding(has.Name, "fits kubelet")
	if !c.said(has) {
		return c
	}
	if has.Name == "kubeadm" {
		c.Want = "of kubelet's minor version"
	}
	kubelet := p.f.find("kubelet")
	if kubelet == nil {
		if want := p.k.Version; want.IsSet() && !versionWithin(has.Version, want.Value) {
			c.State, c.Want, c.Why = Unmet, want.Value, want.Why
			c.Hint = "it would make a node of its own version"
		}
		return c
	}
	mine, its := minorOf(has.Version), minorOf(kubelet.Version)
	switch {
	case mine < 0 || its < 0 || mine == its:
	case has.Name == "kubectl":
		if api := minorOf(p.apiServer()); api >= 0 && (mine > api+1 || mine < api-1) {
			c.warn("it is more than one minor version from the API server's %s", p.apiServer())
		}
	case its > mine:
		c.State = Unmet
		c.Have += ", and kubelet is newer: " + kubelet.Version
		c.Hint = "install both of one version: kubeadm refuses a newer kubelet"
	case its < mine-3 || its < mine-1 && mine < 28:
		c.State = Unmet
		c.Have += ", and kubelet is too old for it: " + kubelet.Version
		c.Hint = "install both of one version"
	default:
		c.warn("kubelet is %s: both are better of one version", kubelet.Version)
	}
	return c
}

func (p *kubernetesPlan) openshift() change {
	want := p.k.OpenShift
	c := p.ranged("openshift", want)
	v, from := p.f.OpenShift, p.f.System.Name
	if cluster := p.cluster().OpenShift; cluster != "" {
		v, from = cluster, "its ClusterVersion"
	}
	if v == "" { // the client may be of another version than the cluster
		oc := p.f.find("oc")
		c.said(*oc)
		c.Have = "oc " + c.Have + ", and this is no node of OpenShift"
		c.State = OK
		return c
	}
	c.Have = v + " (" + from + ")"
	v = coreVersion(v)
	switch {
	case v == "":
		c.State = Unknown
	case !versionWithin(v, want.Value):
		c.State, c.Hint = Unmet, "update the cluster, whose nodes follow it"
	case inventory.Excluded(p.k.OpenShiftExcluded, v):
		c.State = Unmet
		c.Want += ", but not " + strings.Join(p.k.OpenShiftExcluded, ", ")
	case p.k.OpenShiftRecommended != "" && versionBefore(v, p.k.OpenShiftRecommended):
		c.warn("%s is recommended", p.k.OpenShiftRecommended)
	}
	return c
}

// runtimeNames are programs as people, and profiles, call them.
var runtimeNames = map[string]string{"containerd": "containerd", "dockerd": "docker", "crio": "cri-o"}

// runtimeOfKubelet is the program that kubelet uses or, before it is told,
// would find; empty: none.
func (p *kubernetesPlan) runtimeOfKubelet() string {
	f := p.f
	switch socket := f.KubeletRuntime; {
	case strings.Contains(socket, "containerd"):
		return "containerd"
	case strings.Contains(socket, "crio"):
		return "crio"
	case strings.Contains(socket, "docker"):
		return "dockerd"
	case f.find("crio") != nil:
		return "crio"
	case f.find("containerd") != nil && (!f.noCRI() || f.find("dockerd") == nil):
		return "containerd"
	case f.find("dockerd") != nil:
		return "dockerd"
	}
	return ""
}

// runtime is one container runtime.
func (p *kubernetesPlan) runtime(has nodeProgram) change {
	c := p.finding(runtimeNames[has.Name], "fits kubelet")
	used := p.runtimeOfKubelet() == has.Name
	supported := []string(nil)
	if r := p.h.Requirements; r != nil && len(r.Runtimes.Supported) > 0 {
		supported = r.Runtimes.Supported
		c.Want = "fits kubelet; one of " + strings.Join(supported, ", ")
		c.Why = r.Runtimes.Why
	}
	if !c.said(has) {
		return c
	}
	name := strings.ReplaceAll(runtimeNames[has.Name], "-", "") // crio, as profiles spell it
	kubelet := -1
	if node := p.f.find("kubelet"); node != nil {
		kubelet = minorOf(node.Version)
	}
	switch {
	case !used:
		c.Have += ", not kubelet's"
	case supported != nil && !slices.Contains(supported, name):
		c.State = Unmet
		c.Hint = "let " + strings.Join(supported, " or ") + " be the cluster's runtime"
	case has.Name == "dockerd" && kubelet >= 24 && !strings.Contains(p.f.KubeletRuntime, "docker"):
		c.State = Unmet
		c.Have += fmt.Sprintf(", which kubelet 1.%d does not speak to", kubelet)
		c.Hint = "use containerd, which comes with it, or install cri-dockerd"
	case has.Name == "containerd" && p.f.noCRI():
		c.State = Unmet
		c.Have += ", and its CRI plugin is switched off: kubelet cannot use it"
		c.Hint = "take cri out of disabled_plugins in " + containerdPath + ", and restart containerd"
	case has.Name == "containerd" && kubelet >= 26 && versionBefore(has.Version, "1.6.0"):
		c.State = Unmet
		c.Have += fmt.Sprintf(", and kubelet 1.%d needs 1.6 or later", kubelet)
		c.Hint = "install a newer containerd"
	case has.Name == "containerd" && kubelet >= 36 && versionBefore(has.Version, "2.0.0"):
		c.State = Unmet
		c.Have += fmt.Sprintf(", and kubelet 1.%d needs 2.0 or later", kubelet)
		c.Hint = "install a newer containerd"
	case has.Name == "crio" && kubelet >= 0 && minorOf(has.Version) >= 0 && minorOf(has.Version) != kubelet && p.f.OpenShift == "":
		c.warn("CRI-O is released with Kubernetes, and kubelet is 1.%d", kubelet)
	}
	return c
}

// cgroup: kubelet and its runtime must manage groups in the same way, or nodes
// become unstable under load.
func (p *kubernetesPlan) cgroup() change {
	c := p.finding("cgroup", "kubelet and its runtime agree on a driver").because(p.k.CgroupDriver.Why)
	has := []string{p.f.Cgroups}
	want := p.k.CgroupDriver.Value
	if want != "" {
		c.Want = "driver " + want + " for kubelet and its runtime"
	}
	kubelet := p.f.CgroupDrivers["kubelet"]
	if kubelet != "" {
		has = append(has, "kubelet: "+kubelet)
	}
	name := p.runtimeOfKubelet()
	runtime := p.f.CgroupDrivers[runtimeNames[name]]
	if runtime != "" {
		has = append(has, runtimeNames[name]+": "+runtime)
	}
	c.Have = strings.Join(has, ", ")
	var hint []string
	for _, who := range []struct{ name, driver string }{{"kubelet", kubelet}, {runtimeNames[name], runtime}} {
		if who.driver != "" && want != "" && who.driver != want {
			hint = append(hint, driverHint(who.name, want))
		}
	}
	node := p.f.find("kubelet")
	asks := node != nil && minorOf(node.Version) >= 31 && (name == "crio" || name == "containerd" && !versionBefore(p.f.find(name).Version, "2.0.0"))
	switch {
	case runtime == "unclear":
		c.State, c.Have = Unknown, "the configuration of "+runtimeNames[name]+" cannot be read: it is broken"
	case hint != nil:
		c.State, c.Hint = Unmet, strings.Join(hint, "; ")
	case kubelet != "" && runtime != "" && kubelet != runtime && asks:
		c.warn("kubelet takes the runtime's driver, whatever its own configuration says")
	case kubelet != "" && runtime != "" && kubelet != runtime:
		c.State, c.Hint = Unmet, driverHint(runtimeNames[name], kubelet)
	case kubelet == "" && runtime == "cgroupfs" && want == "" && p.f.Systemd:
		c.warn("kubeadm sets kubelet to systemd, and %s is set to cgroupfs: %s", runtimeNames[name], driverHint(runtimeNames[name], "systemd"))
	}
	return c
}

// driverHint is how a program is set to a driver.
func driverHint(name, driver string) string {
	switch name {
	case "containerd":
		return fmt.Sprintf("set SystemdCgroup = %t for its runtime in %s, and restart containerd", driver == "systemd", containerdPath)
	case "docker":
		return `set "exec-opts": ["native.cgroupdriver=` + driver + `"] in ` + dockerPath + ", and restart docker"
	case "cri-o":
		return `set cgroup_manager = "` + driver + `" in /etc/crio/crio.conf, and restart crio`
	}
	return "set cgroupDriver: " + driver + " in " + kubeletConfigPath + ", and restart kubelet"
}
