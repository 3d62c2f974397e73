package tasks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func readKubernetes(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &kubernetesFacts{Services: readServices(blocks), files: map[string]file{}, CgroupDrivers: map[string]string{}}
	if f.ledger, err = readLedger("kubernetes", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	r := kubernetesReader{f: f, began: s.Began, controller: s.Clock}
	for _, b := range blocks {
		if err := r.read(b); err != nil {
			return nil, fmt.Errorf("probe %s: %w%s", s.Name, err, evidence(s.Err))
		}
	}
	r.finish()
	if f.Cluster, err = readOfHost(s.Cluster); err != nil {
		return nil, fmt.Errorf("probe %s: what the cluster said: %w", s.Name, err)
	}
	return f, nil
}

// A kubernetesReader makes facts of the blocks of a probe.
type kubernetesReader struct {
	f                 *kubernetesFacts
	began, controller time.Time // of the section
	synced            string
}

func (r *kubernetesReader) read(b block) error {
	f := r.f
	switch b.kind {
	case "file":
		return r.file(b.file())
	case "kernel":
		f.System.Kernel, f.asked = b.rest, true
	case "container":
		f.Container = b.rest
	case "hostname":
		f.Hostname = b.rest
	case "machine-id":
		f.MachineID = b.rest
	case "boot":
		f.bootID = b.rest
	case "uuid":
		f.ProductUUID = strings.ToLower(b.rest)
	case "available":
		var err error
		if f.Available.Bytes, err = parseKiB(b.rest); err != nil {
			f.Available.Fault = "MemAvailable: " + err.Error()
		}
	case "swapunit":
		f.SwapUnits = append(f.SwapUnits, b.rest)
	case "module":
		f.Modules = append(f.Modules, moduleFacts{b.rest, b.noted("loaded")})
	case "sysctl":
		name, value, _ := strings.Cut(b.rest, " ")
		s := sysctlFacts{Name: name, Value: strings.TrimSpace(value), Presence: "present"}
		for _, note := range []string{"absent", "fixed"} {
			if b.noted(note) {
				s.Presence = note
			}
		}
		f.Sysctls = append(f.Sysctls, s)
	case "settings":
		f.boot = b.lines
	case "found":
		// grep: 1 is nothing found, 2 that a pattern of files had none.
		if exit := b.exit(); exit > 2 || exit < 0 {
			return fmt.Errorf("grep in what is read at boot: exit status %d", exit)
		}
		return r.found(b.lines)
	case "cgroups":
		f.Cgroups = b.rest
	case "apiserver":
		f.APIServer = coreVersion(b.rest)
	case "running":
		if !slices.Contains(f.Running, b.rest) {
			f.Running = append(f.Running, b.rest)
		}
	case "route":
		f.Interface = b.rest
	case "mtu":
		f.MTU, _ = strconv.Atoi(b.rest) // 0: not known
	case "holder":
		if words := strings.SplitN(b.rest, " ", 3); len(words) == 3 {
			r.holder(words[1], words[0]+" ("+words[2]+")")
		}
	case "resolves":
		f.Resolves = "hosts"
	case "resolved":
		r.resolved(b)
	case "selinux":
		f.SELinux = map[string]string{"1": "enforcing", "0": "permissive"}[b.rest]
		if f.SELinux == "" {
			f.SELinux = "disabled"
		}
		f.selinuxPolicy = b.noted("containers")
	case "apparmor":
		f.AppArmor, f.parser = "disabled", b.noted("parser")
		if b.rest == "Y" {
			f.AppArmor = "enabled"
		}
	case "zone":
		f.Firewall = &firewallFacts{Zone: b.rest}
	case "synced":
		r.synced = b.rest
	case "chronyc":
		r.chrony(b)
	case "program":
		r.program(b)
	case "gpus", "tool", "trusted":
		r.toolkit(b)
	case "date":
		return r.date(b)
	}
	return nil
}

func (r *kubernetesReader) file(has file) error {
	f := r.f
	f.files[has.Path] = has
	switch {
	case has.Path == "/proc/swaps":
		for i, line := range splitLines(has.content) {
			words := strings.Fields(line)
			if i == 0 || len(words) == 0 {
				continue
			}
			if len(words) != 5 {
				return fmt.Errorf("/proc/swaps: %q is no line of it", clip(line, 80))
			}
			size, err1 := strconv.ParseInt(words[2], 10, 50)
			used, err2 := strconv.ParseInt(words[3], 10, 50)
			if err1 != nil || err2 != nil || size < 0 || used < 0 {
				return fmt.Errorf("/proc/swaps: %q is no line of it", clip(line, 80))
			}
			f.Swaps = append(f.Swaps, swapFacts{unescapeMount(words[0]), words[1], inventory.Bytes(size << 10), inventory.Bytes(used << 10)})
		}
	case strings.HasSuffix(has.Path, "/os-release"):
		values := parseOSRelease(has.content)
		f.System.ID, f.System.Version, f.System.Name = values["ID"], values["VERSION_ID"], values["PRETTY_NAME"]
		f.OpenShift = values["OPENSHIFT_VERSION"]
	}
	return nil
}

// found sorts what grep has found: settings of the next boot, and sockets.
func (r *kubernetesReader) found(lines []string) error {
	for _, line := range lines {
		name, text, ok := strings.Cut(line, ":")
		if !ok || !strings.HasPrefix(name, "/") {
			return fmt.Errorf("grep: %q names no file", clip(line, 80))
		}
		if !strings.HasPrefix(name, "/proc/net/tcp") {
			r.f.Settings = append(r.f.Settings, settingFacts{name, text})
			continue
		}
		words := strings.Fields(text)
		if len(words) < 10 {
			return fmt.Errorf("%s: %q is no line of it", name, clip(text, 80))
		}
		address, port, _ := strings.Cut(words[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			return fmt.Errorf("%s: %q is no line of it", name, clip(text, 80))
		}
		l := listenFacts{Port: int(n), Local: strings.HasSuffix(address, "7F") && len(address) == 8 || address == "00000000000000000000000001000000", inode: words[9]}
		if !slices.ContainsFunc(r.f.Listening, func(has listenFacts) bool { return has.Port == l.Port && has.inode == l.inode }) {
			r.f.Listening = append(r.f.Listening, l)
		}
	}
	return nil
}

// holder is a process that has a socket, which is known by its inode.
func (r *kubernetesReader) holder(socket, who string) {
	for i := range r.f.Listening {
		if l := &r.f.Listening[i]; socket == "socket:["+l.inode+"]" && l.Holder == "" {
			l.Holder = who
		}
	}
}

func (r *kubernetesReader) resolved(b block) {
	switch exit := b.exit(); {
	case exit == 137 || exit == 124:
		r.f.nameless = "no answer within 3s"
	case exit != 0 || len(b.lines) == 0:
		r.f.nameless = "no address is found for it"
	default:
		r.f.Resolves, _, _ = strings.Cut(b.lines[0], " ")
	}
}

// chrony reads "Leap status     : Normal" of chronyc tracking.
func (r *kubernetesReader) chrony(b block) {
	for _, line := range b.lines {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "Leap status" {
			r.synced = "yes"
			if strings.TrimSpace(value) == "Not synchronised" {
				r.synced = "no"
			}
		}
	}
}

// timeServices are those that keep a clock.
var timeServices = []string{"chrony", "chronyd", "systemd-timesyncd", "ntp", "ntpd", "ntpsec", "openntpd"}

func (r *kubernetesReader) date(b block) error {
	seconds, fraction, _ := strings.Cut(b.rest, ".")
	n, err := strconv.ParseInt(seconds, 10, 40)
	if err != nil || n < 0 {
		return fmt.Errorf("date says %q", clip(b.rest, 40))
	}
	clock := &clockFacts{Controller: r.controller, Synced: r.synced}
	nanoseconds, err := strconv.ParseInt(fraction, 10, 32)
	if err != nil { // busybox prints none
		clock.Delay = time.Second
	}
	clock.Host = time.Unix(n, nanoseconds).UTC()
	if waited := r.controller.Sub(r.began); !r.began.IsZero() {
		clock.Delay += max(waited-tookHost(b), 0)
	}
	r.f.Clock = clock
	return nil
}

// tookHost is how long the host was at work on the look until then, by its own
// count of seconds since the boot.
func tookHost(b block) time.Duration {
	for _, n := range b.notes {
		if words := strings.Fields(n); len(words) == 3 && words[0] == "up" {
			from, err1 := strconv.ParseFloat(words[1], 64)
			to, err2 := strconv.ParseFloat(words[2], 64)
			if err1 == nil && err2 == nil && to >= from && to-from < 3600 {
				return time.Duration((to - from) * float64(time.Second))
			}
		}
	}
	return 0
}

// versionWord is a version as programs print it.
var versionWord = regexp.MustCompile(`(?:^|[\s"v])(\d{1,4}\.\d{1,4}(?:\.\d{1,6})?)([-+~.][0-9A-Za-z.+~-]*)?`)

// coreVersion is the first version of a text, without what follows its numbers.
func coreVersion(text string) string {
	if m := versionWord.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func (r *kubernetesReader) program(b block) {
	p := nodeProgram{}
	p.Name, p.Path, _ = strings.Cut(b.rest, " ")
	said := strings.Join(b.lines, " ")
	if m := versionWord.FindStringSubmatch(said); m != nil && b.exit() == 0 {
		p.Version, p.Full = m[1], strings.TrimRight(m[1]+m[2], ".,")
	} else {
		p.Said = clip(said, 120)
	}
	for _, n := range b.notes {
		status, ended := strings.CutPrefix(n, "ended ")
		switch {
		case ended && (status == "137" || status == "124"):
			p.Version, p.Fault = "", "it did not say its version within 8s"
		case strings.HasPrefix(n, "exit "):
			p.Fault = "asked for its version it ended with " + strings.Replace(n, "exit", "exit status", 1)
		}
	}
	r.f.Programs = append(r.f.Programs, p)
}

// finish puts together what several blocks say of one thing.
func (r *kubernetesReader) finish() {
	f := r.f
	r.cgroupDrivers()
	if f.Firewall != nil {
		r.firewall()
	}
	if f.Clock != nil {
		for _, name := range timeServices {
			if slices.Contains(f.Running, name) && f.Clock.Service == "" {
				f.Clock.Service = name
			}
		}
	}
	if f.System.Name == "" {
		f.System.Name = "an unnamed Linux"
	}
}

// cgroupDrivers are what kubelet and the runtimes are configured with.
func (r *kubernetesReader) cgroupDrivers() {
	f := r.f
	for line := range strings.Lines(f.files[kubeletConfigPath].content) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch {
		case strings.HasPrefix(line, " ") || value == "":
		case key == "cgroupDriver":
			f.CgroupDrivers["kubelet"] = value
		case key == "containerRuntimeEndpoint":
			f.KubeletRuntime = value
		}
	}
	for _, word := range strings.FieldsFunc(f.files[kubeletFlagsPath].content, func(r rune) bool { return strings.ContainsRune(" \t\n\"'", r) }) {
		if driver, ok := strings.CutPrefix(word, "--cgroup-driver="); ok {
			f.CgroupDrivers["kubelet"] = driver
		}
		if socket, ok := strings.CutPrefix(word, "--container-runtime-endpoint="); ok {
			f.KubeletRuntime = socket
		}
	}
	if f.find("containerd") != nil {
		f.CgroupDrivers["containerd"] = f.containerdDriver()
	}
	if f.find("dockerd") != nil {
		f.CgroupDrivers["docker"] = f.dockerDriver()
	}
	if f.find("crio") != nil {
		f.CgroupDrivers["cri-o"] = f.crioDriver()
	}
}

// configs are the shown files of a program, the first of names, then those of
// folders by name.
func (f *kubernetesFacts) configs(first string, folders ...string) []file {
	var all []file
	for name, has := range f.files {
		if has.Presence == Present && (name == first || slices.ContainsFunc(folders, func(dir string) bool { return strings.HasPrefix(name, dir) })) {
			all = append(all, has)
		}
	}
	slices.SortFunc(all, func(a, b file) int {
		switch {
		case a.Path == first:
			return -1
		case b.Path == first:
			return 1
		}
		return strings.Compare(a.Path[strings.LastIndexByte(a.Path, '/')+1:], b.Path[strings.LastIndexByte(b.Path, '/')+1:])
	})
	return all
}

// containerdConfigs are config.toml and what it imports. Without one, containerd
// takes its own default, which since 2.2 imports conf.d.
func (f *kubernetesFacts) containerdConfigs() []file {
	all := f.configs(containerdPath, "/etc/containerd/conf.d/", "/etc/containerd/config.d/")
	doc := map[string]any{}
	if main := f.file(containerdPath); main.Presence == Present {
		var err error
		if doc, err = parseTOML(main.content); err != nil {
			return all
		}
	} else if p := f.find("containerd"); p != nil && p.Version != "" && !versionBefore(p.Version, "2.2.0") {
		doc["imports"] = []any{"/etc/containerd/conf.d/*.toml"}
	}
	return slices.DeleteFunc(all, func(has file) bool { return has.Path != containerdPath && !imports(doc, has.Path) })
}

// criRuntimePlugins are the names under which containerd has known what runs
// containers.
var criRuntimePlugins = []string{"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"}

func (f *kubernetesFacts) containerdDriver() string {
	driver, runtime := "cgroupfs", "runc"
	configs := f.containerdConfigs()
	for _, pass := range []bool{false, true} { // which runtime, then what it is set to
		for _, has := range configs {
			doc, err := parseTOML(has.content)
			if err != nil {
				return "unclear"
			}
			for _, plugin := range criRuntimePlugins {
				table := tomlTable(doc, "plugins", plugin, "containerd")
				if name, ok := table["default_runtime_name"].(string); ok && !pass {
					runtime = name
				}
				if systemd, ok := tomlAt(table, "runtimes", runtime, "options", "SystemdCgroup").(bool); ok && pass {
					driver = map[bool]string{true: "systemd", false: "cgroupfs"}[systemd]
				}
			}
		}
	}
	return driver
}

// noCRI reports whether containerd's configuration keeps kubelet out, as that of
// Docker's package does.
func (f *kubernetesFacts) noCRI() bool {
	for _, has := range f.containerdConfigs() {
		doc, err := parseTOML(has.content)
		if err != nil {
			continue
		}
		disabled, _ := doc["disabled_plugins"].([]any)
		for _, name := range slices.Concat(criPlugins, criRuntimePlugins) {
			if slices.Contains(disabled, any(name)) {
				return true
			}
		}
	}
	return false
}

func (f *kubernetesFacts) dockerDriver() string {
	driver := "cgroupfs"
	if f.Cgroups == "v2" && f.Systemd {
		driver = "systemd"
	}
	doc, err := parseJSON(f.files[dockerPath].content)
	if err != nil {
		return "unclear"
	}
	options, _ := jsonStrings(doc, "exec-opts")
	for _, o := range options {
		if d, ok := strings.CutPrefix(o, "native.cgroupdriver="); ok {
			driver = d
		}
	}
	return driver
}

// crioConfigs are crio.conf and the drop-ins, of which CRI-O reads every file,
// whatever its name ends with.
func (f *kubernetesFacts) crioConfigs() []file {
	return f.configs("/etc/crio/crio.conf", "/usr/lib/crio/crio.conf.d/", "/etc/crio/crio.conf.d/")
}

func (f *kubernetesFacts) crioDriver() string {
	driver := "systemd"
	for _, has := range f.crioConfigs() {
		doc, err := parseTOML(has.content)
		if err != nil {
			return "unclear"
		}
		if d, ok := tomlAt(doc, "crio", "runtime", "cgroup_manager").(string); ok {
			driver = d
		}
	}
	return driver
}
