package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// A process is a running program of a practice host: a goroutine that has a
// process id, a user, and no way to the real machine.
type process struct {
	machine *Machine
	session *session
	ctx     context.Context // ends when the process is killed
	kill    context.CancelCauseFunc

	pid, ppid, group int
	sid              int      // of its session
	cgroup           string   // empty: that of a login
	files            []string // that it has open beside the first three
	cred             cred
	args             []string
	env              map[string]string
	dir              string
	umask            fs.FileMode
	apart            *namespace // where it mounts; nil: the host's
	stdin            io.Reader
	stdout, stderr   io.Writer

	died   string      // what its shell says of its end, where a signal ended it
	forked atomic.Bool // it has background jobs, which live in its context

	// Of a background job.
	ended  sync.Once
	done   chan struct{}
	status int
}

// A session is what one exec request started. It lives on as long as it has
// background jobs.
type session struct {
	jobs atomic.Int32 // and one for the foreground
	over func()
}

func (s *session) leave() {
	if s.jobs.Add(-1) == 0 {
		s.over()
	}
}

// A signal is what a process was killed with.
type signal struct {
	number int
	name   string // "KILL"
}

func (s signal) Error() string { return "killed by SIG" + s.name }

var signals = []signal{{1, "HUP"}, {2, "INT"}, {3, "QUIT"}, {6, "ABRT"}, {9, "KILL"}, {13, "PIPE"}, {14, "ALRM"}, {15, "TERM"}, {18, "CONT"}, {19, "STOP"}}

func findSignal(name string) (signal, bool) {
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	for _, s := range signals {
		if s.name == name || strconv.Itoa(s.number) == name {
			return s, true
		}
	}
	return signal{}, name == "0"
}

// child makes a process of the same user, group and session. Others see it
// when it starts.
func (p *process) child(ctx context.Context, args []string) *process {
	c := &process{machine: p.machine, session: p.session, ppid: p.pid, group: p.group, sid: p.sid, cgroup: p.cgroup, cred: p.cred, args: args,
		env: p.env, dir: p.dir, umask: p.umask, apart: p.apart, stdin: p.stdin, stdout: p.stdout, stderr: p.stderr}
	c.ctx, c.kill = context.WithCancelCause(ctx)
	c.become(p.cred)
	p.machine.allot(c)
	return c
}

// become makes the process one of a user.
func (p *process) become(c cred) {
	c.hang = func() { <-p.ctx.Done() }
	p.cred = c
}

// run runs the program that args name as a child, found as execvp does.
func (p *process) run(ctx context.Context, args []string) int {
	c := p.child(ctx, args)
	defer c.exit()
	return c.start(func(format string, a ...any) {
		fmt.Fprintf(p.stderr, "%s: %s\n", p.args[0], fmt.Sprintf(format, a...))
	})
}

// exit takes the process from the table.
func (p *process) exit() {
	p.machine.unregister(p)
	if !p.forked.Load() {
		p.kill(nil)
	}
}

// end is the end of a background job.
func (p *process) end(status int) {
	p.ended.Do(func() {
		p.status = status
		close(p.done)
		p.kill(nil)
		p.session.leave()
	})
}

// killedBy is the signal that ended the process, if one did.
func killedBy(ctx context.Context) (signal, bool) {
	s, ok := errors.AsType[signal](context.Cause(ctx))
	return s, ok
}

func (p *process) getenv(name string) string { return p.env[name] }

func (p *process) environ() []string { return environ(p.env) }

func environ(vars map[string]string) []string {
	var list []string
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

func (p *process) abs(name string) string { return p.own(abs(p.dir, name)) }

// fail prints a message in the manner of the program, and returns status.
func (p *process) fail(status int, format string, a ...any) int {
	fmt.Fprintf(p.stderr, "%s: %s\n", p.args[0], fmt.Sprintf(format, a...))
	return status
}

// lacks says that this imitation has no such option; tests look for it.
func (p *process) lacks(what string) int {
	p.machine.miss(p.args[0] + " " + what)
	return p.fail(2, "the practice host knows no %q here", what)
}

func (p *process) print(a ...any)                 { fmt.Fprint(p.stdout, a...) }
func (p *process) printf(format string, a ...any) { fmt.Fprintf(p.stdout, format, a...) }
func (p *process) println(a ...any)               { fmt.Fprintln(p.stdout, a...) }

// open opens a path as this process.
func (p *process) open(name string, flag int, perm fs.FileMode) (*file, error) {
	h, err := p.machine.fs.open(p.cred, p.abs(name), flag, perm&^p.umask)
	return h, err
}

func (p *process) readFile(name string) ([]byte, error) {
	h, err := p.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return io.ReadAll(h)
}

func (p *process) writeFile(name string, data []byte, perm fs.FileMode) error {
	h, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = h.Write(data)
	return errors.Join(err, h.Close())
}

// input is the file an operand names, or the standard input for "-".
func (p *process) input(name string) (io.ReadCloser, error) {
	if name != "-" {
		return p.open(name, os.O_RDONLY, 0)
	}
	if p.stdin == nil {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return io.NopCloser(p.stdin), nil
}

// options takes the leading options off args. Those in flags take no value,
// those in values do ("-c V", "-cV", "--count=V", "--count V"); both are
// space-separated lists of options with their dashes. The values of one given
// more than once are joined by newlines. An option outside of
// both is in unknown.
func options(args []string, flags, values string) (set map[string]string, rest []string, unknown string) {
	set = map[string]string{}
	has := func(list, o string) bool { return slices.Contains(strings.Fields(list), o) }
	add := func(o, value string) {
		if former, again := set[o]; again {
			value = former + "\n" + value
		}
		set[o] = value
	}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return set, args[1:], ""
		}
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		args = args[1:]
		if strings.HasPrefix(arg, "--") {
			name, value, inline := strings.Cut(arg, "=")
			switch {
			case has(flags, name):
				set[name] = value
			case has(values, name) && inline:
				add(name, value)
			case has(values, name) && len(args) > 0:
				add(name, args[0])
				args = args[1:]
			default:
				return set, args, arg
			}
			continue
		}
		for i := 1; i < len(arg); i++ {
			o := "-" + arg[i:i+1]
			switch {
			case has(flags, o):
				set[o] = ""
				continue
			case has(values, o) && i+1 < len(arg):
				add(o, arg[i+1:])
			case has(values, o) && len(args) > 0:
				add(o, args[0])
				args = args[1:]
			default:
				return set, args, o
			}
			break
		}
	}
	return set, args, ""
}

// permuted is options for programs that take options after operands too.
func permuted(args []string, flags, values string) (set map[string]string, rest []string, unknown string) {
	set = map[string]string{}
	for len(args) > 0 {
		if args[0] == "--" {
			return set, append(rest, args[1:]...), ""
		}
		if len(args[0]) < 2 || args[0][0] != '-' {
			rest, args = append(rest, args[0]), args[1:]
			continue
		}
		some, left, bad := options(args, flags, values)
		for name, value := range some {
			if former, again := set[name]; again && value != "" {
				value = former + "\n" + value
			}
			set[name] = value
		}
		if bad != "" {
			return set, left, bad
		}
		if slices.Contains(args[:len(args)-len(left)], "--") {
			return set, append(rest, left...), ""
		}
		args = left
	}
	return set, rest, ""
}

func isSet(set map[string]string, names ...string) bool {
	for _, name := range names {
		if _, ok := set[name]; ok {
			return true
		}
	}
	return false
}
