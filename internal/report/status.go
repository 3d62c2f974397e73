package report

import (
	"slices"

	"github.com/runai-prep/runai-prep/tasks"
)

// The statuses of a host.
const (
	Failed      = "failed"
	Unreachable = "unreachable"
	Unknown     = "unknown"
	Unmet       = "unmet"
	Pending     = "pending"
	Settled     = "settled"
)

// statuses are all of them, worst first: the order of every report.
var statuses = []string{Failed, Unreachable, Unknown, Unmet, Pending, Settled}

// The states of a finding, as a result spells them.
const (
	stateOK      = string(tasks.OK)
	statePending = string(tasks.Pending)
	stateFixed   = string(tasks.Fixed)
	stateUnmet   = string(tasks.Unmet)
	stateUnknown = string(tasks.Unknown)
	stateFailed  = string(tasks.Failed)
)

// states are all of them, worst first.
var states = []string{stateFailed, stateUnknown, stateUnmet, statePending, stateFixed, stateOK}

// The exit codes; of those that apply, the largest wins.
const (
	ExitOK          = 0
	ExitUsage       = 1 // the command itself could not be carried out
	ExitPending     = 2
	ExitUnmet       = 3
	ExitUnknown     = 4
	ExitFailed      = 5
	ExitInterrupted = 130
)

// wrong reports whether the finding is not as wanted, and counts. A state that
// nobody knows is wrong: unknown is never taken for ok.
func (f Finding) wrong() bool { return f.Ignored == "" && !f.wanted() }

// wanted reports whether the finding is as wanted.
func (f Finding) wanted() bool { return f.State == stateOK || f.State == stateFixed }

// Strict makes a finding unmet that falls short of a recommendation.
func (f *Finding) Strict() {
	if f.wanted() && f.Warning != "" {
		f.State = stateUnmet
	}
}

// stateRank is the place of a state among states; what nobody knows ranks as
// unknown.
func stateRank(state string) int {
	if i := slices.Index(states, state); i >= 0 {
		return i
	}
	return slices.Index(states, stateUnknown)
}

// Settle sets the host's status to the worst of what its findings say and of
// what is set already: a caller sets Unreachable, or Failed, where it is not
// the findings that say so. An error is never settled: with nothing found it
// makes the host unreachable, and unknown where all that was found is well.
func (h *Host) Settle() {
	worst := len(statuses) - 1
	say := func(status string) {
		if i := slices.Index(statuses, status); i >= 0 {
			worst = min(worst, i)
		}
	}
	say(h.Status)
	for _, f := range h.Findings {
		say(f.status())
	}
	h.Status = statuses[worst]
	if h.Error != "" && h.Status == Settled {
		h.Status = Unknown
		if len(h.Findings) == 0 {
			h.Status = Unreachable
		}
	}
}

// status is the host's status if this were all that was found.
func (f Finding) status() string {
	if f.Ignored != "" {
		return Settled
	}
	switch f.State {
	case stateOK, stateFixed:
		return Settled
	case statePending:
		return Pending
	case stateUnmet:
		return Unmet
	case stateFailed:
		return Failed
	}
	return Unknown
}

// Finish settles and counts the hosts, gives each its verdict, sets the exit
// code and makes the document complete: its schema is named and its arrays are there. An exit
// code that says interrupted stays.
func (r *Result) Finish() {
	r.complete()
	for i := range r.Hosts {
		r.Hosts[i].Settle()
	}
	r.judge()
	r.Summary = Summary{Hosts: len(r.Hosts)}
	code := ExitOK
	for _, h := range r.Hosts {
		code = max(code, r.Summary.count(h.Status, r.Command))
		r.Summary.Ready += btoi(h.Ready)
		for _, f := range h.Findings {
			r.Summary.note(f)
		}
	}
	for _, f := range r.Fleet {
		var hosts Summary // whose status is their own
		code = max(code, hosts.count(f.status(), r.Command))
		r.Summary.note(f.Finding)
	}
	if r.ExitCode != ExitInterrupted {
		r.ExitCode = code
	}
}

// count adds a host of this status and returns the exit code it calls for.
func (s *Summary) count(status, command string) int {
	// What facts shows is not compared with anything: it fails to look, or not.
	looksOnly := command == "facts"
	switch status {
	case Settled:
		s.Settled++
		return ExitOK
	case Pending:
		s.Pending++
		if looksOnly {
			return ExitOK
		}
		return ExitPending
	case Unmet:
		s.Unmet++
		if looksOnly {
			return ExitOK
		}
		return ExitUnmet
	case Unreachable:
		s.Unreachable++
		return ExitUnknown
	case Failed:
		s.Failed++
		return ExitFailed
	}
	s.Unknown++
	return ExitUnknown
}

// of is the number of hosts with a status.
func (s Summary) of(status string) int {
	switch status {
	case Failed:
		return s.Failed
	case Unreachable:
		return s.Unreachable
	case Unknown:
		return s.Unknown
	case Unmet:
		return s.Unmet
	case Pending:
		return s.Pending
	}
	return s.Settled
}

// complete names the schema and replaces arrays that are nil by empty ones.
func (r *Result) complete() {
	r.Schema = Schema
	if r.Hosts == nil {
		r.Hosts = []Host{}
	}
	if r.Fleet == nil {
		r.Fleet = []FleetFinding{}
	}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		if h.Findings == nil {
			h.Findings = []Finding{}
		}
		if h.Reasons == nil {
			h.Reasons = []string{}
		}
		for j := range h.Findings {
			if h.Findings[j].Steps == nil {
				h.Findings[j].Steps = []string{}
			}
		}
	}
}

// meaning says in words what the exit code means after the command.
func (r Result) meaning() string {
	switch r.ExitCode {
	case ExitOK:
		if len(idle(r)) == len(r.Hosts) {
			return "nothing was asked of any host"
		}
		switch r.Command {
		case "apply":
			return "every host is as wanted, and was looked at again to prove it"
		case "facts":
			return "every host was looked at"
		}
		return "every host is as wanted"
	case ExitUsage:
		return "the command could not be carried out"
	case ExitPending:
		switch r.Command {
		case "check":
			return "hosts have drifted from what is wanted; apply would put them right"
		case "apply":
			return "changes were left undone, by choice or because somebody else is at work; apply again to make them"
		}
		return "changes are pending; apply would make them"
	case ExitUnmet:
		return "a requirement is unmet that no task can fix; a person has to"
	case ExitUnknown:
		return "a host was unreachable or something could not be looked at, and unknown is never taken for ok"
	case ExitFailed:
		return "apply failed on a host: a step failed, or a second look did not show what was wanted"
	case ExitInterrupted:
		return "interrupted; running the same command again carries on"
	}
	return "not one of this program's exit codes"
}
