package lab

import "strings"

const debianLibs = "/usr/lib/x86_64-linux-gnu/nvidia/current/"

// persistence is the unit of nvidia-persistenced.
var persistence = map[string]string{"nvidia-persistenced.service": "[Unit]\nDescription=NVIDIA Persistence Daemon\nWants=syslog.target\n\n[Service]\nType=forking\nExecStart=/usr/bin/nvidia-persistenced --user nvpd\nExecStopPost=/bin/rm -rf /var/run/nvidia-persistenced\n\n[Install]\nWantedBy=multi-user.target\n"}

// library is a shared library of a driver with its link.
func library(dir, name, version string) (data, links map[string]string) {
	return map[string]string{dir + name + ".so." + version: elf + name + " " + version + "\n"}, map[string]string{dir + name + ".so.1": name + ".so." + version}
}

// nvidiaDebian is NVIDIA's driver as Debian's non-free has it. version is the
// driver's, revision Debian's.
func nvidiaDebian(version, revision string) (nonFree, firmware []*pkg) {
	v := version + "-" + revision
	ml, mlLinks := library(debianLibs, "libnvidia-ml", version)
	cuda, cudaLinks := library(debianLibs, "libcuda", version)
	source := func(name, license string) map[string]string {
		return map[string]string{"/usr/src/" + name + "-" + version + "/dkms.conf": dkmsConf(name, version, moduleFile{license: license}, "/updates/dkms", name)}
	}
	nonFree = []*pkg{
		{name: "nvidia-kernel-dkms", section: "non-free/kernel", dkms: "nvidia-current", data: source("nvidia-current", "NVIDIA"), initrd: true,
			provides: []string{"nvidia-kernel-dkms-any"},
			depends:  []string{"nvidia-installer-cleanup", "firmware-nvidia-gsp (= " + v + ")", "nvidia-kernel-support--v1", "dkms (>= 3.0.3-4~)"}},
		{name: "nvidia-open-kernel-dkms", section: "non-free/kernel", dkms: "nvidia-current-open", data: source("nvidia-current-open", "Dual MIT/GPL"), initrd: true,
			depends:   []string{"nvidia-installer-cleanup", "firmware-nvidia-gsp (= " + v + ")", "nvidia-open-kernel-support", "dkms (>= 3.0.3-4~)"},
			conflicts: []string{"nvidia-kernel-dkms-any"}},
		{name: "nvidia-kernel-support", section: "non-free/kernel", provides: []string{"nvidia-kernel-support--v1"}, initrd: true,
			depends: []string{"nvidia-alternative (= " + v + ")", "nvidia-kernel-common (>= 20151021)", "nvidia-modprobe (>= 535)"},
			data:    debianModprobe("nvidia-current")},
		{name: "nvidia-open-kernel-support", section: "non-free/kernel", initrd: true,
			depends:   []string{"nvidia-alternative (= " + v + ")", "nvidia-kernel-common (>= 20151021)", "nvidia-modprobe (>= 535)"},
			conflicts: []string{"nvidia-kernel-support--v1"},
			data:      debianModprobe("nvidia-current-open")},
		{name: "nvidia-alternative", section: "non-free/libs", depends: []string{"glx-alternative-nvidia (>= 1.2)", "nvidia-legacy-check (>= 495)"}},
		{name: "nvidia-legacy-check", section: "non-free/libs"},
		{name: "nvidia-smi", section: "non-free/utils", programs: []string{"/usr/bin/nvidia-smi"},
			depends: []string{"nvidia-alternative (= " + v + ")", "libnvidia-ml1 (= " + v + ")"}},
		{name: "libnvidia-ml1", section: "non-free/libs", data: ml, links: mlLinks, depends: []string{"nvidia-alternative (= " + v + ")"}},
		{name: "libcuda1", section: "non-free/libs", data: cuda, links: cudaLinks,
			depends: []string{"nvidia-alternative (= " + v + ")", "libnvidia-ptxjitcompiler1 (= " + v + ")"}},
		{name: "libnvidia-ptxjitcompiler1", section: "non-free/libs"},
		{name: "libnvidia-cfg1", section: "non-free/libs", depends: []string{"nvidia-alternative (= " + v + ")"}},
	}
	firmware = []*pkg{{name: "firmware-nvidia-gsp", section: "non-free-firmware/kernel"}}
	for _, p := range append(append([]*pkg{}, nonFree...), firmware...) {
		p.version = v
	}
	return nonFree, firmware
}

// debianModprobe is what Debian puts into modprobe.d, by way of alternatives:
// its modules' files are not named as NVIDIA's.
func debianModprobe(files string) map[string]string {
	return map[string]string{
		"/etc/modprobe.d/nvidia-blacklists-nouveau.conf": "# You need to run \"update-initramfs -u\" after editing this file.\n\n# see #580894\nblacklist nouveau\n",
		"/etc/modules-load.d/nvidia.conf":                "nvidia-drm\n",
		"/etc/modprobe.d/nvidia.conf": strings.ReplaceAll(`install nvidia modprobe -i FILES $CMDLINE_OPTS

install nvidia-modeset modprobe nvidia ; modprobe -i FILES-modeset $CMDLINE_OPTS

install nvidia-drm modprobe nvidia-modeset ; modprobe -i FILES-drm $CMDLINE_OPTS

install nvidia-uvm modprobe nvidia ; modprobe -i FILES-uvm $CMDLINE_OPTS

install nvidia-peermem modprobe nvidia ; modprobe -i FILES-peermem $CMDLINE_OPTS

# unloading needs the internal names (i.e. upstream's names, not our renamed files)

remove nvidia modprobe -r -i nvidia-drm nvidia-modeset nvidia-peermem nvidia-uvm nvidia

remove nvidia-modeset modprobe -r -i nvidia-drm nvidia-modeset

alias char-major-195* nvidia
`, "FILES", files),
	}
}

// debianContrib is what the driver needs of contrib.
func debianContrib() []*pkg {
	return []*pkg{
		{name: "nvidia-persistenced", version: "535.171.04-1~deb12u1", section: "contrib/utils", programs: []string{"/usr/bin/nvidia-persistenced"},
			depends: []string{"libnvidia-cfg1"}, units: persistence},
		{name: "nvidia-modprobe", version: "535.161.07-1~deb12u1", section: "contrib/utils", programs: []string{"/usr/bin/nvidia-modprobe"}},
		{name: "nvidia-kernel-common", version: "20220217+3~deb12u1", section: "contrib/kernel"},
		{name: "nvidia-installer-cleanup", version: "20220217+3~deb12u1", section: "contrib/misc"},
		{name: "glx-alternative-nvidia", version: "1.2.2", section: "contrib/libs", depends: []string{"update-glx (= 1.2.2)"}},
		{name: "update-glx", version: "1.2.2", section: "contrib/x11"},
	}
}

// debianToolchain is what DKMS builds with.
func debianToolchain(dkms, gcc, make string) []*pkg {
	return []*pkg{
		{name: "dkms", version: dkms, section: "kernel", programs: []string{"/usr/sbin/dkms"}, depends: []string{"gcc", "make", "patch"}},
		{name: "gcc", version: gcc, section: "devel", programs: []string{"/usr/bin/gcc"}},
		{name: "make", version: make, section: "devel", programs: []string{"/usr/bin/make"}},
		{name: "patch", version: "2.7.6-7", section: "vcs", programs: []string{"/usr/bin/patch"}},
	}
}

// debianHeaders are a kernel's headers.
func debianHeaders(kernel, version string) *pkg {
	return &pkg{name: "linux-headers-" + kernel, version: version, section: "kernel", headers: kernel,
		data:  map[string]string{"/usr/src/linux-headers-" + kernel + "/Makefile": "all:\n"},
		links: map[string]string{"/usr/lib/modules/" + kernel + "/build": "/usr/src/linux-headers-" + kernel}}
}

// prebuiltFor is the version of the package with a driver's modules for a
// kernel: the kernel's, and how often they have been built for it.
func prebuiltFor(version, kernel string) string {
	build := "+2"
	if version == "535.183.01" {
		build = "+1"
	}
	return strings.TrimSuffix(kernel, "-generic") + ".153" + build
}

// nvidiaUbuntu is a branch of the driver for servers as Ubuntu has it, with
// modules that Canonical has built and signed for kernel.
func nvidiaUbuntu(version, kernel string) []*pkg {
	b := branch(version)
	v := version + "-0ubuntu0.22.04.1"
	dir := "/usr/lib/x86_64-linux-gnu/"
	data, links := library(dir, "libnvidia-ml", version)
	cuda, cudaLinks := library(dir, "libcuda", version)
	for file, text := range cuda {
		data[file] = text
	}
	for file, target := range cudaLinks {
		links[file] = target
	}
	one := func(p pkg, virtual string) *pkg {
		p.version, p.section = v, "restricted/libs"
		if virtual != "" {
			p.provides, p.conflicts = append(p.provides, virtual), append(p.conflicts, virtual)
		}
		return &p
	}
	list := []*pkg{
		one(pkg{name: "libnvidia-compute-" + b + "-server", data: data, links: links}, "libnvidia-compute"),
		one(pkg{name: "nvidia-utils-" + b + "-server", programs: []string{"/usr/bin/nvidia-smi"}, depends: []string{"libnvidia-compute-" + b + "-server"}}, "nvidia-utils"),
		one(pkg{name: "nvidia-compute-utils-" + b + "-server", programs: []string{"/usr/bin/nvidia-persistenced"}, units: persistence,
			depends: []string{"libnvidia-compute-" + b + "-server"}}, "nvidia-compute-utils"),
		one(pkg{name: "nvidia-kernel-common-" + b + "-server", initrd: true, programs: []string{"/usr/bin/nvidia-modprobe"},
			data: map[string]string{"/usr/lib/modprobe.d/nvidia-graphics-drivers.conf": "blacklist nouveau\nblacklist lbm-nouveau\nalias nouveau off\nalias lbm-nouveau off\n"}}, "nvidia-kernel-common"),
		{name: "nvidia-fabricmanager-" + b, version: v, section: "multiverse/libs", programs: []string{"/usr/bin/nv-fabricmanager"},
			units: map[string]string{"nvidia-fabricmanager.service": service("NVIDIA fabric manager service", "/usr/bin/nv-fabricmanager -c /usr/share/nvidia/nvswitch/fabricmanager.cfg")}},
	}
	for flavour, license := range map[string]string{"": "NVIDIA", "-open": "Dual MIT/GPL"} {
		if flavour == "-open" && compareVersions(b, "515") < 0 {
			continue
		}
		name := "nvidia-srv" + flavour
		f := moduleFile{version: version, license: license}
		list = append(list,
			one(pkg{name: "nvidia-headless-no-dkms-" + b + "-server" + flavour,
				depends: []string{"nvidia-kernel-common-" + b + "-server", "nvidia-compute-utils-" + b + "-server", "nvidia-kernel-source-" + b + "-server" + flavour}}, "nvidia-headless-no-dkms"),
			one(pkg{name: "nvidia-headless-" + b + "-server" + flavour,
				depends: []string{"nvidia-headless-no-dkms-" + b + "-server" + flavour, "nvidia-dkms-" + b + "-server" + flavour}}, ""),
			one(pkg{name: "nvidia-kernel-source-" + b + "-server" + flavour}, "nvidia-kernel-source"),
			one(pkg{name: "nvidia-dkms-" + b + "-server" + flavour, dkms: name, initrd: true, depends: []string{"dkms (>= 2.1.0.0)", "nvidia-kernel-common-" + b + "-server"},
				data: map[string]string{"/usr/src/" + name + "-" + version + "/dkms.conf": dkmsConf(name, version, f, "/updates/dkms", "nvidia")}}, "nvidia-dkms-kernel"),
		)
		built := map[string]string{}
		f.signer = "Canonical Ltd. Kernel Module Signing"
		for end, one := range nvidiaModules(f) {
			built[kernel+"/kernel/nvidia-"+b+"srv"+flavour+"/nvidia"+end+".ko"] = one.String()
		}
		list = append(list, &pkg{name: "linux-modules-nvidia-" + b + "-server" + flavour + "-" + kernel, version: prebuiltFor(version, kernel), section: "restricted/kernel",
			depends: []string{"nvidia-kernel-common-" + b + "-server"}, kernel: built, initrd: true})
	}
	return list
}
