//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// stubKubelet stands in for kubelet: it says a version and nothing else.
const stubKubelet = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Kubernetes v1.24.17'\n"

// What a host setting is gets fixed on a real Debian, and goes when Kubernetes
// leaves the inventory; a kubelet of the wrong version (a stub that says one) and
// two hosts of one image are found out. The kernel is the machine's: what a
// container cannot set is a warning.
func TestKubernetes(t *testing.T) {
	l := New(t)
	const fstab = "# ours\n/dev/vda2 none swap sw 0 0\n/swapfile\tnone\tswap\tsw\t0\t0"
	hosts := l.Hosts(t, []string{"gpu-01", "gpu-02"},
		File("/etc/fstab", fstab, 0o644),
		File("/etc/sysctl.d/zz-hardening.conf", "# site\nnet.ipv4.ip_forward = 0\n", 0o644),
		File("/usr/bin/kubelet", stubKubelet, 0o755))
	one, two := hosts[0], hosts[1]
	c := newController(t, l, hosts)
	inventory := func(block string) string {
		return strings.NewReplacer("ONE", one.IP, "TWO", two.IP).Replace(`
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
egress { enabled = false }
host "gpu-01" { address = "ONE" }
host "gpu-02" { address = "TWO" }
` + block)
	}

	c.write("inventory.hcl", inventory("kubernetes {\n  version = \">= 1.28\"\n}\n"))
	plan := findings(c.result(3, "plan", "inventory.hcl"))
	for _, want := range []string{"gpu-01 kubernetes kubelet unmet", "gpu-01 kubernetes swap pending", "gpu-01 kubernetes modules pending", "gpu-01 kubernetes sysctls pending"} {
		if !slices.Contains(plan, want) {
			t.Errorf("plan: no %q in %q", want, plan)
		}
	}

	c.write("inventory.hcl", inventory("kubernetes {\n  version = \">= 1.24\"\n}\n"))
	c.run(0, "apply", "-y", "inventory.hcl")
	for _, m := range hosts {
		if got := m.SSH(t, "cat /etc/fstab"); strings.TrimSpace(got) != "# ours\n#runai-prep# /dev/vda2 none swap sw 0 0\n#runai-prep# /swapfile\tnone\tswap\tsw\t0\t0" {
			t.Errorf("%s: /etc/fstab is %q", m.Name, got)
		}
		contains(t, m.Name+": what systemd makes of the files", m.SSH(t, "systemd-analyze cat-config sysctl.d; systemd-analyze cat-config modules-load.d"),
			"net.ipv4.ip_forward = 1", "#runai-prep# net.ipv4.ip_forward = 0", "br_netfilter", "overlay")
		m.Reboot(t)
	}
	if again := findings(c.result(0, "apply", "-y", "inventory.hcl")); len(again) > 0 {
		t.Errorf("a second apply: %q", again)
	}

	// Both from one image.
	two.SSH(t, "echo "+strings.TrimSpace(one.SSH(t, "cat /etc/machine-id"))+" > /etc/machine-id")
	contains(t, "cloned", c.run(3, "check", "inventory.hcl"), "machine-id", "2 hosts have")

	// What we put there goes, and the rest is as it was, byte for byte.
	c.write("inventory.hcl", inventory("kubernetes { enabled = false }\n"))
	c.run(0, "apply", "-y", "inventory.hcl")
	for _, m := range hosts {
		if got := m.SSH(t, "cat /etc/fstab"); got != fstab {
			t.Errorf("%s: /etc/fstab is %q, was %q", m.Name, got, fstab)
		}
		contains(t, m.Name, m.SSH(t, "cat /etc/sysctl.d/zz-hardening.conf"), "# site\nnet.ipv4.ip_forward = 0\n")
		lacks(t, m.Name, m.SSH(t, "ls /etc/sysctl.d /etc/modules-load.d /var/lib/runai-prep"), "runai-prep.conf", "kubernetes.ledger")
	}
	c.run(0, "check", "inventory.hcl")
}
