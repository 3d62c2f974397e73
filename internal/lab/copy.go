package lab

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

func cp(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-p -a -f -r -R -T -P -d -v -n --archive --force --remove-destination", "--preserve --no-preserve -t --reflink")
	if unknown != "" {
		return p.usage(unknown)
	}
	if len(args) < 2 {
		return p.fail(1, "missing destination file operand")
	}
	to := args[len(args)-1]
	i, err := p.machine.fs.stat(p.cred, p.abs(to), true)
	intoDir := err == nil && i.IsDir() && !isSet(set, "-T")
	if len(args) > 2 && !intoDir {
		return p.fail(1, "target '%s' is not a directory", to)
	}
	keep := isSet(set, "-p", "-a", "--archive", "--preserve")
	status := 0
	for _, from := range args[:len(args)-1] {
		dest := to
		if intoDir {
			dest = strings.TrimSuffix(to, "/") + "/" + path.Base(from)
		}
		if s := p.copyTree(from, dest, keep, isSet(set, "-r", "-R", "-a", "--archive"), isSet(set, "-P", "-d", "-a", "--archive")); s != 0 {
			status = s
		}
	}
	return status
}

func (p *process) copyTree(from, dest string, keep, recursive, links bool) int {
	f := p.machine.fs
	i, err := f.stat(p.cred, p.abs(from), !links)
	if err != nil {
		return p.cannot("stat", from, err)
	}
	switch {
	case i.IsDir() && !recursive:
		return p.fail(1, "-r not specified; omitting directory '%s'", from)
	case i.IsDir():
		if err := f.mkdir(p.cred, p.abs(dest), i.mode.Perm()&^p.umask|0o700); err != nil && !errors.Is(err, syscall.EEXIST) {
			return p.cannot("create directory", dest, err)
		}
		entries, err := f.readDir(p.cred, p.abs(from))
		if err != nil {
			return p.cannot("access", from, err)
		}
		status := 0
		for _, e := range entries {
			if s := p.copyTree(from+"/"+e.name, dest+"/"+e.name, keep, true, links); s != 0 {
				status = s
			}
		}
		p.keepAttributes(i, dest, keep)
		return status
	case i.mode&fs.ModeSymlink != 0:
		_ = f.remove(p.cred, p.abs(dest), false)
		if err := f.symlink(p.cred, i.target, p.abs(dest)); err != nil {
			return p.fail(1, "cannot create symbolic link '%s': %s", dest, strerror(err))
		}
		return 0
	}
	if d, err := f.stat(p.cred, p.abs(dest), true); err == nil && d.ino == i.ino {
		return p.fail(1, "'%s' and '%s' are the same file", from, dest)
	}
	if _, err := p.open(from, os.O_RDONLY, 0); err != nil {
		return p.fail(1, "cannot open '%s' for reading: %s", from, strerror(err))
	}
	if err := p.copyFile(from, dest, i.mode.Perm()); err != nil {
		return p.fail(1, "cannot create regular file '%s': %s", dest, strerror(err))
	}
	p.keepAttributes(i, dest, keep)
	return 0
}

// keepAttributes gives dest owner, mode and time of i, as far as c may.
func (p *process) keepAttributes(i info, dest string, keep bool) {
	if !keep {
		return
	}
	f := p.machine.fs
	_ = f.chown(p.cred, p.abs(dest), true, int(i.uid), int(i.gid))
	_ = f.chmod(p.cred, p.abs(dest), i.mode)
	_ = f.touch(p.cred, p.abs(dest), i.mtime)
}

func mv(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-f -n -T -v --force --no-target-directory", "-t")
	if unknown != "" {
		return p.usage(unknown)
	}
	if len(args) < 2 {
		return p.fail(1, "missing destination file operand")
	}
	to := args[len(args)-1]
	i, err := p.machine.fs.stat(p.cred, p.abs(to), true)
	intoDir := err == nil && i.IsDir() && !isSet(set, "-T", "--no-target-directory")
	status := 0
	for _, from := range args[:len(args)-1] {
		dest := to
		if intoDir {
			dest = strings.TrimSuffix(to, "/") + "/" + path.Base(from)
		}
		if _, err := p.machine.fs.stat(p.cred, p.abs(from), false); err != nil {
			status = p.cannot("stat", from, err)
			continue
		}
		err := p.machine.fs.rename(p.cred, p.abs(from), p.abs(dest))
		if errors.Is(err, syscall.EXDEV) {
			if s := p.copyTree(from, dest, true, true, true); s != 0 {
				status = s
				continue
			}
			err = p.machine.fs.removeAll(p.cred, p.abs(from))
		}
		if err != nil {
			status = p.fail(1, "cannot move '%s' to '%s': %s", from, dest, strerror(err))
		}
	}
	return status
}

func installProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-d -D -T -p -v -c -C --directory", "-m -o -g --mode --owner --group -t")
	if unknown != "" {
		return p.usage(unknown)
	}
	perm := fs.FileMode(0o755)
	if mode := set["-m"] + set["--mode"]; mode != "" {
		m, ok := symbolicMode(0, mode, 0)
		if !ok {
			return p.fail(1, "invalid mode '%s'", mode)
		}
		perm = m
	}
	finish := func(name string) int {
		uid, gid, ok := p.owner(set["-o"]+set["--owner"], set["-g"]+set["--group"])
		if !ok {
			return p.fail(1, "invalid user '%s'", set["-o"]+set["--owner"])
		}
		if err := p.machine.fs.chown(p.cred, p.abs(name), true, uid, gid); err != nil {
			return p.fail(1, "cannot change ownership of '%s': %s", name, strerror(err))
		}
		if err := p.machine.fs.chmod(p.cred, p.abs(name), perm); err != nil {
			return p.fail(1, "cannot change permissions of '%s': %s", name, strerror(err))
		}
		return 0
	}
	if isSet(set, "-d", "--directory") {
		for _, arg := range args {
			if err := p.mkdirs(p.abs(arg), perm); err != nil {
				return p.fail(1, "cannot create directory '%s': %s", arg, strerror(err))
			}
			if s := finish(arg); s != 0 {
				return s
			}
		}
		return 0
	}
	if len(args) != 2 {
		return p.fail(1, "missing destination file operand")
	}
	from, to := args[0], args[1]
	if i, err := p.machine.fs.stat(p.cred, p.abs(to), true); err == nil && i.IsDir() {
		to = strings.TrimSuffix(to, "/") + "/" + path.Base(from)
	}
	if isSet(set, "-D") {
		_ = p.mkdirs(path.Dir(p.abs(to)), 0o755)
	}
	data, err := p.inputAll(from)
	if err != nil {
		return p.fail(1, "cannot stat '%s': %s", from, strerror(err))
	}
	_ = p.machine.fs.remove(p.cred, p.abs(to), false)
	if err := p.writeFile(to, data, 0o600); err != nil {
		return p.fail(1, "cannot create regular file '%s': %s", to, strerror(err))
	}
	return finish(to)
}

// inputAll reads a file, or the standard input for - and /dev/stdin.
func (p *process) inputAll(name string) ([]byte, error) {
	if name == "/dev/stdin" {
		name = "-"
	}
	in, err := p.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// dd copies if= to of= in blocks; it knows what scripts use.
func dd(p *process) int {
	v := map[string]string{}
	for _, arg := range p.args[1:] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return p.lacks(arg)
		}
		v[name] = value
		switch name {
		case "if", "of", "bs", "count", "status", "conv", "oflag", "iflag", "skip":
		default:
			return p.lacks(arg)
		}
	}
	var in io.Reader = strings.NewReader("")
	if v["if"] != "" {
		h, err := p.open(v["if"], os.O_RDONLY, 0)
		if err != nil {
			return p.fail(1, "failed to open '%s': %s", v["if"], strerror(err))
		}
		defer h.Close()
		in = h
	} else if p.stdin != nil {
		in = p.stdin
	}
	bs, ok := byteSize(v["bs"], 512)
	count, err := strconv.ParseInt(v["count"]+map[bool]string{true: "-1"}[v["count"] == ""], 10, 64)
	skip, _ := strconv.ParseInt("0"+v["skip"], 10, 64)
	if !ok || err != nil {
		return p.fail(1, "invalid number: '%s'", v["bs"]+v["count"])
	}
	flags := strings.Split(v["conv"]+","+v["iflag"]+","+v["oflag"], ",")
	has := func(f string) bool {
		for _, flag := range flags {
			if flag == f {
				return true
			}
		}
		return false
	}
	out := p.stdout
	if v["of"] != "" {
		flag := os.O_WRONLY | os.O_CREATE
		if !has("notrunc") {
			flag |= os.O_TRUNC
		}
		if has("excl") {
			flag |= os.O_EXCL
		}
		h, err := p.open(v["of"], flag, 0o666)
		if err != nil {
			return p.fail(1, "failed to open '%s': %s", v["of"], strerror(err))
		}
		defer h.Close()
		out = h
	}
	_, _ = io.CopyN(io.Discard, in, skip*bs)
	var n int64
	switch {
	case count < 0:
		n, err = io.Copy(out, in)
	case has("count_bytes"):
		n, err = io.CopyN(out, in, count)
	default:
		n, err = io.CopyN(out, in, count*bs)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return p.fail(1, "error writing: %s", strerror(err))
	}
	if v["status"] != "none" {
		_, _ = io.WriteString(p.stderr, strconv.FormatInt(n, 10)+" bytes copied\n")
	}
	return 0
}

// byteSize reads 512, 4k, 1M.
func byteSize(s string, otherwise int64) (int64, bool) {
	if s == "" {
		return otherwise, true
	}
	unit := int64(1)
	switch s[len(s)-1] {
	case 'k', 'K':
		unit, s = 1<<10, s[:len(s)-1]
	case 'M':
		unit, s = 1<<20, s[:len(s)-1]
	case 'c':
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err == nil && n > 0
}
