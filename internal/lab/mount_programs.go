package lab

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

func mountProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-a -f -v -n -r -w -i -s --all --fake --verbose --make-rprivate", "-t -o -O --types --options")
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case len(args) == 0 && !isSet(set, "-a", "--all"):
		for _, m := range p.mounted() {
			p.printf("%s on %s type %s (%s)\n", m.source, m.point, m.kind, m.allOptions())
		}
		return 0
	case p.cred.uid != 0:
		target := args[len(args)-1]
		return p.fail(1, "%s: must be superuser to use mount.", target)
	}
	if isSet(set, "--make-rprivate") {
		if point := args[0]; !p.mountedAt(p.abs(point)) {
			return p.fail(32, "%s: not mount point or bad option.", point)
		}
		return 0 // nothing here is shared with another namespace
	}
	options := strings.ReplaceAll(strings.Trim(set["-o"]+"\n"+set["--options"], "\n"), "\n", ",")
	kind := set["-t"] + set["--types"]
	if isSet(set, "-r") {
		options = strings.TrimPrefix(options+",ro", ",")
	}
	if isSet(set, "-a", "--all") {
		status := 0
		for _, l := range p.machine.fstab() {
			if l.has("noauto") || !l.network() || kind != "" && kind != l.kind || p.mountedAt(l.point) {
				continue
			}
			if s := p.mount(l.source, l.point, l.kind, l.options); s != 0 && !l.has("nofail") {
				status |= s
			}
		}
		return status
	}
	if len(args) == 2 {
		return p.mount(args[0], p.abs(args[1]), kind, options)
	}
	target := path.Clean(p.abs(args[0]))
	for _, l := range slices.Backward(p.machine.fstab()) {
		if path.Clean(l.point) == target || l.source == args[0] {
			if slices.Contains(strings.Split(options, ","), "remount") {
				return p.remount(l.point)
			}
			return p.mount(l.source, path.Clean(l.point), l.kind, strings.TrimPrefix(l.options+","+options, ","))
		}
	}
	if slices.Contains(strings.Split(options, ","), "remount") {
		return p.remount(target)
	}
	return p.fail(1, "%s: can't find in /etc/fstab.", args[0])
}

func (p *process) mountedAt(point string) bool {
	return slices.ContainsFunc(p.mounted(), func(m mount) bool { return m.point == path.Clean(point) })
}

func (p *process) deadAt(point string) bool {
	return slices.ContainsFunc(p.mounted(), func(m mount) bool { return m.point == point && m.dead })
}

// remount changes neither source nor options of an NFS mount; like the real
// one it does not say so.
func (p *process) remount(point string) int {
	if !p.mountedAt(point) {
		return p.fail(32, "%s: mount point not mounted or bad option.", point)
	}
	return 0
}

func (p *process) mount(source, point, kind, options string) int {
	point = path.Clean(point)
	i, err := p.machine.fs.stat(p.cred, point, true)
	if kind == "" && strings.Contains(source, ":/") {
		kind = "nfs"
	}
	if err != nil && kind != "nfs" && kind != "nfs4" {
		return p.fail(32, "%s: mount point does not exist.", point)
	}
	switch kind {
	case "nfs", "nfs4":
		if !p.machine.hasHelper(kind) {
			fmt.Fprintf(p.stderr, "mount: %s: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.\n", point)
			if p.machine.spec.distro.name == "debian-12" {
				fmt.Fprintln(p.stderr, "       dmesg(1) may have more information after failed mount system call.")
			}
			return 32
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "mount.nfs: mount point %s does not exist\n", point)
			return 32
		}
		if !i.IsDir() {
			fmt.Fprintf(p.stderr, "mount.nfs: mount point %s is not a directory\n", point)
			return 32
		}
		found, message, status := p.machine.askNFS(source, point, kind, options, p.mounted())
		if status != 0 {
			fmt.Fprintln(p.stderr, message)
			return status
		}
		return p.attach(found)
	case "tmpfs", "proc", "sysfs":
		return p.attach(mount{point: point, kind: kind, source: source, options: "rw,relatime", super: "rw"})
	}
	return p.fail(32, "%s: unknown filesystem type '%s'.", point, kind)
}

func umountProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-l -f -v -n -R --lazy --force", "-t")
	switch {
	case unknown != "":
		return p.lacks(unknown)
	case p.cred.uid != 0:
		return p.fail(1, "%s: must be superuser to unmount.", strings.Join(args, " "))
	}
	status := 0
	for _, arg := range args {
		point := path.Clean(p.abs(arg))
		if real, err := p.machine.fs.realpath(p.cred, point); err == nil {
			point = real
		}
		for _, m := range p.mounted() {
			if m.source == arg {
				point = m.point
			}
		}
		if dead := p.deadAt(point); dead && !isSet(set, "-l", "--lazy") {
			if isSet(set, "-f", "--force") {
				status = p.fail(32, "%s: target is busy.", arg)
				continue
			}
			<-p.ctx.Done() // the server is waited for
			return 32
		}
		if !p.mountedAt(point) {
			if _, err := p.machine.fs.stat(p.cred, point, true); err != nil {
				status = p.fail(32, "%s: no mount point specified.", arg)
			} else {
				status = p.fail(32, "%s: not mounted.", arg)
			}
			continue
		}
		if !isSet(set, "-l", "--lazy") && p.busy(point) {
			status = p.fail(32, "%s: target is busy.", arg)
			continue
		}
		p.detach(point)
	}
	return status
}

// busy reports whether something is mounted below point or a process works
// there.
func (p *process) busy(point string) bool {
	for _, mt := range p.mounted() {
		if strings.HasPrefix(mt.point, strings.TrimSuffix(point, "/")+"/") || mt.point == point && point == "/" {
			return true
		}
	}
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	for _, other := range p.machine.procs {
		if other.dir == point || strings.HasPrefix(other.dir, point+"/") {
			return true
		}
	}
	return false
}

func mountpointProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-q -d --quiet", "")
	if unknown != "" || len(args) != 1 {
		return p.lacks(unknown)
	}
	if _, err := p.machine.fs.stat(p.cred, p.abs(args[0]), true); err != nil {
		return p.fail(1, "%s: %s", args[0], strerror(err))
	}
	yes, no := args[0]+" is a mountpoint\n", args[0]+" is not a mountpoint\n"
	if isSet(set, "-q", "--quiet") {
		yes, no = "", ""
	}
	if p.mountedAt(p.abs(args[0])) {
		p.print(yes)
		return 0
	}
	p.print(no)
	return 32
}

func findmntProgram(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-n -r -l -a -k -s -m -x -v -u -e -f --noheadings --raw --list --fstab --kernel --verify --verbose --nofsroot -P --pairs -h --help",
		"-o -t -T -M -S -F -O --output --types --target --mountpoint --source --tab-file --options")
	if unknown != "" {
		return p.lacks(unknown)
	}
	if isSet(set, "-h", "--help") {
		p.print("\nUsage:\n findmnt [options]\n\nFind a (mounted) filesystem.\n\n -x, --verify           verify mount table content (default is fstab)\n")
		return 0
	}
	tab := set["-F"] + set["--tab-file"]
	if isSet(set, "-x", "--verify") {
		return p.verifyFstab(tab)
	}
	var rows []mount
	if isSet(set, "-s", "--fstab") || tab != "" {
		if tab == "" {
			tab = "/etc/fstab"
		}
		text, err := p.readFile(tab)
		if err != nil {
			return p.fail(1, "can't read %s: %s", tab, strerror(err))
		}
		lines, _ := readFstab(string(text))
		for _, l := range lines {
			rows = append(rows, mount{point: l.point, source: l.source, kind: l.kind, options: l.options})
		}
	} else {
		for _, m := range p.mounted() {
			m.options = m.allOptions()
			rows = append(rows, m)
		}
	}
	if of := set["-T"] + set["--target"]; of != "" {
		point, _ := p.machine.fs.realpath(p.cred, p.abs(of))
		at := "/"
		for _, r := range rows {
			if (point == r.point || strings.HasPrefix(point, strings.TrimSuffix(r.point, "/")+"/")) && len(r.point) >= len(at) {
				at = r.point
			}
		}
		args = []string{at}
	}
	keep := func(match func(mount) bool) {
		rows = slices.DeleteFunc(rows, func(m mount) bool { return !match(m) })
	}
	if point := set["-M"] + set["--mountpoint"]; point != "" {
		keep(func(m mount) bool { return m.point == path.Clean(point) })
	}
	if source := set["-S"] + set["--source"]; source != "" {
		keep(func(m mount) bool { return m.source == source })
	}
	if kinds := set["-t"] + set["--types"]; kinds != "" {
		keep(func(m mount) bool { return slices.Contains(strings.Split(kinds, ","), m.kind) })
	}
	for _, arg := range args {
		keep(func(m mount) bool { return m.point == path.Clean(arg) || m.source == arg })
	}
	if len(rows) == 0 {
		return 1
	}
	columns := strings.Split(strings.ToUpper(set["-o"]+set["--output"]), ",")
	if columns[0] == "" {
		columns = []string{"TARGET", "SOURCE", "FSTYPE", "OPTIONS"}
	}
	table := [][]string{columns}
	for _, r := range rows {
		var row []string
		for _, c := range columns {
			switch c {
			case "TARGET":
				row = append(row, r.point)
			case "SOURCE":
				row = append(row, r.source)
			case "FSTYPE":
				row = append(row, r.kind)
			case "OPTIONS":
				row = append(row, r.options)
			case "ID":
				row = append(row, strconv.Itoa(r.id))
			case "SIZE":
				row = append(row, strconv.FormatInt(p.machine.spec.disk>>30, 10)+"G")
			default:
				return p.fail(1, "unknown column: %s", c)
			}
		}
		table = append(table, row)
	}
	p.printTable(table, isSet(set, "-n", "--noheadings"), isSet(set, "-r", "--raw"))
	return 0
}

// printTable prints columns side by side, as wide as what stands in them and
// in the first row, which is the heading.
func (p *process) printTable(rows [][]string, noHeading, raw bool) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	if noHeading {
		rows = rows[1:]
	}
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				p.print(" ")
			}
			if raw || i == len(row)-1 {
				p.print(cell)
			} else {
				p.printf("%-*s", width[i], cell)
			}
		}
		p.println()
	}
}

// verifyFstab is findmnt --verify, with util-linux's words.
func (p *process) verifyFstab(tab string) int {
	if tab == "" {
		tab = "/etc/fstab"
	}
	text, err := p.readFile(tab)
	if err != nil {
		return p.fail(1, "can't read %s: %s", tab, strerror(err))
	}
	lines, bad := readFstab(string(text))
	errs, warnings := 0, 0
	// Into a pipe or a file the real one's standard output comes last.
	var out strings.Builder
	defer func() { p.print(out.String()) }()
	for _, n := range bad {
		fmt.Fprintf(p.stderr, "%s: %s: parse error at line %d -- ignored\n", p.args[0], tab, n)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		headed := false
		say := func(level, format string, a ...any) {
			if !headed {
				out.WriteString(l.point + "\n")
				headed = true
			}
			fmt.Fprintf(&out, "   [%s] %s\n", level, fmt.Sprintf(format, a...))
			if level == "E" {
				errs++
			} else {
				warnings++
			}
		}
		if l.kind != "swap" && l.point != "none" {
			i, err := p.machine.fs.stat(p.cred, p.abs(l.point), true)
			switch {
			case seen[l.point]:
				say("W", "target specified more than once")
			case err != nil && !l.has("noauto"):
				say("E", "unreachable on boot required target: %s", strerror(err))
			case err != nil:
				say("W", "unreachable target: %s", strerror(err))
			case !i.IsDir():
				say("E", "target is not a directory")
			}
			seen[l.point] = true
		}
		known := []string{"ext4", "ext3", "ext2", "xfs", "btrfs", "tmpfs", "proc", "sysfs", "nfs", "nfs4", "swap", "auto", "none", "vfat", "cifs", "devpts"}
		if !slices.Contains(known, l.kind) {
			say("W", "%s seems unsupported by the current kernel", l.kind)
		}
	}
	if len(bad)+errs+warnings == 0 {
		p.println("Success, no errors or warnings detected")
		return 0
	}
	fmt.Fprintf(p.stderr, "\n%d parse %s, %d %s, %d %s\n", len(bad), plural(len(bad), "error"), errs, plural(errs, "error"), warnings, plural(warnings, "warning"))
	if errs+len(bad) > 0 {
		return 1
	}
	return 0
}

// plural is English's, in which 0 errors are many.
func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
