package fleet

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/tasks"
)

type key struct{ task, subject string }

func (p planned) key() key { return key{p.task, p.Subject} }

// outcomes are those of the findings of each subject together: all the steps
// done, and the first error. What has no steps of its own and comes with those
// of another finding has not been started where those were not done.
func outcomes(plan []planned, results []outcome) map[key]outcome {
	together := make(map[key]outcome)
	for i, p := range plan {
		o := together[p.key()]
		o.done += results[i].done
		err := results[i].err
		o.other = companion(plan, results, i)
		if len(p.Steps) == 0 && err == nil {
			err = o.other
		}
		if o.err == nil {
			o.err, o.goesOn = err, results[i].goesOn
		}
		o.own = o.own || len(p.Steps) > 0
		together[p.key()] = o
	}
	return together
}

// companion is why the steps that finding i comes with were not all done; nil:
// they were. They are those of its task before it, or else after it.
func companion(plan []planned, results []outcome, i int) error {
	var failure error
	for j, p := range plan {
		if p.task != plan[i].task || len(p.Steps) == 0 || results[j].err == nil {
			continue
		}
		if j > i && failure != nil {
			break
		}
		failure = inShort(p, results[j])
	}
	if failure == nil {
		return nil
	}
	if not := (notStarted{}); errors.As(failure, &not) {
		return not
	}
	return notStarted{failure}
}

// leftUndone is the choice by which the steps of other findings were not done;
// nil: they were, or failed.
func leftUndone(other error) error {
	if not := (notStarted{}); errors.As(other, &not) && byChoice(not.because) {
		return not.because
	}
	return nil
}

// proved merges what was planned, how its steps went and what the second look
// shows into the findings of the result. Only the second look makes a finding
// fixed.
func proved(looks []TaskLook, plan []planned, results []outcome) []report.Finding {
	did := make(map[key]int, len(plan)) // the last of a key: findings of one subject build on each other
	for i, p := range plan {
		did[p.key()] = i
	}
	ended := outcomes(plan, results)
	var found []report.Finding
	seen := make(map[key]bool)
	unseen := make(map[string]error) // by task: why the second look saw nothing
	for _, l := range looks {
		unseen[l.Task] = l.Err
		for n, g := range l.Findings {
			k := key{l.Task, g.Subject}
			s := report.From(l.Task, g)
			if l.isLeft(n) {
				found = append(found, s)
				continue
			}
			if i, planned := did[k]; planned {
				seen[k] = true
				judge(&s, g, plan[i], ended[k])
			} else if g.State == tasks.Pending {
				if undone := choiceIn(plan, results, l.Task); undone != nil {
					s.Hint = report.Redact(undone.Error()) // it belongs to what is still to be done
				} else {
					s.State = string(tasks.Failed)
					s.Error = "this shows only now that the steps are done; apply again"
				}
			}
			found = append(found, s)
		}
	}
	// What was planned and is no longer spoken of: a mount to be removed.
	for i, p := range plan {
		k := p.key()
		if seen[k] || did[k] != i {
			continue
		}
		s := report.From(p.task, p.Finding)
		s.Done = ended[k].done
		switch o := ended[k]; {
		case o.err != nil:
			fail(&s, o)
		case unseen[p.task] != nil:
			unproven(&s, unseen[p.task])
		default:
			s.State, s.Have = string(tasks.Fixed), "" // what there was is there no more
		}
		found = append(found, s)
	}
	return found
}

// choiceIn is why somebody's choice ended a finding of the task; nil: none did.
func choiceIn(plan []planned, results []outcome, task string) error {
	for i, p := range plan {
		if p.task == task && results[i].err != nil && byChoice(results[i].err) {
			return results[i].err
		}
	}
	return nil
}

// judge gives s, which the second look shows, the state that the steps of p
// have earned.
func judge(s *report.Finding, now tasks.Finding, p planned, o outcome) {
	s.Done = o.done
	switch {
	case o.err != nil && now.State == tasks.OK && !o.own:
		// It comes with the steps of another finding, and did.
		s.State = string(tasks.Fixed)
	case o.err != nil && now.State == tasks.OK && o.done == 0 && byChoice(o.err):
		// Nothing was done, and nothing is to be done any more.
	case o.err != nil:
		if p.Hint != "" && o.own { // what was there before: the second look does not know it
			s.Hint = report.Redact(p.Hint)
		}
		fail(s, o)
	case now.State == tasks.OK:
		s.State = string(tasks.Fixed)
		was := report.From(p.task, p.Finding)
		s.Steps, s.Plan, s.Disruptive = was.Steps, was.Plan, was.Disruptive
		if s.Why == "" {
			s.Why = p.Why
		}
	case now.State == tasks.Pending && len(now.Steps) == 0 && leftUndone(o.other) != nil:
		// All that is missing comes with what was left undone by choice: a
		// reboot, say.
		s.State, s.Hint = string(tasks.Pending), report.Redact(leftUndone(o.other).Error())
	case now.State == tasks.Pending && concludes(p):
		// What is left of it follows the proof.
	case now.State == tasks.Pending, now.State == tasks.Unmet && o.done > 0:
		s.State = string(tasks.Failed)
		s.Error = "every step succeeded, but the host still has: " + report.Redact(now.Have)
		s.Hint = ""
		if o.own { // else with what it comes is of no interest any more
			s.Hint = report.Redact(cmp.Or(p.Hint, now.Hint))
		}
	}
}

// fail gives s the state of what o ended.
func fail(s *report.Finding, o outcome) {
	said := report.Redact(o.err.Error())
	switch {
	case byChoice(o.err):
		s.State, s.Hint = string(tasks.Pending), said
	case o.goesOn:
		s.State, s.Error = string(tasks.Unknown), said
	default:
		s.State, s.Error = string(tasks.Failed), said
	}
}

// unproven gives s, whose steps went well, the state of what nobody saw.
func unproven(s *report.Finding, why error) {
	s.State = string(tasks.Unknown)
	s.Error = fmt.Sprintf("the steps were done, but could not be proved: %v", why)
}

// unproved are the findings of a host that did not answer the second look:
// what was planned has failed, or is unknown where its steps went well.
func unproved(former []TaskLook, plan []planned, results []outcome, lost error) []report.Finding {
	ended := outcomes(plan, results)
	var found []report.Finding
	for _, l := range former {
		for i, g := range l.Findings {
			s := report.From(l.Task, g)
			if g.State == tasks.Pending && !l.isLeft(i) {
				o := ended[key{l.Task, g.Subject}]
				s.Done = o.done
				if o.err != nil {
					fail(&s, o)
				} else {
					unproven(&s, lost)
				}
			}
			found = append(found, s)
		}
	}
	return found
}
