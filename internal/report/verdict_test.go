package report

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A host is ready when nothing that counts is wrong with it, by itself or
// beside others.
func TestVerdict(t *testing.T) {
	r := verdicts()
	got := map[string][]string{}
	for _, h := range r.Hosts {
		got[h.Name] = h.Reasons
		if h.Ready != (len(h.Reasons) == 0) {
			t.Errorf("%s: ready %t, for %v", h.Name, h.Ready, h.Reasons)
		}
	}
	const twice = "kubernetes/machine-id is unmet: have the same on all of them: 6c1f…, want one of its own for each host"
	want := map[string][]string{
		"gpu-01": {},
		"gpu-02": {},
		"gpu-03": {"kubernetes/swap is pending: on → off", twice},
		"gpu-04": {twice},
		"gpu-05": {}, // it ignores that
		"gpu-06": {"kubernetes/kubelet is unmet: 1.15.12; 1.17 is recommended"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := (Summary{Hosts: 6, Settled: 4, Pending: 1, Unmet: 1, Ready: 3, Warnings: 5, Ignored: 1}); r.Summary != s {
		t.Errorf("summary %+v, want %+v", r.Summary, s)
	}
	if r.ExitCode != ExitUnmet {
		t.Errorf("exit code %d", r.ExitCode)
	}
}

// A gate is about one host: what is wrong with others does not keep it out, but
// for what they share.
func TestGate(t *testing.T) {
	for host, want := range map[string]struct {
		line string
		code int
	}{
		"gpu-01": {"READY gpu-01", 0},
		"gpu-02": {"READY gpu-02", 0},
		"gpu-04": {"NOT READY gpu-04: kubernetes/machine-id is unmet: have the same on all of them: 6c1f…, want one of its own for each host", 3},
		"gpu-05": {"READY gpu-05", 0},
		"gpu-09": {"NOT READY gpu-09: nothing is known of it", 4},
	} {
		r := verdicts().Only(host)
		if got := r.GateLine(); got != want.line {
			t.Errorf("%s: %s", host, got)
		}
		if r.ExitCode != want.code {
			t.Errorf("%s: exit code %d, want %d", host, r.ExitCode, want.code)
		}
		if host != "gpu-09" && len(r.Hosts) != 1 {
			t.Errorf("%s: %d hosts", host, len(r.Hosts))
		}
	}
}

// What is ignored is no drift, no mending, and news again once it counts.
func TestIgnoredIsNoDrift(t *testing.T) {
	swap := func(ignored string) Result {
		r := verdicts()
		r.Hosts = slices.Clone(r.Hosts[2:3])
		r.Hosts[0].Findings = slices.Clone(r.Hosts[0].Findings)
		r.Hosts[0].Findings[1].Ignored = ignored
		r.Fleet = nil
		r.Finish()
		return r
	}
	wrong, ignored := swap(""), swap("for now")
	for _, c := range []struct {
		name          string
		last, now     Result
		fresh, mended int
	}{
		{"ignored from the first", Result{}, ignored, 0, 0},
		{"ignored since", wrong, ignored, 0, 0},
		{"ignored no longer", ignored, wrong, 1, 0},
		{"ignored as before", ignored, ignored, 0, 0},
	} {
		now := c.now
		Compare(&c.last, &now)
		if now.fresh() != c.fresh || len(now.Mended) != c.mended {
			t.Errorf("%s: %d new, mended %v", c.name, now.fresh(), now.Mended)
		}
	}
}
