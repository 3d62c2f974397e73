package fleet

import (
	"cmp"
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
		before := v.fingerprints()
		if f.look(ctx, v); v.Err != nil {
			return
		}
		if !within(v.fingerprints(), before) {
			v.refused = true
			v.Err = errors.New("the host has changed since the plan was made; nothing was done: plan again")
			return
		}
		plan = v.pending()
	}
	start := time.Now()
	results := make([]outcome, len(plan))
	var lost error
	ended := map[string]error{} // by task
	for i, p := range plan {
		switch {
		case lost != nil:
			results[i].err = notStarted{lost}
		case ended[p.task] != nil:
			results[i].err = notStarted{ended[p.task]}
		default:
			results[i] = f.steps(ctx, v, p, o)
			var at *remote.Error
			if errors.As(results[i].err, &at) || ctx.Err() != nil {
				lost = cmp.Or(results[i].err, context.Cause(ctx))
				if not := (notStarted{}); errors.As(lost, &not) {
					lost = not.because
				}
			}
			if results[i].shared {
				ended[p.task] = results[i].err
			}
		}
		if errors.Is(results[i].err, errReboot) {
			v.rebootPending = true
		}
	}
	v.elapsed += time.Since(start)

	// Looks of before, should the host not answer now.
	f.event(v, "looking again")
	former := v.Looks
	if ctx.Err() != nil {
		v.Err = context.Cause(ctx)
	} else {
		if lost != nil {
			v.hangUp()
		}
		f.look(ctx, v)
	}
	if v.Err != nil {
		v.applied = unproved(former, plan, results, v.Err)
		return
	}
	v.applied = proved(v.Looks, plan, results)
}

// An outcome is how the steps of one finding went.
type outcome struct {
	done   int // steps that were carried out
	err    error
	shared bool // the findings after this one build on what failed
}

// notStarted is why no step of a finding was begun: it is as pending as before.
type notStarted struct{ because error }

func (n notStarted) Error() string { return "not started: " + n.because.Error() }
func (n notStarted) Unwrap() error { return n.because }

// steps carries out one finding.
func (f *Fleet) steps(ctx context.Context, v *Visit, p planned, o ApplyOptions) outcome {
	for i, s := range p.Steps {
		if ctx.Err() != nil {
			err := error(notStarted{context.Cause(ctx)})
			if i > 0 {
				err = fmt.Errorf("%s: %w", s.Title, context.Cause(ctx))
			}
			return outcome{done: i, err: err}
		}
		if s.Reboot != nil && !o.Reboot {
			return outcome{done: i, err: errReboot}
		}
		f.event(v, s.Title)
		began := time.Now()
		stepCtx := ctx
		if s.Install != nil && o.Hard != nil {
			// A package manager that is cut off leaves half-configured
			// packages: the first Ctrl-C lets it end, the second does not.
			stepCtx = o.Hard
		}
		err := v.conn.Do(stepCtx, s, nil)
		f.log().Info("step", "host", v.Host.Name, "task", p.task, "subject", p.Subject,
			"step", s.Title, "elapsed", time.Since(began).Round(time.Millisecond), "error", err)
		if err != nil {
			return outcome{done: i, err: stepError(s, cause(ctx, err)), shared: s.Run == nil && s.Reboot == nil}
		}
	}
	return outcome{done: len(p.Steps)}
}

// stepError names the step, unless the error does already.
func stepError(s remote.Step, err error) error {
	if strings.HasPrefix(err.Error(), s.Title) {
		return err
	}
	return fmt.Errorf("%s: %w", s.Title, err)
}

type key struct{ task, subject string }

// outcomes are those of the findings of each subject together: all the steps
// done, and the first error.
func outcomes(plan []planned, results []outcome) map[key]outcome {
	together := make(map[key]outcome)
	for i, p := range plan {
		k := key{p.task, p.Subject}
		o := together[k]
		o.done += results[i].done
		if o.err == nil {
			o.err = results[i].err
		}
		together[k] = o
	}
	return together
}

// proved merges what was planned, how its steps went and what the second look
// shows into the findings of the result. Only the second look makes a finding
// fixed.
func proved(looks []TaskLook, plan []planned, results []outcome) []report.Finding {
	did := make(map[key]int, len(plan)) // the last of a key: findings of one subject build on each other
	for i, p := range plan {
		did[key{p.task, p.Subject}] = i
	}
	ended := outcomes(plan, results)
	var found []report.Finding
	seen := make(map[key]bool)
	for _, l := range looks {
		for _, g := range l.Findings {
			k := key{l.Task, g.Subject}
			s := report.From(l.Task, g)
			if i, planned := did[k]; planned {
				seen[k] = true
				judge(&s, g, plan[i], ended[k])
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
		if o := ended[k]; o.err != nil {
			fail(&s, o.err)
		}
		s.Done = ended[k].done
		found = append(found, s)
	}
	return found
}

// judge gives s, which the second look shows, the state that the steps of p
// have earned.
func judge(s *report.Finding, now tasks.Finding, p planned, o outcome) {
	s.Done = o.done
	switch {
	case o.err != nil:
		fail(s, o.err)
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
	var not notStarted
	if errors.Is(err, errReboot) || errors.As(err, &not) {
		s.State = string(tasks.Pending)
		s.Hint = err.Error()
		return
	}
	s.State = string(tasks.Failed)
	s.Error = err.Error()
}

// unproved are the findings of a host that did not answer the second look:
// what was planned has failed, or is unknown where its steps went well.
func unproved(former []TaskLook, plan []planned, results []outcome, lost error) []report.Finding {
	ended := outcomes(plan, results)
	var found []report.Finding
	for _, l := range former {
		for _, g := range l.Findings {
			s := report.From(l.Task, g)
			if g.State == tasks.Pending {
				o := ended[key{l.Task, g.Subject}]
				s.Done = o.done
				if o.err != nil {
					fail(&s, o.err)
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
