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
// CRITICAL, unknown is UNKNOWN, pending is WARNING, settled is OK. The
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
	fmt.Fprintf(&b, " time=%.3fs\n", r.ElapsedSeconds)
	for _, g := range groupsOf(r, false) {
		if g.status == Settled {
			continue
		}
		// A bar would begin performance data.
		say := func(s string) { b.WriteString(strings.ReplaceAll(s, "|", "¦") + "\n") }
		head := g.status + ": " + hostList(g.names)
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
			line := "- " + strings.TrimSpace(it.Task+" "+strings.Join(it.subjects, ", "))
			if it.New {
				line += " (new)"
			}
			var haves []string
			for _, v := range it.haves {
				haves = append(haves, v.text)
			}
			said := sentence(it.Finding, strings.Join(haves, " or "), it.Want)
			say(safe(line + prefixed(": ", said)))
			for _, v := range it.errors {
				for _, l := range safeLines(v.text) {
					say("  " + l)
				}
			}
		}
	}
	if names := rebooting(r.Hosts); len(names) > 0 {
		b.WriteString("reboot pending: " + hostList(names) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func nagiosWord(r Result) string {
	s := r.Summary
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
