//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the kernel itself says of a driver, in a machine with its own.
const kernelSays = `grep -E '^(nvidia|nouveau)' /proc/modules | cut -d' ' -f1 | sort | tr '\n' ' '; echo
basename "$(readlink /sys/bus/pci/devices/0001:17:00.0/driver)"
cat /proc/driver/nvidia/version 2>/dev/null | head -n 1
` + installed

// From a machine that nouveau has, without compiler and headers, to 535: nothing
// reboots it unasked; the reboot is a real one, and the initramfs that it boots
// keeps nouveau out. Then a process on the GPU, and the next branch without a
// reboot; then user space and module that disagree.
func TestDriverInTheKernel(t *testing.T) {
	RequireVM(t)
	l := New(t)
	l.DebianArchive(t, R535, R550)
	vm := l.VM(t, "gpu-01", append(trixie, gpuMachine(gpuFromNothing))...)
	vm.SSH(t, "sed -i 's/bookworm main$/bookworm main contrib non-free/' /etc/apt/sources.list; apt-get update -qq; grep -q ^nouveau /proc/modules")
	d := newDriver(t, l, vm)
	boot := vm.BootID(t)
	wish := func(more string) { d.write("inventory.hcl", driverInventory(vm, "ops", more)) }

	wish("version = \">= 535.104, < 536\"\nreboot = \"never\"")
	contains(t, "plan", d.do(2, "plan"), "nouveau", "reboot", "535.261.03 from bookworm/non-free")
	contains(t, "apply without leave to reboot", d.apply(2), "Reboot pending")
	if vm.BootID(t) != boot {
		t.Fatal("it rebooted")
	}
	wish(`version = ">= 535.104, < 536"`)
	d.apply(0)
	if vm.BootID(t) == boot {
		t.Error("it did not reboot")
	}
	got := vm.SSH(t, kernelSays)
	contains(t, "the kernel", got, "nvidia", "\nnvidia\n", "Kernel Module  535.261.03 ", "nvidia-smi 535.261.03-1 installed", "nvidia-current/535.261.03, ", "nvidia-smi: 0")
	lacks(t, "the kernel", got, "nouveau")
	contains(t, "the initramfs", vm.SSH(t, `rm -rf /tmp/i; unmkinitramfs /boot/initrd.img-$(uname -r) /tmp/i; cat $(find /tmp/i -path '*modprobe.d/*')`), "blacklist nouveau")
	d.apply(0)
	d.do(0, "check")

	// A process on the GPU is named, and nothing is touched.
	boot = vm.BootID(t)
	vm.SSH(t, "nvidia-modprobe; systemd-run -q --unit=train sh -c 'exec 3</dev/nvidia0; exec sleep infinity'")
	wish(`version = ">= 550, < 551"`)
	was := vm.SSH(t, installed)
	pid := strings.TrimSpace(vm.SSH(t, "systemctl show -P MainPID train"))
	contains(t, "apply beside a process", d.apply(2), pid+" sleep")
	if diff := cmp.Diff(was, vm.SSH(t, installed)); diff != "" {
		t.Errorf("changed in spite of a process on the GPU:\n%s", diff)
	}
	vm.SSH(t, "systemctl stop train")
	d.apply(0)
	got = vm.SSH(t, kernelSays)
	contains(t, "the kernel", got, "Kernel Module  550.163.01 ", "nvidia-smi 550.163.01-2 installed", "nvidia-smi: 0")
	lacks(t, "the host", got, "535.261.03")
	if vm.BootID(t) != boot {
		t.Error("it rebooted")
	}

	// Somebody's upgrade: what is installed is not what is loaded.
	vm.SSH(t, `export DEBIAN_FRONTEND=noninteractive; rm -f /etc/apt/preferences.d/runai-prep-nvidia; apt-mark unhold $(apt-mark showhold) >/dev/null
apt-get install -y -qq --allow-downgrades --no-install-recommends nvidia-smi=535.261.03-1 libnvidia-ml1=535.261.03-1 nvidia-alternative=535.261.03-1 libcuda1=535.261.03-1 libnvidia-cfg1=535.261.03-1 nvidia-kernel-support=535.261.03-1 firmware-nvidia-gsp=535.261.03-1 nvidia-kernel-dkms=535.261.03-1 >/root/by-hand.log 2>&1
nvidia-smi; test $? = 18`)
	contains(t, "check", d.do(2, "check"), "nvidia user space", "535.261.03", "550.163.01")
	d.apply(0)
	contains(t, "the kernel", vm.SSH(t, kernelSays), "Kernel Module  550.163.01 ", "nvidia-smi 550.163.01-2 installed", "nvidia-smi: 0")
	d.do(0, "check")
}

// A new driver that will not load: a failure that says what the kernel said, and
// what was there before; with rollback, the way back.
func TestDriverThatWillNotLoad(t *testing.T) {
	RequireVM(t)
	l := New(t)
	l.DebianArchive(t, R535, R550, R550noload)
	vm := l.VM(t, "gpu-01", append(trixie, gpuMachine(gpuWith535))...)
	vm.SSH(t, "sed -i 's/bookworm main$/bookworm main contrib non-free/' /etc/apt/sources.list; apt-get update -qq; modprobe nvidia; nvidia-smi >/dev/null")
	d := newDriver(t, l, vm)

	d.write("inventory.hcl", driverInventory(vm, "root", "version = \"550.200.01\"\nrollback = true"))
	contains(t, "apply", d.apply(5), "RmInitAdapter failed", "535.261.03", "went back")
	got := vm.SSH(t, kernelSays)
	contains(t, "the kernel after the way back", got, "Kernel Module  535.261.03 ", "nvidia-smi 535.261.03-1 installed", "nvidia-smi: 0")
	lacks(t, "the host after the way back", got, "550.200.01")

	d.write("inventory.hcl", driverInventory(vm, "root", `version = "550.200.01"`))
	contains(t, "apply", d.apply(5), "RmInitAdapter failed", "535.261.03")
	d.write("inventory.hcl", driverInventory(vm, "root", `version = "550.163.01"`))
	d.apply(0)
	contains(t, "the kernel", vm.SSH(t, kernelSays), "Kernel Module  550.163.01 ", "nvidia-smi: 0")
}
