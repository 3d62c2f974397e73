package lab

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// A namespace is a mount namespace that unshare made: a table of mounts of its
// own, in which is tried what can be mounted. It is the table alone; files and
// /proc are the host's.
type namespace struct {
	mu     sync.Mutex
	mounts []mount
}

// mounted is a copy of the mount table that a process sees.
func (p *process) mounted() []mount {
	if p.apart == nil {
		return p.machine.fs.mounted()
	}
	p.apart.mu.Lock()
	defer p.apart.mu.Unlock()
	return slices.Clone(p.apart.mounts)
}

// attach mounts where the process is.
func (p *process) attach(m mount) int {
	if p.apart == nil {
		if err := p.machine.fs.attach(m); err != nil {
			return p.fail(32, "%s: %s", m.point, strerror(err))
		}
		return 0
	}
	p.apart.mu.Lock()
	defer p.apart.mu.Unlock()
	p.apart.mounts = append(p.apart.mounts, m)
	return 0
}

// detach takes the topmost mount at point away, where the process is.
func (p *process) detach(point string) {
	if p.apart == nil {
		p.machine.fs.detach(point)
		return
	}
	p.apart.mu.Lock()
	defer p.apart.mu.Unlock()
	for i, m := range slices.Backward(p.apart.mounts) {
		if m.point == point {
			p.apart.mounts = slices.Delete(p.apart.mounts, i, i+1)
			return
		}
	}
}

// unshare runs a command in a mount namespace of its own, which is all that it
// can part.
func unshare(p *process) int {
	set, args, unknown := options(p.args[1:], "-m --mount", "")
	switch {
	case unknown != "" || !isSet(set, "-m", "--mount") || len(args) == 0:
		return p.lacks(orElse(unknown, "without -m"))
	case p.cred.uid != 0:
		return p.fail(1, "unshare failed: Operation not permitted")
	}
	c := p.child(p.ctx, args)
	defer c.exit()
	c.apart = &namespace{mounts: p.mounted()}
	return c.start(func(string, ...any) { p.fail(127, "failed to execute %s: No such file or directory", args[0]) })
}

// showmount asks a server's mountd what it exports: here to everyone.
func showmount(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-e --exports --no-headers", "")
	if unknown != "" || !isSet(set, "-e", "--exports") || len(args) != 1 {
		return p.lacks(orElse(unknown, "without -e"))
	}
	address := p.machine.resolve(args[0])
	if address == "" {
		return p.fail(1, "can't get address for %s", args[0])
	}
	exports, up := p.machine.world.servers[address]
	p.machine.mu.Lock()
	silent := p.machine.silent[address]
	p.machine.mu.Unlock()
	if !up || silent {
		p.println("clnt_create: RPC: Unable to receive")
		return 1
	}
	if !isSet(set, "--no-headers") {
		p.printf("Export list for %s:\n", args[0])
	}
	names := slices.Sorted(maps.Keys(exports))
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	for _, name := range names {
		p.println(name + strings.Repeat(" ", width-len(name)) + " *")
	}
	return 0
}
