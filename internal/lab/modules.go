package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A moduleFile is what a kernel module's file holds.
type moduleFile struct {
	name    string // of the module in the kernel, which need not be the file's
	version string
	license string
	signer  string   // empty: not signed
	depends []string // modules that are loaded before it
	fault   string   // what the kernel says when it is to load it; empty: it loads
}

const moduleMark = elf + "module\n"

func (f moduleFile) String() string {
	return fmt.Sprintf("%sname=%s\nversion=%s\nlicense=%s\nsigner=%s\ndepends=%s\nfault=%s\n", moduleMark, f.name, f.version, f.license, f.signer, strings.Join(f.depends, ","), f.fault)
}

// moduleName is a file's name as the kernel spells a module's.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// readModule reads a module's file.
func (m *Machine) readModule(file string) (moduleFile, bool) {
	text, err := m.ReadFile(file)
	if err != nil || !strings.HasPrefix(text, strings.TrimSpace(moduleMark)) {
		return moduleFile{}, false
	}
	f := moduleFile{name: moduleName(file), license: "GPL", signer: "kernel build key"}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			f.name = value
		case "version":
			f.version = value
		case "license":
			f.license = value
		case "signer":
			f.signer = value
		case "fault":
			f.fault = value
		case "depends":
			f.depends = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		}
	}
	return f, true
}

// moduleFolders is where modprobe looks, first what comes first.
var moduleFolders = []string{"updates", "extra", "weak-updates", "kernel"}

// modulePath is the file of a module for a kernel, as depmod finds it; "" if
// there is none.
func (m *Machine) modulePath(kernel, name string) string {
	name = strings.ReplaceAll(name, "-", "_")
	var look func(string) string
	look = func(dir string) string {
		entries, _ := m.fs.readDir(root, dir)
		for _, e := range entries {
			if e.IsDir() {
				if found := look(dir + "/" + e.name); found != "" {
					return found
				}
			} else if strings.Contains(e.name, ".ko") && moduleName(e.name) == name {
				return strings.TrimPrefix(dir, "/usr") + "/" + e.name
			}
		}
		return ""
	}
	for _, folder := range moduleFolders {
		if found := look("/usr/lib/modules/" + kernel + "/" + folder); found != "" {
			return found
		}
	}
	return ""
}

// modprobeRules are the lines of modprobe.d that begin with a word.
func (m *Machine) modprobeRules(verb string) map[string]string {
	rules := map[string]string{}
	for _, dir := range []string{"/usr/lib/modprobe.d", "/run/modprobe.d", "/etc/modprobe.d"} {
		entries, _ := m.fs.readDir(root, dir)
		for _, e := range entries {
			text, _ := m.ReadFile(dir + "/" + e.name)
			for line := range strings.Lines(text) {
				f := strings.Fields(line)
				if strings.HasSuffix(e.name, ".conf") && len(f) > 1 && f[0] == verb {
					rules[strings.ReplaceAll(f[1], "-", "_")] = strings.Join(f[2:], " ")
				}
			}
		}
	}
	return rules
}

// resolveModule is what modprobe makes of a name: the file that an alias or an
// install line of modprobe.d leads to. off: an install line keeps it out.
func (m *Machine) resolveModule(name string) (file string, off bool) {
	name = strings.ReplaceAll(name, "-", "_")
	if command := m.modprobeRules("install")[name]; command != "" {
		if strings.HasSuffix(command, "/true") || strings.HasSuffix(command, "/false") {
			return "", true
		}
		if _, last, ok := strings.Cut(command, "modprobe -i "); ok {
			return m.modulePath(m.kernel(), strings.Fields(last)[0]), false
		}
	}
	if alias := m.modprobeRules("alias")[name]; alias != "" {
		name = alias
	}
	return m.modulePath(m.kernel(), name), false
}

// insert loads a module with what it needs, as modprobe does; why is the
// kernel's word when it does not.
func (m *Machine) insert(name string) (found bool, why string) {
	file, off := m.resolveModule(name)
	if off {
		return true, ""
	}
	if file == "" {
		return m.loaded(strings.ReplaceAll(name, "-", "_")), ""
	}
	f, ok := m.readModule(file)
	if !ok {
		return true, "Exec format error"
	}
	if m.loaded(f.name) {
		return true, ""
	}
	for _, need := range f.depends {
		if found, why := m.insert(need); !found || why != "" {
			return true, orElse(why, "Unknown symbol in module, or unknown parameter (see dmesg)")
		}
	}
	if f.signer == "" && m.spec.secureBoot == "on" {
		m.klog("Loading of unsigned module is rejected")
		return true, "Key was rejected by service"
	}
	if why := m.probeGPUs(f); why != "" {
		return true, why
	}
	m.mu.Lock()
	m.modules[f.name] = f
	m.mu.Unlock()
	return true, ""
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// loadModule loads a module that is part of the kernel.
func (m *Machine) loadModule(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := []string{name}
	switch name {
	case "nfs", "nfsv3", "nfsv4":
		names = append(names, "nfs", "lockd", "sunrpc", "grace")
	}
	for _, name := range names {
		m.modules[name] = moduleFile{name: name}
	}
}

func (m *Machine) loaded(module string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.modules[module]
	return ok
}

// holders are the loaded modules that use another; the machine's lock is held.
func (m *Machine) holders(name string) []string {
	var list []string
	for other, f := range m.modules {
		if slices.Contains(f.depends, name) {
			list = append(list, other)
		}
	}
	slices.Sort(list)
	return list
}

// references counts who uses a module: others, and programs with its devices
// open. The machine's lock is held.
func (m *Machine) references(name string) int {
	n := len(m.holders(name))
	switch name {
	case "nvidia":
		n += m.gpuUsers(true)
	case "nvidia_uvm":
		n += m.gpuUsers(false)
	case "nouveau":
		n++ // the console is drawn by it
	}
	return n
}

// unload takes a module out of the kernel; why says why it cannot be.
func (m *Machine) unload(name string) (why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.modules[name]; !ok {
		return "not currently loaded"
	}
	if by := m.holders(name); len(by) > 0 {
		return "in use by: " + strings.Join(by, " ")
	}
	if m.references(name) > 0 {
		return "in use"
	}
	delete(m.modules, name)
	return ""
}

func (m *Machine) moduleNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.modules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// procModules is /proc/modules.
func (m *Machine) procModules() string {
	var b strings.Builder
	for i, name := range m.moduleNames() {
		m.mu.Lock()
		by, refs := strings.Join(m.holders(name), ","), m.references(name)
		m.mu.Unlock()
		if by != "" {
			by += ","
		}
		fmt.Fprintf(&b, "%s %d %d %s Live 0x%016x\n", name, 16384*(i+1), refs, orElse(by, "-"), 0)
	}
	return b.String()
}

// sysModules is /sys/module.
func (m *Machine) sysModules() map[string]func() *node {
	all := map[string]func() *node{}
	for _, name := range m.moduleNames() {
		all[name] = func() *node {
			m.mu.Lock()
			f, by, refs := m.modules[name], m.holders(name), m.references(name)
			m.mu.Unlock()
			d := m.newMade("module " + name)
			d.file("refcnt", fmt.Sprintf("%d\n", refs))
			d.file("initstate", "live\n")
			if f.version != "" {
				d.file("version", f.version+"\n")
			}
			d.dir("holders")
			for _, other := range by {
				d.dir("holders/" + other)
			}
			return d.node
		}
	}
	return all
}

func lsmod(p *process) int {
	p.println("Module                  Size  Used by")
	for line := range strings.Lines(p.machine.procModules()) {
		f := strings.Fields(line)
		p.printf("%-19s %8s  %s\n", f[0], f[1], strings.TrimSpace(f[2]+" "+strings.Trim(f[3], "-,")))
	}
	return 0
}

func modprobe(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-q -n -r -a -v -i -s --dry-run --quiet --remove --all --first-time --ignore-install --show-depends -D", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	m := p.machine
	quiet := isSet(set, "-q", "--quiet")
	status := 0
	for i, name := range args {
		if i > 0 && !isSet(set, "-a", "--all", "-r", "--remove") {
			break // parameters
		}
		if isSet(set, "-r", "--remove") {
			status |= p.modprobeRemove(name, quiet)
			continue
		}
		if file, off := m.resolveModule(name); file == "" && !off && !m.loaded(strings.ReplaceAll(name, "-", "_")) {
			if !quiet {
				fmt.Fprintf(p.stderr, "modprobe: FATAL: Module %s not found in directory /lib/modules/%s\n", name, m.kernel())
			}
			return 1
		}
		if isSet(set, "-n", "--dry-run") {
			continue
		}
		if p.cred.uid != 0 {
			fmt.Fprintf(p.stderr, "modprobe: ERROR: could not insert '%s': Operation not permitted\n", name)
			return 1
		}
		if _, why := m.insert(name); why != "" {
			file, _ := m.resolveModule(name)
			said := moduleName(file)
			fmt.Fprintf(p.stderr, "modprobe: ERROR: could not insert '%s': %s\n", said, why)
			status = 1
		}
	}
	return status
}

// modprobeRemove takes a module out with what it alone needed.
func (p *process) modprobeRemove(name string, quiet bool) int {
	name = strings.ReplaceAll(name, "-", "_")
	m := p.machine
	order := []string{name}
	if name == "nvidia" {
		order = []string{"nvidia_drm", "nvidia_modeset", "nvidia_peermem", "nvidia_uvm", "nvidia"}
	}
	for _, n := range order {
		why := m.unload(n)
		switch {
		case why == "" || why == "not currently loaded" && n != name:
		case why == "not currently loaded":
			if !quiet && m.modulePath(m.kernel(), n) == "" {
				fmt.Fprintf(p.stderr, "modprobe: FATAL: Module %s not found.\n", n)
				return 1
			}
		default:
			if !quiet {
				fmt.Fprintf(p.stderr, "modprobe: FATAL: Module %s is %s.\n", n, why)
			}
			return 1
		}
	}
	return 0
}

func rmmod(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-f -s -v -w --syslog --verbose", "")
	if unknown != "" || len(set) > 1 {
		return p.usage(unknown)
	}
	status := 0
	for _, name := range args {
		name = moduleName(name)
		if p.cred.uid != 0 {
			fmt.Fprintf(p.stderr, "rmmod: ERROR: ../libkmod/libkmod-module.c:799 kmod_module_remove_module() could not remove '%s': Operation not permitted\nrmmod: ERROR: could not remove module %[1]s: Operation not permitted\n", name)
			status = 1
			continue
		}
		if why := p.machine.unload(name); why != "" {
			fmt.Fprintf(p.stderr, "rmmod: ERROR: Module %s is %s\n", name, why)
			status = 1
		}
	}
	return status
}

func modinfo(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-n -0", "-F -k -b --field --set-version")
	if unknown != "" {
		return p.usage(unknown)
	}
	m := p.machine
	kernel := orElse(set["-k"]+set["--set-version"], m.kernel())
	status := 0
	for _, name := range args {
		file := name
		if !strings.Contains(name, "/") {
			file = m.modulePath(kernel, name)
		}
		f, ok := m.readModule(file)
		if !ok {
			fmt.Fprintf(p.stderr, "modinfo: ERROR: Module %s not found.\n", name)
			status = 1
			continue
		}
		if at := strings.Split(strings.TrimPrefix(file, "/usr"), "/"); len(at) > 3 {
			kernel = at[3]
		}
		fields := []struct{ name, value string }{
			{"filename", file}, {"version", f.version}, {"license", f.license}, {"depends", strings.Join(f.depends, ",")},
			{"retpoline", "Y"}, {"name", f.name}, {"vermagic", kernel + " SMP preempt mod_unload modversions "},
		}
		if f.signer != "" {
			fields = append(fields, struct{ name, value string }{"sig_id", "PKCS#7"}, struct{ name, value string }{"signer", f.signer})
		}
		want := set["-F"] + set["--field"]
		if isSet(set, "-n") {
			want = "filename"
		}
		for _, field := range fields {
			switch {
			case field.value == "" && field.name == "version":
			case want == field.name:
				p.println(field.value)
			case want == "":
				p.printf("%-15s %s\n", field.name+":", field.value)
			}
		}
	}
	return status
}
