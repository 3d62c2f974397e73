//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// What the kernel has of it, asked with other programs than the probe's.
const kernelHas = `echo "swaps: $(tail -n +2 /proc/swaps | cut -d' ' -f1 | tr '\n' ' ')"
echo "swapon: $(swapon --show=NAME --noheadings | tr '\n' ' ')"
echo "modules: $(lsmod | cut -d' ' -f1 | grep -xE 'overlay|br_netfilter' | sort | tr '\n' ' ')"
echo "sysctls: $(sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables 2>/dev/null | tr '\n' ' ')"`

// A kernel of its own, which swaps and has neither the modules nor the settings:
// apply changes what it has now, and the next boot, a real one, comes up with
// the same. What leaves the inventory leaves the boot after it.
func TestKubernetesInTheKernel(t *testing.T) {
	RequireVM(t)
	l := New(t)
	vm := l.VM(t, "gpu-01")
	vm.SSH(t, `dd if=/dev/zero of=/swapfile bs=1M count=32 status=none; chmod 600 /swapfile; mkswap -q /swapfile; swapon /swapfile
printf '/swapfile none swap sw 0 0\n' >>/etc/fstab; sysctl -qw net.ipv4.ip_forward=0`)
	fstab := vm.SSH(t, "cat /etc/fstab")
	const bare = "swaps: /swapfile \nswapon: /swapfile \nmodules: \nsysctls: 0 \n"
	if got := vm.SSH(t, kernelHas); got != bare {
		t.Fatalf("the machine to begin with:\n%s", got)
	}
	c := newController(t, l, []*Machine{vm})
	inventory := func(block string) {
		c.write("inventory.hcl", `
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
egress { enabled = false }
host "gpu-01" { address = "`+vm.IP+`" }
`+block)
	}
	// The clock of an emulated machine is no subject here.
	inventory("kubernetes {\n  version   = \">= 1.28\"\n  time_skew = \"1h\"\n}\n")

	plan := findings(c.result(2, "plan", "inventory.hcl"))
	contains(t, "plan", strings.Join(plan, "\n"), "gpu-01 kubernetes swap pending", "gpu-01 kubernetes modules pending", "gpu-01 kubernetes sysctls pending")
	if got := vm.SSH(t, kernelHas); got != bare {
		t.Errorf("plan changed it:\n%s", got)
	}

	const ready = "swaps: \nswapon: \nmodules: br_netfilter overlay \nsysctls: 1 1 1 \n"
	c.run(0, "apply", "-y", "inventory.hcl")
	if got := vm.SSH(t, kernelHas); got != ready {
		t.Errorf("after apply:\n%s", got)
	}
	vm.Reboot(t)
	if got := vm.SSH(t, kernelHas); got != ready {
		t.Errorf("after a reboot:\n%s", got)
	}
	vm.SSH(t, "systemctl is-active systemd-modules-load systemd-sysctl") // or it fails
	if again := findings(c.result(0, "apply", "-y", "inventory.hcl")); len(again) > 0 {
		t.Errorf("a second apply: %q", again)
	}
	c.run(0, "check", "inventory.hcl")

	// By hand, until the next boot: drift.
	vm.SSH(t, "sysctl -qw net.ipv4.ip_forward=0; swapon /swapfile; modprobe -r br_netfilter")
	drift := findings(c.result(2, "check", "inventory.hcl"))
	contains(t, "check", strings.Join(drift, "\n"), "gpu-01 kubernetes swap pending", "gpu-01 kubernetes modules pending", "gpu-01 kubernetes sysctls pending")
	c.run(0, "apply", "-y", "inventory.hcl")
	if got := vm.SSH(t, kernelHas); got != ready {
		t.Errorf("after the drift was mended:\n%s", got)
	}

	inventory("kubernetes { enabled = false }\n")
	c.run(0, "apply", "-y", "inventory.hcl")
	if got := vm.SSH(t, "cat /etc/fstab"); got != fstab {
		t.Errorf("/etc/fstab is %q, was %q", got, fstab)
	}
	vm.Reboot(t)
	if got := vm.SSH(t, kernelHas); got != bare {
		t.Errorf("after it left the inventory and a reboot:\n%s", got)
	}
	c.run(0, "check", "inventory.hcl")
}
