package lab

import (
	"io/fs"
	"strconv"
	"strings"
)

// symbolicMode applies a mode of chmod(1), octal or symbolic, to old.
func symbolicMode(old fs.FileMode, mode string, umask fs.FileMode) (fs.FileMode, bool) {
	if bits, err := strconv.ParseUint(mode, 8, 12); err == nil {
		return old.Type() | goMode(uint32(bits)), true
	}
	bits := unixMode(old)
	for clause := range strings.SplitSeq(mode, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, false
		}
		who := uint32(0)
		for _, w := range clause[:at] {
			switch w {
			case 'u':
				who |= 0o4700
			case 'g':
				who |= 0o2070
			case 'o':
				who |= 0o1007
			case 'a':
				who |= 0o7777
			default:
				return 0, false
			}
		}
		if who == 0 {
			who = 0o7777 &^ uint32(umask)
		}
		perm := uint32(0)
		for _, c := range clause[at+1:] {
			switch c {
			case 'r':
				perm |= 0o444
			case 'w':
				perm |= 0o222
			case 'x':
				perm |= 0o111
			case 'X':
				if old.IsDir() || bits&0o111 != 0 {
					perm |= 0o111
				}
			case 's':
				perm |= 0o6000
			case 't':
				perm |= 0o1000
			default:
				return 0, false
			}
		}
		switch clause[at] {
		case '+':
			bits |= perm & who
		case '-':
			bits &^= perm & who
		case '=':
			bits = bits&^(who&0o777) | perm&who
		}
	}
	return old.Type() | goMode(bits), true
}

func chmod(p *process) int {
	args := p.args[1:]
	recursive, quiet := false, false
	for len(args) > 0 && (args[0] == "-R" || args[0] == "--" || args[0] == "-f") {
		recursive = recursive || args[0] == "-R"
		quiet = quiet || args[0] == "-f"
		args = args[1:]
	}
	reference := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "--reference=") {
		i, err := p.machine.fs.stat(p.cred, p.abs(strings.TrimPrefix(args[0], "--reference=")), true)
		if err != nil {
			return p.fail(1, "failed to get attributes of '%s': %s", strings.TrimPrefix(args[0], "--reference="), strerror(err))
		}
		reference = strconv.FormatUint(uint64(unixMode(i.mode)), 8)
		args[0] = reference
	}
	if len(args) < 2 {
		return p.fail(1, "missing operand")
	}
	return p.each(args[1:], recursive, func(name string) int {
		i, err := p.machine.fs.stat(p.cred, p.abs(name), true)
		if err != nil {
			if quiet {
				return 1
			}
			return p.cannot("access", name, err)
		}
		mode, ok := symbolicMode(i.mode, args[0], p.umask)
		if !ok {
			return p.fail(1, "invalid mode: '%s'", args[0])
		}
		if err := p.machine.fs.chmod(p.cred, p.abs(name), mode); err != nil {
			return p.fail(1, "changing permissions of '%s': %s", name, strerror(err))
		}
		return 0
	})
}

// each calls do for every name, and for what is below it.
func (p *process) each(names []string, recursive bool, do func(string) int) int {
	status := 0
	for _, name := range names {
		if s := do(name); s != 0 {
			status = s
			continue
		}
		if i, err := p.machine.fs.stat(p.cred, p.abs(name), false); recursive && err == nil && i.IsDir() {
			entries, _ := p.machine.fs.readDir(p.cred, p.abs(name))
			for _, e := range entries {
				if s := p.each([]string{name + "/" + e.name}, true, do); s != 0 {
					status = s
				}
			}
		}
	}
	return status
}

func chown(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-R -h -f -v --no-dereference --recursive", "--reference --from")
	if unknown != "" {
		return p.usage(unknown)
	}
	var uid, gid int
	if ref := set["--reference"]; ref != "" {
		i, err := p.machine.fs.stat(p.cred, p.abs(ref), true)
		if err != nil {
			return p.fail(1, "failed to get attributes of '%s': %s", ref, strerror(err))
		}
		uid, gid = int(i.uid), int(i.gid)
	} else {
		if len(args) < 2 {
			return p.fail(1, "missing operand")
		}
		user, group, both := strings.Cut(args[0], ":")
		if !both {
			user, group, _ = strings.Cut(args[0], ".")
		}
		var ok bool
		if uid, gid, ok = p.owner(user, group); !ok {
			return p.fail(1, "invalid user: '%s'", args[0])
		}
		args = args[1:]
	}
	return p.giveTo(set, args, "ownership", uid, gid)
}

func chgrp(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-R -h -f", "")
	if unknown != "" || len(args) < 2 {
		return p.usage(unknown)
	}
	_, gid, ok := p.owner("", args[0])
	if !ok {
		return p.fail(1, "invalid group: '%s'", args[0])
	}
	return p.giveTo(set, args[1:], "group", -1, gid)
}

func (p *process) giveTo(set map[string]string, names []string, what string, uid, gid int) int {
	return p.each(names, isSet(set, "-R", "--recursive"), func(name string) int {
		if _, err := p.machine.fs.stat(p.cred, p.abs(name), false); err != nil {
			return p.cannot("access", name, err)
		}
		if err := p.machine.fs.chown(p.cred, p.abs(name), !isSet(set, "-h", "--no-dereference"), uid, gid); err != nil {
			verb := "changing " + what + " of"
			return p.fail(1, "%s '%s': %s", verb, name, strerror(err))
		}
		return 0
	})
}

// owner turns names or numbers into ids; -1 for an empty one.
func (p *process) owner(user, group string) (uid, gid int, ok bool) {
	uid, gid = -1, -1
	if user != "" {
		if uid, ok = p.machine.lookupID("/etc/passwd", user); !ok {
			return 0, 0, false
		}
	}
	if group != "" {
		if gid, ok = p.machine.lookupID("/etc/group", group); !ok {
			return 0, 0, false
		}
	}
	return uid, gid, true
}

func (m *Machine) lookupID(file, name string) (int, bool) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, true
	}
	text, _ := m.ReadFile(file)
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			n, err := strconv.Atoi(f[2])
			return n, err == nil
		}
	}
	return 0, false
}

func (m *Machine) nameOf(file string, id uint32) string {
	text, _ := m.ReadFile(file)
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(int(id)) {
			return f[0]
		}
	}
	return ""
}

func (m *Machine) userName(uid uint32) string {
	if name := m.nameOf("/etc/passwd", uid); name != "" {
		return name
	}
	return "UNKNOWN"
}

func (m *Machine) groupName(gid uint32) string {
	if name := m.nameOf("/etc/group", gid); name != "" {
		return name
	}
	return "UNKNOWN"
}
