package tasks

import "strings"

// A Proof says what is done about one requirement of a profile.
type Proof struct {
	Findings []string // TASK/SUBJECT, that show it
	Words    string   // what there is to know of it
}

// Proves says what shows a requirement, by its key (see inventory.Row). False:
// no task looks at it, and Words say why or where to look.
func Proves(key string) (Proof, bool) {
	kind, rest, _ := strings.Cut(key, " ")
	switch kind {
	case "kubernetes", "openshift":
		p := Proof{Findings: []string{map[string]string{"kubernetes": "kubernetes/kubelet", "openshift": "kubernetes/openshift"}[kind]}}
		switch rest {
		case "recommended":
			p.Words = "An older one is a warning."
		case "excluded":
			p.Words = "Such a release is unmet."
		}
		return p, true
	case "gpu_operator":
		return Proof{Words: "It lives in the cluster: kubectl -n gpu-operator get clusterpolicy. Where it brings the driver, the task driver sees that and leaves it alone."}, false
	case "nvidia_driver":
		return Proof{Findings: []string{"driver/nvidia driver"}, Words: "Installed where an nvidia_driver block asks for it, verified on hosts of the role gpu otherwise."}, true
	case "fractional_gpu":
		switch rest {
		case "driver":
			return Proof{Findings: []string{"driver/nvidia driver"}, Words: "With fractional_gpu = true."}, true
		case "cuda":
			return Proof{Findings: []string{"driver/cuda"}, Words: "With fractional_gpu = true."}, true
		}
		return Proof{Findings: []string{"driver/image nvcr.io/nvidia/pytorch:24.01-py3"}, Words: "They live in images: of each of `images` in the inventory. Where none shows it is a warning."}, true
	case "runtimes":
		return Proof{Findings: []string{"kubernetes/containerd", "kubernetes/docker", "kubernetes/cri-o"}, Words: "Of the runtime that kubelet uses."}, true
	case "shared_storage":
		return Proof{Findings: []string{"nfs//mnt/data", "nfs/shared data volume"}, Words: "Each nfs_mount is mounted and proved; where none is declared, a shared filesystem is looked for, and its absence is a warning."}, true
	case "role":
		role, what, _ := strings.Cut(rest, ": ")
		if what == "stand-in" {
			return Proof{Findings: []string{"resources/role " + role}, Words: "Where no host has the role " + role + ", those of the stand-in are asked for as much; where none has either, it is a warning for the fleet."}, true
		}
		return Proof{Findings: []string{"resources/" + what}, Words: "Of hosts with the role " + role + "."}, true
	case "endpoint":
		return Proof{Findings: []string{"egress/" + rest}, Words: "Tried from the host; in the allowlist of firewalls and of squid."}, true
	case "advice":
		switch rest {
		case "time":
			return Proof{Findings: []string{"kubernetes/time"}}, true
		case "registry":
			return Proof{Findings: []string{"egress/quay.io:443", "registry/registry.corp.example:5000"}, Words: "Public registries are endpoints; a registry of the site is a registry block."}, true
		case "internal-network":
			return Proof{Findings: []string{"kubernetes/firewalld", "kubernetes/mtu"}, Words: "Only what stands in the way on the hosts themselves."}, true
		case "inbound":
			return Proof{Words: "Nothing has to be opened, and nothing is looked at."}, false
		}
		return Proof{Words: "For people."}, false
	}
	return Proof{}, false
}
