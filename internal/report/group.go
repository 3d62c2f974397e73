package report

import (
	"cmp"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// A group is hosts of which the same is to be said, so that it is said once.
type group struct {
	status string
	names  []string // in the order of the inventory
	roles  []string // of the hosts, each once
	err    string   // why the hosts are in trouble as a whole
	hint   string
	alike  string // err and hint without what names one host
	isNew  bool
	items  []item // worst first, else in the order of work
	ready  bool
	not    []string // why it is not, in short
}

// An item is a finding that all hosts of a group share. What they have, and
// why a step failed, may differ between them.
type item struct {
	Finding
	subjects []string // findings that differ in nothing else are one item
	haves    []variant
	errors   []variant
	diffs    []diff // for each step of the plan
	// differ says that the files changed are not the same on all hosts; the
	// lines that change are.
	differ bool
}

// A variant is what some hosts of a group have in common.
type variant struct {
	text  string
	hosts []string
}

// groupsOf puts hosts together that are alike: same status, same findings. All
// says whether findings that are as wanted count and are kept. Worst comes
// first; of one status what is new, then what most hosts have.
func groupsOf(r Result, all bool) []group {
	byKey := map[string]int{}
	var groups []group
	for _, h := range r.Hosts {
		g := groupOfOne(h, all)
		k := g.key()
		i, ok := byKey[k]
		if !ok {
			byKey[k] = len(groups)
			groups = append(groups, g)
			continue
		}
		groups[i].add(g, h)
	}
	for i := range groups {
		groups[i].items = mergeSubjects(groups[i].items)
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Or(
			cmp.Compare(slices.Index(statuses, a.status), slices.Index(statuses, b.status)),
			-cmp.Compare(btoi(a.isNew), btoi(b.isNew)),
			-cmp.Compare(len(a.names), len(b.names)),
		)
	})
	return groups
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func groupOfOne(h Host, all bool) group {
	status := h.Status
	if !slices.Contains(statuses, status) {
		status = Unknown // a document of another hand, or a host never settled
	}
	g := group{status: status, names: []string{h.Name}, err: h.Error, hint: h.Hint, isNew: h.New}
	if h.Role != "" {
		g.roles = []string{h.Role}
	}
	g.ready, g.not = h.Ready, h.notReady()
	for _, f := range h.Findings {
		if f.State == stateOK && f.Warning == "" && !all {
			continue
		}
		it := item{
			Finding:  f,
			subjects: []string{f.Subject},
			haves:    []variant{{f.Have, []string{h.Name}}},
			errors:   []variant{{f.Error, []string{h.Name}}},
		}
		for _, s := range f.Plan {
			it.diffs = append(it.diffs, diffOf(s))
		}
		g.isNew = g.isNew || f.New
		g.items = append(g.items, it)
	}
	slices.SortStableFunc(g.items, func(a, b item) int {
		return cmp.Or(cmp.Compare(btoi(a.Ignored != ""), btoi(b.Ignored != "")), cmp.Compare(stateRank(a.State), stateRank(b.State)))
	})
	// Two hosts that time out differ in their addresses alone.
	g.alike = unnamed(h, h.Error) + "\x00" + unnamed(h, h.Hint)
	return g
}

// key is equal for hosts of which the same is to be said.
func (g group) key() string {
	var b strings.Builder
	b.WriteString(joined(g.status, g.alike, strconv.FormatBool(g.isNew), strconv.FormatBool(g.ready), joined(g.not...)))
	for _, it := range g.items {
		b.WriteString(it.key())
	}
	return b.String()
}

// key is equal for items of which the same is to be said.
func (it item) key() string {
	fields := []string{it.Task, it.Subject, it.State, it.Want, it.Why, it.Hint, it.Warning, it.Ignored,
		strconv.FormatBool(it.New), strconv.FormatBool(it.Disruptive), strconv.Itoa(len(it.Steps))}
	fields = append(fields, it.Steps...)
	fields = append(fields, joined(it.Back...), joined(it.After...))
	for i, s := range it.Plan {
		fields = append(fields, s.Disrupts, it.diffs[i].changes)
	}
	return joined(fields...)
}

// joined is equal only for equal fields.
func joined(fields ...string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(strconv.Itoa(len(f)) + ":" + f)
	}
	return b.String()
}

// add joins a group of one, which has the same key.
func (g *group) add(one group, h Host) {
	g.names = append(g.names, h.Name)
	if h.Role != "" && !slices.Contains(g.roles, h.Role) {
		g.roles = append(g.roles, h.Role)
	}
	if one.err != g.err || one.hint != g.hint {
		g.err, g.hint, _ = strings.Cut(g.alike, "\x00")
	}
	for i := range g.items {
		it, other := &g.items[i], one.items[i]
		it.haves = addVariant(it.haves, other.Have, h.Name)
		it.errors = addVariant(it.errors, other.Error, h.Name)
		for j := range it.diffs {
			it.differ = it.differ || !slices.Equal(it.diffs[j].lines, other.diffs[j].lines)
		}
	}
}

func addVariant(vs []variant, text, host string) []variant {
	for i := range vs {
		if vs[i].text == text {
			vs[i].hosts = append(vs[i].hosts, host)
			return vs
		}
	}
	return append(vs, variant{text, []string{host}})
}

// mergeSubjects makes one item of neighbours that differ in their subject
// alone: eight endpoints behind one dead proxy.
func mergeSubjects(items []item) []item {
	var merged []item
	for _, it := range items {
		if n := len(merged); n > 0 && sameButSubject(merged[n-1], it) {
			merged[n-1].subjects = append(merged[n-1].subjects, it.Subject)
			continue
		}
		merged = append(merged, it)
	}
	return merged
}

func sameButSubject(a, b item) bool {
	same := func(x, y []variant) bool {
		return len(x) == 1 && len(y) == 1 && x[0].text == y[0].text
	}
	return len(a.Steps) == 0 && len(b.Steps) == 0 &&
		a.Task == b.Task && a.State == b.State && a.Want == b.Want && a.Why == b.Why && a.Hint == b.Hint && a.Warning == b.Warning && a.Ignored == b.Ignored &&
		a.New == b.New && a.Disruptive == b.Disruptive && same(a.haves, b.haves) && same(a.errors, b.errors)
}

var (
	word      = regexp.MustCompile(`[\pL\pN_.\-]+`)
	localPort = regexp.MustCompile(`\S+:\d+->`) // "read tcp 10.0.0.1:43512->10.0.1.7:22"
	timeOfDay = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b`)
)

// unnamed takes out of a text what is of one host: its name and address become
// HOST, a connection's local end goes, and so does the second at which somebody
// began to work there.
func unnamed(h Host, text string) string {
	if text == "" {
		return ""
	}
	addr := h.Address
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	text = localPort.ReplaceAllString(text, "")
	text = timeOfDay.ReplaceAllString(text, "some time")
	if strings.Contains(addr, ":") { // IPv6: no word
		text = strings.ReplaceAll(text, addr, "HOST")
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if bare := strings.TrimRight(w, "."); bare != "" && (bare == h.Name || bare == addr) {
			return "HOST" + w[len(bare):]
		}
		return w
	})
}

// step is the step at i, as far as it is known: a document that was read back
// has the titles alone.
func (it item) step(i int) (remote.Step, diff) {
	if i < len(it.diffs) {
		return it.Plan[i], it.diffs[i]
	}
	return remote.Step{}, diff{}
}

// fleetGroups are the findings of the fleet, a group each: the hosts that it
// names, and the finding.
func fleetGroups(r Result, all bool) []group {
	var groups []group
	for _, f := range r.Fleet {
		if f.State == stateOK && f.Warning == "" && !all {
			continue
		}
		f.Plan = nil // it has no steps
		groups = append(groups, group{
			status: f.status(),
			names:  f.Hosts,
			items: []item{{
				Finding:  f.Finding,
				subjects: []string{f.Subject},
				haves:    []variant{{f.Have, f.Hosts}},
				errors:   []variant{{f.Error, f.Hosts}},
			}},
		})
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Compare(stateRank(a.items[0].State), stateRank(b.items[0].State))
	})
	return groups
}
