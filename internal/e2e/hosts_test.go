//go:build linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The lab itself: what other tests take for granted about a host.
func TestHost(t *testing.T) {
	l := New(t)
	machines := l.Hosts(t, []string{"gpu-01", "gpu-02"}, Runtimes())
	m, other := machines[0], machines[1]

	t.Run("systemd is PID 1 and the hosts are not each other", func(t *testing.T) {
		const who = "cat /proc/1/comm /etc/machine-id; hostname; cat /etc/ssh/ssh_host_ed25519_key.pub"
		a, b := strings.Fields(m.SSH(t, who)), strings.Fields(other.SSH(t, who))
		if a[0] != "systemd" || a[2] != "gpu-01" || b[2] != "gpu-02" {
			t.Errorf("they say %q and %q", a, b)
		}
		if a[1] == b[1] || a[4] == b[4] {
			t.Errorf("they share a machine-id or a host key: %q, %q", a, b)
		}
		state := m.SSH(t, "systemctl is-system-running --wait || systemctl --failed --no-legend")
		if strings.TrimSpace(state) != "running" {
			t.Errorf("is-system-running: %s", state)
		}
	})

	t.Run("root, ops and pat", func(t *testing.T) {
		for user, c := range map[string]struct{ script, want string }{
			"root": {"id -un", "root"},
			"ops":  {"id -un; sudo -n id -un", "ops root"},
			"pat":  {"id -un; sudo -n true 2>/dev/null; echo $?; echo '" + Password + "' | sudo -S -p '' id -un", "pat 1 root"},
		} {
			out, err := m.Run(t.Context(), user, c.script)
			if got := strings.Join(strings.Fields(out), " "); err != nil || got != c.want {
				t.Errorf("%s: got %q, %v; want %q", user, got, err, c.want)
			}
		}
	})

	t.Run("apt installs from the local repository", func(t *testing.T) {
		m.SSH(t, "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq nfs-common >/dev/null")
		if v := m.SSH(t, "dpkg-query -W -f '${Status}' nfs-common; test -x /sbin/mount.nfs"); v != "install ok installed" {
			t.Errorf("nfs-common: %q", v)
		}
		if len(l.AptRequests()) == 0 {
			t.Error("the repository saw no request")
		}
	})

	t.Run("runtimes take drop-ins", func(t *testing.T) {
		m.SSH(t, `mkdir -p /etc/systemd/system/containerd.service.d
printf '[Service]\nEnvironment=A=b\n' > /etc/systemd/system/containerd.service.d/a.conf
systemctl daemon-reload; systemctl restart containerd`)
		if env := m.SSH(t, "tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID containerd)/environ"); !strings.Contains(env, "A=b") {
			t.Errorf("environment of containerd: %q", env)
		}
		if s := m.SSH(t, "systemctl show -P LoadState crio"); strings.TrimSpace(s) != "not-found" {
			t.Errorf("crio: %s", s)
		}
	})

	t.Run("a reboot is one", func(t *testing.T) {
		before := m.BootID(t)
		m.Reboot(t)
		if m.BootID(t) == before {
			t.Error("same boot_id")
		}
		m.SSH(t, "test -x /sbin/mount.nfs") // the disk is kept
	})

	t.Run("partition and heal", func(t *testing.T) {
		m.Partition(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if out, err := m.Run(ctx, "root", "true"); err == nil {
			t.Errorf("it answers: %q", out)
		}
		other.SSH(t, "true")
		m.Heal(t)
		m.SSH(t, "true")
	})

	t.Run("power", func(t *testing.T) {
		m.PowerOff(t)
		m.Start(t)
		m.Stop(t)
		m.Start(t)
		m.SSH(t, "test -x /sbin/mount.nfs")
	})

	t.Run("names on the controller's side", func(t *testing.T) {
		if out, err := l.Command(t.Context(), "getent", "hosts", "gpu-02").Output(); err != nil || !strings.Contains(string(out), other.IP) {
			t.Errorf("gpu-02: %q, %v", out, err)
		}
	})
}

func TestResources(t *testing.T) {
	m := New(t).Host(t, "small", Memory(2048000), Disk("900m"), File("/etc/motd", "hello\n", 0o644))
	for range 2 {
		if s := m.SSH(t, "grep MemTotal /proc/meminfo"); strings.Join(strings.Fields(s), " ") != "MemTotal: 2048000 kB" {
			t.Errorf("meminfo: %q", s)
		}
		if s := m.SSH(t, "stat -f -c '%b %S' /var/lib"); s != "230400 4096\n" {
			t.Errorf("disk: %q", s)
		}
		m.Reboot(t)
	}
	if b, err := os.ReadFile(m.Root + "/etc/motd"); string(b) != "hello\n" {
		t.Errorf("motd from outside: %q, %v", b, err)
	}
}

// Nothing may be left of a Lab.
func TestCleanup(t *testing.T) {
	var l *Lab
	t.Run("lab", func(t *testing.T) {
		l = New(t)
		l.Host(t, "gone")
	})
	if l == nil {
		t.SkipNow()
	}
	if left := leftovers(l.run, l.name); left != "" {
		t.Error(left)
	}
}

// Nor of one whose process was killed.
func TestCleanupOfTheDead(t *testing.T) {
	Require(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), "RUNAI_PREP_E2E_VICTIM=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // open: the victim waits for its end
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	dir, found := strings.CutPrefix(strings.TrimSpace(line), "victim ")
	if !found {
		t.Fatalf("the victim said %q, %v", line, err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		left := leftovers(dir, filepath.Base(dir))
		if left == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(left)
		}
	}
}

func TestVictim(t *testing.T) {
	if os.Getenv("RUNAI_PREP_E2E_VICTIM") == "" {
		t.Skip("is started by TestCleanupOfTheDead")
	}
	l := New(t)
	l.Host(t, "orphan")
	fmt.Println("victim " + l.run)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func leftovers(dir, name string) string {
	var left []string
	for _, pattern := range []string{dir, dir + ".lock", "/run/netns/" + name, "/run/netns/" + name + "-*", "/sys/fs/cgroup/*/" + name, "/sys/fs/cgroup/" + name,
		"/run/systemd/nspawn/propagate/" + name + "-*"} {
		paths, _ := filepath.Glob(pattern)
		left = append(left, paths...)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir+"/") {
		left = append(left, "mounts below "+dir)
	}
	if left == nil {
		return ""
	}
	return "left: " + strings.Join(left, ", ")
}
