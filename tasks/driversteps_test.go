package tasks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// stepsOf are all the steps that a situation's plan has.
func stepsOf(s situation) (steps []remote.Step) {
	f, d := &driverFacts{}, wishedFor(">= 535.104, < 536")
	for _, part := range s.parts {
		part(f, d)
	}
	h := inventory.Host{Name: "gpu-01", Role: "gpu", Settings: &inventory.Settings{Driver: d, Sudo: inventory.Sudo{Enabled: true}}}
	for _, found := range planDriver(h, f) {
		steps = append(steps, slices.Concat(found.Steps, found.Back, found.After)...)
	}
	return steps
}

// A shellCase runs the script of a step where programs are stood in for: each
// is a line of shell, and /proc, /sys and /lib/modules are below a folder.
type shellCase struct {
	programs map[string]string
	files    map[string]string
	links    map[string]string
}

func (c shellCase) run(t *testing.T, shell []string, script string) (out string, exit int) {
	t.Helper()
	root := t.TempDir()
	bin := filepath.Join(root, "bin")
	for name, line := range c.programs {
		writeFile(t, filepath.Join(bin, name), "#!/bin/sh\n"+line+"\n", 0o755)
	}
	for path, content := range c.files {
		writeFile(t, filepath.Join(root, path), content, 0o644)
	}
	for path, target := range c.links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, top := range []string{"/proc/", "/sys/", "/lib/modules/", "/var/lib/dkms/"} {
		script = strings.ReplaceAll(script, top, root+top)
	}
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "LC_ALL=C"}
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), root, ""), cmd.ProcessState.ExitCode()
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func inShells(t *testing.T, do func(t *testing.T, shell []string)) {
	t.Helper()
	for _, shell := range testShells {
		if _, err := exec.LookPath(shell[0]); err == nil {
			t.Run(strings.Join(shell, " "), func(t *testing.T) { do(t, shell) })
		}
	}
}

// Every script of every situation is read by every shell.
func TestDriverScriptsAreRead(t *testing.T) {
	scripts := make(map[string]string)
	for _, s := range situations {
		for _, step := range stepsOf(s) {
			if step.Run != nil {
				scripts[step.Run.Script] = step.Title
			}
		}
	}
	all := ""
	for script := range scripts {
		all += "f() {\n" + script + "\n}\n"
	}
	inShells(t, func(t *testing.T, shell []string) {
		cmd := exec.Command(shell[0], append(shell[1:], "-n")...)
		cmd.Stdin = strings.NewReader(all)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// What apt would do is refused where it brings another branch, or a version
// that was not wished: as with Ubuntu's packages of a branch that was given up.
func TestDriverWouldInstall(t *testing.T) {
	apt := func(lines ...string) map[string]string {
		return map[string]string{"apt-get": "cat <<'END'\n" + strings.Join(lines, "\n") + "\nEND"}
	}
	known := (&driverPlan{w: driverWish{Driver: *wishedFor(">= 535.104, < 536")}, to: &driverTarget{version: "535.309.01", branch: 535}}).wouldInstall(remote.Packages{Names: []string{"nvidia-smi=535.309.01-1"}})
	unknown := (&driverPlan{w: driverWish{Driver: *wishedFor(">= 535.288, < 536")}, to: &driverTarget{branch: 535}}).wouldInstall(remote.Packages{Names: []string{"nvidia-smi"}})
	cases := []struct {
		name     string
		step     remote.Step
		programs map[string]string
		want     string // empty: it may
	}{
		{"all of one version", known, apt("Inst nvidia-smi [535.261.03-1] (535.309.01-1 Debian:12 [amd64]) []", "Inst firmware-nvidia-gsp (535.309.01-1 Debian:12 [amd64])", "Conf nvidia-smi (535.309.01-1 Debian:12 [amd64])"), ""},
		{"programs with versions of their own", known, apt("Inst nvidia-modprobe (570.133.07-1 Debian:13 [amd64])", "Inst nvidia-support (20220217+3~deb12u1 Debian:12 [amd64])", "Inst nvidia-container-toolkit (1.17.8-1 NVIDIA [amd64])"), ""},
		{"a transition", known, apt("Inst nvidia-headless-535-server (535.309.01-0ubuntu2 Ubuntu:22.04 [amd64])", "Inst libnvidia-compute-580-server (580.95.05-0ubuntu1 Ubuntu:22.04 [amd64])"), "apt would install libnvidia-compute-580-server 580.95.05-0ubuntu1;"},
		{"an epoch", known, apt("Inst libcuda1 (1:580.95.05-1 NVIDIA [amd64])"), "libcuda1 580.95.05-1"},
		{"in the range", unknown, apt("Inst nvidia-smi (535.309.01-1 Debian:12 [amd64])"), ""},
		{"before the range", unknown, apt("Inst nvidia-smi (535.261.03-1 Debian:12 [amd64])"), "nvidia-smi 535.261.03-1"},
		{"apt fails", known, map[string]string{"apt-get": "echo 'E: Unable to correct problems, you have held broken packages.'; exit 100"}, "held broken packages"},
	}
	inShells(t, func(t *testing.T, shell []string) {
		for _, c := range cases {
			out, exit := shellCase{programs: c.programs}.run(t, shell, c.step.Run.Script)
			if (exit == 0) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("%s: exit status %d: %s", c.name, exit, out)
			}
		}
	})
}

// apt and DKMS end with status 0 without a module: that is a failure here, with
// the compiler's words.
func TestDriverModuleStep(t *testing.T) {
	script := moduleStep("6.1.0-56-cloud-amd64", "535.309.01", true).Run.Script
	modinfo := func(v string) string {
		return `case "$*" in *nvidia-current) echo ` + v + ` ;; *) echo "modinfo: ERROR: Module not found" >&2; exit 1 ;; esac`
	}
	cases := []struct {
		name, modinfo string
		files         map[string]string
		want          string
		fails         bool
	}{
		{"built", modinfo("535.309.01"), nil, "has the module 535.309.01", false},
		{"none, and no headers", "exit 1", nil, "its headers are not installed", true},
		{"the old one", modinfo("535.261.03"), map[string]string{"lib/modules/6.1.0-56-cloud-amd64/build/Makefile": ""}, "there is 535.261.03", true},
		{"it does not compile", "exit 1", map[string]string{
			"lib/modules/6.1.0-56-cloud-amd64/build/Makefile":       "",
			"var/lib/dkms/nvidia-current/535.309.01/build/make.log": "DKMS make.log\nnvidia.c:1: error: implicit declaration of function 'pte_offset_map'\n",
		}, "implicit declaration of function", true},
	}
	inShells(t, func(t *testing.T, shell []string) {
		for _, c := range cases {
			out, exit := shellCase{programs: map[string]string{"dkms": "exit 0", "depmod": "exit 0", "modinfo": c.modinfo}, files: c.files}.run(t, shell, script)
			if (exit != 0) != c.fails || !strings.Contains(out, c.want) {
				t.Errorf("%s: exit status %d: %s", c.name, exit, out)
			}
		}
	})
}

// The module that is loaded must be the one, whichever modprobe found.
func TestDriverLoadStep(t *testing.T) {
	version := func(v string) map[string]string {
		return map[string]string{"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + v + "  Thu\nGCC version:  gcc 12\n"}
	}
	cases := []struct {
		name, want, modprobe string
		files                map[string]string
		fails                bool
	}{
		{"loaded", "", "exit 0", version("535.309.01"), false},
		{"another", "another one", "exit 0", version("535.261.03"), true},
		{"refused", "NVRM: RmInitAdapter failed", "echo 'modprobe: ERROR: could not insert nvidia: No such device' >&2; exit 1", nil, true},
	}
	inShells(t, func(t *testing.T, shell []string) {
		for _, c := range cases {
			programs := map[string]string{"modprobe": c.modprobe, "dmesg": "echo 'NVRM: RmInitAdapter failed! (0x62:0x40:1784)'"}
			out, exit := shellCase{programs: programs, files: c.files}.run(t, shell, loadStep("535.309.01").Run.Script)
			if (exit != 0) != c.fails || !strings.Contains(out, c.want) {
				t.Errorf("%s: exit status %d: %s", c.name, exit, out)
			}
		}
	})
}

// When an installation failed, the former driver comes back where it is still
// there; where it is not, it is not missed.
func TestDriverAsItWas(t *testing.T) {
	p := &driverPlan{route: reload, f: &driverFacts{
		Loaded: loadedDriver{Version: "535.261.03"},
		Units:  []driverUnit{{Name: "nvidia-persistenced", Active: true}, {Name: "nvidia-dcgm", Active: true}, {Name: "nvidia-gridd"}},
	}}
	script := p.asItWas()[0].Run.Script
	inShells(t, func(t *testing.T, shell []string) {
		for _, c := range []struct {
			name, modinfo, modprobe, want string
			fails                         bool
		}{
			{"nothing was replaced", "echo 535.261.03", "exit 0", "systemctl start -- nvidia-persistenced.service nvidia-dcgm.service\n", false},
			{"it was replaced", "echo 535.309.01", "echo loaded", "535.261.03 has been replaced: its module is not on the host any more\n", false},
			{"it does not load", "echo 535.261.03", "echo 'No such device' >&2; exit 1", "No such device\n", true},
		} {
			programs := map[string]string{"modinfo": c.modinfo, "modprobe": c.modprobe, "systemctl": "echo systemctl $*"}
			out, exit := shellCase{programs: programs}.run(t, shell, script)
			if (exit != 0) != c.fails || out != c.want {
				t.Errorf("%s: exit status %d: %s", c.name, exit, out)
			}
		}
	})
}

// Processes on the GPUs are named, the driver's own services are not; when a
// module is held after all, the services go on.
func TestDriverHolders(t *testing.T) {
	links := func(of map[int]string) map[string]string {
		all := make(map[string]string)
		for _, pid := range []int{812, 4711, 5000} {
			all[fmt.Sprintf("proc/%d/fd/1", pid)] = "/dev/null"
			if target, ok := of[pid]; ok {
				all[fmt.Sprintf("proc/%d/fd/3", pid)] = target
			}
		}
		return all
	}
	files := map[string]string{
		"proc/812/cgroup": "0::/system.slice/nvidia-persistenced.service\n", "proc/812/comm": "nvidia-persiste\n",
		"proc/4711/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n", "proc/4711/comm": "python3\n", "proc/4711/status": "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\n",
		"proc/5000/cgroup": "0::/kubepods.slice/kubepods-pod5b7e.slice/cri-containerd-1.scope\n", "proc/5000/comm": "trainer\n",
	}
	plan := func(busy string) *driverPlan {
		d := wishedFor(">= 535")
		d.Busy = busy
		return &driverPlan{w: driverWish{Driver: *d}, f: &driverFacts{Loaded: loadedDriver{Version: "535.261.03"}}}
	}
	inShells(t, func(t *testing.T, shell []string) {
		for _, c := range []struct {
			name, busy string
			open       map[int]string
			want       string
		}{
			{"only the driver's own", "refuse", map[int]string{812: "/dev/nvidia0"}, ""},
			{"a process", "refuse", map[int]string{812: "/dev/nvidiactl", 4711: "/dev/nvidia-uvm"}, "the GPUs are in use by 4711 python3 (uid 1000)"},
			{"a pod", "refuse", map[int]string{5000: "/dev/nvidia0"}, "5000 trainer"},
			{"a pod, which a drain has left", "drain", map[int]string{5000: "/dev/nvidia0"}, ""},
			{"another file", "refuse", map[int]string{4711: "/dev/null"}, ""},
		} {
			out, exit := shellCase{files: files, links: links(c.open)}.run(t, shell, plan(c.busy).guard().Run.Script)
			if (exit == 0) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("%s: exit status %d: %s", c.name, exit, out)
			}
		}

		modules := map[string]string{"sys/module/nvidia/refcnt": "1\n", "sys/module/nvidia_uvm/refcnt": "0\n"}
		for path, content := range files {
			modules[path] = content
		}
		held := shellCase{files: modules, links: links(map[int]string{4711: "/dev/nvidia0"}), programs: map[string]string{
			"modprobe": "echo modprobe $*", "systemctl": "echo systemctl $*",
			"rmmod": `echo "rmmod $1"; if [ "$1" = nvidia ]; then echo "rmmod: ERROR: Module nvidia is in use" >&2; exit 1; fi`,
		}}
		out, exit := held.run(t, shell, plan("refuse").unload([]string{"nvidia-dcgm"}).Run.Script)
		for _, want := range []string{"Module nvidia is in use", "4711 python3", "modprobe nvidia", "systemctl start -- nvidia-dcgm.service"} {
			if exit == 0 || !strings.Contains(out, want) {
				t.Errorf("a module that is held: exit status %d, without %q: %s", exit, want, out)
			}
		}
	})
}

// A wish names branches in all the ways that a constraint may.
func TestDriverWish(t *testing.T) {
	for _, c := range []struct {
		constraint, text string
		branch           int
		in, out          string
	}{
		{">= 535.104, < 536, >= 384.81", ">= 535.104, < 536", 535, "535.104.05", "536.25"},
		{">= 384.81", ">= 384.81", 0, "550.54.15", "384.66"},
		{"~> 550.54, >= 384.81", ">= 384.81, ~> 550.54", 550, "550.163.01", "560.35.03"},
		{"535.261.03, >= 384.81", "535.261.03", 535, "535.261.03", "535.309.01"},
		{">= 550, != 555.42.02, < 561", ">= 550, != 555.42.02, < 561", 0, "560.35.03", "555.42.02"},
		{"", "any version", 0, "390.157", ""},
	} {
		d := wishedFor("")
		d.Constraint = c.constraint
		w, _ := wishedDriver(inventory.Host{Settings: &inventory.Settings{Driver: d}})
		if w.text() != c.text || w.branch() != c.branch {
			t.Errorf("%s: %q, branch %d", c.constraint, w.text(), w.branch())
		}
		if !w.within(c.in) || c.out != "" && w.within(c.out) {
			t.Errorf("%s: %s is %v, %s is %v", c.constraint, c.in, w.within(c.in), c.out, w.within(c.out))
		}
	}
	for packaged, want := range map[string]string{
		"535.261.03-1": "535.261.03", "3:580.95.05-1.el9": "580.95.05", "580.126.09_k6.4.0_150600.21-1": "580.126.09",
		"535.309.01-0+deb12u1": "535.309.01", "550.163.01-4~bpo13+1": "550.163.01", "": "", "r535": "",
	} {
		if got := driverVersion(packaged); got != want {
			t.Errorf("%q is %q, want %q", packaged, got, want)
		}
	}
}
