package fleet

import (
	"context"
	"errors"
	"fmt"

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
	f.event(v, "looking again")
	former := v.applied
	looks := v.Looks
	if f.look(ctx, v); v.Err != nil {
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
func state(found []report.Finding, k key) report.Finding {
	for _, s := range found {
		if s.Task == k.task && s.Subject == k.subject {
			return s
		}
	}
	return report.Finding{}
}

// conclude runs what follows once all of a task is as wanted.
func (f *Fleet) conclude(ctx context.Context, v *Visit, plan []planned, o ApplyOptions) {
	for _, p := range plan {
		if len(p.After) == 0 || v.conn == nil || !allWell(v.applied, p.task) {
			continue
		}
		out := f.steps(ctx, v, p.After, false, o)
		if out.err == nil {
			continue
		}
		for i := range v.applied {
			if s := &v.applied[i]; s.Task == p.task && s.Subject == p.Subject {
				s.State = string(tasks.Failed)
				s.Error = "the host is as wanted, but what follows failed: " + report.Redact(out.err.Error())
			}
		}
	}
}

// allWell reports whether every finding of a task is as wanted.
func allWell(found []report.Finding, task string) bool {
	for _, s := range found {
		if s.Task == task && s.State != string(tasks.OK) && s.State != string(tasks.Fixed) {
			return false
		}
	}
	return true
}
