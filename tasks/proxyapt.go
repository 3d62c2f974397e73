package tasks

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// apt has a file of ours, which is read after all others but apt.conf and parts
// with a name that sorts after it.
func (p *proxyPlan) apt() change {
	c := change{Finding: Finding{Subject: "apt", State: OK, Want: p.wantSecretly(), Why: p.why}}
	ours, content := p.f.files[aptPath], p.w.aptConf()
	add := p.ownFile(aptPath, content)
	if over := p.aptOverride(); over.path != "" {
		c.State = Unmet
		scheme, url, _ := parseAptProxy(over.text)
		c.Have = fmt.Sprintf("%s is read after ours and sets %s to %s", over.path, scheme, maskedAddress(url))
		c.Hint = "take that line out of " + over.path
		return c
	}
	if path := p.aptUnclear(); path != "" {
		c.State = Unknown
		c.Have = path + " is read after ours and speaks of a proxy in a form that is not understood here"
		c.Hint = `write it as Acquire::http::Proxy "URL"; or take it out`
		return c
	}
	if why := notText(ours); why != "" {
		c.State, c.Have, c.Hint = Unmet, why, byHand
		return c
	}
	mode := fs.FileMode(0o644)
	if p.w.credentials() {
		mode = 0o600
	}
	switch {
	case ours.Presence == Unreadable || len(p.f.closed) > 0:
		c.State, c.Have, c.Hint = Unknown, "a file of /etc/apt/apt.conf.d cannot be read without root", "enable sudo for this host"
		return c
	case ours.Presence == Same && isRootOnly(p.f.modes[aptPath]), ours.Presence == Present && ours.content == content:
		c.Have = "set in " + aptPath
		return c
	case !p.w.credentials() && ours.Presence == Absent && p.aptIsSo():
		c.Have = "set in another file of /etc/apt/apt.conf.d"
		return c
	}
	c.State, c.Have = Pending, p.aptHas()
	c.Steps = []remote.Step{p.write(ours, aptPath, content, mode)}
	c.adds = []entry{add}
	return c
}

// aptLast are the lines on a proxy that apt reads after ours: of the parts that
// sort after it, and then of apt.conf.
func (p *proxyPlan) aptLast() []aptLine {
	var last []aptLine
	for _, line := range p.f.apt {
		if line.path > aptPath {
			last = append(last, line)
		}
	}
	for text := range strings.Lines(p.f.files[aptConfPath].content) {
		last = append(last, aptLine{aptConfPath, text})
	}
	return last
}

// isAptPart reports whether apt reads a file of its folder: it leaves out what
// editors and dpkg put beside.
func isAptPart(file string) bool {
	name := path.Base(file)
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c) {
			return false
		}
	}
	ext := path.Ext(name)
	return !strings.HasPrefix(name, ".") && (ext == "" || ext == ".conf")
}

// aptOverride is a line read after ours that sets another proxy than the
// wished.
func (p *proxyPlan) aptOverride() aptLine {
	for _, line := range p.aptLast() {
		if scheme, url, ok := parseAptProxy(line.text); ok && url != p.w.withCredentials(p.w.byScheme(scheme)) && p.w.byScheme(scheme) != "" {
			return line
		}
	}
	return aptLine{}
}

// aptUnclear is a file read after ours that may set a proxy in a form other
// than the plain one: inside braces, or found by a program.
func (p *proxyPlan) aptUnclear() string {
	for _, line := range p.aptLast() {
		text := strings.TrimSpace(line.text)
		lower := strings.ToLower(text)
		_, _, plain := parseAptProxy(text)
		if strings.Contains(lower, "proxy") && !plain && !strings.Contains(lower, "proxy::") &&
			!strings.HasPrefix(text, "//") && !strings.HasPrefix(text, "#") {
			return line.path
		}
	}
	return ""
}

func (w proxyWish) byScheme(scheme string) string {
	if scheme == "http" {
		return w.http
	}
	return w.https
}

// aptSets are the proxies that apt's other files set in the plain form.
func (p *proxyPlan) aptSets() map[string]string {
	set := make(map[string]string)
	for _, line := range p.f.apt {
		if line.path == aptPath && p.f.files[aptPath].Presence != Present {
			continue
		}
		if scheme, url, ok := parseAptProxy(line.text); ok {
			set[scheme] = url
		}
	}
	return set
}

func (p *proxyPlan) aptIsSo() bool {
	set := p.aptSets()
	return set["http"] == p.w.http && set["https"] == p.w.https
}

func (p *proxyPlan) aptHas() string {
	if presence := p.f.files[aptPath].Presence; presence == Same {
		return aptPath + " holds credentials and is not root's alone"
	} else if presence == Differs {
		return "set otherwise in " + aptPath
	}
	var has []string
	for scheme, url := range p.aptSets() {
		has = append(has, scheme+" through "+maskedAddress(url))
	}
	slices.Sort(has)
	if has == nil {
		return "not set"
	}
	return strings.Join(has, ", ")
}

// parseAptProxy reads Acquire::http::Proxy "URL"; on a line of its own.
func parseAptProxy(line string) (scheme, url string, ok bool) {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch strings.ToLower(name) {
	case "acquire::http::proxy":
		scheme = "http"
	case "acquire::https::proxy":
		scheme = "https"
	default:
		return "", "", false
	}
	_, url, ok1 := strings.Cut(rest, `"`)
	url, _, ok2 := strings.Cut(url, `"`)
	return scheme, strings.TrimSuffix(url, "/"), ok1 && ok2
}
