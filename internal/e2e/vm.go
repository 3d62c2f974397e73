//go:build linux

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// NFSServer makes a VM export /srv/data and /srv/home by NFS, versions 3 and 4.
// Its packages bring nfs-common along, so a test of installing that needs a
// second VM without this option.
func NFSServer() Option {
	return func(o *options) { o.nfsServer = true }
}

// NVSwitches puts that many of them on the PCI bus of a VM with GPUs.
func NVSwitches(n int) Option {
	return func(o *options) { o.nvSwitches = n }
}

// VM boots Debian with its own kernel in an emulated CPU, on the same bridge
// as the hosts, and returns when its sshd answers. Each boot takes the newest kernel
// on its disk and that kernel's initramfs, as they are then. It calls [RequireVM] and is
// removed when t ends.
func (l *Lab) VM(t testing.TB, name string, opts ...Option) *Machine {
	t.Helper()
	RequireVM(t)
	m, err := l.vm(t.Context(), name, opts)
	if m != nil {
		t.Cleanup(func() { m.remove(t) })
	}
	if err != nil {
		t.Fatalf("e2e: VM %s: %v", name, err)
	}
	return m
}

func (l *Lab) vm(ctx context.Context, name string, opts []Option) (*Machine, error) {
	m, o, err := l.newMachine(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	if o.disk != "" || o.setup != nil {
		return m, errors.New("Disk and Setup are for hosts")
	}
	m.timeout, m.rebooted = 15*time.Minute, qemuRebooted // a busy machine emulates slowly
	m.release = func() { _ = run(context.Background(), "ip", "-n", l.name, "link", "del", m.link) }

	img := plainImage
	switch {
	case o.nfsServer:
		img = nfsImage
	case o.gpu == gpuFromNothing:
		img = gpuBareImage
	case o.gpu == gpuWithTools:
		img = gpuToolsImage
	case o.gpu == gpuWith535:
		img = gpu535Image
	}
	image, err := img.path(ctx, l)
	if err != nil {
		return m, err
	}
	o.files["/etc/systemd/network/10-e2e.network"] = file{mode: 0o644,
		data: "[Match]\nName=eth0\n[Network]\nAddress=" + m.IP + "/24\nGateway=" + Controller + "\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"}
	seed, err := seedTar(o.files)
	if err != nil {
		return m, err
	}
	seedPath, disk := filepath.Join(m.dir, "seed.tar"), filepath.Join(m.dir, "disk.ext4")
	if err := os.WriteFile(seedPath, seed, 0o600); err != nil {
		return m, err
	}
	for _, args := range [][]string{
		{"cp", "--sparse=auto", "--reflink=auto", filepath.Join(image, "disk.ext4"), disk},
		{"ip", "-n", l.name, "tuntap", "add", m.link, "mode", "tap"},
		{"ip", "-n", l.name, "link", "set", m.link, "master", "br0", "up"},
	} {
		if err := run(ctx, args...); err != nil {
			return m, err
		}
	}
	memory := "768M"
	if kB, err := strconv.Atoi(o.memory); err == nil {
		memory = strconv.Itoa(kB/1024) + "M"
	}
	id := strings.TrimSpace(o.files["/etc/machine-id"].data)
	m.command = []string{"ip", "netns", "exec", l.name, "qemu-system-x86_64", "-name", name,
		"-machine", "q35,usb=off", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2", "-m", memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-monitor", "none",
		"-no-reboot", "-kernel", filepath.Join(m.dir, "vmlinuz"), "-initrd", filepath.Join(m.dir, "initrd"),
		"-append", "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off tsc=reliable audit=0 systemd.show_status=0" +
			" systemd.hostname=" + name + " systemd.machine_id=" + id + " e2e_gpu.nvswitches=" + strconv.Itoa(o.nvSwitches),
		"-drive", "file=" + disk + ",if=none,id=d0,format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=d0",
		"-drive", "file=" + seedPath + ",if=none,id=d1,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=d1",
		"-netdev", "tap,id=n0,ifname=" + m.link + ",script=no,downscript=no", "-device", "virtio-net-pci,netdev=n0,mac=" + m.mac,
		"-device", "virtio-rng-pci"}
	m.prepare = func(ctx context.Context) error { return l.script(ctx, bootRecipe, disk, m.dir) }
	return m, m.boot(ctx)
}

// seedTar packs files as kernel.sh's e2e-seed.service unpacks them, padded to
// whole sectors: it is read as a disk.
func seedTar(files map[string]file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range sortedKeys(files) {
		f := files[path]
		h := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: int64(f.mode.Perm()), Uid: f.uid, Gid: f.uid, ModTime: time.Now()}
		switch f.mode.Type() {
		case fs.ModeDir:
			h.Typeflag = tar.TypeDir
		case fs.ModeSymlink:
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.data
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.data))
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(f.data)); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	const record = 10240 // what tar reads at once
	b.Write(make([]byte, record-b.Len()%record))
	return b.Bytes(), nil
}

func sortedKeys(files map[string]file) []string {
	return slices.Sorted(maps.Keys(files))
}
