package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// JUnit writes a suite for each host and a case for each finding, for CI
// systems. What is not as wanted (pending, unmet) is a failure; what failed or
// could not be looked at, a host that could not be reached among it, is an
// error; what apply left undone by choice, or the
// inventory ignores, is skipped. What the fleet shows together is a suite more.
func JUnit(w io.Writer, r Result) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	doc := junit.Testsuites{
		Name: safe(strings.TrimSpace("runai-prep " + r.Command + " " + r.Inventory)),
		Time: fmt.Sprintf("%.3f", r.ElapsedSeconds),
	}
	started, timeErr := time.Parse(time.RFC3339, r.Started)
	for i, h := range r.Hosts {
		suite := junit.Testsuite{
			Name:     safe(h.Name),
			ID:       i,
			Hostname: safe(h.Address),
			Time:     fmt.Sprintf("%.3f", h.ElapsedSeconds),
		}
		if timeErr == nil {
			suite.SetTimestamp(started)
		}
		suite.AddProperty("role", safe(h.Role))
		suite.AddProperty("status", safe(h.Status))
		suite.AddProperty("ready", fmt.Sprint(h.Ready))
		for _, reason := range h.Reasons {
			suite.AddProperty("not ready", safe(reason))
		}
		if h.RebootPending {
			suite.AddProperty("reboot_pending", "true")
		}
		if h.Hint != "" && h.Error == "" { // else it stands with the error
			suite.AddProperty("hint", text(h.Hint))
		}
		if h.Error != "" || h.Status == Unreachable {
			suite.AddTestcase(junit.Testcase{
				Name:      "host",
				Classname: safe(h.Name),
				Error:     &junit.Result{Type: safe(h.Status), Message: safe(h.Error), Data: text(h.Error, hinted(h.Hint))},
			})
		}
		for _, f := range h.Findings {
			suite.AddTestcase(testcase(r.Command, h.Name, f))
		}
		doc.AddSuite(suite)
	}
	if len(r.Fleet)+len(r.Notes) > 0 {
		suite := junit.Testsuite{Name: "fleet", ID: len(r.Hosts), Time: "0.000"}
		if timeErr == nil {
			suite.SetTimestamp(started)
		}
		for _, n := range r.Notes {
			suite.AddProperty("note", safe(n))
		}
		for _, f := range r.Fleet {
			tc := testcase(r.Command, "fleet", f.Finding)
			if len(f.Hosts) > 0 {
				tc.Name += " (" + hostList(f.Hosts) + ")"
			}
			suite.AddTestcase(tc)
		}
		doc.AddSuite(suite)
	}
	return doc.WriteXML(w)
}

func testcase(command, suite string, f Finding) junit.Testcase {
	tc := junit.Testcase{
		Name:      safe(strings.TrimSpace(f.Task + " " + f.Subject)),
		Classname: safe(suite + "." + f.Task),
		Status:    safe(f.State),
	}
	steps := make([]string, len(f.Steps))
	for i, s := range f.Steps {
		steps[i] = fmt.Sprintf("%d. %s", i+1, s)
	}
	evidence := text(
		prefixed("have: ", f.Have), prefixed("want: ", f.Want), prefixed("why:  ", f.Why),
		prefixed("warning: ", f.Warning), prefixed("ignored: ", f.Ignored),
		prefixed("error: ", f.Error), strings.Join(steps, "\n"),
		prefixed("afterwards: ", strings.Join(f.After, "; ")), prefixed("should it fail, back: ", strings.Join(f.Back, "; ")),
		hinted(f.Hint))
	outcome := &junit.Result{Type: safe(f.State), Message: safe(sentence(f, f.Have, f.Want)), Data: evidence}
	switch {
	case f.Ignored != "":
		tc.Skipped = outcome
		outcome.Message = "ignored: " + safe(f.Ignored)
	case !f.wrong():
		tc.SystemOut = &junit.Output{Data: evidence}
	case f.State == statePending && command == "apply":
		tc.Skipped = outcome
	case f.State == statePending || f.State == stateUnmet:
		tc.Failure = outcome
	default:
		tc.Error = outcome
	}
	return tc
}

func hinted(hint string) string { return prefixed("hint: ", hint) }

// text joins texts into safe lines, leaving out what is empty.
func text(texts ...string) string {
	var lines []string
	for _, t := range texts {
		lines = append(lines, safeLines(t)...)
	}
	return strings.Join(lines, "\n")
}
