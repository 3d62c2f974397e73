package tasks

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// packages reads what dpkg-query or rpm prints: "ii ", name, version and
// architecture, with tabs between them.
func (r *driverReader) packages(b block) error {
	// dpkg-query: 1 is that a pattern found nothing.
	if exit := b.exit(); exit != 0 && (exit != 1 || r.f.Manager != "apt") {
		return fmt.Errorf("the package database was not read: exit status %d", exit)
	}
	for _, line := range b.lines {
		fields := strings.Split(line, "\t")
		if len(fields) != 4 || len(fields[0]) < 2 || fields[1] == "" {
			return fmt.Errorf("%q is not a package", clip(line, 80))
		}
		// The first letter is what is wished, the second what is so.
		wish, is := fields[0][0], fields[0][1]
		switch is {
		case 'n', 'c': // gone, but perhaps for its configuration
			continue
		}
		if strings.HasSuffix(fields[1], "-dev") || fields[3] == "i386" {
			continue
		}
		r.f.Packages = append(r.f.Packages, driverPackage{
			Name: fields[1], Version: strings.TrimPrefix(fields[2], "0:"), Held: wish == 'h', Broken: is != 'i' && is != 't' && is != 'W' || strings.Contains(fields[0][2:], "R"),
		})
	}
	return nil
}

// packageLocks are what dnf, yum and zypper hold.
type packageLocks []string

// locked reports whether a lock of dnf, yum or zypper is about a package.
// dnf and yum: "[epoch:]name-[epoch:]version-release.arch", globs among them;
// a line that begins with "!" is of versions to leave out. zypper and dnf 5
// name the package alone.
func (r *driverReader) locked(name string) bool {
	if r.locks == nil {
		r.locks = r.readLocks()
	}
	for _, l := range r.locks {
		if ok, _ := path.Match(l, name); ok || l == name {
			return true
		}
		if rest, ok := strings.CutPrefix(l, name+"-"); ok && len(rest) > 0 && (rest[0] >= '0' && rest[0] <= '9' || rest[0] == '*') {
			return true
		}
	}
	return false
}

func (r *driverReader) readLocks() packageLocks {
	locks := packageLocks{}
	for at, f := range r.f.files {
		if f.Presence != Present {
			continue
		}
		for line := range strings.Lines(f.content) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "!"):
			case strings.HasSuffix(at, "/versionlock.list"):
				// yum writes an epoch before the name, dnf before the version.
				if epoch, rest, ok := strings.Cut(line, ":"); ok && epoch != "" && strings.Trim(epoch, "0123456789") == "" {
					line = rest
				}
				locks = append(locks, line)
			case strings.HasSuffix(at, "/versionlock.toml"):
				if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "name" {
					locks = append(locks, strings.Trim(strings.TrimSpace(value), `"'`))
				}
			case at == "/etc/zypp/locks":
				if value, ok := strings.CutPrefix(line, "solvable_name:"); ok {
					locks = append(locks, strings.TrimSpace(value))
				}
			}
		}
	}
	return locks
}

// units reads what systemctl show prints of several units.
func (r *driverReader) units(b block) error {
	var u driverUnit
	load := ""
	flush := func() {
		if u.Name != "" && load != "not-found" {
			u.Masked = load == "masked"
			if !slices.ContainsFunc(r.f.Units, func(o driverUnit) bool { return o.Name == u.Name }) { // an alias of one that was named too
				r.f.Units = append(r.f.Units, u)
			}
		}
		u, load = driverUnit{}, ""
	}
	if b.exit() != 0 {
		return fmt.Errorf("systemctl show: exit status %d", b.exit())
	}
	for _, line := range b.lines {
		if line == "" {
			flush()
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%q is not a property of a unit", clip(line, 80))
		}
		switch key {
		case "Id":
			u.Name = strings.TrimSuffix(value, ".service")
		case "LoadState":
			load = value
		case "ActiveState":
			u.Active, u.Begins = value == "active" || value == "reloading", value == "activating"
		case "UnitFileState":
			u.Enabled = value == "enabled" || value == "enabled-runtime" || value == "static" || value == "generated" || value == "alias"
		case "ExecStart":
			if _, args, ok := strings.Cut(value, "argv[]="); ok {
				args, _, _ = strings.Cut(args, " ;")
				u.Command = clip(args, 200)
			}
		}
	}
	flush()
	return nil
}

// space reads what stat prints of filesystems: free blocks, their size, path.
// A folder that is not there has no line.
func (r *driverReader) space(b block) {
	for _, line := range b.lines {
		fields := strings.Fields(line)
		if len(fields) != 3 || !path.IsAbs(fields[2]) {
			continue
		}
		blocks, err1 := strconv.ParseInt(fields[0], 10, 64)
		size, err2 := strconv.ParseInt(fields[1], 10, 64)
		if err1 == nil && err2 == nil && blocks >= 0 && size > 0 && size <= 1<<30 && blocks <= (1<<62)/size {
			r.f.Space[fields[2]] = blocks * size
		}
	}
}

var (
	podCgroup       = regexp.MustCompile(`kubepods.*?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})`)
	containerCgroup = regexp.MustCompile(`(cri-containerd|docker|crio|libpod|lxc|containerd)[-/.:].*?([0-9a-f]{12})[0-9a-f]{52}`)
	anyCgroup       = regexp.MustCompile(`[/:-]([0-9a-f]{12})[0-9a-f]{52}(\.scope)?$`)
	unitCgroup      = regexp.MustCompile(`/([^/]+)\.service(/|$)`)
)

// process reads one that has a GPU open: its id, user and name, and the lines
// of its cgroup file that tell whose it is.
func (r *driverReader) process(b block, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%q is not a process", clip(b.rest, 80))
	}
	pid, err := strconv.Atoi(words[0])
	if err != nil || pid <= 0 {
		return fmt.Errorf("%q is not a process id", clip(words[0], 40))
	}
	p := gpuProcess{PID: pid, User: words[1]}
	if _, comm, ok := strings.Cut(b.rest, words[1]+" "); ok {
		p.Command = clip(comm, 80)
	}
	if p.Command == "" && len(b.lines) == 0 {
		return nil // ended meanwhile
	}
	for _, line := range b.lines {
		_, at, _ := strings.Cut(line, ":")
		_, at, _ = strings.Cut(at, ":")
		if m := podCgroup.FindStringSubmatch(at); m != nil {
			runtime := "kubelet"
			if c := containerCgroup.FindStringSubmatch(at); c != nil {
				runtime = c[1]
			}
			p.Container = fmt.Sprintf("pod %s (%s)", strings.ReplaceAll(m[1], "_", "-"), strings.TrimPrefix(runtime, "cri-"))
		} else if m := containerCgroup.FindStringSubmatch(at); m != nil && p.Container == "" {
			p.Container = strings.TrimPrefix(m[1], "cri-") + " " + m[2]
		} else if m := anyCgroup.FindStringSubmatch(at); m != nil && p.Container == "" {
			p.Container = "container " + m[1]
		}
		if m := unitCgroup.FindAllStringSubmatch(at, -1); m != nil && p.Unit == "" {
			p.Unit = m[len(m)-1][1]
		}
	}
	r.f.Processes = append(r.f.Processes, p)
	return nil
}

var smiHead = regexp.MustCompile(`Driver Version:\s*([0-9.]+).*CUDA Version:\s*([0-9.]+|N/A|ERR!)`)
var smiRow = regexp.MustCompile(`^\|\s+\d+\s+\S.*\|\s+[0-9A-Fa-f]{8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d\s`)

// parseSMI reads nvidia-smi's table.
func parseSMI(b block) *smiFacts {
	s := &smiFacts{Exit: b.exit()}
	for _, line := range b.lines {
		if m := smiHead.FindStringSubmatch(line); m != nil {
			s.Driver = m[1]
			if m[2][0] >= '0' && m[2][0] <= '9' {
				s.CUDA = m[2]
			}
		}
		if smiRow.MatchString(line) {
			s.GPUs++
		}
	}
	switch {
	case s.Exit == 137 || s.Exit == 124:
		s.Said = "no answer within 5s"
	case s.Exit != 0 || s.GPUs == 0:
		s.Said = clip(strings.TrimSpace(strings.Join(b.lines, " ")), 200)
	}
	return s
}
