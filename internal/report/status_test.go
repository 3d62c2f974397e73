package report

import (
	"fmt"
	"strings"
	"testing"
)

func finding(state string) Finding { return Finding{Task: "nfs", Subject: "/mnt", State: state} }

func TestSettle(t *testing.T) {
	for _, c := range []struct {
		preset, err string
		states      string
		want        string
	}{
		{"", "", "ok ok", Settled},
		{"", "", "ok fixed", Settled},
		{"", "", "ok pending", Pending},
		{"", "", "pending unmet ok", Unmet},
		{"", "", "unmet unknown pending", Unknown},
		{"", "", "unknown failed ok", Failed},
		{"", "", "", Settled},            // nothing was asked of it
		{"", "", "ok splendid", Unknown}, // a state of another version
		{"", "", "ok " + "_", Unknown},   // a finding that nobody judged
		{Unreachable, "connect: timeout", "", Unreachable},
		{"", "connect: timeout", "", Unreachable}, // the caller forgot the status
		{"", "connection lost", "ok ok", Unknown}, // all was well, then something was not
		{Unreachable, "connection lost", "ok", Unreachable},
		{Unreachable, "connection lost", "fixed failed", Failed},
		{Failed, "lock held", "ok", Failed},
		{Settled, "", "pending", Pending},                                    // settled again after more was found
		{"", "not started: 3 hosts before it failed", "ok pending", Pending}, // the error says why, not what
	} {
		h := Host{Status: c.preset, Error: c.err}
		for _, s := range strings.Fields(c.states) {
			h.Findings = append(h.Findings, finding(strings.Trim(s, "_")))
		}
		h.Settle()
		if h.Status != c.want {
			t.Errorf("%q %q [%s]: %s, want %s", c.preset, c.err, c.states, h.Status, c.want)
		}
	}
}

func TestFinishTakesTheLargestCodeThatApplies(t *testing.T) {
	for _, c := range []struct {
		command, statuses string
		preset, want      int
	}{
		{"plan", "", 0, 0},
		{"plan", "settled settled", 0, 0},
		{"plan", "settled pending", 0, 2},
		{"check", "pending unmet", 0, 3},
		{"plan", "unmet unreachable pending", 0, 4},
		{"plan", "unmet unknown", 0, 4},
		{"apply", "settled pending", 0, 2}, // left undone by choice
		{"apply", "unreachable failed settled", 0, 5},
		{"apply", "settled", ExitInterrupted, ExitInterrupted},
		{"check", "settled", ExitFailed, 0}, // finished anew
		{"facts", "pending unmet", 0, 0},
		{"facts", "settled unreachable", 0, 4},
	} {
		r := Result{Command: c.command, ExitCode: c.preset}
		for i, s := range strings.Fields(c.statuses) {
			r.Hosts = append(r.Hosts, Host{Name: fmt.Sprint(i), Status: s})
		}
		r.Finish()
		if r.ExitCode != c.want {
			t.Errorf("%s of [%s]: exit code %d, want %d", c.command, c.statuses, r.ExitCode, c.want)
		}
		s := r.Summary
		if sum := s.Settled + s.Pending + s.Unmet + s.Unknown + s.Unreachable + s.Failed; sum != s.Hosts || s.Hosts != len(r.Hosts) {
			t.Errorf("%s of [%s]: the summary does not add up: %+v", c.command, c.statuses, s)
		}
	}
}

// What was not looked at is neither free of drift nor as wanted.
func TestNothingSeenIsNothingWell(t *testing.T) {
	down := Host{Name: "gpu-01", Status: Unreachable, Error: "connect: timeout"}
	unsure := Host{Name: "gpu-02", Findings: []Finding{finding(stateUnknown)}}
	fine := Host{Name: "gpu-03", Findings: []Finding{finding(stateOK)}}
	idle := Host{Name: "gpu-04"}
	for _, c := range []struct {
		command string
		hosts   []Host
		want    string
		not     string
	}{
		{"check", []Host{down, unsure}, "Check: no host could be looked at, 1 unknown, 1 unreachable.", "drift"},
		{"plan", []Host{down, unsure}, "Plan: no host could be looked at, 1 unknown, 1 unreachable.", "nothing to change"},
		{"check", []Host{down, fine}, "Check: no drift, 1 settled, 1 unreachable.", "no host"},
		{"plan", []Host{idle}, "Exit code 0: nothing was asked of any host.", "host is as wanted"},
		{"plan", []Host{idle, fine}, "Exit code 0: every host is as wanted.", "any host"},
	} {
		r := Result{Command: c.command}
		for _, h := range c.hosts {
			h.Settle()
			r.Hosts = append(r.Hosts, h)
		}
		r.Finish()
		var b strings.Builder
		if err := Text(&b, r, TextOptions{Width: 120}); err != nil {
			t.Fatal(err)
		}
		said := b.String()[strings.LastIndex(b.String(), "\n\n"):]
		if !strings.Contains(said, c.want) || strings.Contains(said, c.not) {
			t.Errorf("%s:%s\nwant %q, not %q", c.command, said, c.want, c.not)
		}
	}
}
