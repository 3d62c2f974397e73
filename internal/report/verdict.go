package report

import (
	"fmt"
	"slices"
	"strings"
)

// judge says of every host whether it is ready, and if not, why: that is its
// status, and what the fleet shows together.
func (r *Result) judge() {
	against := map[string][]string{}
	for _, f := range r.Fleet {
		if !f.wrong() {
			continue
		}
		ignoring := map[string]bool{}
		for _, name := range f.IgnoredBy {
			ignoring[name] = true
		}
		for _, name := range f.Hosts {
			if !ignoring[name] {
				against[name] = append(against[name], f.reason())
			}
		}
	}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		h.Reasons = []string{}
		if h.Error != "" || h.Status == Unreachable {
			h.Reasons = append(h.Reasons, h.Status+prefixed(": ", h.Error))
		}
		for _, f := range h.Findings {
			if f.wrong() {
				h.Reasons = append(h.Reasons, f.reason())
			}
		}
		if len(h.Reasons) == 0 && h.Status != Settled { // a caller says so, and not why
			h.Reasons = append(h.Reasons, h.Status+prefixed(": ", h.Hint))
		}
		h.Reasons = append(h.Reasons, against[h.Name]...)
		h.Ready = len(h.Reasons) == 0
	}
}

// Name is what a finding is called where somebody speaks of it: in an ignore,
// to explain, in a reason.
func (f Finding) Name() string { return f.Task + "/" + f.Subject }

// shown is the state as a page shows it; one that nobody knows is unknown.
func (f Finding) shown() string {
	if f.Ignored != "" {
		return "ignored"
	}
	return states[stateRank(f.State)]
}

// reason is why a host is not ready, for this finding.
func (f Finding) reason() string {
	said := sentence(f, f.Have, f.Want)
	if f.State == stateUnmet && f.Warning != "" { // strict
		said = f.Have + prefixed("; ", f.Warning)
	}
	return f.Name() + " is " + f.State + prefixed(": ", said) + prefixed(": ", f.Error)
}

// notReady is why a host is not ready, in short: "pending nfs//mnt/data, …". What the
// fleet shows is only in its reasons, after those of its own.
func (h Host) notReady() []string {
	var short []string
	byState := map[string][]string{}
	n := 0
	for _, f := range h.Findings {
		if f.wrong() {
			n++
			state := states[stateRank(f.State)]
			if !slices.Contains(byState[state], f.Name()) {
				byState[state] = append(byState[state], f.Name())
			}
		}
	}
	if h.Error != "" || h.Status == Unreachable || n == 0 && h.Status != Settled {
		short = append(short, h.Status)
		n++
	}
	for _, state := range states {
		names := byState[state]
		if more := len(names) - maxNamed; more > 1 {
			names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", more))
		}
		if len(names) > 0 {
			short = append(short, state+" "+strings.Join(names, ", "))
		}
	}
	for _, r := range h.Reasons[min(n, len(h.Reasons)):] {
		name, _, _ := strings.Cut(r, ": ")
		if name, state, ok := strings.Cut(name, " is "); ok {
			short = append(short, state+" "+name+" (fleet)")
		}
	}
	return short
}

// maxNamed bounds the findings of one state that a line names.
const maxNamed = 5

// note counts what is counted apart from the states.
func (s *Summary) note(f Finding) {
	switch {
	case f.Ignored != "":
		s.Ignored++
	case f.Warning != "" && f.wanted():
		s.Warnings++
	}
}

// Verdict is a host in a word.
func Verdict(ready bool) string {
	if ready {
		return "READY"
	}
	return "NOT READY"
}

// Only is the result for one host: it alone, and what the fleet shows of it.
func (r Result) Only(host string) Result {
	r.Gate = host
	all := r.Hosts
	r.Hosts = nil
	for _, h := range all {
		if h.Name == host {
			r.Hosts = append(r.Hosts, h)
		}
	}
	across := r.Fleet
	r.Fleet = nil
	for _, f := range across {
		if !slices.Contains(f.Hosts, host) {
			continue
		}
		if f.Ignored == "" && slices.Contains(f.IgnoredBy, host) {
			f.Ignored = "by " + host + ", not by all that it is about"
		}
		r.Fleet = append(r.Fleet, f)
	}
	if r.Finish(); len(r.Hosts) == 0 {
		r.ExitCode = max(r.ExitCode, ExitUnknown)
	}
	return r
}

// GateLine is the verdict on the host of a gate, on one line.
func (r Result) GateLine() string {
	for _, h := range r.Hosts {
		if h.Name == r.Gate {
			return Verdict(h.Ready) + " " + safe(h.Name) + prefixed(": ", safe(strings.Join(h.Reasons, "; ")))
		}
	}
	return Verdict(false) + " " + safe(r.Gate) + ": nothing is known of it"
}
