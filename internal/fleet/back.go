package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// goBack runs the ways back of what has failed, the last first, and looks once
// more. What has failed stays failed, whatever that look shows, and says where
// the host was left.
func (f *Fleet) goBack(ctx context.Context, v *Visit, plan []planned, results []outcome, o ApplyOptions) {
	first := map[string]int{} // by task: the first finding that was gone back from
	went := map[string]error{}
	for i := len(plan) - 1; i >= 0; i-- {
		p := plan[i]
		if len(p.Back) == 0 || !results[i].begun || v.conn == nil || !anyFailed(v.applied, plan[i:], p.task) {
			continue
		}
		f.log().Info("going back", "host", v.Host.Name, "task", p.task, "subject", p.Subject)
		out := f.steps(ctx, v, p.Back, false, o)
		if refusal := (noReboot{}); errors.As(out.err, &refusal) {
			v.rebootPending = true
		}
		if at := (*remote.Error)(nil); errors.As(out.err, &at) {
			v.hangUp() // the look below connects anew
		}
		first[p.task] = i
		if went[p.task] == nil {
			went[p.task] = out.err
		}
	}
	if len(first) == 0 {
		return
	}
	former := v.applied
	looks := v.Looks
	if f.lookAgain(ctx, v); v.Err != nil {
		v.Looks = looks
	} else {
		v.applied = proved(v.Looks, plan, results)
	}
	for i := range v.applied {
		s := &v.applied[i]
		k := key{s.Task, s.Subject}
		from, gone := first[s.Task]
		if !gone || !planHas(plan[from:], k) {
			continue
		}
		was := state(former, k)
		switch {
		case was.State == string(tasks.Failed):
			s.Error = was.Error
		case was.State == string(tasks.Fixed) && s.State != was.State:
			s.Error = "it was done, and taken back with what failed"
		default:
			continue
		}
		s.State, s.Hint = string(tasks.Failed), was.Hint
		s.Error += "\n" + report.Redact(wentBack(went[s.Task], v.Err, s.Have))
	}
}

// wentBack tells how the way back ended.
func wentBack(err, unseen error, have string) string {
	said := "went back"
	if err != nil {
		said = fmt.Sprintf("the way back failed too: %v", err)
	}
	if unseen != nil {
		return said + fmt.Sprintf("; what the host has now could not be looked at: %v", unseen)
	}
	return said + "; the host now has: " + have
}

// anyFailed reports whether a planned finding of the task has failed, of those
// that do not stand aside.
func anyFailed(found []report.Finding, plan []planned, task string) bool {
	for _, p := range plan {
		if p.task == task && !p.Aside && state(found, p.key()).State == string(tasks.Failed) {
			return true
		}
	}
	return false
}

func planHas(plan []planned, k key) bool {
	for _, p := range plan {
		if p.key() == k {
			return true
		}
	}
	return false
}

// state is the finding of a key; a zero one where there is none.
func state(all []report.Finding, k key) report.Finding {
	if s := find(all, k); s != nil {
		return *s
	}
	return report.Finding{}
}

// concludes: all that the finding is about is done after the proof.
func concludes(p planned) bool { return len(p.Steps) == 0 && len(p.After) > 0 }

// conclude runs what follows once all of a task is as wanted.
func (f *Fleet) conclude(ctx context.Context, v *Visit, plan []planned, o ApplyOptions) {
	for _, p := range plan {
		if len(p.After) == 0 || v.conn == nil || !v.allWell(plan, p.task) {
			continue
		}
		out := f.steps(ctx, v, p.After, false, o)
		s := find(v.applied, p.key())
		switch {
		case s == nil:
		case out.err != nil:
			s.State, s.Done = string(tasks.Failed), s.Done+out.done
			s.Error = "the host is as wanted, but what follows failed: " + report.Redact(out.err.Error())
		case concludes(p):
			s.State, s.Have, s.Hint = string(tasks.Fixed), s.Want, ""
			s.Steps, s.After, s.Done = s.After, nil, out.done
		}
	}
}

// giveBack gives back what was taken from others than the host, where nothing
// was begun on it after that.
func (f *Fleet) giveBack(ctx context.Context, v *Visit, plan []planned, results []outcome, o ApplyOptions) {
	for _, p := range plan {
		took, onHost := false, false
		for i, other := range plan {
			if other.task == p.task {
				onHost = onHost || results[i].onHost || took && results[i].done > 0
				took = took || results[i].took
			}
		}
		if len(p.Undo) == 0 || !took || onHost || v.conn == nil {
			continue
		}
		f.log().Info("giving back", "host", v.Host.Name, "task", p.task, "subject", p.Subject)
		out := f.steps(ctx, v, p.Undo, false, o)
		s := find(v.applied, p.key())
		switch {
		case s == nil:
		case out.err != nil:
			s.State, s.Error = string(tasks.Failed), "it was not given back: "+report.Redact(out.err.Error())
		default:
			s.State, s.Hint = string(tasks.Pending), "it was given back as it was"
		}
	}
}

// find is the finding of a key; nil where there is none.
func find(all []report.Finding, k key) *report.Finding {
	for i := range all {
		if s := &all[i]; s.Task == k.task && s.Subject == k.subject {
			return s
		}
	}
	return nil
}

// allWell reports whether every finding of a task is as wanted, beside those
// that only what follows settles, and those that were left alone.
func (v *Visit) allWell(plan []planned, task string) bool {
	for _, s := range v.applied {
		if s.Task != task || v.leaves(task, s.Subject) || s.State == string(tasks.OK) || s.State == string(tasks.Fixed) {
			continue
		}
		left := s.State == string(tasks.Pending) && slices.ContainsFunc(plan, func(p planned) bool {
			return p.key() == key{s.Task, s.Subject} && concludes(p)
		})
		if !left {
			return false
		}
	}
	return true
}
