//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wish is a driver block's content for NVIDIA's repository, mirrored.
func (r rpmRepositories) wish(folder, version string, more ...string) string {
	text := fmt.Sprintf("version = %q\nsource = \"cuda-repo\"\nrepository = %q\nrepository_key = %q\n", version, r.url+"/cuda/"+folder+"/x86_64", r.key)
	for _, line := range more {
		text += line + "\n"
	}
	return text
}

// elInstalled asks EL's own tools, not the product.
const elInstalled = `rpm -qa '*nvidia*' | sort
dnf -q module list --enabled 2>/dev/null | sed -n 's/^\(nvidia-driver *[^ ]* \[e\]\).*/\1/p'
echo "locked: $(grep -v '^#' /etc/dnf/plugins/versionlock.list | tr '\n' ' ')"
dkms status
modinfo -k "$(uname -r)" -F version nvidia
head -n 1 /proc/driver/nvidia/version
nvidia-smi; echo "nvidia-smi: $?"`

// rpmTree is tree without what any question to rpm and DNF touches: the log of
// rpm's database, and DNF's note of which lists are old.
const rpmTree = tree + ` | grep -vE '^/var(/lib/rpm|/cache/dnf|/cache/zypp|/cache|/lib)?[ /].*rpmdb|^/var(/lib|/cache|/lib/rpm)? |^/var/cache/(dnf|zypp)'`

// From nothing to 535 of NVIDIA's repository, mirrored and signed anew, to 550 by
// another module stream, with the real DNF, rpm and DKMS.
func TestDriverEL(t *testing.T) {
	RequireLong(t)
	l := New(t)
	r := l.RPMs(t)
	h := l.Host(t, "gpu-01", elHost())
	d := newDriver(t, l, h)
	d.write("inventory.hcl", driverInventory(h, "ops", r.wish("rhel9", ">= 535.104, < 536")))

	before := h.SSH(t, rpmTree)
	contains(t, "plan", d.do(2, "plan"), "nvidia driver", "535", "NVIDIA's repository")
	if diff := cmp.Diff(before, h.SSH(t, rpmTree)); diff != "" {
		t.Errorf("a plan changed the host:\n%s", diff)
	}
	boot := h.BootID(t)
	d.apply(0)
	got := h.SSH(t, elInstalled)
	t.Log(got)
	contains(t, "the host", got, "kmod-nvidia-latest-dkms-535.274.02-1.el9", "nvidia-driver-cuda-535.274.02-1.el9", "nvidia-driver 535-dkms [e]", "nvidia/535.274.02, ", ": installed", "Kernel Module  535.274.02 ", "nvidia-smi: 0")
	lacks(t, "the host", got, "550.163.01", "535.261.03")
	contains(t, "a second apply", d.apply(0), "settled")
	d.do(0, "check")

	d.write("inventory.hcl", driverInventory(h, "ops", r.wish("rhel9", ">= 550, < 551")))
	d.do(2, "plan")
	d.apply(0)
	got = h.SSH(t, elInstalled)
	t.Log(got)
	contains(t, "the host", got, "kmod-nvidia-latest-dkms-550.163.01-1.el9", "nvidia-driver-cuda-550.163.01-1.el9", "nvidia-driver 550-dkms [e]", "nvidia/550.163.01, ", ": installed", "Kernel Module  550.163.01 ", "nvidia-smi: 0")
	lacks(t, "the host", got, "535.")
	contains(t, "a second apply", d.apply(0), "settled")
	if h.BootID(t) != boot {
		t.Error("it rebooted")
	}
	if out := h.SSH(t, "ls /etc/apt /var/lib/apt /var/lib/dpkg 2>/dev/null || true"); out != "" {
		t.Errorf("something of Debian's is used: %s", out)
	}
}

// What goes wrong with DNF: another one at work, which is named and waited for; a
// mirror that lacks a file, and one that has another in its place; a module that
// does not build, of which DNF says nothing.
func TestDriverELBroken(t *testing.T) {
	RequireLong(t)
	l := New(t)
	r := l.RPMs(t)
	h := l.Host(t, "gpu-01", elHost())
	d := newDriver(t, l, h)

	// The key that is in the place is not the one that is wished.
	d.write("inventory.hcl", driverInventory(h, "root", strings.Replace(r.wish("rhel9", "535.261.03"), r.key[:4], "0000", 1)))
	contains(t, "apply", d.apply(5), "the key that was fetched is not 0000"+r.key[4:])
	contains(t, "rpm", h.SSH(t, "rpm -qa 'gpg-pubkey*' '*nvidia*' | wc -l; ls /etc/yum.repos.d"), "1\nrocky.repo\n")

	// Another DNF is at work.
	h.SSH(t, "setsid dnf -y install slow >/var/log/by-hand 2>&1 </dev/null &")
	for begun(t, h) == 0 {
		time.Sleep(200 * time.Millisecond)
	}
	d.write("inventory.hcl", driverInventory(h, "root", r.wish("rhel9", "535.261.03", "rollback = true")))
	run := d.start("", "apply", "-y", "inventory.hcl", "--task", "driver")
	run.says("dnf")
	run.says(strings.TrimSpace(h.SSH(t, "pgrep -o -f '[d]nf -y install slow'")))
	h.SSH(t, "touch /run/e2e-go")
	// What the repository has is only known once its lists are here, and the newest
	// of the stream is not the one.
	contains(t, "apply", run.ends(5), "the newest kmod-nvidia-latest-dkms is 535.274.02", "plan again")
	contains(t, "rpm", h.SSH(t, "rpm -qa '*nvidia*' | wc -l"), "0\n")
	d.apply(0)
	was := h.SSH(t, elInstalled)
	contains(t, "the host", was, "kmod-nvidia-latest-dkms-535.261.03-1.el9", "nvidia-smi: 0")

	// A mirror that is not whole.
	rpm := filepath.Join(r.root, "cuda/rhel9/x86_64/nvidia-driver-cuda-libs-550.163.01-1.el9.x86_64.rpm")
	whole, err := os.ReadFile(rpm)
	if err != nil {
		t.Fatal(err)
	}
	d.write("inventory.hcl", driverInventory(h, "root", r.wish("rhel9", "550.163.01")))
	if err := os.Remove(rpm); err != nil { // a hard link into the cache: never written in place
		t.Fatal(err)
	}
	contains(t, "apply", d.apply(5), "404", "nvidia-driver-cuda-libs-550.163.01")
	if diff := cmp.Diff(was, h.SSH(t, elInstalled)); diff != "" {
		t.Errorf("after a 404:\n%s", diff)
	}
	broken := bytes.Clone(whole)
	broken[len(broken)/2] ^= 1
	if err := os.WriteFile(rpm, broken, 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, "apply", d.apply(5), "nvidia-driver-cuda-libs-550.163.01", "checksum")
	if diff := cmp.Diff(was, h.SSH(t, elInstalled)); diff != "" {
		t.Errorf("after a wrong checksum:\n%s", diff)
	}
	if err := os.WriteFile(rpm, whole, 0o644); err != nil {
		t.Fatal(err)
	}

	// A module that does not build: failed, and back to the one that did.
	d.write("inventory.hcl", driverInventory(h, "root", r.wish("rhel9", "560.35.99", "rollback = true", `flavor = "proprietary"`)))
	contains(t, "apply", d.apply(5), "this_kernel_has_no_such_function", "535.261.03")
	if diff := cmp.Diff(was, h.SSH(t, elInstalled)); diff != "" {
		t.Errorf("after the way back:\n%s", diff)
	}
	d.write("inventory.hcl", driverInventory(h, "root", r.wish("rhel9", "550.163.01")))
	d.apply(0)
	contains(t, "the host", h.SSH(t, elInstalled), "kmod-nvidia-latest-dkms-550.163.01-1.el9", "nvidia-smi: 0")
}

// The proxy of EL: DNF goes through it, the runtimes have it in their
// environment, and programs trust the authority of the site.
func TestNetworkEL(t *testing.T) {
	RequireLong(t)
	l := New(t)
	l.RPMs(t)
	const name = "mirror.corp.example"
	ca, certificate := authority(t, "Corp CA", name)
	r := newRegistry(t)
	r.serve(t, l, Controller+":443", certificate)
	proxied := forwardProxy(t, l, Controller+":3128")
	h := l.Host(t, "gpu-01", elHost(), Runtimes(), File("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gpu-01\n"+Controller+" "+name+"\n", 0o644))
	c := newController(t, l, []*Machine{h}, "PROXY_PASSWORD=p@ss%w:rd 4711")
	c.write("ca.pem", ca)
	head := fmt.Sprintf("ssh {\n  user = \"ops\"\n  identity_file = \"id_ed25519\"\n  known_hosts = \"known_hosts\"\n}\nhost \"gpu-01\" {\n  address = %q\n}\n", h.IP)
	c.write("inventory.hcl", head+strings.TrimSuffix(strings.TrimSpace(proxyBlock), "}")+"  ca_certificates = [file(\"ca.pem\")]\n}\n")

	dnf := h.SSH(t, "cat /etc/dnf/dnf.conf")
	const asks = "curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' https://" + name + "/v2/ 2>&1 || true"
	contains(t, "curl before", h.SSH(t, asks), "certificate")
	c.run(2, "plan", "inventory.hcl", "--task", "proxy")
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "proxy")
	c.run(0, "check", "inventory.hcl", "--task", "proxy")
	lacks(t, "curl", h.SSH(t, asks), "certificate")
	contains(t, "trust", h.SSH(t, "trust list"), "Corp CA")
	// Without the no_proxy of the login, which the mirror falls under.
	h.SSH(t, "dnf -q clean all; env -u no_proxy -u NO_PROXY dnf -q repoquery dkms")
	contains(t, "the proxy", proxied(), "runai:p@ss%w:rd 4711 http://10.77.0.1/rpms/el9/repodata/repomd.xml")
	for _, unit := range []string{"containerd", "docker", "kubelet"} {
		contains(t, unit, h.SSH(t, `systemctl show -p NeedDaemonReload -p ActiveState `+unit+`; tr '\0' '\n' < /proc/$(systemctl show -p MainPID --value `+unit+`)/environ`),
			"NeedDaemonReload=no", "ActiveState=active", "HTTPS_PROXY=http://runai:p%40ss%25w%3Ard%204711@10.77.0.1:3128", "NO_PROXY=")
	}
	contains(t, "dnf.conf", h.SSH(t, "stat -c '%a %U' /etc/dnf/dnf.conf; cat /etc/environment"), "600 root", "https_proxy=")

	c.write("inventory.hcl", head)
	c.run(0, "apply", "-y", "inventory.hcl", "--task", "proxy")
	if diff := cmp.Diff(dnf, h.SSH(t, "cat /etc/dnf/dnf.conf")); diff != "" {
		t.Errorf("dnf.conf after all:\n%s", diff)
	}
	contains(t, "curl after", h.SSH(t, asks), "certificate")
	c.run(0, "check", "inventory.hcl", "--task", "proxy")
}

// forwardProxy serves a proxy for HTTP that wants a login, and tells of each
// request who asks for what.
func forwardProxy(t *testing.T, l *Lab, address string) func() string {
	t.Helper()
	listener, err := l.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var asked lockedBuffer
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: &http.Transport{DialContext: l.Dial}}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Proxy-Authorization"), "Basic "))
		if err != nil || len(login) == 0 {
			w.Header().Set("Proxy-Authenticate", `Basic realm="site"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		fmt.Fprintf(&asked, "%s %s\n", login, r.URL)
		forward.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return asked.String
}
