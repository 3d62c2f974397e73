package report

import (
	"fmt"
	"io"
	"strings"
)

// Nagios writes what a monitoring plugin prints: a status line with
// performance data, and the trouble below it.
//
//	RUNAI_PREP CRITICAL - 1 unreachable, 3 pending, 12 settled | hosts=16 …
//
// The line's word maps the worst status: failed, unreachable and unmet are
// CRITICAL, unknown is UNKNOWN, pending is WARNING, settled is OK; what the fleet shows together counts as
// a host of that status would. Warnings and what is ignored are told and change no word. The
// process's exit code stays the program's own (2, a Nagios CRITICAL, is mere
// drift), so a plugin of Nagios wraps the command and exits by the word.
func Nagios(w io.Writer, r Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "RUNAI_PREP %s - %s", nagiosWord(r), counted(r.Summary))
	if r.ExitCode == ExitInterrupted {
		b.WriteString(", interrupted")
	}
	b.WriteString(" | hosts=" + fmt.Sprint(r.Summary.Hosts))
	for _, status := range statuses {
		fmt.Fprintf(&b, " %s=%d", status, r.Summary.of(status))
	}
	fmt.Fprintf(&b, " ready=%d warnings=%d ignored=%d time=%.3fs\n", r.Summary.Ready, r.Summary.Warnings, r.Summary.Ignored, r.ElapsedSeconds)
	// A bar would begin performance data.
	say := func(s string) { b.WriteString(strings.ReplaceAll(s, "|", "¦") + "\n") }
	for _, g := range fleetGroups(r, false) {
		say(nagiosLine(g.items[0]) + prefixed(", on ", hostList(g.names)))
	}
	for _, g := range groupsOf(r, false) {
		if g.status == Settled && g.ready {
			continue
		}
		head := g.status + ": " + hostList(g.names)
		if g.status == Settled && !g.ready {
			head += ": not ready, " + safe(strings.Join(g.not, "; "))
		}
		if g.err != "" {
			head += ": " + strings.Join(safeLines(g.err), "; ")
		} else if g.hint != "" {
			head += ": " + strings.Join(safeLines(g.hint), "; ")
		}
		say(head)
		for _, it := range g.items {
			if !it.wrong() {
				continue
			}
			say(nagiosLine(it))
			for _, v := range it.errors {
				for _, l := range safeLines(v.text) {
					say("  " + l)
				}
			}
		}
	}
	for _, g := range asides(r) {
		say(nagiosLine(g.items[0]) + prefixed(", on ", hostList(g.names)))
	}
	if names := rebooting(r.Hosts); len(names) > 0 {
		b.WriteString("reboot pending: " + hostList(names) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// noted: it is as wanted or ignored, and something is to be said of it.
func (f Finding) noted() bool { return f.Ignored != "" || f.Warning != "" && f.wanted() }

func nagiosLine(it item) string {
	line := "- " + strings.TrimSpace(it.Task+" "+strings.Join(it.subjects, ", "))
	if it.New {
		line += " (new)"
	}
	var haves []string
	most, rest := telling(it.haves)
	for _, v := range most {
		haves = append(haves, v.text)
	}
	if len(rest) > 0 {
		haves = append(haves, fmt.Sprintf("%d others", len(rest)))
	}
	line += prefixed(": ", sentence(it.Finding, strings.Join(haves, " or "), it.Want))
	return safe(line + prefixed("; warning: ", it.Warning) + prefixed("; ignored: ", it.Ignored))
}

func nagiosWord(r Result) string {
	s := r.Summary
	for _, f := range r.Fleet { // they have no host's status
		s.count(f.status(), r.Command)
	}
	switch {
	case s.Failed+s.Unreachable+s.Unmet > 0:
		return "CRITICAL"
	case s.Unknown > 0 || r.ExitCode == ExitInterrupted || s.Hosts == 0:
		return "UNKNOWN"
	case s.Pending > 0:
		return "WARNING"
	}
	return "OK"
}

// counted is the summary in words, worst first.
func counted(s Summary) string {
	var parts []string
	for _, status := range statuses {
		if n := s.of(status); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if len(parts) == 0 {
		return "no hosts"
	}
	return strings.Join(parts, ", ")
}
