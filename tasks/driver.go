package tasks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// Driver brings a host with GPUs to a working NVIDIA driver of the wished range,
// and keeps it so.
//
// Looking is built-ins and reads of /proc and /sys; see driverprobe.go for the
// few programs and when they run. nvidia-smi, which a sick GPU hangs, is asked
// only where no file tells whether the GPUs work, under a deadline, and last.
// Where something is to be installed the package managers are asked what they
// have, and dnf and zypper take their time.
//
// What container images ask of the driver belongs here, for it is held against
// the driver that will be there when the plan has been carried out; see images.go.
var Driver = Task{Name: "driver", Probe: probeDriver, More: imageEndpoints, Read: readDriver, Plan: planDriver, Timeout: time.Minute}

func readDriver(s remote.Section) (Facts, error) {
	if s.Failure != "" && strings.Contains(s.Out, "\n@smi\n!began\n") && !strings.Contains(s.Out, "\n@end\n") {
		return nil, fmt.Errorf("probe %s: nvidia-smi did not end, not even killed: a GPU or its driver hangs (%s)", s.Name, s.Failure)
	}
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &driverFacts{Services: readServices(blocks), Space: make(map[string]int64), files: make(map[string]file)}
	if f.Images, err = readReached(s); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.kind != "arch" }) { // no driver is wished
		for _, b := range blocks {
			f.System.Arch = b.rest
		}
		return f, nil
	}
	if f.System, err = readSystem(blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	if f.ledger, err = readLedger("driver", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	f.asked = true
	r := driverReader{f: f}
	for _, b := range blocks {
		if err := r.read(b); err != nil {
			return nil, fmt.Errorf("probe %s: %w%s", s.Name, err, evidence(s.Err))
		}
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("probe %s: %w%s", s.Name, err, evidence(s.Err))
	}
	return f, nil
}

// A driverReader makes facts of the blocks of a probe.
type driverReader struct {
	f       *driverFacts
	next    string
	nextWhy string
	info    map[string]moduleInfo // by path
	dkms    []dkmsState
	locks   packageLocks
	paths   map[string][]string // module files by kernel
}

// A dkmsState is what DKMS has of a module for a kernel.
type dkmsState struct{ name, version, kernel, state string }

func (r *driverReader) read(b block) error {
	f := r.f
	words := strings.Fields(b.rest)
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch b.kind {
	case "file":
		f.files[b.rest] = b.file()
		if b.rest == "/proc/driver/nvidia/version" {
			return r.loadedVersion(b)
		}
	case "hostname":
		f.Hostname = b.rest
	case "gpu":
		g := gpu{Address: word(0), Device: strings.ToLower(word(1)), Driver: word(2), Up: b.noted("up"), Excluded: b.noted("excluded")}
		if g.Address == "" || len(g.Device) != 4 {
			return fmt.Errorf("%q is not a GPU's address and device id", clip(b.rest, 80))
		}
		g.Name, g.Generation, _ = lookUpGPU(g.Device)
		f.GPUs = append(f.GPUs, g)
	case "nvswitch":
		f.NVSwitches++
	case "secureboot":
		f.SecureBoot = b.rest
	case "mok":
		f.mok = b.rest
	case "owner":
		f.Owner = b.rest
	case "module":
		return r.module(word, b.lines)
	case "userspace":
		f.UserSpace, f.userPath = word(0), word(1)
	case "runfile":
		// Its log spells a version as it was spelt long ago: "1.0-105917 (105.9.17)".
		f.Runfile = "unknown"
		if len(words) > 0 {
			f.Runfile = strings.Trim(words[len(words)-1], "()")
		}
	case "next":
		r.next, r.nextWhy, _ = strings.Cut(b.rest, " ")
	case "modules":
		f.Kernels = append(f.Kernels, driverKernel{Release: b.rest, Running: b.rest == f.Kernel, Headers: b.noted("headers")})
		if r.paths == nil {
			r.paths = make(map[string][]string)
		}
		r.paths[b.rest] = b.lines
	case "dkms":
		if len(words) != 4 {
			return fmt.Errorf("%q is not a state of DKMS", clip(b.rest, 80))
		}
		r.dkms = append(r.dkms, dkmsState{words[0], words[1], words[2], words[3]})
	case "modinfo":
		r.info = parseModinfo(b.lines)
	case "tool":
		f.dkms = f.dkms || b.rest == "dkms"
	case "initramfs":
		f.initramfs = b.rest
	case "nouveau":
		f.Nouveau.Loaded = true
		f.Nouveau.InUse = b.rest != "0"
	case "blacklist":
		f.Nouveau.Blacklisted = b.rest
		for _, n := range []string{"fresh", "stale"} {
			if b.noted(n) {
				f.Nouveau.Initramfs = n
			}
		}
	case "packages":
		return r.packages(b)
	case "interrupted":
		f.dpkgInterrupted = true
	case "units":
		return r.units(b)
	case "reboot":
		f.Reboot = "the host says so"
	case "space":
		r.space(b)
	case "process":
		return r.process(b, words)
	case "asked":
		f.Offers = []driverOffer{}
	case "policy":
		return r.policy(b)
	case "rpms":
		return r.rpms(b)
	case "yum":
		return r.yum(b)
	case "zypper":
		return r.zypper(b)
	case "streams":
		r.streams(b)
	case "smi":
		f.SMI = parseSMI(b)
	}
	return nil
}

// finish puts together what several blocks say of one thing.
func (r *driverReader) finish() error {
	f := r.f
	if r.next == "" || len(f.Kernels) == 0 {
		return fmt.Errorf("it says nothing of kernels")
	}
	for i := range f.Kernels {
		k := &f.Kernels[i]
		if k.Next = k.Release == r.next; k.Next {
			k.Why, k.Guessed = r.nextWhy, strings.HasPrefix(r.nextWhy, "a guess")
		}
		if err := r.kernel(k); err != nil {
			return err
		}
	}
	for i := range f.Packages {
		p := &f.Packages[i]
		p.Held = p.Held || r.locked(p.Name)
		// A site's own packages may have the libraries where nobody looks.
		if f.UserSpace == "" && f.userPath == "" && !p.Broken && userPackage.MatchString(p.Name) {
			f.UserSpace = driverVersion(p.Version)
		}
	}
	if f.Reboot != "" {
		if pkgs := f.files["/run/reboot-required.pkgs"]; pkgs.content != "" {
			f.Reboot = "wanted by " + clip(strings.Join(strings.Fields(pkgs.content), ", "), 200)
		}
	}
	r.sources()
	return nil
}

// loadedVersion reads /proc/driver/nvidia/version, whose first line is of the
// module: "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15 …".
func (r *driverReader) loadedVersion(b block) error {
	if len(b.lines) == 0 {
		return fmt.Errorf("/proc/driver/nvidia/version is %s", b.file().Presence)
	}
	l := &r.f.Loaded
	l.Open = strings.Contains(b.lines[0], " Open Kernel Module ")
	for _, w := range strings.Fields(b.lines[0]) {
		if isDriverVersion(w) {
			l.Version = w
			return nil
		}
	}
	return fmt.Errorf("/proc/driver/nvidia/version holds no version: %q", clip(b.lines[0], 80))
}

// isDriverVersion reports whether w is spelt as NVIDIA spells a driver's
// version: two or three numbers.
func isDriverVersion(w string) bool {
	parts := strings.Split(w, ".")
	if len(parts) < 2 || len(parts) > 3 || len(w) > 20 {
		return false
	}
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// module reads one loaded module, with those that hold it.
func (r *driverReader) module(word func(int) string, holders []string) error {
	l := &r.f.Loaded
	refs, err := strconv.Atoi(word(1))
	if err != nil || refs < -1 {
		return fmt.Errorf("module %q is used %q times", clip(word(0), 40), clip(word(1), 40))
	}
	l.Modules = append(l.Modules, word(0))
	if word(0) == "nvidia" && l.Version == "" {
		l.Version = word(2)
	}
	for _, h := range holders {
		if strings.HasPrefix(h, "nvidia_") && h != "nvidia_fs" {
			refs--
			continue
		}
		l.Holders = append(l.Holders, h)
	}
	l.RefCount += max(refs, 0)
	if word(0) == "nvidia_drm" {
		l.Display = max(refs, 0)
	}
	return nil
}

// kernel adds what its modules' files say.
func (r *driverReader) kernel(k *driverKernel) error {
	for _, d := range r.dkms {
		if d.kernel != k.Release {
			continue
		}
		// One that is installed is what counts; other versions may lie beside it.
		if k.DKMS == "" || d.state == "installed" {
			k.DKMS = d.version + " " + d.state
		}
	}
	paths := r.paths[k.Release]
	if len(paths) == 0 {
		return nil
	}
	k.Path = paths[0]
	info, ok := r.info[k.Path]
	if !ok || info.version == "" {
		return fmt.Errorf("modinfo says no version of %s", clip(k.Path, 200))
	}
	k.Module, k.Open, k.Signed = info.version, info.open, info.signed
	return nil
}

type moduleInfo struct {
	version      string
	open, signed bool
}

// parseModinfo reads what modinfo prints of several files.
func parseModinfo(lines []string) map[string]moduleInfo {
	all := make(map[string]moduleInfo)
	path := ""
	for _, line := range lines {
		field, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		if field == "filename" {
			path = value
		}
		info := all[path]
		switch field {
		case "version":
			info.version = value
		case "license":
			info.open = info.open || strings.Contains(value, "MIT")
		case "signer", "sig_id":
			info.signed = info.signed || value != ""
		}
		all[path] = info
	}
	delete(all, "")
	return all
}
