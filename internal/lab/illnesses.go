package lab

import (
	"fmt"
	"strings"
)

// wishedDriver is a version that the clinic's inventory wishes, by package
// manager.
var wishedDriver = map[string]string{"apt": "535.261.03", "dnf": "580.95.05", "zypper": "580.95.05"}

// packageNames are the names that differ between distributions.
type packageNames struct{ runtime, nfs string }

func (m *Machine) names() packageNames {
	switch m.spec.distro.manager {
	case "dnf":
		return packageNames{"containerd.io", "nfs-utils"}
	case "zypper":
		return packageNames{"containerd", "nfs-client"}
	}
	return packageNames{"containerd", "nfs-common"}
}

func withRuntime(m *Machine) { m.install(m.names().runtime) }

// fromImage is a host that somebody has put a driver on, and nothing else.
func fromImage(m *Machine) {
	withRuntime(m)
	m.withDriver(wishedDriver[m.spec.distro.manager])
}

// withDriver installs a driver as its packages do, held, for the kernels that
// there are.
func (m *Machine) withDriver(version string) {
	kernels := m.kernels()
	var names []string
	switch m.spec.distro.name {
	case "debian-12":
		revision := map[string]string{"535.183.01": "-1~deb12u1", "535.261.03": "-1", "535.309.01": "-0+deb12u1"}[version]
		for _, k := range kernels {
			names = append(names, "linux-headers-"+k)
		}
		m.install(append(names, "linux-headers-amd64", "dkms")...)
		names = []string{"nvidia-kernel-dkms", "nvidia-smi", "libcuda1", "nvidia-kernel-support", "nvidia-alternative", "libnvidia-ml1", "libnvidia-cfg1"}
		for i, name := range names {
			names[i] = name + "=" + version + revision
		}
		m.install(append(names, "nvidia-persistenced")...)
		m.hold("nvidia-kernel-dkms", "nvidia-smi", "libcuda1")
	case "ubuntu-22.04":
		b := branch(version)
		names = []string{"nvidia-headless-no-dkms-" + b + "-server", "nvidia-utils-" + b + "-server", "nvidia-compute-utils-" + b + "-server", "nvidia-kernel-common-" + b + "-server"}
		m.hold(append(names, "nvidia-kernel-source-"+b+"-server", "linux-modules-nvidia-"+b+"-server-"+kernels[0])...)
		for i, name := range names {
			names[i] = name + "=" + version + "-0ubuntu0.22.04.1"
		}
		for _, k := range kernels {
			names = append(names, "linux-modules-nvidia-"+b+"-server-"+k+"="+prebuiltFor(version, k))
		}
		m.install(names...)
	case "rocky-9":
		m.install("kernel-devel", "kernel-headers", "dkms")
		m.install("kmod-nvidia-open-dkms=3:"+version+"-1.el9", "nvidia-driver-cuda=3:"+version+"-1.el9")
		m.put("/etc/yum.repos.d/cuda-rhel9.repo", "[cuda-rhel9-x86_64]\nname=cuda-rhel9-x86_64\nbaseurl=https://"+cudaRepos+"rhel9/x86_64\nenabled=1\ngpgcheck=1\n")
		m.put("/etc/dnf/modules.d/nvidia-driver.module", "[nvidia-driver]\nname=nvidia-driver\nstream="+branch(version)+"-open\nprofiles=\nstate=enabled\n\n")
	case "sles-15":
		m.install("nvidia-open-driver-G06-signed-cuda-kmp-default="+version+"_k6.4.0_150600.21-150600.3.63.1", "nvidia-compute-utils-G06="+version+"-0", "nvidia-persistenced="+version+"-0")
	}
}

func (m *Machine) hold(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		m.held[name] = true
	}
}

// readyByHand is a host on which somebody did by hand what the inventory
// wishes.
func readyByHand(m *Machine) {
	prepared(m)
	if len(m.spec.gpus) > 0 {
		m.withDriver(wishedDriver[m.spec.distro.manager])
	}
}

// prepared is such a host but for the driver.
func prepared(m *Machine) {
	withRuntime(m)
	trusting(m)
	m.install(m.names().nfs)
	fstab, _ := m.ReadFile("/etc/fstab")
	m.put("/etc/fstab", fstab+nasName+":"+nasExport+" "+mountPath+" nfs rw,hard,noatime,vers=4.2,_netdev,nofail 0 0\n")
	var environment, dropIn strings.Builder
	dropIn.WriteString("[Service]\n")
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		value := proxyURL
		if name == "no_proxy" {
			value = noProxy + ",localhost,127.0.0.1,::1,.svc,.cluster.local"
		}
		for _, name := range []string{strings.ToUpper(name), name} {
			fmt.Fprintf(&environment, "%s=%s\n", name, value)
			fmt.Fprintf(&dropIn, "Environment=\"%s=%s\"\n", name, value)
		}
	}
	m.put("/etc/environment", environment.String())
	m.put("/etc/systemd/system/containerd.service.d/http-proxy.conf", dropIn.String())
	switch m.spec.distro.manager {
	case "apt":
		m.put("/etc/apt/apt.conf.d/80proxy", fmt.Sprintf("Acquire::http::Proxy %q;\nAcquire::https::Proxy %[1]q;\n", proxyURL))
	case "dnf":
		text, _ := m.ReadFile("/etc/dnf/dnf.conf")
		m.put("/etc/dnf/dnf.conf", text+"proxy="+proxyURL+"\n")
	case "zypper":
		text, _ := m.ReadFile("/etc/sysconfig/proxy")
		m.put("/etc/sysconfig/proxy", strings.NewReplacer(`PROXY_ENABLED="no"`, `PROXY_ENABLED="yes"`, `HTTP_PROXY=""`, `HTTP_PROXY="`+proxyURL+`"`,
			`HTTPS_PROXY=""`, `HTTPS_PROXY="`+proxyURL+`"`, `NO_PROXY="localhost, 127.0.0.1"`, `NO_PROXY="`+noProxy+`,localhost,127.0.0.1,::1,.svc,.cluster.local"`).Replace(text))
	}
}

// trusting is a host that knows the authority of the box behind the proxy.
func trusting(m *Machine) {
	const name = "corp-ca"
	anchor, bundle := "/usr/local/share/ca-certificates/"+name+".crt", "/etc/ssl/certs/ca-certificates.crt"
	switch m.spec.distro.manager {
	case "apt":
		m.must(m.fs.symlink(root, anchor, "/etc/ssl/certs/"+name+".pem"))
	case "dnf":
		anchor, bundle = "/etc/pki/ca-trust/source/anchors/"+name+".pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
	case "zypper":
		anchor, bundle = "/etc/pki/trust/anchors/"+name+".pem", "/var/lib/ca-certificates/ca-bundle.pem"
	}
	m.put(anchor, m.world.outside.CA)
	known, _ := m.ReadFile(bundle)
	m.put(bundle, known+m.world.outside.CA)
}

func noMount(m *Machine) {
	fstab, _ := m.ReadFile("/etc/fstab")
	readyByHand(m)
	m.put("/etc/fstab", fstab)
	m.uninstall(m.names().nfs)
}

func wrongProxy(m *Machine) {
	readyByHand(m)
	m.put("/etc/environment", "# by hand, for the trial in May\nhttp_proxy="+oldProxy+"\nhttps_proxy="+oldProxy+"\n")
	m.put("/etc/systemd/system/containerd.service.d/http-proxy.conf",
		"[Service]\nEnvironment=\"HTTP_PROXY="+oldProxy+"\" \"HTTPS_PROXY="+oldProxy+"\"\nEnvironment=NO_PROXY=localhost\n")
	m.put("/etc/apt/apt.conf.d/80proxy", fmt.Sprintf("Acquire::http::Proxy %q;\n", oldProxy))
}

func oldDriver(m *Machine) {
	prepared(m)
	m.withDriver("470.256.02")
	clear(m.held)
}

func staleMount(m *Machine) {
	fstab, _ := m.ReadFile("/etc/fstab")
	readyByHand(m)
	m.put("/etc/fstab", fstab+"# data for training, ticket 4711\n"+oldNAS+":/data "+mountPath+" nfs defaults,_netdev 0 0\n")
}

// withoutDriver is a host that has all but a driver.
func withoutDriver(m *Machine) { prepared(m) }

func otherBranch(m *Machine) {
	prepared(m)
	m.withDriver("570.158.01")
}

// unattendedUpgrade has replaced the packages of a driver that is in use.
func unattendedUpgrade(m *Machine) {
	clear(m.held)
	m.withDriver("535.309.01")
	clear(m.held)
}

// busyTraining is a host whose GPUs compute for somebody.
func busyTraining(m *Machine) {
	prepared(m)
	m.withDriver("535.183.01")
	clear(m.held)
	m.residents = append(m.residents, resident{
		args:   []string{"python3", "train.py", "--epochs", "90"},
		uid:    1000,
		cgroup: "0::/system.slice/docker-3f1c9d0b7a6e5d4c3b2a19088f7e6d5c4b3a29181706f5e4d3c2b1a09f8e7d6c.scope",
		files:  []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1"},
	})
}

// newKernel has come with an upgrade, and runs after the next boot.
func newKernel(m *Machine) {
	const release = "6.1.0-38-amd64"
	m.addKernel(release)
	m.mu.Lock()
	m.packages["linux-image-"+release] = &pkg{name: "linux-image-" + release, version: "6.1.147-1"}
	m.mu.Unlock()
}
