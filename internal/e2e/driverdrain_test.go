//go:build linux

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kubectl is Debian's.
var kubectl = layer("kubectl", `mkdir /kubectl; cd /kubectl
apt-get update -qq
apt-get download -qq kubernetes-client
dpkg-deb -x kubernetes-client_*.deb .
rm kubernetes-client_*.deb`, base)

// A node is drained by the real kubectl, against an API server of the test (see
// kubeAPI), before its driver is replaced, and takes pods again once the driver
// is proved. The pod is a process of the host in a cgroup as kubelet makes them,
// and ends when it is evicted.
func TestDriverDrain(t *testing.T) {
	l := New(t)
	l.DebianArchive(t, R535, R550)
	dir, err := kubectl.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	h := l.Host(t, "gpu-01", append(trixie, gpuHost(gpuWithTools))...)
	d := driver{newController(t, l, []*Machine{h}, "PATH="+filepath.Join(dir, "kubectl/usr/bin")+":/usr/sbin:/usr/bin:/sbin:/bin")}
	wish := func(more string) { d.write("inventory.hcl", driverInventory(h, "root", more)) }
	h.SSH(t, "sed -i 's/bookworm main$/bookworm main contrib non-free/' /etc/apt/sources.list; apt-get update -qq")
	wish(`version = "535.261.03"`)
	d.apply(0)

	const slice = "kubepods-pod0f8f5a3c_4c1e_4a53_9d53_0d6c1f6f2b11.slice"
	train := func() {
		t.Helper()
		h.SSH(t, "systemd-run -q --slice="+slice+" --unit=train sh -c 'exec 3</dev/nvidia0; exec sleep infinity'")
	}
	train()
	api := newKubeAPI(t, l, "gpu-01", "train-1")
	api.config(t, filepath.Join(l.Dir, ".kube/config"))
	api.evicted = func(string) { h.SSH(t, "systemctl stop train") }

	// A budget that forbids it all along: nothing is touched, and the node is
	// given back.
	wish("version = \">= 550, < 551\"\nbusy = \"drain=12s\"")
	contains(t, "plan", d.do(2, "plan"), "kubectl drain gpu-01", "afterwards: kubectl uncordon", "--timeout=12s")
	api.set(func() { api.budget = true })
	was := h.SSH(t, installed+"\nsystemctl is-active train nvidia-persistenced")
	contains(t, "apply against a budget", d.apply(2), "disruption budget", "it was given back as it was")
	if diff := cmp.Diff(was, h.SSH(t, installed+"\nsystemctl is-active train nvidia-persistenced")); diff != "" {
		t.Errorf("changed although the node could not be drained:\n%s", diff)
	}
	if got := api.state(); got != "takes pods" {
		t.Errorf("the node: %s", got)
	}
	if got := api.events(); !strings.HasPrefix(got, "label; cordon; refuse train-1; ") || !strings.HasSuffix(got, "; uncordon; unlabel") && !strings.HasSuffix(got, "refuse train-1; uncordon; unlabel") {
		t.Errorf("the cluster saw: %s", got)
	}
	lacks(t, "the ledger", h.SSH(t, "cat /var/lib/runai-prep/driver.ledger"), "cordoned")

	// It goes. Whoever drained it is killed right before it would give the node
	// back, and the next apply does.
	api.set(func() { api.budget = false })
	atEnd := make(chan struct{})
	killed := make(chan struct{})
	api.lost = func(did string) bool {
		if did != "uncordon" {
			return false
		}
		close(atEnd)
		<-killed
		return true
	}
	run := d.start("", "apply", "-y", "inventory.hcl", "--task", "driver")
	run.await("the end", func() bool {
		select {
		case <-atEnd:
			return true
		default:
			return false
		}
	})
	got := h.SSH(t, installed)
	contains(t, "the host when the node is given back", got, "Kernel Module  550.163.01 ", "nvidia-smi 550.163.01-2 installed", "nvidia-smi: 0")
	h.lab.kill("controller") // and the kubectl that it runs with it
	close(killed)
	<-run.done
	api.lost = nil
	if got := api.events(); got != "label; cordon; evict train-1" {
		t.Errorf("the cluster saw: %s", got)
	}
	if got := api.state(); got != "cordoned, runai-prep/cordoned=gpu-01" {
		t.Errorf("the node: %s", got)
	}
	contains(t, "check", d.do(2, "check"), "kubernetes node", "cordoned for a driver, and not given back yet")
	boot := h.BootID(t)
	d.apply(0)
	if got := api.events(); got != "uncordon; unlabel" {
		t.Errorf("the cluster saw: %s", got)
	}
	if got := api.state(); got != "takes pods" {
		t.Errorf("the node: %s", got)
	}
	if h.BootID(t) != boot {
		t.Error("it rebooted once more")
	}
	contains(t, "another apply", d.apply(0), "nothing changed")
	lacks(t, "the ledger", h.SSH(t, "cat /var/lib/runai-prep/driver.ledger"), "cordoned")

	// One that somebody else has cordoned stays so.
	api.set(func() { api.node["spec"].(map[string]any)["unschedulable"] = true; api.pods = []string{"train-2"} })
	train()
	wish("version = \"535.261.03\"\nbusy = \"drain=12s\"")
	d.apply(0)
	contains(t, "the host", h.SSH(t, installed), "Kernel Module  535.261.03 ", "nvidia-smi: 0")
	if got := api.state(); got != "cordoned" {
		t.Errorf("the node: %s", got)
	}
	if got := api.events(); got != "evict train-2" {
		t.Errorf("the cluster saw: %s", got)
	}
}
