package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// change runs the steps of v's pending findings, in order, and looks again. All
// the while the host is ours alone. What the plan was made from was seen before
// that, and somebody may have worked there since: so it is looked at once more
// under the lock, and must lead to the same steps.
func (f *Fleet) change(ctx context.Context, v *Visit, o ApplyOptions) {
	defer v.hangUp()
	before := v.fingerprints()
	var lock io.Closer
	var err error
	for again := v.conn != nil; ; again = false {
		if f.connectAnew(ctx, v); v.Err != nil {
			return
		}
		lock, err = f.lock(ctx, v, o)
		if !again || !errors.As(err, new(*remote.Error)) || ctx.Err() != nil {
			break
		}
		v.hangUp() // it has died while a person read the plan
	}
	if err != nil {
		f.notLocked(ctx, v, o, err)
		return
	}
	defer func() { // the host is free in any case once the connection ends
		if err := lock.Close(); err != nil {
			f.log().Debug("the lock", "host", v.Host.Name, "error", err)
		}
	}()
	// Not over another connection: the lock ends with this one.
	if f.look(ctx, v); v.Err != nil {
		return
	}
	if !within(v.fingerprints(), before) {
		v.refused = true
		v.Err = errors.New("the host has changed since the plan was made; nothing was done: plan again")
		return
	}
	plan := v.pending()
	if len(plan) == 0 { // who was waited for has done it
		return
	}

	start := time.Now()
	results, lost := f.carryOut(ctx, v, plan, o)
	v.elapsed += time.Since(start)

	// Looks of before, should the host not answer now.
	former := v.Looks
	if ctx.Err() != nil {
		v.Err = context.Cause(ctx)
	} else {
		if lost != nil {
			v.hangUp()
		}
		f.lookAgain(ctx, v)
	}
	if v.Err != nil {
		v.applied = unproved(former, plan, results, v.Err)
		return
	}
	v.applied = proved(v.Looks, plan, results)
	if lost != nil {
		return // and the lock with it
	}
	f.goBack(ctx, v, plan, results, o)
	f.giveBack(ctx, v, plan, results, o)
	f.conclude(ctx, v, plan, o)
}

// lookAgain looks at a host whose steps are done.
func (f *Fleet) lookAgain(ctx context.Context, v *Visit) {
	if v.conn != nil {
		v.conn.Settle(ctx, f.said(v, "looking again"))
	}
	f.event(v, "looking again")
	f.look(ctx, v)
}

// connectAnew connects a host whose connection was not kept, or has died.
func (f *Fleet) connectAnew(ctx context.Context, v *Visit) {
	soon, cancel := f.inTime(ctx)
	defer cancel()
	if err := f.connect(soon, v); err != nil {
		v.Err, v.interrupted = cause(soon, err), ctx.Err() != nil
	}
}

// notLocked says why a host that is not ours was not begun with.
func (f *Fleet) notLocked(ctx context.Context, v *Visit, o ApplyOptions, err error) {
	var locked *remote.LockedError
	switch {
	case errors.As(err, &locked):
		v.notStarted = "not started: " + err.Error()
		if o.LockWait == 0 {
			v.notStarted += "\nto wait for that: --lock-wait 30m"
		}
	case ctx.Err() != nil:
		v.notStarted = "not started: " + context.Cause(ctx).Error()
	default:
		v.Err, v.refused = err, true
	}
}

// carryOut runs the steps of the plan and says how each finding went. Lost is
// why it ended before its time: the connection, or an interruption.
//
// A step that fails ends its task, for what comes later builds on it. Of a task
// whose findings are independent a command that fails ends its own finding
// alone; a file that cannot be written or a package that cannot be installed
// ends such a task too: later findings were planned as if it were there, and
// what the ledger does not hold would never be removed again. A finding that
// stands aside ends itself alone, whatever failed.
func (f *Fleet) carryOut(ctx context.Context, v *Visit, plan []planned, o ApplyOptions) (results []outcome, lost error) {
	results = make([]outcome, len(plan))
	ended := map[string]error{} // by task
	cannot := impossible(plan)
	for i, p := range plan {
		switch {
		case lost != nil:
			results[i].err = notStarted{lost}
		case ended[p.task] != nil:
			results[i].err = notStarted{ended[p.task]}
		case cannot[p.task] != nil:
			results[i].err = cannot[p.task]
			ended[p.task] = results[i].err
		default:
			results[i] = f.steps(ctx, v, p.Steps, f.independent(p.task) || p.Aside, o)
			var at *remote.Error
			if errors.As(results[i].err, &at) || ctx.Err() != nil {
				lost = cmp.Or(results[i].err, context.Cause(ctx))
				if not := (notStarted{}); errors.As(lost, &not) {
					lost = not.because
				}
			}
			if results[i].shared && !p.Aside {
				ended[p.task] = inShort(p, results[i])
			}
		}
		if refusal := (noReboot{}); errors.As(results[i].err, &refusal) {
			v.rebootPending = true
		}
	}
	return results, lost
}

// inShort is why a finding ended, for those that come after it: what failed is
// told where it failed.
func inShort(p planned, o outcome) error {
	if byChoice(o.err) || o.goesOn {
		return o.err
	}
	return fmt.Errorf("%s has failed", p.Subject)
}

// independent reports whether the findings of a task are wishes of their own.
func (f *Fleet) independent(task string) bool {
	for _, t := range f.Tasks {
		if t.Name == task {
			return t.Independent
		}
	}
	return false
}

// waitsForReboot reports whether a reboot is the next thing that a task wants
// of the host, so that all before it is done.
func (v *Visit) waitsForReboot() bool {
	over := map[string]bool{} // by task: there is something to be done before
	for _, p := range v.pending() {
		for _, s := range p.Steps {
			if s.Reboot != nil && !over[p.task] {
				return true
			}
			over[p.task] = over[p.task] || changes(s) || outlives(s) && !fetches(s)
		}
	}
	return false
}
