// Package report turns results into what people and machines read.
//
// A Result is the outcome of one command. The caller fills in hosts and
// findings (From translates a task's), settles each host and finishes the
// whole; everything else here only reads it:
//
//	status.go      a host's status, the summary, the exit code and its meaning
//	drift.go       what is new since the last check, and what got mended
//	group.go       hosts that are alike, said once
//	text.go        what an engineer reads in a terminal, with diff.go and page.go
//	summary.go     what was counted, in words
//	facts.go       what the command facts prints
//	json.go        the document of the contract, written and read back
//	html.go        one page that opens offline
//	junit.go       for CI
//	nagios.go      for monitoring that asks
//	prometheus.go  for monitoring that collects
//	safe.go        a stranger's words, made fit for all of these
package report

import (
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// Schema names the version of the JSON document.
const Schema = "runai-prep.result/1"

// A Result is the outcome of one command; its JSON encoding is the document
// of the contract.
type Result struct {
	Schema         string  `json:"schema"`
	Command        string  `json:"command"`
	Version        string  `json:"version"`
	RunID          string  `json:"run_id"`
	Started        string  `json:"started"` // RFC 3339
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	Inventory      string  `json:"inventory"`
	Requirements   string  `json:"requirements"`
	Hosts          []Host  `json:"hosts"`
	// Fleet is what no host shows alone: a machine-id that two of them have.
	Fleet    []FleetFinding `json:"fleet"`
	Summary  Summary        `json:"summary"`
	ExitCode int            `json:"exit_code"`

	// Gate is the host that the whole result is about: the verdict on it is
	// what the exit code says.
	Gate string `json:"gate,omitempty"`
	// Notes are what a reader should know of how the result came about: hosts
	// that were left out of a comparison, an ignore that matched nothing.
	Notes  []string `json:"notes,omitempty"`
	Mended []Mended `json:"mended,omitempty"` // check: wrong at the last check, as wanted now
}

// A Host is one host's part of a result.
type Host struct {
	Name           string  `json:"name"`
	Address        string  `json:"address"` // host:port
	Role           string  `json:"role"`
	Status         string  `json:"status"` // failed, unreachable, unknown, unmet, pending, settled
	Error          string  `json:"error"`
	Hint           string  `json:"hint,omitempty"`
	RebootPending  bool    `json:"reboot_pending"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	New            bool    `json:"new,omitempty"` // check: not in trouble as a whole at the last check
	// Ready is the verdict: all that was asked of the host is as wanted or
	// ignored, and nothing that the fleet shows together speaks against it.
	Ready    bool      `json:"ready"`
	Reasons  []string  `json:"reasons"` // why it is not ready
	Findings []Finding `json:"findings"`
}

// A FleetFinding is tasks.FleetFinding as a result shows it.
type FleetFinding struct {
	Hosts []string `json:"hosts"`
	// IgnoredBy are those of the hosts that ignore it, and so may be ready all
	// the same. Where all of them do, it is Ignored as a whole.
	IgnoredBy []string `json:"ignored_by,omitempty"`
	Finding
}

// A Finding is tasks.Finding as a result shows it.
type Finding struct {
	Task       string   `json:"task"`
	Subject    string   `json:"subject"`
	State      string   `json:"state"`
	Have       string   `json:"have"`
	Want       string   `json:"want"`
	Why        string   `json:"why"`
	Disruptive bool     `json:"disruptive"`
	Steps      []string `json:"steps"`           // the titles
	Back       []string `json:"back,omitempty"`  // the way back, should they fail
	After      []string `json:"after,omitempty"` // what follows once all of the task is as wanted
	Hint       string   `json:"hint,omitempty"`
	Error      string   `json:"error,omitempty"`   // why a step failed
	Warning    string   `json:"warning,omitempty"` // what falls short of a recommendation
	Ignored    string   `json:"ignored,omitempty"` // why somebody ignores it: it does not count
	New        bool     `json:"new,omitempty"`     // check: not wrong at the last check

	// Done is how many of the steps apply carried out; it is not part of the
	// document either.
	Done int `json:"-"`

	// Plan holds the steps whole, for the diffs of a text report; it is not
	// part of the document.
	Plan []remote.Step `json:"-"`
}

// A Summary counts hosts by status.
type Summary struct {
	Hosts       int `json:"hosts"`
	Settled     int `json:"settled"`
	Pending     int `json:"pending"`
	Unmet       int `json:"unmet"`
	Unknown     int `json:"unknown"`
	Unreachable int `json:"unreachable"`
	Failed      int `json:"failed"`

	Ready    int `json:"ready"`    // hosts
	Warnings int `json:"warnings"` // findings that fall short of a recommendation
	Ignored  int `json:"ignored"`  // findings that somebody ignores
}

// From is a task's finding as results show it. Passwords that a host keeps in
// its files ("http://user:password@proxy") are taken out.
func From(task string, f tasks.Finding) Finding {
	return Finding{
		Task:       task,
		Subject:    f.Subject,
		State:      string(f.State),
		Have:       Redact(f.Have),
		Want:       Redact(f.Want),
		Why:        f.Why,
		Disruptive: f.Disruptive(),
		Steps:      append([]string{}, titles(f.Steps)...), // never null
		Back:       titles(f.Back),
		After:      titles(f.After),
		Hint:       Redact(f.Hint),
		Warning:    Redact(f.Warning),
		Plan:       f.Steps,
	}
}

func titles(steps []remote.Step) []string {
	var list []string
	for _, s := range steps {
		list = append(list, s.Title)
	}
	return list
}
