package tasks

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// proxyFacts are what was found of proxies on a host. Files hold other
// programs' passwords, so none is shown whole, and no value unmasked.
type proxyFacts struct {
	Services
	Files   map[string]Presence `json:"files"`
	Set     map[string]string   `json:"environment"` // of /etc/environment, masked
	Units   []*unitFacts        `json:"units"`
	Trusted []string            `json:"-"` // lines of wished certificates that the bundle has

	ledger  ledger
	files   map[string]file
	modes   map[string]string // "600 0": mode and owner
	written map[string]int64  // when, by the host's clock, in seconds since 1970
	uptime  int64             // seconds since the boot
	intact  map[string]bool   // signed files: as they were written?
	assigns []assigns
	apt     []aptLine
	closed  []string // files of apt.conf.d that only root can read
	noTool  bool     // nothing here makes a bundle of certificates
}

// assigns is a file of somebody else in which variables may be set.
type assigns struct {
	path     string
	presence Presence
	lines    []string
}

// An aptLine is a line of apt's configuration that speaks of a proxy.
type aptLine struct{ path, text string }

// unitFacts are a unit as systemd has loaded it.
type unitFacts struct {
	Name   string            `json:"name"` // without .service
	Load   string            `json:"load_state"`
	Active string            `json:"active_state"`
	Stale  bool              `json:"need_daemon_reload"`
	Set    map[string]string `json:"environment"` // its proxy variables, masked
	Files  []string          `json:"environment_files"`

	set        map[string]string
	pid        int
	began      time.Time // the process; zero: not known
	process    Presence  // of its environment; Absent: no process
	count      int       // wished variables in the process's environment
	other      bool      // it has a wished variable with another value
	extra      []string  // proxy variables that it has and nobody wished
	hasProcess bool
}

var proxyNames = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}

func readProxy(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &proxyFacts{
		Services: readServices(blocks),
		Files:    make(map[string]Presence),
		Set:      make(map[string]string),
		files:    make(map[string]file),
		modes:    make(map[string]string),
		written:  make(map[string]int64),
		intact:   make(map[string]bool),
	}
	if f.ledger, err = readLedger("proxy", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	for _, b := range blocks {
		switch b.kind {
		case "file", "secret":
			f.files[b.rest] = b.file()
			f.Files[b.rest] = f.files[b.rest].Presence
		case "signed":
			f.intact[b.rest] = b.noted("intact")
			f.Files[b.rest] = Present
		case "assigns":
			f.assigns = append(f.assigns, assigns{b.rest, b.file().Presence, b.lines})
		case "modes":
			for _, line := range b.lines {
				fields := strings.SplitN(line, " ", 3)
				if len(fields) != 3 {
					continue
				}
				name := fields[2]
				if i := strings.LastIndexByte(name, ' '); i > 0 {
					if seconds, err := strconv.ParseInt(name[i+1:], 10, 64); err == nil {
						name, f.written[name[:i]] = name[:i], seconds
					}
				}
				f.modes[name] = fields[0] + " " + fields[1]
			}
		case "uptime":
			seconds, _, _ := strings.Cut(b.rest, ".")
			if f.uptime, err = strconv.ParseInt(seconds, 10, 64); err != nil {
				return nil, fmt.Errorf("probe %s: /proc/uptime: %w", s.Name, err)
			}
		case "closed":
			f.closed = append(f.closed, b.rest)
		case "apt":
			if b.exit() > 1 {
				return nil, fmt.Errorf("probe %s: grep in /etc/apt/apt.conf.d: exit status %d", s.Name, b.exit())
			}
			for _, line := range b.lines {
				p, text, ok := strings.Cut(line, ":")
				switch {
				case !ok:
				case p == trustStores["debian"].bundle:
					f.Trusted = append(f.Trusted, text)
				case strings.HasPrefix(p, "/") && isAptPart(p):
					f.apt = append(f.apt, aptLine{p, text})
				}
			}
		case "units":
			if b.exit() != 0 {
				return nil, fmt.Errorf("probe %s: systemctl show: exit status %d%s", s.Name, b.exit(), evidence(s.Err))
			}
			if f.Units, err = parseUnits(b.lines); err != nil {
				return nil, fmt.Errorf("probe %s: systemctl show: %w", s.Name, err)
			}
		case "environ":
			if u := f.unit(strings.TrimSuffix(b.rest, ".service")); u != nil {
				readProcess(u, b)
			}
		case "trust":
			f.noTool = b.noted("no tool")
		case "trusted":
			f.Trusted = append(f.Trusted, b.lines...)
		}
	}
	for _, u := range f.Units {
		if !u.hasProcess {
			return nil, fmt.Errorf("probe %s: it says nothing of the process of %s", s.Name, u.Name)
		}
	}
	for _, a := range parseEnvironment(f.files[environmentPath].content) {
		if slices.Contains(proxyNames, a.name) {
			f.Set[a.name] = maskedAddress(a.value)
		}
	}
	return f, nil
}

func readProcess(u *unitFacts, b block) {
	u.hasProcess = true
	u.process = Present
	switch {
	case b.noted("none"):
		u.process = Absent
	case b.noted("unreadable"):
		u.process = Unreadable
	}
	u.other = b.noted("other")
	for _, n := range b.notes {
		if count, ok := strings.CutPrefix(n, "count "); ok {
			u.count, _ = strconv.Atoi(count)
		}
		if name, ok := strings.CutPrefix(n, "extra "); ok {
			u.extra = append(u.extra, name)
		}
	}
}

// outdated reports whether a process runs with proxy variables that systemd
// would no longer give it.
func (u *unitFacts) outdated() bool {
	return slices.ContainsFunc(u.extra, func(name string) bool { _, set := u.set[name]; return !set && len(u.Files) == 0 })
}

// startedSince reports whether a unit is known to have been started after all
// that gives it variables was last written: to start it once more would change
// nothing.
func (f *proxyFacts) startedSince(u *unitFacts) bool {
	if u.began.IsZero() {
		return false
	}
	for name, written := range f.written {
		folder := path.Base(path.Dir(name))
		sets := folder == u.Name+".service.d" || folder == "service.d" || slices.Contains(u.Files, name)
		if sets && written > u.began.Unix() {
			return false
		}
	}
	return true
}

// beganBefore reports whether a unit's process is known to have begun before one
// of these files was written. To start it once more disturbs what runs, so that
// no clock is believed which may have been set since: a file from before the boot
// is older than every process, be the hour of its start what it may, and one from
// the future says nothing.
func (f *proxyFacts) beganBefore(u *unitFacts, files []string) bool {
	now := f.written[ownProcess]
	return !u.began.IsZero() && slices.ContainsFunc(files, func(name string) bool {
		written := f.written[name]
		return written > u.began.Unix() && written > now-f.uptime && written <= now
	})
}

func (f *proxyFacts) unit(name string) *unitFacts {
	for _, u := range f.Units {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// parseUnits reads what systemctl show prints of several units: properties, a
// line each, and an empty line between units.
func parseUnits(lines []string) ([]*unitFacts, error) {
	var units []*unitFacts
	u := &unitFacts{}
	flush := func() error {
		switch {
		case u.Name != "":
			units = append(units, u)
		case u.Load != "" || u.Active != "":
			return fmt.Errorf("a unit has no Id")
		}
		return nil
	}
	for n, line := range lines {
		if line == "" {
			if err := flush(); err != nil {
				return nil, err
			}
			u = &unitFacts{}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			// Not quoted: it may be the rest of a variable.
			return nil, fmt.Errorf("line %d is not a property", n+1)
		}
		switch name {
		case "Id":
			u.Name = strings.TrimSuffix(value, ".service")
		case "LoadState":
			u.Load = value
		case "ActiveState":
			u.Active = value
		case "NeedDaemonReload":
			u.Stale = value == "yes"
		case "MainPID":
			u.pid, _ = strconv.Atoi(value)
		case "ExecMainStartTimestamp":
			u.began, _ = time.Parse("Mon 2006-01-02 15:04:05 UTC", value)
		case "EnvironmentFiles":
			if i := strings.LastIndex(value, " (ignore_errors="); i >= 0 {
				value = value[:i]
			}
			if value != "" {
				u.Files = append(u.Files, value)
			}
		case "Environment":
			u.set, u.Set = make(map[string]string), make(map[string]string)
			for _, word := range splitWords(value) {
				if n, v, ok := strings.Cut(word, "="); ok && slices.Contains(proxyNames, n) {
					u.set[n], u.Set[n] = v, maskedAddress(v)
				}
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	for _, u := range units {
		if u.Load == "" || u.Active == "" {
			return nil, fmt.Errorf("%s has no LoadState or ActiveState", clip(u.Name, 40))
		}
	}
	return units, nil
}

// splitWords takes a list apart as systemd quotes it, in a unit's file and in
// what systemctl shows: blanks between words, double or single quotes around
// them, backslashes.
func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			if c == '\'' && strings.HasSuffix(word.String(), "$") && word.Len() == 1 {
				word.Reset() // $'…'
			}
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// overrides names the first file of somebody else that takes a wished variable
// from a unit although our drop-in is there, and what it does.
//
// systemd reads drop-ins in the order of their names, the last assignment
// holds, and what an EnvironmentFile sets holds against any Environment.
func (f *proxyFacts) overrides(u *unitFacts, w proxyWish) string {
	want := make(map[string]string)
	for _, line := range w.secretAssignments() {
		name, value, _ := strings.Cut(line, "=")
		want[name] = value
	}
	var lateFiles []string
	for _, a := range f.assigns {
		folder, name := path.Split(a.path)
		folder = path.Base(folder)
		if folder != u.Name+".service.d" && folder != "service.d" || name <= dropInName {
			continue
		}
		for _, line := range a.lines {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			words := splitWords(strings.ReplaceAll(value, "%%", "%"))
			switch key = strings.TrimSpace(key); key {
			case "EnvironmentFile":
				lateFiles = append(lateFiles, strings.TrimPrefix(strings.TrimSpace(value), "-"))
				if len(words) == 0 && w.credentials() {
					return a.path + " drops all files of variables"
				}
			case "UnsetEnvironment":
				for _, word := range words {
					if name, _, _ := strings.Cut(word, "="); want[name] != "" {
						return a.path + " unsets " + name
					}
				}
			case "Environment":
				if w.credentials() {
					continue
				}
				if len(words) == 0 {
					return a.path + " drops all variables"
				}
				for _, word := range words {
					if name, value, _ := strings.Cut(word, "="); want[name] != "" && want[name] != value {
						return a.path + " sets " + name + " to " + maskedAddress(value)
					}
				}
			}
		}
	}
	for _, a := range f.assigns {
		if !slices.Contains(u.Files, a.path) || w.credentials() && !slices.Contains(lateFiles, a.path) {
			continue
		}
		for _, line := range a.lines {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if want[name] != "" && unquoteShell(value) != want[name] {
				return a.path + " sets " + name + " to " + maskedAddress(unquoteShell(value))
			}
		}
	}
	return ""
}
