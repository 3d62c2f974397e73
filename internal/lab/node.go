package lab

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A cred is who asks: a user of a practice host.
type cred struct {
	uid, gid uint32
	groups   []uint32
	hang     func() // waits for a server that is dead, until the process is killed
}

var root = cred{}

func (c cred) in(gid uint32) bool { return c.gid == gid || slices.Contains(c.groups, gid) }

// A node is a file, a directory or a symbolic link.
//
// Nodes without an owner belong to a base image that all hosts of a
// distribution share: they never change. A filesystem that wants to change
// one makes a copy of it, and of the directories above it, for itself.
type node struct {
	owner    *filesystem
	mode     fs.FileMode // type, permissions, setuid, setgid, sticky
	uid, gid uint32
	ino      uint64
	mtime    time.Time
	data     []byte
	target   string           // of a symbolic link
	kids     map[string]*node // of a directory

	// A file under /proc or /sys: what reading it shows, and what writing
	// to it does (nil: nobody may).
	show  func(*Machine) string
	store func(*Machine, string) error
	// A directory of which some names are made up when somebody looks.
	find func(*Machine, string) *node
	list func(*Machine) []string
}

// clone makes a copy that f may change.
func (n *node) clone(f *filesystem) *node {
	c := *n
	c.owner = f
	c.kids = maps.Clone(n.kids)
	c.data = slices.Clone(n.data)
	return &c
}

// may reports whether c may do to n what bits (4 read, 2 write, 1 search or
// execute) say.
func (n *node) may(c cred, bits fs.FileMode) bool {
	if c.uid == 0 {
		return bits&1 == 0 || n.mode.IsDir() || n.mode&0o111 != 0
	}
	perm := n.mode.Perm()
	switch {
	case c.uid == n.uid:
		perm >>= 6
	case c.in(n.gid):
		perm >>= 3
	}
	return perm&bits == bits
}

// An info is a node as it was when somebody looked.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	mtime    time.Time
	uid, gid uint32
	ino      uint64
	dev      string // "8:1"
	target   string
}

func (i info) Name() string               { return i.name }
func (i info) Size() int64                { return i.size }
func (i info) Mode() fs.FileMode          { return i.mode }
func (i info) Type() fs.FileMode          { return i.mode.Type() }
func (i info) ModTime() time.Time         { return i.mtime }
func (i info) IsDir() bool                { return i.mode.IsDir() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }

func (n *node) info(name, dev string) info {
	i := info{name: name, mode: n.mode, mtime: n.mtime, uid: n.uid, gid: n.gid, ino: n.ino, dev: dev, target: n.target}
	switch {
	case n.mode.IsDir():
		i.size = 4096
	case n.mode&fs.ModeSymlink != 0:
		i.size = int64(len(n.target))
	default:
		i.size = int64(len(n.data))
	}
	return i
}

// unixMode is st_mode's permission bits of m, as chmod takes them.
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// goMode is the opposite of unixMode.
func goMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// typeBits is st_mode's file type.
func typeBits(m fs.FileMode) uint32 {
	switch {
	case m.IsDir():
		return 0o040000
	case m&fs.ModeSymlink != 0:
		return 0o120000
	case m&fs.ModeCharDevice != 0:
		return 0o020000
	case m&fs.ModeSocket != 0:
		return 0o140000
	}
	return 0o100000
}

// lsMode is a mode as ls shows it.
func lsMode(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	case m&fs.ModeCharDevice != 0:
		kind = "c"
	case m&fs.ModeSocket != 0:
		kind = "s"
	}
	b := []byte(kind + "rwxrwxrwx")
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[i+1] = '-'
		}
	}
	special := func(at int, set bool, lower, upper byte) {
		switch {
		case set && b[at] == 'x':
			b[at] = lower
		case set:
			b[at] = upper
		}
	}
	special(3, m&fs.ModeSetuid != 0, 's', 'S')
	special(6, m&fs.ModeSetgid != 0, 's', 'S')
	special(9, m&fs.ModeSticky != 0, 't', 'T')
	return string(b)
}

// strerror is the C library's text for err, as programs print it.
func strerror(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	var errno syscall.Errno
	_ = errors.As(err, &errno) // else it is none of these
	switch errno {
	case syscall.ENOENT:
		return "No such file or directory"
	case syscall.EACCES:
		return "Permission denied"
	case syscall.EPERM:
		return "Operation not permitted"
	case syscall.EEXIST:
		return "File exists"
	case syscall.ENOTDIR:
		return "Not a directory"
	case syscall.EISDIR:
		return "Is a directory"
	case syscall.ENOTEMPTY:
		return "Directory not empty"
	case syscall.EBUSY:
		return "Device or resource busy"
	case syscall.EROFS:
		return "Read-only file system"
	case syscall.ELOOP:
		return "Too many levels of symbolic links"
	case syscall.EINVAL:
		return "Invalid argument"
	case syscall.ENAMETOOLONG:
		return "File name too long"
	case syscall.EXDEV:
		return "Invalid cross-device link"
	case syscall.ENOSPC:
		return "No space left on device"
	case syscall.EIO:
		return "Input/output error"
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

const dirMode = fs.ModeDir | 0o555

func splitPath(p string) []string { return strings.Split(strings.Trim(p, "/"), "/") }
