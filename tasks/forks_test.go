//go:build linux

package tasks

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// A look may start twenty processes on a host, for all tasks together. These are
// their shares; a process is counted whether it is a program or a shell's own
// subshell.
func TestProcesses(t *testing.T) {
	shell, err := exec.LookPath("dash")
	if err != nil {
		t.Skip("dash is not here")
	}
	most := map[string]int{
		"resources": 4, // uname before Linux 6.1; for a path of the inventory's grep, timeout, what it runs
		"proxy":     3, // grep, with a password stat, with runtimes systemctl, which is for all tasks
		"squid":     2, // where it is installed: stat, grep
		"registry":  1, // containerd or docker, which says what it makes of its files
		"egress":    0, // the connection is asked, not the host
		"driver":    1, // the package database; with GPUs see TestDriverProcesses
		"nfs":       3, // grep, timeout, what it runs
		// grep, date; where programs are installed timeout and its shell, and
		// one for each; where the name is in no file timeout and getent
		"kubernetes": 6,
	}
	for _, task := range All {
		n := processes(t, shell, everything(), task)
		// Each runtime that runs costs one more: its environment is compared.
		if task.Name == "proxy" {
			n -= runtimesHere()
		}
		if n > most[task.Name] {
			t.Errorf("%s starts %d processes, and its share is %d", task.Name, n, most[task.Name])
		}
		t.Logf("%s: %d", task.Name, n)
	}
	if n := processes(t, shell, everything(), All...); n > 20 {
		t.Errorf("the look starts %d processes, and may start 20", n)
	} else {
		t.Logf("all: %d", n)
	}
	bare := inventory.Host{Settings: &inventory.Settings{}}
	if n := processes(t, shell, bare, NFS, Proxy, Registry, Squid, Driver, Kubernetes); n > 0 {
		t.Errorf("where nothing is wished and nothing remembered %d processes are started", n)
	}
}

func runtimesHere() int {
	here := 0
	for _, name := range runtimes {
		if _, err := os.Stat("/usr/lib/systemd/system/" + name + ".service"); err == nil {
			here++
		}
	}
	return here
}

// processes counts what the shell and its children fork, by tracing them.
func processes(t *testing.T, shell string, h inventory.Host, looking ...Task) int {
	t.Helper()
	return processesIn(t, "", shell, h, looking...)
}

// processesIn counts them in a tree of files as if it were a host; root is
// empty for the machine itself.
func processesIn(t *testing.T, root, shell string, h inventory.Host, looking ...Task) int {
	t.Helper()
	script := filepath.Join(t.TempDir(), "look")
	if root != "" {
		script = filepath.Join(root, "look")
	}
	text := Prelude
	for _, task := range looking { // as a look runs them
		text += "eval " + quote(task.Probe(h)) + " </dev/null\n"
	}
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()

	// Every ptrace request must come from the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess(shell, []string{shell, strings.TrimPrefix(script, root)}, &os.ProcAttr{
		Env:   []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []*os.File{null, null, null},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Chroot: root},
	})
	if err != nil {
		t.Skipf("cannot trace a child here: %v", err)
	}
	defer func() { _ = p.Release() }()
	var status syscall.WaitStatus
	wait := func(pid int) (int, error) {
		for {
			got, err := syscall.Wait4(pid, &status, syscall.WALL, nil)
			if err != syscall.EINTR {
				return got, err
			}
		}
	}
	if _, err := wait(p.Pid); err != nil {
		t.Fatal(err)
	}
	const follow = syscall.PTRACE_O_TRACEFORK | syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACECLONE
	if err := syscall.PtraceSetOptions(p.Pid, follow); err != nil {
		_ = p.Kill()
		_, _ = wait(p.Pid)
		t.Skipf("cannot trace a child here: %v", err)
	}
	count, stopped := 0, map[int]bool{p.Pid: true}
	for pid := p.Pid; ; {
		if !status.Exited() && !status.Signaled() {
			signal := 0
			switch s := status.StopSignal(); {
			case s == syscall.SIGTRAP:
				// Threads, as programs in Go have them, are no processes.
				if cause := status.TrapCause(); cause == syscall.PTRACE_EVENT_FORK || cause == syscall.PTRACE_EVENT_VFORK {
					count++
				}
			case s == syscall.SIGSTOP && !stopped[pid]:
				stopped[pid] = true // how a traced child begins
			default:
				signal = int(s)
			}
			_ = syscall.PtraceCont(pid, signal)
		} else if pid == p.Pid {
			if status.ExitStatus() != 0 {
				t.Errorf("the look ended with %d", status.ExitStatus())
			}
			return count
		}
		if pid, err = wait(-1); err != nil {
			t.Fatal(err)
		}
	}
}
