package tasks

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// apt has a file of ours, which is read after all others but apt.conf.
func (p *proxyPlan) apt() change {
	c := change{Finding: Finding{Subject: "apt", State: OK, Want: p.wantSecretly(), Why: p.why}}
	ours, content := p.f.files[aptPath], p.w.aptConf()
	add := p.ownFile(aptPath, content)
	if over := p.aptOverride(); over.path != "" {
		c.State = Unmet
		c.Have = fmt.Sprintf("%s is read last and says %s", over.path, masked(strings.TrimSuffix(strings.TrimSpace(over.text), ";")))
		c.Hint = "take that line out of " + over.path
		return c
	}
	if line := p.aptUnclear(); line != "" {
		c.State = Unknown
		c.Have = fmt.Sprintf("%s is read last and says %s, which is not understood here", aptConfPath, masked(line))
		c.Hint = `write it as Acquire::http::Proxy "URL"; or take it out`
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

// aptOverride is a line of apt.conf, which is read after all the parts, that
// sets another proxy than the wished.
func (p *proxyPlan) aptOverride() aptLine {
	for line := range strings.Lines(p.f.files[aptConfPath].content) {
		if scheme, url, ok := parseAptProxy(line); ok && url != p.w.withCredentials(p.w.byScheme(scheme)) && p.w.byScheme(scheme) != "" {
			return aptLine{aptConfPath, line}
		}
	}
	return aptLine{}
}

// aptUnclear is a line of apt.conf that may set a proxy in a form other than
// the plain one: inside braces, or found by a program.
func (p *proxyPlan) aptUnclear() string {
	for line := range strings.Lines(p.f.files[aptConfPath].content) {
		line = strings.TrimSpace(line)
		lower := strings.ToLower(line)
		_, _, plain := parseAptProxy(line)
		if strings.Contains(lower, "proxy") && !plain && !strings.Contains(lower, "proxy::") &&
			!strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "#") {
			return clip(line, 80)
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
		has = append(has, scheme+" through "+masked(url))
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
