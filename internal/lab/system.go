package lab

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/internal/wildcard"
)

func randomBytes(b []byte) (int, error) { return rand.Read(b) }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func id(p *process) int {
	user, group := p.names(p.cred.uid, p.cred.gid)
	switch path.Base(p.args[0]) {
	case "whoami":
		p.println(user)
		return 0
	case "groups":
		p.println(group)
		return 0
	}
	set, args, unknown := permuted(p.args[1:], "-u -g -n -G -r", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	uid, gid := int(p.cred.uid), int(p.cred.gid)
	if len(args) > 0 {
		n, ok := p.machine.lookupID("/etc/passwd", args[0])
		if !ok {
			return p.fail(1, "'%s': no such user", args[0])
		}
		uid, gid = n, n
		user, group = p.names(uint32(n), uint32(n))
	}
	switch named := isSet(set, "-n"); {
	case isSet(set, "-u") && named:
		p.println(user)
	case isSet(set, "-u"):
		p.println(uid)
	case isSet(set, "-g") && named, isSet(set, "-G") && named:
		p.println(group)
	case isSet(set, "-g"), isSet(set, "-G"):
		p.println(gid)
	default:
		p.printf("uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", uid, user, gid, group, gid, group)
	}
	return 0
}

func uname(p *process) int {
	if path.Base(p.args[0]) == "arch" {
		p.println("x86_64")
		return 0
	}
	set, _, unknown := permuted(p.args[1:], "-a -s -n -r -v -m -o -p -i", "")
	if unknown != "" {
		return p.usage(unknown)
	}
	_, build, _ := strings.Cut(p.machine.spec.distro.version, ") #")
	var words []string
	for _, part := range [][2]string{{"-s", "Linux"}, {"-n", p.machine.Name}, {"-r", p.machine.kernel()}, {"-v", "#" + build}, {"-m", "x86_64"}, {"-o", "GNU/Linux"}} {
		if isSet(set, part[0], "-a") || len(set) == 0 && part[0] == "-s" {
			words = append(words, part[1])
		}
	}
	p.println(strings.Join(words, " "))
	return 0
}

func hostname(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-s -f -I -i", "")
	if unknown != "" || len(args) > 0 {
		return p.usage(unknown)
	}
	if isSet(set, "-I", "-i") {
		p.println(p.machine.spec.address)
		return 0
	}
	p.println(p.machine.Name)
	return 0
}

func nproc(p *process) int {
	p.println(p.machine.spec.cpus)
	return 0
}

func date(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-u -R --utc", "-d --date")
	if unknown != "" || isSet(set, "-d", "--date") {
		return p.usage(unknown + "-d")
	}
	now := time.Now().UTC()
	format := "+%a %b %e %H:%M:%S UTC %Y"
	if len(args) > 0 {
		format = args[0]
	}
	text, err := expandPercent(strings.TrimPrefix(format, "+"), func(c byte) (string, bool) {
		layout, ok := map[byte]string{'a': "Mon", 'b': "Jan", 'e': "_2", 'd': "02", 'm': "01", 'Y': "2006", 'y': "06", 'H': "15", 'M': "04", 'S': "05",
			'F': "2006-01-02", 'T': "15:04:05", 'Z': "MST", 'z': "-0700", 'j': "002"}[c]
		switch c {
		case 's':
			return strconv.FormatInt(now.Unix(), 10), true
		case 'N':
			return fmt.Sprintf("%09d", now.Nanosecond()), true
		case '%':
			return "%", true
		case 'n':
			return "\n", true
		}
		return now.Format(layout), ok
	})
	if err != nil {
		return p.lacks(err.Error())
	}
	p.println(text)
	return 0
}

func getent(p *process) int {
	if len(p.args) < 2 {
		return p.lacks("without a database")
	}
	status := 0
	switch database := p.args[1]; database {
	case "passwd", "group":
		text, _ := p.machine.ReadFile("/etc/" + database)
		for _, key := range p.args[2:] {
			found := false
			for line := range strings.Lines(text) {
				if f := strings.Split(line, ":"); f[0] == key || len(f) > 2 && f[2] == key {
					p.print(line)
					found = true
				}
			}
			if !found {
				status = 2
			}
		}
	case "hosts", "ahosts", "ahostsv4":
		for _, key := range p.args[2:] {
			address := p.machine.resolve(key)
			if address == "" {
				status = 2
				continue
			}
			p.printf("%-15s %s\n", address, key)
		}
	default:
		return p.lacks(database)
	}
	return status
}

func sysctl(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-n -w -q -e --system", "-p")
	if unknown != "" {
		return p.usage(unknown)
	}
	for _, arg := range args {
		name, value, assign := strings.Cut(arg, "=")
		file := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if assign {
			h, err := p.open(file, os.O_WRONLY, 0)
			if err != nil {
				return p.fail(1, "permission denied on key \"%s\"", name)
			}
			_, _ = h.Write([]byte(value + "\n"))
			_ = h.Close()
			p.printf("%s = %s\n", name, value)
			continue
		}
		text, err := p.readFile(file)
		if err != nil {
			return p.fail(255, "cannot stat %s: %s", file, strerror(err))
		}
		if isSet(set, "-n") {
			p.print(string(text))
		} else {
			p.printf("%s = %s", name, text)
		}
	}
	return 0
}

func reboot(p *process) int {
	if p.cred.uid != 0 {
		fmt.Fprintf(p.stderr, "Failed to set wall message, ignoring: Interactive authentication required.\nFailed to call ScheduleShutdown in logind, no action will be taken: Interactive authentication required.\n")
		return 1
	}
	p.machine.restartSoon()
	return 0
}

func find(p *process) int {
	args := p.args[1:]
	var roots []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots, args = append(roots, args[0]), args[1:]
	}
	kind, pattern, target, depth := "", "", "", 1<<20
	for len(args) > 1 {
		switch args[0] {
		case "-type":
			kind = args[1]
		case "-name":
			pattern = args[1]
		case "-lname":
			kind, target = "l", args[1]
		case "-maxdepth":
			depth, _ = strconv.Atoi(args[1])
		default:
			return p.lacks(args[0])
		}
		args = args[2:]
	}
	status := 0
	var walk func(name string, level int)
	walk = func(name string, level int) {
		i, err := p.machine.fs.stat(p.cred, p.abs(name), false)
		if err != nil {
			status = p.fail(1, "'%s': %s", name, strerror(err))
			return
		}
		matches, _ := path.Match(pattern, path.Base(name))
		is := map[string]bool{"": true, "f": i.mode.IsRegular(), "d": i.IsDir(), "l": i.mode&fs.ModeSymlink != 0}[kind]
		if target != "" && is {
			text, _ := p.machine.fs.readlink(p.cred, p.abs(name))
			is = wildcard.Match(target, text) // whose * takes slashes too
		}
		if is && (pattern == "" || matches) {
			p.println(name)
		}
		if !i.IsDir() || level >= depth {
			return
		}
		entries, _ := p.machine.fs.readDir(p.cred, p.abs(name))
		for _, e := range entries {
			walk(strings.TrimSuffix(name, "/")+"/"+e.name, level+1)
		}
	}
	for _, r := range roots {
		walk(r, 0)
	}
	return status
}
