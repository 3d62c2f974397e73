package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// dkmsConf is the part of a dkms.conf that counts here.
func dkmsConf(name, version string, f moduleFile, location, files string) string {
	return fmt.Sprintf("PACKAGE_NAME=%q\nPACKAGE_VERSION=%q\nAUTOINSTALL=yes\nBUILT_MODULE_NAME[0]=\"nvidia\"\nDEST_MODULE_NAME[0]=%q\nDEST_MODULE_LOCATION[0]=%q\n# practice: license=%s fault=%s\n",
		name, version, files, location, f.license, f.fault)
}

// nvidiaModules are the modules of a driver by the ends of their files' names.
func nvidiaModules(f moduleFile) map[string]moduleFile {
	all := map[string]moduleFile{}
	for end, depends := range map[string]string{"": "", "-modeset": "nvidia", "-drm": "nvidia_modeset", "-uvm": "nvidia", "-peermem": "nvidia"} {
		one := f
		one.name = "nvidia" + strings.ReplaceAll(end, "-", "_")
		if one.depends = nil; depends != "" {
			one.depends, one.fault = []string{depends}, ""
		}
		all[end] = one
	}
	return all
}

// dkmsSources are the sources that DKMS knows, as name/version.
func (m *Machine) dkmsSources() []string {
	var all []string
	names, _ := m.fs.readDir(root, "/var/lib/dkms")
	for _, n := range names {
		versions, _ := m.fs.readDir(root, "/var/lib/dkms/"+n.name)
		for _, v := range versions {
			if v.IsDir() {
				all = append(all, n.name+"/"+v.name)
			}
		}
	}
	return all
}

// dkmsState is what dkms status says of a source for a kernel.
func (m *Machine) dkmsState(source, kernel string) string {
	name, version, _ := strings.Cut(source, "/")
	top := "/var/lib/dkms/" + name
	if target, err := m.fs.readlink(root, top+"/kernel-"+kernel+"-x86_64"); err == nil && strings.HasPrefix(target, version+"/") {
		return "installed"
	}
	if _, err := m.fs.stat(root, top+"/"+version+"/"+kernel, true); err == nil {
		return "built"
	}
	return "added"
}

func (m *Machine) hasHeaders(kernel string) bool {
	_, err := m.fs.stat(root, "/lib/modules/"+kernel+"/build/Makefile", true)
	return err == nil
}

func (m *Machine) dkmsAdd(source string) {
	top := "/var/lib/dkms/" + source
	_ = m.mkdirs(top)
	_ = m.fs.symlink(root, "/usr/src/"+strings.ReplaceAll(source, "/", "-"), top+"/source")
}

// say prints where there is somebody to print for.
func (p *process) say(format string, a ...any) {
	if p != nil {
		p.printf(format, a...)
	}
}

// dkmsBuild builds and installs a source for a kernel: 0, or dkms' status.
func (m *Machine) dkmsBuild(p *process, source, kernel string) int {
	name, version, _ := strings.Cut(source, "/")
	if m.dkmsState(source, kernel) == "installed" {
		return 0
	}
	if !m.hasHeaders(kernel) {
		if p != nil {
			fmt.Fprintf(p.stderr, "Error! Your kernel headers for kernel %s cannot be found at /lib/modules/%[1]s/build or /lib/modules/%[1]s/source.\nPlease install the linux-headers-%[1]s package or use the --kernelsourcedir option to tell DKMS where it's located.\n", kernel)
		}
		return 1
	}
	top := "/var/lib/dkms/" + source
	conf, _ := m.ReadFile(top + "/source/dkms.conf")
	f := moduleFile{version: version}
	files, location, broken := "nvidia", "/updates/dkms", ""
	for line := range strings.Lines(conf) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "DEST_MODULE_NAME[0]="); ok {
			files = strings.Trim(v, `"`)
		}
		if v, ok := strings.CutPrefix(line, "DEST_MODULE_LOCATION[0]="); ok {
			location = strings.Trim(v, `"`)
		}
		if _, v, ok := strings.Cut(line, "license="); ok {
			f.license, f.fault, _ = strings.Cut(v, " fault=")
		}
	}
	if f.fault == "does not compile" {
		broken = f.fault
	}
	p.say("\nBuilding module:\nCleaning build area...\nenv NV_VERBOSE=1 make -j16 modules KERNEL_UNAME=%s", kernel)
	log := fmt.Sprintf("DKMS make.log for %s-%s for kernel %s (x86_64)\n%s\n", name, version, kernel, time.Now().UTC().Format(time.UnixDate))
	for range 6 {
		p.say(".")
		if p != nil && !p.slow(50*time.Millisecond) {
			return 1
		}
	}
	if broken != "" {
		p.say("(bad exit status: 2)\n")
		m.put(top+"/build/make.log", log+"  CC [M]  "+top+"/build/nvidia/nv.o\n"+top+"/build/nvidia/nv-mmap.c:415:24: error: assignment of read-only member 'vm_flags'\nmake[2]: *** [scripts/Makefile.build:250: "+top+"/build/nvidia/nv-mmap.o] Error 1\nmake: *** [Makefile:82: modules] Error 2\n")
		if p != nil {
			fmt.Fprintf(p.stderr, "Error! Bad return status for module build on kernel: %s (x86_64)\nConsult %s/build/make.log for more information.\n", kernel, top)
		}
		return 10
	}
	p.say("\nCleaning build area...\n")
	m.put(top+"/"+kernel+"/x86_64/log/make.log", log)
	ext := ".ko"
	if m.spec.distro.manager != "apt" {
		ext = ".ko.xz"
	}
	for end, one := range nvidiaModules(f) {
		m.put(top+"/"+kernel+"/x86_64/module/"+files+end+ext, one.String())
		m.put("/usr/lib/modules/"+kernel+location+"/"+files+end+ext, one.String())
	}
	_ = m.Remove("/var/lib/dkms/" + name + "/kernel-" + kernel + "-x86_64")
	m.must(m.fs.symlink(root, version+"/"+kernel+"/x86_64", "/var/lib/dkms/"+name+"/kernel-"+kernel+"-x86_64"))
	for _, file := range []string{files, files + "-modeset", files + "-drm", files + "-uvm", files + "-peermem"} {
		p.say("\n%s%s:\nRunning module version sanity check.\n - Original module\n   - No original module exists within this kernel\n - Installation\n   - Installing to /lib/modules/%s%s/\n", file, ext, kernel, location)
	}
	p.say("depmod....\n")
	return 0
}

// dkmsInstall is what a package's installation does with its source. Without
// headers the build is left out, and all is well as far as the package manager
// knows.
func (m *Machine) dkmsInstall(p *process, name, version string) {
	source := name + "/" + version
	m.dkmsAdd(source)
	p.say("Loading new %s-%s DKMS files...\n", name, version)
	kernels := []string{m.kernel()}
	if all := m.kernels(); all[len(all)-1] != kernels[0] {
		kernels = append(kernels, all[len(all)-1])
	}
	p.say("Building for %s\n", strings.Join(kernels, ", "))
	for _, k := range kernels {
		if !m.hasHeaders(k) {
			p.say("Module build for kernel %s was skipped since the\nkernel headers for this kernel do not seem to be installed.\n", k)
			continue
		}
		p.say("Building initial module for %s\n", k)
		if m.dkmsBuild(p, source, k) == 0 {
			p.say("Done.\n")
		}
	}
}

// dkmsAutoinstall builds what a kernel lacks; hook says that headers have just
// been installed.
func (m *Machine) dkmsAutoinstall(p *process, kernel string, hook bool) int {
	sources := m.dkmsSources()
	if len(sources) == 0 {
		return 0
	}
	if hook {
		p.say("/etc/kernel/header_postinst.d/dkms:\ndkms: running auto installation service for kernel %s.\n", kernel)
	}
	failed := false
	for _, source := range sources {
		failed = m.dkmsBuild(p, source, kernel) != 0 || failed
	}
	if failed {
		if p != nil {
			fmt.Fprintln(p.stderr, "Error! One or more modules failed to install during autoinstall.\nRefer to previous errors for more information.")
		}
		return 11
	}
	if hook {
		p.say("dkms: autoinstall for kernel: %s.\n", kernel)
	}
	return 0
}

// dkmsRemove takes a source and what was built from it away.
func (m *Machine) dkmsRemove(name, version string) {
	source := name + "/" + version
	for _, k := range m.kernels() {
		if m.dkmsState(source, k) != "installed" {
			continue
		}
		_ = m.Remove("/var/lib/dkms/" + name + "/kernel-" + k + "-x86_64")
		built, _ := m.fs.readDir(root, "/var/lib/dkms/"+source+"/"+k+"/x86_64/module")
		for _, b := range built {
			for _, location := range []string{"/updates/dkms/", "/extra/"} {
				_ = m.Remove("/usr/lib/modules/" + k + location + b.name)
			}
		}
	}
	// What is left in its tree would be built anew by the next autoinstall.
	_ = m.fs.removeAll(root, "/var/lib/dkms/"+source)
}

func dkms(p *process) int {
	set, args, unknown := permuted(p.args[1:], "--all --force -q --quiet --verbose", "-m -v -k -a -j --module --kernelver --arch")
	if unknown != "" || len(args) == 0 {
		return p.lacks(orElse(unknown, "without a command"))
	}
	m := p.machine
	source, kernel := "", orElse(set["-k"], m.kernel())
	if len(args) > 1 {
		source = args[1]
	} else if set["-m"] != "" {
		source = set["-m"]
		if set["-v"] != "" {
			source += "/" + set["-v"]
		}
	}
	if args[0] == "status" {
		return p.dkmsStatus(source, set["-k"])
	}
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "Error! You must be root to use this command.")
		return 1
	}
	switch args[0] {
	case "autoinstall":
		return m.dkmsAutoinstall(p, kernel, false)
	case "add", "build", "install":
		if !slices.Contains(m.dkmsSources(), source) {
			if _, err := m.fs.stat(root, "/usr/src/"+strings.ReplaceAll(source, "/", "-"), true); err != nil {
				fmt.Fprintf(p.stderr, "Error! Could not find module source directory.\nDirectory: /usr/src/%s does not exist.\n", strings.ReplaceAll(source, "/", "-"))
				return 2
			}
			m.dkmsAdd(source)
		}
		if args[0] == "add" {
			return 0
		}
		return m.dkmsBuild(p, source, kernel)
	case "remove":
		name, version, _ := strings.Cut(source, "/")
		m.dkmsRemove(name, version)
		return 0
	}
	return p.lacks(args[0])
}

func (p *process) dkmsStatus(source, kernel string) int {
	m := p.machine
	for _, s := range m.dkmsSources() {
		if name, _, _ := strings.Cut(s, "/"); source != "" && source != s && source != name {
			continue
		}
		kernels, any := m.kernels(), false
		if kernel != "" {
			kernels = []string{kernel}
		}
		for _, k := range kernels {
			if state := m.dkmsState(s, k); state != "added" {
				p.printf("%s, %s, x86_64: %s\n", s, k, state)
				any = true
			}
		}
		if !any {
			p.printf("%s: added\n", path.Clean(s))
		}
	}
	return 0
}
