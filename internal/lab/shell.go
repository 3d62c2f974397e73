package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Variables that carry what a shell process has beside its variables: the
// interpreter copies variables into subshells, which is just what is needed.
const (
	pidVar   = "__lab_pid"
	ppidVar  = "__lab_ppid"
	bangVar  = "__lab_bang"  // $!
	childVar = "__lab_child" // the process id of a background job, in that job
	nameVar  = "__lab_name"  // $0
	umaskVar = "__lab_umask"
	maskDef  = 0o022
)

// external marks a command's name as one of a program, past the
// interpreter's own builtins. No word of a script holds a NUL.
const external = "\x00"

// sh is /bin/sh: sh [-eux] [-c SCRIPT [NAME [ARG…]] | -s [ARG…] | FILE [ARG…]].
func sh(p *process) int {
	name, args := p.args[0], p.args[1:]
	var script io.Reader
	var options []string
	command, stdin := false, false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for _, letter := range word[1:] {
			switch letter {
			case 'c':
				command = true
			case 's':
				stdin = true
			case 'e', 'u', 'x', 'f', 'n', 'a':
				options = append(options, word[:1]+string(letter))
			case 'l', 'i':
			default:
				return p.fail(2, "0: Illegal option %s%c", word[:1], letter)
			}
		}
	}
	switch {
	case command && len(args) == 0:
		return p.fail(2, "0: -c requires an argument")
	case command:
		script, args = strings.NewReader(args[0]), args[1:]
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	case stdin || len(args) == 0:
		script = p.stdin
	default:
		text, err := p.readFile(args[0])
		if err != nil {
			return p.fail(2, "0: cannot open %s: %s", args[0], noSuchFile(err))
		}
		name, args = args[0], args[1:]
		script = bytes.NewReader(text)
	}
	return p.interpret(name, script, options, args)
}

// noSuchFile is err as dash words it when a file cannot be opened.
func noSuchFile(err error) string {
	if errors.Is(err, syscall.ENOENT) {
		return "No such file"
	}
	return strerror(err)
}

// A shell is one run of the interpreter.
type shell struct {
	*process
	runner *interp.Runner
	name   string
	line   uint            // of the statement that runs; redirections do not tell theirs
	funcs  map[string]bool // names of functions that were parsed so far
	status int             // of the last statement
}

// newShell makes this process a shell. It reads no script yet.
func (p *process) newShell(name string, options, args []string) (*shell, error) {
	s := &shell{process: p, name: name, funcs: map[string]bool{}}
	vars := append(p.environ(),
		// The interpreter puts named pipes into TMPDIR, on the real machine.
		// No path has a NUL in it.
		"TMPDIR=/\x00",
		"UID="+strconv.Itoa(int(p.cred.uid)), "EUID="+strconv.Itoa(int(p.cred.uid)), "GID="+strconv.Itoa(int(p.cred.gid)),
		nameVar+"="+name,
		pidVar+"="+strconv.Itoa(p.pid), ppidVar+"="+strconv.Itoa(p.ppid), umaskVar+"="+strconv.FormatUint(uint64(p.umask), 8))
	if p.getenv("HOME") == "" {
		vars = append(vars, "HOME=/")
	}
	var err error
	s.runner, err = interp.New(
		interp.Env(expand.ListEnviron(vars...)),
		interp.Dir("/"),
		interp.Params(append(append(options, "--"), args...)...),
		interp.StdIO(p.stdin, p.stdout, p.stderr),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.OpenHandler(s.open),
		interp.StatHandler(s.stat),
		interp.AccessHandler(s.access),
		interp.ReadDirHandler2(s.readDir),
	)
	if err != nil {
		return nil, err
	}
	s.runner.Dir = p.dir // interp.Dir would look for it on the real machine
	tmpdir := "unset TMPDIR"
	if was := p.getenv("TMPDIR"); was != "" {
		tmpdir = "TMPDIR=" + quote(was)
	}
	s.runText(tmpdir)
	return s, nil
}

// interpret runs a script as this process and returns its exit status.
func (p *process) interpret(name string, script io.Reader, options, args []string) int {
	s, err := p.newShell(name, options, args)
	if err != nil {
		return p.fail(2, "0: %v", err)
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for stmt, err := range parser.StmtsSeq(script) {
		if p.ctx.Err() != nil {
			return 137
		}
		if err == nil {
			_, err = s.rewrite(stmt)
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "%s: %s\n", name, syntaxError(err))
			return 2
		}
		if !s.run(stmt) {
			return s.status
		}
	}
	s.runText("exit " + strconv.Itoa(s.status)) // for a trap on EXIT
	return s.status
}

// run runs a statement, and reports whether the shell goes on.
func (s *shell) run(stmt *syntax.Stmt) bool {
	s.line = stmt.Pos().Line()
	err := s.runner.Run(s.ctx, stmt)
	var exit interp.ExitStatus
	switch {
	case err == nil:
		s.status = 0
	case errors.As(err, &exit):
		s.status = int(exit)
	case s.ctx.Err() != nil:
		s.status = 137
		return false
	default:
		fmt.Fprintf(s.stderr, "%s: %v\n", s.name, err)
		s.status = 2
		return false
	}
	return !s.runner.Exited()
}

// runText runs a script that is all there.
func (s *shell) runText(script string) bool {
	file, err := s.parse(script)
	if err != nil {
		fmt.Fprintf(s.stderr, "%s: %s\n", s.name, syntaxError(err))
		s.status = 2
		return true
	}
	for _, stmt := range file.Stmts {
		if !s.run(stmt) {
			return false
		}
	}
	return true
}

func abs(dir, p string) string {
	if p == "" || strings.HasPrefix(p, "/") {
		return p
	}
	return dir + "/" + p
}

func (s *shell) open(ctx context.Context, p string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	h, err := s.machine.fs.open(s.cred, s.own(abs(hc.Dir, p)), flag, (perm|0o666)&^umaskOf(hc))
	if err != nil {
		doing := "cannot open"
		if flag&writing != 0 {
			doing = "cannot create"
		}
		text := strerror(err)
		if errors.Is(err, syscall.ENOENT) {
			text = "No such file"
			if flag&writing != 0 {
				text = "Directory nonexistent"
			}
		}
		return nil, &os.PathError{Op: fmt.Sprintf("%s: %d: %s", s.name, s.line, doing), Path: p, Err: errors.New(text)}
	}
	return h, nil
}

func umaskOf(hc interp.HandlerContext) fs.FileMode {
	mask, err := strconv.ParseUint(hc.Env.Get(umaskVar).String(), 8, 9)
	if err != nil {
		return maskDef
	}
	return fs.FileMode(mask)
}

func (s *shell) stat(_ context.Context, p string, follow bool) (fs.FileInfo, error) {
	i, err := s.machine.fs.stat(s.cred, s.own(p), follow)
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: p, Err: err}
	}
	return i, nil
}

func (s *shell) access(_ context.Context, p string, mode interp.AccessMode) error {
	return s.machine.fs.access(s.cred, s.own(p), fs.FileMode(mode))
}

func (s *shell) readDir(ctx context.Context, p string) ([]fs.DirEntry, error) {
	list, err := s.machine.fs.readDir(s.cred, s.own(abs(interp.HandlerCtx(ctx).Dir, p)))
	entries := make([]fs.DirEntry, len(list))
	for i := range list {
		entries[i] = list[i]
	}
	return entries, err
}

// exec runs a program of the practice host.
func (s *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	name, forced := strings.CutPrefix(args[0], external)
	args[0] = name
	if forced {
		if builtin := findBuiltin(name); builtin != nil {
			return builtin(s, ctx, hc, args)
		}
	}
	if child := hc.Env.Get(childVar).String(); child != "" {
		// In a background job, which has a process id of its own to be
		// killed by.
		job := s.machine.job(child)
		if job == nil {
			return context.Canceled
		}
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(job.ctx, stop)()
	}
	child := s.process.child(ctx, args)
	child.dir, child.umask = hc.Dir, umaskOf(hc)
	child.env = map[string]string{}
	for name, v := range hc.Env.Each {
		if v.Exported && v.Kind == expand.String && !strings.HasPrefix(name, "__lab_") {
			child.env[name] = v.String()
		} else if !v.IsSet() {
			delete(child.env, name)
		}
	}
	if child.env["TMPDIR"] == "/\x00" {
		delete(child.env, "TMPDIR")
	}
	for _, name := range []string{"UID", "EUID", "GID"} {
		if _, had := s.env[name]; !had {
			delete(child.env, name)
		}
	}
	child.stdin, child.stdout, child.stderr = hc.Stdin, hc.Stdout, hc.Stderr
	status := child.start(func(format string, a ...any) {
		fmt.Fprintf(hc.Stderr, "%s: %d: %s\n", s.name, hc.Pos.Line(), fmt.Sprintf(format, a...))
	})
	if sig, killed := killedBy(child.ctx); killed && ctx.Err() == nil {
		status = 128 + sig.number
	}
	child.exit()
	if child.died != "" {
		fmt.Fprintln(hc.Stderr, child.died)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case status == 0:
		return nil
	}
	return interp.ExitStatus(status)
}

// start finds the program that args name and runs it in this process.
func (p *process) start(complain func(string, ...any)) int {
	p.machine.register(p)
	name := p.args[0]
	search, ok := p.env["PATH"]
	if !ok {
		search = rootPath
	}
	file, status := p.machine.lookPath(p.cred, p.dir, search, name)
	switch status {
	case 127:
		p.machine.miss(name)
		complain("%s: not found", name)
		return 127
	case 126:
		complain("%s: Permission denied", name)
		return 126
	}
	return p.runFile(file, complain)
}

func (p *process) runFile(file string, complain func(string, ...any)) int {
	text, err := p.machine.fs.readFile(root, file)
	if err != nil {
		complain("%s: %s", p.args[0], strerror(err))
		return 126
	}
	if prog, ok := bytes.CutPrefix(text, []byte(elf)); ok {
		run := findProgram(strings.TrimSpace(string(prog)))
		if run == nil {
			p.machine.miss(path.Base(file))
			complain("%s: not found", p.args[0])
			return 127
		}
		defer p.stdinUntil()()
		return run(p)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.HasPrefix(line, []byte("#!")) && !bytes.HasSuffix(line, []byte("sh")) && !bytes.Contains(line, []byte("sh ")) {
		p.machine.miss(string(line))
		complain("%s: not found", p.args[0])
		return 127
	}
	return p.interpret(p.args[0], bytes.NewReader(text), nil, p.args[1:])
}

// stdinUntil makes reads of the standard input end with the process; what it
// returns takes that back.
func (p *process) stdinUntil() func() {
	pipe, ok := p.stdin.(*os.File)
	if !ok || pipe == nil {
		return func() {}
	}
	stop := context.AfterFunc(p.ctx, func() { _ = pipe.SetReadDeadline(time.Unix(1, 0)) })
	return func() {
		if !stop() {
			_ = pipe.SetReadDeadline(time.Time{}) // whoever reads on may
		}
	}
}

// lookPath finds a program as a shell does: the file, or 126 or 127.
func (m *Machine) lookPath(c cred, dir, search, name string) (string, int) {
	if strings.Contains(name, "/") {
		file := abs(dir, name)
		i, err := m.fs.stat(c, file, true)
		switch {
		case err != nil:
			return "", 127
		case i.IsDir() || m.fs.access(c, file, 1) != nil:
			return "", 126
		}
		return file, 0
	}
	status := 127
	for elem := range strings.SplitSeq(search, ":") {
		file := abs(dir, path.Join(elem, name))
		i, err := m.fs.stat(c, file, true)
		if err != nil || !i.mode.IsRegular() {
			continue
		}
		if m.fs.access(c, file, 1) == nil {
			return file, 0
		}
		status = 126
	}
	return "", status
}
