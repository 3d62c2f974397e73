package lab

import (
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// A file is an open file: of the tree, or one whose content was made up when
// it was opened.
type file struct {
	fs     *filesystem
	node   *node
	flag   int
	offset int64

	shown   []byte // what a file under /proc or /sys shows
	written []byte // to such a file
}

const writing = os.O_WRONLY | os.O_RDWR

// open opens a path as open(2) does; perm is what a new file gets.
func (f *filesystem) open(c cred, p string, flag int, perm fs.FileMode) (*file, error) {
	f.await(c, p, true)
	h, err := f.openNode(c, p, flag, perm)
	if err != nil {
		return nil, err
	}
	if h.node.show != nil && flag&writing != os.O_WRONLY {
		// Outside of the lock: what it shows may need the tree.
		h.shown = []byte(h.node.show(f.machine))
	}
	return h, nil
}

func (f *filesystem) openNode(c cred, p string, flag int, perm fs.FileMode) (*file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write := flag&writing != 0
	at, err := f.walk(c, p, flag&os.O_EXCL == 0, write || flag&os.O_CREATE != 0)
	if err != nil {
		return nil, err
	}
	if at.node == nil {
		if flag&os.O_CREATE == 0 {
			return nil, syscall.ENOENT
		}
		switch {
		case at.mount.readOnly():
			return nil, syscall.EROFS
		case !at.parent.may(c, 3), at.parent.show != nil:
			return nil, syscall.EACCES
		}
		return &file{fs: f, node: f.add(at, c, perm&^fs.ModeType), flag: flag}, nil
	}
	n := at.node
	switch {
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, syscall.EEXIST
	case n.mode.IsDir() && (write || flag&os.O_CREATE != 0):
		return nil, syscall.EISDIR
	case flag&writing != os.O_WRONLY && !n.may(c, 4):
		return nil, syscall.EACCES
	case write && !n.may(c, 2):
		return nil, syscall.EACCES
	case write && at.mount.readOnly() && n.mode.IsRegular():
		return nil, syscall.EROFS
	case write && n.show != nil && n.store == nil:
		return nil, syscall.EACCES
	}
	if flag&os.O_TRUNC != 0 && n.show == nil && n.mode.IsRegular() {
		n.data = nil
		n.mtime = time.Now()
	}
	return &file{fs: f, node: n, flag: flag}, nil
}

func (h *file) stat() info {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.node.info("", "")
}

func (h *file) Read(p []byte) (int, error) {
	n, err := h.ReadAt(p, h.offset)
	h.offset += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (h *file) ReadAt(p []byte, at int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	data := h.shown
	switch {
	case h.node.mode.IsDir():
		return 0, syscall.EISDIR
	case h.node.mode&fs.ModeCharDevice != 0:
		return h.node.readDevice(p)
	case h.node.show == nil:
		data = h.node.data
	}
	if at >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) Write(p []byte) (int, error) {
	if h.flag&os.O_APPEND != 0 {
		h.offset = h.stat().size
	}
	n, err := h.WriteAt(p, h.offset)
	h.offset += int64(n)
	return n, err
}

func (h *file) WriteAt(p []byte, at int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	switch {
	case h.flag&writing == 0:
		return 0, syscall.EBADF
	case h.node.mode&fs.ModeCharDevice != 0:
		return len(p), nil
	case h.node.show != nil:
		h.written = append(h.written, p...)
		return len(p), nil
	}
	if end := at + int64(len(p)); end > int64(len(h.node.data)) {
		if end > maxFile {
			return 0, syscall.ENOSPC
		}
		h.node.data = append(h.node.data, make([]byte, end-int64(len(h.node.data)))...)
	}
	copy(h.node.data[at:], p)
	h.node.mtime = time.Now()
	return len(p), nil
}

// maxFile bounds what a script can make the process of the lab hold, in bytes.
const maxFile = 64 << 20

func (h *file) Close() error {
	if h.node.store != nil && h.written != nil {
		written := string(h.written)
		h.written = nil
		return h.node.store(h.fs.machine, written)
	}
	return nil
}

// truncate cuts the file to size bytes.
func (h *file) truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if size > maxFile || size < 0 {
		return syscall.EINVAL
	}
	if int64(len(h.node.data)) > size {
		h.node.data = h.node.data[:size:size]
	}
	h.node.data = append(h.node.data, make([]byte, size-int64(len(h.node.data)))...)
	return nil
}

// readDevice reads /dev/null, /dev/zero or /dev/urandom; target names which.
func (n *node) readDevice(p []byte) (int, error) {
	switch n.target {
	case "zero":
		clear(p)
		return len(p), nil
	case "random":
		return randomBytes(p)
	}
	return 0, io.EOF
}
