package lab

import (
	"errors"
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
			err = p.machine.fs.removeAll(p.cred, p.abs(arg))
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

// removeAll removes a file, or a folder with all that is in it.
func (f *filesystem) removeAll(c cred, name string) error {
	i, err := f.stat(c, name, false)
	if err != nil {
		return err
	}
	if !i.IsDir() {
		return f.remove(c, name, false)
	}
	entries, err := f.readDir(c, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := f.removeAll(c, name+"/"+e.name); err != nil {
			return err
		}
	}
	return f.remove(c, name, true)
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
