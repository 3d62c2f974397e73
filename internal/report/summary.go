package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
)

// checked counts what was looked at: "41 things checked on 16 hosts, 38 as wanted."
func checked(r Result) string {
	var things, wanted, unknown, hosts int
	for _, h := range r.Hosts {
		for _, f := range h.Findings {
			if !f.seen() {
				unknown++
				continue
			}
			things++
			if f.wanted() {
				wanted++
			}
		}
		hosts += btoi(slices.ContainsFunc(h.Findings, Finding.seen))
	}
	say := fmt.Sprintf("%s checked on %s, %s as wanted", count(things, "thing"), count(hosts, "host"), allOr(wanted, things))
	if n := r.Summary.Warnings; n > 0 {
		say += "; " + count(n, "warning")
	}
	if n := r.Summary.Ignored; n > 0 {
		say += fmt.Sprintf("; %d ignored", n)
	}
	if unknown > 0 {
		say += fmt.Sprintf("; %d could not be looked at", unknown)
	}
	return say + "."
}

// seen reports whether what the finding is about could be looked at.
func (f Finding) seen() bool { return stateRank(f.State) != stateRank(stateUnknown) }

// blind reports whether no host could be looked at, so that nothing is known of
// what there is to change.
func (r Result) blind() bool {
	return !slices.ContainsFunc(r.Hosts, func(h Host) bool {
		return h.Status == Settled || slices.ContainsFunc(h.Findings, Finding.seen)
	})
}

// readiness is how many hosts are ready, and which are not.
func readiness(r Result) []span {
	var not []string
	for _, h := range r.Hosts {
		if !h.Ready {
			not = append(not, h.Name)
		}
	}
	many := fmt.Sprintf("%d of %s", r.Summary.Ready, count(len(r.Hosts), "host"))
	if len(not) == 0 && len(r.Hosts) > 1 {
		many = "all " + count(len(r.Hosts), "host")
	}
	said := []span{{"Ready: ", bold}, {many, plain}}
	if len(not) > 0 {
		said = append(said, span{"; not: ", plain}, span{hostList(not), plain})
	}
	return append(said, span{".", plain})
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

// noHost is the outcome of a look that saw nothing.
const noHost = "no host could be looked at"

// outcome is the summary: "Plan: 3 hosts to change (7 steps, 1 disruptive), 12
// settled, 1 unreachable."
func outcome(r Result) []span {
	var pending, fixed tally
	partly := 0 // hosts on which steps were carried out that did not lead anywhere
	for _, h := range r.Hosts {
		pending.add(h, statePending)
		fixed.add(h, stateFixed)
		partly += btoi(slices.ContainsFunc(h.Findings, func(f Finding) bool { return f.Done > 0 && f.State != stateFixed }))
	}
	said := []span{}
	add := func(st style, format string, args ...any) {
		said = append(said, span{fmt.Sprintf(format, args...), st})
	}
	left := r.Summary
	switch r.Command {
	case "apply":
		said = append(said, span{"Apply: ", bold})
		switch {
		case fixed.hosts > 0:
			add(good, "%s changed (%s)", count(fixed.hosts, "host"), count(fixed.steps, "step"))
		case partly == 0:
			add(plain, "nothing changed")
		}
		if partly > 0 {
			if fixed.hosts > 0 {
				add(plain, ", ")
			}
			add(warn, "%s changed in part", count(partly, "host"))
		}
		left.Settled -= fixed.settled
		add(plain, ", %d settled", left.Settled)
		if fixed.hosts > 0 {
			said[len(said)-1].text += " before"
		}
		if pending.hosts > 0 {
			add(plain, ", ")
			add(warn, "%d left undone (%s)", pending.hosts, count(pending.steps, "step"))
		}
	case "check":
		said = append(said, span{"Check: ", bold})
		switch {
		case r.blind():
			add(plain, noHost)
		case pending.hosts == 0:
			add(plain, "no drift, %d settled", left.Settled)
		default:
			add(warn, "%s drifted", count(pending.hosts, "host"))
			add(plain, " (%s), %d settled", count(pending.findings, "finding"), left.Settled)
		}
	default:
		said = append(said, span{"Plan: ", bold})
		switch {
		case r.blind():
			add(plain, noHost)
		case pending.hosts == 0:
			add(plain, "nothing to change, %d settled", left.Settled)
		default:
			add(warn, "%s to change", count(pending.hosts, "host"))
			add(plain, " (%s%s), %d settled", count(pending.steps, "step"), disruptiveOnes(pending), left.Settled)
		}
	}
	for _, status := range []string{Unmet, Unknown, Unreachable, Failed} {
		if n := left.of(status); n > 0 {
			add(plain, ", ")
			add(look(status), "%d %s", n, status)
		}
	}
	if n := r.fresh(); n > 0 {
		add(plain, "; ")
		add(bold, "%d new", n)
	}
	return append(said, span{".", plain})
}

func disruptiveOnes(t tally) string {
	if t.disruptive == 0 {
		return ""
	}
	return fmt.Sprintf(", %d disruptive", t.disruptive)
}

// A tally counts the findings of one state.
type tally struct{ hosts, settled, findings, steps, disruptive int }

func (t *tally) add(h Host, state string) {
	some := false
	for _, f := range h.Findings {
		if f.State != state || f.Ignored != "" {
			continue
		}
		some = true
		t.findings++
		t.steps += len(f.Steps)
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

// hostList is names in few words, safe to print.
func hostList(names []string) string { return safe(inventory.Compact(names)) }

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
