package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// A replay is a host whose probe prints its files, and whose steps write them.
// It stands for the conversation alone: what real hosts do is shown elsewhere.
type replay struct {
	mu      sync.Mutex
	files   map[string]string
	broken  map[string]error // by path, or script: what a write of it returns
	ignore  map[string]bool  // writes that succeed and do nothing
	dials   int
	deaf    int   // looks after which the host no longer answers; 0: never
	settled []int // how many looks there had been, each time that the host was to settle
	looks   int

	did     []string                 // the titles of the steps that were carried out
	during  func(s remote.Step)      // called in the middle of each step
	others  []error                  // what Lock answers, one after the other; then it locks
	waits   func()                   // what happens on the host while Lock waits
	locked  bool                     // now
	free    []string                 // steps that were carried out without the lock
	left    string                   // what the probe of the work of others prints
	follows func() *remote.JobResult // what happens on the host while its job is followed
}

func (r *replay) Address() string { return "192.0.2.1:22" }

func (r *replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked = false
	return nil
}

func (r *replay) Look(_ context.Context, _ string, probes []remote.Probe) ([]remote.Section, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	if r.deaf > 0 && r.looks > r.deaf {
		return nil, &remote.Error{Stage: remote.Session, Err: errors.New("connection lost")}
	}
	var out strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.files)) {
		fmt.Fprintf(&out, "%s=%s\n", k, r.files[k])
	}
	var sections []remote.Section
	for _, p := range probes {
		s := remote.Section{Name: p.Name, Out: out.String()}
		if p.Script == remote.WorkProbe {
			s.Out = r.left
		}
		sections = append(sections, s)
	}
	return sections, nil
}

func (r *replay) Lock(_ context.Context, _ remote.Holder, wait time.Duration, waiting func(remote.Work)) (io.Closer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waits != nil && wait > 0 {
		waiting(remote.Work{Holder: alice})
		r.waits()
	} else if len(r.others) > 0 {
		err := r.others[0]
		r.others = r.others[1:]
		return nil, err
	}
	r.locked = true
	return r, nil
}

func (r *replay) Follow(_ context.Context, said func(string)) (*remote.JobResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said("Setting up nvidia-driver")
	return r.follows(), nil
}

// Settle is after the steps and before the look that proves them.
func (r *replay) Settle(context.Context, func(string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(r.settled, r.looks)
}

func (r *replay) Do(ctx context.Context, s remote.Step, said func(string)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.locked {
		r.free = append(r.free, s.Title)
	}
	if r.during != nil {
		r.during(s)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", s.Title, context.Cause(ctx))
	}
	r.did = append(r.did, s.Title)
	if err := r.broken[s.Title]; err != nil {
		return err
	}
	switch {
	case s.Run != nil:
		if path, value, ok := strings.Cut(s.Run.Script, "="); ok {
			r.files[path] = value
		}
		return r.broken[s.Run.Script]
	case s.Install != nil:
		path, value, _ := strings.Cut(s.Install.Names[0], "=")
		if !s.Install.DownloadOnly {
			r.files[path] = value
		}
		return nil
	case s.Reboot != nil:
		return nil
	}
	if err := r.broken[s.Write.Path]; err != nil {
		return err
	}
	if !r.ignore[s.Write.Path] {
		r.files[s.Write.Path] = s.Write.Data
	}
	return nil
}

var alice = remote.Holder{Who: "alice@ctl", RunID: "run-1"}

// want is a task that wants each path to hold "good".
func want(paths ...string) tasks.Task {
	return tasks.Task{
		Name:        "files",
		Independent: true,
		Probe:       func(inventory.Host) string { return "" },
		Read: func(s remote.Section) (tasks.Facts, error) {
			have := map[string]string{}
			for line := range strings.Lines(s.Out) {
				k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
				if !ok {
					return nil, fmt.Errorf("line %q", line)
				}
				have[k] = v
			}
			return have, nil
		},
		Plan: func(_ inventory.Host, f tasks.Facts) []tasks.Finding {
			var found []tasks.Finding
			for _, p := range paths {
				g := tasks.Finding{Subject: p, Have: f.(map[string]string)[p], Want: "good", Why: "test:1", State: tasks.OK}
				if g.Have != "good" {
					g.State = tasks.Pending
					g.Steps = []remote.Step{{Title: "write " + p, Write: &remote.File{Path: p, Data: "good"}}}
				}
				found = append(found, g)
			}
			return found
		},
	}
}

// fleetOf is a fleet of replays by host name.
func fleetOf(hosts map[string]*replay, all ...tasks.Task) (*Fleet, []inventory.Host) {
	var list []inventory.Host
	for _, n := range slices.Sorted(maps.Keys(hosts)) {
		list = append(list, inventory.Host{Name: n, Address: n, Settings: &inventory.Settings{}})
	}
	return &Fleet{
		Tasks: all, Parallel: 4, Timeout: time.Minute,
		Connect: func(_ context.Context, h inventory.Host) (Conn, error) {
			r := hosts[h.Name]
			r.mu.Lock()
			defer r.mu.Unlock()
			r.dials++
			return r, nil
		},
	}, list
}

// states lists "host subject state" and what is said of it, for comparison.
func states(hosts []report.Host) []string {
	var lines []string
	for _, h := range hosts {
		for _, g := range h.Findings {
			line := h.Name + " " + g.Subject + " " + g.State
			if g.Error != "" {
				line += ": " + g.Error
			}
			if g.Hint != "" {
				line += " (" + g.Hint + ")"
			}
			lines = append(lines, line)
		}
		if h.Error != "" {
			lines = append(lines, h.Name+": "+h.Error)
		}
	}
	return lines
}

func TestApplyIsBelievedOnlyWhatTheSecondLookShows(t *testing.T) {
	hosts := map[string]*replay{
		"a-settled": {files: map[string]string{"/x": "good", "/y": "good"}},
		"b-fixable": {files: map[string]string{"/x": "bad", "/y": "good"}},
		"c-fails":   {files: map[string]string{"/x": "bad", "/y": "bad"}, broken: map[string]error{"/x": errors.New("read-only file system")}},
		"d-lies":    {files: map[string]string{"/x": "bad", "/y": "good"}, ignore: map[string]bool{"/x": true}},
		"e-dies":    {files: map[string]string{"/x": "bad", "/y": "good"}, deaf: 2},
	}
	f, list := fleetOf(hosts, want("/x", "/y"))
	visits := f.Look(t.Context(), list, true)
	f.Apply(t.Context(), visits, ApplyOptions{Reboot: true})
	got := states(Reports(visits))
	wanted := []string{
		"a-settled /x ok", "a-settled /y ok",
		"b-fixable /x fixed", "b-fixable /y ok",
		"c-fails /x failed: write /x: read-only file system",
		"c-fails /y pending (not started: /x has failed)", // it may build on the first
		"d-lies /x failed: every step succeeded, but the host still has: bad", "d-lies /y ok",
		"e-dies /x unknown: the steps were done, but could not be proved: session: connection lost", "e-dies /y ok",
		"e-dies: session: connection lost",
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, r := range hosts {
		if len(r.free) > 0 {
			t.Errorf("%s: done without the lock: %v", name, r.free)
		}
		if r.dials != 1 {
			t.Errorf("%s: %d connections; one carries look, steps and proof", name, r.dials)
		}
	}

	again := f.Look(t.Context(), list[1:2], true)
	if n, _ := again[0].Pending(); n != 0 {
		t.Errorf("a second apply of a fixed host has %d findings pending", n)
	}
}

func TestABadWaveStopsTheNextOne(t *testing.T) {
	sick := func() *replay {
		return &replay{files: map[string]string{"/x": "bad"}, broken: map[string]error{"/x": errors.New("no")}}
	}
	for _, c := range []struct {
		name    string
		options ApplyOptions
		touched []string
	}{
		{"all at once", ApplyOptions{}, []string{"h1", "h2", "h3", "h4"}},
		{"a canary dies", ApplyOptions{Canary: 1}, []string{"h1"}},
		{"batches of two", ApplyOptions{Batch: Share{N: 2, Set: true}}, []string{"h1", "h2"}},
		{"half at a time, two failures allowed", ApplyOptions{Batch: Share{N: 50, Percent: true, Set: true}, MaxFailures: Share{N: 2, Set: true}}, []string{"h1", "h2", "h3", "h4"}},
	} {
		hosts := map[string]*replay{"h1": sick(), "h2": sick(), "h3": sick(), "h4": sick()}
		f, list := fleetOf(hosts, want("/x"))
		visits := f.Look(t.Context(), list, true)
		f.Apply(t.Context(), visits, c.options)
		var touched []string
		for _, v := range visits {
			if v.applied != nil {
				touched = append(touched, v.Host.Name)
			} else if !strings.Contains(v.Report().Hint, "not started") {
				t.Errorf("%s: %s was left alone without a word", c.name, v.Host.Name)
			}
		}
		if diff := cmp.Diff(c.touched, touched); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

func TestAHostThatChangedSinceItsPlanIsLeftAlone(t *testing.T) {
	r := &replay{files: map[string]string{"/x": "bad", "/y": "good"}}
	f, list := fleetOf(map[string]*replay{"h": r}, want("/x", "/y"))
	visits := f.Look(t.Context(), list, false) // not kept: apply connects and looks anew
	r.files["/y"] = "bad"
	f.Apply(t.Context(), visits, ApplyOptions{})
	if got := visits[0].Report(); !strings.Contains(got.Error, "changed since the plan") || got.Status != report.Failed {
		t.Errorf("status %s, error %q", got.Status, got.Error)
	}
	if r.files["/x"] != "bad" {
		t.Error("a step of a stale plan was run")
	}
}

func TestSavedPlan(t *testing.T) {
	r := &replay{files: map[string]string{"/x": "bad"}}
	f, list := fleetOf(map[string]*replay{"h": r}, want("/x"))
	path := t.TempDir() + "/plan"
	saved := SavedPlan{Inventory: "/inv.hcl", Hosts: Fingerprints(f.Look(t.Context(), list, false))}
	if err := saved.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := ReadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	if stale := read.Refuse(f.Look(t.Context(), list, false)); len(stale) != 0 {
		t.Errorf("refused though nothing changed: %v", stale)
	}
	r.files["/x"] = "good" // done already, by an apply that was interrupted say
	if stale := read.Refuse(f.Look(t.Context(), list, false)); len(stale) != 0 {
		t.Errorf("refused though there is only less to do: %v", stale)
	}
	r.files["/x"] = "worse"
	if stale := read.Refuse(f.Look(t.Context(), list, false)); !slices.Equal(stale, []string{"h"}) {
		t.Errorf("stale: %v, want h", stale)
	}
	if _, err := ReadPlan(t.TempDir()); !errors.Is(err, ErrNoPlan) {
		t.Errorf("a folder: %v", err)
	}
}

func TestWaves(t *testing.T) {
	for _, c := range []struct {
		o    ApplyOptions
		n    int
		want []int
	}{
		{ApplyOptions{}, 0, nil},
		{ApplyOptions{}, 7, []int{7}},
		{ApplyOptions{Canary: 2}, 7, []int{2, 5}},
		{ApplyOptions{Canary: 9}, 7, []int{7}},
		{ApplyOptions{Canary: 1, Batch: Share{N: 3, Set: true}}, 8, []int{1, 3, 3, 1}},
		{ApplyOptions{Batch: Share{N: 1, Percent: true, Set: true}}, 3, []int{1, 1, 1}},
	} {
		if diff := cmp.Diff(c.want, c.o.Waves(c.n)); diff != "" {
			t.Errorf("%+v of %d: -want +got:\n%s", c.o, c.n, diff)
		}
	}
	for _, bad := range []string{"", "x", "-1", "101%", "%", "1.5"} {
		if s, err := ParseShare(bad); err == nil {
			t.Errorf("ParseShare(%q) = %v, want an error", bad, s)
		}
	}
}

func TestASilentProbeIsUnknown(t *testing.T) {
	for name, s := range map[string]remote.Section{
		"failed":  {Name: "files", Exit: 1, Err: "cat: /etc/x: Permission denied"},
		"hung":    {Name: "files", Failure: "no answer within 10s"},
		"garbled": {Name: "files", Out: "no equals sign\n"},
	} {
		l := lookOf(want("/x"), inventory.Host{}, s)
		if len(l.Findings) != 1 || l.Findings[0].State != tasks.Unknown {
			t.Errorf("%s: %+v, want one unknown finding", name, l.Findings)
		}
	}
}

// A command is one wish's own: a server that is down keeps no other mount away.
func TestACommandThatFailsEndsItsFindingAlone(t *testing.T) {
	task := want("/x", "/y")
	plan := task.Plan
	task.Plan = func(h inventory.Host, f tasks.Facts) []tasks.Finding {
		found := plan(h, f)
		if found[0].State == tasks.Pending {
			found[0].Steps = append([]remote.Step{{Title: "mount", Run: &remote.Command{Script: "mount"}}}, found[0].Steps...)
		}
		return found
	}
	r := &replay{files: map[string]string{"/x": "bad", "/y": "bad"}, broken: map[string]error{"mount": errors.New("no route to host")}}
	f, list := fleetOf(map[string]*replay{"h": r}, task)
	visits := f.Look(t.Context(), list, true)
	f.Apply(t.Context(), visits, ApplyOptions{})
	if diff := cmp.Diff([]string{"h /x failed: mount: no route to host", "h /y fixed"}, states(Reports(visits))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A probe that fails once the steps are done proves nothing.
func TestASilentProbeAfterTheSteps(t *testing.T) {
	r := &replay{files: map[string]string{"/x": "bad"}}
	r.during = func(remote.Step) { r.files["/z"] = "a\nno equals sign" }
	f, list := fleetOf(map[string]*replay{"h": r}, want("/x"))
	visits := f.Look(t.Context(), list, true)
	f.Apply(t.Context(), visits, ApplyOptions{})
	got := visits[0].Report()
	if got.Status != report.Unknown || got.Findings[1].Subject != "/x" || got.Findings[1].State != "unknown" {
		t.Errorf("%+v", got)
	}
}
