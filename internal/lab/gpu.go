package lab

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// A gpu is one on a machine's PCI bus.
type gpu struct {
	address string // "0000:17:00.0"
	device  string // PCI device id, "2330"
	name    string // as nvidia-smi says it
	memory  string // "81559MiB"
	open    bool   // the open modules know it
}

func h100s(n int) []gpu { return gpus(n, "2330", "NVIDIA H100 80GB HBM3", "81559MiB", true) }
func v100s(n int) []gpu { return gpus(n, "1db5", "Tesla V100-SXM2-32GB", "32768MiB", false) }

func gpus(n int, device, name, memory string, open bool) []gpu {
	var all []gpu
	for i := range n {
		all = append(all, gpu{fmt.Sprintf("0000:%02x:00.0", 0x17+0x24*i), device, name, memory, open})
	}
	return all
}

// pciDevices is /sys/bus/pci/devices.
func (m *Machine) pciDevices() map[string]func() *node {
	all := map[string]func() *node{}
	device := func(address, id, class string) {
		all[address] = func() *node {
			d := m.newMade("pci " + address)
			d.file("vendor", "0x10de\n")
			d.file("device", "0x"+id+"\n")
			d.file("class", class+"\n")
			if by := m.gpuDriver(); by != "" {
				d.link("driver", "../../../../bus/pci/drivers/"+by)
			}
			return d.node
		}
	}
	for _, g := range m.spec.gpus {
		device(g.address, g.device, "0x030200")
	}
	for i := range m.spec.nvswitches {
		device(fmt.Sprintf("0000:%02x:00.0", 0xc1+i), "22a3", "0x068000")
	}
	return all
}

// gpuDriver is the driver that is bound to the GPUs; "" if none.
func (m *Machine) gpuDriver() string {
	for _, name := range []string{"nvidia", "nouveau"} {
		if len(m.spec.gpus) > 0 && m.loaded(name) {
			return name
		}
	}
	return ""
}

// pciDrivers is /sys/bus/pci/drivers, of which only those of GPUs are there.
func (m *Machine) pciDrivers() map[string]func() *node {
	all := map[string]func() *node{}
	for _, name := range []string{"nvidia", "nouveau"} {
		if m.loaded(name) {
			all[name] = func() *node {
				d := m.newMade("driver " + name)
				for _, g := range m.spec.gpus {
					if m.gpuDriver() == name {
						d.dir(g.address)
					}
				}
				return d.node
			}
		}
	}
	return all
}

// firmware is /sys/firmware.
func (m *Machine) firmware() map[string]func() *node {
	if m.spec.secureBoot == "" {
		return nil
	}
	return map[string]func() *node{"efi": func() *node {
		d := m.newMade("efi")
		value := "\x06\x00\x00\x00\x00"
		if m.spec.secureBoot == "on" {
			value = "\x06\x00\x00\x00\x01"
		}
		d.file("efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", value)
		return d.node
	}}
}

// procDriver is /proc/driver.
func (m *Machine) procDriver() map[string]func() *node {
	m.mu.Lock()
	f, ok := m.modules["nvidia"]
	m.mu.Unlock()
	if !ok {
		return nil
	}
	return map[string]func() *node{"nvidia": func() *node {
		d := m.newMade("proc nvidia")
		text := "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + f.version + "  Mon Jun 23 19:20:10 UTC 2025\n"
		if f.license != "NVIDIA" {
			text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " + f.version + "  Release Build  (dvs-builder@U22-I3-B16-01-4)  Tue Apr  8 12:41:17 UTC 2025\n"
		}
		d.file("version", text+"GCC version:  gcc version 12.2.0\n")
		for i, g := range m.spec.gpus {
			uuid := "GPU-????????-????-????-????-????????????"
			if u := m.unit("nvidia-persistenced.service"); u != nil && u.active {
				uuid = m.gpuUUID(i)
			}
			d.file("gpus/"+g.address+"/information", fmt.Sprintf("Model: \t\t %s\nIRQ:   \t\t %d\nGPU UUID: \t %s\nVideo BIOS: \t 96.00.74.00.01\nBus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\nBus Location: \t %s\nDevice Minor: \t %d\nGPU Excluded:\t No\n",
				g.name, 16+i, uuid, g.address, i))
		}
		return d.node
	}}
}

func (m *Machine) gpuUUID(i int) string {
	h := fingerprint(fmt.Sprint(m.Name, i))
	return fmt.Sprintf("GPU-%08x-4a3e-4c55-9a34-%012x", h>>32, h&0xffffffffffff)
}

// gpuDevices are those of /dev.
func (m *Machine) gpuDevices() map[string]func() *node {
	all := map[string]func() *node{}
	if !m.loaded("nvidia") {
		return all
	}
	names := []string{"nvidiactl"}
	if m.loaded("nvidia_uvm") {
		names = append(names, "nvidia-uvm")
	}
	for i := range m.spec.gpus {
		names = append(names, fmt.Sprintf("nvidia%d", i))
	}
	for i, name := range names {
		all[name] = func() *node {
			return &node{mode: fs.ModeDevice | fs.ModeCharDevice | 0o666, ino: uint64(900 + i), mtime: m.bootTime()}
		}
	}
	return all
}

// A resident is a process that is there from the first boot on, with no program
// behind it: somebody's work.
type resident struct {
	args   []string
	uid    uint32
	cgroup string   // of /proc/PID/cgroup
	files  []string // that it has open
}

// spawn starts a resident, which runs until it is killed or the machine goes
// down.
func (m *Machine) spawn(r resident) {
	p := m.login(cred{uid: r.uid, gid: r.uid}, "root", nil, nil, nil)
	p.args, p.cgroup, p.files = r.args, r.cgroup, r.files
	m.register(p)
	context.AfterFunc(p.ctx, func() { p.exit() })
}

// gpuUnits are services that have the GPUs open while they run.
var gpuUnits = []string{"nvidia-persistenced.service", "nvidia-fabricmanager.service", "nvidia-dcgm.service"}

// gpuUsers counts open GPUs, or else those who compute on them. The machine's
// lock is held.
func (m *Machine) gpuUsers(all bool) int {
	n := 0
	for _, p := range m.procs {
		for _, f := range p.files {
			if f == "/dev/nvidia-uvm" || all && strings.HasPrefix(f, "/dev/nvidia") {
				n++
			}
		}
	}
	for _, name := range gpuUnits {
		if u := m.units[name]; u != nil && u.active && all {
			n += len(m.spec.gpus) + 1
		}
	}
	return n
}

// filesOfUnit are what a service has open.
func (m *Machine) filesOfUnit(name string) []string {
	if !slices.Contains(gpuUnits, name) {
		return nil
	}
	files := []string{"/dev/nvidiactl"}
	for i := range m.spec.gpus {
		files = append(files, fmt.Sprintf("/dev/nvidia%d", i))
	}
	return files
}

// klog adds lines to the kernel's log.
func (m *Machine) klog(lines ...string) {
	up := time.Since(m.bootTime()).Seconds() + 5
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range lines {
		m.kernelLog = append(m.kernelLog, fmt.Sprintf("[%12.6f] %s", up, line))
	}
}

func (m *Machine) readKernelLog() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.kernelLog)
}

func dmesg(p *process) int {
	_, args, unknown := permuted(p.args[1:], "-T -H -x -t --ctime --nopager --notime", "-l -f --level")
	if unknown != "" || len(args) > 0 {
		return p.usage(unknown)
	}
	for _, line := range p.machine.readKernelLog() {
		p.println(line)
	}
	return 0
}

// probeGPUs is what a module for GPUs finds when it is loaded; why is the word
// for what is wrong.
func (m *Machine) probeGPUs(f moduleFile) (why string) {
	if f.name != "nvidia" {
		return f.fault
	}
	m.klog("nvidia: loading out-of-tree module taints kernel.", "nvidia-nvlink: Nvlink Core is being initialized, major device number 239")
	n := len(m.spec.gpus)
	switch {
	case f.fault != "":
		m.klog("NVRM: GPU 0000:17:00.0: RmInitAdapter failed! (0x25:0xffff:1480)", "NVRM: GPU 0000:17:00.0: rm_init_adapter failed, device minor number 0")
		return f.fault
	case n == 0:
		m.klog("NVRM: No NVIDIA GPU found.", "nvidia-nvlink: Unregistered Nvlink Core, major device number 239")
		return "No such device"
	case m.loaded("nouveau"):
		m.klog(fmt.Sprintf("NVRM: The NVIDIA probe routine was not called for %d device(s).", n),
			"NVRM: This can occur when another driver was loaded and ", "NVRM: obtained ownership of the NVIDIA device(s).",
			"NVRM: Try unloading the conflicting kernel module (and/or", "NVRM: reconfigure your kernel without the conflicting",
			"NVRM: driver(s)), then try loading the NVIDIA kernel module", "NVRM: again.", "NVRM: No NVIDIA devices probed.")
		return "No such device"
	case f.license != "NVIDIA" && !m.spec.gpus[0].open:
		g := m.spec.gpus[0]
		m.klog("NVRM: The NVIDIA GPU "+g.address+" (PCI ID: 10de:"+g.device+")", "NVRM: installed in this system is not supported by open",
			"NVRM: nvidia.ko because it does not include the required GPU", "NVRM: System Processor (GSP).", "NVRM: None of the NVIDIA devices were initialized.")
		return "No such device"
	}
	m.klog("NVRM: loading NVIDIA UNIX x86_64 Kernel Module  " + f.version)
	return ""
}

// userSpace is the version of the library that programs are linked with.
func (m *Machine) userSpace() string {
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/lib64"} {
		if target, err := m.fs.readlink(root, dir+"/libnvidia-ml.so.1"); err == nil {
			return strings.TrimPrefix(path.Base(target), "libnvidia-ml.so.")
		}
	}
	return ""
}

// branch is the first number of a version.
func branch(version string) string {
	b, _, _ := strings.Cut(version, ".")
	return b
}

// cudaOf is the newest CUDA that a driver's branch supports.
func cudaOf(version string) string {
	cuda := map[string]string{"450": "11.0", "470": "11.4", "525": "12.0", "535": "12.2", "550": "12.4", "560": "12.6", "570": "12.8", "580": "13.0"}[branch(version)]
	return orElse(cuda, "N/A")
}

// nvidiaSMI answers for the driver that is loaded.
func nvidiaSMI(p *process) int {
	m := p.machine
	user := m.userSpace()
	if !m.loaded("nvidia") {
		_, _ = m.insert("nvidia") // nvidia-modprobe, which is root's whoever asks
	}
	m.mu.Lock()
	f, ok := m.modules["nvidia"]
	m.mu.Unlock()
	if !ok {
		p.print("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n")
		return 9
	}
	if f.version != user {
		p.printf("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: %s\n", strings.Join(strings.Split(user, ".")[:2], "."))
		return 18
	}
	var query string
	header := true
	for _, arg := range p.args[1:] {
		switch {
		case strings.HasPrefix(arg, "--query-gpu="):
			query = strings.TrimPrefix(arg, "--query-gpu=")
		case strings.HasPrefix(arg, "--format="):
			header = !strings.Contains(arg, "noheader")
		case arg == "-L":
			for i, g := range m.spec.gpus {
				p.printf("GPU %d: %s (UUID: %s)\n", i, g.name, m.gpuUUID(i))
			}
			return 0
		case arg == "-pm" || arg == "1":
			if p.cred.uid == 0 {
				p.println("All done.")
			}
			return 0
		default:
			return p.lacks(arg)
		}
	}
	persistence := "Off"
	if u := m.unit("nvidia-persistenced.service"); u != nil && u.active {
		persistence = "On"
	}
	if query != "" {
		if header {
			p.println(strings.ReplaceAll(query, ",", ", "))
		}
		for i, g := range m.spec.gpus {
			var row []string
			for _, field := range strings.Split(query, ",") {
				row = append(row, map[string]string{"index": fmt.Sprint(i), "name": g.name, "driver_version": f.version, "uuid": m.gpuUUID(i),
					"memory.total": strings.TrimSuffix(g.memory, "MiB") + " MiB", "pci.bus_id": "0000" + strings.ToUpper(g.address), "persistence_mode": persistence}[strings.TrimSpace(field)])
			}
			p.println(strings.Join(row, ", "))
		}
		return 0
	}
	p.printf("%s\n+---------------------------------------------------------------------------------------+\n", time.Now().UTC().Format("Mon Jan _2 15:04:05 2006       "))
	p.printf("| NVIDIA-SMI %-22s Driver Version: %-12s CUDA Version: %-8s |\n", f.version, f.version, cudaOf(f.version))
	p.print(`|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. |
|                                         |                      |               MIG M. |
|=========================================+======================+======================|
`)
	for i, g := range m.spec.gpus {
		p.printf("| %3d  %-27s %-7s | 0000%s Off |                    0 |\n", i, g.name, persistence, strings.ToUpper(g.address))
		p.printf("| N/A   31C    P0              71W / 700W |%20s |      0%%      Default |\n", "0MiB / "+g.memory)
		p.print("|                                         |                      |             Disabled |\n+-----------------------------------------+----------------------+----------------------+\n")
	}
	p.print("\n+---------------------------------------------------------------------------------------+\n| Processes:                                                                            |\n")
	p.print("|  GPU   GI   CI        PID   Type   Process name                            GPU Memory |\n|=======================================================================================|\n")
	p.print("|  No running processes found                                                           |\n+---------------------------------------------------------------------------------------+\n")
	return 0
}
