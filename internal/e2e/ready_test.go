//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const readyInventory = `
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
resources {
  min_cpus   = 1
  min_memory = "512MiB"
  min_disk   = "1GiB"
}
host "gpu-01" {
  address = "GPU-01"
  role    = "gpu"
  ssh { user = "root" }
}
host "gpu-02" {
  address = "GPU-02"
  role    = "gpu"
}
host "cpu-01" {
  address = "CPU-01"
  role    = "worker"
  ssh { user = "pat" }
  sudo { password = env("SUDO_PASSWORD") }
}
role "worker" {}
egress { enabled = false } # nothing outside is there
`

const proxyBlock = `
proxy {
  http_proxy  = "http://10.77.0.1:3128"
  https_proxy = "http://10.77.0.1:3128"
  username    = "runai"
  password    = env("PROXY_PASSWORD")
  no_proxy    = ["10.77.0.0/16"]
}
`

// tree lists every file of a host with owner, mode, size and change time; what
// a running system writes by itself (logs, clocks, random seeds) is left out.
const tree = `find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/tmp \
 -o -path /var/lib/systemd -o -path /var/lib/private \) -prune -o \( -type f -o -type l -o -type d \) -printf '%p %u %g %m %s %C@\n' | sort`

// From bare to ready on three hosts, one logged into as root, one with sudo,
// one with a sudo that asks; looked at with other tools; then drift by hand.
func TestReady(t *testing.T) {
	l := New(t)
	hosts := l.Hosts(t, []string{"gpu-01", "gpu-02", "cpu-01"}, Runtimes(),
		File("/etc/environment", "# ours\nPATH=\"/usr/local/bin:/usr/bin:/bin\"\nLANG=C.UTF-8", 0o644))
	gpu1, gpu2, cpu := hosts[0], hosts[1], hosts[2]
	c := newController(t, l, hosts, "SUDO_PASSWORD="+Password, "PROXY_PASSWORD=p@ss%w:rd 4711")
	inventory := strings.NewReplacer("GPU-01", gpu1.IP, "GPU-02", gpu2.IP, "CPU-01", cpu.IP).Replace(readyInventory)
	c.write("inventory.hcl", inventory+proxyBlock)

	var before []string
	for _, m := range hosts {
		before = append(before, m.SSH(t, tree))
	}
	plan := c.run(2, "plan", "inventory.hcl")
	contains(t, "plan", plan, "(sensitive)", "disruptive: containerd restarts", "+HTTP_PROXY=", "Exit code 2")
	for i, m := range hosts {
		if diff := cmp.Diff(before[i], m.SSH(t, tree)); diff != "" {
			t.Errorf("a plan changed %s:\n%s", m.Name, diff)
		}
	}

	applied := c.result(0, "apply", "-y", "inventory.hcl")
	if n := applied.Summary.Settled; n != 3 {
		t.Errorf("%d hosts settled, want 3", n)
	}
	for _, m := range hosts {
		environment := m.SSH(t, "cat /etc/environment")
		contains(t, m.Name+" /etc/environment", environment, "# ours\nPATH=\"/usr/local/bin:/usr/bin:/bin\"\nLANG=C.UTF-8\n", "https_proxy=")
		contains(t, m.Name+" apt-config", m.SSH(t, "apt-config dump"), `Acquire::http::Proxy "http://runai:`, "10.77.0.1:3128")
		for _, unit := range []string{"containerd", "docker", "kubelet"} {
			contains(t, m.Name+" "+unit, m.SSH(t, "systemctl show -p NeedDaemonReload -p ActiveState "+unit), "NeedDaemonReload=no", "ActiveState=active")
			running := m.SSH(t, `tr '\0' '\n' < /proc/$(systemctl show -p MainPID --value `+unit+`)/environ`)
			contains(t, m.Name+" environment of the running "+unit, running, "HTTPS_PROXY=http://runai:p%40ss%25w%3Ard%204711@10.77.0.1:3128",
				"https_proxy=", "NO_PROXY=", "no_proxy=", "10.77.0.0/16", ".svc", ".cluster.local")
		}
		lacks(t, m.Name+" systemctl show", m.SSH(t, "systemctl show containerd docker kubelet"), "4711", "p%40ss", "p@ss")
		// What any user of the host can read.
		lacks(t, m.Name+" as nobody", m.SSH(t, `setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'grep -rlsE "4711" /etc /var/lib /run 2>/dev/null; ps -eo args' || true`), "/etc/", "4711\n")
	}

	// A second apply does nothing, and check is content.
	again := c.result(0, "apply", "-y", "inventory.hcl")
	if got := findings(again); len(got) > 0 {
		t.Errorf("a second apply: %q", got)
	}
	for i, m := range hosts {
		before[i] = m.SSH(t, tree)
	}
	c.run(0, "check", "inventory.hcl")
	for i, m := range hosts {
		if diff := cmp.Diff(before[i], m.SSH(t, tree)); diff != "" {
			t.Errorf("a check changed %s:\n%s", m.Name, diff)
		}
	}

	// Drift by hand: found, new once, mended.
	gpu1.SSH(t, "sed -i 's/3128/8080/' /etc/environment")
	gpu2.SSH(t, "rm /etc/systemd/system/containerd.service.d/*.conf && systemctl daemon-reload && systemctl restart containerd")
	cpu.SSH(t, "sed -i 's/4711/0000/' /etc/runai-prep/proxy.env")
	drift := c.result(2, "check", "inventory.hcl")
	for _, want := range []string{"gpu-01 proxy environment pending", "gpu-02 proxy containerd pending", "cpu-01 proxy containerd pending"} {
		if got := findings(drift); !slices.Contains(got, want) {
			t.Errorf("drift: no %q in %q", want, got)
		}
	}
	c.run(0, "apply", "-y", "inventory.hcl")
	c.run(0, "check", "inventory.hcl")

	// What left the inventory and was ours goes; what was there before stays,
	// byte for byte.
	c.write("inventory.hcl", inventory)
	c.run(2, "plan", "inventory.hcl")
	c.run(0, "apply", "-y", "inventory.hcl")
	for _, m := range hosts {
		if got, want := m.SSH(t, "cat /etc/environment"), "# ours\nPATH=\"/usr/local/bin:/usr/bin:/bin\"\nLANG=C.UTF-8"; got != want && got != want+"\n" {
			t.Errorf("%s: /etc/environment is %q, was %q", m.Name, got, want)
		}
		lacks(t, m.Name, m.SSH(t, "apt-config dump; find /etc/systemd/system/*.service.d /etc/runai-prep -type f 2>/dev/null; systemctl show -p Environment,EnvironmentFiles containerd"), "3128", "runai-prep")
	}
	c.run(0, "check", "inventory.hcl")
}

// A container's kernel has no NFS: the task says so before it touches anything.
func TestNoNFSInTheKernel(t *testing.T) {
	l := New(t)
	host := l.Host(t, "gpu-01")
	c := newController(t, l, []*Machine{host})
	c.write("inventory.hcl", `
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
nfs_mount "/mnt/data" {
  server = "10.77.0.1"
  export = "/srv/data"
}
host "gpu-01" { address = "`+host.IP+`" }
egress { enabled = false } # nothing outside is there
kubernetes { enabled = false }
`)
	before := host.SSH(t, tree)
	contains(t, "plan", c.run(3, "plan", "inventory.hcl"), "kernel", "/mnt/data")
	c.run(3, "apply", "-y", "inventory.hcl")
	if diff := cmp.Diff(before, host.SSH(t, tree)); diff != "" {
		t.Errorf("apply touched a host that cannot mount NFS:\n%s", diff)
	}
}

// A partition and a reboot in between are said, and overcome.
func TestUnreachableAndBack(t *testing.T) {
	l := New(t)
	hosts := l.Hosts(t, []string{"gpu-01", "gpu-02"})
	c := newController(t, l, hosts)
	c.write("inventory.hcl", `
ssh {
  user            = "root"
  identity_file   = "id_ed25519"
  known_hosts     = "known_hosts"
  connect_timeout = "2s"
}
host "gpu-01" { address = "`+hosts[0].IP+`" }
host "gpu-02" { address = "`+hosts[1].IP+`" }
resources { min_cpus = 1 }
egress { enabled = false } # nothing outside is there
kubernetes { enabled = false }
`)
	hosts[1].Partition(t)
	r := c.result(4, "check", "inventory.hcl")
	if r.Hosts[0].Status != "settled" || r.Hosts[1].Status != "unreachable" {
		t.Errorf("statuses %s, %s", r.Hosts[0].Status, r.Hosts[1].Status)
	}
	hosts[1].Heal(t)
	c.run(0, "check", "inventory.hcl")
	hosts[0].Reboot(t)
	c.run(0, "check", "inventory.hcl")
}
