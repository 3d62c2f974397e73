package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// TextOptions say how a text report looks.
type TextOptions struct {
	Color bool // escape codes for colours; without it there are none
	Width int  // columns; 0: 80
	// Verbose shows also what is as wanted, and long diffs whole.
	Verbose bool
}

// Text writes what an engineer reads of a plan, an apply or a check: first
// what is wrong, worst first and alike hosts together, then what is settled,
// what was checked, and in the last two lines the outcome and the exit code
// in words. The result is finished.
func Text(w io.Writer, r Result, o TextOptions) error {
	p := newPage(o)
	p.head(r)
	var settled []string
	for _, g := range groupsOf(r, o.Verbose) {
		if g.status == Settled && len(g.items) == 0 {
			settled = append(settled, g.names...)
			continue
		}
		p.group(g, o)
	}
	if len(settled) > 0 {
		p.WriteByte('\n')
		p.hosts(span{"SETTLED", good}, settled)
	}
	p.mended(r.Mended)
	p.rebootPending(r.Hosts)
	p.WriteByte('\n')
	p.para(span{}, span{checked(r), plain})
	if names := idle(r); len(names) > 0 {
		p.para(span{}, span{"Nothing was asked of " + count(len(names), "host") + ": " + hostList(names), plain})
	}
	p.para(span{}, outcome(r)...)
	p.exit(r)
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
	p.para(span{}, span{"runai-prep " + strings.Join(parts, " · "), faint})
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

func (p *page) group(g group, o TextOptions) {
	title := strings.ToUpper(g.status)
	if g.status == Settled && !o.Verbose {
		title = "CHANGED" // settled too, and by this run
	}
	p.WriteByte('\n')
	p.hosts(span{title, look(g.status)}, g.names)
	lines := safeLines(g.err)
	for _, line := range lines {
		p.para(span{"  ", plain}, span{line, plain})
	}
	p.hint("  ", g.hint)
	for _, it := range g.items {
		p.item(it, g, o)
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
		p.para(first, span{line, plain})
	}
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
func (p *page) item(it item, g group, o TextOptions) {
	title := []span{{safe(it.Task) + " ", plain}, {safe(strings.Join(it.subjects, ", ")), bold}}
	if strings.Join(it.subjects, "") == "" {
		title = []span{{safe(it.Task), bold}}
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
	if it.New {
		title = append(title, span{" new", bold})
	}
	p.para(mark(it.State), title...)
	if !oneLine {
		p.variants("have ", it.haves, len(g.names))
	}
	if len(it.errors) > 1 || it.errors[0].text != "" {
		label := "error: "
		if it.State == stateFailed {
			label = "failed: "
		}
		p.variants(label, it.errors, len(g.names))
	}
	if it.State == stateFixed && !o.Verbose && len(it.Steps) > 0 {
		p.para(span{deep + "done: ", plain}, span{safe(strings.Join(it.Steps, "; ")), faint})
	}
	if it.State == statePending || it.State == stateFailed || o.Verbose {
		p.steps(it, g, o)
	}
	p.hint(deep, it.Hint)
}

// sentence says how a finding stands.
func sentence(f Finding, have, want string) string {
	switch f.State {
	case stateOK:
		return cmp.Or(have, want)
	case stateFixed: // the second look said so
		return "now " + cmp.Or(want, have, "as wanted")
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
// several lines.
func (p *page) variants(label string, vs []variant, hosts int) {
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
}

// steps writes the numbered steps with what they disrupt and do to files.
func (p *page) steps(it item, g group, o TextOptions) {
	reasons := false
	for i, title := range it.Steps {
		number := fmt.Sprintf("%s%d. ", deep, i+1)
		indent := strings.Repeat(" ", len(number))
		p.para(span{number, plain}, span{safe(title), plain})
		step, d := it.step(i)
		if step.Disrupts != "" {
			reasons = true
			p.para(span{indent + "! disruptive: ", warn}, span{safe(step.Disrupts), plain})
		}
		lines, more := d.bounded(o.Verbose)
		for _, line := range lines {
			p.line(span{indent, plain}, span{line, lineStyle(line)})
		}
		if more > 0 {
			p.line(span{fmt.Sprintf("%s(%s more of this diff; -v shows all)", indent, count(more, "line")), faint})
		}
		if it.differ && len(lines) > 0 {
			p.para(span{indent, plain}, span{"(as on " + safe(g.names[0]) + "; the files differ elsewhere, these changes do not)", faint})
		}
	}
	if it.Disruptive && !reasons {
		p.para(span{deep + "! ", warn}, span{"disruptive: running work will notice", plain})
	}
}

func lineStyle(line string) style {
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
		p.para(span{"A reboot is pending ", warn}, span{"on " + count(len(names), "host") + ": " + hostList(names), plain})
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

// checked counts what was looked at: "41 things checked on 16 hosts, 38 as wanted."
func checked(r Result) string {
	var things, wanted, unknown, hosts int
	for _, h := range r.Hosts {
		looked := false
		for _, f := range h.Findings {
			if stateRank(f.State) == stateRank(stateUnknown) {
				unknown++
				continue
			}
			looked = true
			things++
			if !f.wrong() {
				wanted++
			}
		}
		hosts += btoi(looked)
	}
	say := fmt.Sprintf("%s checked on %s, %s as wanted", count(things, "thing"), count(hosts, "host"), allOr(wanted, things))
	if unknown > 0 {
		say += fmt.Sprintf("; %d could not be looked at", unknown)
	}
	return say + "."
}

// idle are the hosts of which nothing was asked: nothing was found wrong, and
// nothing right.
func idle(r Result) []string {
	var names []string
	for _, h := range r.Hosts {
		if len(h.Findings) == 0 && h.Status == Settled {
			names = append(names, h.Name)
		}
	}
	return names
}

func allOr(n, of int) string {
	if n == of && n > 0 {
		return "all"
	}
	return fmt.Sprint(n)
}

// outcome is the summary: "Plan: 3 hosts to change (7 steps, 1 disruptive), 12
// settled, 1 unreachable."
func outcome(r Result) []span {
	var pending, fixed tally
	for _, h := range r.Hosts {
		pending.add(h, statePending)
		fixed.add(h, stateFixed)
	}
	said := []span{}
	add := func(st style, format string, args ...any) {
		said = append(said, span{fmt.Sprintf(format, args...), st})
	}
	left := r.Summary
	switch r.Command {
	case "apply":
		said = append(said, span{"Apply: ", bold})
		if fixed.hosts == 0 {
			add(plain, "nothing changed")
		} else {
			add(good, "%s changed (%s)", count(fixed.hosts, "host"), count(fixed.steps, "step"))
		}
		left.Settled -= fixed.settled
		add(plain, ", %d settled", left.Settled)
		if fixed.hosts > 0 {
			said[len(said)-1].text += " before"
		}
		if pending.hosts > 0 {
			add(plain, ", ")
			add(warn, "%s left undone (%s)", count(pending.hosts, "host"), count(pending.steps, "step"))
		}
	case "check":
		said = append(said, span{"Check: ", bold})
		if pending.hosts == 0 {
			add(plain, "no drift")
		} else {
			add(warn, "%s drifted", count(pending.hosts, "host"))
			add(plain, " (%s%s)", count(pending.findings, "finding"), newOnes(pending))
		}
		add(plain, ", %d settled", left.Settled)
	default:
		said = append(said, span{"Plan: ", bold})
		if pending.hosts == 0 {
			add(plain, "nothing to change")
		} else {
			add(warn, "%s to change", count(pending.hosts, "host"))
			add(plain, " (%s%s)", count(pending.steps, "step"), disruptiveOnes(pending))
		}
		add(plain, ", %d settled", left.Settled)
	}
	for _, status := range []string{Unmet, Unknown, Unreachable, Failed} {
		if n := left.of(status); n > 0 {
			add(plain, ", ")
			add(look(status), "%d %s", n, status)
		}
	}
	return append(said, span{".", plain})
}

func newOnes(t tally) string {
	if t.fresh == 0 {
		return ""
	}
	return fmt.Sprintf(", %d new", t.fresh)
}

func disruptiveOnes(t tally) string {
	if t.disruptive == 0 {
		return ""
	}
	return fmt.Sprintf(", %d disruptive", t.disruptive)
}

// A tally counts the findings of one state.
type tally struct{ hosts, settled, findings, fresh, steps, disruptive int }

func (t *tally) add(h Host, state string) {
	some := false
	for _, f := range h.Findings {
		if f.State != state {
			continue
		}
		some = true
		t.findings++
		t.steps += len(f.Steps)
		if f.New {
			t.fresh++
		}
		known := 0
		for _, s := range f.Plan {
			if s.Disrupts != "" {
				known++
			}
		}
		if f.Disruptive {
			t.disruptive += max(known, 1)
		}
	}
	if some {
		t.hosts++
		if h.Status == Settled {
			t.settled++
		}
	}
}

func (p *page) exit(r Result) {
	st := bad
	switch r.ExitCode {
	case ExitOK:
		st = good
	case ExitPending:
		st = warn
	}
	p.para(span{}, span{fmt.Sprintf("Exit code %d:", r.ExitCode), st}, span{" " + Meaning(r.Command, r.ExitCode) + ".", plain})
}

// hostList is names in few words, safe to print.
func hostList(names []string) string { return safe(compact(names)) }

// compact is to become inventory.Compact.
func compact(names []string) string { return strings.Join(names, ", ") }

// count is "1 host" or "14 hosts".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// duration of seconds as people write it: 3.2s, 4m5s.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
