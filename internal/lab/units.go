package lab

import (
	"path"
	"slices"
	"strings"
	"time"
)

// A unit is one unit that systemd has loaded: as its files were at the last
// daemon-reload, which is not how they are now.
type unit struct {
	name     string
	fragment string // path of the unit file
	dropIns  []string
	text     string   // fragment and drop-ins as they were when loaded
	setting  string   // what Environment= lines come to, one variable a line
	files    []string // EnvironmentFile= lines; the files are read at a start, and `systemctl show` does not know what is in them

	active      bool
	environment string // of the running process: that of its last start
	pid         int
	since       time.Time
}

var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

func unitName(name string) string {
	if strings.HasPrefix(name, "/") {
		name = strings.ReplaceAll(strings.Trim(name, "/"), "/", "-") + ".mount"
	}
	switch path.Ext(name) {
	case ".service", ".mount", ".target", ".socket", ".timer", ".automount", ".slice", ".path", ".swap", ".device":
		return name
	}
	return name + ".service"
}

// onDisk reads a unit's files as a daemon-reload would.
func (m *Machine) onDisk(name string) (unit, bool) {
	u := unit{name: name}
	for _, folder := range unitFolders {
		text, err := m.ReadFile(folder + "/" + name)
		if err != nil {
			continue
		}
		u.fragment, u.text = strings.Replace(folder, "/usr/lib", "/lib", 1)+"/"+name, text
		break
	}
	if u.fragment == "" {
		return u, false
	}
	seen := map[string]string{} // a drop-in in /etc hides one of the same name elsewhere
	for _, folder := range slices.Backward(unitFolders) {
		dir := folder + "/" + name + ".d"
		entries, _ := m.fs.readDir(root, dir)
		for _, e := range entries {
			if strings.HasSuffix(e.name, ".conf") {
				seen[e.name] = dir + "/" + e.name
			}
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, _ := m.ReadFile(seen[name])
		u.dropIns = append(u.dropIns, seen[name])
		u.text += "\x00" + seen[name] + "\x00" + text
	}
	u.setting, u.files = environmentOf(u.text)
	return u, true
}

// An environment is variables in the order they were first set.
type environment struct {
	order  []string
	values map[string]string
}

func (e *environment) set(assignment string) {
	name, value, ok := strings.Cut(assignment, "=")
	if !ok {
		return
	}
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, had := e.values[name]; !had {
		e.order = append(e.order, name)
	}
	e.values[name] = value
}

func (e *environment) String() string {
	var b strings.Builder
	for _, name := range e.order {
		b.WriteString(name + "=" + e.values[name] + "\n")
	}
	return b.String()
}

// environmentOf is what Environment= lines come to, and the files that
// EnvironmentFile= lines name.
func environmentOf(text string) (setting string, files []string) {
	var e environment
	section := ""
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\x00", "\n"), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case section != "[Service]":
		case line == "Environment=":
			e = environment{}
		case strings.HasPrefix(line, "Environment="):
			for _, word := range splitQuoted(strings.TrimPrefix(line, "Environment=")) {
				e.set(strings.ReplaceAll(word, "%%", "%"))
			}
		case line == "EnvironmentFile=":
			files = nil
		case strings.HasPrefix(line, "EnvironmentFile="):
			files = append(files, strings.TrimPrefix(strings.TrimPrefix(line, "EnvironmentFile="), "-"))
		}
	}
	return e.String(), files
}

// atStart is the environment that a start gives: what files say wins.
func (u *unit) atStart(m *Machine) string {
	var e environment
	for line := range strings.Lines(u.setting) {
		e.set(strings.TrimSuffix(line, "\n"))
	}
	for _, name := range u.files {
		text, _ := m.ReadFile(name)
		for l := range strings.Lines(text) {
			if l = strings.TrimSpace(l); l != "" && l[0] != '#' && l[0] != ';' {
				name, value, _ := strings.Cut(l, "=")
				e.set(name + "=" + strings.Trim(value, `"'`))
			}
		}
	}
	return e.String()
}

// splitQuoted splits words at blanks as systemd does, quotes taken off.
func splitQuoted(s string) []string {
	var words []string
	var word strings.Builder
	in, has := rune(0), false
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, has = true, true
		case in != 0 && r == in:
			in = 0
		case in != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			in, has = r, true
		case r == ' ' || r == '\t':
			if has {
				words = append(words, word.String())
			}
			word.Reset()
			has = false
		default:
			word.WriteRune(r)
			has = true
		}
	}
	if has {
		words = append(words, word.String())
	}
	return words
}

// reloadUnits is systemctl daemon-reload.
func (m *Machine) reloadUnits() {
	loaded := map[string]unit{}
	for _, folder := range unitFolders {
		entries, _ := m.fs.readDir(root, folder)
		for _, e := range entries {
			if e.IsDir() || path.Ext(e.name) == "" || loaded[e.name].name != "" {
				continue
			}
			if u, ok := m.onDisk(e.name); ok {
				loaded[e.name] = u
			}
		}
	}
	for _, l := range m.fstab() {
		if l.network() || l.point == "/" {
			name := unitName(l.point)
			loaded[name] = unit{name: name, fragment: "/run/systemd/generator/" + name}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, u := range loaded {
		if old := m.units[name]; old != nil {
			u.active, u.environment, u.pid, u.since = old.active, old.environment, old.pid, old.since
		}
		m.units[name] = &u
	}
	for name, u := range m.units {
		if _, ok := loaded[name]; !ok && !u.active {
			delete(m.units, name)
		}
	}
}

// startEnabled is what a boot does to services.
func (m *Machine) startEnabled() {
	m.mu.Lock()
	var names []string
	for name, u := range m.units {
		u.active, u.pid, u.environment = false, 0, ""
		names = append(names, name)
	}
	m.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		if path.Ext(name) == ".service" && m.enabled(name) == "enabled" {
			m.startUnit(name)
		}
	}
}

// enabled is what systemctl is-enabled prints.
func (m *Machine) enabled(name string) string {
	if target, err := m.fs.readlink(root, "/etc/systemd/system/"+name); err == nil && target == "/dev/null" {
		return "masked"
	}
	for _, target := range []string{"multi-user.target", "remote-fs.target", "sockets.target", "timers.target", "sysinit.target"} {
		if _, err := m.fs.stat(root, "/etc/systemd/system/"+target+".wants/"+name, false); err == nil {
			return "enabled"
		}
	}
	u := m.unit(name)
	switch {
	case u == nil:
		return ""
	case strings.HasPrefix(u.fragment, "/run/systemd/generator"):
		return "generated"
	case !strings.Contains(u.text, "[Install]"):
		return "static"
	}
	return "disabled"
}

// unit is a copy of a loaded unit, or nil.
func (m *Machine) unit(name string) *unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[name]
	if u == nil {
		return nil
	}
	c := *u
	return &c
}

func (m *Machine) unitOf(pid int) *unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.units {
		if u.pid == pid && pid != 0 {
			c := *u
			return &c
		}
	}
	return nil
}

// startUnit starts a unit, with the environment that is loaded now.
func (m *Machine) startUnit(name string) bool {
	m.mu.Lock()
	u := m.units[name]
	begins := u != nil && !u.active
	if begins {
		m.lastPID++
		u.active, u.pid, u.environment, u.since = true, m.lastPID, u.atStart(m), time.Now()
	}
	m.mu.Unlock()
	if begins && name == "containerd.service" {
		m.must(m.mkdirs(path.Dir(containerdSocket)))
		_ = m.Remove(containerdSocket) // of the run before
		m.must(m.fs.socket(root, containerdSocket, 0o660))
	}
	return u != nil
}

func (m *Machine) stopUnit(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[name]
	if u == nil {
		return false
	}
	u.active, u.pid, u.environment = false, 0, ""
	return true
}

// needsReload reports whether the files of a unit are no longer as loaded.
func (m *Machine) needsReload(u *unit) bool {
	if strings.HasPrefix(u.fragment, "/run/systemd/generator") {
		return false
	}
	now, ok := m.onDisk(u.name)
	return !ok || now.text != u.text
}
