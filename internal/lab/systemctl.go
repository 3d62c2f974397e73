package lab

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

func systemctl(p *process) int {
	set, args, unknown := permuted(p.args[1:], "-q -a -l --quiet --no-pager --value --now --no-block --all --full --no-legend --plain --no-ask-password --system -f --force --no-wall --runtime --failed",
		"-p -P -t -n -o --property --type --state --output --lines --job-mode")
	if unknown != "" {
		return p.lacks(unknown)
	}
	verb := "list-units"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	m := p.machine
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = unitName(a)
	}
	switch verb {
	case "start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "try-reload-or-restart", "enable", "disable", "mask", "unmask", "daemon-reload", "daemon-reexec", "reboot", "reset-failed", "poweroff", "halt":
		if p.cred.uid != 0 {
			what := verb
			if len(names) > 0 {
				what += " " + names[0]
			}
			fmt.Fprintf(p.stderr, "Failed to %s: Interactive authentication required.\n", what)
			return 1
		}
	}
	switch verb {
	case "daemon-reload", "daemon-reexec":
		m.reloadUnits()
		return 0
	case "reboot":
		m.restartSoon()
		return 0
	case "reset-failed":
		return 0
	case "is-system-running":
		p.println("running")
		return 0
	case "show":
		return p.systemctlShow(set, args)
	case "cat":
		return p.systemctlCat(names)
	case "list-units", "list-unit-files":
		return p.systemctlList(verb, set, names)
	}
	status := 0
	for _, name := range names {
		u := m.unit(name)
		if u == nil {
			// Not loaded until somebody asks for it, as in systemd.
			if fresh, ok := m.onDisk(name); ok {
				m.mu.Lock()
				m.units[name] = &fresh
				m.mu.Unlock()
				u = &fresh
			}
		}
		switch verb {
		case "is-active", "is-failed":
			state := "inactive"
			if u != nil && u.active || strings.HasSuffix(name, ".mount") && p.mountedAt(mountPoint(name)) {
				state = "active"
			}
			if !isSet(set, "-q", "--quiet") {
				p.println(state)
			}
			if state != "active" {
				status = 3
			}
			continue
		case "is-enabled":
			state := m.enabled(name)
			if state == "" {
				fmt.Fprintf(p.stderr, "Failed to get unit file state for %s: No such file or directory\n", name)
				status = 1
				continue
			}
			if !isSet(set, "-q", "--quiet") {
				p.println(state)
			}
			if state == "disabled" || state == "masked" {
				status = 1
			}
			continue
		case "status":
			if u == nil {
				fmt.Fprintf(p.stderr, "Unit %s could not be found.\n", name)
				status = 4
				continue
			}
			state := "inactive (dead)"
			if u.active {
				state = "active (running)"
			} else {
				status = 3
			}
			p.printf("● %s\n     Loaded: loaded (%s; %s)\n     Active: %s\n", name, u.fragment, m.enabled(name), state)
			continue
		}
		if u == nil {
			switch verb {
			case "enable", "disable", "mask", "unmask":
				fmt.Fprintf(p.stderr, "Failed to %s unit: Unit file %s does not exist.\n", verb, name)
				status = 1
			default:
				fmt.Fprintf(p.stderr, "Failed to %s %s: Unit %s not found.\n", verb, name, name)
				status = 5
			}
			continue
		}
		switch verb {
		case "start", "restart", "try-restart", "reload-or-restart", "try-reload-or-restart":
			if m.needsReload(u) {
				fmt.Fprintf(p.stderr, "Warning: The unit file, source configuration file or drop-ins of %s changed on disk. Run 'systemctl daemon-reload' to reload units.\n", name)
			}
			if strings.HasPrefix(verb, "try-") && !u.active {
				continue
			}
			if strings.HasSuffix(name, ".mount") {
				point := mountPoint(name)
				if s := p.run(p.ctx, []string{"mount", point}); s != 0 && !p.mountedAt(point) {
					fmt.Fprintf(p.stderr, "Job for %s failed.\nSee \"systemctl status %s\" and \"journalctl -xeu %s\" for details.\n", name, name, name)
					status = 1
				}
				continue
			}
			if verb != "start" {
				m.stopUnit(name)
			}
			m.startUnit(name)
		case "stop":
			if strings.HasSuffix(name, ".mount") {
				if p.mountedAt(mountPoint(name)) {
					status |= p.run(p.ctx, []string{"umount", mountPoint(name)})
				}
				continue
			}
			m.stopUnit(name)
		case "reload":
			if !u.active {
				fmt.Fprintf(p.stderr, "%s is not active, cannot reload.\n", name)
				status = 1
			}
		case "enable":
			m.enable(name)
			fmt.Fprintf(p.stderr, "Created symlink /etc/systemd/system/multi-user.target.wants/%s → %s.\n", name, u.fragment)
			if isSet(set, "--now") {
				m.startUnit(name)
			}
		case "disable":
			_ = m.Remove("/etc/systemd/system/multi-user.target.wants/" + name)
			if isSet(set, "--now") {
				m.stopUnit(name)
			}
		case "mask":
			_ = m.fs.symlink(root, "/dev/null", "/etc/systemd/system/"+name)
		case "unmask":
			if m.enabled(name) == "masked" {
				_ = m.Remove("/etc/systemd/system/" + name)
			}
		default:
			fmt.Fprintf(p.stderr, "Unknown command verb %s.\n", verb)
			m.miss("systemctl " + verb)
			return 1
		}
	}
	return status
}

func mountPoint(name string) string {
	return "/" + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(name, ".mount"), "-", "/"), `\x2d`, "-")
}

func (m *Machine) enable(name string) {
	_ = m.mkdirs("/etc/systemd/system/multi-user.target.wants")
	_ = m.fs.symlink(root, "/lib/systemd/system/"+name, "/etc/systemd/system/multi-user.target.wants/"+name)
}

// systemctlShow is systemctl show [-p A,B] [--value] UNIT….
func (p *process) systemctlShow(set map[string]string, args []string) int {
	var want []string
	for _, o := range []string{"-p", "-P", "--property"} {
		if v := set[o]; v != "" {
			want = append(want, strings.Split(v, ",")...)
		}
	}
	for i, arg := range args {
		if i > 0 {
			p.println()
		}
		values := p.unitProperties(unitName(arg))
		for _, v := range values {
			name, value, _ := strings.Cut(v, "=")
			switch {
			case len(want) > 0 && !slices.Contains(want, name):
			case isSet(set, "--value", "-P"):
				p.println(value)
			case len(want) == 0 && value == "":
			default:
				p.println(v)
			}
		}
	}
	return 0
}

// unitProperties are in the order in which systemctl prints them.
func (p *process) unitProperties(name string) []string {
	m := p.machine
	u := m.unit(name)
	if u == nil {
		if fresh, ok := m.onDisk(name); ok {
			u = &fresh
		}
	}
	if u == nil {
		return []string{"MainPID=0", "Environment=", "Id=" + name, "LoadState=not-found", "ActiveState=inactive", "SubState=dead", "FragmentPath=", "DropInPaths=", "UnitFileState=", "NeedDaemonReload=no"}
	}
	active, sub, load := "inactive", "dead", "loaded"
	if u.active {
		active, sub = "active", "running"
	}
	if strings.HasSuffix(name, ".mount") && p.mountedAt(mountPoint(name)) {
		active, sub = "active", "mounted"
	}
	if m.enabled(name) == "masked" {
		load = "masked"
	}
	reload := "no"
	if m.needsReload(u) {
		reload = "yes"
	}
	since := ""
	if u.active {
		since = u.since.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
	}
	var environment []string
	for line := range strings.Lines(u.setting) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsAny(line, " \t\"'\\$") {
			line = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(line) + `"`
		}
		environment = append(environment, line)
	}
	files := make([]string, len(u.files))
	for i, f := range u.files {
		files[i] = "EnvironmentFiles=" + f + " (ignore_errors=yes)"
	}
	return append(files,
		"Type=simple", "Restart=always", "MainPID="+strconv.Itoa(u.pid), "Result=success",
		"ExecMainStartTimestamp="+since, execStart(u), "Environment="+strings.Join(environment, " "),
		"Id="+name, "Names="+name, "Description="+unitDescription(u),
		"LoadState="+load, "ActiveState="+active, "SubState="+sub, "FragmentPath="+u.fragment,
		"DropInPaths="+strings.Join(u.dropIns, " "), "UnitFileState="+m.enabled(name), "UnitFilePreset=enabled",
		"ActiveEnterTimestamp="+since, "NeedDaemonReload="+reload,
	)
}

// execStart is the property as systemd prints it.
func execStart(u *unit) string {
	for line := range strings.SplitSeq(strings.ReplaceAll(u.text, "\x00", "\n"), "\n") {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok && command != "" {
			program, _, _ := strings.Cut(command, " ")
			return "ExecStart={ path=" + program + " ; argv[]=" + command + " ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
		}
	}
	return "ExecStart="
}

func unitDescription(u *unit) string {
	for line := range strings.Lines(u.text) {
		if d, ok := strings.CutPrefix(line, "Description="); ok {
			return strings.TrimSpace(d)
		}
	}
	return u.name
}

func (p *process) systemctlCat(names []string) int {
	status := 0
	for _, name := range names {
		u, ok := p.machine.onDisk(name)
		if !ok {
			fmt.Fprintf(p.stderr, "No files found for %s.\n", name)
			status = 1
			continue
		}
		for _, file := range append([]string{u.fragment}, u.dropIns...) {
			text, _ := p.machine.ReadFile(file)
			p.printf("# %s\n%s\n", file, text)
		}
	}
	return status
}

func (p *process) systemctlList(verb string, set map[string]string, names []string) int {
	m := p.machine
	m.mu.Lock()
	var all []string
	for name := range m.units {
		all = append(all, name)
	}
	m.mu.Unlock()
	slices.Sort(all)
	kind := set["-t"] + set["--type"]
	for _, name := range all {
		u := m.unit(name)
		if u == nil || kind != "" && path.Ext(name) != "."+kind ||
			len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { ok, _ := path.Match(n, name); return ok }) {
			continue
		}
		if verb == "list-unit-files" {
			p.printf("%s %s enabled\n", name, m.enabled(name))
		} else if u.active || isSet(set, "-a", "--all") {
			p.printf("%s loaded active running %s\n", name, unitDescription(u))
		}
	}
	return 0
}
