package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/remote"
)

func TestAHostAtWhichSomebodyElseIsAtWork(t *testing.T) {
	busy := &remote.LockedError{Work: remote.Work{Holder: alice, Since: time.Unix(0, 0), Job: "install"}}
	left := *busy
	left.Work.Orphaned = true
	apply := func(r *replay, wait time.Duration) report.Host {
		f, list := fleetOf(map[string]*replay{"h": r}, want("/x", "/y"))
		visits := f.Look(t.Context(), list, true)
		f.Apply(t.Context(), visits, ApplyOptions{LockWait: wait})
		if r.locked {
			t.Error("the host stays locked")
		}
		return visits[0].Report()
	}
	sick := func() *replay { return &replay{files: map[string]string{"/x": "bad", "/y": "good"}} }

	t.Run("refused", func(t *testing.T) {
		r := sick()
		r.others = []error{busy}
		got := apply(r, 0)
		if got.Status != report.Pending || got.Error != "" || len(r.did) > 0 ||
			!strings.Contains(got.Hint, "not started: the host is locked: alice@ctl runs install") || !strings.Contains(got.Hint, "--lock-wait") {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
	t.Run("waited for, and still to be done", func(t *testing.T) {
		r := sick()
		r.waits = func() {}
		if got := apply(r, time.Minute); got.Status != report.Settled || r.looks != 3 || !slices.Equal(r.settled, []int{2}) {
			t.Errorf("%d looks, settled after %v, %+v", r.looks, r.settled, got)
		}
	})
	t.Run("waited for, and done by it", func(t *testing.T) {
		r := sick()
		r.waits = func() { r.files["/x"] = "good" }
		if got := apply(r, time.Minute); got.Status != report.Settled || len(r.did) > 0 {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
	t.Run("waited for, and another host now", func(t *testing.T) {
		r := sick()
		r.waits = func() { r.files["/y"] = "worse" }
		if got := apply(r, time.Minute); !strings.Contains(got.Error, "has changed since the plan") || len(r.did) > 0 {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
	t.Run("its controller died meanwhile", func(t *testing.T) {
		r := sick()
		r.others = []error{&left}
		r.follows = func() *remote.JobResult { return &remote.JobResult{Work: left.Work} }
		if got := apply(r, 0); got.Status != report.Settled || r.looks != 3 ||
			!strings.Contains(got.Hint, "install, which alice@ctl had left behind (run run-1), was followed to its end: exit status 0") {
			t.Errorf("%d looks, %+v", r.looks, got)
		}
	})
	t.Run("the connection died while the plan was read", func(t *testing.T) {
		r := sick()
		r.others = []error{&remote.Error{Stage: remote.Session, Err: errors.New("connection lost")}}
		if got := apply(r, 0); got.Status != report.Settled || r.dials != 2 {
			t.Errorf("%d dials, %+v", r.dials, got)
		}
	})
	t.Run("cannot be locked", func(t *testing.T) {
		r := sick()
		lacks := &remote.Error{Stage: remote.Session, Err: errors.New("the host has no flock"), Hint: "install util-linux on the host"}
		r.others = []error{lacks, lacks}
		if got := apply(r, 0); got.Status != report.Failed || !strings.Contains(got.Error, "no flock") || !strings.Contains(got.Hint, "util-linux") || len(r.did) > 0 {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
}

// What a run left behind is followed to its end before anything is planned, and
// what it did is not done again. plan and check only tell of it.
func TestAJobThatWasLeftBehind(t *testing.T) {
	const left = "job 20260301060000-rpj1 1772344800 900 l1\nrun-1\nalice@ctl\ninstall nvidia-driver\n"
	for _, c := range []struct {
		name string
		exit int
		tail string
		now  string // what the host has once the job has ended
		did  int
		hint string
	}{
		{"goes well", 0, "", "good", 0, "followed to its end: exit status 0"},
		{"fails", 100, "E: no space left", "bad", 1, "followed to its end: exit status 100: E: no space left"},
		{"is cut off by a reboot", -1, "", "bad", 1, "followed to its end: without an exit status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &replay{files: map[string]string{"/x": "bad"}, left: left}
			r.follows = func() *remote.JobResult {
				r.left, r.files["/x"] = "", c.now
				return &remote.JobResult{Work: remote.Work{Holder: alice, Job: "install nvidia-driver"}, Exit: c.exit, Tail: c.tail}
			}
			f, list := fleetOf(map[string]*replay{"h": r}, want("/x"))
			var seen []string
			f.Progress = func(e Event) { seen = append(seen, e.Doing) }

			got := f.Look(t.Context(), list, false)[0].Report()
			if got.Status != report.Pending || !strings.Contains(got.Hint, "alice@ctl runs install nvidia-driver since 2026-03-01") || !strings.Contains(got.Hint, "apply follows it") {
				t.Errorf("plan: %+v", got)
			}
			visits := f.Look(t.Context(), list, true)
			f.Apply(t.Context(), visits, ApplyOptions{})
			if got = visits[0].Report(); got.Status != report.Settled || len(r.did) != c.did || !strings.Contains(got.Hint, c.hint) {
				t.Errorf("apply: did %v, %+v", r.did, got)
			}
			if !strings.Contains(strings.Join(seen, "\n"), ": Setting up nvidia-driver") {
				t.Errorf("whoever waits saw %q", seen)
			}
		})
	}

	t.Run("interrupted", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		r := &replay{files: map[string]string{"/x": "bad"}, left: left}
		r.follows = func() *remote.JobResult { stop(errors.New("interrupted")); return nil }
		f, list := fleetOf(map[string]*replay{"h": r}, want("/x"))
		if got := f.Look(ctx, list, true)[0].Report(); len(r.did) > 0 || got.Status == report.Settled {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
}
