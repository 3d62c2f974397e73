//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How a supervisor exits when its machine asked for a reboot: systemd-nspawn
// (with --keep-unit) with 133. QEMU (with -no-reboot) says the same of power off,
// so a VM that turns itself off unasked is booted again.
const (
	nspawnRebooted = 133
	qemuRebooted   = 0
)

// Machine is one host: see [Lab.Host] and [Lab.VM].
type Machine struct {
	Name string
	IP   string // its address on the bridge; sshd is on port 22
	Root string // its root file system as seen from here; empty for a VM

	lab      *Lab
	dir      string // everything of this machine on disk
	link     string // its interface on the bridge
	mac      string
	console  string // log file of console and supervisor
	command  []string
	prepare  func(ctx context.Context) error // before each boot; may be nil
	timeout  time.Duration                   // of a boot
	rebooted int
	release  func() // undoes what booting it needed: mounts, namespaces, links

	mu   sync.Mutex
	stay bool          // down, whatever the exit status says
	done chan struct{} // closed when it is off
}

// An Option changes a machine before its first boot.
type Option func(*options)

type options struct {
	memory     string // MemTotal in kB
	disk       string
	nfsServer  bool
	gpu        gpuStart
	debian13   bool
	nvSwitches int
	layers     []part // of a host, over the base
	setup      []func(root string) error
	files      map[string]file // what makes the machine itself, by absolute path
}

type file struct {
	data string
	mode fs.FileMode
	uid  int
}

// newMachine gives it a number, an address, keys and what else is its own.
func (l *Lab) newMachine(ctx context.Context, name string, opts []Option) (*Machine, *options, error) {
	l.mu.Lock()
	for _, m := range l.machines {
		if m.Name == name {
			l.mu.Unlock()
			return nil, nil, fmt.Errorf("there is a machine %s already", name)
		}
	}
	n := 11 + len(l.machines)
	m := &Machine{
		Name: name, IP: fmt.Sprintf("10.77.0.%d", n), lab: l,
		dir:  filepath.Join(l.run, "machines", name),
		link: fmt.Sprintf("m%d", n),
		// Fixed: after a change, neighbours would look for the old one for a minute.
		mac: fmt.Sprintf("02:00:0a:4d:00:%02x", n),
	}
	m.console = filepath.Join(m.dir, "console.log")
	l.machines = append(l.machines, m)
	l.mu.Unlock()

	o := &options{files: map[string]file{}}
	for _, opt := range opts {
		opt(o)
	}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return nil, nil, err
	}
	if err := l.writeHosts(); err != nil {
		return nil, nil, err
	}

	key, err := os.ReadFile(l.IdentityFile + ".pub")
	if err != nil {
		return nil, nil, err
	}
	aptKey, err := os.ReadFile(filepath.Join(l.apt.root, "www/key.asc"))
	if err != nil {
		return nil, nil, err
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return nil, nil, err
	}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		path := filepath.Join(m.dir, "ssh_host_"+kind+"_key")
		if err := run(ctx, "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root@"+name, "-f", path); err != nil {
			return nil, nil, err
		}
		for suffix, mode := range map[string]fs.FileMode{"": 0o600, ".pub": 0o644} {
			data, err := os.ReadFile(path + suffix)
			if err != nil {
				return nil, nil, err
			}
			o.files["/etc/ssh/ssh_host_"+kind+"_key"+suffix] = file{data: string(data), mode: mode}
		}
	}
	// The uids are those of base.sh: the first two people useradd makes.
	for home, uid := range map[string]int{"/root": 0, "/home/ops": 1000, "/home/pat": 1001} {
		o.files[home+"/.ssh"] = file{mode: fs.ModeDir | 0o700, uid: uid}
		o.files[home+"/.ssh/authorized_keys"] = file{data: string(key), mode: 0o600, uid: uid}
	}
	for path, data := range map[string]string{
		"/etc/hostname":             name + "\n",
		"/etc/hosts":                "127.0.0.1 localhost\n127.0.1.1 " + name + "\n",
		"/etc/machine-id":           strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "") + "\n",
		"/etc/apt/keyrings/e2e.asc": string(aptKey),
		"/etc/apt/sources.list":     "deb [signed-by=/etc/apt/keyrings/e2e.asc] http://" + Controller + "/ ./\n",
	} {
		if _, set := o.files[path]; !set {
			o.files[path] = file{data: data, mode: 0o644}
		}
	}
	return m, o, nil
}

// boot starts it, keeps it running through reboots, and waits for sshd.
func (m *Machine) boot(ctx context.Context) error {
	m.mu.Lock()
	if m.done != nil {
		select {
		case <-m.done:
		default:
			m.mu.Unlock()
			return fmt.Errorf("%s runs already", m.Name)
		}
	}
	m.stay = false
	m.done = make(chan struct{})
	m.mu.Unlock()
	log, err := os.OpenFile(m.console, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		close(m.done)
		return err
	}
	go m.supervise(log)
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	return m.waitSSH(ctx)
}

func (m *Machine) supervise(log *os.File) {
	defer close(m.done)
	defer func() { _ = log.Close() }()
	for {
		// Not the test's context: stop ends it, and looks at who is left.
		if m.prepare != nil {
			if err := m.prepare(context.Background()); err != nil {
				fmt.Fprintf(log, "\ne2e: %v\n", err)
				return
			}
		}
		cmd := m.lab.process(context.Background(), m.Name, m.command...)
		cmd.Stdout, cmd.Stderr = log, log
		err := cmd.Run()
		fmt.Fprintf(log, "\ne2e: %s: %v\n", m.command[0], err)
		again := cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == m.rebooted
		m.mu.Lock()
		stay := m.stay
		m.mu.Unlock()
		if stay || !again {
			return
		}
	}
}

// waitSSH waits until sshd answers with its banner.
func (m *Machine) waitSSH(ctx context.Context) error {
	for {
		err := m.banner(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-m.done:
			return fmt.Errorf("%s went down while we waited for its sshd\n%s", m.Name, m.consoleTail())
		case <-ctx.Done():
			return fmt.Errorf("no sshd on %s: %w: %w\n%s", m.Name, ctx.Err(), err, m.consoleTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (m *Machine) banner(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := m.lab.Dial(ctx, "tcp", m.IP+":22")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	b := make([]byte, 4)
	if _, err := conn.Read(b); err != nil {
		return err
	}
	if string(b) != "SSH-" {
		return fmt.Errorf("port 22 says %q", b)
	}
	return nil
}

func (m *Machine) consoleTail() string {
	b, _ := os.ReadFile(m.console)
	return string(tail(bytes.ToValidUTF8(b, []byte("?")), 2000))
}

// stop is a power cut.
func (m *Machine) stop() {
	m.mu.Lock()
	m.stay = true
	done := m.done
	m.mu.Unlock()
	if done == nil {
		return
	}
	for range 100 {
		m.lab.kill(m.Name)
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	m.lab.t.Errorf("e2e: %s does not go down", m.Name)
}

// kill ends every process in one of this Lab's control groups: what we
// started, and what that started, and nothing else.
func (l *Lab) kill(group string) {
	for _, h := range []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		_ = filepath.WalkDir(filepath.Join(h, l.name, group), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil // groups come and go
			}
			pids, _ := os.ReadFile(path)
			for _, f := range strings.Fields(string(pids)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			return nil
		})
	}
}

// remove stops it and takes its files away.
func (m *Machine) remove(t testing.TB) {
	m.stop()
	if t.Failed() {
		t.Logf("e2e: the last words of %s:\n%s", m.Name, m.consoleTail())
	}
	if m.release != nil {
		m.release()
	}
	_ = os.RemoveAll(m.dir)
}

// Stop cuts the power: nothing is written, nobody is told.
func (m *Machine) Stop(t testing.TB) {
	t.Helper()
	m.stop()
}

// PowerOff shuts it down in order. It stays off until Start.
func (m *Machine) PowerOff(t testing.TB) {
	t.Helper()
	m.mu.Lock()
	m.stay = true
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), m.timeout)
	defer cancel()
	// The connection may or may not outlive the command.
	_, _ = m.Run(ctx, "root", "systemctl poweroff")
	select {
	case <-m.done:
	case <-ctx.Done():
		t.Fatalf("e2e: %s does not power off\n%s", m.Name, m.consoleTail())
	}
}

// Start boots it again after [Machine.Stop] or [Machine.PowerOff]: its disk is as it was left.
func (m *Machine) Start(t testing.TB) {
	t.Helper()
	if err := m.boot(t.Context()); err != nil {
		t.Fatalf("e2e: %v", err)
	}
}

// Reboot asks for a reboot and returns when sshd answers from the next boot.
func (m *Machine) Reboot(t testing.TB) {
	t.Helper()
	before := m.BootID(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*m.timeout)
	defer cancel()
	_, _ = m.Run(ctx, "root", "systemctl reboot")
	if err := m.waitReboot(ctx, before); err != nil {
		t.Fatalf("e2e: %v", err)
	}
}

// AwaitReboot returns when the machine answers with another boot_id than before.
func (m *Machine) AwaitReboot(t testing.TB, before string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*m.timeout)
	defer cancel()
	if err := m.waitReboot(ctx, before); err != nil {
		t.Fatalf("e2e: %v", err)
	}
}

func (m *Machine) waitReboot(ctx context.Context, before string) error {
	for {
		if err := m.waitSSH(ctx); err != nil {
			return err
		}
		id, err := m.Run(ctx, "root", "cat "+bootID)
		if err == nil && strings.TrimSpace(id) != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not rebooted: %w\n%s", m.Name, ctx.Err(), m.consoleTail())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const bootID = "/proc/sys/kernel/random/boot_id"

// BootID changes with every boot; uptime and machine-id of a host do not.
func (m *Machine) BootID(t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(m.SSH(t, "cat "+bootID))
}

// Partition pulls its network cable; Heal plugs it in again.
func (m *Machine) Partition(t testing.TB) { t.Helper(); m.cable(t, "down") }

// Heal undoes Partition.
func (m *Machine) Heal(t testing.TB) { t.Helper(); m.cable(t, "up") }

func (m *Machine) cable(t testing.TB, state string) {
	t.Helper()
	if err := run(t.Context(), "ip", "-n", m.lab.name, "link", "set", m.link, state); err != nil {
		t.Fatalf("e2e: %v", err)
	}
}

// KnownHost is its line for known_hosts (ed25519), newline included, for the
// name or address that the inventory uses; with none, for its address.
func (m *Machine) KnownHost(names ...string) string {
	if len(names) == 0 {
		names = []string{m.IP}
	}
	key, err := os.ReadFile(filepath.Join(m.dir, "ssh_host_ed25519_key.pub"))
	if err != nil {
		panic("e2e: " + err.Error()) // made before anybody can hold a Machine
	}
	f := strings.Fields(string(key))
	return strings.Join(names, ",") + " " + f[0] + " " + f[1] + "\n"
}

// SSH looks at the machine with OpenSSH, as root, and returns the script's stdout;
// a failing script fails the test.
func (m *Machine) SSH(t testing.TB, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // apt in an emulated CPU
	defer cancel()
	out, err := m.Run(ctx, "root", script)
	if err != nil {
		t.Fatalf("e2e: on %s: %v", m.Name, err)
	}
	return out
}

// Run runs a script as user with OpenSSH, and returns its stdout. The error
// holds the exit status (255 is ssh's own) and stderr.
func (m *Machine) Run(ctx context.Context, user, script string) (string, error) {
	known := filepath.Join(m.dir, "known_hosts")
	if err := os.WriteFile(known, []byte(m.KnownHost()), 0o644); err != nil {
		return "", err
	}
	cmd := m.lab.Command(ctx, "ssh", "-F", "none", "-i", m.lab.IdentityFile, "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile="+known, "-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes",
		"-o", "BatchMode=yes", "-o", fmt.Sprintf("ConnectTimeout=%d", int(m.timeout.Seconds()/4)), "-o", "ServerAliveInterval=5", "-o", "LogLevel=ERROR",
		user+"@"+m.IP, script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s\nscript: %s\nstdout: %s", err, strings.TrimSpace(stderr.String()), script, tail(stdout.Bytes(), 2000))
	}
	return stdout.String(), nil
}
