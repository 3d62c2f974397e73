package fleet

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// ignoring makes hosts ignore findings.
func ignoring(hosts []inventory.Host, findings ...string) {
	for i := range hosts {
		s := inventory.Settings{}
		if hosts[i].Settings != nil {
			s = *hosts[i].Settings
		}
		for _, f := range findings {
			s.Ignore = append(s.Ignore, inventory.Ignored{Finding: f, Reason: "OPS-4711", Why: "inventory.hcl:3"})
		}
		hosts[i].Settings = &s
	}
}

// stack is a task whose findings build on each other: the file a, then b with
// what comes with it, then c.
func stack(independent bool, steps func(path string) []remote.Step) tasks.Task {
	t := chain(func(have map[string]string) []tasks.Finding {
		var found []tasks.Finding
		for _, path := range []string{"a", "b", "c"} {
			f := tasks.Finding{Subject: path, Have: have[path], Want: "good", State: tasks.OK}
			if have[path] != "good" {
				f.State, f.Steps = tasks.Pending, steps(path)
			}
			found = append(found, f)
			if path == "b" {
				with := tasks.Finding{Subject: "with b", State: tasks.OK}
				if have[path] != "good" {
					with.State, with.Hint = tasks.Pending, "comes with b"
				}
				found = append(found, with)
			}
		}
		return found
	})
	t.Name, t.Independent = "kubernetes", independent
	return t
}

func runs(path string) []remote.Step {
	return []remote.Step{{Title: "run " + path, Run: &remote.Command{Script: path + "=good"}}}
}

func writes(path string) []remote.Step {
	return []remote.Step{{Title: "write " + path, Write: &remote.File{Path: path, Data: "good"}}}
}

// What is ignored is not done, and neither is what was planned as if it had
// been; the rest is, and nothing of that has failed.
func TestIgnoredIsNotDone(t *testing.T) {
	for _, c := range []struct {
		name        string
		task        tasks.Task
		ignore      string
		did         []string
		want        []string
		code, ready int
	}{
		{"the last of all", stack(false, runs), "kubernetes/c", []string{"run a", "run b"},
			[]string{"a fixed", "b fixed", "with b fixed", "c pending ignored"}, 0, 1},
		{"what others build on", stack(false, runs), "kubernetes/b", []string{"run a"},
			[]string{"a fixed", "b pending ignored", "with b pending: left undone: it comes with kubernetes/b", "c pending: left undone: it builds on kubernetes/b, which is ignored"}, 2, 0},
		{"a wish of its own", stack(true, runs), "kubernetes/a", []string{"run b", "run c"},
			[]string{"a pending ignored", "b fixed", "with b fixed", "c fixed"}, 0, 1},
		{"a file that others were planned upon", stack(true, writes), "kubernetes/a", nil,
			[]string{"a pending ignored", "b pending: left undone: it builds on kubernetes/a, which is ignored", "with b pending: left undone: it comes with kubernetes/b", "c pending: left undone: it builds on kubernetes/a, which is ignored"}, 2, 0},
		{"all of it", stack(false, runs), "kubernetes/*", nil,
			[]string{"a pending ignored", "b pending ignored", "with b pending ignored", "c pending ignored"}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := &replay{files: map[string]string{"a": "bad", "b": "bad", "c": "bad"}}
			f, hosts := fleetOf(map[string]*replay{"gpu-01": host}, c.task)
			ignoring(hosts, c.ignore)
			visits := f.Look(t.Context(), hosts, true)
			for _, g := range Reports(visits)[0].Findings {
				if (g.Ignored != "" || strings.HasPrefix(g.Hint, "left undone")) && len(g.Steps) > 0 {
					t.Errorf("the plan shows steps of %s: %v", g.Subject, g.Steps)
				}
			}
			f.Apply(t.Context(), visits, ApplyOptions{})
			if !slices.Equal(host.did, c.did) {
				t.Errorf("did %q, want %q", host.did, c.did)
			}
			r := report.Result{Command: "apply", Hosts: Reports(visits)}
			r.Finish()
			var got []string
			for _, g := range r.Hosts[0].Findings {
				line := g.Subject + " " + g.State
				if g.Ignored != "" {
					line += " ignored"
				} else if g.State == "pending" {
					line += ": " + g.Hint
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if r.ExitCode != c.code || r.Summary.Ready != c.ready {
				t.Errorf("exit code %d, ready %d: %v", r.ExitCode, r.Summary.Ready, r.Hosts[0].Reasons)
			}
		})
	}
}

// A plan that was saved while something was ignored is stale once it counts.
func TestSavedPlanAndIgnore(t *testing.T) {
	host := &replay{files: map[string]string{"a": "bad", "b": "bad", "c": "bad"}}
	f, hosts := fleetOf(map[string]*replay{"gpu-01": host}, stack(false, runs))
	all := SavedPlan{Hosts: Fingerprints(f.Look(t.Context(), hosts, false))}
	ignored := slices.Clone(hosts)
	ignoring(ignored, "kubernetes/c")
	part := SavedPlan{Hosts: Fingerprints(f.Look(t.Context(), ignored, false))}
	if stale := part.Refuse(f.Look(t.Context(), hosts, false)); len(stale) != 1 {
		t.Errorf("more is to be done than was promised, and it is not refused: %v", stale)
	}
	if stale := all.Refuse(f.Look(t.Context(), ignored, false)); len(stale) != 0 {
		t.Errorf("less is to be done than was promised, and it is refused: %v", stale)
	}
}

// What falls short of a recommendation is told, and with Strict counts, unless
// it is ignored.
func TestStrict(t *testing.T) {
	old := tasks.Finding{Subject: "kubelet", Have: "1.15.12", Want: ">= 1.15", State: tasks.OK, Warning: "1.17 is recommended"}
	task := chain(func(map[string]string) []tasks.Finding { return []tasks.Finding{old} })
	task.Name = "kubernetes"
	for _, c := range []struct {
		name            string
		strict, ignored bool
		state           string
		warnings        int
	}{
		{"told", false, false, "ok", 1},
		{"strict", true, false, "unmet", 0},
		{"ignored", true, true, "ok", 0},
	} {
		f, hosts := fleetOf(map[string]*replay{"gpu-01": {}}, task)
		f.Strict = c.strict
		if c.ignored {
			ignoring(hosts, "kubernetes/kubelet")
		}
		r := report.Result{Command: "check", Hosts: Reports(f.Look(t.Context(), hosts, false))}
		r.Finish()
		g := r.Hosts[0].Findings[0]
		if g.State != c.state || r.Summary.Warnings != c.warnings || g.Warning == "" || (g.Ignored != "") != c.ignored {
			t.Errorf("%s: %+v, %+v", c.name, g, r.Summary)
		}
	}
}

// An ignore that is about nothing is found out, but not where nobody looked.
func TestUnmatched(t *testing.T) {
	f, hosts := fleetOf(map[string]*replay{"gpu-01": {files: map[string]string{"a": "good", "b": "good", "c": "good"}}}, stack(false, runs))
	ignoring(hosts, "kubernetes/swp", "kubernetes/with*", "nfs//mnt/data")
	got := Unmatched(f.Look(t.Context(), hosts, false))
	if len(got) != 1 || got[0].Finding != "kubernetes/swp" {
		t.Errorf("%v", got)
	}
}
