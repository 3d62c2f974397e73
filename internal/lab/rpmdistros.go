package lab

import "strings"

const (
	rockyKernel = "5.14.0-570.17.1.el9_6.x86_64"
	slesKernel  = "6.4.0-150600.23.53-default"
	cudaRepos   = "developer.download.nvidia.com/compute/cuda/repos/"
)

func rocky9() distro {
	return distro{
		name: "rocky-9", manager: "dnf", sh: "bash",
		kernel:  rockyKernel,
		version: "Linux version " + rockyKernel + " (mockbuild@iad1-prod-build001.bld.equ.rockylinux.org) (gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5), GNU ld version 2.35.2-63.el9) #1 SMP PREEMPT_DYNAMIC Wed May 21 22:17:27 UTC 2025",
		modules: []string{"xfs", "igb", "nvme", "nvme_core", "sunrpc"},
		installed: map[string]string{
			"bash": "5.1.8-9.el9", "ca-certificates": "2024.2.69_v8.0.303-91.4.el9_4", "coreutils": "8.32-39.el9", "dnf": "4.14.0-25.el9",
			"kernel": "5.14.0-570.17.1.el9_6", "kernel-core": "5.14.0-570.17.1.el9_6", "kmod": "28-10.el9", "openssh-server": "8.7p1-45.el9.rocky.0.1",
			"rpm": "4.16.1.3-37.el9", "sudo": "1.9.5p2-10.el9_6.1", "systemd": "252-51.el9", "util-linux": "2.37.4-21.el9",
		},
		programs: map[string]string{
			"/usr/bin":             "dnf rpm update-ca-trust curl gpg dracut",
			"/usr/libexec/openssh": "sftp-server",
		},
		repositories: rockyRepositories(),
	}
}

func sles15() distro {
	return distro{
		name: "sles-15", manager: "zypper", sh: "bash",
		kernel:  slesKernel,
		version: "Linux version " + slesKernel + " (geeko@buildhost) (gcc (SUSE Linux) 7.5.0, GNU ld (GNU Binutils; SUSE Linux Enterprise 15) 2.43.1) #1 SMP PREEMPT_DYNAMIC Wed May 28 09:12:10 UTC 2025",
		modules: []string{"btrfs", "igb", "nvme", "nvme_core", "sunrpc"},
		installed: map[string]string{
			"bash": "4.4-150400.27.3.2", "ca-certificates": "2+git20240416.98ae794-150300.4.3.3", "coreutils": "8.32-150400.9.6.1", "kernel-default": "6.4.0-150600.23.53.1",
			"kmod": "29-150600.13.3", "openssh-server": "9.6p1-150600.6.26.1", "rpm": "4.14.3-150400.59.16.1", "sudo": "1.9.15p5-150600.3.9.1",
			"systemd": "254.25-150600.4.33.1", "util-linux": "2.39.3-150600.4.15.1", "zypper": "1.14.89-150600.10.31.1",
		},
		programs: map[string]string{
			"/usr/bin":     "zypper rpm curl gpg dracut",
			"/usr/sbin":    "update-ca-certificates mkinitrd",
			"/usr/lib/ssh": "sftp-server",
		},
		repositories: slesRepositories(),
	}
}

// rpmRepo is a repository at an address.
func rpmRepo(uri string, packages ...*pkg) *repository {
	r := &repository{uri: uri, packages: packages}
	for _, p := range packages {
		p.repo = r
	}
	return r
}

// rpmServers are the packages that are not about GPUs, as EL and SUSE name
// them.
func rpmServers(nfs, version string) []*pkg {
	return []*pkg{
		{name: nfs, version: version, depends: []string{"rpcbind"}, programs: []string{"/usr/sbin/mount.nfs", "/usr/sbin/mount.nfs4", "/usr/sbin/umount.nfs", "/usr/sbin/umount.nfs4", "/usr/sbin/showmount"},
			units: map[string]string{"nfs-client.target": "[Unit]\nDescription=NFS client services\n\n[Install]\nWantedBy=multi-user.target\n"}},
		{name: "rpcbind", version: "1.2.6-7.2", programs: []string{"/usr/sbin/rpcbind"}, units: map[string]string{"rpcbind.service": service("RPC Bind", "/usr/bin/rpcbind -w -f")}},
		{name: "gcc", version: "11.5.0-5", programs: []string{"/usr/bin/gcc"}},
		{name: "make", version: "4.3-8", programs: []string{"/usr/bin/make"}},
	}
}

func containerd(name, version string) *pkg {
	return &pkg{name: name, version: version, programs: []string{"/usr/bin/containerd", "/usr/bin/ctr", "/usr/bin/containerd-shim-runc-v2"},
		units: map[string]string{"containerd.service": service("containerd container runtime", "/usr/bin/containerd")}}
}

func rockyRepositories() []*repository {
	release := strings.TrimSuffix(rockyKernel, ".x86_64")
	var cuda []*pkg
	for _, v := range []string{"570.158.01", "580.95.05"} {
		cuda = append(cuda, nvidiaEL(v, branch(v)+"-open", true)...)
		cuda = append(cuda, nvidiaEL(v, branch(v)+"-dkms", false)...)
	}
	return []*repository{
		rpmRepo("dl.rockylinux.org/pub/rocky/9/BaseOS/x86_64/os", append(rpmServers("nfs-utils", "1:2.5.4-34.el9"),
			&pkg{name: "kernel-headers", version: release},
			&pkg{name: "python3-dnf-plugin-versionlock", version: "4.3.0-20.el9", provides: []string{"dnf-command(versionlock)"},
				data: map[string]string{"/etc/dnf/plugins/versionlock.conf": "[main]\nenabled = 1\nlocklist = /etc/dnf/plugins/versionlock.list\n"}})...),
		rpmRepo("dl.rockylinux.org/pub/rocky/9/AppStream/x86_64/os",
			&pkg{name: "kernel-devel", version: release, headers: rockyKernel,
				data:  map[string]string{"/usr/src/kernels/" + rockyKernel + "/Makefile": "all:\n"},
				links: map[string]string{"/usr/lib/modules/" + rockyKernel + "/build": "/usr/src/kernels/" + rockyKernel}},
			containerd("containerd.io", "1.7.27-3.1.el9")),
		rpmRepo("dl.fedoraproject.org/pub/epel/9/Everything/x86_64",
			&pkg{name: "dkms", version: "3.1.8-1.el9", programs: []string{"/usr/sbin/dkms"}, depends: []string{"gcc", "make", "kernel-devel"}}),
		rpmRepo(cudaRepos+"rhel9/x86_64", cuda...),
	}
}

// nvidiaEL is the driver as NVIDIA's repository for EL 9 has it, in a module
// stream.
func nvidiaEL(version, stream string, open bool) []*pkg {
	v := "3:" + version + "-1.el9"
	flavour, other, license := "kmod-nvidia-latest-dkms", "kmod-nvidia-open-dkms", "NVIDIA"
	source := "nvidia"
	if open {
		flavour, other, license, source = other, flavour, "Dual MIT/GPL", "nvidia-open"
	}
	data, links := library("/usr/lib64/", "libnvidia-ml", version)
	cuda, cudaLinks := library("/usr/lib64/", "libcuda", version)
	for file, text := range cuda {
		data[file] = text
	}
	for file, target := range cudaLinks {
		links[file] = target
	}
	list := []*pkg{
		{name: flavour, dkms: source, depends: []string{"dkms", "nvidia-kmod-common (= " + v + ")"}, provides: []string{"nvidia-kmod (= " + v + ")"}, conflicts: []string{other},
			data: map[string]string{"/usr/src/" + source + "-" + version + "/dkms.conf": dkmsConf(source, version, moduleFile{license: license}, "/extra", "nvidia")}},
		{name: "nvidia-kmod-common", initrd: true, depends: []string{"nvidia-kmod (= " + v + ")"},
			data: map[string]string{"/usr/lib/modprobe.d/nvidia.conf": "# Nouveau must be blacklisted here as well beside from the initrd to avoid a\n# delayed loading (for example on Optimus laptops where the Nvidia card is not\n# driving the main display).\n\nblacklist nouveau\n"}},
		{name: "nvidia-driver-cuda", programs: []string{"/usr/bin/nvidia-smi"}, depends: []string{"nvidia-driver-cuda-libs (= " + v + ")", "nvidia-kmod-common (= " + v + ")", "nvidia-persistenced (= " + v + ")"}},
		{name: "nvidia-driver-cuda-libs", data: data, links: links},
		{name: "nvidia-persistenced", programs: []string{"/usr/bin/nvidia-persistenced"}, units: persistence},
		{name: "nvidia-modprobe", programs: []string{"/usr/bin/nvidia-modprobe"}},
		{name: "nvidia-fabric-manager", programs: []string{"/usr/bin/nv-fabricmanager"},
			units: map[string]string{"nvidia-fabricmanager.service": service("NVIDIA fabric manager service", "/usr/bin/nv-fabricmanager")}},
	}
	for _, p := range list {
		p.version, p.stream = v, stream
	}
	return list
}

func slesRepositories() []*repository {
	var user, kernel []*pkg
	for _, v := range []string{"570.158.01", "580.95.05"} {
		user = append(user, nvidiaSUSE(v)...)
		kernel = append(kernel, nvidiaKMP(v))
	}
	return []*repository{
		rpmRepo("updates.suse.com/SUSE/Products/SLE-Module-Basesystem/15-SP6/x86_64/product",
			append(append(rpmServers("nfs-client", "2.6.4-150600.28.9.2"), containerd("containerd", "1.7.27-150000.123.1"),
				&pkg{name: "kernel-default-devel", version: "6.4.0-150600.23.53.1", headers: slesKernel}), kernel...)...),
		rpmRepo("download.nvidia.com/suse/sle15sp6", user...),
	}
}

// nvidiaKMP is SUSE's own build of the open modules, signed.
func nvidiaKMP(version string) *pkg {
	built := map[string]string{}
	for end, one := range nvidiaModules(moduleFile{version: version, license: "Dual MIT/GPL", signer: "SUSE Linux Enterprise Secure Boot CA"}) {
		built[slesKernel+"/updates/nvidia"+end+".ko"] = one.String()
	}
	return &pkg{name: "nvidia-open-driver-G06-signed-cuda-kmp-default", version: version + "_k6.4.0_150600.21-150600.3.63.1", kernel: built, initrd: true,
		data: map[string]string{"/usr/lib/modprobe.d/50-nvidia-default.conf": "blacklist nouveau\noptions nvidia NVreg_DeviceFileUID=0\n"}}
}

// nvidiaSUSE is the user space of NVIDIA's repository for SUSE.
func nvidiaSUSE(version string) []*pkg {
	v := version + "-0"
	data, links := library("/usr/lib64/", "libnvidia-ml", version)
	cuda, cudaLinks := library("/usr/lib64/", "libcuda", version)
	for file, text := range cuda {
		data[file] = text
	}
	for file, target := range cudaLinks {
		links[file] = target
	}
	list := []*pkg{
		{name: "nvidia-compute-G06", data: data, links: links},
		{name: "nvidia-compute-utils-G06", programs: []string{"/usr/bin/nvidia-smi"}, depends: []string{"nvidia-compute-G06 (= " + v + ")"}},
		{name: "nvidia-persistenced", programs: []string{"/usr/bin/nvidia-persistenced"}, units: persistence},
	}
	for _, p := range list {
		p.version = v
	}
	return list
}

// curl fetches what the world outside has: the keys of NVIDIA's repositories.
func curl(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-f -s -S -L -I -k", "-o -m --max-time --output --unix-socket")
	if unknown != "" || len(args) != 1 {
		return p.lacks(orElse(unknown, "more than one address"))
	}
	host, _, _ := strings.Cut(address(args[0]), "/")
	switch {
	case p.machine.resolve(host) == "":
		return p.fail(6, "(6) Could not resolve host: %s", host)
	case !strings.HasPrefix(address(args[0]), cudaRepos) || !strings.HasSuffix(args[0], "/D42D0685.pub"):
		return p.fail(22, "(22) The requested URL returned error: 404")
	}
	if err := p.writeFile(orElse(set["-o"]+set["--output"], "/dev/stdout"), []byte(practiceKey), 0o644); err != nil {
		return p.fail(23, "(23) Failure writing output to destination")
	}
	return 0
}

const practiceFingerprint = "610C7B14E068A878070DA4E99CD0A493D42D0685"

const practiceKey = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\npractice key of NVIDIA's repositories\n-----END PGP PUBLIC KEY BLOCK-----\n"

// gpg shows the fingerprint of a key's file.
func gpg(p *process) int {
	set, args, unknown := permuted(p.args[1:], "--with-colons --with-fingerprint --show-keys --dry-run --import --batch --no-tty --quiet --armor --export", "--import-options --homedir")
	if unknown != "" || len(args) != 1 {
		return p.lacks(orElse(unknown, "without a file"))
	}
	ring := set["--homedir"] + "/pubring.kbx"
	if isSet(set, "--export") {
		if text, err := p.readFile(ring); err == nil && strings.HasSuffix(practiceFingerprint, args[0]) {
			p.print(string(text))
		}
		return 0
	}
	if text, err := p.readFile(args[0]); err != nil || string(text) != practiceKey {
		p.println("gpg: no valid OpenPGP data found.")
		return 2
	}
	if isSet(set, "--import") && isSet(set, "--homedir") {
		if err := p.writeFile(ring, []byte(practiceKey), 0o600); err != nil {
			return p.fail(2, "%v", err)
		}
		return 0
	}
	p.print("pub:-:4096:1:9CD0A493D42D0685:1649974200:::-:::escaESCA::::::23::0:\nfpr:::::::::" + practiceFingerprint + ":\nuid:-::::1649974200::0000::cudatools <cudatools@nvidia.com>::::::::::0:\n")
	return 0
}
