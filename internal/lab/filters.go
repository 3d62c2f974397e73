package lab

import (
	"bytes"
	"crypto/md5" //nolint:gosec // md5sum is what it imitates
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// lines reads all operands' lines.
func (p *process) lines(args []string) ([]string, int) {
	var all []string
	status := p.operands(args, func(name string, in io.Reader) int {
		data, err := io.ReadAll(in)
		for line := range strings.Lines(string(data)) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
		return p.readFailed(name, err)
	})
	return all, status
}

func sortProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-u -r -n -b", "-k -t")
	if unknown != "" || isSet(set, "-k", "-t") {
		return p.usage(unknown + set["-k"])
	}
	all, status := p.lines(args)
	slices.SortStableFunc(all, func(a, b string) int {
		if isSet(set, "-n") {
			x, _ := strconv.ParseFloat(strings.TrimSpace(a), 64)
			y, _ := strconv.ParseFloat(strings.TrimSpace(b), 64)
			if x != y {
				return int(max(-1, min(1, x-y)))
			}
		}
		return strings.Compare(a, b)
	})
	if isSet(set, "-r") {
		slices.Reverse(all)
	}
	if isSet(set, "-u") {
		all = slices.Compact(all)
	}
	for _, line := range all {
		p.println(line)
	}
	return status
}

func uniq(p *process) int {
	_, args, unknown := permuted(p.args[1:], "", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	all, status := p.lines(args)
	for _, line := range slices.Compact(all) {
		p.println(line)
	}
	return status
}

func cut(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-s", "-d -f -c")
	if unknown != "" {
		return p.usage(unknown)
	}
	delim := set["-d"]
	if delim == "" {
		delim = "\t"
	}
	first, last, ranged := strings.Cut(set["-f"]+set["-c"], "-")
	a, err := strconv.Atoi("0" + first)
	b := a
	if ranged {
		if b, _ = strconv.Atoi("0" + last); b == 0 {
			b = 1 << 20
		}
	}
	if err != nil || strings.Contains(set["-f"], ",") {
		return p.usage("-f " + set["-f"])
	}
	all, status := p.lines(args)
	for _, line := range all {
		parts := strings.Split(line, delim)
		if set["-c"] != "" {
			parts, delim = strings.Split(line, ""), ""
		} else if len(parts) == 1 {
			if !isSet(set, "-s") {
				p.println(line)
			}
			continue
		}
		p.println(strings.Join(parts[min(len(parts), max(a, 1)-1):min(len(parts), b)], delim))
	}
	return status
}

// tr knows sets of characters and ranges, and -d.
func tr(p *process) int {
	set, args, unknown := options(p.args[1:], "-d -c -s", "")
	if unknown != "" || len(args) == 0 {
		return p.usage(unknown)
	}
	expand := func(s string) []byte {
		s = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00", `\000`, "\x00", "[:lower:]", "a-z", "[:upper:]", "A-Z", "[:digit:]", "0-9", "[:space:]", " \t\n\r\v\f").Replace(s)
		var out []byte
		for i := 0; i < len(s); i++ {
			if i+2 < len(s) && s[i+1] == '-' && s[i+2] >= s[i] {
				for c := int(s[i]); c <= int(s[i+2]); c++ {
					out = append(out, byte(c))
				}
				i += 2
				continue
			}
			out = append(out, s[i])
		}
		return out
	}
	from := expand(args[0])
	var to []byte
	if len(args) > 1 {
		to = expand(args[1])
	}
	data, err := p.inputAll("-")
	var out []byte
	for _, c := range data {
		at := bytes.IndexByte(from, c)
		if isSet(set, "-c") {
			at = -1 - at
			if at >= 0 {
				at = len(to) - 1
			}
		}
		switch {
		case isSet(set, "-d"):
			if at < 0 && !(isSet(set, "-c") && bytes.IndexByte(from, c) < 0) {
				out = append(out, c)
			}
			continue
		case at >= 0 && len(to) > 0:
			c = to[min(at, len(to)-1)]
		}
		if isSet(set, "-s") && len(out) > 0 && out[len(out)-1] == c && (at >= 0) {
			continue
		}
		out = append(out, c)
	}
	_, _ = p.stdout.Write(out)
	return p.readFailed("-", err)
}

var basicRegexp = strings.NewReplacer(`\(`, "(", `\)`, ")", `\{`, "{", `\}`, "}", `\|`, "|", `\+`, "+", `\?`, "?",
	"(", `\(`, ")", `\)`, "{", `\{`, "}", `\}`, "|", `\|`, "+", `\+`, "?", `\?`)

func grep(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-q -s -v -i -x -F -E -c -n -l -h -H -o -w -a --quiet", "-e -m -f")
	if unknown != "" {
		return p.lacks(unknown)
	}
	pattern, given := set["-e"]
	if !given {
		if len(args) == 0 {
			return p.fail(2, "no pattern")
		}
		pattern, args = args[0], args[1:]
	}
	var alternatives []string
	for one := range strings.SplitSeq(pattern, "\n") {
		switch {
		case isSet(set, "-F"):
			one = regexp.QuoteMeta(one)
		case !isSet(set, "-E"):
			// Basic: these are plain unless escaped.
			one = basicRegexp.Replace(one)
		}
		switch {
		case isSet(set, "-x"):
			one = "^(?:" + one + ")$"
		case isSet(set, "-w"):
			one = `\b(?:` + one + `)\b`
		}
		alternatives = append(alternatives, one)
	}
	pattern = strings.Join(alternatives, "|")
	if isSet(set, "-i") {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return p.lacks("the pattern " + pattern)
	}
	found, status, count := false, 0, 0
	if isSet(set, "-s") {
		p.stderr = io.Discard
	}
	operandStatus := p.operands(args, func(name string, in io.Reader) int {
		data, err := io.ReadAll(in)
		if err != nil && p.readFailed(name, err) != 0 {
			return 2
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			line = strings.TrimSuffix(line, "\n")
			if re.MatchString(line) == isSet(set, "-v") {
				continue
			}
			found = true
			count++
			switch {
			case isSet(set, "-q", "--quiet"):
				return 0
			case isSet(set, "-c"):
				continue
			case isSet(set, "-l"):
				p.println(name)
				return 0
			case isSet(set, "-o"):
				line = re.FindString(line)
			}
			if (len(args) > 1 || isSet(set, "-H")) && !isSet(set, "-h") {
				p.print(name + ":")
			}
			if isSet(set, "-n") {
				p.printf("%d:", number)
			}
			p.println(line)
		}
		return 0
	})
	if isSet(set, "-c") {
		p.println(count)
	}
	if operandStatus != 0 {
		status = 2
	}
	switch {
	case found && isSet(set, "-q", "--quiet"):
		return 0
	case status != 0:
		return status
	case found:
		return 0
	}
	return 1
}

func checksum(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-c -b --status --quiet", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	sum := func(data []byte) string {
		var h hash.Hash = sha256.New()
		if path.Base(p.args[0]) == "md5sum" {
			h = md5.New() //nolint:gosec // see above
		}
		_, _ = h.Write(data)
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	if isSet(set, "-c") {
		lines, status := p.lines(args)
		for _, line := range lines {
			want, name, _ := strings.Cut(line, "  ")
			data, err := p.readFile(name)
			verdict := "OK"
			if err != nil || sum(data) != want {
				verdict, status = "FAILED", 1
			}
			if !isSet(set, "--status") && !(isSet(set, "--quiet") && verdict == "OK") {
				p.printf("%s: %s\n", name, verdict)
			}
		}
		return status
	}
	return p.operands(args, func(name string, in io.Reader) int {
		data, err := io.ReadAll(in)
		if errors.Is(err, syscall.EISDIR) || err != nil {
			return p.readFailed(name, err)
		}
		p.printf("%s  %s\n", sum(data), name)
		return 0
	})
}
