//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Host boots Debian under systemd-nspawn and returns when its sshd answers. It
// is removed when t ends.
func (l *Lab) Host(t testing.TB, name string, opts ...Option) *Machine {
	t.Helper()
	m, err := l.host(t.Context(), name, opts)
	if m != nil {
		t.Cleanup(func() { m.remove(t) })
	}
	if err != nil {
		t.Fatalf("e2e: host %s: %v", name, err)
	}
	return m
}

// Hosts boots several at once, all with the same options. More than twenty
// want fs.inotify.max_user_instances raised on this machine.
func (l *Lab) Hosts(t testing.TB, names []string, opts ...Option) []*Machine {
	t.Helper()
	machines, errs := make([]*Machine, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { machines[i], errs[i] = l.host(t.Context(), name, opts) })
	}
	wg.Wait()
	for _, m := range machines {
		if m != nil {
			t.Cleanup(func() { m.remove(t) })
		}
	}
	for i, err := range errs {
		if err != nil {
			t.Fatalf("e2e: host %s: %v", names[i], err)
		}
	}
	return machines
}

// Runtimes gives a host the units containerd.service, docker.service and
// kubelet.service, enabled and running, so that systemd itself can say whether
// a drop-in is in effect. They are stand-ins: what they run is sleep. There is no
// crio.service, as on most hosts some runtime is absent.
func Runtimes() Option {
	return func(o *options) {
		for _, name := range []string{"containerd", "docker", "kubelet"} {
			o.files["/usr/lib/systemd/system/"+name+".service"] = file{mode: 0o644, data: `# A stand-in that sleeps: only what systemd makes of the unit is of interest.
[Unit]
Description=` + name + ` (stand-in)
[Service]
ExecStart=/bin/sleep infinity
Restart=always
[Install]
WantedBy=multi-user.target
`}
			o.files["/etc/systemd/system/multi-user.target.wants/"+name+".service"] = file{
				mode: fs.ModeSymlink, data: "/usr/lib/systemd/system/" + name + ".service"}
		}
	}
}

// Memory changes what /proc/meminfo of a host shows as MemTotal, in kB, from
// boot on. A VM really has that much.
func Memory(kB int) Option {
	return func(o *options) {
		o.memory = fmt.Sprint(kB)
		o.files["/etc/systemd/system/e2e-meminfo.service"] = file{mode: 0o644, data: fmt.Sprintf(`[Unit]
Description=Show %[1]d kB of memory
DefaultDependencies=no
ConditionVirtualization=container
After=local-fs.target
Before=ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "sed 's/^MemTotal:.*/MemTotal:       %[1]d kB/; s/^MemAvailable:.*/MemAvailable:   %[2]d kB/; s/^MemFree:.*/MemFree:        %[2]d kB/' /proc/meminfo > /run/meminfo && mount --bind /run/meminfo /proc/meminfo"
[Install]
WantedBy=multi-user.target
`, kB, kB/2)}
		o.files["/etc/systemd/system/multi-user.target.wants/e2e-meminfo.service"] = file{
			mode: fs.ModeSymlink, data: "/etc/systemd/system/e2e-meminfo.service"}
	}
}

// Disk gives a host a root file system of this size (as tmpfs takes it: "3g"),
// really: it is held in memory, and full when it is full. Hosts only.
func Disk(size string) Option {
	return func(o *options) { o.disk = size }
}

// Debian13 makes a host of trixie instead of bookworm. Without a kernel or tools.
func Debian13() Option { return func(o *options) { o.debian13 = true } }

// Setup changes a host's root file system before its first boot. Hosts only.
func Setup(f func(root string) error) Option {
	return func(o *options) { o.setup = append(o.setup, f) }
}

// File puts a file in place before a machine's first boot.
func File(path, data string, mode fs.FileMode) Option {
	return func(o *options) { o.files[path] = file{data: data, mode: mode} }
}

func (l *Lab) host(ctx context.Context, name string, opts []Option) (*Machine, error) {
	m, o, err := l.newMachine(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	parts := append(o.layers, base)
	switch {
	case o.debian13:
		parts = append(o.layers, base13)
	case o.gpu == gpuFromNothing:
		parts = append(o.layers, kernel, base)
	case o.gpu == gpuWithTools:
		parts = append(o.layers, tools, kernel, base)
	}
	lower, err := lowerdirs(ctx, l, parts...)
	if err != nil {
		return nil, err
	}
	if o.nfsServer {
		return m, errors.New("NFSServer is for VMs: a host has no kernel of its own")
	}
	m.timeout, m.rebooted = time.Minute, nspawnRebooted
	ns := l.name + "-" + name
	disk := filepath.Join(m.dir, "disk")
	m.Root = filepath.Join(m.dir, "root")
	m.release = func() {
		// What a systemd-nspawn that was killed leaves of its own.
		var st syscall.Stat_t
		if syscall.Stat(m.Root, &st) == nil {
			_ = os.Remove(fmt.Sprintf("/run/systemd/nspawn/locks/inode-%d:%d", st.Dev, st.Ino))
		}
		_ = os.Remove("/run/systemd/nspawn/propagate/" + ns)
		for _, mnt := range []string{m.Root, disk} {
			if syscall.Unmount(mnt, 0) == syscall.EBUSY {
				_ = syscall.Unmount(mnt, syscall.MNT_DETACH)
			}
		}
		_ = run(context.Background(), "ip", "netns", "del", ns) // and with it both ends of the link
	}
	if err := m.mountRoot(disk, lower, o); err != nil {
		return m, err
	}
	for _, args := range [][]string{
		{"ip", "netns", "add", ns},
		{"ip", "-n", ns, "link", "set", "lo", "up"},
		{"ip", "-n", l.name, "link", "add", m.link, "type", "veth", "peer", "name", "eth0", "address", m.mac, "netns", ns},
		{"ip", "-n", l.name, "link", "set", m.link, "master", "br0", "up"},
		{"ip", "-n", ns, "addr", "add", m.IP + "/24", "dev", "eth0"},
		{"ip", "-n", ns, "link", "set", "eth0", "up"},
		{"ip", "-n", ns, "route", "add", "default", "via", Controller},
	} {
		if err := run(ctx, args...); err != nil {
			return m, err
		}
	}
	m.command = []string{"systemd-nspawn", "--quiet", "--boot", "--directory=" + m.Root,
		"--machine=" + ns, "--hostname=" + name, "--network-namespace-path=/run/netns/" + ns,
		// In the control group it is started in, and known to nobody but us.
		"--register=no", "--keep-unit",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "--kill-signal=SIGRTMIN+4"}
	return m, m.boot(ctx)
}

// mountRoot lays the machine's own files over the shared base.
func (m *Machine) mountRoot(disk, lower string, o *options) error {
	if err := os.Mkdir(disk, 0o755); err != nil {
		return err
	}
	if o.disk != "" {
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=755,size="+o.disk); err != nil {
			return fmt.Errorf("mount a disk of %s: %w", o.disk, err)
		}
	}
	upper, work := filepath.Join(disk, "upper"), filepath.Join(disk, "work")
	for _, dir := range []string{upper, work, m.Root} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		// upper becomes the host's /, which sshd wants like this under any umask.
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("overlay", m.Root, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	if err := writeFiles(m.Root, o.files); err != nil {
		return err
	}
	for _, f := range o.setup {
		if err := f(m.Root); err != nil {
			return err
		}
	}
	return nil
}

func writeFiles(root string, files map[string]file) error {
	// Directories with a mode of their own come before what is in them: a path
	// sorts before its extensions.
	for _, path := range sortedKeys(files) {
		f, at := files[path], filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		var err error
		switch f.mode.Type() {
		case fs.ModeDir:
			err = os.MkdirAll(at, f.mode.Perm())
		case fs.ModeSymlink:
			err = os.Symlink(f.data, at)
		default:
			err = os.WriteFile(at, []byte(f.data), f.mode)
		}
		if err != nil {
			return err
		}
		if f.mode.Type() != fs.ModeSymlink {
			if err := os.Chmod(at, f.mode.Perm()); err != nil {
				return err
			}
		}
		if err := os.Lchown(at, f.uid, f.uid); err != nil {
			return err
		}
	}
	return nil
}
