package tasks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// hostTree makes the files of a host of its description, a thing a line, below
// root. What a line is about begins its words:
//
//	system ID VERSION MANAGER ARCH NAME…  os-release, and what installs packages
//	kernel RELEASE [running] [headers] [stale]  installed, with its image and initramfs; stale: older than all else
//	default ENTRY                         of grub; without it there is no grub
//	module RELEASE PATH VERSION [open] [signed]
//	dkms NAME VERSION RELEASE STATE       installed, built, added or failed
//	gpu ADDRESS DEVICE [DRIVER] [up] [excluded]
//	nvswitch ADDRESS DEVICE
//	loaded VERSION [open] [MODULE=REFCOUNT[:HOLDER,…]]…
//	nouveau [REFCOUNT]                    loaded
//	userspace VERSION FOLDER
//	package NAME VERSION [held] [broken]
//	unit NAME STATE ENABLED [COMMAND…]
//	process PID UID COMMAND CGROUP        has /dev/nvidia0 open
//	secureboot on|off                     without it there is no EFI
//	mok FILE TEXT                         a key, and what mokutil says of it
//	runfile VERSION
//	file PATH TEXT                        \n is a newline in it
//	folder PATH
//	smi EXIT TEXT
//	interrupted                           dpkg was
//	cache                                 of apt, older than the lists
//
// Programs that only root's real host could have print what is described here,
// in the form that they have; offers is what the package manager says of its
// repositories.
func hostTree(root, words, offers string) error {
	h := &hostMaker{root: root, offers: offers, modinfo: make(map[string]string), initramfs: make(map[string]bool)}
	for line := range strings.Lines(words) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, rest, _ := strings.Cut(line, " ")
		if h.add(what, strings.Fields(rest), rest); h.err != nil {
			return fmt.Errorf("%s: %w", line, h.err)
		}
	}
	h.finish()
	return h.err
}

// A hostMaker is a host in the making.
type hostMaker struct {
	root, offers string
	manager      string
	packages     strings.Builder
	units        strings.Builder
	modinfo      map[string]string
	initramfs    map[string]bool // by path: is it older than all else?
	err          error
}

func (h *hostMaker) at(path string) string {
	full := filepath.Join(h.root, path)
	if h.err == nil {
		h.err = os.MkdirAll(filepath.Dir(full), 0o755)
	}
	return full
}

func (h *hostMaker) write(path, text string) {
	if full := h.at(path); h.err == nil {
		h.err = os.WriteFile(full, []byte(text), 0o644)
	}
}

func (h *hostMaker) folder(path string) {
	if full := h.at(path); h.err == nil {
		h.err = os.MkdirAll(full, 0o755)
	}
}

func (h *hostMaker) link(path, target string) {
	if full := h.at(path); h.err == nil {
		if h.err = os.Symlink(target, full); os.IsExist(h.err) {
			h.err = nil
		}
	}
}

// program makes one that prints a file, or two, and ends.
func (h *hostMaker) program(name, out string, exit int) {
	h.write("/stand-ins/"+name, out)
	h.script(name, fmt.Sprintf("cat /stand-ins/%s\nexit %d\n", name, exit))
}

func (h *hostMaker) script(name, text string) {
	h.write("/usr/bin/"+name, "#!/bin/sh\n"+text)
	if h.err == nil {
		h.err = os.Chmod(h.at("/usr/bin/"+name), 0o755)
	}
}

func has(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func (h *hostMaker) add(what string, w []string, rest string) {
	word := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	from := func(i int) string {
		if i < len(w) {
			return strings.Join(w[i:], " ")
		}
		return ""
	}
	switch what {
	case "system":
		h.manager = word(2)
		h.write("/etc/os-release", fmt.Sprintf("ID=%s\nVERSION_ID=%q\nPRETTY_NAME=%q\n", word(0), word(1), from(4)))
		h.write("/proc/sys/kernel/hostname", "gpu-01\n")
		h.write("/proc/sys/kernel/arch", word(3)+"\n")
		h.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
		h.folder("/run/systemd/system")
		h.folder("/proc/self")
		switch h.manager {
		case "apt":
			h.write("/var/lib/dpkg/status", "")
			h.program("apt-get", "", 0)
			h.program("update-initramfs", "", 0)
		default:
			h.program(h.manager, "", 0)
			h.program("dracut", "", 0)
		}
	case "kernel":
		k := word(0)
		h.folder("/lib/modules/" + k)
		h.write("/boot/vmlinuz-"+k, "")
		initrd := "/boot/initramfs-" + k + ".img"
		if h.manager == "apt" {
			initrd = "/boot/initrd.img-" + k
		}
		h.write(initrd, "")
		h.initramfs[initrd] = has(w, "stale")
		if has(w, "running") {
			h.write("/proc/sys/kernel/osrelease", k+"\n")
		}
		if has(w, "headers") {
			h.write("/usr/src/headers-"+k+"/Makefile", "")
			h.link("/lib/modules/"+k+"/build", "/usr/src/headers-"+k)
		}
	case "default":
		grub := "grub2"
		if h.manager == "apt" {
			grub = "grub"
		}
		h.folder("/boot/" + grub)
		if word(0) == "0" {
			h.write("/etc/default/grub", "GRUB_DEFAULT=0\n")
		} else {
			h.write("/etc/default/grub", "GRUB_TIMEOUT=5\nGRUB_DEFAULT=saved\n")
			h.write("/boot/"+grub+"/grubenv", "# GRUB Environment Block\nsaved_entry="+rest+"\n#####\n")
		}
	case "module":
		path := "/lib/modules/" + word(0) + "/" + word(1)
		h.write(path, "")
		licence := "NVIDIA"
		if has(w, "open") {
			licence = "Dual MIT/GPL"
		}
		info := fmt.Sprintf("filename:       %s\nlicense:        %s\nversion:        %s\nsrcversion:     0123456789ABCDEF\nvermagic:       %s SMP\n", path, licence, word(2), word(0))
		if has(w, "signed") {
			info += "sig_id:         PKCS#7\nsigner:         Canonical Ltd. Kernel Module Signing\nsignature:      00:11:22\n"
		}
		h.modinfo[path] = info
	case "dkms":
		name, v, k := word(0), word(1), word(2)
		tree := "/var/lib/dkms/" + name
		h.folder(tree + "/" + v + "/source")
		switch word(3) {
		case "installed":
			h.folder(tree + "/" + v + "/" + k + "/x86_64/module")
			h.link(tree+"/kernel-"+k+"-x86_64", v+"/"+k+"/x86_64")
		case "built":
			h.folder(tree + "/" + v + "/" + k + "/x86_64/module")
		case "failed":
			h.write(tree+"/"+v+"/build/make.log", "DKMS make.log for "+name+"-"+v+" for kernel "+k+" (x86_64)\n")
		}
		h.program("dkms", "", 0)
	case "gpu", "nvswitch":
		dir := "/sys/bus/pci/devices/" + word(0)
		class := "0x030200"
		if what == "nvswitch" {
			class = "0x068000"
		}
		h.write(dir+"/vendor", "0x10de\n")
		h.write(dir+"/class", class+"\n")
		h.write(dir+"/device", "0x"+word(1)+"\n")
		if driver := word(2); driver != "" && driver != "up" {
			h.link("/sys/bus/pci/drivers/"+driver+"/"+word(0), dir)
			if driver == "nvidia" && what == "gpu" {
				uuid, excluded := "GPU-???????\x3f-???\x3f-???\x3f-???\x3f-????????????", "No"
				if has(w, "up") {
					uuid = "GPU-01234567-89ab-cdef-0123-456789abcdef"
				}
				if has(w, "excluded") {
					excluded = "Yes"
				}
				h.write("/proc/driver/nvidia/gpus/"+word(0)+"/information",
					"Model: \t\t NVIDIA GPU\nIRQ:   \t\t 18\nGPU UUID: \t "+uuid+"\nVideo BIOS: \t 96.00.74.00.01\nBus Location: \t "+word(0)+"\nDevice Minor: \t 0\nGPU Excluded:\t "+excluded+"\n")
			}
		}
	case "loaded":
		kind := "x86_64 Kernel Module  " + word(0) + "  Sun May 12 19:39:15 UTC 2024"
		if has(w, "open") {
			kind = "Open Kernel Module for x86_64  " + word(0) + "  Release Build  (dvs-builder@U16-A24-23-2)  Sun May 12 19:39:15 UTC 2024"
		}
		h.write("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX "+kind+"\nGCC version:  gcc version 12.2.0\n")
		for _, m := range w[1:] {
			name, state, ok := strings.Cut(m, "=")
			if !ok {
				continue
			}
			count, holders, _ := strings.Cut(state, ":")
			h.write("/sys/module/"+name+"/refcnt", count+"\n")
			h.write("/sys/module/"+name+"/version", word(0)+"\n")
			for _, by := range strings.Split(holders, ",") {
				if by != "" {
					h.folder("/sys/module/" + name + "/holders/" + by)
				}
			}
		}
	case "nouveau":
		count := word(0)
		if count == "" {
			count = "0"
		}
		h.write("/sys/module/nouveau/refcnt", count+"\n")
	case "userspace":
		for _, lib := range []string{"libnvidia-ml", "libcuda"} {
			h.write(word(1)+"/"+lib+".so."+word(0), "")
			h.link(word(1)+"/"+lib+".so.1", lib+".so."+word(0))
		}
		h.script("nvidia-smi", "exit 0\n")
	case "package":
		status := "ii "
		if has(w, "held") {
			status = "hi "
		}
		if has(w, "broken") {
			status = "iF "
		}
		v := word(1)
		if h.manager != "apt" && !strings.Contains(v, ":") {
			v = "0:" + v
		}
		fmt.Fprintf(&h.packages, "%s\t%s\t%s\t%s\n", status, word(0), v, "amd64")
	case "unit":
		h.write("/usr/lib/systemd/system/"+word(0)+".service", "")
		fmt.Fprintf(&h.units, "Id=%s.service\nLoadState=loaded\nActiveState=%s\nUnitFileState=%s\nExecStart={ path=/usr/bin/x ; argv[]=%s ; ignore_errors=no ; pid=0 }\n\n", word(0), word(1), word(2), from(3))
	case "process":
		proc := "/proc/" + word(0)
		h.write(proc+"/comm", word(2)+"\n")
		h.write(proc+"/status", "Name:\t"+word(2)+"\nUid:\t"+word(1)+"\t"+word(1)+"\t"+word(1)+"\t"+word(1)+"\n")
		h.write(proc+"/cgroup", from(3)+"\n")
		h.link(proc+"/fd/0", "/dev/null")
		h.link(proc+"/fd/7", "/dev/nvidia0")
	case "secureboot":
		value := "\x00"
		if word(0) == "on" {
			value = "\x01"
		}
		h.write("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00"+value)
	case "mok":
		h.write(word(0), "")
		h.script("mokutil", fmt.Sprintf("if [ \"$*\" = '--test-key %s' ]; then echo '%s'; fi\nexit 1\n", word(0), rest))
	case "runfile":
		h.script("nvidia-uninstall", "exit 0\n")
		h.write("/var/lib/nvidia/log", word(0)+"\nNVIDIA Accelerated Graphics Driver for Linux-x86_64 ("+word(0)+")\n")
	case "file":
		path, text, _ := strings.Cut(rest, " ")
		h.write(path, strings.ReplaceAll(text, `\n`, "\n"))
	case "folder":
		h.folder(word(0))
	case "smi":
		exit := 0
		if h.err == nil {
			_, h.err = fmt.Sscan(word(0), &exit)
		}
		h.program("nvidia-smi", strings.ReplaceAll(strings.TrimPrefix(rest, word(0)+" "), `\n`, "\n"), exit)
	case "cache":
		h.write("/stand-ins/stale", "")
	case "interrupted":
		h.write("/var/lib/dpkg/updates/0000", "")
	default:
		h.err = fmt.Errorf("%q means nothing", what)
	}
}

// finish writes the programs that print what has been gathered.
func (h *hostMaker) finish() {
	h.link("/bin", "usr/bin")
	h.link("/usr/bin/sh", "dash")
	h.write("/dev/null", "")
	if h.manager == "apt" {
		h.program("dpkg-query", h.packages.String(), 0)
		h.write("/stand-ins/offers", h.offers)
		var names strings.Builder
		for line := range strings.Lines(h.offers) {
			if name, ok := strings.CutSuffix(line, ":\n"); ok && !strings.HasPrefix(line, " ") {
				names.WriteString(name + "\n")
			}
		}
		h.write("/stand-ins/names", names.String())
		h.script("apt-cache", `case $* in
*pkgnames*) exec cat /stand-ins/names ;;
--no-generate*) if [ -e /stand-ins/stale ]; then exit 100; fi ;;
esac
exec cat /stand-ins/offers
`)
	} else {
		h.program("rpm", h.packages.String(), 0)
		offers, streams, _ := strings.Cut(h.offers, "== streams\n")
		h.write("/stand-ins/offers", offers)
		h.write("/stand-ins/streams", streams)
		h.script(h.manager, `file=offers
case $* in *'module list'*) file=streams ;; esac
exec cat /stand-ins/$file
`)
	}
	h.program("systemctl", strings.TrimSuffix(h.units.String(), "\n"), 0)
	h.program("stat", "62914560 4096 /usr\n262144 4096 /boot\n62914560 4096 /var\n", 0)
	h.script("modinfo", "for file; do cat \"/stand-ins/modinfo/$file\"; done\n")
	for path, info := range h.modinfo {
		h.write("/stand-ins/modinfo/"+path, info)
	}
	for path, stale := range h.initramfs {
		when := time.Now().Add(time.Minute)
		if stale {
			when = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		if h.err == nil {
			h.err = os.Chtimes(h.at(path), when, when)
		}
	}
}
