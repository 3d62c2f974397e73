package tasks

import (
	"net/url"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// This file is about the way that a container runtime takes today, as systemd
// would start it, which need not be the wished one: what it would meet there is
// tried side by side with that.

// pullers are the units that fetch images.
var pullers = []string{"containerd", "docker", "crio"}

// probePullers looks at them where no proxy is wished, for then nobody else does.
const probePullers = `units=
for unit in containerd docker crio; do
	if hasUnit "$unit"; then units="$units $unit"; fi
done
if [ -n "$units" ] && [ -d /run/systemd/system ]; then services units Id,LoadState,ActiveState,Environment,EnvironmentFiles $units; fi
`

// A present is what runtimes have for a way now.
type present struct {
	of      string // "containerd", or "containerd and docker"
	proxy   string // a URL; empty: none
	noProxy []string
}

// presents are the settings of those runtimes of which they are known. What
// cannot be read is nothing that could be tried.
func presents(h inventory.Host, sections []remote.Section) []present {
	var all []present
	leave := leaving(h, sections)
	for _, s := range sections {
		var units []*unitFacts
		var more map[string][]assignment // of environment files
		switch {
		case s.Failure != "" || s.Exit != 0:
		case s.Name == "proxy" && h.Proxy != nil:
			if facts, err := readProxy(s); err == nil {
				f := facts.(*proxyFacts)
				units, more = f.Units, f.environmentFiles()
			}
		case s.Name == "egress" && h.Proxy == nil:
			units = unitsOf(s)
		}
		for _, u := range units {
			if u.Load != "loaded" || !slices.Contains(pullers, u.Name) || slices.Contains(leave, u.Name) {
				continue
			}
			p, known := presentOf(u, more)
			if !known {
				continue
			}
			i := slices.IndexFunc(all, func(o present) bool { return o.proxy == p.proxy && slices.Equal(o.noProxy, p.noProxy) })
			if i < 0 {
				all = append(all, p)
			} else {
				all[i].of += " and " + p.of
			}
		}
	}
	return all
}

// leaving are the units from which the task proxy will take what it has set, so
// that what they have today is of no interest any more.
func leaving(h inventory.Host, sections []remote.Section) []string {
	i := slices.IndexFunc(sections, func(s remote.Section) bool { return s.Name == "proxy" && s.Failure == "" && s.Exit == 0 })
	if i < 0 || h.Proxy.HasURL() {
		return nil
	}
	facts, err := readProxy(sections[i])
	if err != nil {
		return nil
	}
	var names []string
	for _, g := range planProxy(h, facts) {
		if _, ignored := h.Ignores("proxy", g.Subject); g.State == Pending && g.Why == noLonger && !ignored {
			names = append(names, g.Subject)
		}
	}
	return names
}

func unitsOf(s remote.Section) []*unitFacts {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil
	}
	for _, b := range blocks {
		if b.kind == "units" && b.exit() == 0 {
			units, _ := parseUnits(b.lines)
			return units
		}
	}
	return nil
}

// environmentFiles are what the files assign that units name and that were read.
func (f *proxyFacts) environmentFiles() map[string][]assignment {
	files := map[string][]assignment{}
	for _, a := range f.assigns {
		if a.presence == Present || a.presence == Absent {
			files[a.path] = parseEnvironment(strings.Join(a.lines, "\n"))
		}
	}
	return files
}

// presentOf is what a program in Go makes of a unit's environment; a file takes
// precedence over what the unit itself assigns.
func presentOf(u *unitFacts, files map[string][]assignment) (present, bool) {
	set := map[string]string{}
	for name, value := range u.set {
		set[name] = value
	}
	for _, file := range u.Files {
		assigned, read := files[file]
		if !read {
			return present{}, false // ours, with a password, or one that nobody may read
		}
		for _, a := range assigned {
			set[a.name] = a.value
		}
	}
	first := func(names ...string) string {
		for _, n := range names {
			if set[n] != "" {
				return set[n]
			}
		}
		return ""
	}
	p := present{of: u.Name, proxy: first("HTTPS_PROXY", "https_proxy")}
	if list := first("NO_PROXY", "no_proxy"); list != "" {
		p.noProxy = strings.Split(list, ",")
		for i, e := range p.noProxy {
			p.noProxy[i] = strings.TrimSpace(e)
		}
	}
	return p, true
}

// to is the proxy on the way to an address, as runtimes read it; known is false
// for one that cannot be asked from here, such as SOCKS.
func (p present) to(host string, port int) (via *remote.HTTPProxy, known bool) {
	if p.proxy == "" || inventory.Direct(inventory.ReaderGo, p.noProxy, host, port) {
		return nil, true
	}
	raw := p.proxy
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return nil, false
	}
	via = proxyAt(u)
	via.Username = u.User.Username()
	if password, ok := u.User.Password(); ok {
		via.Password = secret.New(password)
	}
	return via, true
}

// presentEndpoints are the ways that runtimes take today and that differ from
// the wished ones.
func presentEndpoints(h inventory.Host, sections []remote.Section) []remote.Endpoint {
	var all []remote.Endpoint
	wished := reachEgress(h)
	for _, p := range presents(h, sections) {
		for _, e := range wished {
			via, known := p.to(e.Host, e.Port)
			if !known || sameWay(via, e.Proxy) {
				continue
			}
			e.Proxy, e.Of = via, p.of
			all = append(all, e)
		}
	}
	return all
}

func sameWay(a, b *remote.HTTPProxy) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Host == b.Host && a.Port == b.Port && a.Username == b.Username && a.Password.Reveal() == b.Password.Reveal()
}

// today adds to a finding what runtimes meet on the way that they take now. With
// a proxy wished that is what will change; without one it is what counts.
func (f *egressFacts) today(h inventory.Host, g *Finding) {
	for _, r := range f.Endpoints {
		if r.Endpoint != g.Subject || r.Of == "" {
			continue
		}
		goes := "goes straight"
		if r.Through != "" {
			goes = "asks the proxy " + r.Through
		}
		if strings.Contains(r.Of, " and ") {
			goes = strings.Replace(strings.Replace(goes, "goes", "go", 1), "asks", "ask", 1)
		}
		state, have, hint := judgeReached(r)
		if h.Proxy.HasURL() {
			g.Have += "; today " + r.Of + " " + goes + ": " + have
			continue
		}
		if state != OK || g.State != OK {
			hint = "the inventory names no proxy, so that nothing of this is changed: give one in a proxy block, or take the proxy out of " + r.Of + "'s units" + andThen(hint)
		}
		g.Have = r.Of + " " + goes + ": " + have + "; straight: " + g.Have
		g.State, g.Hint = state, hint
	}
}

func andThen(hint string) string {
	if hint == "" {
		return ""
	}
	return "; " + hint
}
