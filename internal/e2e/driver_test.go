//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// driverInventory is one host with role gpu and this wish for its driver.
func driverInventory(m *Machine, user, wish string) string {
	return fmt.Sprintf(`
ssh {
  user            = %q
  identity_file   = "id_ed25519"
  known_hosts     = "known_hosts"
  connect_timeout = "60s"
  keepalive       = "5s"
}
role "gpu" {
  nvidia_driver {
%s
  }
}
host %q {
  address = %q
  role    = "gpu"
}
`, user, wish, m.Name, m.IP)
}

// What an administrator adds to take packages from Debian 13 on Debian 12.
var trixie = []Option{
	Sources("debian bookworm main", "debian-security bookworm-security main", "debian trixie main contrib non-free"),
	File("/etc/apt/preferences.d/trixie", "Package: *\nPin: release n=trixie\nPin-Priority: 100\n", 0o644),
}

// driver is a controller whose commands are about the task driver alone.
type driver struct{ *controller }

func newDriver(t *testing.T, l *Lab, m *Machine) driver {
	return driver{newController(t, l, []*Machine{m})}
}

func (d driver) do(code int, command string, args ...string) string {
	d.t.Helper()
	return d.run(code, append([]string{command, "inventory.hcl", "--task", "driver"}, args...)...)
}

func (d driver) apply(code int, args ...string) string {
	d.t.Helper()
	return d.do(code, "apply", append([]string{"-y"}, args...)...)
}

// installed asks Debian's own tools, not the product, what a machine has.
const installed = `dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' '*nvidia*' 'libcuda*' 2>/dev/null | grep ' installed$'
echo "held: $(apt-mark showhold | tr '\n' ' ')"
dkms status
for k in $(ls /lib/modules); do echo "$k $(modinfo -k $k -F version nvidia-current 2>/dev/null)"; done
dpkg --audit
cat /proc/driver/nvidia/version 2>/dev/null | head -n 1
nvidia-smi; echo "nvidia-smi: $?"`

// From no driver to 535 of a component that was not enabled, upgraded to 550 of
// the next Debian by reloading the module, and kept so. In a container: packages,
// DKMS, dpkg and the initramfs are real, the kernel is stood in for.
func TestDriver(t *testing.T) {
	l := New(t)
	l.DebianArchive(t, R535, R535sec, R550)
	h := l.Host(t, "gpu-01", append(trixie, gpuHost(gpuWithTools),
		Sources("debian bookworm main", "debian-security bookworm-security main"))...)
	d := newDriver(t, l, h)
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 535.104, < 536"`))

	before := h.SSH(t, tree)
	contains(t, "plan", d.do(2, "plan"), "nvidia driver", "535", "non-free", "nouveau")
	if diff := cmp.Diff(before, h.SSH(t, tree)); diff != "" {
		t.Errorf("a plan changed the host:\n%s", diff)
	}
	boot := h.BootID(t)
	d.apply(0)
	got := h.SSH(t, installed)
	contains(t, "the host", got, "nvidia-kernel-dkms 535.309.01-0+deb12u1 installed", "nvidia-smi 535.309.01-0+deb12u1 installed",
		"held: ", "nvidia-current/535.309.01, ", ": installed", "Kernel Module  535.309.01 ", "nvidia-smi: 0")
	held, _, _ := strings.Cut(got[strings.Index(got, "held: "):], "\n")
	contains(t, "apt-mark showhold", held, "nvidia-kernel-dkms", "nvidia-smi")
	contains(t, "the initramfs", h.SSH(t, `cd /tmp && rm -rf i && unmkinitramfs /boot/initrd.img-* i && cat $(find i -path '*modprobe.d/*')`), "blacklist nouveau")
	contains(t, "persistenced", h.SSH(t, "systemctl is-active nvidia-persistenced; systemctl is-enabled nvidia-persistenced"), "active\nenabled")

	before = h.SSH(t, tree)
	contains(t, "a second apply", d.apply(0), "settled")
	d.do(0, "check")
	if diff := cmp.Diff(before, h.SSH(t, tree)); diff != "" {
		t.Errorf("a second apply changed the host:\n%s", diff)
	}

	// A newer driver of the wished range is no reason to touch a host that works.
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 535.104"`))
	d.do(0, "plan")

	// The next branch is another release's.
	h.SSH(t, `printf 'deb [signed-by=/etc/apt/keyrings/e2e.asc] http://10.77.0.1/debian trixie main contrib non-free\n' > /etc/apt/sources.list.d/trixie.list; apt-get update -qq`)
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 550, < 551"`))
	contains(t, "plan", d.do(2, "plan"), "550.163.01 from trixie/non-free")
	d.apply(0)
	got = h.SSH(t, installed)
	contains(t, "the host", got, "nvidia-kernel-dkms 550.163.01-2 installed", "nvidia-smi 550.163.01-2 installed", "nvidia-current/550.163.01, ", "Kernel Module  550.163.01 ", "nvidia-smi: 0")
	lacks(t, "the host", got, "535.309.01", "535.261.03")
	if h.BootID(t) != boot {
		t.Error("it rebooted")
	}
	d.apply(0)
	h.Reboot(t)
	// sshd is up before all services are.
	h.SSH(t, "systemctl is-system-running --wait; systemctl --failed --no-legend; journalctl -b -u nvidia-persistenced --no-pager | tail -n 5 || true")
	d.do(0, "check")
}

// What cannot come to a good end is said before anything is touched.
func TestDriverUnmet(t *testing.T) {
	l := New(t)
	// An archive that has gone on to newer kernels, as they do.
	l.Archive(t, "debian", "bookworm", "main", slices.DeleteFunc(l.toolDebs(t), func(deb string) bool {
		return strings.HasPrefix(filepath.Base(deb), "linux-headers-")
	})...)
	l.PublishReleases(t, R535)
	nonFree := Sources("debian bookworm main contrib non-free")

	t.Run("no headers for the running kernel", func(t *testing.T) {
		h := l.Host(t, "bare", gpuHost(gpuFromNothing), nonFree)
		d := newDriver(t, l, h)
		d.write("inventory.hcl", driverInventory(h, "root", `version = ">= 535.104, < 536"`))
		h.SSH(t, "apt-get update -qq")
		before := h.SSH(t, "dpkg-query -W; ls /var/cache/apt/archives")
		contains(t, "apply", d.apply(3), "headers", strings.TrimSpace(h.SSH(t, "uname -r")))
		if diff := cmp.Diff(before, h.SSH(t, "dpkg-query -W; ls /var/cache/apt/archives")); diff != "" {
			t.Errorf("something was replaced:\n%s", diff)
		}
	})
	t.Run("a branch that the repository lacks", func(t *testing.T) {
		h := l.Host(t, "old", gpuHost(gpuWithTools), nonFree)
		d := newDriver(t, l, h)
		h.SSH(t, "apt-get update -qq")
		d.write("inventory.hcl", driverInventory(h, "root", `version = ">= 570"`))
		contains(t, "plan", d.do(3, "plan"), "535.261.03")
		d.write("inventory.hcl", driverInventory(h, "root", "version = \">= 535.104, < 536\"\nnon_free = false"))
		d.do(2, "plan")
	})
	t.Run("not enough space", func(t *testing.T) {
		h := l.Host(t, "full", gpuHost(gpuWithTools), nonFree, Disk("120m"))
		d := newDriver(t, l, h)
		d.write("inventory.hcl", driverInventory(h, "root", `version = ">= 535.104, < 536"`))
		contains(t, "apply", d.apply(3), "disk space", "/usr", "free")
		contains(t, "packages", h.SSH(t, "dpkg-query -W '*nvidia*' 2>&1 || true"), "no packages found")
	})
}

// A repository that breaks in the middle leaves the host as it was.
func TestDriverBrokenRepository(t *testing.T) {
	RequireLong(t)
	l := New(t)
	l.DebianArchive(t, R535, R535sec)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools), Sources("debian bookworm main contrib non-free", "debian-security bookworm-security main contrib non-free"))
	d := newDriver(t, l, h)
	h.SSH(t, "apt-get update -qq")
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.261.03"`))
	d.apply(0)
	was := h.SSH(t, installed)
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.309.01"`))
	deb := filepath.Join(l.apt.root, "www/debian-security/pool/bookworm-security/non-free/nvidia-kernel-dkms_"+R535sec.String()+"_amd64.deb")
	whole, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(deb); err != nil { // a hard link into the cache: never written in place
		t.Fatal(err)
	}
	contains(t, "apply", d.apply(5), "404", "nvidia-kernel-dkms_535.309.01")
	if diff := cmp.Diff(was, h.SSH(t, installed)); diff != "" {
		t.Errorf("after a 404:\n%s", diff)
	}
	broken := append([]byte{}, whole...)
	broken[len(broken)/2] ^= 1
	if err := os.WriteFile(deb, broken, 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, "apply", d.apply(5), "Hash Sum mismatch")
	if diff := cmp.Diff(was, h.SSH(t, installed)); diff != "" {
		t.Errorf("after a wrong checksum:\n%s", diff)
	}
	if err := os.WriteFile(deb, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	d.apply(0)
	contains(t, "the host", h.SSH(t, installed), "nvidia-kernel-dkms 535.309.01-0+deb12u1 installed", "nvidia-smi: 0")

	// A package that somebody else holds is that somebody's decision.
	h.SSH(t, "apt-mark unhold $(apt-mark showhold) >/dev/null; rm -f /var/lib/runai-prep/driver.ledger; apt-mark hold nvidia-smi >/dev/null")
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.261.03"`))
	was = h.SSH(t, installed)
	contains(t, "apply", d.apply(3), "nvidia-smi", "apt-mark unhold")
	if diff := cmp.Diff(was, h.SSH(t, installed)); diff != "" {
		t.Errorf("in spite of a hold:\n%s", diff)
	}
}

// A module that does not build is a failure, with the compiler's words, and no
// driver that worked is lost to it for longer than it takes to go back.
func TestDriverDoesNotBuild(t *testing.T) {
	RequireLong(t)
	l := New(t)
	l.DebianArchive(t, R535, R550, R550nobuild)
	h := l.Host(t, "gpu-01", append(trixie, gpuHost(gpuWithTools))...)
	d := newDriver(t, l, h)
	h.SSH(t, "apt-get update -qq")
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.261.03"`))
	d.apply(0)
	d.write("inventory.hcl", driverInventory(h, "root", "version = \"550.210.01\"\nrollback = true"))
	d.do(2, "plan")
	contains(t, "apply", d.apply(5), "this_kernel_has_no_such_function", "535.261.03")
	got := h.SSH(t, installed)
	contains(t, "the host after the way back", got, "nvidia-kernel-dkms 535.261.03-1 installed", "nvidia-current/535.261.03, ", "Kernel Module  535.261.03 ", "nvidia-smi: 0")
	lacks(t, "the host after the way back", got, "550.210.01")
}
