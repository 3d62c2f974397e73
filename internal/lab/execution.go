package lab

import (
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// test is test(1), for those who do not run it in a shell.
func test(p *process) int {
	words := make([]string, len(p.args))
	for i, a := range p.args {
		words[i] = quote(a)
	}
	words[0] = path.Base(p.args[0])
	inner := p.child(p.ctx, []string{"sh"})
	defer inner.exit()
	return inner.interpret("sh", strings.NewReader(strings.Join(words, " ")), nil, nil)
}

// seconds reads a duration of sleep(1) and timeout(1): "5", "0.2", "3m".
func seconds(s string) (time.Duration, bool) {
	unit := time.Second
	if s != "" {
		if u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]; ok {
			unit, s = u, s[:len(s)-1]
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || math.IsNaN(f) {
		return 0, false
	}
	return time.Duration(min(f*float64(unit), float64(math.MaxInt64/2))), true
}

func sleep(p *process) int {
	if len(p.args) < 2 {
		return p.fail(1, "missing operand")
	}
	total := time.Duration(0)
	for _, arg := range p.args[1:] {
		d, ok := seconds(arg)
		if !ok {
			return p.fail(1, "invalid time interval '%s'", arg)
		}
		total += d
	}
	p.pause(total)
	return 0
}

func env(p *process) int {
	args := p.args[1:]
	vars := map[string]string{}
	for name, value := range p.env {
		vars[name] = value
	}
	for len(args) > 0 {
		name, value, ok := strings.Cut(args[0], "=")
		switch {
		case args[0] == "-i" || args[0] == "-":
			clear(vars)
		case args[0] == "-u" && len(args) > 1:
			delete(vars, args[1])
			args = args[1:]
		case ok && !strings.HasPrefix(args[0], "-"):
			vars[name] = value
		case strings.HasPrefix(args[0], "-"):
			return p.lacks(args[0])
		default:
			c := p.child(p.ctx, args)
			defer c.exit()
			c.env = vars
			return c.start(func(format string, a ...any) {
				_, why, _ := strings.Cut(fmt.Sprintf(format, a...), ": ")
				if why == "not found" {
					why = "No such file or directory"
				}
				fmt.Fprintf(p.stderr, "env: '%s': %s\n", args[0], why)
			})
		}
		args = args[1:]
	}
	for _, v := range environ(vars) {
		p.println(v)
	}
	return 0
}

func killProgram(p *process) int {
	args := p.args[1:]
	sig, _ := findSignal("TERM")
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := args[0][1:]
		args = args[1:]
		if name == "-" {
			break
		}
		if (name == "s" || name == "n") && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		if name == "l" {
			for _, s := range signals {
				p.println(s.name)
			}
			return 0
		}
		found, ok := findSignal(name)
		if !ok {
			return p.fail(2, "Illegal option -%s", name)
		}
		sig = found
	}
	status := 0
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			status = p.fail(2, "Illegal number: %s", arg)
			continue
		}
		found, allowed := p.machine.signal(p.cred, pid, sig)
		switch {
		case found == 0 && p.machine.unitOf(pid) == nil:
			status = p.fail(1, "No such process")
		case found > 0 && allowed == 0:
			status = p.fail(1, "Operation not permitted")
		}
	}
	return status
}

// timeout is timeout(1): its child and itself are a process group of their
// own, which it ends.
func timeout(p *process) int {
	set, args, unknown := options(p.args[1:], "-f -v -p --foreground --preserve-status --verbose", "-k -s --kill-after --signal")
	if unknown != "" {
		return p.lacks(unknown)
	}
	if len(args) < 2 {
		return p.fail(125, "missing operand")
	}
	limit, ok := seconds(args[0])
	if !ok {
		return p.fail(125, "invalid time interval '%s'", args[0])
	}
	sig, _ := findSignal("TERM")
	if s := set["-s"] + set["--signal"]; s != "" {
		if sig, ok = findSignal(s); !ok {
			return p.fail(125, "%s: invalid signal", s)
		}
	}
	if !isSet(set, "-f", "--foreground") {
		p.machine.lead(p)
	}
	ctx, cancel := p.ctx, context.CancelFunc(func() {})
	if limit > 0 {
		ctx, cancel = context.WithTimeoutCause(p.ctx, limit, sig)
	}
	defer cancel()
	c := p.child(ctx, args[1:])
	defer c.exit()
	status := c.start(func(format string, a ...any) {
		fmt.Fprintf(p.stderr, "timeout: failed to run command '%s': No such file or directory\n", args[1])
	})
	if ctx.Err() != nil && p.ctx.Err() == nil {
		if sig.name == "KILL" {
			p.died = "Killed"
			return 137
		}
		if isSet(set, "-p", "--preserve-status") {
			return 128 + sig.number
		}
		return 124
	}
	return status
}

// detached is setsid and nohup: the command outlives the session that
// started it.
func detached(p *process) int {
	_, args, unknown := options(p.args[1:], "-f -w -c --fork --wait", "")
	if unknown != "" || len(args) == 0 {
		return p.lacks(unknown)
	}
	c := p.child(p.machine.life(), args)
	if path.Base(p.args[0]) == "setsid" {
		c.group, c.sid = c.pid, c.pid
	}
	c.done = make(chan struct{})
	p.session.jobs.Add(1)
	work := func() int {
		defer c.exit()
		status := c.start(func(format string, a ...any) { p.fail(127, format, a...) })
		c.end(status)
		return status
	}
	if slices.Contains(p.args, "-f") || slices.Contains(p.args, "--fork") {
		go work()
		return 0
	}
	return work()
}

// systemdRun is systemd-run --scope: the command runs in a control group of its
// own, so that it is not ended with the login that it comes from.
func systemdRun(p *process) int {
	set, args, unknown := options(p.args[1:], "-q -G --quiet --scope --collect", "-u -p --unit --property --slice")
	switch {
	case unknown != "" || !isSet(set, "--scope") || len(args) == 0:
		return p.lacks(orElse(unknown, "without --scope"))
	case p.cred.uid != 0:
		fmt.Fprintln(p.stderr, "Failed to start transient scope unit: Interactive authentication required.")
		return 1
	}
	unit := orElse(set["--unit"]+set["-u"], fmt.Sprintf("run-%d", p.pid))
	if !isSet(set, "-q", "--quiet") {
		fmt.Fprintf(p.stderr, "Running scope as unit: %s.scope\n", unit)
	}
	c := p.child(p.ctx, args)
	defer c.exit()
	c.cgroup = "0::/system.slice/" + unit + ".scope"
	return c.start(func(format string, a ...any) {
		fmt.Fprintf(p.stderr, "Failed to find executable %s: No such file or directory\n", args[0])
	})
}

func nice(p *process) int {
	_, args, unknown := options(p.args[1:], "-t", "-n -c")
	if unknown != "" || len(args) == 0 {
		return p.lacks(unknown)
	}
	return p.run(p.ctx, args)
}

func which(p *process) int {
	status := 0
	for _, name := range p.args[1:] {
		file, s := p.machine.lookPath(p.cred, p.dir, p.getenv("PATH"), name)
		if s != 0 {
			status = 1
			continue
		}
		p.println(file)
	}
	return status
}
