package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// This file is what a host has that Kubernetes asks for: settings of the kernel
// that a boot takes from files, swap, control groups, a clock that is kept.

// siteFiles are on every fresh host: this site's installer puts them there.
var siteFiles = map[string]string{
	"/etc/modules-load.d/k8s.conf": "overlay\nbr_netfilter\n",
	"/etc/sysctl.d/k8s.conf":       "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n",
}

// bootSettings is what systemd does early: modules of modules-load.d, values of
// sysctl.d, and the swap that fstab lists.
func (m *Machine) bootSettings() {
	lines := func(folder string) []string {
		var all []string
		entries, _ := m.fs.readDir(root, folder)
		slices.SortFunc(entries, func(a, b info) int { return strings.Compare(a.name, b.name) })
		for _, e := range entries {
			text, _ := m.ReadFile(path.Join(folder, e.name))
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' && strings.HasSuffix(e.name, ".conf") {
					all = append(all, line)
				}
			}
		}
		return all
	}
	for _, name := range lines("/etc/modules-load.d") {
		m.insert(name)
	}
	m.mu.Lock()
	clear(m.sysctl)
	m.swap = nil
	m.mu.Unlock()
	for _, line := range lines("/etc/sysctl.d") {
		if name, value, ok := strings.Cut(line, "="); ok {
			m.setSysctl(strings.ReplaceAll(strings.TrimSpace(name), ".", "/"), strings.TrimSpace(value))
		}
	}
	fstab, _ := m.ReadFile("/etc/fstab")
	for line := range strings.Lines(fstab) {
		if words := strings.Fields(line); len(words) >= 3 && words[0][0] != '#' && words[2] == "swap" {
			m.mu.Lock()
			m.swap = append(m.swap, words[0])
			m.mu.Unlock()
		}
	}
}

func (m *Machine) swaps() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for i, name := range m.swap {
		text += fmt.Sprintf("%-40sfile\t\t4194300\t\t12288\t\t%d\n", name, -2-i)
	}
	return text
}

func swapoff(p *process) int {
	status := 0
	for _, name := range p.args[1:] {
		p.machine.mu.Lock()
		i := slices.Index(p.machine.swap, name)
		if i >= 0 {
			p.machine.swap = slices.Delete(p.machine.swap, i, i+1)
		}
		p.machine.mu.Unlock()
		if i < 0 {
			fmt.Fprintf(p.stderr, "swapoff: %s: swapoff failed: Invalid argument\n", name)
			status = 255
		}
	}
	return status
}

// bridge is /proc/sys/net/bridge, which is there once br_netfilter is loaded.
func (m *Machine) bridge() map[string]func() *node {
	if !m.loaded("br_netfilter") {
		return nil
	}
	return map[string]func() *node{"bridge": func() *node {
		d := m.newMade("bridge")
		for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
			sysctl := "net/bridge/" + name
			d.file(name, "")
			n := d.node.kids[name]
			n.mode = 0o644
			n.show = func(m *Machine) string { return m.getSysctl(sysctl) }
			n.store = func(m *Machine, s string) error { m.setSysctl(sysctl, s); return nil }
		}
		return d.node
	}}
}

// groups is /sys/fs/cgroup/system.slice: a folder for each service that runs.
func (m *Machine) groups() map[string]func() *node {
	return map[string]func() *node{"system.slice": func() *node {
		var names []string
		m.mu.Lock()
		for name, u := range m.units {
			if u.pid != 0 {
				names = append(names, name)
			}
		}
		m.mu.Unlock()
		d := m.newMade("system.slice")
		for _, name := range names {
			d.dir(name)
		}
		return d.node
	}}
}

const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
	"eno1\t00000000\t01014D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"

const sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
	"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21034 1 0000000000000000 100 0 0 10 0\n"
