//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// slesInstalled asks SLES's own tools, not the product.
const slesInstalled = `rpm -qa '*nvidia*' | sort
zypper -n -q locks | grep nvidia
modinfo -k "$(uname -r)" -F version nvidia
head -n 1 /proc/driver/nvidia/version
nvidia-smi; echo "nvidia-smi: $?"`

// NVIDIA's repository for SLES with the real zypper and rpm: another zypper at
// work is named and waited for; 550 is installed although there is a newer one,
// and upgraded to 570.
func TestDriverSLES(t *testing.T) {
	RequireLong(t)
	l := New(t)
	r := l.RPMs(t)
	h := l.Host(t, "gpu-01", slesHost())
	d := newDriver(t, l, h)

	d.write("inventory.hcl", driverInventory(h, "root", r.wish("sles15", ">= 550, < 551")))
	// zypper's first question ever leaves files of its own.
	h.SSH(t, "zypper -n -q refresh; zypper -n -q search dkms >/dev/null || true")
	before := h.SSH(t, rpmTree)
	d.do(2, "plan")
	if diff := cmp.Diff(before, h.SSH(t, rpmTree)); diff != "" {
		t.Errorf("a plan changed the host:\n%s", diff)
	}
	h.SSH(t, "setsid zypper -n install slow >/var/log/by-hand 2>&1 </dev/null &")
	for begun(t, h) == 0 {
		time.Sleep(200 * time.Millisecond)
	}
	run := d.start("", "apply", "-y", "inventory.hcl", "--task", "driver")
	run.says("waiting: the lock of rpm is held by ") // the key comes first, and rpm, which zypper runs, is in its middle
	h.SSH(t, "touch /run/e2e-go")
	// What the repository has is only known once its lists are here.
	contains(t, "apply", run.ends(5), "the newest nvidia-open-driver-G06-signed-cuda-kmp-default is 570.133.20", "plan again")
	contains(t, "rpm", h.SSH(t, "rpm -qa '*nvidia*' | wc -l"), "0\n")
	contains(t, "plan", d.do(2, "plan"), "550.163.01")
	d.apply(0)
	got := h.SSH(t, slesInstalled)
	t.Log(got)
	contains(t, "the host", got, "nvidia-open-driver-G06-signed-cuda-kmp-default-550.163.01_k6.4.0", "nvidia-compute-utils-G06-550.163.01-1", "Kernel Module for x86_64  550.163.01 ", "nvidia-smi: 0")
	lacks(t, "the host", got, "570.133.20")
	contains(t, "a second apply", d.apply(0), "settled")

	// zypper's own update leaves alone what is held; persistenced works with any
	// version of the driver, and is not.
	h.SSH(t, "zypper -n update --no-recommends")
	if diff := cmp.Diff(got, strings.Replace(h.SSH(t, slesInstalled), "nvidia-persistenced-570.133.20", "nvidia-persistenced-550.163.01", 1)); diff != "" {
		t.Errorf("zypper update:\n%s", diff)
	}

	d.write("inventory.hcl", driverInventory(h, "root", r.wish("sles15", ">= 570, < 571")))
	d.apply(0)
	got = h.SSH(t, slesInstalled)
	t.Log(got)
	contains(t, "the host", got, "nvidia-open-driver-G06-signed-cuda-kmp-default-570.133.20_k6.4.0", "nvidia-compute-utils-G06-570.133.20-1", "Kernel Module for x86_64  570.133.20 ", "nvidia-smi: 0")
	lacks(t, "the host", got, "550.163.01")
	contains(t, "a second apply", d.apply(0), "settled")
}

// The proxy and the authority of a site on SLES.
func TestNetworkSLES(t *testing.T) {
	RequireLong(t)
	l := New(t)
	l.RPMs(t)
	const name = "mirror.corp.example"
	ca, certificate := authority(t, "Corp CA", name)
	newRegistry(t).serve(t, l, Controller+":443", certificate)
	h := l.Host(t, "gpu-01", slesHost(), Runtimes(), File("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gpu-01\n"+Controller+" "+name+"\n", 0o644))
	c := newController(t, l, []*Machine{h}, "PROXY_PASSWORD=p@ss%w:rd 4711")
	c.write("ca.pem", ca)
	head := fmt.Sprintf("ssh {\n  user = \"ops\"\n  identity_file = \"id_ed25519\"\n  known_hosts = \"known_hosts\"\n}\nhost \"gpu-01\" {\n  address = %q\n}\n", h.IP)
	c.write("inventory.hcl", head+strings.TrimSuffix(strings.TrimSpace(proxyBlock), "}")+"  ca_certificates = [file(\"ca.pem\")]\n}\n")

	sysconfig := h.SSH(t, "cat /etc/sysconfig/proxy")
	const asks = "curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' https://" + name + "/v2/ 2>&1 || true"
	contains(t, "curl before", h.SSH(t, asks), "certificate")
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "proxy")
	c.run(0, "check", "inventory.hcl", "--task", "proxy")
	lacks(t, "curl", h.SSH(t, asks), "certificate")
	contains(t, "/etc/sysconfig/proxy", h.SSH(t, ". /etc/sysconfig/proxy; echo $PROXY_ENABLED $HTTPS_PROXY; stat -c '%a' /root/.curlrc"), "yes http://10.77.0.1:3128", "600")
	contains(t, "containerd", h.SSH(t, `systemctl show -p NeedDaemonReload containerd; tr '\0' '\n' < /proc/$(systemctl show -p MainPID --value containerd)/environ`),
		"NeedDaemonReload=no", "HTTPS_PROXY=http://runai:p%40ss%25w%3Ard%204711@10.77.0.1:3128")

	c.write("inventory.hcl", head)
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "proxy")
	if diff := cmp.Diff(sysconfig, h.SSH(t, "cat /etc/sysconfig/proxy")); diff != "" {
		t.Errorf("/etc/sysconfig/proxy after all:\n%s", diff)
	}
	contains(t, "curl after", h.SSH(t, asks), "certificate")
}
