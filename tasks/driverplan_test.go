package tasks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
)

// A situation is a host and a wish, made of parts: each changes the host that
// the parts before it have made.
type situation struct {
	name  string
	parts []func(*driverFacts, *inventory.Driver)
}

// The plans of TestDriverPlan are in testdata/driverplan.txtar, in short: what
// is found, and what the steps are called. With -update they are written anew,
// and are to be read then. The cases in testdata/driver have the steps whole.
func TestDriverPlan(t *testing.T) {
	const path = "testdata/driverplan.txtar"
	archive, err := txtar.ParseFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if archive == nil {
		archive = &txtar.Archive{}
	}
	want := make(map[string]string)
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	archive.Comment = []byte("What is planned for the situations of TestDriverPlan.\n")
	archive.Files = nil
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			f, d := &driverFacts{}, wishedFor(">= 535.104, < 536")
			for _, part := range s.parts {
				part(f, d)
			}
			h := inventory.Host{Name: "gpu-01", Role: "gpu", Settings: &inventory.Settings{Driver: d, Sudo: inventory.Sudo{Enabled: true}}}
			found := planDriver(h, f)
			checkFindings(t, found)
			got := inShort(found)
			archive.Files = append(archive.Files, txtar.File{Name: s.name, Data: []byte(got)})
			if !*update && got != want[s.name] {
				t.Errorf("(-want +got):\n%s", cmp.Diff(want[s.name], got))
			}
			delete(want, s.name)
		})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if len(want) > 0 {
		t.Errorf("%s has plans of no situation: %v", path, want)
	}
}

func wishedFor(constraint string) *inventory.Driver {
	return &inventory.Driver{
		Constraint: constraint + ", >= 384.81", Source: "distro", Flavor: "auto", Reboot: "when-needed", Hold: true,
		Busy: "refuse", RequireGPU: true, NonFree: true, Why: "inventory.hcl:31",
	}
}

func inShort(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: have %s; want %s\n", f.State, f.Subject, f.Have, f.Want)
		if f.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", f.Hint)
		}
		for _, s := range f.Steps {
			b.WriteString("  " + s.Title)
			if s.Disrupts != "" {
				b.WriteString("  [" + s.Disrupts + "]")
			}
			b.WriteString("\n")
		}
		for _, s := range f.Back {
			b.WriteString("  back: " + s.Title + "\n")
		}
		for _, s := range f.After {
			b.WriteString("  after: " + s.Title + "\n")
		}
	}
	return b.String()
}

type part = func(*driverFacts, *inventory.Driver)

var situations = []situation{
	{"debian-12/none", []part{debian12}},
	{"debian-12/none, 535.309 wished", []part{debian12, wish(">= 535.288, < 536")}},
	{"debian-12/none, open", []part{debian12, flavor("open")}},
	{"debian-12/none, lists never fetched", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.Offers = []driverOffer{} }}},
	{"debian-12/none, lists never fetched, non-free-firmware off", []part{debian12, noFirmware, func(f *driverFacts, _ *inventory.Driver) { f.Offers = []driverOffer{} }}},
	{"debian-12/none, non-free off", []part{debian12, noNonFree}},
	{"debian-12/none, non-free-firmware off", []part{debian12, noFirmware}},
	{"debian-12/none, non-free-firmware off and to stay so", []part{debian12, noFirmware, func(_ *driverFacts, d *inventory.Driver) { d.NonFree = false }}},
	{"debian-12/none, non-free off and to stay so", []part{debian12, noNonFree, func(_ *driverFacts, d *inventory.Driver) { d.NonFree = false }}},
	{"debian-12/none, 550 wished, of trixie", []part{debian12, trixie, wish(">= 550, < 551")}},
	{"debian-12/none, the newest, and trixie is in the sources", []part{debian12, trixie, wish(">= 535")}},
	{"debian-12/none, 560 wished", []part{debian12, wish(">= 560")}},
	{"debian-12/none, nouveau holds the console", []part{debian12, nouveau(true)}},
	{"debian-12/none, nouveau idle", []part{debian12, nouveau(false)}},
	{"debian-12/none, nouveau, reboot never", []part{debian12, nouveau(true), func(_ *driverFacts, d *inventory.Driver) { d.Reboot = "never" }}},
	{"debian-12/none, two kernels, no headers", []part{debian12, nextKernel, noHeaders}},
	{"debian-12/none, headers of the running kernel are gone", []part{debian12, nextKernel, func(f *driverFacts, _ *inventory.Driver) {
		f.Kernels[0].Headers = false
		f.Kernels[1].Headers = false
		f.Offers = slices.DeleteFunc(f.Offers, func(o driverOffer) bool { return o.Name == "linux-headers-6.1.0-56-cloud-amd64" })
		offer(f, "bookworm-security/main", "6.1.200-1", "linux-headers-6.1.0-57-cloud-amd64")
	}}},
	{"debian-12/none, no space", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.Space["/var"] = 300 << 20 }}},
	{"debian-12/none, Secure Boot", []part{debian12, secureBoot}},
	{"debian-12/none, golden image", []part{debian12, func(f *driverFacts, d *inventory.Driver) { f.GPUs, d.RequireGPU = nil, false }}},
	{"debian-12/no GPU", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.GPUs = nil }}},
	{"debian-12/wished", []part{debian12, has535}},
	{"debian-12/wished, not held", []part{debian12, has535, func(f *driverFacts, _ *inventory.Driver) { held(f, false) }}},
	{"debian-12/wished, our hold no longer wished", []part{debian12, has535, ourHold, func(_ *driverFacts, d *inventory.Driver) { d.Hold = false }}},
	{"debian-12/wished, the next kernel has no module", []part{debian12, has535, nextKernel}},
	{"debian-12/old", []part{debian12, has535, wish(">= 535.288, < 536"), ourHold}},
	{"debian-12/old, held by somebody", []part{debian12, has535, wish(">= 535.288, < 536")}},
	{"debian-12/old, to 550 of trixie, with a way back", []part{debian12, trixie, has535, ourHold, wish(">= 550, < 551"), rollback}},
	{"debian-12/old, busy", []part{debian12, has535, ourHold, wish(">= 535.288, < 536"), busy}},
	{"debian-12/old, busy, waited for", []part{debian12, has535, ourHold, wish(">= 535.288, < 536"), busy, func(_ *driverFacts, d *inventory.Driver) { d.Busy, d.BusyWait = "wait", 30*time.Minute }}},
	{"debian-12/old, busy, drained", []part{debian12, has535, ourHold, wish(">= 535.288, < 536"), pods, func(_ *driverFacts, d *inventory.Driver) { d.Busy = "drain" }}},
	{"debian-12/wished, and left cordoned", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.ledger.entries = append(f.ledger.entries, cordonedEntry("gpu-01"))
	}}},
	{"debian-12/mismatched", []part{debian12, has535, mismatched}},
	{"debian-12/mismatched, something holds it", []part{debian12, has535, mismatched, func(f *driverFacts, _ *inventory.Driver) { f.Loaded.Holders = []string{"nvidia_fs"} }}},
	{"debian-12/old, something holds it", []part{debian12, has535, ourHold, wish(">= 535.288, < 536"), func(f *driverFacts, _ *inventory.Driver) { f.Loaded.Holders = []string{"nvidia_fs"} }}},
	{"debian-12/wished, an apply was cut off after it was unloaded", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.Loaded, f.Processes = loadedDriver{}, nil
		for i := range f.Units {
			f.Units[i].Active = false
		}
		f.Units = append(f.Units, driverUnit{Name: "nvidia-gridd"}, driverUnit{Name: "dcgm-exporter", Enabled: true})
		f.ledger.entries = append(f.ledger.entries, stoppedEntry("nvidia-persistenced"), stoppedEntry("nvidia-dcgm"))
	}}},
	{"debian-12/wished, a service did not start again", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.Units[1].Active = false
		f.ledger.entries = append(f.ledger.entries, stoppedEntry("nvidia-persistenced"), stoppedEntry("nvidia-dcgm"))
	}}},
	{"debian-12/wished, apt is still told of the former", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		was := pinContent("525.147.05")
		f.files[pinPath] = file{Path: pinPath, Presence: Present, content: was}
		f.ledger.entries = append(f.ledger.entries, fileEntry(pinPath, was))
	}}},
	{"debian-12/no module was built", []part{debian12, has535, func(f *driverFacts, _ *inventory.Driver) {
		f.Kernels[0].Module, f.Kernels[0].DKMS, f.Kernels[0].Headers, f.Loaded = "", "535.261.03 added", false, loadedDriver{}
	}}},
	{"debian-12/no module was built, and its headers are gone", []part{debian12, has535, func(f *driverFacts, _ *inventory.Driver) {
		f.Kernels[0].Module, f.Kernels[0].DKMS, f.Kernels[0].Headers, f.Loaded = "", "535.261.03 added", false, loadedDriver{}
		f.Offers = slices.DeleteFunc(f.Offers, func(o driverOffer) bool { return strings.HasPrefix(o.Name, "linux-headers-6") })
	}}},
	{"debian-12/half installed", []part{debian12, has535, func(f *driverFacts, _ *inventory.Driver) { f.Packages[0].Broken = true; f.dpkgInterrupted = true }}},
	{"debian-12/runfile", []part{debian12, has535, byRunfile}},
	{"debian-12/runfile, kept so", []part{debian12, has535, byRunfile, runfile("535.261.03")}},
	{"debian-12/runfile wished", []part{debian12, runfile("535.261.03")}},
	{"debian-12/runfile wished, packages own it", []part{debian12, has535, runfile("535.261.03")}},
	{"debian-12/Pascal with open modules", []part{debian12, gpus("Tesla P100", "Pascal"), flavor("open")}},
	{"debian-12/Kepler with 535", []part{debian12, gpus("Tesla K80", "Kepler")}},
	{"debian-12/Blackwell with 535", []part{debian12, gpus("B200", "Blackwell")}},
	{"debian-12/Blackwell with proprietary modules", []part{debian12, gpus("B200", "Blackwell"), wish(">= 570"), flavor("proprietary")}},
	{"debian-12/Pascal and Blackwell", []part{debian12, gpus("B200", "Blackwell"), wish(">= 570"), func(f *driverFacts, _ *inventory.Driver) {
		f.GPUs = append(f.GPUs, gpu{Address: "0000:65:00.0", Device: "15f8", Name: "Tesla P100", Generation: "Pascal"})
	}}},
	{"debian-12/GPU Operator", []part{debian12, func(f *driverFacts, _ *inventory.Driver) {
		f.Owner, f.Loaded = "gpu-operator", loadedDriver{Version: "550.54.15"}
	}}},
	{"debian-12/verify only, old", []part{debian12, has535, wish(">= 550"), func(_ *driverFacts, d *inventory.Driver) { d.Source = "none" }}},
	{"debian-12/verify only, as wished", []part{debian12, has535, func(_ *driverFacts, d *inventory.Driver) { d.Source = "none" }}},
	{"debian-12/fractional", []part{debian12, has535, func(_ *driverFacts, d *inventory.Driver) { d.FractionalGPU, d.MinCUDA = true, ">= 9.0" }}},
	{"debian-12/sudo off", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.rootless = true }}},
	{"debian-12/cuda-repo, not set up", []part{debian12, cudaRepo, wish(">= 550, < 551")}},
	{"debian-12/NVSwitch, and Debian has no fabric manager", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.NVSwitches = 4 }}},
	{"debian-12/cuda-repo, an upgrade", []part{debian12, cudaDebian, cudaRepo, wish(">= 550.100, < 551")}},
	{"debian-12/cuda-repo, to the open modules", []part{debian12, cudaDebian, cudaRepo, wish(">= 550.100, < 551"), flavor("open")}},
	{"debian-12/the kernel package is newer than the libraries", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.Packages[0].Version = "535.309.01-0+deb12u1"
	}}},
	{"debian-12/newer than wished", []part{debian12, has535, mismatched, ourHold, wish(">= 535.104, < 535.300")}},
	{"debian-12/proprietary, open wished", []part{debian12, has535, ourHold, flavor("open")}},
	{"debian-12/open on disk, proprietary loaded, open wished", []part{debian12, has535, ourHold, flavor("open"), func(f *driverFacts, _ *inventory.Driver) {
		f.Kernels[0].Open, f.Packages[0].Name = true, "nvidia-open-kernel-dkms"
	}}},
	{"debian-12/none, Secure Boot, the key is enrolled", []part{debian12, secureBoot, func(f *driverFacts, _ *inventory.Driver) { f.mok = "enrolled" }}},
	{"debian-12/none, Secure Boot, the key is to be confirmed", []part{debian12, secureBoot, func(f *driverFacts, _ *inventory.Driver) { f.mok = "requested" }}},
	{"debian-12/old, a console is on the GPU", []part{debian12, has535, ourHold, wish(">= 535.288, < 536"), func(f *driverFacts, _ *inventory.Driver) {
		f.Loaded.Modules = append(f.Loaded.Modules, "nvidia_drm", "nvidia_modeset")
		f.Loaded.RefCount, f.Loaded.Display = 4, 1
	}}},
	{"debian-12/runfile wished, nouveau holds the console", []part{debian12, runfile("535.261.03"), nouveau(true)}},
	{"debian-12/runfile wished, nouveau idle", []part{debian12, runfile("535.261.03"), nouveau(false)}},
	{"debian-12/runfile, another wished, something holds the driver", []part{debian12, has535, byRunfile, runfile("535.288.01"), wish(">= 535.288, < 536"), func(f *driverFacts, _ *inventory.Driver) {
		f.Loaded.Holders = []string{"nvidia_fs"}
	}}},
	{"debian-12/nvidia-smi names no GPU", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.GPUs[0].Up, f.GPUs[1].Up = false, false
		f.SMI = &smiFacts{Said: "No devices were found"}
	}}},
	{"debian-12/persistenced fails again and again", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.Units[0].Active, f.Units[0].Begins = false, true
	}}},
	{"debian-12/none, room not known", []part{debian12, func(f *driverFacts, _ *inventory.Driver) { f.Space = map[string]int64{} }}},
	{"debian-12/wished, grub's choice not understood", []part{debian12, has535, ourHold, func(f *driverFacts, _ *inventory.Driver) {
		f.Kernels[0].Guessed, f.Kernels[0].Why = true, "a guess, for grub's entry 1>2 names none"
	}}},
	{"debian-12/nvidia-smi hangs", []part{debian12, has535, func(f *driverFacts, _ *inventory.Driver) { f.SMI = &smiFacts{Exit: 137, Said: "no answer within 5s"} }}},

	{"ubuntu-22.04/none, signed modules", []part{ubuntu, secureBoot}},
	{"ubuntu-22.04/none, no built modules for the kernel", []part{ubuntu, func(f *driverFacts, _ *inventory.Driver) { f.Kernels[0].Release = "5.15.0-999-generic" }}},
	{"ubuntu-22.04/branch change", []part{ubuntu, ubuntu535, wish(">= 550, < 551")}},
	{"ubuntu-22.04/branch change, with a way back", []part{ubuntu, ubuntu535, wish(">= 550, < 551"), rollback, func(f *driverFacts, _ *inventory.Driver) {
		offer(f, "jammy-updates/restricted", "535.230.02-0ubuntu0.22.04.1", "libnvidia-compute-535-server")
	}}},
	{"ubuntu-22.04/persistence mode off", []part{ubuntu, ubuntu535, func(f *driverFacts, _ *inventory.Driver) {
		f.Units[0].Command = "/usr/bin/nvidia-persistenced --user nvidia-persistenced --no-persistence-mode --verbose"
	}}},

	{"rocky-9/none, distro", []part{rocky9}},
	{"rocky-9/none, cuda-repo", []part{rocky9, cudaRepo, rockyCUDA}},
	{"rocky-9/none, cuda-repo not set up", []part{rocky9, cudaRepo}},
	{"rocky-9/stream change", []part{rocky9, cudaRepo, rockyCUDA, rocky535, wish(">= 550, < 551")}},
	{"rocky-9/stream change, with a way back", []part{rocky9, cudaRepo, rockyCUDA, rocky535, wish(">= 550, < 551"), rollback}},
	{"rocky-9/NVSwitch, the fabric manager is another version", []part{rocky9, cudaRepo, rockyCUDA, rocky535, func(f *driverFacts, _ *inventory.Driver) {
		f.NVSwitches = 4
		f.Packages = append(f.Packages, driverPackage{Name: "nvidia-fabric-manager", Version: "535.161.08-1"})
		f.Units = append(f.Units, driverUnit{Name: "nvidia-fabricmanager", Enabled: true})
		offer(f, "cuda-rhel9-x86_64", "535.183.01-1", "nvidia-fabric-manager")
	}}},
	{"rocky-9/NVSwitch, a running fabric manager is another version", []part{rocky9, cudaRepo, rockyCUDA, rocky535, fabricManager("535.161.08-1", true), busy}},
	{"rocky-9/NVSwitch, a running fabric manager is not enabled", []part{rocky9, cudaRepo, rockyCUDA, rocky535, fabricManager("535.183.01-1", false), busy}},
	{"rocky-10/key not known", []part{rocky9, cudaRepo, func(f *driverFacts, _ *inventory.Driver) { f.ID, f.System.Version = "rocky", "10.0" }}},
	{"centos-7/none", []part{centos7, cudaRepo}},
	{"sles-15/none, Secure Boot", []part{sles15, secureBoot, wish(">= 580, < 581")}},
}

// fabricManager runs.
func fabricManager(v string, enabled bool) part {
	return func(f *driverFacts, _ *inventory.Driver) {
		f.NVSwitches = 4
		f.Packages = append(f.Packages, driverPackage{Name: "nvidia-fabric-manager", Version: v})
		f.Units = append(f.Units, driverUnit{Name: fabricManagerUnit, Active: true, Enabled: enabled})
		offer(f, "cuda-rhel9-x86_64", "535.183.01-1", "nvidia-fabric-manager")
	}
}

func wish(constraint string) part {
	return func(_ *driverFacts, d *inventory.Driver) { d.Constraint = constraint + ", >= 384.81" }
}

func flavor(name string) part { return func(_ *driverFacts, d *inventory.Driver) { d.Flavor = name } }
func rollback(_ *driverFacts, d *inventory.Driver) {
	d.Rollback = true
}
func cudaRepo(_ *driverFacts, d *inventory.Driver) { d.Source = "cuda-repo" }

func runfile(v string) part {
	return func(_ *driverFacts, d *inventory.Driver) {
		d.Source, d.Runfile, d.SHA256 = "runfile", "/srv/NVIDIA-Linux-x86_64-"+v+".run", strings.Repeat("ab", 32)
	}
}

func gpus(name, generation string) part {
	return func(f *driverFacts, _ *inventory.Driver) {
		for i := range f.GPUs {
			f.GPUs[i].Name, f.GPUs[i].Generation = name, generation
		}
	}
}

func host(f *driverFacts, id, v, name, manager, kernel string) {
	f.System = System{ID: id, Version: v, Name: name, Kernel: kernel, Arch: "x86_64"}
	f.Services = Services{Manager: manager, Systemd: true}
	f.Hostname, f.SecureBoot, f.initramfs = "GPU-01", "off", "dracut"
	f.GPUs = []gpu{{Address: "0000:17:00.0", Device: "20b5", Name: "A100 PCIe 80GB", Generation: "Ampere"}, {Address: "0000:65:00.0", Device: "20b5", Name: "A100 PCIe 80GB", Generation: "Ampere"}}
	f.Kernels = []driverKernel{{Release: kernel, Running: true, Next: true, Headers: true}}
	f.Nouveau = nouveauFacts{Blacklisted: "/etc/modprobe.d/blacklist-nouveau.conf", Initramfs: "fresh"}
	f.Space = map[string]int64{"/usr": 40 << 30, "/var": 40 << 30, "/boot": 400 << 20}
	f.files, f.ledger.task = make(map[string]file), "driver"
}

func offer(f *driverFacts, from, v string, names ...string) {
	for _, n := range names {
		f.Offers = append(f.Offers, driverOffer{Name: n, Version: v, From: from})
	}
}

// debian12 has what the archive had in November 2026.
func debian12(f *driverFacts, _ *inventory.Driver) {
	host(f, "debian", "12", "Debian GNU/Linux 12 (bookworm)", "apt", "6.1.0-56-cloud-amd64")
	f.initramfs = "update-initramfs"
	f.Sources = driverSources{NonFree: true, repositories: []repository{
		{uri: "http://deb.debian.org/debian", suite: "bookworm", parts: []string{"main", "contrib", "non-free", "non-free-firmware"}, signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg"},
		{uri: "http://deb.debian.org/debian-security", suite: "bookworm-security", parts: []string{"main", "non-free"}},
	}}
	offer(f, "bookworm-security/non-free", "535.309.01-0+deb12u1", "nvidia-kernel-dkms", "nvidia-smi", "libcuda1")
	offer(f, "bookworm/non-free", "535.261.03-1", "nvidia-kernel-dkms", "nvidia-smi", "libcuda1")
	offer(f, "bookworm/contrib", "535.261.03-1", "nvidia-open-kernel-dkms")
	f.Offers = append(f.Offers, driverOffer{Name: "nvidia-persistenced", Version: "535.171.04-1~deb12u1", From: "bookworm/contrib", Best: true})
	offer(f, "bookworm-security/main", "6.1.192-2", "linux-headers-cloud-amd64", "linux-headers-6.1.0-56-cloud-amd64")
}

// cudaDebian has a driver of NVIDIA's repository, which a metapackage brings.
func cudaDebian(f *driverFacts, _ *inventory.Driver) {
	working(f, "550.54.15")
	for _, n := range []string{"cuda-drivers-550", "nvidia-driver", "nvidia-kernel-dkms", "nvidia-smi", "libcuda1"} {
		f.Packages = append(f.Packages, driverPackage{Name: n, Version: "550.54.15-1"})
	}
	f.Offers = nil
	f.Sources.CUDA = cudaHome + "debian12/x86_64"
	offer(f, f.Sources.CUDA, "550.163.01-1", "cuda-drivers-550", "nvidia-open-550", "nvidia-driver", "nvidia-kernel-dkms", "nvidia-kernel-open-dkms", "nvidia-smi", "libcuda1")
	offer(f, "bookworm-security/main", "6.1.192-2", "linux-headers-cloud-amd64", "linux-headers-6.1.0-56-cloud-amd64")
}

func trixie(f *driverFacts, _ *inventory.Driver) {
	offer(f, "trixie/non-free", "550.163.01-2", "nvidia-kernel-dkms", "nvidia-smi", "libcuda1")
	offer(f, "trixie/contrib", "550.163.01-2", "nvidia-open-kernel-dkms")
	offer(f, "trixie/contrib", "550.163.01-1", "nvidia-persistenced")
}

func noNonFree(f *driverFacts, _ *inventory.Driver) {
	f.Sources.NonFree = false
	for i := range f.Sources.repositories {
		f.Sources.repositories[i].parts = []string{"main"}
	}
	f.Offers = nil
	offer(f, "bookworm-security/main", "6.1.192-2", "linux-headers-cloud-amd64", "linux-headers-6.1.0-56-cloud-amd64")
}

func nouveau(inUse bool) part {
	return func(f *driverFacts, _ *inventory.Driver) { f.Nouveau = nouveauFacts{Loaded: true, InUse: inUse} }
}

func nextKernel(f *driverFacts, _ *inventory.Driver) {
	f.Kernels[0].Next = false
	f.Kernels = append(f.Kernels, driverKernel{Release: "6.1.0-57-cloud-amd64", Next: true, Headers: true})
}

func noHeaders(f *driverFacts, _ *inventory.Driver) {
	for i := range f.Kernels {
		f.Kernels[i].Headers = false
	}
	offer(f, "bookworm-security/main", "6.1.200-1", "linux-headers-6.1.0-57-cloud-amd64")
}

func secureBoot(f *driverFacts, _ *inventory.Driver) { f.SecureBoot = "on" }

func working(f *driverFacts, v string) {
	f.UserSpace, f.Loaded = v, loadedDriver{Version: v, Modules: []string{"nvidia", "nvidia_uvm"}, RefCount: 1}
	for i := range f.Kernels {
		f.Kernels[i].Module, f.Kernels[i].DKMS = v, v+" installed"
	}
	for i := range f.GPUs {
		f.GPUs[i].Driver, f.GPUs[i].Up = "nvidia", true
	}
	f.Units = []driverUnit{{Name: "nvidia-persistenced", Active: true, Enabled: true, Command: "/usr/bin/nvidia-persistenced --user nvpd"}, {Name: "nvidia-dcgm", Active: true, Enabled: true}}
	f.Processes = []gpuProcess{{PID: 812, User: "nvpd", Command: "nvidia-persiste", Unit: "nvidia-persistenced"}}
}

func has535(f *driverFacts, _ *inventory.Driver) {
	working(f, "535.261.03")
	for _, n := range []string{"nvidia-kernel-dkms", "nvidia-smi", "libcuda1", "libnvidia-ml1", "nvidia-alternative"} {
		f.Packages = append(f.Packages, driverPackage{Name: n, Version: "535.261.03-1", Held: true})
	}
	offer(f, "bookworm/non-free", "535.261.03-1", "libnvidia-ml1", "nvidia-alternative")
	f.Packages = append(f.Packages, driverPackage{Name: "dkms", Version: "3.0.10-8+deb12u1"}, driverPackage{Name: "nvidia-persistenced", Version: "535.171.04-1~deb12u1"})
}

func held(f *driverFacts, is bool) {
	for i := range f.Packages {
		f.Packages[i].Held = is
	}
}

func ourHold(f *driverFacts, _ *inventory.Driver) {
	for _, i := range f.Packages {
		if i.Held {
			f.ledger.entries = append(f.ledger.entries, holdEntry(i.Name))
		}
	}
	f.ledger.file = file{Path: ledgerPath("driver"), Presence: Present}
}

func busy(f *driverFacts, _ *inventory.Driver) {
	f.Processes = append(f.Processes,
		gpuProcess{PID: 4711, User: "alice", Command: "python3"}, gpuProcess{PID: 4800, User: "root", Command: "trainer", Container: "docker 3f1c0a9b8c7d"})
}

func pods(f *driverFacts, _ *inventory.Driver) {
	f.Processes = append(f.Processes, gpuProcess{PID: 5000, User: "0", Command: "python3", Container: "pod 5b7e7f0e-1111-2222-3333-444455556666 (containerd)"})
}

func mismatched(f *driverFacts, _ *inventory.Driver) {
	for i := range f.Packages[:5] {
		f.Packages[i].Version = "535.309.01-0+deb12u1"
	}
	f.UserSpace, f.Kernels[0].Module, f.Kernels[0].DKMS = "535.309.01", "535.309.01", "535.309.01 installed"
}

func byRunfile(f *driverFacts, _ *inventory.Driver) { f.Packages, f.Runfile = nil, "535.261.03" }

func ubuntu(f *driverFacts, _ *inventory.Driver) {
	host(f, "ubuntu", "22.04", "Ubuntu 22.04.5 LTS", "apt", "5.15.0-130-generic")
	f.initramfs = "update-initramfs"
	for _, b := range []struct{ branch, v string }{{"535", "535.230.02-0ubuntu0.22.04.1"}, {"550", "550.144.03-0ubuntu0.22.04.1"}} {
		offer(f, "jammy-updates/restricted", b.v,
			"nvidia-headless-"+b.branch+"-server", "nvidia-headless-no-dkms-"+b.branch+"-server", "nvidia-dkms-"+b.branch+"-server", "nvidia-kernel-source-"+b.branch+"-server",
			"nvidia-utils-"+b.branch+"-server", "nvidia-compute-utils-"+b.branch+"-server", "nvidia-kernel-common-"+b.branch+"-server",
			"nvidia-headless-"+b.branch+"-server-open", "nvidia-headless-no-dkms-"+b.branch+"-server-open", "nvidia-dkms-"+b.branch+"-server-open")
		offer(f, "jammy-updates/restricted", "5.15.0-130.140+1", "linux-modules-nvidia-"+b.branch+"-server-5.15.0-130-generic")
	}
	offer(f, "jammy-updates/main", "5.15.0-999.1", "linux-headers-5.15.0-999-generic")
}

func ubuntu535(f *driverFacts, _ *inventory.Driver) {
	working(f, "535.230.02")
	for _, n := range []string{"nvidia-headless-535-server", "nvidia-headless-no-dkms-535-server", "nvidia-dkms-535-server", "nvidia-kernel-source-535-server", "nvidia-utils-535-server", "nvidia-compute-utils-535-server", "libnvidia-compute-535-server"} {
		f.Packages = append(f.Packages, driverPackage{Name: n, Version: "535.230.02-0ubuntu0.22.04.1", Held: true})
	}
	ourHold(f, nil)
}

func rocky9(f *driverFacts, _ *inventory.Driver) {
	host(f, "rocky", "9.4", "Rocky Linux 9.4 (Blue Onyx)", "dnf", "5.14.0-427.13.1.el9_4.x86_64")
	f.Kernels[0].Headers = false
	offer(f, "baseos", "5.14.0-427.13.1.el9_4", "kernel-devel-5.14.0-427.13.1.el9_4.x86_64", "kernel-headers")
}

func rockyCUDA(f *driverFacts, _ *inventory.Driver) {
	f.Kernels[0].Headers = true
	f.Sources = driverSources{CUDA: cudaHome + "rhel9/x86_64", Modular: true, Streams: []string{"535-dkms", "535-open", "550-dkms", "550-open", "latest-dkms", "open-dkms"}}
	for _, v := range []string{"3:535.183.01-1.el9", "3:550.54.15-1.el9"} {
		offer(f, "cuda-rhel9-x86_64", v, "kmod-nvidia-latest-dkms", "kmod-nvidia-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced")
	}
}

func rocky535(f *driverFacts, _ *inventory.Driver) {
	working(f, "535.183.01")
	f.Sources.Streams[0] += "[e]"
	for _, n := range []string{"kmod-nvidia-latest-dkms", "nvidia-driver-cuda", "nvidia-persistenced"} {
		f.Packages = append(f.Packages, driverPackage{Name: n, Version: "3:535.183.01-1.el9", Held: n != "nvidia-persistenced"})
	}
	ourHold(f, nil)
}

func centos7(f *driverFacts, _ *inventory.Driver) {
	host(f, "centos", "7", "CentOS Linux 7 (Core)", "yum", "3.10.0-1160.118.1.el7.x86_64")
	f.Sources.CUDA = cudaHome + "rhel7/x86_64"
	offer(f, "cuda", "3:535.161.07-1.el7", "kmod-nvidia-latest-dkms", "nvidia-driver-latest-dkms-cuda", "nvidia-persistenced-latest-dkms")
}

func sles15(f *driverFacts, _ *inventory.Driver) {
	host(f, "sles", "15.6", "SUSE Linux Enterprise Server 15 SP6", "zypper", "6.4.0-150600.23.65-default")
	offer(f, "SLE-Module-Basesystem15-SP6-Updates", "580.82.07_k6.4.0_150600.23.65-150600.3.63.1", "nvidia-open-driver-G06-signed-cuda-kmp-default")
	offer(f, "cuda-sles15-x86_64", "580.82.07-0", "nvidia-compute-utils-G06", "nvidia-persistenced")
}

// noFirmware is a host that has come from Debian 11, where the firmware was in
// non-free.
func noFirmware(f *driverFacts, _ *inventory.Driver) {
	for i := range f.Sources.repositories {
		r := &f.Sources.repositories[i]
		r.parts = slices.DeleteFunc(slices.Clone(r.parts), func(part string) bool { return part == firmwareComponent })
	}
}
