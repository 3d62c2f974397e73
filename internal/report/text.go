package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// TextOptions say how a text report looks.
type TextOptions struct {
	Color bool // escape codes for colours; without it there are none
	Width int  // columns; 0: 80
	// Verbose shows also what is as wanted, and long diffs whole.
	Verbose bool
	// Preview is a plan that apply shows before it asks: nothing ends with it.
	Preview bool
}

// Text writes what an engineer reads of a plan, an apply or a check: first
// what is wrong, worst first and alike hosts together, then what is settled, what
// the hosts show together, warnings and what is ignored, each said once, what was
// checked, and in the last lines the outcome and the exit code in words. The
// result is finished.
func Text(w io.Writer, r Result, o TextOptions) error {
	p := newPage(o)
	p.head(r)
	var settled []string
	told := map[string]string{} // what was shown whole already, by item, and of whom
	for _, g := range groupsOf(r, o.Verbose) {
		if g.status == Settled && len(g.items) == 0 && g.hint == "" && g.ready {
			settled = append(settled, g.names...)
			continue
		}
		p.group(r.Command, g, o, told)
	}
	if len(settled) > 0 {
		p.WriteByte('\n')
		p.hosts(span{"SETTLED", good}, settled)
		p.verdict(true, nil)
	}
	p.together(r, o, "FLEET", "what the hosts show together", fleetGroups(r, o.Verbose))
	warned, ignored := asides(r), []group(nil)
	if i := slices.IndexFunc(warned, func(g group) bool { return g.items[0].Ignored != "" }); i >= 0 {
		warned, ignored = warned[:i], warned[i:]
	}
	p.together(r, o, "WARNINGS", "recommendations; they keep no host from being ready", warned)
	p.together(r, o, "IGNORED", "as the inventory says; it counts for nothing", ignored)
	p.mended(r.Mended)
	p.rebootPending(r.Hosts)
	p.WriteByte('\n')
	p.para(span{}, span{checked(r), plain})
	if names := idle(r); len(names) > 0 {
		p.para(span{}, span{"Nothing was asked of " + count(len(names), "host") + ": " + hostList(names), plain})
	}
	p.para(span{}, outcome(r)...)
	p.para(span{}, readiness(r)...)
	for _, n := range r.Notes {
		p.para(span{"Note: ", bold}, span{safe(n), plain})
	}
	if !o.Preview {
		p.exit(r)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) head(r Result) {
	parts := []string{r.Command + " " + r.Inventory, r.Requirements, count(len(r.Hosts), "host"),
		duration(r.ElapsedSeconds), r.Started}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	for i := range parts {
		parts[i] = safe(parts[i])
	}
	p.para(span{}, span{strings.Join(parts, " · "), faint})
}

// look is how a status is written.
func look(status string) style {
	switch status {
	case Failed, Unreachable, Unmet:
		return bad
	case Unknown:
		return unsure
	case Pending:
		return warn
	}
	return good
}

// hosts writes "PENDING  14 hosts: gpu-[01:14]".
func (p *page) hosts(title span, names []string) {
	p.para(span{title.text + "  ", title.style}, span{count(len(names), "host") + ": ", plain}, span{hostList(names), bold})
}

func (p *page) group(command string, g group, o TextOptions, told map[string]string) {
	title := strings.ToUpper(g.status)
	if g.status == Settled && !o.Verbose && slices.ContainsFunc(g.items, func(it item) bool { return it.State == stateFixed }) {
		title = "CHANGED" // settled too, and by this run
	}
	p.WriteByte('\n')
	if g.isNew && g.err != "" {
		title += "  NEW" // the hosts themselves are
	}
	p.hosts(span{title, look(g.status)}, g.names)
	lines := safeLines(g.err)
	for _, line := range lines {
		p.para(span{"  ", plain}, span{line, plain})
	}
	p.hint("  ", g.hint)
	for _, it := range g.items {
		p.item(command, it, g, o, told)
	}
	p.verdict(g.ready, g.not)
}

// verdict ends what is said of hosts. Of those in trouble as a whole it is said
// already why they are not ready.
func (p *page) verdict(ready bool, not []string) {
	if ready {
		p.para(span{"  ", plain}, span{Verdict(true), good})
		return
	}
	for i := range not {
		not[i] = safe(not[i])
	}
	p.para(span{"  ", plain}, span{Verdict(false), bad}, span{prefixed(": ", strings.Join(not, "; ")), plain})
}

// together writes what is said once of several hosts.
func (p *page) together(r Result, o TextOptions, title, about string, groups []group) {
	told := map[string]string{}
	for i, g := range groups {
		if i == 0 {
			p.WriteByte('\n')
			p.line(span{title, bold}, span{"  " + about, plain})
		}
		p.item(r.Command, g.items[0], g, o, told)
		switch n := len(g.names); {
		case n == 0:
		case n > 1 && n == len(r.Hosts):
			p.para(span{deep + "on all ", plain}, span{count(n, "host"), plain})
		default:
			p.para(span{deep + "on ", plain}, span{count(n, "host") + ": " + hostList(g.names), plain})
		}
	}
}

func (p *page) hint(indent, hint string) {
	if hint == "" {
		return
	}
	for i, line := range safeLines(hint) {
		first := span{indent + "hint: ", bold}
		if i > 0 {
			first = span{indent + "      ", plain}
		}
		p.para(first, span{glued(line), plain})
	}
}

// glued keeps a command at the end of a hint ("…: runai-prep trust …") on one
// line, for copying.
func glued(hint string) string {
	i := strings.LastIndex(hint, ": ")
	if i < 0 || strings.Contains(hint[i+2:], ", ") {
		return hint
	}
	return hint[:i+2] + strings.ReplaceAll(hint[i+2:], " ", glue)
}

func mark(state string) span {
	switch state {
	case stateFailed, stateUnmet:
		return span{"  ✗ ", bad}
	case statePending:
		return span{"  ~ ", warn}
	case stateOK, stateFixed:
		return span{"  ✓ ", good}
	}
	return span{"  ? ", unsure}
}

const deep = "      " // below an item

// item writes one finding: a line that says what and why, and below it what
// differs between hosts, what went wrong, the steps, the hint.
//
// Steps that were shown whole for another group are named again, but what they
// do to files is not shown a second time.
func (p *page) item(command string, it item, g group, o TextOptions, told map[string]string) {
	title := []span{{safe(it.Task) + " ", plain}, {safe(strings.Join(it.subjects, ", ")), bold}}
	if strings.Join(it.subjects, "") == "" {
		title = []span{{safe(it.Task), bold}}
	}
	if it.New {
		title = append([]span{{"NEW ", bold}}, title...)
	}
	have, oneLine := it.haves[0].text, len(it.haves) == 1 && !strings.Contains(it.haves[0].text, "\n")
	if !oneLine {
		have = ""
	}
	said := sentence(it.Finding, safe(have), safe(it.Want))
	if said != "" {
		title = append(title, span{": " + said, plain})
	}
	if it.Why != "" {
		title = append(title, span{" (" + safe(it.Why) + ")", faint})
	}
	m := mark(it.State)
	switch {
	case it.Ignored != "":
		m = span{"  - ", faint}
	case it.Warning != "" && it.wanted():
		m = span{"  ! ", warn}
	}
	p.para(m, title...)
	if it.Warning != "" {
		p.para(span{deep + "warning: ", warn}, span{safe(it.Warning), plain})
	}
	if it.Ignored != "" {
		p.para(span{deep + "ignored: ", plain}, span{safe(it.Ignored), plain})
	}
	if !oneLine {
		p.variants("have ", it.haves, len(g.names), o.Verbose)
	}
	if len(it.errors) > 1 || it.errors[0].text != "" {
		label := "error: "
		if it.State == stateFailed {
			label = "failed: "
		}
		p.variants(label, it.errors, len(g.names), o.Verbose)
	}
	if it.State == stateFixed && !o.Verbose && len(it.Steps) > 0 {
		p.para(span{deep + "done: ", plain}, span{safe(strings.Join(it.Steps, "; ")), faint})
	}
	if it.State == statePending && it.Done > 0 {
		p.para(span{deep + "done: ", plain}, span{fmt.Sprintf("%d of the planned steps", it.Done), faint})
	}
	if it.State == statePending || it.State == stateFailed || o.Verbose {
		// After apply, the plan with its diffs was seen already.
		hide := command == "apply" && it.State != stateFailed && !o.Verbose
		if as := told[it.key()]; as != "" && !o.Verbose {
			hide = true
			if len(it.Steps) > 0 {
				p.para(span{deep, plain}, span{"as on " + as + ":", faint})
			}
		} else if !hide {
			told[it.key()] = hostList(g.names)
		}
		p.steps(it, g, o, hide)
		if it.State == statePending && !hide || o.Verbose {
			p.others("afterwards: ", it.After)
			p.others("should it fail, back: ", it.Back)
		}
	}
	if it.companion() {
		p.para(span{deep, plain}, span{safe(it.Hint), faint})
		return
	}
	p.hint(deep, it.Hint)
}

// CompanionHint begins the hint of a finding that comes with the steps of
// another one.
const CompanionHint = "comes with "

// companion: nobody has to do anything about it, for the steps of another
// finding do.
func (f Finding) companion() bool {
	return f.State == statePending && len(f.Steps) == 0 && strings.HasPrefix(f.Hint, CompanionHint)
}

// others writes steps that are not carried out with those of the plan.
func (p *page) others(label string, steps []string) {
	if len(steps) > 0 {
		p.para(span{deep + label, plain}, span{safe(strings.Join(steps, "; ")), faint})
	}
}

// sentence says how a finding stands.
func sentence(f Finding, have, want string) string {
	switch f.State {
	case stateOK:
		return cmp.Or(have, want)
	case stateFixed: // the second look said what there is
		return "now " + cmp.Or(have, want, "as wanted")
	case statePending, stateFailed:
		switch {
		case have == want || want == "":
			return have
		case have == "":
			return "→ " + want
		}
		return have + " → " + want
	case stateUnmet:
		return both("have", have, "want", want)
	}
	if f.Error != "" { // it was looked at, and then changed
		return "unknown" + prefixed("; was ", have) + prefixed("; want ", want)
	}
	return "could not be looked at" + prefixed(": ", have) + prefixed("; want ", want)
}

func both(first, a, second, b string) string {
	switch {
	case a == "" && b == "":
		return ""
	case a == "":
		return second + " " + b
	case b == "":
		return first + " " + a
	}
	return first + " " + a + ", " + second + " " + b
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// variants writes what differs between the hosts of a group, and evidence of
// several lines; whole, or what most of them have.
func (p *page) variants(label string, vs []variant, hosts int, whole bool) {
	var rest []variant
	if !whole {
		vs, rest = telling(vs)
	}
	for _, v := range vs {
		if v.text == "" && len(vs) > 1 {
			v.text = "nothing"
		}
		var on []span
		if len(v.hosts) < hosts {
			on = []span{{" on ", faint}, {hostList(v.hosts), plain}}
		}
		lines := safeLines(v.text)
		if len(lines) == 1 {
			p.para(span{deep + label, plain}, append([]span{{lines[0], plain}}, on...)...)
			continue
		}
		p.para(span{deep + strings.TrimSpace(label), plain}, on...)
		for _, line := range lines {
			p.line(span{deep + "| ", faint}, span{line, plain})
		}
	}
	if len(rest) > 0 {
		p.para(span{deep, plain}, span{fmt.Sprintf("and %d others on %s (-v shows all)", len(rest), count(len(hostsOf(rest)), "host")), faint})
	}
}

// steps writes the numbered steps with what they disrupt and, unless that is to
// be hidden, do to files.
func (p *page) steps(it item, g group, o TextOptions, hide bool) {
	reasons := false
	for i, title := range it.Steps {
		number := fmt.Sprintf("%s%d. ", deep, i+1)
		indent := strings.Repeat(" ", len(number))
		p.para(span{number, plain}, span{safe(title), plain})
		step, d := it.step(i)
		if step.Disrupts != "" {
			reasons = true
			p.para(span{indent + "! ", warn}, span{"disruptive: ", warn}, span{safe(step.Disrupts), plain})
		}
		if hide || bookkeeping(step) && !o.Verbose {
			continue
		}
		lines, more := d.shown(o.Verbose)
		for n, line := range lines {
			p.line(span{indent, plain}, span{line, lineStyle(n, line)})
		}
		if more > 0 {
			p.line(span{fmt.Sprintf("%s(%s more of this diff; -v shows all)", indent, count(more, "line")), faint})
		}
		if it.differ && len(lines) > 0 {
			p.para(span{indent, plain}, span{"(the file of " + safe(g.names[0]) + "; on the others it differs elsewhere, the change is the same)", faint})
		}
	}
	if it.Disruptive && !reasons {
		p.para(span{deep + "! ", warn}, span{"disruptive: running work will notice", plain})
	}
}

// bookkeeping is a step that writes down what is ours on the host.
func bookkeeping(s remote.Step) bool {
	return s.Write != nil && strings.HasPrefix(s.Write.Path, "/var/lib/runai-prep/")
}

// lineStyle is how line n of a diff looks; the first two name the files.
func lineStyle(n int, line string) style {
	if n < 2 {
		return bold
	}
	switch line[0] {
	case '+':
		return added
	case '-':
		return removed
	case '@':
		return place
	}
	return plain
}

// mended writes what was wrong at the last check and no longer is.
func (p *page) mended(mended []Mended) {
	type what struct{ task, subject, was string }
	var order []what
	hosts := map[what][]string{}
	for _, m := range mended {
		k := what{m.Task, m.Subject, m.Was}
		if hosts[k] == nil {
			order = append(order, k)
		}
		hosts[k] = append(hosts[k], m.Host)
	}
	if len(order) == 0 {
		return
	}
	p.WriteByte('\n')
	p.line(span{"MENDED", good}, span{"  since the last check", plain})
	for _, k := range order {
		name := "the host itself"
		if k.task != "" {
			name = strings.TrimSpace(k.task + " " + k.subject)
		}
		p.para(mark(stateFixed), span{safe(name), bold}, span{", was " + safe(k.was) + ", on " + hostList(hosts[k]), plain})
	}
}

func (p *page) rebootPending(hosts []Host) {
	names := rebooting(hosts)
	if len(names) > 0 {
		p.WriteByte('\n')
		p.para(span{"Reboot pending ", warn}, span{"on " + count(len(names), "host") + ": " + hostList(names), plain})
	}
}

func rebooting(hosts []Host) []string {
	var names []string
	for _, h := range hosts {
		if h.RebootPending {
			names = append(names, h.Name)
		}
	}
	return names
}

func (p *page) exit(r Result) {
	st := bad
	switch r.ExitCode {
	case ExitOK:
		st = good
	case ExitPending:
		st = warn
	}
	p.para(span{}, span{fmt.Sprintf("Exit code %d:", r.ExitCode), st}, span{" " + r.meaning() + ".", plain})
}
