//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:embed recipes/toolkit.sh
var toolkitRecipe string

// toolkitPackages are look-alikes of NVIDIA's packages, with the real nvidia-ctk.
func toolkitPackages(versions ...string) part {
	return part{name: "toolkit-debs", recipe: toolkitRecipe + strings.Join(versions, " "),
		build: func(ctx context.Context, l *Lab, out string) error {
			return l.script(ctx, toolkitRecipe, append([]string{out}, versions...)...)
		}}
}

var toolkitDebs = toolkitPackages("1.17.8")

// containerd is Debian's, as packages.
var containerd = layer("containerd-debs", `mkdir /debs; cd /debs
apt-get update -qq
apt-get download -qq containerd runc`, base)

// debsOf are the packages in a folder of a part.
func (l *Lab) debsOf(t *testing.T, p part, folder string) []string {
	t.Helper()
	dir, err := p.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	debs, _ := filepath.Glob(filepath.Join(dir, folder, "*.deb"))
	if len(debs) == 0 {
		t.Fatalf("no package in %s", dir)
	}
	return debs
}

// toolkitRepository serves http://10.77.0.1/libnvidia-container as NVIDIA does
// its own, and returns the fingerprint of the key that it is signed with.
func (l *Lab) toolkitRepository(t *testing.T) string {
	t.Helper()
	repo := filepath.Join(l.Dir, "toolkit")
	if err := l.script(t.Context(), repoRecipe, append([]string{repo}, l.debsOf(t, toolkitDebs, "")...)...); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(l.apt.root, "www/libnvidia-container")
	if err := os.MkdirAll(filepath.Join(at, "stable/deb"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"cp", filepath.Join(repo, "www/key.asc"), filepath.Join(at, "gpgkey")},
		{"cp", "-r", filepath.Join(repo, "www"), filepath.Join(at, "stable/deb/amd64")},
	} {
		if err := run(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "gpg", "--homedir", filepath.Join(repo, "gnupg"), "--batch", "--with-colons", "--list-keys").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	t.Fatalf("no fingerprint in %s", out)
	return ""
}

// toolkitInventory wishes nothing of a host but the toolkit, if a block does.
func toolkitInventory(h *Machine, block string) string {
	return `
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
egress { enabled = false }
kubernetes { enabled = false }
host "gpu-01" { address = "` + h.IP + `" }
` + block
}

// The toolkit is installed from a repository whose key is known by its
// fingerprint, and NVIDIA's own tool, the real one, tells Debian's containerd and
// Docker of it; each restarts once. The GPU, its driver and Docker's daemon are
// stand-ins.
func TestToolkit(t *testing.T) {
	l := New(t)
	key := l.toolkitRepository(t)
	l.Publish(t, l.debsOf(t, containerd, "debs")...)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools), Runtimes(),
		File("/usr/bin/dockerd", "#!/bin/sh\necho 'Docker version 24.0.7, build afdd53b'\n", 0o755),
		File("/etc/docker/daemon.json", "{\n  \"log-driver\": \"journald\"\n}\n", 0o644))
	h.SSH(t, `mkdir /proc/driver/nvidia; echo 'NVRM version: a stand-in' >/proc/driver/nvidia/version; export DEBIAN_FRONTEND=noninteractive; apt-get update -qq
systemctl disable -q --now containerd; rm /usr/lib/systemd/system/containerd.service
apt-get install -y -qq --no-install-recommends containerd >/dev/null; systemctl daemon-reload; systemctl restart containerd; systemctl is-active containerd`)
	c := newController(t, l, []*Machine{h})
	wish := func(block string) { c.write("inventory.hcl", toolkitInventory(h, block)) }
	block := func(key string) string {
		return "container_toolkit {\n  repository     = \"http://10.77.0.1/libnvidia-container\"\n  repository_key = \"" + key + "\"\n}\n"
	}
	const traces = `ls /etc/apt/keyrings /etc/apt/sources.list.d; find /tmp /var/tmp -mindepth 1 -name 'tmp.*'
dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' '*nvidia-container*' 2>/dev/null || true`

	// Another key: nothing is trusted, nothing is written, nothing restarts.
	before, running := h.SSH(t, traces), h.SSH(t, started)
	wish(block("C95B321B61E88C1809C4F759DDCAE044F796ECB0"))
	contains(t, "apply with another key", c.run(5, "apply", "-y", "inventory.hcl", "--task", "kubernetes"), "the repository is not signed with C95B321B61E88C1809C4F759DDCAE044F796ECB0", "public key is not available")
	if diff := cmp.Diff(before+running, h.SSH(t, traces)+h.SSH(t, started)); diff != "" {
		t.Errorf("changed although the key is another one:\n%s", diff)
	}
	h.SSH(t, "apt-get update -qq")

	wish(block(key))
	plan := c.result(2, "plan", "inventory.hcl", "--task", "kubernetes")
	if f := plan.Hosts[0].Findings; len(f) != 1 || f[0].Subject != "toolkit" || f[0].State != "pending" || !f[0].Disruptive {
		t.Errorf("plan: %+v", f)
	}
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "kubernetes")
	contains(t, "the packages", h.SSH(t, traces), "nvidia-container-toolkit 1.17.8-1 installed", "nvidia-container-toolkit-base 1.17.8-1 installed", "runai-prep-nvidia-container-toolkit.sources")
	contains(t, "containerd by itself", h.SSH(t, "containerd config dump"), `runtimes.nvidia]`, `BinaryName = "/usr/bin/nvidia-container-runtime"`, `bin_dir = "/usr/lib/cni"`)
	contains(t, "daemon.json", h.SSH(t, "cat /etc/docker/daemon.json"), `"log-driver": "journald"`, `"path": "nvidia-container-runtime"`)
	h.SSH(t, "systemctl is-active containerd docker")
	now := h.SSH(t, started)
	restartedOnce(t, running, now, "containerd", "docker")

	contains(t, "a second apply", c.run(0, "apply", "-y", "inventory.hcl", "--task", "kubernetes"), "nothing changed")
	if got := h.SSH(t, started); got != now {
		t.Errorf("restarted again: %s was %s", got, now)
	}
	c.run(0, "check", "inventory.hcl", "--task", "kubernetes")

	// Without the wish the repository goes; what was installed stays.
	wish("")
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "kubernetes")
	left := h.SSH(t, traces)
	lacks(t, "the host", left, "runai-prep")
	contains(t, "the host", left, "nvidia-container-toolkit 1.17.8-1 installed")
}
