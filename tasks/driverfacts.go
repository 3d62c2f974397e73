package tasks

import "github.com/runai-prep/runai-prep/remote"

// driverFacts are everything about the NVIDIA driver of a host. There are five
// places that can disagree: the packages, the module built for the running
// kernel, the one built for the kernel of the next boot, the module loaded,
// and the user space.
type driverFacts struct {
	System
	Services
	Hostname string `json:"hostname"` // the kernel's, as kubelet takes it for the node's name

	GPUs       []gpu  `json:"gpus"`        // NVIDIA GPUs on the PCI bus: classes 0300 and 0302
	NVSwitches int    `json:"nvswitches"`  // class 0680 of vendor 10de
	SecureBoot string `json:"secure_boot"` // on, off; none: no EFI; empty: cannot be told

	// Kernels are the running one and, where it is another, that of the next boot.
	Kernels []driverKernel `json:"kernels"`
	Loaded  loadedDriver   `json:"loaded"`
	Nouveau nouveauFacts   `json:"nouveau"`

	UserSpace string           `json:"user_space"`       // version of libnvidia-ml.so.1, else libcuda.so.1; empty: none
	SMI       *smiFacts        `json:"nvidia_smi"`       // nil: not asked
	Packages  []driverPackage  `json:"packages"`         // NVIDIA's, dkms and kernel headers, as installed
	Runfile   string           `json:"runfile"`          // version that NVIDIA's own installer has put here; empty: none
	Owner     string           `json:"owner"`            // who else keeps the driver: gpu-operator, dgx-os, ublue…; empty: nobody
	Units     []driverUnit     `json:"units"`            // services that use or keep the driver
	Processes []gpuProcess     `json:"processes"`        // that have /dev/nvidia* open
	Offers    []driverOffer    `json:"offers"`           // what the host's repositories have; nil: not asked, for nothing is to be installed
	Sources   driverSources    `json:"sources"`          // which repositories are set up
	Images    []remote.Reached `json:"images,omitempty"` // how the way to each image went, and what it is
	Reboot    string           `json:"reboot"`           // why the host waits for a reboot; empty: it does not
	Space     map[string]int64 `json:"space"`            // bytes free for root, by folder: /usr, /boot, /var; absent: not looked at

	asked           bool   // the host was looked at for a wish: else these facts are empty
	userPath        string // the library that UserSpace is the version of
	dpkgInterrupted bool   // an interrupted dpkg waits to be finished
	dkms            bool   // dkms is installed
	mok             string // of the key that DKMS signs with: enrolled, requested; empty: neither, or not looked at
	initramfs       string // what rebuilds it: update-initramfs, dracut, mkinitrd; empty: nothing found
	ledger          ledger
	files           map[string]file // of ours, and of others where they matter: modprobe.d, preferences, sources, keyrings
}

// A gpu is one on the PCI bus.
type gpu struct {
	Address    string `json:"address"`    // "0000:17:00.0"
	Device     string `json:"device"`     // PCI device id: "2330"
	Name       string `json:"name"`       // "H100 SXM5 80GB"; empty: not in the table
	Generation string `json:"generation"` // "Hopper"; empty: not in the table
	Driver     string `json:"driver"`     // bound to it: nvidia, nouveau, vfio-pci; empty: none
	Up         bool   `json:"up"`         // the driver has brought it up at least once, as its UUID shows
	Excluded   bool   `json:"excluded"`   // the driver was told to leave it alone
}

// A driverKernel is one kernel of a host and its NVIDIA module.
type driverKernel struct {
	Release string `json:"release"` // as uname -r
	Running bool   `json:"running"`
	Next    bool   `json:"next"`    // of the next boot
	Why     string `json:"why"`     // it is that of the next boot: "the first entry of grub"
	Guessed bool   `json:"guessed"` // that it is that of the next boot: grub's choice was not understood
	Headers bool   `json:"headers"` // /lib/modules/RELEASE/build leads somewhere with a Makefile
	Module  string `json:"module"`  // version of the NVIDIA module on disk for it; empty: none
	Path    string `json:"path"`    // of that module's file
	Open    bool   `json:"open"`    // it is the open one (licence Dual MIT/GPL)
	Signed  bool   `json:"signed"`  // it carries a signature
	DKMS    string `json:"dkms"`    // "535.261.03 installed", "535.261.03 added", "535.261.03 failed"; empty: not DKMS'
}

// A loadedDriver is the module in the kernel's memory.
type loadedDriver struct {
	Version  string   `json:"version"` // /proc/driver/nvidia/version, else /sys/module/nvidia/version; empty: not loaded
	Open     bool     `json:"open"`
	Modules  []string `json:"modules"`  // nvidia, nvidia_uvm, nvidia_drm…
	RefCount int      `json:"refcount"` // of all its modules, those by each other taken off: open devices, consoles, modules of others
	Display  int      `json:"display"`  // of these, what holds nvidia_drm: a console, a display, who is logged in at one
	Holders  []string `json:"holders"`  // modules of others that hold it: nvidia_fs, gdrdrv
}

// nouveauFacts are about the driver that keeps NVIDIA's from loading.
type nouveauFacts struct {
	Loaded      bool   `json:"loaded"`
	InUse       bool   `json:"in_use"`      // something holds it: it cannot be unloaded
	Blacklisted string `json:"blacklisted"` // the file of modprobe.d that does it; empty: none
	Initramfs   string `json:"initramfs"`   // of the next boot's kernel: "stale" (older than the blacklist), "fresh"; empty: cannot be told
}

// smiFacts are what nvidia-smi said within its deadline.
type smiFacts struct {
	Exit   int    `json:"exit"` // 0; 9: no driver; 18: version mismatch; 124, 137: it hung
	Driver string `json:"driver"`
	CUDA   string `json:"cuda"` // the newest that the driver supports
	GPUs   int    `json:"gpus"`
	Said   string `json:"said"` // its words when it failed
}

// A driverPackage is installed, or was.
type driverPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"` // the package manager's, revision included
	Held    bool   `json:"held"`
	Broken  bool   `json:"broken"` // neither installed nor gone: half-configured and the like
	From    string `json:"from"`   // the repository it came from, where the manager knows; may be empty
}

// A driverOffer is a version of a package that a repository of the host has.
type driverOffer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	From    string `json:"from"` // "bookworm/non-free", a dnf repository's id, "nvidia-driver:550-open" of a module stream
	Best    bool   `json:"best"` // the one that the manager would take by itself
}

// driverSources are the repositories that a driver may come from, as set up.
type driverSources struct {
	NonFree bool   `json:"non_free"` // Debian: the component is enabled for the host's own suite
	CUDA    string `json:"cuda"`     // address of NVIDIA's repository or a mirror of it; empty: not set up
	Modular bool   `json:"modular"`  // dnf: NVIDIA's repository has module streams
	// Streams are those of dnf's module nvidia-driver: "550-open", "latest-dkms";
	// one that is enabled has "[e]" behind it. Only with Offers.
	Streams []string `json:"streams"`

	repositories []repository
}

// A driverUnit is a service of systemd's that uses or keeps the driver.
type driverUnit struct {
	Name    string `json:"name"`    // nvidia-persistenced, nvidia-fabricmanager, nvidia-dcgm, dcgm-exporter, …
	Active  bool   `json:"active"`  // it runs
	Begins  bool   `json:"begins"`  // it is being started, perhaps again and again for it fails
	Enabled bool   `json:"enabled"` // it will after a boot
	Masked  bool   `json:"masked"`  // somebody has seen to it that it cannot
	Command string `json:"command"` // what it runs: "/usr/bin/nvidia-persistenced --user nvpd --no-persistence-mode"
}

// A gpuProcess has a GPU open.
type gpuProcess struct {
	PID       int    `json:"pid"`
	User      string `json:"user"`      // its name where /etc/passwd has it, else the number
	Command   string `json:"command"`   // /proc/PID/comm
	Container string `json:"container"` // "docker 3f1c…", "pod 5b7e… (containerd)"; empty: none
	Unit      string `json:"unit"`      // the service of systemd's that it belongs to; empty: none
}

// A repository is one that the host's manager is told of. Only with Offers.
type repository struct {
	file     string // that tells of it
	id       string // dnf's and zypper's
	uri      string // may hold credentials
	suite    string // apt's
	parts    []string
	signedBy string
	disabled bool
}
