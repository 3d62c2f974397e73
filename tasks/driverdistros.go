package tasks

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// This file is what is known of who packages the driver how, as data. In names
// {B} stands for the branch and {K} for a kernel's release.

// A packaging is how the driver is packaged for some systems by one source.
type packaging struct {
	title    string // as messages name it
	source   string // distro, cuda-repo
	ids      []string
	versions string // constraint on the system's version; empty: any
	manager  []string

	proprietary, open packageSet

	stream    bool     // NVIDIA's repository has one module stream of dnf's for each branch and flavour
	headers   []string // what DKMS builds with, for each kernel; nil: the modules come built
	meta      string   // brings the headers of coming kernels along: {F} is the kernel's flavour
	fabric    []string // the fabric manager; the first that is offered
	openFirst bool     // the packager's choice where both kinds drive the GPUs, whatever the branch
}

// A packageSet are the packages of one flavour.
type packageSet struct {
	key    []string // their offers are the versions to choose from; the first that is offered
	same   []string // have the version of key; | between names of which one is there
	loose  []string // have a version of their own
	kernel []string // of each kernel: built modules
	brings []string // packages with modules that a key which is a metapackage brings
	signed bool     // the modules are signed by a key that Secure Boot has from the start
}

var packagings = []packaging{
	{
		// packages.debian.org: nvidia-kernel-dkms depends on support and firmware
		// of its version; nvidia-persistenced has a version of its own, and the
		// one of trixie would take libtirpc and with it libc6 along.
		title: "Debian's non-free", source: "distro", ids: []string{"debian"}, manager: []string{"apt"},
		proprietary: packageSet{key: []string{"nvidia-kernel-dkms"}, same: []string{"nvidia-smi", "libcuda1"}, loose: []string{"nvidia-persistenced"}},
		open:        packageSet{key: []string{"nvidia-open-kernel-dkms"}, same: []string{"nvidia-smi", "libcuda1"}, loose: []string{"nvidia-persistenced"}},
		headers:     []string{"linux-headers-{K}"}, meta: "linux-headers-{F}",
		// Debian has none: it is NVIDIA's, from whichever archive the host is told of.
		fabric: []string{"nvidia-fabricmanager-{B}", "nvidia-fabricmanager"},
	},
	{
		// Ubuntu Server's guide on NVIDIA drivers: the prebuilt modules are signed
		// by Canonical; nvidia-compute-utils has persistenced.
		title: "Ubuntu's archive, with modules that Canonical has signed", source: "distro", ids: []string{"ubuntu"}, manager: []string{"apt"},
		proprietary: packageSet{
			key:    []string{"nvidia-headless-no-dkms-{B}-server"},
			same:   []string{"nvidia-utils-{B}-server", "nvidia-compute-utils-{B}-server", "nvidia-kernel-common-{B}-server"},
			kernel: []string{"linux-modules-nvidia-{B}-server-{K}"}, signed: true,
		},
		open: packageSet{
			key:    []string{"nvidia-headless-no-dkms-{B}-server-open"},
			same:   []string{"nvidia-utils-{B}-server", "nvidia-compute-utils-{B}-server", "nvidia-kernel-common-{B}-server"},
			kernel: []string{"linux-modules-nvidia-{B}-server-open-{K}"}, signed: true,
		},
		fabric: []string{"nvidia-fabricmanager-{B}"},
	},
	{
		// All four named for a branch change, or apt keeps the old branch's half.
		title: "Ubuntu's archive, with DKMS", source: "distro", ids: []string{"ubuntu"}, manager: []string{"apt"},
		proprietary: packageSet{
			key:  []string{"nvidia-headless-{B}-server"},
			same: []string{"nvidia-headless-no-dkms-{B}-server", "nvidia-dkms-{B}-server", "nvidia-kernel-source-{B}-server", "nvidia-utils-{B}-server", "nvidia-compute-utils-{B}-server"},
		},
		open: packageSet{
			key:  []string{"nvidia-headless-{B}-server-open"},
			same: []string{"nvidia-headless-no-dkms-{B}-server-open", "nvidia-dkms-{B}-server-open", "nvidia-kernel-source-{B}-server-open", "nvidia-utils-{B}-server", "nvidia-compute-utils-{B}-server"},
		},
		headers: []string{"linux-headers-{K}"}, fabric: []string{"nvidia-fabricmanager-{B}"},
	},
	{
		// SUSE's guide "NVIDIA GPU drivers": the signed KMP is SUSE's, user space is
		// NVIDIA's of the same version; persistenced is a package since 570.
		title: "SUSE's G06 packages", source: "distro", ids: []string{"sles", "sled", "opensuse-leap"}, versions: ">= 15, < 16", manager: []string{"zypper"},
		open: packageSet{
			key:   []string{"nvidia-open-driver-G06-signed-cuda-kmp-default", "nvidia-open-driver-G06-signed-kmp-default"},
			same:  []string{"nvidia-compute-utils-G06"},
			loose: []string{"nvidia-persistenced"}, signed: true,
		},
		proprietary: packageSet{key: []string{"nvidia-driver-G06-kmp-default"}, same: []string{"nvidia-compute-utils-G06"}, loose: []string{"nvidia-persistenced"}},
		openFirst:   true, fabric: []string{"nvidia-fabricmanager"},
	},
	{
		// NVIDIA's driver installation guide, Debian and Ubuntu: named by branch up
		// to 580, without the branch from 590 on.
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"debian", "ubuntu"}, manager: []string{"apt"},
		proprietary: packageSet{key: []string{"cuda-drivers-{B}", "cuda-drivers"}, brings: []string{"nvidia-kernel-dkms", "nvidia-dkms-{B}", "nvidia-dkms"}},
		open:        packageSet{key: []string{"nvidia-open-{B}", "nvidia-open"}, brings: []string{"nvidia-kernel-open-dkms", "nvidia-dkms-{B}-open", "nvidia-dkms-open"}},
		headers:     []string{"linux-headers-{K}"}, meta: "linux-headers-{F}",
		fabric: []string{"nvidia-fabricmanager-{B}", "nvidia-fabricmanager"},
	},
	{
		// The same guide, "Compute-only": RHEL 8 and 9, Rocky, Alma, Amazon Linux 2023.
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"rhel", "rocky", "almalinux", "ol", "centos"}, versions: ">= 8, < 10", manager: []string{"dnf"},
		proprietary: packageSet{key: []string{"kmod-nvidia-latest-dkms", "kmod-nvidia-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		open:        packageSet{key: []string{"kmod-nvidia-open-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		stream:      true, headers: []string{"kernel-devel-{K}", "kernel-headers"}, fabric: []string{"nvidia-fabric-manager", "nvidia-fabricmanager"},
	},
	{
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"amzn"}, versions: ">= 2023", manager: []string{"dnf"},
		proprietary: packageSet{key: []string{"kmod-nvidia-latest-dkms", "kmod-nvidia-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		open:        packageSet{key: []string{"kmod-nvidia-open-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		stream:      true, headers: []string{"kernel-devel-{K}", "kernel-headers", "kernel-modules-extra-{K}"}, fabric: []string{"nvidia-fabric-manager", "nvidia-fabricmanager"},
	},
	{
		// EL 10 and Fedora have no module streams: one repository, locked by version.
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"rhel", "rocky", "almalinux", "ol", "centos"}, versions: ">= 10", manager: []string{"dnf"},
		proprietary: packageSet{key: []string{"kmod-nvidia-latest-dkms", "kmod-nvidia-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		open:        packageSet{key: []string{"kmod-nvidia-open-dkms"}, same: []string{"nvidia-driver-cuda"}, loose: []string{"nvidia-persistenced"}},
		headers:     []string{"kernel-devel-{K}", "kernel-headers"}, fabric: []string{"nvidia-fabricmanager"},
	},
	{
		// EL 7 (yum-packaging-nvidia-driver, guide rhel7): flavours in the names.
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"rhel", "centos", "ol", "scientific"}, versions: ">= 7, < 8", manager: []string{"yum"},
		proprietary: packageSet{key: []string{"kmod-nvidia-latest-dkms", "kmod-nvidia-dkms"}, same: []string{"nvidia-driver-latest-dkms-cuda|nvidia-driver-cuda", "nvidia-persistenced-latest-dkms|nvidia-persistenced"}},
		open:        packageSet{key: []string{"kmod-nvidia-open-dkms"}, same: []string{"nvidia-driver-latest-dkms-cuda|nvidia-driver-cuda", "nvidia-persistenced-latest-dkms|nvidia-persistenced"}},
		headers:     []string{"kernel-devel-{K}", "kernel-headers"}, fabric: []string{"nvidia-fabricmanager-{B}", "nvidia-fabric-manager"},
	},
	{
		title: "NVIDIA's repository", source: "cuda-repo", ids: []string{"sles", "sled", "opensuse-leap"}, versions: ">= 15, < 16", manager: []string{"zypper"},
		open:        packageSet{key: []string{"nvidia-open-driver-G06-signed-cuda-kmp-default"}, same: []string{"nvidia-compute-utils-G06"}, loose: []string{"nvidia-persistenced"}, signed: true},
		proprietary: packageSet{key: []string{"nvidia-driver-G06-kmp-default"}, same: []string{"nvidia-compute-utils-G06"}, loose: []string{"nvidia-persistenced"}},
		openFirst:   true, fabric: []string{"nvidia-fabricmanager"},
	},
}

// packagingsOf are the rows for a host and source, in order of preference.
func packagingsOf(f *driverFacts, source string) []packaging {
	return slices.DeleteFunc(slices.Clone(packagings), func(p packaging) bool {
		return p.source != source || !slices.Contains(p.ids, f.ID) || !slices.Contains(p.manager, f.Manager) || !p.fits(f.System.Version)
	})
}

func (p packaging) fits(system string) bool {
	if p.versions == "" {
		return true
	}
	bounds, err := version.NewConstraint(p.versions)
	if err != nil {
		return false
	}
	v, err := version.NewVersion(system)
	return err == nil && bounds.Check(v)
}

func (p packaging) set(open bool) packageSet {
	if open {
		return p.open
	}
	return p.proprietary
}

// fill puts a branch and a kernel into a name.
func fill(name string, branch int, kernel string) string {
	return strings.NewReplacer("{B}", strconv.Itoa(branch), "{K}", kernel, "{F}", kernelFlavor(kernel)).Replace(name)
}

// kernelFlavor is "cloud-amd64" of Debian's "6.1.0-56-cloud-amd64" and of
// "6.12.117+deb13-cloud-amd64".
func kernelFlavor(release string) string {
	if m := debianRelease.FindStringSubmatch(release); m != nil {
		return m[1]
	}
	return ""
}

var debianRelease = regexp.MustCompile(`^\d+\.\d+\.\d+(?:-\d+|\+[a-z0-9.]+)-([a-z][a-z0-9-]*)$`)

// matches reports whether a name is one of a pattern, and of which branch.
func matches(pattern, name string) (branch int, ok bool) {
	head, tail, patterned := strings.Cut(pattern, "{B}")
	if !patterned {
		return 0, name == pattern
	}
	rest, ok := strings.CutPrefix(name, head)
	if !ok {
		return 0, false
	}
	number, ok := strings.CutSuffix(rest, tail)
	if !ok {
		return 0, false
	}
	branch, err := strconv.Atoi(number)
	return branch, err == nil && branch > 0
}

// Patterns by which a package is known for what it holds, whoever packaged it.
// Those whose version is a kernel's (linux-modules-nvidia-…) are not among them.
var (
	kernelPackage = regexp.MustCompile(`^(nvidia(-tesla-\d+)?(-open)?-kernel(-open)?-dkms|nvidia-dkms(-\d+)?(-server)?(-open)?|kmod-nvidia(-latest|-open|-branch-\d+)?(-dkms)?|nvidia-open-driver-G\d+(-signed)?(-cuda)?-kmp-[a-z0-9]+|nvidia(-driver|-gfx)?-?G\d+-kmp-[a-z0-9]+)$`)
	userPackage   = regexp.MustCompile(`^(nvidia-smi|libcuda1|nvidia-(tesla-\d+-)?smi|nvidia-utils-\d+(-server)?|libnvidia-compute(-\d+)?(-server)?|nvidia-driver(-latest-dkms|-branch-\d+)?-cuda|nvidia-compute(-utils)?-?G\d+|nvidia-headless-no-dkms-\d+(-server)?(-open)?)$`)
	ownVersion    = regexp.MustCompile(`^(nvidia-(modprobe|persistenced|settings|xconfig|container-.*|docker.*|fs.*|gds.*|peermem.*)|libnvidia-container.*|cuda-keyring)$`)
	fabricPackage = regexp.MustCompile(`^nvidia-fabric-?manager(-\d+)?$`)
	prebuilt      = regexp.MustCompile(`^linux-modules-nvidia-\d+`)
	branchNamed   = regexp.MustCompile(`(nvidia|cuda)[a-z0-9-]*-(\d{3})(-|$)`)
)

// repositories are the names of NVIDIA's repositories, and the key that each is
// signed with: its file there, and its fingerprint.
var repositories = []struct {
	ids      []string
	versions string
	name     string // of the folder; {V}: the version without dots, {M}: its first number
	key      string
	print    string
}{
	{[]string{"debian"}, ">= 10, < 13", "debian{M}", "3bf863cc.pub", cudaKey2022},
	{[]string{"debian"}, ">= 13", "debian{M}", "8793F200.pub", "02182E60104FCDC26EAE1B8597A5D4CB8793F200"},
	{[]string{"ubuntu"}, ">= 18.04", "ubuntu{V}", "3bf863cc.pub", cudaKey2022},
	{[]string{"rhel", "rocky", "almalinux", "ol", "centos"}, ">= 7, < 10", "rhel{M}", "D42D0685.pub", cudaKeyRPM},
	// Its full fingerprint could not be verified, so nothing is trusted here.
	{[]string{"rhel", "rocky", "almalinux", "ol", "centos"}, ">= 10", "rhel{M}", "CDF6BA43.pub", ""},
	{[]string{"amzn"}, ">= 2023", "amzn2023", "D42D0685.pub", cudaKeyRPM},
	{[]string{"sles", "sled"}, ">= 15, < 16", "sles15", "D42D0685.pub", cudaKeyRPM},
	{[]string{"opensuse-leap"}, ">= 15, < 16", "opensuse15", "D42D0685.pub", cudaKeyRPM},
}

const (
	cudaHome    = "https://developer.download.nvidia.com/compute/cuda/repos/"
	cudaKey2022 = "EB693B3035CD5710E231E123A4B469963BF863CC"
	cudaKeyRPM  = "610C7B14E068A878070DA4E99CD0A493D42D0685"
)
