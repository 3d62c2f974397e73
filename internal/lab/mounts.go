package lab

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An fstabLine is a line of fstab(5).
type fstabLine struct{ source, point, kind, options string }

func (l fstabLine) has(option string) bool {
	return slices.Contains(strings.Split(l.options, ","), option)
}

func (l fstabLine) network() bool { return l.kind == "nfs" || l.kind == "nfs4" }

func unescapeOctal(s string) string {
	for _, pair := range []string{`\040 `, "\\011\t", "\\012\n", `\134\`, `\043#`} {
		s = strings.ReplaceAll(s, pair[:4], pair[4:])
	}
	return s
}

func escapeOctal(s string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s)
}

// readFstab parses text; a bad line is told by its number.
func readFstab(text string) (lines []fstabLine, bad []int) {
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) < 3 || len(fields) > 6 {
			bad = append(bad, i+1)
			continue
		}
		l := fstabLine{source: unescapeOctal(fields[0]), point: unescapeOctal(fields[1]), kind: fields[2], options: "defaults"}
		if len(fields) > 3 {
			l.options = unescapeOctal(fields[3])
		}
		lines = append(lines, l)
	}
	return lines, bad
}

func (m *Machine) fstab() []fstabLine {
	text, _ := m.ReadFile("/etc/fstab")
	lines, _ := readFstab(text)
	return lines
}

func baseMounts(im *image) []*mount {
	var list []*mount
	for _, m := range im.mounts {
		list = append(list, &m)
	}
	return list
}

func (m *Machine) mountinfo() string {
	var b strings.Builder
	for _, mt := range m.fs.mounted() {
		fmt.Fprintf(&b, "%d %d %s / %s %s shared:%d - %s %s %s\n",
			mt.id, mt.parent, mt.dev, escapeOctal(mt.point), mt.options, mt.id, mt.kind, escapeOctal(mt.source), mt.super)
	}
	return b.String()
}

func (m *Machine) procMounts() string {
	var b strings.Builder
	for _, mt := range m.fs.mounted() {
		fmt.Fprintf(&b, "%s %s %s %s 0 0\n", escapeOctal(mt.source), escapeOctal(mt.point), mt.kind, mt.allOptions())
	}
	return b.String()
}

// allOptions merges the options of a mount and of its superblock, as
// /proc/mounts does.
func (m *mount) allOptions() string {
	super := strings.TrimPrefix(strings.TrimPrefix(m.super, "rw"), "ro")
	return m.options + strings.TrimSuffix(super, ",")
}

// mounted is a copy of the mount table.
func (f *filesystem) mounted() []mount {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]mount, len(f.mounts))
	for i, m := range f.mounts {
		list[i] = *m
	}
	return list
}

// attach mounts a fresh directory at point; m's identity is filled in.
func (f *filesystem) attach(m mount) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(root, m.point, true, false)
	if err != nil {
		return err
	}
	if !at.node.mode.IsDir() {
		return syscall.ENOTDIR
	}
	f.nextID++
	m.id, m.parent, m.point = f.nextID, at.mount.id, at.path
	m.dev = "0:" + strconv.Itoa(f.nextID+20)
	f.ino++
	m.root = &node{owner: f, mode: fs.ModeDir | 0o755, ino: f.ino, mtime: time.Now(), kids: map[string]*node{}}
	f.mounts = append(f.mounts, &m)
	return nil
}

// detach takes the topmost mount at point away.
func (f *filesystem) detach(point string) (mount, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range slices.Backward(f.mounts) {
		if m.point == point {
			f.mounts = slices.Delete(f.mounts, i, i+1)
			return *m, true
		}
	}
	return mount{}, false
}

// unmountNetwork is what a shutdown does.
func (f *filesystem) unmountNetwork() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mounts = slices.DeleteFunc(f.mounts, func(m *mount) bool { return m.kind == "nfs" || m.kind == "nfs4" || m.kind == "autofs" })
}

// clearTmp is what a boot does: what lay in memory or in /tmp is gone.
func (f *filesystem) clearTmp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, err := f.find(root, "/tmp", true, true); err == nil {
		at.node.kids = map[string]*node{}
	}
	for _, m := range f.mounts {
		if m.point == "/run" {
			f.own(&m.root)
			delete(m.root.kids, "user")
			delete(m.root.kids, "reboot-required")
		}
	}
}

// nfsMount mounts an export for all, or says what mount.nfs would and with which
// exit status.
func (m *Machine) nfsMount(source, point, kind, options string) (string, int) {
	found, message, status := m.askNFS(source, point, kind, options, m.fs.mounted())
	if status != 0 {
		return message, status
	}
	if m.fs.attach(found) != nil {
		return fmt.Sprintf("mount.nfs: mount point %s does not exist", point), 32
	}
	return "", 0
}

// askNFS asks the server for an export: what can be mounted where others are
// mounted already, or what mount.nfs says and its exit status.
func (m *Machine) askNFS(source, point, kind, options string, others []mount) (found mount, message string, status int) {
	no := func(status int, format string, a ...any) (mount, string, int) {
		return mount{}, fmt.Sprintf("mount.nfs: "+format, a...), status
	}
	server, export, ok := strings.Cut(source, ":/")
	if !ok {
		return no(1, "remote share not in 'host:dir' format")
	}
	export = path.Clean("/" + export)
	server = strings.Trim(server, "[]")
	address := m.resolve(server)
	if address == "" {
		return no(32, "Failed to resolve server %s: Name or service not known", server)
	}
	version, super, general, bad := nfsOptions(kind, options, address, m.spec.address)
	if bad != "" {
		return no(32, "an incorrect mount option was specified")
	}
	exports, up := m.world.servers[address]
	m.mu.Lock()
	silent := m.silent[address]
	m.mu.Unlock()
	if !up || silent {
		return no(32, "Connection timed out") // after minutes, in earnest
	}
	if !exports[export] {
		if version == "3" {
			return no(32, "access denied by server while mounting %s", source)
		}
		return no(32, "mounting %s failed, reason given by server: No such file or directory", source)
	}
	for _, mt := range others {
		if mt.point == point && mt.source == source {
			return no(32, "%s is busy or already mounted or sharecache fail", point)
		}
	}
	m.loadModule("nfs")
	fstype := "nfs4"
	if version == "3" {
		fstype = "nfs"
		m.loadModule("nfsv3")
	} else {
		m.loadModule("nfsv4")
	}
	return mount{point: point, kind: fstype, source: source, options: general, super: super}, "", 0
}

// Silence makes an NFS server, by name or address, one that this machine does
// not hear of any more, or does again. What touches a mount from it hangs
// until it is killed.
func (m *Machine) Silence(server string, silent bool) {
	address := m.resolve(server)
	m.mu.Lock()
	m.silent[address] = silent
	m.mu.Unlock()
	m.fs.mu.Lock()
	defer m.fs.mu.Unlock()
	for _, mt := range m.fs.mounts {
		if strings.HasSuffix(mt.super, ",addr="+address) {
			mt.dead = silent
		}
	}
}

// nfsOptions are what /proc/self/mountinfo shows for options of nfs(5).
func nfsOptions(kind, options, address, client string) (version, super, general, bad string) {
	version = "4.2"
	set := map[string]string{"hard": "", "proto": "tcp", "timeo": "600", "retrans": "2", "sec": "sys", "rsize": "1048576", "wsize": "1048576", "local_lock": "none"}
	rw, atime := "rw", "relatime"
	var flags []string
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "", "defaults", "_netdev", "nofail", "auto", "noauto", "user", "users", "bg", "fg", "async", "exec", "suid", "dev", "retry", "nouser", "lookupcache", "tcp", "intr", "nointr":
		case "ro", "rw":
			rw = name
		case "noatime", "relatime", "strictatime":
			atime = name
		case "nodiratime", "nosuid", "nodev", "noexec", "sync":
			flags = append(flags, name)
		case "hard", "soft":
			delete(set, "hard")
			delete(set, "soft")
			set[name] = ""
		case "nolock", "nconnect", "acregmin", "acregmax", "acdirmin", "acdirmax", "actimeo", "noac", "nocto", "noresvport", "noacl":
			set[name] = value
		case "proto", "timeo", "retrans", "sec", "rsize", "wsize", "local_lock", "port":
			set[name] = value
		case "vers", "nfsvers":
			version = value
		case "minorversion":
			version = "4." + value
		default:
			if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "comment") {
				continue
			}
			return "", "", "", option
		}
	}
	switch version {
	case "4":
		version = "4.2"
	case "3", "4.0", "4.1", "4.2":
	default:
		return "", "", "", "vers=" + version
	}
	super = rw + ",vers=" + version
	add := func(names ...string) {
		for _, name := range names {
			if value, ok := set[name]; ok && value != "" {
				super += "," + name + "=" + value
			} else if ok {
				super += "," + name
			}
		}
	}
	add("rsize", "wsize")
	super += ",namlen=255"
	add("hard", "soft", "nolock", "noac", "nocto", "noacl", "noresvport", "acregmin", "acregmax", "acdirmin", "acdirmax", "actimeo", "port", "proto", "nconnect", "timeo", "retrans", "sec")
	if version == "3" {
		super += ",mountaddr=" + address + ",mountvers=3,mountport=20048,mountproto=udp"
	} else {
		super += ",clientaddr=" + client
	}
	add("local_lock")
	super += ",addr=" + address
	general = strings.Join(append([]string{rw}, append(flags, atime)...), ",")
	return version, super, general, ""
}

// resolve looks a name up: in /etc/hosts, then in the lab's DNS.
func (m *Machine) resolve(name string) string {
	if strings.Trim(name, "0123456789.") == "" || strings.Contains(name, ":") {
		return name
	}
	hosts, _ := m.ReadFile("/etc/hosts")
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 && slices.Contains(fields[1:], name) {
			return fields[0]
		}
	}
	return m.world.hosts[name]
}

// mountAll mounts what fstab says and is not mounted yet, as a boot or
// mount -a does.
func (m *Machine) mountAll(boot bool) {
	for _, l := range m.fstab() {
		if !l.network() || l.has("noauto") {
			continue
		}
		mounted := slices.ContainsFunc(m.fs.mounted(), func(mt mount) bool { return mt.point == l.point })
		if mounted {
			continue
		}
		if boot {
			_ = m.mkdirs(l.point) // systemd makes mount points
			if !m.hasHelper("nfs") {
				continue
			}
		}
		_, _ = m.nfsMount(l.source, l.point, l.kind, l.options)
	}
}

func (m *Machine) hasHelper(kind string) bool {
	return m.fs.access(root, "/usr/sbin/mount."+kind, 1) == nil
}
