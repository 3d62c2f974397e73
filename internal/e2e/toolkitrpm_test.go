//go:build linux

package e2e

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

//go:embed recipes/toolkit-rpms.sh
var toolkitRPMsRecipe string

var toolkitRPMs = layerWith("toolkit-rpms", toolkitRPMsRecipe, toolkitPackages("1.17.8", "1.18.0"), rpmTools, tools, kernel, base)

// toolkitRPMRepository serves http://10.77.0.1/libnvidia-container as NVIDIA does
// its own, with 1.17.8 and 1.18.0, and returns its folder here, of hard links into
// the cache, and the fingerprint of the key that it is signed with.
func (l *Lab) toolkitRPMRepository(t *testing.T) (root, key string) {
	t.Helper()
	dir, err := toolkitRPMs.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(l.apt.root, "www/libnvidia-container")
	if err := run(t.Context(), "cp", "-al", filepath.Join(dir, "srv/libnvidia-container"), root); err != nil {
		t.Fatal(err)
	}
	print, err := os.ReadFile(filepath.Join(dir, "srv/fingerprint"))
	if err != nil {
		t.Fatal(err)
	}
	return root, strings.TrimSpace(string(print))
}

// runtimesOfToolkit are what a host has that is told of the toolkit: containerd,
// really, in Debian's build; Docker's daemon and CRI-O are stand-ins, with the files
// that their packages bring.
func runtimesOfToolkit(t *testing.T, l *Lab) Option {
	debs := l.debsOf(t, containerd, "debs")
	return func(o *options) {
		Runtimes()(o)
		unit := o.files["/usr/lib/systemd/system/docker.service"]
		for path, f := range map[string]file{
			"/usr/bin/dockerd":                           {data: "#!/bin/sh\necho 'Docker version 24.0.7, build afdd53b'\n", mode: 0o755},
			"/usr/bin/crio":                              {data: "#!/bin/sh\necho 'crio version 1.30.5'\n", mode: 0o755},
			"/usr/lib/systemd/system/crio.service":       {data: strings.Replace(unit.data, "docker", "crio", 1), mode: 0o644},
			"/usr/lib/systemd/system/containerd.service": {mode: 0o644, data: "[Unit]\nDescription=containerd\n[Service]\nType=notify\nExecStart=/usr/bin/containerd\n[Install]\nWantedBy=multi-user.target\n"},
			"/etc/docker/daemon.json":                    {data: "{\n  \"log-driver\": \"journald\"\n}\n", mode: 0o644},
			"/etc/containerd/config.toml":                {data: containerdToml, mode: 0o644},
			"/etc/crio/crio.conf.d/10-crio.conf":         {data: crioConf, mode: 0o644},
		} {
			o.files[path] = f
		}
		o.setup = append(o.setup, func(root string) error {
			for _, deb := range debs {
				// Not onto the root: /lib would be a folder then.
				at := filepath.Join(root, "root", filepath.Base(deb)+".d")
				for _, args := range [][]string{{"dpkg-deb", "-x", deb, at}, {"cp", "-a", at + "/usr", root}, {"rm", "-r", at}} {
					if err := run(t.Context(), args...); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

const (
	containerdToml = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = true
`
	// As the packages of CRI-O 1.30 bring it; there is no crio.conf.
	crioConf = `[crio.image]
signature_policy = "/etc/crio/policy.json"

[crio.runtime]
default_runtime = "crun"

[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
runtime_root = "/run/crun"
monitor_path = "/usr/libexec/crio/conmon"
allowed_annotations = [
    "io.containers.trace-syscall",
]

[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
runtime_root = "/run/runc"
monitor_path = "/usr/libexec/crio/conmon"
`
)

// A toolkitTest is one of a family with rpm.
type toolkitTest struct {
	*controller
	h         *Machine
	root, key string // of the repository
	traces    string // a script: the repository and keys that there are, and the packages
	started   string
}

func newToolkitTest(t *testing.T, repositories string, host Option) *toolkitTest {
	RequireLong(t)
	l := New(t)
	l.RPMs(t)
	root, key := l.toolkitRPMRepository(t)
	h := l.Host(t, "gpu-01", host, runtimesOfToolkit(t, l))
	h.SSH(t, "mkdir /proc/driver/nvidia; echo 'NVRM version: a stand-in' >/proc/driver/nvidia/version; systemctl start crio; systemctl is-active containerd docker crio")
	return &toolkitTest{
		controller: newController(t, l, []*Machine{h}), h: h, root: root, key: key,
		traces:  "ls " + repositories + " /etc/pki/rpm-gpg; find /tmp /var/tmp -mindepth 1 -name 'tmp.*'; rpm -qa '*nvidia*' | sort; rpm -qa 'gpg-pubkey*' | sort",
		started: strings.Replace(started, "kubelet", "crio", 1),
	}
}

// wish writes the inventory, with a block's lines, or without a block.
func (c *toolkitTest) wish(lines ...string) {
	block := ""
	if lines != nil {
		block = "container_toolkit {\n  repository = \"http://10.77.0.1/libnvidia-container\"\n  " + strings.Join(lines, "\n  ") + "\n}\n"
	}
	c.write("inventory.hcl", toolkitInventory(c.h, block))
}

func (c *toolkitTest) apply(code int) string {
	c.t.Helper()
	return c.run(code, "apply", "-y", "inventory.hcl", "--task", "kubernetes")
}

// keyLine is the wish for a key.
func keyLine(key string) string { return `repository_key = "` + key + `"` }

// refused: with another key, and with lists that have changed since they were
// signed, nothing is written, trusted, installed or restarted.
func (c *toolkitTest) refused() {
	t := c.t
	t.Helper()
	before := c.h.SSH(t, c.traces) + c.h.SSH(t, c.started)
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(before, c.h.SSH(t, c.traces)+c.h.SSH(t, c.started)); diff != "" {
			t.Errorf("changed although %s:\n%s", when, diff)
		}
	}
	c.wish(keyLine("C95B321B61E88C1809C4F759DDCAE044F796ECB0"))
	contains(t, "apply with another key", c.apply(5), "the key that was fetched is not C95B321B61E88C1809C4F759DDCAE044F796ECB0")
	same("the key is another one")

	list := filepath.Join(c.root, "stable/rpm/x86_64/repodata/repomd.xml")
	whole, err := os.ReadFile(list)
	if err == nil {
		err = os.Remove(list) // a hard link into the cache: never written in place
	}
	if err == nil {
		err = os.WriteFile(list, append(whole, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.wish(keyLine(c.key))
	contains(t, "apply of a changed list", c.apply(5), "the repository is not signed with "+c.key, "BAD signature")
	same("the list is not what was signed")
	if err := os.WriteFile(list, whole, 0o644); err != nil {
		t.Fatal(err)
	}
}

// installed: plan says it, apply does it, each runtime is told and restarts once,
// and a second apply does nothing.
func (c *toolkitTest) installed(version string) {
	t := c.t
	t.Helper()
	running := c.h.SSH(t, c.started)
	plan := c.result(2, "plan", "inventory.hcl", "--task", "kubernetes")
	if f := plan.Hosts[0].Findings; len(f) != 1 || f[0].Subject != "toolkit" || f[0].State != "pending" || !f[0].Disruptive {
		t.Errorf("plan: %+v", f)
	}
	c.apply(0)
	got := c.h.SSH(t, c.traces)
	t.Log(got)
	for _, name := range []string{"nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1"} {
		contains(t, "the packages", got, name+"-"+version+"-1.x86_64\n")
	}
	contains(t, "containerd by itself", c.h.SSH(t, "containerd config dump"), `runtimes.nvidia]`, `BinaryName = "/usr/bin/nvidia-container-runtime"`)
	contains(t, "daemon.json", c.h.SSH(t, "cat /etc/docker/daemon.json"), `"log-driver": "journald"`, `"path": "nvidia-container-runtime"`)

	// NVIDIA's tool, given the file that it does not look for, sets the same for
	// CRI-O as was written.
	theirs := c.h.SSH(t, `cp /etc/crio/crio.conf.d/10-crio.conf /run/crio.conf; at=/run/crio.conf
set --
case $(nvidia-ctk runtime configure --help) in *drop-in-config*) at=/run/drop-in.conf; set -- --drop-in-config=$at ;; esac
nvidia-ctk runtime configure --runtime=crio --config=/run/crio.conf "$@" >&2
cat $at`)
	ours := c.h.SSH(t, "cat /etc/crio/crio.conf.d/99-nvidia.conf")
	if diff := cmp.Diff(crioRuntime(t, theirs), crioRuntime(t, ours)); diff != "" {
		t.Errorf("what CRI-O is told is not what NVIDIA's tool tells it:\n%s", diff)
	}
	contains(t, "the runtime's file", c.h.SSH(t, "cat /etc/nvidia-container-runtime/config.toml"), `runtimes = ["runc", "crun", "/usr/libexec/crio/crun"]`)
	contains(t, "CRI-O's drop-in", ours, "/usr/libexec/crio/conmon", "/usr/bin/nvidia-container-runtime")

	now := c.h.SSH(t, c.started)
	restartedOnce(t, running, now, "containerd", "docker", "crio")
	contains(t, "a second apply", c.apply(0), "nothing changed")
	if again := c.h.SSH(t, c.started); again != now {
		t.Errorf("restarted again: %s was %s", again, now)
	}
	c.run(0, "check", "inventory.hcl", "--task", "kubernetes")
}

// crioRuntime is what a file tells CRI-O of NVIDIA's runtime.
func crioRuntime(t *testing.T, content string) map[string]any {
	t.Helper()
	var doc struct {
		Crio struct {
			Runtime struct {
				Runtimes map[string]map[string]any
			}
		}
	}
	if err := toml.Unmarshal([]byte(content), &doc); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	if doc.Crio.Runtime.Runtimes["nvidia"] == nil {
		t.Fatalf("no such runtime in %s", content)
	}
	return doc.Crio.Runtime.Runtimes["nvidia"]
}

// The toolkit from a signed repository with the real DNF and rpm: one version, and
// then the next. rpm comes to trust nobody.
func TestToolkitEL(t *testing.T) {
	c := newToolkitTest(t, "/etc/yum.repos.d", elHost())
	before := c.h.SSH(t, c.traces)
	c.refused()
	c.wish(keyLine(c.key), `version = "1.17.8"`)
	c.installed("1.17.8")
	keys := func() string { return c.h.SSH(t, "rpm -qa 'gpg-pubkey*' | sort") }
	if got := keys(); !strings.HasSuffix(before, got) {
		t.Errorf("rpm trusts %s, and before: %s", got, before)
	}

	c.wish(keyLine(c.key), `version = "1.18.0"`)
	c.apply(0)
	contains(t, "the host", c.h.SSH(t, c.traces), "nvidia-container-toolkit-1.18.0-1.x86_64\n", "libnvidia-container1-1.18.0-1.x86_64\n")
	contains(t, "a second apply", c.apply(0), "nothing changed")

	// Without the wish the repository goes; what was installed stays, and DNF works.
	c.wish()
	c.apply(0)
	left := c.h.SSH(t, c.traces)
	lacks(t, "the host", left, "runai-prep")
	contains(t, "the host", left, "nvidia-container-toolkit-1.18.0-1.x86_64\n")
	contains(t, "dnf", c.h.SSH(t, "dnf -q repolist; dnf -q repoquery gcc"), "baseos", "gcc-")
	c.run(0, "check", "inventory.hcl", "--task", "kubernetes")
}

// The same with the real zypper, the newest version. zypper trusts whom rpm trusts,
// so rpm is told of the key, and told otherwise when the repository goes, unless it
// trusted it before.
func TestToolkitSLES(t *testing.T) {
	c := newToolkitTest(t, "/etc/zypp/repos.d", slesHost())
	trusted := "gpg-pubkey-" + strings.ToLower(c.key[len(c.key)-8:])
	c.h.SSH(t, "zypper -n -q refresh")
	lacks(t, "the host", c.h.SSH(t, c.traces), trusted)
	c.refused()
	c.wish(keyLine(c.key))
	c.installed("1.18.0")
	contains(t, "rpm", c.h.SSH(t, c.traces), trusted)

	c.wish()
	c.apply(0)
	left := c.h.SSH(t, c.traces)
	lacks(t, "the host", left, "runai-prep", trusted)
	contains(t, "the host", left, "nvidia-container-toolkit-1.18.0-1.x86_64\n")
	contains(t, "zypper", c.h.SSH(t, "zypper -n refresh"), "SLES15-SP6")
	c.run(0, "check", "inventory.hcl", "--task", "kubernetes")

	// A key that the site had rpm trust stays.
	c.h.SSH(t, "rpm -e $(rpm -qa '*nvidia-container*'); curl -fsS -o /root/gpgkey http://10.77.0.1/libnvidia-container/gpgkey && rpm --import /root/gpgkey")
	c.wish(keyLine(c.key))
	c.apply(0)
	contains(t, "the host", c.h.SSH(t, c.traces), "nvidia-container-toolkit-1.18.0-1.x86_64\n", trusted)
	c.wish()
	c.apply(0)
	left = c.h.SSH(t, c.traces)
	lacks(t, "the host", left, "runai-prep")
	contains(t, "rpm", left, trusted)
}
