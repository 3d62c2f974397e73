package lab

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const (
	forkCall = "__lab_fork" // before a background job: gives it a process id
	exitCall = "__lab_exit" // at its end
)

// A builtin stands in for one of the interpreter's that would look at the
// real machine, or that it lacks.
type builtin func(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error

func findBuiltin(name string) builtin {
	switch name {
	case "command":
		return builtinCommand
	case "type":
		return builtinType
	case "umask":
		return builtinUmask
	case "ulimit":
		return builtinUlimit
	case "echo":
		return builtinEcho
	case "eval":
		return builtinEval
	case ".":
		return builtinDot
	case "pwd":
		return builtinPwd
	case "wait":
		return builtinWait
	case "times":
		return func(*shell, context.Context, interp.HandlerContext, []string) error { return nil }
	case "exec":
		return builtinExec
	case forkCall:
		return builtinFork
	case exitCall:
		return builtinExit
	}
	return nil
}

// bashOnly are builtins of the interpreter that dash lacks.
var bashOnly = []string{"source", "bind", "builtin", "caller", "compgen", "complete", "compopt", "declare",
	"typeset", "dirs", "disown", "enable", "history", "help", "let", "logout", "mapfile", "readarray",
	"popd", "pushd", "shopt", "suspend", "newgrp"}

// call sees every simple command before the interpreter does.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	if child := hc.Env.Get(childVar).String(); child != "" && args[0] != exitCall && s.machine.job(child) == nil {
		return nil, context.Canceled // a background job that was killed
	}
	switch name := args[0]; {
	case s.funcs[name]:
	case name == "command" && len(args) > 1 && !strings.HasPrefix(args[1], "-"):
		return s.call(ctx, args[1:])
	case name == "trap":
		return trapped(args), nil
	case name == "wait" && len(args) == 1, name == "pwd" && len(args) == 1, name == "exec" && len(args) == 1:
	case name == "kill", findBuiltin(name) != nil, slices.Contains(bashOnly, name):
		return append([]string{external + name}, args[1:]...), nil
	case (name == "[" || name == "test") && slices.Contains(args, "-ef"):
		if answer, ok := s.sameFile(hc, args); ok {
			return []string{answer}, nil
		}
	case name == "cd":
		if why := s.cannotEnter(hc, args); why != "" {
			fmt.Fprintf(hc.Stderr, "%s: %d: cd: %s\n", s.name, hc.Pos.Line(), why)
			return []string{"return", "2"}, nil
		}
	}
	return args, nil
}

// sameFile answers [ A -ef B ], for which the interpreter would ask the real
// machine's filesystem: it is "true" or "false".
func (s *shell) sameFile(hc interp.HandlerContext, args []string) (answer string, ok bool) {
	words := args[1:]
	if args[0] == "[" && words[len(words)-1] == "]" {
		words = words[:len(words)-1]
	}
	wanted := true
	if words[0] == "!" {
		wanted, words = false, words[1:]
	}
	if len(words) != 3 || words[1] != "-ef" {
		return "", false
	}
	a, errA := s.machine.fs.stat(s.cred, s.own(abs(hc.Dir, words[0])), true)
	b, errB := s.machine.fs.stat(s.cred, s.own(abs(hc.Dir, words[2])), true)
	same := errA == nil && errB == nil && a.ino == b.ino && a.dev == b.dev
	return map[bool]string{true: "true", false: "false"}[same == wanted], true
}

// cannotEnter says why cd would fail, in dash's words.
func (s *shell) cannotEnter(hc interp.HandlerContext, args []string) string {
	if len(args) != 2 || args[1] == "-" || args[1] == "" {
		return ""
	}
	p := path.Clean(abs(hc.Dir, args[1]))
	i, err := s.machine.fs.stat(s.cred, p, true)
	if err != nil || !i.IsDir() || s.machine.fs.access(s.cred, p, 1) != nil {
		return "can't cd to " + args[1]
	}
	return ""
}

// trapped leaves of a trap what the interpreter knows: EXIT. Signals that
// end a process of a practice host run no traps.
func trapped(args []string) []string {
	var kept []string
	for i, arg := range args {
		switch {
		case i == 0, i == 1 && len(args) > 2:
			kept = append(kept, arg)
		case arg == "0", arg == "EXIT":
			kept = append(kept, "EXIT")
		}
	}
	if len(args) > 1 && !slices.Contains(kept, "EXIT") {
		return []string{"true"}
	}
	return kept
}

// builtinCommand is command -v and command -p.
func builtinCommand(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) < 2 {
		return nil
	}
	if args[1] == "-p" || args[1] == "--" {
		return s.exec(ctx, args[2:])
	}
	if args[1] != "-v" && args[1] != "-V" {
		fmt.Fprintf(hc.Stderr, "%s: %d: command: Illegal option %s\n", s.name, hc.Pos.Line(), args[1])
		return interp.ExitStatus(2)
	}
	for _, name := range args[2:] {
		switch {
		case s.funcs[name], interp.IsBuiltin(name) && !slices.Contains(bashOnly, name) || syntax.IsKeyword(name):
			fmt.Fprintln(hc.Stdout, name)
			continue
		}
		file, status := s.lookPathIn(hc, name)
		if status != 0 {
			return interp.ExitStatus(127)
		}
		fmt.Fprintln(hc.Stdout, file)
	}
	return nil
}

func (s *shell) lookPathIn(hc interp.HandlerContext, name string) (string, int) {
	return s.machine.lookPath(s.cred, hc.Dir, hc.Env.Get("PATH").String(), name)
}

func builtinType(s *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	var result error
	for _, name := range args[1:] {
		file, status := s.lookPathIn(hc, name)
		switch {
		case s.funcs[name]:
			fmt.Fprintf(hc.Stdout, "%s is a shell function\n", name)
		case interp.IsBuiltin(name) && !slices.Contains(bashOnly, name):
			fmt.Fprintf(hc.Stdout, "%s is a shell builtin\n", name)
		case status == 0:
			fmt.Fprintf(hc.Stdout, "%s is %s\n", name, file)
		default:
			fmt.Fprintf(hc.Stdout, "%s: not found\n", name)
			result = interp.ExitStatus(127)
		}
	}
	return result
}

func builtinUmask(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) == 1 {
		fmt.Fprintf(hc.Stdout, "%04o\n", umaskOf(hc))
		return nil
	}
	mask, err := strconv.ParseUint(args[1], 8, 9)
	if err != nil {
		m, ok := symbolicMode(fs.ModeDir|fs.FileMode(0o777)&^umaskOf(hc), args[1], 0)
		if !ok {
			fmt.Fprintf(hc.Stderr, "%s: %d: umask: Illegal mode: %s\n", s.name, hc.Pos.Line(), args[1])
			return interp.ExitStatus(2)
		}
		mask = uint64(0o777 &^ m.Perm())
	}
	return hc.Builtin(ctx, []string{"eval", fmt.Sprintf("%s=%o", umaskVar, mask)})
}

func builtinUlimit(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) < 3 {
		fmt.Fprintln(hc.Stdout, "unlimited")
	}
	return nil
}

func builtinEcho(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	if _, err := io.WriteString(hc.Stdout, echoed(args[1:])); err != nil {
		return interp.ExitStatus(1)
	}
	return nil
}

func builtinEval(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	return s.evaluate(ctx, hc, strings.Join(args[1:], " "))
}

// evaluate runs a script in the shell that hc is of.
func (s *shell) evaluate(ctx context.Context, hc interp.HandlerContext, script string) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), s.name)
	changed := false
	if err == nil {
		changed, err = s.rewrite(file)
	}
	if err != nil {
		fmt.Fprintf(hc.Stderr, "%s: %s\n", s.name, syntaxError(err))
		return interp.ExitStatus(2)
	}
	if changed {
		var text strings.Builder
		if err := syntax.NewPrinter().Print(&text, file); err != nil {
			return err
		}
		script = text.String()
	}
	return hc.Builtin(ctx, []string{"eval", script})
}

func builtinDot(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) < 2 {
		return interp.ExitStatus(2)
	}
	file := args[1]
	if !strings.Contains(file, "/") {
		for dir := range strings.SplitSeq(hc.Env.Get("PATH").String(), ":") {
			if s.machine.fs.access(s.cred, path.Join(dir, file), 4) == nil {
				file = path.Join(dir, file)
				break
			}
		}
	}
	text, err := s.machine.fs.readFile(s.cred, abs(hc.Dir, file))
	if err != nil {
		fmt.Fprintf(hc.Stderr, "%s: %d: .: cannot open %s: %s\n", s.name, hc.Pos.Line(), args[1], noSuchFile(err))
		return interp.ExitStatus(2)
	}
	return s.evaluate(ctx, hc, string(text))
}

func builtinPwd(s *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	dir := hc.Dir
	if slices.Contains(args, "-P") {
		dir, _ = s.machine.fs.realpath(s.cred, dir)
	}
	fmt.Fprintln(hc.Stdout, dir)
	return nil
}

// builtinExec is exec PROGRAM…: no trap runs once the program has taken the
// shell's place.
func builtinExec(_ *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	_ = hc.Builtin(ctx, []string{"trap", "-", "EXIT"})
	return hc.Builtin(ctx, args)
}

func builtinFork(s *shell, ctx context.Context, hc interp.HandlerContext, _ []string) error {
	job := s.process.child(s.machine.life(), []string{s.name})
	s.machine.addJob(job)
	s.forked.Store(true)
	return hc.Builtin(ctx, []string{"eval", fmt.Sprintf("%s=%d", bangVar, job.pid)})
}

func builtinExit(s *shell, _ context.Context, hc interp.HandlerContext, _ []string) error {
	if job := s.machine.job(hc.Env.Get(childVar).String()); job != nil {
		job.end(hc.LastExitStatus)
	}
	return nil
}

// builtinWait is wait PID….
func builtinWait(s *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	var result error
	for _, pid := range args[1:] {
		status, ok := s.machine.wait(ctx, pid)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			status = 127
		}
		switch status {
		case 137:
			fmt.Fprintln(hc.Stderr, "Killed")
		case 143:
			fmt.Fprintln(hc.Stderr, "Terminated")
		}
		if result = nil; status != 0 {
			result = interp.ExitStatus(status)
		}
	}
	return result
}
