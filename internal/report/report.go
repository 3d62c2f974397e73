// Package report turns results into what people and machines read: text,
// JSON, JUnit, HTML, Nagios, Prometheus.
package report

import "github.com/runai-prep/runai-prep/remote"

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
	Summary        Summary `json:"summary"`
	ExitCode       int     `json:"exit_code"`
}

// A Host is one host's part of a result.
type Host struct {
	Name           string    `json:"name"`
	Address        string    `json:"address"` // host:port
	Role           string    `json:"role"`
	Status         string    `json:"status"` // failed, unreachable, unknown, unmet, pending, settled
	Error          string    `json:"error"`
	Hint           string    `json:"hint,omitempty"`
	RebootPending  bool      `json:"reboot_pending"`
	ElapsedSeconds float64   `json:"elapsed_seconds"`
	Findings       []Finding `json:"findings"`
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
	Steps      []string `json:"steps"` // the titles
	Hint       string   `json:"hint,omitempty"`
	Error      string   `json:"error,omitempty"` // why a step failed
	New        bool     `json:"new,omitempty"`   // check: not there at the last check

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
}
