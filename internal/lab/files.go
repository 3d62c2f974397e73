package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cannot prints "PROGRAM: cannot VERB 'NAME': why", as coreutils do.
func (p *process) cannot(verb, name string, err error) int {
	return p.fail(1, "cannot %s '%s': %s", verb, name, strerror(err))
}

func (p *process) usage(unknown string) int {
	if strings.HasPrefix(unknown, "--") {
		return p.lacks(unknown)
	}
	return p.lacks(unknown)
}

func (p *process) names(uid, gid uint32) (user, group string) {
	return p.machine.userName(uid), p.machine.groupName(gid)
}

func ls(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-l -a -A -d -1 -n -i -h -L --all --directory --almost-all", "--color --time-style")
	if unknown != "" {
		return p.usage(unknown)
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	status := 0
	show := func(i info) {
		name := i.name
		if isSet(set, "-i") {
			p.printf("%d ", i.ino)
		}
		if !isSet(set, "-l", "-n") {
			p.println(name)
			return
		}
		user, group := p.names(i.uid, i.gid)
		if isSet(set, "-n") {
			user, group = strconv.Itoa(int(i.uid)), strconv.Itoa(int(i.gid))
		}
		if i.target != "" && i.mode&fs.ModeSymlink != 0 {
			name += " -> " + i.target
		}
		p.printf("%s 1 %s %s %d %s %s\n", lsMode(i.mode), user, group, i.size, i.mtime.UTC().Format("Jan _2 15:04"), name)
	}
	slices.Sort(args)
	for n, arg := range args {
		i, err := p.machine.fs.stat(p.cred, p.abs(arg), !isSet(set, "-l", "-d", "-n") || strings.HasSuffix(arg, "/") || isSet(set, "-L"))
		if err != nil {
			status = p.fail(2, "cannot access '%s': %s", arg, strerror(err))
			continue
		}
		if !i.IsDir() || isSet(set, "-d", "--directory") {
			i.name = arg
			show(i)
			continue
		}
		entries, err := p.machine.fs.readDir(p.cred, p.abs(arg))
		if err != nil {
			status = p.fail(2, "cannot open directory '%s': %s", arg, strerror(err))
			continue
		}
		if len(args) > 1 {
			if n > 0 {
				p.println()
			}
			p.printf("%s:\n", arg)
		}
		if isSet(set, "-l") {
			p.printf("total %d\n", 4*len(entries))
		}
		for _, e := range entries {
			if e.name[0] != '.' || isSet(set, "-a", "-A", "--all", "--almost-all") {
				show(e)
			}
		}
	}
	return status
}

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

func rm(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-r -R -f -v -d --recursive --force --one-file-system --preserve-root", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	force := isSet(set, "-f", "--force")
	if len(args) == 0 && !force {
		return p.fail(1, "missing operand")
	}
	status := 0
	for _, arg := range args {
		i, err := p.machine.fs.stat(p.cred, p.abs(arg), false)
		switch {
		case errors.Is(err, syscall.ENOENT) && force, errors.Is(err, syscall.ENOTDIR) && force:
			continue
		case err == nil && i.IsDir() && isSet(set, "-r", "-R", "--recursive"):
			err = p.removeAll(p.abs(arg))
		case err == nil && i.IsDir():
			err = syscall.EISDIR
		case err == nil:
			err = p.machine.fs.remove(p.cred, p.abs(arg), false)
		}
		if err != nil {
			status = p.cannot("remove", arg, err)
		}
	}
	return status
}

func (p *process) removeAll(name string) error {
	i, err := p.machine.fs.stat(p.cred, name, false)
	if err != nil {
		return err
	}
	if !i.IsDir() {
		return p.machine.fs.remove(p.cred, name, false)
	}
	entries, err := p.machine.fs.readDir(p.cred, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.removeAll(name + "/" + e.name); err != nil {
			return err
		}
	}
	return p.machine.fs.remove(p.cred, name, true)
}

func rmdir(p *process) int {
	status := 0
	for _, arg := range p.args[1:] {
		if arg == "--" {
			continue
		}
		if err := p.machine.fs.remove(p.cred, p.abs(arg), true); err != nil {
			status = p.fail(1, "failed to remove '%s': %s", arg, strerror(err))
		}
	}
	return status
}

func mkdir(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-p -v --parents", "-m --mode -Z")
	if unknown != "" {
		return p.usage(unknown)
	}
	perm := 0o777 &^ p.umask
	if mode := set["-m"] + set["--mode"]; mode != "" {
		m, ok := symbolicMode(fs.ModeDir|0o777, mode, p.umask)
		if !ok {
			return p.fail(1, "invalid mode '%s'", mode)
		}
		perm = m &^ fs.ModeType
	}
	if len(args) == 0 {
		return p.fail(1, "missing operand")
	}
	status := 0
	for _, arg := range args {
		var err error
		if isSet(set, "-p", "--parents") {
			err = p.mkdirs(p.abs(arg), perm)
		} else {
			err = p.machine.fs.mkdir(p.cred, p.abs(arg), perm)
		}
		if err != nil {
			status = p.fail(1, "cannot create directory '%s': %s", arg, strerror(err))
		}
	}
	return status
}

// mkdirs makes a directory with perm, and those above it as the umask says.
func (p *process) mkdirs(name string, perm fs.FileMode) error {
	if i, err := p.machine.fs.stat(p.cred, name, true); err == nil {
		if !i.IsDir() {
			return syscall.EEXIST
		}
		return nil
	}
	if up := path.Dir(path.Clean(name)); up != "/" {
		if err := p.mkdirs(up, 0o777&^p.umask|0o300); err != nil {
			return err
		}
	}
	return p.machine.fs.mkdir(p.cred, name, perm)
}

func ln(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-s -f -n -T -v --symbolic --force", "")
	if unknown != "" || len(args) != 2 {
		return p.usage(unknown)
	}
	target, name := args[0], p.abs(args[1])
	if i, err := p.machine.fs.stat(p.cred, name, !isSet(set, "-n", "-T")); err == nil && i.IsDir() && !isSet(set, "-T") {
		name += "/" + path.Base(target)
	}
	if isSet(set, "-f", "--force") {
		_ = p.machine.fs.remove(p.cred, name, false)
	}
	if isSet(set, "-s", "--symbolic") {
		if err := p.machine.fs.symlink(p.cred, target, name); err != nil {
			return p.fail(1, "failed to create symbolic link '%s': %s", args[1], strerror(err))
		}
		return 0
	}
	if err := p.machine.fs.link(p.cred, p.abs(target), name); err != nil {
		if _, gone := p.machine.fs.stat(p.cred, p.abs(target), false); gone != nil {
			return p.fail(1, "failed to access '%s': %s", target, strerror(gone))
		}
		return p.fail(1, "failed to create hard link '%s': %s", args[1], strerror(err))
	}
	return 0
}

func touch(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-c -a -m --no-create", "-d -t -r")
	if unknown != "" {
		return p.usage(unknown)
	}
	status := 0
	for _, arg := range args {
		if _, err := p.machine.fs.stat(p.cred, p.abs(arg), true); errors.Is(err, syscall.ENOENT) {
			if isSet(set, "-c", "--no-create") {
				continue
			}
			h, err := p.open(arg, os.O_WRONLY|os.O_CREATE, 0o666)
			if err != nil {
				status = p.fail(1, "cannot touch '%s': %s", arg, strerror(err))
				continue
			}
			_ = h.Close()
		} else if err == nil {
			err = p.machine.fs.touch(p.cred, p.abs(arg), time.Now())
			if err != nil {
				status = p.fail(1, "cannot touch '%s': %s", arg, strerror(err))
			}
		} else {
			status = p.fail(1, "cannot touch '%s': %s", arg, strerror(err))
		}
	}
	return status
}

func mktemp(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-d -q -u -t --directory", "-p --tmpdir --suffix")
	if unknown != "" {
		return p.usage(unknown)
	}
	dir := set["-p"] + set["--tmpdir"]
	template := "tmp.XXXXXXXXXX"
	if len(args) > 0 {
		template = args[0]
	} else if dir == "" {
		dir = "/tmp"
		if t := p.getenv("TMPDIR"); t != "" {
			dir = t
		}
	}
	stem := strings.TrimRight(template, "X")
	n := len(template) - len(stem)
	if n < 3 {
		return p.fail(1, "too few X's in template '%s'", template)
	}
	b := make([]byte, n)
	_, _ = randomBytes(b)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[int(b[i])%62]
	}
	name := stem + string(b) + set["--suffix"]
	if dir != "" {
		name = strings.TrimSuffix(dir, "/") + "/" + name
	}
	if isSet(set, "-d", "--directory") {
		if err := p.machine.fs.mkdir(p.cred, p.abs(name), 0o700); err != nil {
			return p.fail(1, "failed to create directory via template '%s': %s", template, strerror(err))
		}
	} else {
		h, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return p.fail(1, "failed to create file via template '%s': %s", template, strerror(err))
		}
		_ = h.Close()
	}
	p.println(name)
	return 0
}

func readlink(p *process) int {
	program := p.args[0]
	set, args, unknown := permuted(p.args[1:], "-f -e -m -n -q -s -z --canonicalize", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	status := 0
	for _, arg := range args {
		var text string
		var err error
		switch {
		case path.Base(program) == "realpath" || isSet(set, "-f", "-e", "-m", "--canonicalize"):
			text, err = p.machine.fs.realpath(p.cred, p.abs(arg))
			if err == nil && isSet(set, "-e") {
				_, err = p.machine.fs.stat(p.cred, text, true)
			}
			if isSet(set, "-m") && err != nil {
				text, err = path.Clean(p.abs(arg)), nil
			}
			if err != nil && path.Base(program) == "realpath" {
				p.fail(1, "%s: %s", arg, strerror(err))
			}
		default:
			text, err = p.machine.fs.readlink(p.cred, p.abs(arg))
		}
		if err != nil {
			status = 1
			continue
		}
		p.print(text)
		if !isSet(set, "-n") {
			p.println()
		}
	}
	return status
}

func truncate(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-c", "-s --size")
	size, err := strconv.ParseInt(set["-s"]+set["--size"], 10, 64)
	if unknown != "" || err != nil {
		return p.usage(unknown + set["-s"])
	}
	for _, arg := range args {
		h, err := p.machine.fs.open(p.cred, p.abs(arg), os.O_WRONLY|os.O_CREATE, 0o666&^p.umask)
		if err == nil {
			err = h.truncate(size)
		}
		if err != nil {
			return p.fail(1, "cannot open '%s' for writing: %s", arg, strerror(err))
		}
	}
	return 0
}

func syncProgram(p *process) int {
	_, args, unknown := permuted(p.args[1:], "-d -f --data --file-system", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	for _, arg := range args {
		if _, err := p.machine.fs.stat(p.cred, p.abs(arg), true); err != nil {
			return p.fail(1, "error opening '%s': %s", arg, strerror(err))
		}
	}
	return 0
}

// copyFile copies content; the new file gets perm.
func (p *process) copyFile(from, to string, perm fs.FileMode) error {
	in, err := p.open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := p.open(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
