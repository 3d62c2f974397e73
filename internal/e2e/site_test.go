//go:build linux

package e2e

import (
	_ "embed"
	"path/filepath"
	"testing"
)

//go:embed recipes/site.sh
var siteRecipe string

// A site without the internet has one flat archive, with a driver that it has
// packed itself: nothing but that is needed. The host is one without a GPU, as
// images are made on; a driver that is loaded there has to be the wished one all
// the same.
func TestDriverOfASite(t *testing.T) {
	l := New(t)
	var debs []string
	for _, v := range []string{"535.261.03", "550.163.01"} {
		out := filepath.Join(l.Dir, v)
		if err := l.script(t.Context(), siteRecipe, out, v); err != nil {
			t.Fatal(err)
		}
		some, _ := filepath.Glob(out + "/*.deb")
		debs = append(debs, some...)
	}
	l.Publish(t, debs...)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools))
	d := newDriver(t, l, h)
	d.write("inventory.hcl", driverInventory(h, "root", "version = \">= 535.104, < 536\"\nrequire_gpu = false"))

	// The lists were never fetched here.
	h.SSH(t, "rm -rf /var/lib/apt/lists/*; umount /sys/bus/pci/devices")
	d.do(2, "plan")
	d.apply(0)
	got := h.SSH(t, installed)
	contains(t, "the host", got, "nvidia-kernel-dkms 535.261.03-1 installed", "nvidia-smi 535.261.03-1 installed", "nvidia-current/535.261.03, ")
	lacks(t, "the host", got, "550.163.01")
	contains(t, "a second apply", d.apply(0), "nothing changed")

	// Its own meta package goes along, and what is loaded follows.
	h.SSH(t, "modprobe nvidia; apt-get install -y -qq nvidia-driver=535.261.03-1 >/dev/null")
	d.write("inventory.hcl", driverInventory(h, "root", "version = \">= 550, < 551\"\nrequire_gpu = false"))
	contains(t, "plan", d.do(2, "plan"), "550.163.01")
	d.apply(0)
	got = h.SSH(t, installed)
	contains(t, "the host", got, "nvidia-driver 550.163.01-1 installed", "nvidia-kernel-dkms 550.163.01-1 installed", "nvidia-current/550.163.01, ", "Kernel Module  550.163.01 ")
	lacks(t, "the host", got, "535.261.03")
	d.do(0, "check")
}
