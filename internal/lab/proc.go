package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// procFile is what a process sees under /proc of itself and of others.
func (p *process) procFile(full string) (string, bool) {
	rest, ok := strings.CutPrefix(full, "/proc/")
	if !ok {
		return "", false
	}
	who, name, ok := strings.Cut(rest, "/")
	if !ok {
		return "", false
	}
	pid, err := strconv.Atoi(who)
	switch {
	case who == "self" || who == "thread-self":
		pid = p.pid
	case err != nil:
		return "", false
	}
	if other := p.machine.process(pid); other != nil {
		return other.procText(name)
	}
	if u := p.machine.unitOf(pid); u != nil {
		switch name {
		case "environ":
			if p.cred.uid != 0 {
				return "", false
			}
			return strings.ReplaceAll(u.environment, "\n", "\x00"), true
		case "comm":
			return strings.TrimSuffix(u.name, ".service") + "\n", true
		}
	}
	return "", false
}

func (p *process) procText(name string) (string, bool) {
	comm := p.args[0]
	comm = comm[strings.LastIndexByte(comm, '/')+1:]
	switch name {
	case "stat":
		return fmt.Sprintf("%d (%s) R %d %d %d 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 %d 2600000 200\n",
			p.pid, comm, p.ppid, p.group, p.group, 1000+p.pid), true
	case "comm":
		return comm + "\n", true
	case "cmdline":
		return strings.Join(p.args, "\x00") + "\x00", true
	case "environ":
		return strings.Join(p.environ(), "\x00") + "\x00", true
	case "status":
		return fmt.Sprintf("Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nPid:\t%d\nPPid:\t%d\nUid:\t%[5]d\t%[5]d\t%[5]d\t%[5]d\nGid:\t%[6]d\t%[6]d\t%[6]d\t%[6]d\n",
			comm, p.umask, p.pid, p.ppid, p.cred.uid, p.cred.gid), true
	case "cgroup":
		return fmt.Sprintf("0::/user.slice/user-%d.slice/session-1.scope\n", p.cred.uid), true
	case "loginuid":
		return "4294967295", true
	}
	return "", false
}
