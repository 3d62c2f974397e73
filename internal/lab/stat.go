package lab

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

func statProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-L -f -t --dereference --file-system", "-c --format --printf")
	if unknown != "" {
		return p.usage(unknown)
	}
	format := set["-c"] + set["--format"]
	end := "\n"
	if f := set["--printf"]; f != "" {
		format, end = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(f), ""
	}
	if format == "" {
		format = "  File: %N\n  Size: %s\tInode: %i\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)"
	}
	status := 0
	for _, arg := range args {
		i, err := p.machine.fs.stat(p.cred, p.abs(arg), isSet(set, "-L", "-f", "--dereference"))
		if err != nil {
			if isSet(set, "-f") {
				status = p.fail(1, "cannot read file system information for '%s': %s", arg, strerror(err))
				continue
			}
			status = p.cannot("statx", arg, err)
			continue
		}
		i.name = arg
		var text string
		if isSet(set, "-f", "--file-system") {
			text, err = p.formatStatFS(format, arg)
		} else {
			text, err = p.formatStat(format, i)
		}
		if err != nil {
			return p.lacks(err.Error())
		}
		p.print(text + end)
	}
	return status
}

// expandPercent replaces each %x of a format.
func expandPercent(format string, value func(byte) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		v, ok := value(format[i])
		if !ok {
			return "", fmt.Errorf("%%%c", format[i])
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

func fileType(i info) string {
	switch {
	case i.IsDir():
		return "directory"
	case i.mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case i.mode&fs.ModeCharDevice != 0:
		return "character special file"
	case i.mode&fs.ModeDevice != 0:
		return "block special file"
	case i.size == 0:
		return "regular empty file"
	}
	return "regular file"
}

func (p *process) formatStat(format string, i info) (string, error) {
	user, group := p.names(i.uid, i.gid)
	return expandPercent(format, func(c byte) (string, bool) {
		switch c {
		case '%':
			return "%", true
		case 'a':
			return strconv.FormatUint(uint64(unixMode(i.mode)), 8), true
		case 'A':
			return lsMode(i.mode), true
		case 'f':
			return strconv.FormatUint(uint64(unixMode(i.mode)|typeBits(i.mode)), 16), true
		case 'F':
			return fileType(i), true
		case 'u':
			return strconv.Itoa(int(i.uid)), true
		case 'g':
			return strconv.Itoa(int(i.gid)), true
		case 'U':
			return user, true
		case 'G':
			return group, true
		case 's':
			return strconv.FormatInt(i.size, 10), true
		case 'n':
			return i.name, true
		case 'N':
			if i.target != "" && i.mode&fs.ModeSymlink != 0 {
				return "'" + i.name + "' -> '" + i.target + "'", true
			}
			return "'" + i.name + "'", true
		case 'i':
			return strconv.FormatUint(i.ino, 10), true
		case 'd':
			major, minor, _ := strings.Cut(i.dev, ":")
			a, _ := strconv.Atoi(major)
			b, _ := strconv.Atoi(minor)
			return strconv.Itoa(a<<8 | b), true
		case 'h':
			return "1", true
		case 'X', 'Y', 'Z':
			return strconv.FormatInt(i.mtime.Unix(), 10), true
		case 'x', 'y', 'z':
			return i.mtime.UTC().Format("2006-01-02 15:04:05.000000000 -0700"), true
		case 'm':
			return p.machine.mountOf(p.abs(i.name)).point, true
		case 'C':
			return "?", true
		}
		return "", false
	})
}

// mountOf is the mount that holds a path.
func (m *Machine) mountOf(name string) mount {
	m.fs.mu.Lock()
	defer m.fs.mu.Unlock()
	at, err := m.fs.walk(root, name, true, false)
	if err != nil {
		return *m.fs.topAt("/")
	}
	return *at.mount
}

// space is a filesystem's size, and what is free of it, in bytes.
func (m *Machine) space(mt mount) (size, free int64) {
	switch mt.kind {
	case "ext4":
		return m.spec.disk, m.spec.disk * 7 / 10
	case "nfs", "nfs4":
		return 8 << 40, 5 << 40
	case "tmpfs":
		return m.spec.memory / 5, m.spec.memory / 5
	}
	return 0, 0
}

func (p *process) formatStatFS(format, name string) (string, error) {
	mt := p.machine.mountOf(p.abs(name))
	size, free := p.machine.space(mt)
	return expandPercent(format, func(c byte) (string, bool) {
		switch c {
		case '%':
			return "%", true
		case 'S', 's':
			return "4096", true
		case 'b':
			return strconv.FormatInt(size/4096, 10), true
		case 'f', 'a':
			return strconv.FormatInt(free/4096, 10), true
		case 'T':
			return map[string]string{"ext4": "ext2/ext3", "nfs4": "nfs"}[mt.kind] + map[bool]string{true: mt.kind}[mt.kind != "ext4" && mt.kind != "nfs4"], true
		case 'n':
			return name, true
		case 'c':
			return strconv.FormatInt(size/16384, 10), true
		case 'd':
			return strconv.FormatInt(free/16384, 10), true
		case 't':
			return map[string]string{"ext4": "ef53", "nfs": "6969", "nfs4": "6969", "tmpfs": "1021994"}[mt.kind], true
		case 'N':
			return "'" + name + "'", true
		}
		return "", false
	})
}

func df(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-P -k -h -T -l -a -i --portability", "-B -t -x --output --block-size")
	if unknown != "" {
		return p.usage(unknown)
	}
	unit, title := int64(1024), "1024-blocks"
	if !isSet(set, "-P", "--portability") {
		title = "1K-blocks"
	}
	switch set["-B"] + set["--block-size"] {
	case "":
	case "1":
		unit, title = 1, "1B-blocks"
	case "1M", "M":
		unit, title = 1<<20, "1M-blocks"
	default:
		return p.lacks("-B " + set["-B"])
	}
	var list []mount
	status := 0
	for _, arg := range args {
		if _, err := p.machine.fs.stat(p.cred, p.abs(arg), true); err != nil {
			status = p.fail(1, "%s: %s", arg, strerror(err))
			continue
		}
		list = append(list, p.machine.mountOf(p.abs(arg)))
	}
	if len(args) == 0 {
		for _, m := range p.machine.fs.mounted() {
			if size, _ := p.machine.space(m); size > 0 {
				list = append(list, m)
			}
		}
	}
	if len(list) == 0 {
		return status
	}
	if isSet(set, "--output") {
		return p.lacks("--output")
	}
	rows := [][]string{{"Filesystem", title, "Used", "Available", "Capacity", "Mounted on"}}
	for _, m := range list {
		size, free := p.machine.space(m)
		percent := int64(0)
		if size > 0 {
			percent = (size - free) * 100 / size
		}
		rows = append(rows, []string{m.source, strconv.FormatInt(size/unit, 10), strconv.FormatInt((size-free)/unit, 10), strconv.FormatInt(free/unit, 10), strconv.FormatInt(percent, 10) + "%", m.point})
	}
	p.printTable(rows, false, false)
	return status
}
