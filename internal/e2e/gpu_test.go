//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// The lab itself, without the product: what tests of the driver take for granted
// about a machine with GPUs, done by hand over OpenSSH.
func TestGPUMachine(t *testing.T) {
	RequireVM(t)
	l := New(t)
	l.DebianArchive(t, R535, R535sec, R550)
	vm := l.VM(t, "gpu-01", gpuMachine(gpuWithTools),
		Sources("debian bookworm main contrib non-free", "debian-security bookworm-security main contrib non-free"))

	bound := strings.Fields(vm.SSH(t, "cd /sys/bus/pci/devices/0001:17:00.0; cat vendor class; basename $(readlink driver); cat /proc/modules | grep -c ^nouveau"))
	if strings.Join(bound, " ") != "0x10de 0x030200 nouveau 1" {
		t.Errorf("the GPU is %q, want NVIDIA's 3D controller with nouveau on it", bound)
	}
	// The initramfs of the disk is what boots.
	vm.SSH(t, "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' > /etc/modprobe.d/blacklist-nouveau.conf; update-initramfs -u >/dev/null")
	vm.Reboot(t)
	if s := vm.SSH(t, "grep nouveau /proc/modules; ls -l /sys/bus/pci/devices/0001:17:00.0/driver 2>&1; true"); !strings.Contains(s, "No such file") {
		t.Errorf("nouveau is there in spite of its blacklist: %s", s)
	}
	vm.SSH(t, `export DEBIAN_FRONTEND=noninteractive
printf 'Package: *nvidia* libcuda*\nPin: version 535.261.03*\nPin-Priority: 1001\n' > /etc/apt/preferences.d/by-hand
apt-get update -qq
apt-get install -y -qq --no-install-recommends nvidia-kernel-dkms nvidia-smi libcuda1 nvidia-persistenced >/root/install.log 2>&1`)
	got := vm.SSH(t, `dkms status; modprobe nvidia-uvm; cat /proc/driver/nvidia/version; cat /sys/module/nvidia/version /sys/module/nvidia_uvm/version
basename $(readlink /sys/bus/pci/devices/0001:17:00.0/driver); nvidia-modprobe; nvidia-smi; nvidia-smi --query-gpu=driver_version,count --format=csv,noheader`)
	contains(t, "the driver", got, "nvidia-current/535.261.03", "installed", "Kernel Module  535.261.03 ", "\nnvidia\n", "CUDA Version: 12.2", "535.261.03, 1")
	// A process that has a GPU open keeps the module; how often it counts is the kernel's business.
	held := vm.SSH(t, `systemctl stop nvidia-persistenced; sh -c 'exec 3</dev/nvidia0; exec sleep 1000' >/dev/null 2>&1 & sleep 1
rmmod nvidia_uvm; [ "$(cat /sys/module/nvidia/refcnt)" -gt 0 ] && echo counted; rmmod nvidia 2>&1; kill $!; wait; rmmod nvidia && echo gone`)
	contains(t, "held", held, "counted", "in use", "gone")
}

// The same in a container, where the kernel's side is stood in for.
func TestGPUHost(t *testing.T) {
	l := New(t)
	l.DebianArchive(t, R535, R550)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools),
		Sources("debian bookworm main contrib non-free", "debian trixie main contrib non-free"),
		File("/etc/apt/preferences.d/trixie", "Package: *\nPin: release n=trixie\nPin-Priority: 100\n", 0o644))
	got := h.SSH(t, `export DEBIAN_FRONTEND=noninteractive
uname -r; cat /proc/sys/kernel/osrelease /sys/bus/pci/devices/*/class; ls /lib/modules
apt-get update -qq
apt-get install -y -qq --no-install-recommends nvidia-kernel-dkms nvidia-smi libcuda1 nvidia-persistenced >/root/install.log 2>&1
dkms status; modprobe nvidia-uvm; cat /proc/driver/nvidia/version; nvidia-smi
systemctl restart nvidia-persistenced; systemctl is-active nvidia-persistenced`)
	contains(t, "535", got, "-cloud-amd64\n", "0x030200", "nvidia-current/535.261.03", ": installed", "Kernel Module  535.261.03 ", "CUDA Version: 12.2", "active")
	up := h.SSH(t, `export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends -t trixie nvidia-kernel-dkms nvidia-smi libcuda1 >/root/upgrade.log 2>&1
dkms status; nvidia-smi; echo exit $?; rmmod nvidia 2>&1; rmmod nvidia_uvm; rmmod nvidia 2>&1
systemctl stop nvidia-persistenced; rmmod nvidia; modprobe nvidia; nvidia-smi`)
	contains(t, "550", up, "nvidia-current/550.163.01", "exit 18", "in use by: nvidia_uvm", "Module nvidia is in use\n", "Driver Version: 550.163.01")
	h.Reboot(t)
	contains(t, "after a reboot", h.SSH(t, "nvidia-smi; systemctl is-active nvidia-persistenced"), "550.163.01", "active")
}
