package tasks

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A squidPlan is a plan being made.
type squidPlan struct {
	f    *squidFacts
	wish *inventory.Squid
	// rules is the file that they are in, content what is in it.
	rules, content string
	// moved: somebody who uses the port that squid listens on now will notice.
	moved bool
}

func planSquid(h inventory.Host, facts Facts) []Finding {
	p := &squidPlan{f: facts.(*squidFacts), wish: h.Squid}
	if p.wish == nil {
		return p.f.asRoot(p.f.ledger.remember(p.removals(), p.f.isThere))
	}
	changes := []change{p.pack()}
	if s := changes[0].State; s == Unmet || s == Unknown {
		return p.f.asRoot(p.f.ledger.remember(changes, p.f.isThere))
	}
	port, listed := p.port()
	p.rules, p.content = p.file(), SquidConf(p.wish.Clients, p.wish.Allow)
	if !listed { // no line of squid's own can be changed
		p.content += "http_port " + strconv.Itoa(p.wish.Port) + "\n"
	}
	changes = append(changes, p.config(), port)
	changed := slices.ContainsFunc(changes[1:], func(c change) bool { return c.State == Pending })
	changes = append(changes, p.service(changed))
	if !slices.ContainsFunc(changes, func(c change) bool { return c.State != OK }) {
		if !p.f.Listening {
			changes[2].State = Unmet
			changes[2].Have = "squid runs, and nobody listens on port " + strconv.Itoa(p.wish.Port)
			changes[2].Hint = "see journalctl -u squid and /var/log/squid/cache.log: another program may have the port"
		} else if c, asked := p.answers(); asked {
			changes = append(changes, c)
		}
	}
	return p.f.asRoot(p.f.ledger.remember(changes, p.f.isThere))
}

func (p *squidPlan) finding(subject, want string) change {
	return change{Finding: Finding{Subject: subject, State: OK, Want: want, Why: p.wish.Why}}
}

func (p *squidPlan) pack() change {
	c := p.finding("package", "squid")
	switch {
	case p.f.closed != "":
		c.State, c.Have, c.Hint = Unknown, p.f.closed+" cannot be read without root", "enable sudo for this host"
	case !p.f.Systemd:
		c.State, c.Have, c.Hint = Unmet, "systemd does not run this host", "set squid up by hand, or take the squid block away"
	case p.f.Installed && !p.f.seen():
		c.State, c.Have = Unmet, "installed, but "+squidMain+" is not there"
		c.Hint = "bring the package's own back: remove the package with its configuration, and apply again"
	case p.f.Installed:
		c.Have = "installed"
	case p.f.Listening:
		c.State, c.Have, c.Hint = Unmet, "not installed, and "+p.taken(), squidElsewhere
	case p.f.Manager == "":
		c.State, c.Have, c.Hint = Unmet, "not installed, and no package manager is known here", "install squid by hand"
	default:
		c.State, c.Have = Pending, "not installed"
		c.Steps = []remote.Step{install(p.f.Manager, "squid")}
	}
	return c
}

// file is where the rules go.
func (p *squidPlan) file() string {
	if !p.f.seen() {
		// The packages of which it is known; the other way is always right.
		if p.f.os["ID"] == "debian" && slices.Contains([]string{"11", "12"}, p.f.os["VERSION_ID"]) {
			return squidPart
		}
		return squidOwn
	}
	lines, included := p.f.before(squidPart)
	if !included || slices.ContainsFunc(lines, func(l squidLine) bool { return l.path == squidMain && l.decides() }) {
		return squidOwn
	}
	return squidPart
}

// config brings the rules to where squid reads them before any others that
// decide.
func (p *squidPlan) config() change {
	c := p.finding("config", p.want())
	ours := p.f.fileAt(p.rules)
	lines, included := p.f.before(p.rules)
	first := slices.IndexFunc(lines, squidLine.decides)
	switch {
	case ours.Presence == Unreadable:
		c.State, c.Have, c.Hint = Unknown, p.rules+" cannot be read without root", "enable sudo for this host"
		return c
	case ours.Presence == Irregular:
		c.State, c.Have, c.Hint = Unmet, p.rules+" is not a regular file", "remove it"
		return c
	case notText(ours) != "":
		c.State, c.Have, c.Hint = Unmet, notText(ours), "remove it"
		return c
	case p.rules == squidPart && first >= 0:
		c.State = Unmet
		c.Have = lines[first].path + " comes before the rules of runai-prep and decides: " + clip(masked(strings.Join(lines[first].words(), " ")), 100)
		c.Hint = "take the line out, or give its file a name that sorts after " + strings.TrimPrefix(p.rules, squidFolder+"/")
		return c
	}
	add := entry{"file", p.rules, fmt.Sprintf("%x", sha256.Sum256([]byte(p.content)))}
	if ours.content != p.content {
		c.State, c.Have = Pending, p.differing(ours)
		c.adds = append(c.adds, add)
		mine := ours.Presence != Present || p.f.ledger.has(entry{"file", p.rules, fmt.Sprintf("%x", sha256.Sum256([]byte(ours.content)))})
		c.Steps = append(c.Steps, remote.Step{Title: "write " + p.rules, Write: &remote.File{
			Path: p.rules, Mode: 0o644, Data: p.content, Old: ours.old(), Ours: mine, Verify: squidVerify(p.rules),
		}})
	}
	if p.rules == squidOwn && (!included || first >= 0) {
		line := "include " + squidOwn
		if c.State == OK {
			c.Have = squidMain + " does not include " + squidOwn
			if included {
				c.Have = squidMain + " decides before it includes " + squidOwn
			}
		}
		c.State = Pending
		c.adds = append(c.adds, entry{"line", squidMain, line})
		c.Steps = append(c.Steps, squidEdit{title: "include " + squidOwn + " at the top of " + squidMain, drop: line, top: line}.step())
	}
	if c.State == OK {
		c.Have = "as wished, in " + p.rules
	}
	if other := p.otherFile(); other.Presence == Present {
		if drop := p.f.ours(other); drop.path != "" {
			if c.State == OK {
				c.State, c.Have = Pending, other.Path+" is left from before"
			}
			c.drops = append(c.drops, drop)
			c.Steps = append(c.Steps, remote.Step{Title: "remove " + other.Path, Remove: &remote.Removal{Path: other.Path, Old: other.old(), Ours: true}})
		}
	}
	return c
}

// otherFile is where our rules may be from the time when squid.conf was another.
// The last file of a folder stays, for squid would not start without it.
func (p *squidPlan) otherFile() file {
	switch {
	case p.rules == squidPart:
		return p.f.fileAt(squidOwn)
	case p.f.othersInFolder():
		return p.f.fileAt(squidPart)
	}
	return file{}
}

// want tells the wish in a few words.
func (p *squidPlan) want() string {
	who := "this host alone"
	switch n := len(p.wish.Clients); {
	case n > 3:
		who = fmt.Sprintf("%s and %d more networks", strings.Join(p.wish.Clients[:2], ", "), n-2)
	case n > 0:
		who = strings.Join(p.wish.Clients, ", ")
	}
	names := len(squidNames(SquidConf(nil, p.wish.Allow)))
	if names == 1 {
		return "1 endpoint for " + who + ", and nothing else"
	}
	return fmt.Sprintf("%d endpoints for %s, and nothing else", names, who)
}

// differing says what is other in a file of ours.
func (p *squidPlan) differing(ours file) string {
	if ours.Presence != Present {
		return "no rules of runai-prep"
	}
	has, want := squidNames(ours.content), squidNames(p.content)
	without := func(all, these []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(these, s) })
	}
	var parts []string
	if lacks := without(want, has); len(lacks) > 0 {
		parts = append(parts, "lacks "+few(lacks))
	}
	if extra := without(has, want); len(extra) > 0 {
		parts = append(parts, "lets through "+few(extra))
	}
	if parts == nil {
		parts = []string{p.rules + " says something else"}
	}
	return clip(strings.Join(parts, "; "), 200)
}

// few names some of many.
func few(names []string) string {
	if len(names) > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// port makes squid listen on the wished port for others than itself. listed is
// false when that takes a line of our own.
//
// squid listens on the port of every http_port line, and fails to start when two
// want the same: so its own line is changed rather than one added.
func (p *squidPlan) port() (c change, listed bool) {
	want := strconv.Itoa(p.wish.Port)
	c = p.finding("port", want)
	var lines []squidLine
	for _, l := range p.f.lines {
		if l.path != squidPart && l.path != squidOwn {
			lines = append(lines, l)
		}
	}
	ports := squidPorts(lines)
	if !p.f.seen() {
		ports = []squidPort{{squidLine: squidLine{squidMain, squidDefault}, port: 3128, plain: true}}
	}
	change := -1
	for i, has := range ports {
		switch {
		case !has.plain:
			if has.port == p.wish.Port {
				c.State, c.Have = Unmet, "port "+want+" is set for something else: "+clip(strings.Join(has.words(), " "), 100)
				c.Hint = "give the squid block another port, or take that line out"
				return c, true
			}
		case has.port == p.wish.Port && !has.local():
			c.Have = want + ", by " + has.path
			if !p.f.seen() {
				c.Have = want + ", as the package has it"
			}
			if !has.everywhere() {
				c.Have = want + " on " + has.address + ", by " + has.path
			}
			return c, true
		case has.path != squidMain:
		case has.everywhere() && change < 0, has.port == p.wish.Port: // which then is for this host alone
			change = i
		}
	}
	if p.f.Listening && !slices.ContainsFunc(squidPorts(p.f.lines), func(has squidPort) bool { return has.port == p.wish.Port }) {
		c.State, c.Have, c.Hint = Unmet, p.taken(), squidElsewhere
		for _, l := range lines {
			if l.is("include") && !l.includes(squidPart) && !l.includes(squidOwn) && p.f.running() {
				c.State, c.Have, c.Hint = OK, want+", it seems by "+strings.Join(l.words()[1:], " "), ""
			}
		}
		return c, true
	}
	if change < 0 {
		c.Have = want + ", by the rules"
		return c, false
	}
	has := ports[change]
	line := has.at(p.wish.Port)
	c.State, c.Have = Pending, strconv.Itoa(has.port)
	if has.local() {
		c.Have += " on " + has.address + " alone"
	}
	if !p.f.seen() {
		c.Have += ", as the package has it"
	}
	p.moved = p.f.running()
	c.adds = append(c.adds, entry{"line", squidMain, line})
	if !p.f.ledger.has(entry{"line", squidMain, has.text}) {
		c.adds = append(c.adds, entry{"was", squidMain, has.text})
	}
	c.Steps = []remote.Step{squidEdit{title: line + " in " + squidMain, old: has.text, by: line}.step()}
	return c, true
}

const squidElsewhere = "stop it, or give the squid block another port"

// taken says that the wished port is not squid's to have.
func (p *squidPlan) taken() string {
	return "another program listens on port " + strconv.Itoa(p.wish.Port)
}

// service makes squid run, now and after a boot, with what its files say.
func (p *squidPlan) service(changed bool) change {
	c := p.finding("service", "running as configured, and at boot")
	if !p.f.Installed {
		c.State, c.Have = Pending, "not there"
		c.Steps = []remote.Step{squidEnable(), squidStart(p.wish.Port, "")}
		return c
	}
	switch p.f.Load {
	case "loaded":
	case "masked":
		c.State, c.Have, c.Hint = Unmet, "squid.service is masked", "systemctl unmask squid, if it may run"
		return c
	default:
		c.State, c.Have, c.Hint = Unmet, "systemd knows no squid.service", "see systemctl status squid"
		return c
	}
	var has []string
	if !slices.Contains([]string{"enabled", "alias", "static", "generated"}, p.f.Enabled) {
		has = append(has, "not started at boot")
		c.Steps = append(c.Steps, squidEnable())
	}
	old := p.f.outdated()
	switch {
	case !p.f.running():
		has = append(has, p.f.Active)
		c.Steps = append(c.Steps, squidStart(p.wish.Port, ""))
	case changed || old != "":
		if old != "" {
			has = append(has, "running, but "+old+" was changed since it was read")
		} else {
			has = append(has, "running with its present configuration")
		}
		disrupts := "squid reads its configuration again: connections go on, new ones are refused for a moment"
		if p.moved {
			disrupts = "squid moves to port " + strconv.Itoa(p.wish.Port) + ": connections go on, new ones to the old port are refused"
		}
		c.Steps = append(c.Steps, squidStart(p.wish.Port, disrupts))
	}
	c.Have = "running, and at boot"
	if c.Steps != nil {
		c.State, c.Have = Pending, strings.Join(has, ", ")
	}
	return c
}

// answers is what squid itself said, asked for each endpoint and for a name
// that nobody is to reach. asked is false when it was not.
func (p *squidPlan) answers() (c change, asked bool) {
	c = p.finding("answers", "lets through what the rules name, and nothing else")
	var denied, through []string
	for _, r := range p.f.Asked {
		if state, have, hint := judgeReached(r); r.Proxy || state == Unknown || r.Barrier == remote.Silence {
			if c.Have == "" { // nobody answered
				c.Have, c.Hint = have, hint
			}
			continue
		}
		host, _, _ := net.SplitHostPort(r.Endpoint)
		forbidden := slices.Contains(squidForbidden, host)
		no := r.Barrier == remote.ByProxy && r.Status == http.StatusForbidden
		switch {
		case forbidden && !no:
			through = append(through, r.Endpoint)
		case !forbidden && no:
			denied = append(denied, r.Endpoint)
		}
		asked = true
	}
	switch {
	case !asked:
		c.State = Unknown
		return c, len(p.f.Asked) > 0
	case through != nil:
		c.State, c.Have = Unmet, "it lets through "+few(through)+", which no rule names"
	case denied != nil:
		c.State, c.Have = Unmet, "it denies "+few(denied)
	default:
		c.Have, c.Hint = "as wished", ""
	}
	if c.State == Unmet {
		c.Hint = "what squid runs with is not what " + squidMain + " says: see systemctl cat squid and /var/log/squid/cache.log"
	}
	return c, asked
}
