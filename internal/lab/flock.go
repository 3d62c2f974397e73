package lab

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fileLock is an advisory lock that a process has on a file. It is the
// file's that was opened, whatever its name leads to later.
type fileLock struct {
	kind string // FLOCK, or POSIX for fcntl's, as package managers take them
	pid  int
	path string
	ino  uint64
}

// lock takes a lock on a file that this process has opened, or says who has
// it. freed is closed when some lock of the machine is given back.
func (p *process) lock(kind string, h *file, name string) (l *fileLock, holder *fileLock, freed <-chan struct{}) {
	ino := h.stat().ino
	m := p.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.locks {
		if other.ino == ino {
			return nil, other, m.unlocked
		}
	}
	l = &fileLock{kind: kind, pid: p.pid, path: p.abs(name), ino: ino}
	m.locks = append(m.locks, l)
	return l, nil, nil
}

func (m *Machine) unlock(l *fileLock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.locks, l); i >= 0 {
		m.locks = slices.Delete(m.locks, i, i+1)
	}
	close(m.unlocked)
	m.unlocked = make(chan struct{})
}

// locksOf are the files that a process has locked, in the order of locking.
func (m *Machine) locksOf(pid int) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var files []string
	for _, l := range m.locks {
		if l.pid == pid {
			files = append(files, l.path)
		}
	}
	return files
}

// procLocks is /proc/locks.
func (m *Machine) procLocks() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for i, l := range m.locks {
		fmt.Fprintf(&b, "%d: %-6s ADVISORY  WRITE %d 08:01:%d 0 EOF\n", i+1, l.kind, l.pid, l.ino)
	}
	return b.String()
}

// flock is flock(1) with a command. The lock is this process', which is what
// -o makes of it; without -o it would go on in what the command leaves behind.
func flock(p *process) int {
	set, args, unknown := options(p.args[1:], "-n -x -e -o -F --nonblock --nb --exclusive --close --no-fork", "-w -E --timeout --wait --conflict-exit-code")
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case len(args) < 2:
		return p.lacks("without a command")
	}
	name, command := args[0], args[1:]
	if (command[0] == "-c" || command[0] == "--command") && len(command) == 2 {
		command = []string{"sh", "-c", command[1]}
	}
	conflict := 1
	if e := set["-E"] + set["--conflict-exit-code"]; e != "" {
		conflict, _ = strconv.Atoi(e)
	}
	h, err := p.open(name, os.O_RDONLY|os.O_CREATE, 0o666)
	if err != nil {
		return p.fail(66, "cannot open lock file %s: %s", name, strerror(err))
	}
	ctx, cancel := p.ctx, context.CancelFunc(func() {})
	switch limit := set["-w"] + set["--timeout"] + set["--wait"]; {
	case isSet(set, "-n", "--nonblock", "--nb"):
		ctx, cancel = context.WithDeadline(p.ctx, time.Now())
	case limit != "":
		d, ok := seconds(limit)
		if !ok {
			return p.fail(64, "invalid timeout value: '%s'", limit)
		}
		ctx, cancel = context.WithTimeout(p.ctx, d)
	}
	defer cancel()
	for {
		l, _, freed := p.lock("FLOCK", h, name)
		if l != nil {
			defer p.machine.unlock(l)
			break
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return conflict
		}
	}
	c := p.child(p.ctx, command)
	defer c.exit()
	found := true
	status := c.start(func(string, ...any) {
		found = false
		fmt.Fprintf(p.stderr, "%s: failed to execute %s: No such file or directory\n", path.Base(p.args[0]), command[0])
	})
	if !found {
		return 69
	}
	return status
}
