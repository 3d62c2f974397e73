package tasks

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// componentNames are the processes of Kubernetes itself, and of what has it inside.
var componentNames = []string{"kubelet", "kube-apiserver", "etcd", "kube-controller", "kube-scheduler", "kube-controller-manager", "hyperkube", "k3s", "k3s-server", "k3s-agent", "rke2", "kubelite", "k0s"}

// nodePorts are what a node needs for itself, by what it is.
func nodePorts(controlPlane bool) []int {
	if controlPlane {
		return []int{2379, 2380, 6443, 10250, 10257, 10259}
	}
	return []int{10250}
}

// ports are free, or held by the parts of Kubernetes whose they are.
func (p *kubernetesPlan) ports() change {
	wanted := nodePorts(p.k.ControlPlane || p.f.APIServer != "")
	var words, held []string
	for _, port := range wanted {
		words = append(words, strconv.Itoa(port))
	}
	c := p.finding("ports", "TCP "+strings.Join(words, ", ")+" for Kubernetes")
	own := 0
	for _, l := range p.f.Listening {
		if !slices.Contains(wanted, l.Port) {
			continue
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(l.Holder, ")"), "(")
		switch {
		case slices.Contains(componentNames, name) || l.Holder == "" && p.explained(l.Port):
			own++
		case l.Holder == "":
			held = append(held, fmt.Sprintf("%d is held by a process that cannot be named", l.Port))
		default:
			held = append(held, fmt.Sprintf("%d is held by %s", l.Port, l.Holder))
		}
	}
	switch {
	case held != nil:
		slices.Sort(held)
		c.State, c.Have = Unmet, strings.Join(slices.Compact(held), "; ")
		c.Hint = "end what listens there, or give it another port: see ss -lntp"
	case own > 0:
		c.Have = "in use by Kubernetes itself"
	default:
		c.Have = "free"
	}
	return c
}

// explained reports whether a component that runs here has the port: then nobody
// was asked who does.
func (p *kubernetesPlan) explained(port int) bool {
	runs := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.f.Running, name) })
	}
	return p.f.APIServer != "" || runs("k3s", "rke2-server") || port == 10250 && runs("kubelet", "k3s-agent", "rke2-agent")
}

var hostnameLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// hostname is the node's name: that no other host has it, the fleet shows.
func (p *kubernetesPlan) hostname() change {
	c := p.finding("hostname", "a name for a node (RFC 1123) that resolves")
	name := p.f.Hostname
	c.Have = fmt.Sprintf("%q", name)
	low := strings.ToLower(name)
	valid := len(low) <= 253 && !slices.ContainsFunc(strings.Split(low, "."), func(label string) bool { return !hostnameLabel.MatchString(label) })
	switch {
	case name == "(none)" || name == "":
		c.State, c.Have = Unmet, "none"
	case !valid:
		c.State, c.Have = Unmet, clip(c.Have, 80)+" is no name for a node"
	case low == "localhost" || strings.HasPrefix(low, "localhost."):
		c.State, c.Have = Unmet, c.Have+", which every host is"
	}
	if c.State == Unmet {
		c.Hint = "hostnamectl set-hostname NAME: lower-case letters, digits, dashes and dots"
		return c
	}
	c.Have = name
	if low != name {
		c.warn("the node will be called %s", low)
	}
	switch {
	case p.f.Resolves == "hosts":
		c.Have += ", in /etc/hosts"
	case p.f.Resolves != "":
		c.Have += ", which is " + p.f.Resolves
	default:
		why := p.f.nameless
		if why == "" {
			why = "/etc/hosts does not have it, and nothing else was asked"
		}
		c.warn("it does not resolve here: %s", why)
	}
	return c
}

var machineIDWord = regexp.MustCompile(`^[0-9a-f]{32}$`)

// machineID must be there: that no other host has it, the fleet shows.
func (p *kubernetesPlan) machineID() change {
	c := p.finding("machine-id", "one of its own")
	c.Have = p.f.MachineID
	if !machineIDWord.MatchString(c.Have) || strings.Trim(c.Have, "0") == "" {
		c.State, c.Hint = Unmet, "systemd-machine-id-setup"
		if c.Have = clip(fmt.Sprintf("%q", p.f.MachineID), 60); p.f.MachineID == "" {
			c.Have = "/etc/machine-id is empty or not there"
		}
	}
	return c
}

// time: certificates and leases are only as good as the clocks that read them.
func (p *kubernetesPlan) time() change {
	most := cmp.Or(p.k.TimeSkew.Value, time.Second)
	c := p.finding("time", "within "+most.String()+" of the controller's clock, and kept so").because(p.k.TimeSkew.Why)
	clock := p.f.Clock
	if clock == nil || clock.Controller.IsZero() {
		c.State, c.Have = Unknown, "the host's clock was not held against the controller's"
		return c
	}
	low, high := clock.skew()
	off, word := low, "ahead of"
	if high < 0 {
		off, word = -high, "behind"
	}
	switch {
	case -most <= low && high <= most:
		c.Have = "within " + most.String()
	case low <= most && high >= -most:
		c.State, c.Have = Unknown, "its answer took "+clock.Delay.Round(100*time.Millisecond).String()+" longer than the host, which is too long to tell"
		c.Hint = "look again when this machine, the host and the way between them are less busy"
		return c
	default:
		c.Have = off.Round(100*time.Millisecond).String() + " " + word + " the controller's"
		if p.f.Container != "" {
			c.warn("the clock is %s: %s", c.Have, ofTheMachine)
		} else {
			c.State = Unmet
			c.Hint = "set up an NTP service (chrony, systemd-timesyncd), and see that it reaches its servers; should this machine's own clock be wrong, that one"
		}
	}
	switch {
	case p.f.Container != "":
		c.Have += ", kept by the machine that this container runs on"
	case clock.Service == "":
		c.Have += ", kept by nothing that is known here"
		c.warn("no NTP service runs: the clock will drift (chrony, systemd-timesyncd)")
	case clock.Synced == "no":
		c.Have += "; " + clock.Service + " runs, and is not synchronized"
		c.warn("%s is not synchronized: the clock will drift", clock.Service)
	default:
		c.Have += ", kept by " + clock.Service
	}
	return c
}

// security are the parts of the kernel and the firewall that stand between
// containers and what they need. SELinux and AppArmor are told where the kernel
// has them.
func (p *kubernetesPlan) security() []change {
	var found []change
	if p.f.SELinux != "" {
		c := p.finding("selinux", "containers can work with it")
		c.Have = p.f.SELinux
		if p.f.SELinux == "enforcing" && p.f.OpenShift == "" && !p.f.selinuxPolicy {
			c.warn("container-selinux is not installed: containers will be denied what they need")
			c.Hint = "install container-selinux, or set SELinux to permissive"
		}
		found = append(found, c)
	}
	if p.f.AppArmor != "" {
		c := p.finding("apparmor", "containers can work with it")
		c.Have = p.f.AppArmor
		if p.f.AppArmor == "enabled" && !p.f.parser && p.f.Container == "" {
			c.warn("apparmor_parser is not installed: runtimes start containers without a profile, and some not at all")
		}
		found = append(found, c)
	}
	if p.f.Firewall != nil {
		found = append(found, p.firewall())
	}
	return found
}

func (p *kubernetesPlan) firewall() change {
	ports := nodePorts(p.k.ControlPlane || p.f.APIServer != "")
	c := p.finding("firewalld", "off, or with Kubernetes' ports open")
	fw := p.f.Firewall
	var closed, flags []string
	for _, port := range ports {
		if !fw.Open && !fw.lets(port) {
			closed = append(closed, strconv.Itoa(port))
			flags = append(flags, fmt.Sprintf("--add-port=%d/tcp", port))
		}
	}
	c.Have = "on; zone " + fw.Zone + " lets the ports in"
	if closed != nil {
		c.State = Unmet
		c.Have = "on; zone " + fw.Zone + " does not let TCP " + strings.Join(closed, ", ") + " in"
		c.Hint = "firewall-cmd --permanent --zone=" + fw.Zone + " " + strings.Join(flags, " ") + " && firewall-cmd --reload; the network of pods needs ports of its own"
	}
	return c
}
