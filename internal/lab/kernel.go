package lab

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// aDirectory marks the directories of /proc and /sys: nobody makes files there.
func aDirectory(*Machine) string { return "" }

func (im *image) proc() *node {
	top := im.node(fs.ModeDir | 0o555)
	top.show, top.find, top.list = aDirectory, (*Machine).procDir, (*Machine).procNames
	for name, show := range map[string]func(*Machine) string{
		"cpuinfo": (*Machine).cpuinfo, "meminfo": (*Machine).meminfo, "filesystems": (*Machine).filesystems,
		"modules": (*Machine).procModules, "self/mountinfo": (*Machine).mountinfo, "self/mounts": (*Machine).procMounts,
		"thread-self/mountinfo": (*Machine).mountinfo, "1/mountinfo": (*Machine).mountinfo, "1/mounts": (*Machine).procMounts,
		"1/comm":   func(*Machine) string { return "systemd\n" },
		"1/cgroup": func(*Machine) string { return "0::/init.scope\n" },
		"version":  func(m *Machine) string { return m.spec.distro.version + "\n" },
		"cmdline": func(m *Machine) string {
			return "BOOT_IMAGE=/boot/vmlinuz-" + m.kernel() + " root=UUID=5b0c4a3e-8f7d-4c55-9a34-2f0a6f1d7e21 ro quiet\n"
		},
		"uptime":  (*Machine).uptime,
		"locks":   (*Machine).procLocks,
		"loadavg": func(*Machine) string { return "0.08 0.03 0.01 1/212 4711\n" },
		"stat": func(m *Machine) string {
			return fmt.Sprintf("cpu  1 0 1 1 0 0 0 0 0 0\nbtime %d\n", m.bootTime().Unix())
		},
		"swaps":                       (*Machine).swaps,
		"sys/kernel/random/boot_id":   func(m *Machine) string { return m.BootID() + "\n" },
		"sys/kernel/random/uuid":      func(*Machine) string { return uuid() + "\n" },
		"sys/kernel/hostname":         func(m *Machine) string { return m.Name + "\n" },
		"sys/kernel/osrelease":        func(m *Machine) string { return m.kernel() + "\n" },
		"sys/kernel/ostype":           func(*Machine) string { return "Linux\n" },
		"sys/kernel/arch":             func(*Machine) string { return "x86_64\n" },
		"sys/kernel/modules_disabled": func(*Machine) string { return "0\n" },
		"sys/kernel/pid_max":          func(*Machine) string { return "4194304\n" },
		"net/route":                   func(*Machine) string { return routes },
		"net/tcp":                     func(*Machine) string { return sockets },
		"net/dev":                     func(*Machine) string { return "Inter-|   Receive\n    lo:\n  eno1:\n" },
	} {
		im.file(top, name, "", 0o444).show = show
	}
	im.link(top, "mounts", "self/mounts")
	im.dir(top, "driver").lookUp((*Machine).procDriver)
	for _, sysctl := range []string{"net/ipv4/ip_forward", "fs/inotify/max_user_instances", "vm/swappiness"} {
		n := im.file(top, "sys/"+sysctl, "", 0o644)
		n.show = func(m *Machine) string { return m.getSysctl(sysctl) }
		n.store = func(m *Machine, s string) error { m.setSysctl(sysctl, s); return nil }
	}
	im.dir(top, "sys/net").lookUp((*Machine).bridge)
	return top
}

func (im *image) sys() *node {
	top := im.node(fs.ModeDir | 0o555)
	top.show = aDirectory
	for name, show := range map[string]func(*Machine) string{
		"devices/system/cpu/online":   func(m *Machine) string { return cpuRange(m) },
		"devices/system/cpu/possible": func(m *Machine) string { return cpuRange(m) },
		"devices/system/cpu/present":  func(m *Machine) string { return cpuRange(m) },
		"class/dmi/id/sys_vendor":     func(*Machine) string { return "Practice\n" },
		"class/dmi/id/product_uuid": func(m *Machine) string {
			return fmt.Sprintf("4c4c4544-0043-5910-8054-%012x\n", fingerprint(m.Name)&(1<<48-1))
		},
		"class/net/eno1/mtu":           func(*Machine) string { return "1500\n" },
		"fs/cgroup/cgroup.controllers": func(*Machine) string { return "cpuset cpu io memory hugetlb pids rdma misc\n" },
		"class/dmi/id/product_name":    func(*Machine) string { return "Host in memory\n" },
		"block/sda/size":               func(m *Machine) string { return fmt.Sprintf("%d\n", m.spec.disk/512) },
		"block/sda/sda1/size":          func(m *Machine) string { return fmt.Sprintf("%d\n", m.spec.disk/512) },
		"block/sda/sda1/dev":           func(*Machine) string { return "8:1\n" },
	} {
		im.file(top, name, "", 0o444).show = show
	}
	for _, dir := range []string{"fs/cgroup", "bus/pci/devices", "module", "kernel"} {
		im.dir(top, dir)
	}
	im.dir(top, "fs/cgroup").lookUp((*Machine).groups)
	im.dir(top, "module").lookUp((*Machine).sysModules)
	im.dir(top, "bus/pci/devices").lookUp((*Machine).pciDevices)
	im.dir(top, "bus/pci/drivers").lookUp((*Machine).pciDrivers)
	im.dir(top, "firmware").lookUp((*Machine).firmware)
	return top
}

func cpuRange(m *Machine) string {
	if m.spec.cpus == 1 {
		return "0\n"
	}
	return fmt.Sprintf("0-%d\n", m.spec.cpus-1)
}

func (m *Machine) cpuinfo() string {
	var b strings.Builder
	for i := range m.spec.cpus {
		fmt.Fprintf(&b, "processor\t: %d\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\nmodel name\t: Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz\n"+
			"cpu MHz\t\t: 2000.000\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\nflags\t\t: fpu vme de pse tsc msr pae lm avx2 avx512f\n"+
			"address sizes\t: 46 bits physical, 57 bits virtual\n\n", i, m.spec.cpus, i, m.spec.cpus)
	}
	return b.String()
}

func (m *Machine) meminfo() string {
	total := m.spec.memory / 1024
	return fmt.Sprintf("MemTotal:       %8d kB\nMemFree:        %8d kB\nMemAvailable:   %8d kB\nBuffers:           61200 kB\nCached:          %7d kB\nSwapCached:            0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nHugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
		total, total*7/10, total*9/10, total/6)
}

func (m *Machine) filesystems() string {
	text := "nodev\tsysfs\nnodev\ttmpfs\nnodev\tbdev\nnodev\tproc\nnodev\tcgroup\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tsecurityfs\nnodev\tsockfs\nnodev\tbpf\nnodev\tpipefs\nnodev\tramfs\nnodev\thugetlbfs\nnodev\tdevpts\nnodev\tmqueue\nnodev\tpstore\nnodev\tautofs\n\text3\n\text2\n\text4\n"
	if m.loaded("nfs") {
		text += "nodev\tnfs\nnodev\tnfs4\n"
	}
	if m.loaded("overlay") {
		text += "nodev\toverlay\n"
	}
	return text
}

func (m *Machine) bootTime() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.booted
}

func (m *Machine) uptime() string {
	up := time.Since(m.bootTime()).Seconds() + 5
	return fmt.Sprintf("%.2f %.2f\n", up, up*float64(m.spec.cpus)*0.9)
}

func (m *Machine) getSysctl(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.sysctl[name]; ok {
		return v
	}
	return "0\n"
}

func (m *Machine) setSysctl(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sysctl[name] = strings.TrimRight(value, "\n") + "\n"
}
