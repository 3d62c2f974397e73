package tasks

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A member is a host of the fleet that runs containers, or will.
type member struct {
	host  inventory.Host
	facts *kubernetesFacts
}

// acrossKubernetes compares those whose cluster it will be: what each must have
// for itself, and what all must have alike.
func acrossKubernetes(hosts []HostFacts) []FleetFinding {
	var members []member
	for _, h := range hosts {
		if f, ok := h.Facts["kubernetes"].(*kubernetesFacts); ok && f.asked && kubernetesWished(h.Host) {
			members = append(members, member{h.Host, f})
		}
	}
	servers := apiServers(members)
	if len(members) < 2 {
		return append(servers, mixedDrivers(hosts)...)
	}
	why := members[0].host.Kubernetes.Why
	found := distinct(members, "machine-id", "a machine-id", why, func(m member) string { return m.facts.MachineID },
		"one was cloned from the other, or both from one image: on each but one rm /etc/machine-id, systemd-machine-id-setup, and reboot")
	found = append(found, distinct(members, "product_uuid", "a product_uuid", why, func(m member) string {
		if m.facts.Container != "" { // it is the machine's
			return ""
		}
		return m.facts.ProductUUID
	}, "give each machine a UUID of its own: in the firmware, or in the definition of the virtual machine")...)
	found = append(found, distinct(members, "hostname", "a name", why, func(m member) string { return strings.ToLower(m.facts.Hostname) },
		"hostnamectl set-hostname: kubelet takes it for the node's name")...)
	found = append(found, equalMTU(members, why)...)
	found = append(found, clockSpread(members, why)...)
	found = append(found, mixedVersions(members, why)...)
	found = append(found, servers...)
	return append(found, mixedDrivers(hosts)...)
}

// distinct finds what several hosts have that each must have for itself: a
// finding for each such value, or one that says that there is none.
func distinct(members []member, subject, what, why string, of func(member) string, hint string) []FleetFinding {
	having := map[string][]string{}
	var values []string
	for _, m := range members {
		v := of(m)
		if v == "" {
			continue
		}
		if having[v] == nil {
			values = append(values, v)
		}
		having[v] = append(having[v], m.host.Name)
	}
	want := what + " for each host"
	var found []FleetFinding
	for _, v := range values {
		if names := having[v]; len(names) > 1 {
			found = append(found, FleetFinding{Task: "kubernetes", Hosts: names, Finding: Finding{
				Subject: subject + " " + v, State: Unmet, Want: want, Why: why, Hint: hint,
				Have: fmt.Sprintf("%d hosts have %s", len(names), v),
			}})
		}
	}
	if found == nil && len(values) > 1 {
		found = append(found, FleetFinding{Task: "kubernetes", Finding: Finding{
			Subject: subject, State: OK, Want: want, Why: why, Have: fmt.Sprintf("%d hosts, all different", len(values)),
		}})
	}
	return found
}

// equalMTU: pods whose packets do not fit through another node's interface lose
// them without a word.
func equalMTU(members []member, why string) []FleetFinding {
	of := map[int][]string{}
	for _, m := range members {
		if m.facts.MTU > 0 {
			of[m.facts.MTU] = append(of[m.facts.MTU], m.host.Name)
		}
	}
	if len(of) == 0 {
		return nil
	}
	// What most have, and of equals the larger.
	sizes := slices.SortedFunc(maps.Keys(of), func(a, b int) int { return cmp.Or(cmp.Compare(len(of[b]), len(of[a])), cmp.Compare(b, a)) })
	f := FleetFinding{Task: "kubernetes", Finding: Finding{
		Subject: "mtu", State: OK, Want: "the same on every host", Why: why, Have: strconv.Itoa(sizes[0]) + " on all",
	}}
	if len(sizes) > 1 {
		var words []string
		other := map[string]bool{}
		for i, size := range sizes {
			words = append(words, fmt.Sprintf("%d on %d", size, len(of[size])))
			for _, name := range of[size] {
				other[name] = i > 0
			}
		}
		for _, m := range members {
			if other[m.host.Name] {
				f.Hosts = append(f.Hosts, m.host.Name)
			}
		}
		f.State, f.Have = Unmet, strings.Join(words, ", ")
		f.Hint = fmt.Sprintf("set %d on the interface of their default route, and in the network between", sizes[0])
	}
	return []FleetFinding{f}
}

// clockSpread: hosts that are each near the controller's clock may stand twice
// as far from each other.
func clockSpread(members []member, why string) []FleetFinding {
	var first, last member
	var low, high, most time.Duration
	for _, m := range members {
		c := m.facts.Clock
		if c == nil || c.Controller.IsZero() {
			continue
		}
		// As far apart as they are at least: what cannot be told is unknown of the host.
		atLeast, atMost := c.skew()
		if first.facts == nil || atMost < low {
			first, low = m, atMost
		}
		if last.facts == nil || atLeast > high {
			last, high = m, atLeast
		}
		if most == 0 || m.host.Kubernetes.TimeSkew.Value < most {
			most = cmp.Or(m.host.Kubernetes.TimeSkew.Value, time.Second)
		}
	}
	if first.facts == nil || first.host.Name == last.host.Name {
		return nil
	}
	f := FleetFinding{Task: "kubernetes", Finding: Finding{
		Subject: "clocks", State: OK, Want: "within " + most.String() + " of each other", Why: why, Have: "within " + most.String(),
	}}
	if spread := high - low; spread > most {
		f.Hosts = []string{first.host.Name, last.host.Name}
		f.State, f.Have = Unmet, fmt.Sprintf("%s apart: %s behind %s", spread.Round(100*time.Millisecond), first.host.Name, last.host.Name)
		f.Hint = "let all hosts take the time from the same NTP servers"
		if first.facts.Container != "" && last.facts.Container != "" {
			f.State, f.Warning, f.Hosts = OK, "the clocks are of the machines that these containers run on", nil
		}
	}
	return []FleetFinding{f}
}

// mixedVersions warns of nodes of several minor versions, which is how an upgrade
// looks while it lasts.
func mixedVersions(members []member, why string) []FleetFinding {
	count := map[string]int{}
	for _, m := range members {
		if node := m.facts.node(); node != nil && node.Version != "" {
			parts := strings.Split(node.Version, ".")
			count[strings.Join(parts[:2], ".")]++
		}
	}
	return mixed("kubernetes", "kubelet versions", why, count, "kubelets are of several minor versions")
}

// apiServers holds the version of each cluster that was asked against what is wished
// of its hosts: who joins it takes it as it is.
func apiServers(members []member) []FleetFinding {
	var found []FleetFinding
	var names []string // what tells several clusters apart
	seen := map[remote.Cluster]bool{}
	for _, m := range members {
		in := clusterOf(m.host)
		if in == nil || seen[*in] || m.facts.Cluster == nil || m.facts.Cluster.OpenShift != "" { // whose own version stands with each host
			continue
		}
		seen[*in] = true
		p := kubernetesPlan{h: m.host, f: m.facts, k: *m.host.Kubernetes, why: m.host.Kubernetes.Why}
		c := p.ranged("api server", p.k.Version)
		if has := m.facts.Cluster; has.VersionFault != "" {
			c.State, c.Have = Unknown, has.VersionFault
		} else if c.Have = has.Version; !p.supported(&c, has.Version) {
			c.Hint = "upgrade the cluster to a release of this range, or wish the release of Run:ai that supports it"
		}
		found = append(found, FleetFinding{Task: "kubernetes", Finding: c.Finding})
		names = append(names, cmp.Or(in.Context, path.Base(in.Kubeconfig)))
	}
	if len(found) > 1 {
		for i := range found {
			found[i].Subject += " of " + names[i]
		}
	}
	return found
}

// mixedDrivers warns of several versions of the NVIDIA driver: an image that
// runs on one host may not on another.
func mixedDrivers(hosts []HostFacts) []FleetFinding {
	count := map[string]int{}
	why := ""
	for _, h := range hosts {
		f, ok := h.Facts["driver"].(*driverFacts)
		if !ok || f.Loaded.Version == "" {
			continue
		}
		count[f.Loaded.Version]++
		if why == "" && h.Host.Driver != nil {
			why = h.Host.Driver.Why
		}
	}
	return mixed("driver", "driver versions", cmp.Or(why, "what the GPU hosts have"), count, "hosts run several versions of the NVIDIA driver")
}

func mixed(task, subject, why string, count map[string]int, warning string) []FleetFinding {
	if len(count) == 0 {
		return nil
	}
	var words []string
	for _, v := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s on %d", v, count[v]))
	}
	f := FleetFinding{Task: task, Finding: Finding{Subject: subject, State: OK, Want: "one on all hosts", Why: why, Have: strings.Join(words, ", ")}}
	if len(count) > 1 {
		f.Warning = warning
	}
	return []FleetFinding{f}
}
