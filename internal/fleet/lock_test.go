package fleet

import (
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
		if got := apply(r, time.Minute); got.Status != report.Settled || r.looks != 3 {
			t.Errorf("%d looks, %+v", r.looks, got)
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
	t.Run("cannot be locked", func(t *testing.T) {
		r := sick()
		r.others = []error{&remote.CommandError{Title: "lock", Exit: 127, Reason: "flock is missing: install util-linux"}}
		if got := apply(r, 0); got.Status != report.Failed || !strings.Contains(got.Error, "util-linux") || len(r.did) > 0 {
			t.Errorf("did %v, %+v", r.did, got)
		}
	})
}
