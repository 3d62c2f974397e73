package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// staleAfter is how old a look may be for steps to be run on the strength of
// it. An older one is repeated, and must lead to the same steps.
const staleAfter = time.Minute

// errReboot ends a finding whose next step is a reboot that is not allowed.
var errReboot = errors.New("a reboot is needed and not allowed (--reboot never)")

// change runs the steps of v's pending findings, in order, and looks again.
//
// A command that fails ends its finding, and the findings after it go on: they
// are other wishes, and one dead server must not keep every other mount away. A
// file that cannot be written or a package that cannot be installed ends its
// task: later findings were planned as if it were there, and what the ledger
// does not hold would never be removed again. A lost connection ends all.
func (f *Fleet) change(ctx context.Context, v *Visit, o ApplyOptions) {
	defer v.hangUp()
	plan := v.pending()
	if v.conn == nil || time.Since(v.seen) > staleAfter {
		before := v.fingerprint()
		if f.look(ctx, v); v.Err != nil {
			return
		}
		if v.fingerprint() != before {
			v.refused = true
			v.Err = errors.New("the host has changed since the plan was made; nothing was done: plan again")
			return
		}
		plan = v.pending()
	}
	start := time.Now()
	outcome := make([]error, len(plan))
	var lost error
	ended := map[string]error{} // by task
	for i, p := range plan {
		switch {
		case lost != nil:
			outcome[i] = fmt.Errorf("not started: %w", lost)
		case ended[p.task] != nil:
			outcome[i] = fmt.Errorf("not started: %w", ended[p.task])
		default:
			var shared bool
			shared, outcome[i] = f.steps(ctx, v, p, o)
			var at *remote.Error
			if errors.As(outcome[i], &at) || ctx.Err() != nil {
				lost = outcome[i]
			}
			if shared {
				ended[p.task] = outcome[i]
			}
		}
		if errors.Is(outcome[i], errReboot) {
			v.rebootPending = true
		}
	}
	v.elapsed += time.Since(start)

	// Looks of before, should the host not answer now.
	f.event(v, "looking again")
	former := v.Looks
	if ctx.Err() != nil {
		v.Err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	} else {
		if lost != nil {
			v.hangUp()
		}
		f.look(ctx, v)
	}
	if v.Err != nil {
		v.applied = unproved(former, plan, outcome, v.Err)
		return
	}
	v.applied = proved(v.Looks, plan, outcome)
}

// steps carries out one finding. An error is shared where the findings after
// this one build on what failed.
func (f *Fleet) steps(ctx context.Context, v *Visit, p planned, o ApplyOptions) (shared bool, err error) {
	for _, s := range p.Steps {
		if ctx.Err() != nil {
			return false, fmt.Errorf("%s: not started: %w", s.Title, context.Cause(ctx))
		}
		if s.Reboot != nil && !o.Reboot {
			return false, errReboot
		}
		f.event(v, s.Title)
		began := time.Now()
		stepCtx := ctx
		if s.Install != nil && o.Hard != nil {
			// A package manager that is cut off leaves half-configured
			// packages: the first Ctrl-C lets it end, the second does not.
			stepCtx = o.Hard
		}
		err := v.conn.Do(stepCtx, s)
		f.log().Info("step", "host", v.Host.Name, "task", p.task, "subject", p.Subject,
			"step", s.Title, "elapsed", time.Since(began).Round(time.Millisecond), "error", err)
		if err != nil {
			return s.Run == nil && s.Reboot == nil, stepError(s, cause(ctx, err))
		}
	}
	return false, nil
}

// stepError names the step, unless the error does already.
func stepError(s remote.Step, err error) error {
	if strings.HasPrefix(err.Error(), s.Title) {
		return err
	}
	return fmt.Errorf("%s: %w", s.Title, err)
}

type key struct{ task, subject string }

// proved merges what was planned, how its steps went and what the second look
// shows into the findings of the result. Only the second look makes a finding
// fixed.
func proved(looks []TaskLook, plan []planned, outcome []error) []report.Finding {
	did := make(map[key]int, len(plan)) // the last of a key: findings of one subject build on each other
	failed := make(map[key]error)
	for i, p := range plan {
		k := key{p.task, p.Subject}
		did[k] = i
		if outcome[i] != nil && failed[k] == nil {
			failed[k] = outcome[i]
		}
	}
	var found []report.Finding
	seen := make(map[key]bool)
	for _, l := range looks {
		for _, g := range l.Findings {
			k := key{l.Task, g.Subject}
			s := report.From(l.Task, g)
			if i, planned := did[k]; planned {
				seen[k] = true
				judge(&s, g, plan[i], failed[k])
			} else if g.State == tasks.Pending {
				s.State = string(tasks.Failed)
				s.Error = "this shows only now that the steps are done; apply again"
			}
			found = append(found, s)
		}
	}
	// What was planned and is no longer spoken of: a mount to be removed.
	for i, p := range plan {
		k := key{p.task, p.Subject}
		if seen[k] || did[k] != i {
			continue
		}
		s := report.From(p.task, p.Finding)
		s.State = string(tasks.Fixed)
		if err := failed[k]; err != nil {
			fail(&s, err)
		}
		found = append(found, s)
	}
	return found
}

// judge gives s, which the second look shows, the state that the steps of p
// have earned.
func judge(s *report.Finding, now tasks.Finding, p planned, err error) {
	switch {
	case err != nil:
		fail(s, err)
	case now.State == tasks.OK:
		s.State = string(tasks.Fixed)
		s.Steps = report.From(p.task, p.Finding).Steps
		s.Plan = p.Steps
		s.Disruptive = p.Disruptive()
		if s.Why == "" {
			s.Why = p.Why
		}
	case now.State == tasks.Pending:
		s.State = string(tasks.Failed)
		s.Error = "every step succeeded, but the host still has: " + now.Have
	}
}

func fail(s *report.Finding, err error) {
	if errors.Is(err, errReboot) {
		s.State = string(tasks.Pending)
		s.Hint = err.Error()
		return
	}
	s.State = string(tasks.Failed)
	s.Error = err.Error()
}

// unproved are the findings of a host that did not answer the second look:
// what was planned has failed, or is unknown where its steps went well.
func unproved(former []TaskLook, plan []planned, outcome []error, lost error) []report.Finding {
	did := make(map[key]error)
	for i, p := range plan {
		if k := (key{p.task, p.Subject}); did[k] == nil {
			did[k] = outcome[i]
		}
	}
	var found []report.Finding
	for _, l := range former {
		for _, g := range l.Findings {
			s := report.From(l.Task, g)
			if g.State == tasks.Pending {
				if err := did[key{l.Task, g.Subject}]; err != nil {
					fail(&s, err)
				} else {
					s.State = string(tasks.Unknown)
					s.Error = fmt.Sprintf("the steps were done, but could not be proved: %v", lost)
				}
			}
			found = append(found, s)
		}
	}
	return found
}
