package lab

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

//go:embed all:images
var images embed.FS

// elf begins the files that stand for programs; the program's name follows.
const elf = "\x7fELF practice host program: "

// An image is the disk and the kernel's own filesystems of a fresh host. All
// hosts of a distribution share it; see node.
type image struct {
	mounts []mount
	ino    uint64
	time   time.Time
}

func (im *image) node(mode fs.FileMode) *node {
	im.ino++
	n := &node{mode: mode, ino: im.ino, mtime: im.time}
	if mode.IsDir() {
		n.kids = map[string]*node{}
	}
	return n
}

// dir finds or makes a directory in the tree below n.
func (im *image) dir(n *node, name string) *node {
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part == "" || part == "." {
			continue
		}
		if n.kids[part] == nil {
			n.kids[part] = im.node(fs.ModeDir | 0o755)
			n.kids[part].show = n.show // a directory of /proc stays one
		}
		n = n.kids[part]
	}
	return n
}

func (im *image) file(top *node, name, data string, perm fs.FileMode) *node {
	n := im.node(perm)
	n.data = []byte(data)
	im.dir(top, path.Dir(name)).kids[path.Base(name)] = n
	return n
}

func (im *image) link(top *node, name, target string) {
	n := im.node(fs.ModeSymlink | 0o777)
	n.target = target
	im.dir(top, path.Dir(name)).kids[path.Base(name)] = n
}

func loadImage(d *distro) (*image, error) {
	im := &image{time: time.Date(2025, time.June, 20, 8, 0, 0, 0, time.UTC)}
	disk := im.node(fs.ModeDir | 0o755)
	for name := range strings.FieldsSeq("/boot /dev /etc /home /media /mnt /opt /proc /run /srv /sys /usr/bin /usr/sbin /usr/lib /usr/local/bin /usr/local/sbin " +
		"/usr/share /usr/local/share/ca-certificates /var/cache /var/lib/systemd /var/log /etc/systemd/system /etc/profile.d " +
		"/etc/ssl/certs /usr/share/ca-certificates /usr/lib/systemd/system /etc/modprobe.d /etc/modules-load.d /etc/sudoers.d") {
		im.dir(disk, name)
	}
	im.dir(disk, "/root").mode = fs.ModeDir | 0o700
	im.dir(disk, "/tmp").mode = fs.ModeDir | fs.ModeSticky | 0o777
	im.dir(disk, "/var/tmp").mode = fs.ModeDir | fs.ModeSticky | 0o777
	for _, l := range []string{"bin", "sbin", "lib"} {
		im.link(disk, "/"+l, "usr/"+l)
	}
	im.link(disk, "/lib64", "usr/lib64")
	im.link(disk, "/var/run", "/run")
	im.link(disk, "/etc/mtab", "../proc/self/mounts")
	im.link(disk, "/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
	for _, programs := range []map[string]string{basePrograms, d.programs} {
		for dir, names := range programs {
			for name := range strings.FieldsSeq(names) {
				im.file(disk, dir+"/"+name, elf+name, 0o755)
			}
		}
	}
	im.link(disk, "/usr/bin/sh", d.sh)
	im.dir(disk, "/usr/bin").kids["sudo"].mode |= fs.ModeSetuid
	folders := []string{"common", d.name}
	if d.manager == "apt" {
		folders = append(folders, "apt")
	}
	for _, folder := range folders {
		top := "images/" + folder
		err := fs.WalkDir(images, top, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := images.ReadFile(name)
			im.file(disk, strings.TrimPrefix(name, top), string(data), 0o644)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("load image %s: %w", d.name, err)
		}
	}
	im.dir(disk, "/etc").kids["sudoers"].mode = 0o440
	for name, text := range siteFiles {
		im.file(disk, name, text, 0o644)
	}
	// The clock is kept by what every distribution has here.
	im.file(disk, "/usr/lib/systemd/system/systemd-timesyncd.service", service("Network Time Synchronization", "/usr/lib/systemd/systemd-timesyncd"), 0o644)
	im.link(disk, "/etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service", "/usr/lib/systemd/system/systemd-timesyncd.service")
	im.file(disk, "/run/systemd/timesync/synchronized", "", 0o644)
	text := func(name string) string { return string(im.dir(disk, path.Dir(name)).kids[path.Base(name)].data) }
	im.file(disk, "/etc/shadow", "root:*:20000:0:99999:7:::\n", 0o640).gid = 42
	im.file(disk, "/boot/vmlinuz-"+d.kernel, "kernel\n", 0o600)
	im.link(disk, "/vmlinuz", "boot/vmlinuz-"+d.kernel)
	im.file(disk, "/usr/lib/modules/"+d.kernel+"/modules.dep", modulesDep, 0o644)
	for module := range strings.FieldsSeq(modulesOnDisk) {
		im.file(disk, "/usr/lib/modules/"+d.kernel+"/kernel/"+module+".ko", moduleMark, 0o644)
	}
	im.file(disk, initramfsOf(d, d.kernel), "initramfs of "+d.kernel+"\n", 0o600)
	im.dir(disk, "/usr/lib64")
	grub := "/boot/grub"
	if d.manager == "apt" {
		im.aptFiles(disk, d, text("/etc/apt/sources.list"))
	} else {
		grub = "/boot/grub2"
		im.rpmFiles(disk, d)
	}
	im.file(disk, grub+"/grub.cfg", "set default=0\n", 0o600)
	im.file(disk, "/etc/default/grub", "GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX=\"\"\n", 0o644)
	im.file(disk, "/usr/lib/systemd/system/ssh.service", service("OpenBSD Secure Shell server", "/usr/sbin/sshd -D"), 0o644)
	im.dir(disk, "/etc/systemd/system/multi-user.target.wants")
	im.link(disk, "/etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
	im.file(disk, "/etc/ssl/certs/ca-certificates.crt", "# 140 certificates of public authorities\n", 0o644)
	d.passwd, d.group = text("/etc/passwd"), text("/etc/group")

	im.add("26 1 8:1 / ext4 /dev/sda1 rw,relatime rw,errors=remount-ro", disk)
	im.add("21 26 0:20 /proc proc proc rw,nosuid,nodev,noexec,relatime rw", im.proc())
	im.add("22 26 0:21 /sys sysfs sysfs rw,nosuid,nodev,noexec,relatime rw", im.sys())
	im.add("23 26 0:5 /dev devtmpfs udev rw,nosuid,relatime rw,size=8123456k,nr_inodes=2030864,mode=755", im.devices())
	im.add("24 26 0:23 /run tmpfs tmpfs rw,nosuid,nodev,noexec,relatime rw,size=1629324k,mode=755", im.runtime())
	im.add("25 23 0:24 /dev/shm tmpfs tmpfs rw,nosuid,nodev rw", im.sticky())
	im.add("27 24 0:25 /run/lock tmpfs tmpfs rw,nosuid,nodev,noexec,relatime rw,size=5120k", im.sticky())
	return im, nil
}

// aptFiles are the package database of Debian and its kin, and the lists of the
// repositories that are set up, which have been fetched.
func (im *image) aptFiles(disk *node, d *distro, sources string) {
	for name := range strings.FieldsSeq("/var/cache/apt/archives /var/lib/dpkg/info /var/lib/apt/lists /etc/apt/apt.conf.d /etc/apt/sources.list.d /etc/apt/preferences.d") {
		im.dir(disk, name)
	}
	for _, s := range aptSourcesIn(sources) {
		found, _ := s.of(d.repositories)
		for _, r := range found {
			im.file(disk, r.list(), "Packages of "+r.uri+"\n", 0o644)
		}
	}
	im.file(disk, "/var/lib/dpkg/status", "", 0o644).show = (*Machine).dpkgStatus
	for name := range d.installed {
		im.file(disk, "/var/lib/dpkg/info/"+name+".list", "/.\n", 0o644)
	}
}

// rpmFiles are the same for EL and SUSE.
func (im *image) rpmFiles(disk *node, d *distro) {
	for name := range strings.FieldsSeq("/var/lib/rpm /var/cache/dnf /var/cache/zypp/solv /etc/dnf/modules.d /etc/dnf/plugins /etc/pki/rpm-gpg " +
		"/etc/pki/ca-trust/source/anchors /etc/pki/trust/anchors /var/lib/ca-certificates") {
		im.dir(disk, name)
	}
	for id := range strings.FieldsSeq("baseos appstream epel") {
		im.file(disk, "/var/cache/dnf/"+id+".solv", "metadata\n", 0o644)
	}
	for id := range strings.FieldsSeq("SLE-Module-Basesystem15-SP6-Pool nvidia") {
		im.file(disk, "/var/cache/zypp/solv/"+id+"/solv", "metadata\n", 0o644)
	}
	im.file(disk, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "# 140 certificates of public authorities\n", 0o644)
	im.file(disk, "/var/lib/ca-certificates/ca-bundle.pem", "# 140 certificates of public authorities\n", 0o644)
}

func (im *image) sticky() *node { return im.node(fs.ModeDir | fs.ModeSticky | 0o777) }

// add adds a mount: "id parent dev point type source options super".
func (im *image) add(line string, root *node) {
	m := mount{root: root}
	if _, err := fmt.Sscan(line, &m.id, &m.parent, &m.dev, &m.point, &m.kind, &m.source, &m.options, &m.super); err != nil {
		panic("lab: " + line) // a mistake in this file
	}
	im.mounts = append(im.mounts, m)
}

func (im *image) runtime() *node {
	top := im.node(fs.ModeDir | 0o755)
	im.dir(top, "/systemd/system")
	im.dir(top, "/lock")
	im.dir(top, "/sshd")
	im.file(top, "/utmp", "", 0o664)
	return top
}

func (im *image) devices() *node {
	top := im.node(fs.ModeDir | 0o755)
	for name := range strings.FieldsSeq("null zero urandom random full tty") {
		n := im.file(top, name, "", fs.ModeDevice|fs.ModeCharDevice|0o666)
		n.target = strings.TrimPrefix(name, "u")
	}
	im.dir(top, "shm")
	top.lookUp((*Machine).gpuDevices)
	im.link(top, "fd", "/proc/self/fd")
	im.link(top, "stdin", "/proc/self/fd/0")
	im.link(top, "stdout", "/proc/self/fd/1")
	im.link(top, "stderr", "/proc/self/fd/2")
	im.file(top, "sda1", "", fs.ModeDevice|0o660)
	im.file(top, "disk/by-uuid/5b0c4a3e-8f7d-4c55-9a34-2f0a6f1d7e21", "", fs.ModeDevice|0o660)
	return top
}

const modulesOnDisk = "fs/ext4/ext4 fs/nfs/nfs fs/nfs/nfsv3 fs/nfs/nfsv4 fs/lockd/lockd net/sunrpc/sunrpc fs/overlayfs/overlay net/bridge/br_netfilter drivers/gpu/drm/nouveau/nouveau"

const modulesDep = `kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko kernel/net/sunrpc/sunrpc.ko
kernel/fs/nfs/nfsv4.ko: kernel/fs/nfs/nfs.ko kernel/net/sunrpc/sunrpc.ko
kernel/fs/nfs/nfsv3.ko: kernel/fs/nfs/nfs.ko kernel/net/sunrpc/sunrpc.ko
kernel/fs/lockd/lockd.ko: kernel/net/sunrpc/sunrpc.ko
kernel/net/sunrpc/sunrpc.ko:
kernel/fs/overlayfs/overlay.ko:
kernel/fs/ext4/ext4.ko:
`
