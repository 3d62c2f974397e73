package tasks

import (
	"time"

	"github.com/runai-prep/runai-prep/inventory"
)

// Kubernetes is what must be so before a host joins a cluster, and must stay so:
// versions that fit each other, no swap, modules and settings of the kernel,
// free ports, a name, a clock. What is a host's setting is fixed; what is
// somebody's software is told. Nothing installed yet is how a host is before it
// joins, and no fault.
//
// The probe reads files, lets one grep look into all those of which only lines
// matter, and asks each program that is there for its version, under a deadline.
// Who holds a port, and what a name resolves to, is asked only where files do
// not say it.
var Kubernetes = Task{Name: "kubernetes", Probe: probeKubernetes, Read: readKubernetes, Plan: planKubernetes, Cluster: clusterOf, Timeout: 20 * time.Second, Independent: true}

// Where things are on every host.
const (
	modulesLoadPath = "/etc/modules-load.d/runai-prep.conf"
	// The name sorts after 99-sysctl.conf, which is /etc/sysctl.conf on most hosts.
	sysctlPath        = "/etc/sysctl.d/99-zz-runai-prep.conf"
	kubeletConfigPath = "/var/lib/kubelet/config.yaml"
	kubeletFlagsPath  = "/var/lib/kubelet/kubeadm-flags.env"
	apiServerPath     = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	zramPath          = "/etc/systemd/zram-generator.conf"
)

// kubernetesWished reports whether a host runs containers, or will, and anybody
// asks what that takes.
func kubernetesWished(h inventory.Host) bool {
	return h.Kubernetes != nil && h.Kubernetes.Why != "" && h.Role != "proxy"
}

// kubernetesFacts are what a host is like for Kubernetes.
type kubernetesFacts struct {
	Services
	System    System `json:"system"`
	OpenShift string `json:"openshift"` // release of a Red Hat CoreOS; empty: it is none
	Container string `json:"container"` // the file that says so; empty: it has a kernel of its own

	Hostname    string `json:"hostname"`
	MachineID   string `json:"machine_id"`
	ProductUUID string `json:"product_uuid"` // empty: none, or to be seen by root alone
	// Resolves: "hosts" where /etc/hosts has the hostname, else the address
	// found for it; empty: none.
	Resolves string `json:"resolves"`

	Programs []nodeProgram `json:"programs"` // whose versions matter
	Running  []string      `json:"running"`  // units that matter, of which there are processes

	Swaps     []swapFacts    `json:"swaps"`
	SwapUnits []string       `json:"swap_units"` // what brings swap back at boot, beside fstab
	Available byteFacts      `json:"available"`  // memory
	Modules   []moduleFacts  `json:"modules"`
	Sysctls   []sysctlFacts  `json:"sysctls"`
	Settings  []settingFacts `json:"settings"` // lines of files that are read at boot

	Cgroups        string            `json:"cgroups"`         // v1, hybrid, v2
	CgroupDrivers  map[string]string `json:"cgroup_drivers"`  // by kubelet and runtimes; absent: not configured
	APIServer      string            `json:"api_server"`      // version of its static pod; empty: none here
	KubeletRuntime string            `json:"kubelet_runtime"` // the socket that kubelet is told; empty: not told

	Listening []listenFacts `json:"listening"`
	Interface string        `json:"interface"` // of the default route; empty: there is none
	MTU       int           `json:"mtu"`       // of that; 0: not known

	Clock *clockFacts `json:"clock"`

	SELinux  string         `json:"selinux"`  // enforcing, permissive, disabled; empty: the kernel has none
	AppArmor string         `json:"apparmor"` // enabled, disabled; empty: the kernel has none
	Firewall *firewallFacts `json:"firewalld"`

	Toolkit *toolkitFacts `json:"container_toolkit"` // nil: there is no GPU

	Cluster *clusterFacts `json:"cluster"` // nil: none was asked

	asked         bool
	ledger        ledger
	files         map[string]file
	boot          []string // the files that are read at boot, in the order of bootSettings
	bootID        string   // of the kernel that runs
	nameless      string   // why the hostname does not resolve
	selinuxPolicy bool     // that of containers is installed
	parser        bool     // apparmor_parser is there
}

// A nodeProgram is one that is there, and what it says of its version.
type nodeProgram struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Version string `json:"version"`         // "1.28.3"; empty: not understood
	Said    string `json:"said,omitempty"`  // where it was not
	Full    string `json:"full,omitempty"`  // "1.28.3+k3s1", where it says more
	Fault   string `json:"fault,omitempty"` // why it said nothing
}

// swapFacts are a line of /proc/swaps.
type swapFacts struct {
	Name string          `json:"name"`
	Type string          `json:"type"` // partition, file
	Size inventory.Bytes `json:"size"`
	Used inventory.Bytes `json:"used"`
}

type moduleFacts struct {
	Name   string `json:"name"`
	Loaded bool   `json:"loaded"` // or built in
}

type sysctlFacts struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Presence string `json:"presence"` // present, absent; fixed: it cannot be written
}

// settingFacts are a line of a file that is read at boot.
type settingFacts struct {
	File string `json:"file"`
	Line string `json:"line"`
}

// listenFacts are a TCP port that something listens on.
type listenFacts struct {
	Port   int    `json:"port"`
	Local  bool   `json:"local"`  // on loopback alone
	Holder string `json:"holder"` // "1234 (nginx)"; empty: not known, or not asked
	inode  string
}

type clockFacts struct {
	Host time.Time `json:"host"`
	// Controller is its clock when the host's answer had come.
	Controller time.Time `json:"controller"`
	// Delay is how much earlier the host may have said so.
	Delay   time.Duration `json:"delay_nanoseconds,omitempty"`
	Service string        `json:"service"` // that keeps it; empty: none is known to run
	Synced  string        `json:"synced"`  // yes, no; empty: not known
	Fault   string        `json:"fault,omitempty"`
}

// skew is by how much the host's clock is ahead of the controller's, at least
// and at most: its answer was under way for no longer than the delay.
func (c *clockFacts) skew() (least, most time.Duration) {
	least = c.Host.Sub(c.Controller)
	return least, least + c.Delay
}

// firewallFacts are those of a firewalld that runs.
type firewallFacts struct {
	Zone  string   `json:"zone"`
	Ports []string `json:"ports"` // that zone's: "10250/tcp", "30000-32767/tcp"
	// All is let through, by the zone's target or its services.
	Open bool `json:"open"`
}

// find is the program of a name; nil: it is not there.
func (f *kubernetesFacts) find(name string) *nodeProgram {
	for i := range f.Programs {
		if f.Programs[i].Name == name {
			return &f.Programs[i]
		}
	}
	return nil
}
