package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// The NVIDIA Container Toolkit is what lets a container see the GPUs of its
// host: packages, and a runtime that is told of it. The GPU Operator brings one
// of its own, in a container.

const (
	toolkitRepository = "https://nvidia.github.io/libnvidia-container"
	// The fingerprint of what that is signed with: "NVIDIA CORPORATION (Open Source Projects)".
	// Seen in https://github.com/NVIDIA/nvidia-container-toolkit/issues/650.
	toolkitKey        = "C95B321B61E88C1809C4F759DDCAE044F796ECB0"
	toolkitKeyPath    = "/etc/apt/keyrings/runai-prep-nvidia-container-toolkit.asc"
	toolkitAptPath    = "/etc/apt/sources.list.d/runai-prep-nvidia-container-toolkit.sources"
	toolkitRPMKeyPath = "/etc/pki/rpm-gpg/runai-prep-nvidia-container-toolkit.pub"
	toolkitYumPath    = "/etc/yum.repos.d/runai-prep-nvidia-container-toolkit.repo"
	toolkitZyppPath   = "/etc/zypp/repos.d/runai-prep-nvidia-container-toolkit.repo"
	toolkitPackage    = "nvidia-container-toolkit"
)

// toolkitPaths are the repository, as we set it up.
var toolkitPaths = []string{toolkitKeyPath, toolkitAptPath, toolkitRPMKeyPath, toolkitYumPath, toolkitZyppPath}

// probeGPUHost looks for an NVIDIA GPU on the PCI bus, and for the toolkit where
// there is one. Which keys rpm trusts matters only where zypper is to be given one.
func probeGPUHost(h inventory.Host) string {
	script := `toolkit=
for dir in /sys/bus/pci/devices/*; do
	if [ -r "$dir/vendor" ] && [ -r "$dir/class" ]; then
		read -r vendor <"$dir/vendor"
		if [ "$vendor" = 0x10de ]; then
			read -r class <"$dir/class"
			case $class in
			0x0300* | 0x0302*)
				toolkit=yes
				break
				;;
			esac
		fi
	fi
done
if [ -n "$toolkit" ]; then
	echo '@gpus'
	if [ -e /proc/driver/nvidia/version ]; then echo '!driver'; fi
	for name in nvidia-ctk nvidia-container-runtime; do
		if which "$name"; then printf '@tool %s %s\n' "$name" "$which"; fi
	done
	for file in /usr/local/nvidia/toolkit/nvidia-container-runtime /run/nvidia/toolkit; do
		if [ -e "$file" ]; then
			printf '@tool operator %s\n' "$file"
			break
		fi
	done
	for file in ` + strings.Join(toolkitPaths, " ") + `; do
		if [ -e "$file" ]; then once "$file"; fi
	done
`
	if h.Toolkit != nil {
		script += `	if [ "$manager_name" = zypper ]; then
		slurp ` + toolkitZyppPath + `
		case $slurped in *' ` + toolkitPrint(h) + `.'*) ;; *) ran trusted rpm -q --qf '%{version}\n' gpg-pubkey ;; esac
	fi
`
	}
	return script + "fi\n"
}

// toolkitPrint is the fingerprint of the key that the repository is signed with.
func toolkitPrint(h inventory.Host) string {
	if key := h.Toolkit.RepositoryKey; key != "" {
		return key
	}
	return toolkitKey
}

// toolkitFacts are what a host with GPUs has of the toolkit.
type toolkitFacts struct {
	Driver   bool   `json:"driver"`   // is loaded
	CTK      string `json:"ctk"`      // nvidia-ctk; empty: not there
	Runtime  string `json:"runtime"`  // nvidia-container-runtime
	Operator bool   `json:"operator"` // the GPU Operator has brought one
	// Trusted are the keys that rpm trusts, by the end of their fingerprints; asked
	// where zypper is to be given one.
	Trusted []string `json:"rpm_keys,omitempty"`
}

// trusts reports whether rpm trusts a key.
func (t *toolkitFacts) trusts(fingerprint string) bool {
	return slices.ContainsFunc(t.Trusted, func(end string) bool { return strings.HasSuffix(fingerprint, end) })
}

func (r *kubernetesReader) toolkit(b block) {
	f := r.f
	if f.Toolkit == nil {
		f.Toolkit = &toolkitFacts{}
	}
	name, path, _ := strings.Cut(b.rest, " ")
	switch {
	case b.kind == "gpus":
		f.Toolkit.Driver = b.noted("driver")
	case b.kind == "trusted":
		for _, line := range b.lines {
			if end := strings.ToUpper(line); strings.Trim(end, "0123456789ABCDEF") == "" && len(end) >= 8 {
				f.Toolkit.Trusted = append(f.Toolkit.Trusted, end)
			}
		}
	case name == "nvidia-ctk":
		f.Toolkit.CTK = path
	case name == "nvidia-container-runtime":
		f.Toolkit.Runtime = path
	case name == "operator":
		f.Toolkit.Operator = true
	}
}

// told reports whether a runtime's configuration names NVIDIA's.
func (f *kubernetesFacts) told(name string) bool {
	isNVIDIA := func(runtimes any) bool {
		table, _ := runtimes.(map[string]any)
		_, ok := table["nvidia"]
		return ok
	}
	switch name {
	case "containerd":
		for _, has := range f.containerdConfigs() {
			doc, err := parseTOML(has.content)
			if err != nil {
				continue
			}
			for _, plugin := range criRuntimePlugins {
				if isNVIDIA(tomlAt(doc, "plugins", plugin, "containerd", "runtimes")) {
					return true
				}
			}
		}
	case "dockerd":
		doc, err := parseJSON(f.files[dockerPath].content)
		return err == nil && isNVIDIA(doc["runtimes"])
	case "crio":
		for _, has := range f.crioConfigs() {
			if doc, err := parseTOML(has.content); err == nil && isNVIDIA(tomlAt(doc, "crio", "runtime", "runtimes")) {
				return true
			}
		}
	}
	return false
}

// untold are the runtimes that run a cluster's containers, or may, and that do
// not know of NVIDIA's.
func (f *kubernetesFacts) untold() []string {
	var names []string
	for _, name := range []string{"containerd", "dockerd", "crio"} {
		if f.find(name) == nil || name == "containerd" && f.noCRI() || f.told(name) {
			continue
		}
		names = append(names, name)
	}
	return names
}

func (p *kubernetesPlan) toolkit() []change {
	c := change{Finding: Finding{Subject: "toolkit", State: OK, Want: "NVIDIA Container Toolkit for each runtime", Why: p.why}}
	t, wish := p.f.Toolkit, p.h.Toolkit
	var version string
	for _, name := range []string{"nvidia-ctk", "nvidia-container-cli"} {
		if has := p.f.find(name); has != nil && version == "" {
			version = has.Version
		}
	}
	installed := t.CTK != "" && t.Runtime != ""
	untold := p.f.untold()
	switch {
	case installed:
		c.Have = strings.TrimSpace("installed " + version)
	case t.Operator:
		c.Have = "brought by the GPU Operator"
	default:
		c.Have = "not installed"
	}
	var names []string
	for _, name := range untold {
		names = append(names, runtimeNames[name])
	}
	if names != nil && installed {
		c.Have += "; not told of it: " + strings.Join(names, ", ")
	}
	if wish == nil {
		switch {
		case t.Operator:
		case !installed:
			c.warn("containers see no GPU here, unless the GPU Operator brings the toolkit; container_toolkit {} installs it")
		case names != nil:
			c.warn("%s does not know of it; container_toolkit {} configures it", strings.Join(names, ", "))
		}
		if p.why == "" {
			return nil // nobody asks for Kubernetes here
		}
		return []change{c}
	}
	c.Why = wish.Why
	if wish.Constraint != "" {
		c.Want += ", " + wish.Constraint
	}
	p.keepToolkit()
	switch {
	case t.Operator && !installed:
		c.State = Unmet
		c.Hint = "the GPU Operator keeps it: leave container_toolkit out for this host, or set toolkit.enabled=false for the operator"
		return []change{c}
	case installed && version != "" && !versionWithin(version, wish.Constraint) && !isExact(wish.Constraint):
		c.State, c.Hint = Unmet, "upgrade "+toolkitPackage+", or change version"
		return []change{c}
	case installed && version == "" && wish.Constraint != "":
		c.State, c.Have = Unknown, "nvidia-ctk does not say its version"
		return []change{c}
	}
	if !installed || version != "" && !versionWithin(version, wish.Constraint) {
		if !p.installToolkit(&c) {
			return []change{c}
		}
	}
	for _, name := range untold {
		if !p.tellRuntime(&c, name) {
			return []change{c}
		}
	}
	if c.Steps != nil {
		c.State = Pending
		c.Steps = slices.Insert(c.Steps, 0, afterDriver())
		if len(untold) == 0 {
			c.Hint = "runtimes know of it already"
		}
	}
	return []change{c}
}

// keepToolkit keeps the repository that we set up.
func (p *kubernetesPlan) keepToolkit() {
	for _, path := range toolkitPaths {
		p.keep(path)
	}
}

// isExact reports whether a constraint names one version.
func isExact(constraint string) bool { return exactVersion(constraint) != "" }

func exactVersion(constraint string) string {
	v := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(constraint), "="))
	if v == "" || strings.Trim(v, "0123456789.") != "" || strings.Count(v, ".") != 2 {
		return ""
	}
	return v
}

// packagesOf are the toolkit's packages, of one version where one is wished.
func packagesOf(manager, constraint string) []string {
	v := exactVersion(constraint)
	if v == "" {
		return []string{toolkitPackage}
	}
	between := "="
	if manager == "dnf" || manager == "yum" {
		between = "-"
	}
	var names []string
	for _, name := range []string{toolkitPackage, "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1"} {
		names = append(names, fmt.Sprintf("%s%s%s-1", name, between, v))
	}
	return names
}
