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
	wants    []string // of those subjects, each once
	whys     []string
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
// first; of one status what is new, then what most hosts have. What is merely
// noted of a host does not count: see asides.
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
		if f.noted() || f.State == stateOK && !all {
			continue
		}
		g.isNew = g.isNew || f.New
		g.items = append(g.items, itemOf(f, []string{h.Name}))
	}
	slices.SortStableFunc(g.items, func(a, b item) int { return cmp.Compare(stateRank(a.State), stateRank(b.State)) })
	// Two hosts that time out differ in their addresses alone.
	g.alike = unnamed(h, h.Error) + "\x00" + unnamed(h, h.Hint)
	return g
}

// itemOf is a finding of hosts. Of one that is ignored nobody is told what to do:
// that has been decided.
func itemOf(f Finding, hosts []string) item {
	if f.Ignored != "" {
		f.Hint = ""
	}
	it := item{
		Finding:  f,
		subjects: []string{f.Subject},
		wants:    []string{f.Want},
		whys:     []string{f.Why},
		haves:    []variant{{f.Have, hosts}},
		errors:   []variant{{f.Error, hosts}},
	}
	for _, s := range f.Plan {
		it.diffs = append(it.diffs, diffOf(s))
	}
	return it
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

// asides are what is noted of hosts and keeps none of them from being ready, a
// group each: recommendations that they fall short of, then what is ignored. A
// fleet may share them whatever else is wrong with its hosts.
func asides(r Result) []group {
	var items []item
	for _, h := range r.Hosts {
		for _, f := range h.Findings {
			if f.noted() {
				f.Steps, f.Plan = nil, nil // they are not carried out
				items = append(items, itemOf(f, []string{h.Name}))
			}
		}
	}
	groups := shared(items)
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Compare(btoi(a.items[0].Ignored != ""), btoi(b.items[0].Ignored != ""))
	})
	return groups
}

// shared puts together what is the same on several hosts, whatever else there is
// to be said of them: a group for each finding, first what most hosts have. The
// items have no steps.
func shared(items []item) []group {
	var once []item
	at := map[string]int{}
	for _, it := range items {
		k := it.key()
		i, known := at[k]
		if !known {
			at[k] = len(once)
			once = append(once, it)
			continue
		}
		for _, host := range hostsOf(it.haves) {
			once[i].haves = addVariant(once[i].haves, it.Have, host)
			once[i].errors = addVariant(once[i].errors, it.Error, host)
		}
	}
	var groups []group
	for _, it := range mergeSubjects(once) {
		groups = append(groups, group{status: it.status(), names: hostsOf(it.haves), items: []item{it}})
	}
	slices.SortStableFunc(groups, func(a, b group) int { return -cmp.Compare(len(a.names), len(b.names)) })
	return groups
}

// hostsOf are the hosts of all variants.
func hostsOf(vs []variant) []string {
	var hosts []string
	for _, v := range vs {
		hosts = append(hosts, v.hosts...)
	}
	return hosts
}

// maxVariants bounds what is told of what differs between hosts: each may have a
// size, a time or a number of its own.
const maxVariants = 6

// telling are those that most hosts have, where there are many, and the rest.
func telling(vs []variant) (most, rest []variant) {
	if len(vs) <= maxVariants {
		return vs, nil
	}
	vs = slices.SortedStableFunc(slices.Values(vs), func(a, b variant) int { return -cmp.Compare(len(a.hosts), len(b.hosts)) })
	return vs[:maxVariants-1], vs[maxVariants-1:]
}

// mergeSubjects makes one item of those that differ in their subject alone: eight
// endpoints behind one dead proxy.
func mergeSubjects(items []item) []item {
	var merged []item
	at := map[string]int{}
	for _, it := range items {
		k := it.stripped()
		i, known := at[k]
		if known && len(it.Steps) == 0 {
			merged[i].join(it)
			continue
		}
		if len(it.Steps) == 0 {
			at[k] = len(merged)
		}
		merged = append(merged, it)
	}
	return merged
}

// stripped is equal for items that differ in their subject alone. Of endpoints it
// does not count how they are named in what is said of them, nor which row of a
// profile asks for each: what stands in the way is one thing.
func (it item) stripped() string {
	fields := []string{it.Task, it.State, it.general(it.Hint), it.general(it.Warning), it.Ignored,
		strconv.FormatBool(it.New), strconv.FormatBool(it.Disruptive)}
	if !it.isEndpoint() {
		fields = append(fields, it.Want, it.Why)
	}
	for _, vs := range [][]variant{it.haves, it.errors} {
		for _, v := range vs {
			fields = append(fields, joined(it.general(v.text), joined(v.hosts...)))
		}
		fields = append(fields, "")
	}
	return joined(fields...)
}

// join adds an item that is the same when stripped.
func (it *item) join(other item) {
	if len(it.subjects) == 1 {
		it.Hint, it.Warning = it.general(it.Hint), it.general(it.Warning)
		for _, vs := range [][]variant{it.haves, it.errors} {
			for i := range vs {
				vs[i].text = it.general(vs[i].text)
			}
		}
	}
	it.subjects = append(it.subjects, other.Subject)
	if !slices.Contains(it.wants, other.Want) {
		it.wants = append(it.wants, other.Want)
		it.Want = strings.Join(it.wants, " and ")
	}
	if !slices.Contains(it.whys, other.Why) {
		it.whys = append(it.whys, other.Why)
		it.Why = sources(it.whys)
	}
}

// sources are where several wishes come from: the profile, not each of its rows.
func sources(whys []string) string {
	var from []string
	for _, w := range whys {
		source, _, _ := strings.Cut(w, ": ")
		if !slices.Contains(from, source) {
			from = append(from, source)
		}
	}
	return strings.Join(from, ", ")
}

// isEndpoint: the subject is host:port.
func (f Finding) isEndpoint() bool {
	_, port, err := net.SplitHostPort(f.Subject)
	return err == nil && port != ""
}

// general is what is said of an endpoint without its name, which becomes
// ENDPOINT, or NAME where the port does not stand with it.
func (f Finding) general(text string) string {
	if !f.isEndpoint() {
		return text
	}
	host, _, _ := net.SplitHostPort(f.Subject)
	return address.ReplaceAllStringFunc(text, func(w string) string {
		bare := strings.TrimRight(w, ".")
		switch bare {
		case f.Subject:
			return "ENDPOINT" + w[len(bare):]
		case host:
			return "NAME" + w[len(bare):]
		}
		return w
	})
}

var (
	word      = regexp.MustCompile(`[\pL\pN_.\-]+`)
	address   = regexp.MustCompile(`[\pL\pN_.\-]+(?::\d+)?`)
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
		groups = append(groups, group{status: f.status(), names: f.Hosts, items: []item{itemOf(f.Finding, f.Hosts)}})
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Compare(stateRank(a.items[0].State), stateRank(b.items[0].State))
	})
	return groups
}
