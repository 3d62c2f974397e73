//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	//go:embed recipes/nextkernel.sh
	nextKernelRecipe string
	//go:embed recipes/fabricmanager.sh
	fabricManagerRecipe string
)

// nextKernel are a later kernel's packages, Debian's own, and the lab's modules
// for it.
var nextKernel = part{name: "next-kernel", recipe: layerRecipe + nextKernelRecipe + gpuModulesRecipe, lower: []part{tools, kernel, base},
	build: func(ctx context.Context, l *Lab, out string) error {
		mirror, err := debianMirror(ctx)
		if err != nil {
			return err
		}
		security, err := securityMirror(ctx)
		if err != nil {
			return err
		}
		lower, err := lowerdirs(ctx, l, tools, kernel, base)
		if err != nil {
			return err
		}
		modules := strings.ReplaceAll(gpuModulesRecipe, "$(ls /lib/modules)", "$next")
		return l.script(ctx, layerRecipe, out, lower, mirror, suite, "SECURITY="+security+"\n"+nextKernelRecipe+modules)
	}}

// A machine with NVSwitch and a driver that works, on which somebody has
// installed the fabric manager in whatever version was the newest, and a later
// kernel, without its headers: both are found today and mended without a
// reboot, and the next boot has the driver. Then the next branch, with its fabric
// manager.
func TestDriverNextKernelAndFabricManager(t *testing.T) {
	RequireVM(t)
	l := New(t)
	l.DebianArchive(t, R535, R550)
	dir, err := nextKernel.path(t.Context(), l)
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	release, err := os.ReadFile(filepath.Join(dir, "next/release"))
	if err != nil {
		t.Fatal(err)
	}
	next := strings.TrimSpace(string(release))
	debs, _ := filepath.Glob(filepath.Join(dir, "next/*.deb"))
	l.Archive(t, "debian-security", "bookworm-security", "main", debs...)
	// NVIDIA's package comes from an archive of the site's own.
	var fabric []string
	for _, v := range []string{R535.Version, R535sec.Version, R550.Version} {
		out := filepath.Join(l.Dir, v)
		if err := l.script(t.Context(), fabricManagerRecipe, out, v, "1"); err != nil {
			t.Fatal(err)
		}
		some, _ := filepath.Glob(out + "/*.deb")
		fabric = append(fabric, some...)
	}
	l.Publish(t, fabric...)

	options := append(trixie, gpuMachine(gpuWith535), NVSwitches(4),
		Sources("debian bookworm main contrib non-free", "debian-security bookworm-security main", "debian trixie main contrib non-free", " ./"))
	for _, name := range []string{"e2e-gpu", "nouveau"} {
		module, err := os.ReadFile(filepath.Join(dir, "gpu", name+".ko"))
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, File("/lib/modules/"+next+"/kernel/drivers/"+name+".ko", string(module), 0o644))
	}
	vm := l.VM(t, "gpu-01", options...)
	d := newDriver(t, l, vm)
	wish := func(more string) { d.write("inventory.hcl", driverInventory(vm, "root", more)) }
	vm.SSH(t, `export DEBIAN_FRONTEND=noninteractive
modprobe nvidia; nvidia-smi >/dev/null
apt-get update -qq
apt-get install -y -qq --no-install-recommends nvidia-fabricmanager-535 linux-image-`+next+` >/root/by-hand.log 2>&1
systemctl start nvidia-fabricmanager || true`)
	boot, running := vm.BootID(t), strings.TrimSpace(vm.SSH(t, "uname -r"))
	const fabricSays = "\ndpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' 'nvidia-fabricmanager*'; systemctl is-active nvidia-fabricmanager; systemctl is-enabled nvidia-fabricmanager; uname -r"
	contains(t, "the host as it was left", vm.SSH(t, kernelSays+fabricSays+"; true"), "nvidia-fabricmanager-535 535.309.01-1 installed", running, "Kernel Module  535.261.03 ")

	wish(`version = ">= 535.104, < 536"`)
	contains(t, "plan", d.do(2, "plan"), "the fabric manager is 535.309.01",
		"nvidia module for "+next+": none", "linux-headers-"+next, "for the kernel of the next boot")
	d.apply(0)
	if vm.BootID(t) != boot {
		t.Error("it rebooted")
	}
	contains(t, "the host", vm.SSH(t, kernelSays+fabricSays), "nvidia-fabricmanager-535 535.261.03-1 installed", "active\nenabled\n"+running,
		next+" 535.261.03", running+" 535.261.03", "Kernel Module  535.261.03 ", "nvidia-smi: 0")
	contains(t, "another apply", d.apply(0), "nothing changed")

	vm.Reboot(t)
	vm.SSH(t, "systemctl is-system-running --wait || true")
	contains(t, "the host in its next kernel", vm.SSH(t, kernelSays+fabricSays), "\nnvidia\n", "Kernel Module  535.261.03 ", "active\nenabled\n"+next, "nvidia-smi: 0")
	d.do(0, "check")

	boot = vm.BootID(t)
	wish(`version = ">= 550, < 551"`)
	d.apply(0)
	got := vm.SSH(t, kernelSays+fabricSays)
	contains(t, "the next branch", got, "nvidia-fabricmanager-550 550.163.01-1 installed", "Kernel Module  550.163.01 ", "active\nenabled\n"+next, "nvidia-smi: 0")
	lacks(t, "the next branch", got, "nvidia-fabricmanager-535 535.261.03-1 installed", "nvidia-smi 535.")
	if vm.BootID(t) != boot {
		t.Error("it rebooted")
	}
}
