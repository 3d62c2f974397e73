//go:build linux

package e2e

import (
	"os"
	"strings"
	"testing"
)

// Debian's own packages, on a host that has come from Debian 11 and does not have
// the component where Debian 12 has the firmware; and what stands in for a GPU beside recipes/loaded.sh: real
// ones of these two end at once without one.
func realHost(t *testing.T, l *Lab, name string, start gpuStart) *Machine {
	return l.Host(t, name, append(trixie, gpuHost(start),
		Sources("debian bookworm main contrib non-free", "debian-security bookworm-security main contrib non-free"),
		File("/usr/local/bin/nvidia-smi", `#!/bin/sh
read -r line 2>/dev/null < /proc/driver/nvidia/version || { echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9; }
v=${line#*Module  } v=${v%% *}
echo "| NVIDIA-SMI $v             Driver Version: $v   CUDA Version: 12.2     |"
echo "|   0  NVIDIA H100 PCIe               On  | 00000000:17:00.0 Off |                    0 |"
`, 0o755),
		File("/etc/systemd/system/nvidia-persistenced.service.d/e2e.conf", "[Service]\nType=simple\nPIDFile=\nExecStart=\nExecStart=/bin/sleep infinity\n", 0o644))...)
}

// Without headers, here or in the archive, Debian's packages install, apt ends with
// status 0, and there is no module: that is never taken for a driver.
func TestRealDriverWithoutHeaders(t *testing.T) {
	slow(t)
	l := New(t)
	l.RealArchive(t, false)
	h := realHost(t, l, "gpu-01", gpuFromNothing)
	h.SSH(t, `export DEBIAN_FRONTEND=noninteractive; sed -i 's/non-free$/non-free non-free-firmware/' /etc/apt/sources.list; apt-get update -qq
apt-get install -y -qq --no-install-recommends nvidia-kernel-dkms nvidia-smi libcuda1 nvidia-persistenced >/root/install.log 2>&1`)
	contains(t, "dkms", h.SSH(t, "dkms status"), "nvidia-current/535.", ": added")
	d := newDriver(t, l, h)
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 535.104, < 536"`))
	out := d.apply(3)
	contains(t, "apply", out, "headers", "nvidia module for")
}

// 535 of Debian 12 and 550 of Debian 13, their modules really built for the kernel
// of the installed headers.
func TestRealDriver(t *testing.T) {
	slow(t)
	l := New(t)
	l.RealArchive(t, true)
	h := realHost(t, l, "gpu-01", gpuWithTools)
	d := newDriver(t, l, h)
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 535.104, < 536"`))
	d.apply(0)
	real := strings.ReplaceAll(installed, "nvidia-smi;", "")
	contains(t, "the host", h.SSH(t, real), "nvidia-kernel-dkms 535.309.01-0+deb12u1 installed", "nvidia-current/535.309.01, ", ": installed", "Kernel Module  535.309.01 ")
	contains(t, "the modules", h.SSH(t, "ls /lib/modules/*/updates/dkms"), "nvidia-current.ko", "nvidia-current-uvm.ko", "nvidia-current-drm.ko")
	d.apply(0)

	h.SSH(t, "printf 'deb [signed-by=/etc/apt/keyrings/e2e.asc] http://10.77.0.1/debian trixie main contrib non-free non-free-firmware\\n' > /etc/apt/sources.list.d/trixie.list; apt-get update -qq")
	d.write("inventory.hcl", driverInventory(h, "ops", `version = ">= 550, < 551"`))
	d.apply(0)
	got := h.SSH(t, real)
	contains(t, "the host", got, "nvidia-kernel-dkms 550.163.01-2 installed", "nvidia-current/550.163.01, ", "Kernel Module  550.163.01 ")
	lacks(t, "the host", got, "535.309.01") // nvidia-persistenced has a version of its own in Debian: 535.171.04
	d.do(0, "check")
}

// slow skips what takes half an hour unless it is asked for.
func slow(t *testing.T) {
	t.Helper()
	Require(t)
	if os.Getenv("RUNAI_PREP_E2E_SLOW") != "1" {
		t.Skip("e2e: set RUNAI_PREP_E2E_SLOW=1 to build NVIDIA's real modules (ten minutes each)")
	}
}
