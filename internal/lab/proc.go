package lab

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// own is a path as this process sees it: it has a /proc/self of its own.
func (p *process) own(full string) string {
	for _, self := range []string{"/proc/self", "/proc/thread-self"} {
		if full == self || strings.HasPrefix(full, self+"/") {
			return "/proc/" + strconv.Itoa(p.pid) + strings.TrimPrefix(full, self)
		}
	}
	return full
}

// procDir is /proc/PID of a process, or nil. It is made up when somebody
// looks; the lock of the filesystem is held.
func (m *Machine) procDir(name string) *node {
	pid, err := strconv.Atoi(name)
	if err != nil || pid < 2 {
		return nil
	}
	seen := procSeen{pid: pid, parent: 1, group: pid, sid: pid, dir: "/", exe: "/usr/bin/sh"}
	if p := m.process(pid); p != nil {
		m.mu.Lock()
		seen.parent, seen.group, seen.sid, seen.uid, seen.dir = p.ppid, p.group, p.sid, p.cred.uid, p.dir
		m.mu.Unlock()
		seen.cgroup, seen.files = p.cgroup, append(slices.Clone(p.files), m.locksOf(pid)...)
		seen.args, seen.environ = p.args, strings.Join(p.environ(), "\x00")+"\x00"
	} else if u := m.unitOf(pid); u != nil {
		seen.cgroup, seen.files = "0::/system.slice/"+u.name, m.filesOfUnit(u.name)
		seen.args, seen.exe = []string{"/usr/bin/" + strings.TrimSuffix(u.name, ".service")}, "/usr/bin/"+strings.TrimSuffix(u.name, ".service")
		seen.environ = strings.ReplaceAll("LANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n"+u.environment, "\n", "\x00")
	} else {
		return nil
	}
	return seen.node(m)
}

// procNames are the process ids that /proc lists.
func (m *Machine) procNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for pid := range m.procs {
		names = append(names, strconv.Itoa(pid))
	}
	for _, u := range m.units {
		if u.pid != 0 {
			names = append(names, strconv.Itoa(u.pid))
		}
	}
	return names
}

type procSeen struct {
	pid, parent, group int
	sid                int
	uid                uint32
	args               []string
	environ            string
	dir, exe           string
	cgroup             string
	files              []string
}

func (s procSeen) node(m *Machine) *node {
	comm := path.Base(s.args[0])
	ino := uint64(s.pid) << 8
	booted := m.bootTime()
	add := func(to *node, name string, n node) *node {
		ino++
		n.ino, n.mtime, n.uid, n.gid = ino, booted, s.uid, s.uid
		if n.mode.IsDir() {
			n.kids, n.show = map[string]*node{}, aDirectory
		}
		if to != nil {
			to.kids[name] = &n
		}
		return &n
	}
	top := add(nil, "", node{mode: fs.ModeDir | 0o555})
	top.mtime = time.Now() // as Linux has it: of when somebody first looked
	for name, text := range map[string]string{
		"stat": fmt.Sprintf("%d (%s) R %d %d %d 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 %d 2600000 200\n",
			s.pid, comm, s.parent, s.group, s.sid, 1000+s.pid),
		"comm":    comm + "\n",
		"cmdline": strings.Join(s.args, "\x00") + "\x00",
		"cgroup":  orElse(s.cgroup, fmt.Sprintf("0::/user.slice/user-%d.slice/session-1.scope", s.uid)) + "\n",
		"status": fmt.Sprintf("Name:\t%s\nState:\tR (running)\nPid:\t%d\nPPid:\t%d\nUid:\t%[4]d\t%[4]d\t%[4]d\t%[4]d\n",
			comm, s.pid, s.parent, s.uid),
	} {
		add(top, name, node{mode: 0o444, show: func(*Machine) string { return text }})
	}
	add(top, "environ", node{mode: 0o400, show: func(*Machine) string { return s.environ }})
	add(top, "mountinfo", node{mode: 0o444, show: (*Machine).mountinfo})
	add(top, "mounts", node{mode: 0o444, show: (*Machine).procMounts})
	add(top, "cwd", node{mode: fs.ModeSymlink | 0o777, target: s.dir})
	add(top, "root", node{mode: fs.ModeSymlink | 0o777, target: "/"})
	add(top, "exe", node{mode: fs.ModeSymlink | 0o777, target: s.exe})
	fds := add(top, "fd", node{mode: fs.ModeDir | 0o500})
	for i := range 3 {
		add(fds, strconv.Itoa(i), node{mode: fs.ModeSymlink | 0o700, target: fmt.Sprintf("pipe:[%d]", s.pid*10+i)})
	}
	for i, name := range s.files {
		add(fds, strconv.Itoa(3+i), node{mode: fs.ModeSymlink | 0o700, target: name})
	}
	return top
}
