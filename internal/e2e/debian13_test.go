//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Debian 13 as it is installed: apt 3, whose signatures sqv verifies, and a
// systemd that is two years newer. Where the other tests of hosts go into depth,
// this one goes once from bare to ready. The GPU and its driver are stand-ins,
// as are the units of the runtimes.
func TestDebian13(t *testing.T) {
	l := New(t)
	l.Archive(t, "debian", "trixie", "main")
	l.PublishReleases(t, R550)
	key := l.toolkitRepository(t)
	h := l.Host(t, "gpu-01", Debian13(), Runtimes(),
		Sources("debian trixie main contrib non-free", " ./"),
		File("/usr/bin/dockerd", "#!/bin/sh\necho 'Docker version 24.0.7, build afdd53b'\n", 0o755),
		File("/etc/docker/daemon.json", "{\n  \"log-driver\": \"journald\"\n}\n", 0o644))
	h.SSH(t, `mkdir -p /run/e2e/driver/nvidia /run/e2e/pci/0000:17:00.0
echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  a stand-in' >/run/e2e/driver/nvidia/version; mount --bind /run/e2e/driver /proc/driver
cd /run/e2e/pci/0000:17:00.0; echo 0x10de >vendor; echo 0x2331 >device; echo 0x030200 >class
echo pci:v000010DEd00002331sv000010DEsd00001626bc03sc02i00 >modalias; mount --bind /run/e2e/pci /sys/bus/pci/devices
apt-get update -qq; apt-get --version; systemctl --version`)
	c := newController(t, l, []*Machine{h}, "PROXY_PASSWORD=p@ss%w:rd 4711")
	wish := func(key string) {
		c.write("inventory.hcl", strings.NewReplacer("ADDRESS", h.IP, "KEY", key, "PROXY", proxyBlock).Replace(`
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
PROXY
resources {
  min_cpus   = 1
  min_memory = "512MiB"
  min_disk   = "1GiB"
}
egress { enabled = false }
container_toolkit {
  repository     = "http://10.77.0.1/libnvidia-container"
  repository_key = "KEY"
}
host "gpu-01" {
  address = "ADDRESS"
  role    = "gpu"
}
`))
	}
	tasks := []string{"inventory.hcl", "--task", "resources,proxy,kubernetes"}
	do := func(code int, command string, args ...string) string {
		t.Helper()
		return c.run(code, append(append([]string{command}, tasks...), args...)...)
	}

	// A driver is offered, and what stands in its way on this host is said.
	wish(key)
	contains(t, "plan of the driver", c.run(3, "plan", "inventory.hcl", "--task", "driver"), "gpu-01")

	// The key of another repository.
	wish("C95B321B61E88C1809C4F759DDCAE044F796ECB0")
	before := h.SSH(t, "ls /etc/apt/keyrings /etc/apt/sources.list.d; dpkg -l | grep -c .")
	contains(t, "apply with another key", c.run(5, "apply", "inventory.hcl", "-y", "--task", "kubernetes"), "not signed with C95B321B61E88C1809C4F759DDCAE044F796ECB0")
	if diff := cmp.Diff(before, h.SSH(t, "ls /etc/apt/keyrings /etc/apt/sources.list.d; dpkg -l | grep -c .")); diff != "" {
		t.Errorf("changed although the key is another one:\n%s", diff)
	}
	h.SSH(t, "apt-get update -qq")

	wish(key)
	was := h.SSH(t, tree)
	contains(t, "plan", do(2, "plan", "--record", "rec"), "apt-get install", "+HTTP_PROXY=")
	if diff := cmp.Diff(was, h.SSH(t, tree)); diff != "" {
		t.Errorf("a plan changed the host:\n%s", diff)
	}
	do(0, "apply", "-y")
	contains(t, "the packages", h.SSH(t, "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' nvidia-container-toolkit"), "1.17.8-1 installed")
	contains(t, "apt-config", h.SSH(t, "apt-config dump"), `Acquire::http::Proxy "http://runai:`)
	contains(t, "daemon.json", h.SSH(t, "cat /etc/docker/daemon.json"), `"log-driver": "journald"`, `"path": "nvidia-container-runtime"`)
	contains(t, "docker", h.SSH(t, `tr '\0' '\n' < /proc/$(systemctl show -p MainPID --value docker)/environ`), "HTTPS_PROXY=http://runai:p%40ss%25w%3Ard%204711@10.77.0.1:3128")
	contains(t, "a second apply", do(0, "apply", "-y"), "nothing changed")
	do(0, "check")
}
