package lab

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
)

// operands calls do with each file that args name, or with stdin for none.
func (p *process) operands(args []string, do func(name string, in io.Reader) int) int {
	if len(args) == 0 {
		args = []string{"-"}
	}
	status := 0
	for _, arg := range args {
		in, err := p.input(arg)
		if err != nil {
			status = p.fail(1, "%s: %s", arg, strerror(err))
			continue
		}
		if s := do(arg, in); s != 0 {
			status = s
		}
		_ = in.Close()
	}
	return status
}

// readFailed reports an error of reading, but not that of a process that was
// killed while it waited.
func (p *process) readFailed(name string, err error) int {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return 0
	}
	return p.fail(1, "%s: %s", name, strerror(err))
}

func cat(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-u -v -n", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	line := 0
	return p.operands(args, func(name string, in io.Reader) int {
		if isSet(set, "-n") {
			s := bufio.NewScanner(in)
			for s.Scan() {
				line++
				p.printf("%6d\t%s\n", line, s.Text())
			}
			return 0
		}
		_, err := io.Copy(p.stdout, in)
		return p.readFailed(name, err)
	})
}

// countOption reads -n 5, -5, -c 10.
func countOption(args []string) []string {
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0][1] >= '0' && args[0][1] <= '9' {
		return append([]string{"-n", args[0][1:]}, args[1:]...)
	}
	return args
}

func head(p *process) int {
	set, args, unknown := permuted(countOption(p.args[1:]), "-q -v", "-n -c --lines --bytes")
	if unknown != "" {
		return p.usage(unknown)
	}
	n, err := strconv.ParseInt(set["-n"]+set["--lines"]+set["-c"]+set["--bytes"], 10, 64)
	if err != nil {
		n = 10
	}
	return p.operands(args, func(name string, in io.Reader) int {
		if isSet(set, "-c", "--bytes") {
			_, err := io.CopyN(p.stdout, in, n)
			return p.readFailed(name, err)
		}
		// As POSIX has it for files that can seek, and as GNU does not for
		// pipes, nothing behind the lines is read.
		one := make([]byte, 1)
		for lines := int64(0); lines < n; {
			k, err := in.Read(one)
			if k == 1 {
				_, _ = p.stdout.Write(one)
				if one[0] == '\n' {
					lines++
				}
			}
			if err != nil {
				return p.readFailed(name, err)
			}
		}
		return 0
	})
}

func tail(p *process) int {
	set, args, unknown := permuted(countOption(p.args[1:]), "-q -f -F", "-n -c --lines --bytes --pid -s")
	if unknown != "" {
		return p.usage(unknown)
	}
	count := set["-n"] + set["--lines"] + set["-c"] + set["--bytes"]
	from := strings.HasPrefix(count, "+")
	n, err := strconv.Atoi(strings.TrimPrefix(count, "+"))
	if err != nil {
		n = 10
	}
	status := p.operands(args, func(name string, in io.Reader) int {
		data, err := io.ReadAll(in)
		if s := p.readFailed(name, err); s != 0 {
			return s
		}
		if isSet(set, "-c", "--bytes") {
			start := max(0, len(data)-n)
			if from {
				start = min(len(data), max(0, n-1))
			}
			_, _ = p.stdout.Write(data[start:])
			return 0
		}
		units := bytes.SplitAfter(data, []byte("\n"))
		if len(units[len(units)-1]) == 0 {
			units = units[:len(units)-1]
		}
		start := max(0, len(units)-n)
		if from {
			start = min(len(units), max(0, n-1))
		}
		_, _ = p.stdout.Write(bytes.Join(units[start:], nil))
		return 0
	})
	if isSet(set, "-f", "-F") && len(args) == 1 {
		p.follow(args[0], set["--pid"])
	}
	return status
}

// follow prints what is appended to a file until the process is killed, or
// that of a process id ends.
func (p *process) follow(name, pid string) {
	seen, _ := p.readFile(name)
	for {
		n, _ := strconv.Atoi(pid)
		gone := pid != "" && p.machine.process(n) == nil
		now, _ := p.readFile(name)
		if len(now) > len(seen) {
			_, _ = p.stdout.Write(now[len(seen):])
		}
		seen = now
		if gone || !p.pause(50*time.Millisecond) {
			return
		}
	}
}

// pause waits, and reports whether the process is still alive.
func (p *process) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func wc(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-l -c -w -m", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	all := len(set) == 0
	return p.operands(args, func(name string, in io.Reader) int {
		data, err := io.ReadAll(in)
		if s := p.readFailed(name, err); s != 0 {
			return s
		}
		var numbers []string
		if all || isSet(set, "-l") {
			numbers = append(numbers, strconv.Itoa(bytes.Count(data, []byte("\n"))))
		}
		if all || isSet(set, "-w") {
			numbers = append(numbers, strconv.Itoa(len(bytes.Fields(data))))
		}
		if all || isSet(set, "-c", "-m") {
			numbers = append(numbers, strconv.Itoa(len(data)))
		}
		if name != "-" {
			numbers = append(numbers, name)
		}
		p.println(strings.Join(numbers, " "))
		return 0
	})
}

func tee(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-a -i", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	outs := []io.Writer{p.stdout}
	status := 0
	for _, arg := range args {
		flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		if isSet(set, "-a") {
			flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
		}
		h, err := p.open(arg, flag, 0o666)
		if err != nil {
			status = p.fail(1, "%s: %s", arg, strerror(err))
			continue
		}
		defer h.Close()
		outs = append(outs, h)
	}
	return status | p.operands(nil, func(name string, in io.Reader) int {
		_, err := io.Copy(io.MultiWriter(outs...), in)
		return p.readFailed(name, err)
	})
}

func cmp(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-s -l --silent --quiet", "")
	if unknown != "" || len(args) != 2 {
		return p.usage(unknown)
	}
	silent := isSet(set, "-s", "--silent", "--quiet")
	a, err := p.inputAll(args[0])
	if err != nil {
		return p.fail(2, "%s: %s", args[0], strerror(err))
	}
	b, err := p.inputAll(args[1])
	if err != nil {
		return p.fail(2, "%s: %s", args[1], strerror(err))
	}
	if bytes.Equal(a, b) {
		return 0
	}
	if silent {
		return 1
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	line := bytes.Count(a[:n], []byte("\n")) + 1
	if n == len(a) || n == len(b) {
		short := args[0]
		if len(b) < len(a) {
			short = args[1]
		}
		if n == 0 {
			return p.fail(1, "EOF on %s which is empty", short)
		}
		if n > 0 && (a[:n:n])[n-1] != '\n' {
			return p.fail(1, "EOF on %s after byte %d, in line %d", short, n, line)
		}
		return p.fail(1, "EOF on %s after byte %d, line %d", short, n, line-1)
	}
	unit := "byte"
	if l := p.getenv("LC_ALL") + p.getenv("LANG"); l == "" || l == "C" {
		unit = "char" // in the C locale it speaks as POSIX has it
	}
	p.printf("%s %s differ: %s %d, line %d\n", args[0], args[1], unit, n+1, line)
	return 1
}

func echo(p *process) int {
	p.print(echoed(p.args[1:]))
	return 0
}

// echoed is what dash's echo prints: it knows backslashes, and no option but
// -n.
func echoed(args []string) string {
	end := "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	text := strings.Join(args, " ")
	if strings.Contains(text, `\`) {
		if before, _, cut := strings.Cut(text, `\c`); cut {
			text, end = before, ""
		}
		text = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\a`, "\a", `\b`, "\b", `\f`, "\f", `\v`, "\v").Replace(text)
	}
	return text + end
}

func printf(p *process) int {
	if len(p.args) < 2 {
		return p.fail(2, "missing operand")
	}
	format, args := p.args[1], p.args[2:]
	for {
		text, n, err := expand.Format(nil, format, args)
		if err != nil {
			return p.fail(1, "%v", err)
		}
		p.print(text)
		if args = args[n:]; n == 0 || len(args) == 0 {
			return 0
		}
	}
}

func basename(p *process) int {
	args := p.args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return p.fail(1, "missing operand")
	}
	if path.Base(p.args[0]) == "dirname" {
		p.println(path.Dir(strings.TrimRight(args[0], "/") + map[bool]string{true: "/"}[strings.Trim(args[0], "/") == ""]))
		return 0
	}
	name := path.Base(args[0])
	if len(args) > 1 && name != args[1] {
		name = strings.TrimSuffix(name, args[1])
	}
	p.println(name)
	return 0
}
