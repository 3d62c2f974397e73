package lab

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A filesystem is what one practice host sees: a tree put together from
// mounts. All its methods are safe for concurrent use; their errors are
// syscall.Errno.
type filesystem struct {
	machine *Machine

	mu     sync.Mutex
	ino    uint64
	mounts []*mount // in the order mounted; a later one hides an earlier
	nextID int
}

// A mount is one line of /proc/self/mountinfo.
type mount struct {
	id, parent int
	dev        string // "8:1"
	point      string
	kind       string // "ext4"
	source     string
	options    string // "rw,relatime"
	super      string // the superblock's options
	root       *node
	dead       bool // its server does not answer
}

func (m *mount) readOnly() bool {
	return strings.HasPrefix(m.options+",", "ro,") || strings.HasPrefix(m.super+",", "ro,")
}

// A place is where a path leads.
type place struct {
	path   string // absolute, without symbolic links
	parent *node
	node   *node // nil: there is no such name in parent
	mount  *mount
	within *mount // the mount that parent is of
}

func (p place) name() string { return path.Base(p.path) }

// topAt is the mount that is seen at a path; nil: none.
func (f *filesystem) topAt(point string) *mount {
	for _, m := range slices.Backward(f.mounts) {
		if m.point == point {
			return m
		}
	}
	return nil
}

// walk follows p. With own, every node on the way, and the last, is made one
// that f may change.
func (f *filesystem) walk(c cred, p string, follow, own bool) (place, error) {
	if p == "" {
		return place{}, syscall.ENOENT
	}
	top := f.topAt("/")
	if own {
		f.own(&top.root)
	}
	stack := []place{{path: "/", parent: top.root, node: top.root, mount: top, within: top}}
	todo := strings.Split(p, "/")
	mustBeDir := strings.HasSuffix(p, "/")
	links := 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		here := stack[len(stack)-1]
		if name == "" || name == "." {
			continue
		}
		if !here.node.mode.IsDir() {
			return place{}, syscall.ENOTDIR
		}
		if !here.node.may(c, 1) {
			return place{}, syscall.EACCES
		}
		if here.mount.dead {
			return place{}, syscall.EINTR
		}
		if name == ".." {
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			continue
		}
		if len(name) > 255 {
			return place{}, syscall.ENAMETOOLONG
		}
		next := place{path: path.Join(here.path, name), parent: here.node, node: f.child(here.node, name), mount: here.mount, within: here.mount}
		last := strings.Trim(strings.Join(todo, "/"), "/") == ""
		if next.node == nil {
			if last {
				return next, nil
			}
			return place{}, syscall.ENOENT
		}
		if next.node.mode&fs.ModeSymlink != 0 && (!last || follow || mustBeDir) {
			if links++; links > 40 {
				return place{}, syscall.ELOOP
			}
			target := next.node.target
			if strings.HasPrefix(target, "/") {
				stack = stack[:1]
			}
			todo = append(strings.Split(target, "/"), todo...)
			continue
		}
		if over := f.topAt(next.path); over != nil {
			next.mount = over
			if own {
				f.own(&over.root)
			}
			next.node = over.root
		} else if own && next.node.owner != f && here.node.owner == f && next.node.show == nil {
			next.node = next.node.clone(f)
			here.node.kids[name] = next.node
		}
		stack = append(stack, next)
	}
	found := stack[len(stack)-1]
	if mustBeDir && !found.node.mode.IsDir() {
		return place{}, syscall.ENOTDIR
	}
	return found, nil
}

// child is a name in a directory, or nil.
func (f *filesystem) child(n *node, name string) *node {
	if kid := n.kids[name]; kid != nil || n.find == nil {
		return kid
	}
	return n.find(f.machine, name)
}

// await blocks where an operation on p would: a dead NFS server is waited for
// until the process is killed. A mount point can be named without asking the
// server; touch says that the operation looks at what is there.
func (f *filesystem) await(c cred, p string, touch bool) {
	if c.hang == nil {
		return // the console's own hands
	}
	f.mu.Lock()
	hangs := false
	if slices.ContainsFunc(f.mounts, func(m *mount) bool { return m.dead }) {
		at, err := f.walk(root, p, touch, false)
		hangs = errors.Is(err, syscall.EINTR) || touch && err == nil && at.mount.dead
	}
	f.mu.Unlock()
	if hangs {
		c.hang()
	}
}

func (f *filesystem) own(n **node) {
	if (*n).owner != f {
		*n = (*n).clone(f)
	}
}

// find is walk to something that is there.
func (f *filesystem) find(c cred, p string, follow, own bool) (place, error) {
	at, err := f.walk(c, p, follow, own)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	return at, err
}

// entry is walk to a name that may be made or taken away in its directory.
func (f *filesystem) entry(c cred, p string) (place, error) {
	at, err := f.walk(c, p, false, true)
	if err != nil {
		return at, err
	}
	if at.path == "/" {
		return at, syscall.EBUSY
	}
	if at.within.readOnly() {
		return at, syscall.EROFS
	}
	if !at.parent.may(c, 3) {
		return at, syscall.EACCES
	}
	if at.node != nil && at.parent.mode&fs.ModeSticky != 0 && c.uid != 0 && c.uid != at.node.uid && c.uid != at.parent.uid {
		return at, syscall.EPERM
	}
	if at.parent.show != nil { // a directory of /proc or /sys
		return at, syscall.EACCES
	}
	return at, nil
}

func (f *filesystem) add(at place, c cred, mode fs.FileMode) *node {
	f.ino++
	n := &node{owner: f, mode: mode, uid: c.uid, gid: c.gid, ino: f.ino, mtime: time.Now()}
	if at.parent.mode&fs.ModeSetgid != 0 {
		n.gid = at.parent.gid
	}
	if mode.IsDir() {
		n.kids = map[string]*node{}
	}
	at.parent.kids[at.name()] = n
	at.parent.mtime = n.mtime
	return n
}

func (f *filesystem) stat(c cred, p string, follow bool) (info, error) {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(c, p, follow, false)
	if err != nil {
		return info{}, err
	}
	return at.node.info(path.Base(p), at.mount.dev), nil
}

// access checks what bits (4 read, 2 write, 1 execute) ask.
func (f *filesystem) access(c cred, p string, bits fs.FileMode) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(c, p, true, false)
	switch {
	case err != nil:
		return err
	case bits&2 != 0 && at.mount.readOnly():
		return syscall.EROFS
	case !at.node.may(c, bits):
		return syscall.EACCES
	}
	return nil
}

func (f *filesystem) readDir(c cred, p string) ([]info, error) {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(c, p, true, false)
	switch {
	case err != nil:
		return nil, err
	case !at.node.mode.IsDir():
		return nil, syscall.ENOTDIR
	case !at.node.may(c, 4):
		return nil, syscall.EACCES
	}
	var list []info
	if at.node.list != nil {
		for _, name := range at.node.list(f.machine) {
			if n := f.child(at.node, name); n != nil {
				list = append(list, n.info(name, at.mount.dev))
			}
		}
	}
	for name, n := range at.node.kids {
		dev := at.mount.dev
		if over := f.topAt(path.Join(at.path, name)); over != nil {
			n, dev = over.root, over.dev
		}
		list = append(list, n.info(name, dev))
	}
	slices.SortFunc(list, func(a, b info) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func (f *filesystem) readlink(c cred, p string) (string, error) {
	f.await(c, p, false)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(c, p, false, false)
	if err == nil && at.node.mode&fs.ModeSymlink == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return "", err
	}
	return at.node.target, nil
}

// realpath is p without symbolic links. The last name need not exist.
func (f *filesystem) realpath(c cred, p string) (string, error) {
	f.await(c, p, false)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, p, true, false)
	return at.path, err
}

func (f *filesystem) mkdir(c cred, p string, perm fs.FileMode) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, strings.TrimRight(p, "/"), false, false)
	if err == nil && (at.node != nil || p == "/") {
		return syscall.EEXIST
	}
	if at, err = f.entry(c, strings.TrimRight(p, "/")); err != nil {
		return err
	}
	f.add(at, c, fs.ModeDir|perm&^fs.ModeType)
	return nil
}

// socket makes the socket of a service.
func (f *filesystem) socket(c cred, p string, perm fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.fresh(c, p, fs.ModeSocket|perm)
	return err
}

// fresh adds a node where there is none; the caller holds the lock.
func (f *filesystem) fresh(c cred, p string, mode fs.FileMode) (*node, error) {
	at, err := f.entry(c, p)
	if err != nil {
		return nil, err
	}
	if at.node != nil {
		return nil, syscall.EEXIST
	}
	return f.add(at, c, mode), nil
}

func (f *filesystem) symlink(c cred, target, p string) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.fresh(c, p, fs.ModeSymlink|0o777)
	if err == nil {
		n.target = target
	}
	return err
}

func (f *filesystem) link(c cred, old, p string) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err := f.find(c, old, false, true)
	if err != nil {
		return err
	}
	at, err := f.entry(c, p)
	switch {
	case err != nil:
		return err
	case at.node != nil:
		return syscall.EEXIST
	case from.node.mode.IsDir():
		return syscall.EPERM
	case from.mount != at.within:
		return syscall.EXDEV
	}
	at.parent.kids[at.name()] = from.node
	return nil
}

// remove takes a name away: with dir an empty directory, else a file.
func (f *filesystem) remove(c cred, p string, dir bool) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.entry(c, strings.TrimRight(p, "/"))
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return syscall.ENOENT
	case f.topAt(at.path) != nil:
		return syscall.EBUSY
	case dir && !at.node.mode.IsDir():
		return syscall.ENOTDIR
	case !dir && at.node.mode.IsDir():
		return syscall.EISDIR
	case dir && len(at.node.kids) > 0:
		return syscall.ENOTEMPTY
	}
	delete(at.parent.kids, at.name())
	at.parent.mtime = time.Now()
	return nil
}

// rename is rename(2): what stands at the new name is replaced.
func (f *filesystem) rename(c cred, old, p string) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err := f.entry(c, strings.TrimRight(old, "/"))
	if err != nil {
		return err
	}
	to, err := f.entry(c, strings.TrimRight(p, "/"))
	switch {
	case err != nil:
		return err
	case from.node == nil:
		return syscall.ENOENT
	case f.topAt(from.path) != nil || f.topAt(to.path) != nil:
		return syscall.EBUSY
	case from.within != to.within:
		return syscall.EXDEV
	case strings.HasPrefix(to.path, from.path+"/"):
		return syscall.EINVAL
	case to.node == from.node:
		return nil
	case to.node != nil && from.node.mode.IsDir() && !to.node.mode.IsDir():
		return syscall.ENOTDIR
	case to.node != nil && !from.node.mode.IsDir() && to.node.mode.IsDir():
		return syscall.EISDIR
	case to.node != nil && len(to.node.kids) > 0:
		return syscall.ENOTEMPTY
	}
	delete(from.parent.kids, from.name())
	to.parent.kids[to.name()] = from.node
	return nil
}

// change lets do alter a node that c owns.
func (f *filesystem) change(c cred, p string, follow bool, do func(*node)) error {
	f.await(c, p, true)
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find(c, p, follow, true)
	switch {
	case err != nil:
		return err
	case at.mount.readOnly():
		return syscall.EROFS
	case c.uid != 0 && c.uid != at.node.uid:
		return syscall.EPERM
	}
	do(at.node)
	return nil
}

func (f *filesystem) chmod(c cred, p string, perm fs.FileMode) error {
	return f.change(c, p, true, func(n *node) { n.mode = n.mode.Type() | perm&^fs.ModeType })
}

// chown changes the owner, the group, or both: -1 leaves one as it is.
func (f *filesystem) chown(c cred, p string, follow bool, uid, gid int) error {
	if c.uid != 0 && (uid >= 0 && uint32(uid) != c.uid || gid >= 0 && !c.in(uint32(gid))) {
		if _, err := f.stat(c, p, follow); err != nil {
			return err
		}
		return syscall.EPERM
	}
	return f.change(c, p, follow, func(n *node) {
		if uid >= 0 {
			n.uid = uint32(uid)
		}
		if gid >= 0 {
			n.gid = uint32(gid)
		}
		if n.mode.IsRegular() {
			n.mode &^= fs.ModeSetuid | fs.ModeSetgid
		}
	})
}

func (f *filesystem) touch(c cred, p string, when time.Time) error {
	return f.change(c, p, true, func(n *node) { n.mtime = when })
}
