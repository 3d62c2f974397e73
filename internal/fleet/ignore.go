package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// because is why a finding is ignored, as reports show it.
func because(by inventory.Ignored) string { return report.Redact(by.Reason) + " (" + by.Why + ")" }

// leave takes the steps from the findings that are ignored, and from those
// that were planned as if these had been carried out: what a plan shows is
// what apply does. It tells which pending findings it left.
//
// What builds on an ignored finding is what would not be begun if it had
// failed, see carryOut.
func leave(t tasks.Task, h inventory.Host, found []tasks.Finding) (left []bool) {
	left = make([]bool, len(found))
	blocked := map[string]bool{} // subjects whose steps are left
	base, goesOn := "", false    // the first of them on which others build; others are carried out
	for i := range found {
		g := &found[i]
		if g.State != tasks.Pending {
			continue
		}
		_, ignored := h.Ignores(t.Name, g.Subject)
		switch with, comes := strings.CutPrefix(g.Hint, report.CompanionHint); {
		case ignored:
			if base == "" && len(g.Steps) > 0 && !g.Aside && (!t.Independent || slices.ContainsFunc(g.Steps, isBase)) {
				base = g.Subject
			}
		case len(g.Steps) > 0 && base != "":
			g.Hint = fmt.Sprintf("left undone: it builds on %s/%s, which is ignored", t.Name, base)
		case len(g.Steps) > 0:
			goesOn = true
			continue
		case len(g.After) > 0:
			continue // it gives back what was taken before
		case comes && blocked[with]:
			g.Hint = fmt.Sprintf("left undone: it comes with %s/%s", t.Name, with)
		case len(blocked) > 0 && !goesOn:
			g.Hint = fmt.Sprintf("left undone: what it comes with in the task %s is ignored", t.Name)
		default:
			continue
		}
		left[i] = true
		blocked[g.Subject] = true
		g.Steps, g.Back, g.After, g.Undo = nil, nil, nil, nil
	}
	return left
}

// leaves reports whether a finding is ignored, or left alone because of one
// that is.
func (v *Visit) leaves(task, subject string) bool {
	if _, ignored := v.Host.Ignores(task, subject); ignored {
		return true
	}
	for _, l := range v.Looks {
		for i, g := range l.Findings {
			if l.Task == task && g.Subject == subject && l.isLeft(i) {
				return true
			}
		}
	}
	return false
}

// isBase: later findings were planned as if this step had been carried out.
func isBase(s remote.Step) bool { return s.Run == nil && s.Reboot == nil }

// mark tells which findings of a host the inventory ignores, and makes those
// that fall short of a recommendation unmet where that is asked for.
func mark(h inventory.Host, strict bool, found []report.Finding) {
	for i := range found {
		f := &found[i]
		wanted := f.State == string(tasks.OK) || f.State == string(tasks.Fixed)
		if by, ok := h.Ignores(f.Task, f.Subject); ok && (!wanted || f.Warning != "") {
			f.Ignored = because(by)
		} else if strict {
			f.Strict()
		}
	}
}

// Unmatched are the entries of the inventory that ignore nothing: no finding of
// the hosts that have them is called so. Of tasks that were left out, and of
// hosts on which one could not be looked at, nothing is known.
func Unmatched(visits []*Visit) []inventory.Ignored {
	type entry struct{ finding, why string }
	idle := map[entry]bool{}
	var order []inventory.Ignored
	for _, v := range visits {
		if v.Err != nil || v.Host.Settings == nil {
			continue
		}
		for _, i := range v.Host.Ignore {
			e := entry{i.Finding, i.Why}
			if matched, known := idle[e]; known && !matched {
				continue
			}
			if _, known := idle[e]; !known {
				order = append(order, i)
			}
			idle[e] = v.idle(i)
		}
	}
	return slices.DeleteFunc(order, func(i inventory.Ignored) bool { return !idle[entry{i.Finding, i.Why}] })
}

// idle reports whether i is about none of the findings of the visit.
func (v *Visit) idle(i inventory.Ignored) bool {
	task, _, _ := strings.Cut(i.Finding, "/")
	looked := false
	for _, l := range v.Looks {
		if l.Task != task {
			continue
		}
		if looked = l.Err == nil; !looked {
			return false
		}
		for _, g := range l.Findings {
			if i.Covers(task, g.Subject) {
				return false
			}
		}
	}
	return looked
}
