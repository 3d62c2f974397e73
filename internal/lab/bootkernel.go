package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kernel is the release of the one that runs, as uname -r says it.
func (m *Machine) kernel() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running
}

// kernels are those that can be booted, the oldest first.
func (m *Machine) kernels() []string {
	var all []string
	entries, _ := m.fs.readDir(root, "/boot")
	for _, e := range entries {
		if k, ok := strings.CutPrefix(e.name, "vmlinuz-"); ok {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, compareVersions)
	return all
}

// addKernel puts a kernel on the disk: it runs after the next boot. Its modules
// are those of the first.
func (m *Machine) addKernel(release string) {
	m.put("/boot/vmlinuz-"+release, "kernel\n")
	m.put("/usr/lib/modules/"+release+"/modules.dep", modulesDep)
	for module := range strings.FieldsSeq(modulesOnDisk) {
		m.put("/usr/lib/modules/"+release+"/kernel/"+module+".ko", moduleMark)
	}
	m.writeInitramfs(release)
}

func (m *Machine) initramfs(kernel string) string { return initramfsOf(&m.spec.distro, kernel) }

// initramfsOf is where a kernel's is.
func initramfsOf(d *distro, kernel string) string {
	switch d.manager {
	case "apt":
		return "/boot/initrd.img-" + kernel
	case "zypper":
		return "/boot/initrd-" + kernel
	}
	return "/boot/initramfs-" + kernel + ".img"
}

const withoutNouveau = "nouveau is kept out\n"

// writeInitramfs builds one from what modprobe.d says now.
func (m *Machine) writeInitramfs(kernel string) {
	text := "initramfs of " + kernel + "\n"
	if m.keepsOutNouveau() {
		text += withoutNouveau
	}
	m.must(m.WriteFile(m.initramfs(kernel), text, 0o600))
}

func (m *Machine) keepsOutNouveau() bool {
	_, off := m.modprobeRules("blacklist")["nouveau"]
	return off
}

// bootKernel is a boot up to where services are started: the newest kernel
// runs, and the GPUs have got the driver that udev found for them.
func (m *Machine) bootKernel() {
	kernels := m.kernels()
	kernel := kernels[len(kernels)-1]
	m.mu.Lock()
	m.running = kernel
	m.mu.Unlock()
	m.klog(m.spec.distro.version)
	if len(m.spec.gpus) == 0 {
		return
	}
	early, _ := m.ReadFile(m.initramfs(kernel))
	// The initramfs has a driver for screens, and knows of modprobe.d what was
	// there when it was built.
	if (!strings.Contains(early, withoutNouveau) || !m.keepsOutNouveau()) && m.modulePath(kernel, "nouveau") != "" {
		m.loadModule("nouveau")
		m.klog("nouveau 0000:17:00.0: unknown chipset")
		return
	}
	m.loadDriver()
}

// loadDriver loads all of the NVIDIA modules that there are.
func (m *Machine) loadDriver() {
	for _, name := range []string{"nvidia", "nvidia-uvm", "nvidia-modeset", "nvidia-drm"} {
		if found, why := m.insert(name); !found || why != "" {
			return
		}
	}
}

// slow is a program that takes its time: milliseconds here for the seconds or
// minutes on a real host. It fails when the process was killed meanwhile.
func (p *process) slow(d time.Duration) bool { return p.pause(d) }

func updateInitramfs(p *process) int {
	set, args, unknown := options(p.args[1:], "-u -c -d -v -t", "-k -b")
	if unknown != "" || len(args) > 0 {
		return p.usage(unknown)
	}
	if p.cred.uid != 0 {
		p.println("update-initramfs: You need to be root to run this command.")
		return 1
	}
	m := p.machine
	kernels := m.kernels()
	which := kernels[len(kernels)-1:]
	switch k := set["-k"]; {
	case k == "all":
		which = slices.Clone(kernels)
		slices.Reverse(which)
	case k != "" && !slices.Contains(kernels, k):
		p.printf("update-initramfs: deferring update (hook will be called later): %s\n", m.initramfs(k))
		return 1
	case k != "":
		which = []string{k}
	}
	for _, k := range which {
		p.printf("update-initramfs: Generating %s\n", m.initramfs(k))
		if !p.slow(150 * time.Millisecond) {
			return 1
		}
		m.writeInitramfs(k)
	}
	return 0
}

// dracut is dracut -f [IMAGE KERNEL] and dracut --regenerate-all.
func dracut(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-f -v -q -H --force --regenerate-all --quiet --no-hostonly --hostonly", "--kver -k")
	if unknown != "" {
		return p.usage(unknown)
	}
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "dracut: You need to be root to run dracut")
		return 1
	}
	m := p.machine
	which := []string{m.kernel()}
	switch {
	case isSet(set, "--regenerate-all"):
		which = m.kernels()
	case set["--kver"] != "":
		which = []string{set["--kver"]}
	case len(args) > 1:
		which = []string{args[1]}
	}
	for _, k := range which {
		if i, err := m.fs.stat(root, "/usr/lib/modules/"+k, true); err != nil || !i.IsDir() {
			fmt.Fprintf(p.stderr, "dracut: Cannot find module directory /lib/modules/%s/\ndracut: and --no-kernel was not specified\n", k)
			return 1
		}
		if !p.slow(150 * time.Millisecond) {
			return 1
		}
		m.writeInitramfs(k)
	}
	return 0
}
