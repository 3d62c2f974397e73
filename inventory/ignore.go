package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runai-prep/runai-prep/internal/wildcard"
)

// taskNames are those of the tasks, in their order of work. They belong to the
// contract; tasks has a test that none is missing here.
var taskNames = []string{"resources", "proxy", "squid", "registry", "egress", "driver", "nfs", "kubernetes"}

// KnownTask reports whether an inventory may speak of a task of that name.
func KnownTask(name string) bool { return slices.Contains(taskNames, name) }

// Covers reports whether i is about the finding of a task. In a subject * is
// any text, slashes included, and ? one character; letters are as they are.
func (i Ignored) Covers(task, subject string) bool {
	t, pattern, _ := strings.Cut(i.Finding, "/")
	return t == task && wildcard.Match(pattern, subject)
}

// Ignores is the entry by which a finding of h is ignored; false: none.
func (h Host) Ignores(task, subject string) (Ignored, bool) {
	if h.Settings == nil {
		return Ignored{}, false
	}
	for _, i := range h.Ignore {
		if i.Covers(task, subject) {
			return i, true
		}
	}
	return Ignored{}, false
}

// ignorable is TASK/SUBJECT, of a finding that the task can have.
func (l *loader) ignorable(s string) error {
	if err := visible(s); err != nil {
		return err
	}
	task, subject, ok := strings.Cut(s, "/")
	switch {
	case !KnownTask(task):
		return fmt.Errorf("there is no task %q; an ignored finding is written as reports name it, such as \"kubernetes/swap\".%s", task, didYouMean(task, taskNames))
	case !ok || subject == "":
		return fmt.Errorf("%q names a task alone; name the finding as well, such as \"%s/SUBJECT\", or say \"%s/*\" for all that it finds", s, task, task)
	}
	known := l.options.Subjects[task]
	if known == nil || slices.ContainsFunc(known, func(k string) bool { return wildcard.Overlap(subject, k) }) {
		return nil
	}
	// What reports name with a port, or as a path, is often named without.
	for _, full := range []string{"/" + subject, subject + ":443"} {
		if strings.ContainsAny(subject, "./") && slices.ContainsFunc(known, func(k string) bool { return wildcard.Match(k, full) }) {
			return fmt.Errorf("the task %s finds nothing called %q. Did you mean %q?", task, subject, task+"/"+full)
		}
	}
	return fmt.Errorf("the task %s finds nothing called %q (hint: runai-prep explain %s).%s", task, subject, task, didYouMean(subject, known))
}

// reason is why somebody ignores a finding.
func reason(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("the reason is empty; say why this may be ignored, for whoever reads the report")
	}
	if len(s) > 500 {
		return errors.New("the reason is longer than 500 bytes; name the place where the rest stands")
	}
	return visible(s)
}

// ignored reads `ignore`, and `ignore_reason` where that is a list. An entry
// without a reason takes away one of a lower level.
func (l *loader) ignored(list, why *hcl.Attribute, ctx *hcl.EvalContext) []Ignored {
	said, hasReason := "", false
	if why != nil {
		if a, ok := l.attribute(why, ctx); ok {
			hasReason = true
			said = input{a, &l.faults}.text(reason)
		} else if a.name != "" {
			hasReason = true // it is there, and its fault has been reported
		}
	}
	if list == nil {
		if why != nil {
			l.errorf(why.NameRange, "Reason without ignore", "A reason is given, but nothing is ignored here. Add ignore = [\"TASK/SUBJECT\"], or remove the reason.")
		}
		return nil
	}
	a, ok := l.attribute(list, ctx)
	if !ok {
		return nil
	}
	in := input{a, &l.faults}
	var found []Ignored
	if ty := a.value.Type(); ty.IsObjectType() || ty.IsMapType() {
		if why != nil {
			l.errorf(why.NameRange, "Two ways to give a reason", "Each entry of this ignore has its reason already. Remove ignore_reason.")
		}
		found = in.reasons(l.ignorable)
	} else {
		for _, f := range in.texts(l.ignorable) {
			found = append(found, Ignored{f, said, a.why})
		}
		if !hasReason && len(found) > 0 {
			l.errorf(list.NameRange, "Ignore without reason", "Whoever reads the report has to know why this may be ignored. Add ignore_reason = \"…\", or write ignore = { %q = \"…\" }.", found[0].Finding)
		}
	}
	// What is named in full says more than a pattern.
	slices.SortStableFunc(found, func(x, y Ignored) int {
		return cmp.Compare(strings.Count(x.Finding, "*")+strings.Count(x.Finding, "?"), strings.Count(y.Finding, "*")+strings.Count(y.Finding, "?"))
	})
	return found
}

// reasons reads { "TASK/SUBJECT" = "reason", … }.
func (in input) reasons(ignorable func(string) error) []Ignored {
	places := map[string][2]hcl.Range{} // of keys and values that are written out
	if pairs, diags := hcl.ExprMap(in.expr); !diags.HasErrors() {
		for _, p := range pairs {
			if k, diags := p.Key.Value(nil); !diags.HasErrors() && k.Type() == cty.String && !k.IsNull() {
				name := k.AsString()
				if _, twice := places[name]; twice {
					in.errorf(p.Key.Range(), "Duplicate in "+in.name, "This stands here a second time. Keep one.")
				}
				places[name] = [2]hcl.Range{p.Key.Range(), p.Value.Range()}
			}
		}
	}
	rng := in.expr.Range()
	v, marks := in.value.Unmark()
	var found []Ignored
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		at, ok := places[k.AsString()]
		if !ok {
			at = [2]hcl.Range{rng, rng}
		}
		entry := Ignored{Finding: in.checked(k.AsString(), at[0], len(marks) > 0, ignorable), Why: in.why}
		if ok {
			entry.Why = place(at[0])
		}
		e, hidden, ok := in.open(e.WithMarks(marks), at[1])
		if !ok || entry.Finding == "" {
			continue
		}
		if !e.IsNull() {
			s, err := convert.Convert(e, cty.String)
			if err != nil || e.Type() != cty.String {
				in.errorf(at[1], "Invalid "+in.name, "The reason has to be a text. Write { %q = \"why this may be ignored\" }.", entry.Finding)
				continue
			}
			if entry.Reason = in.checked(s.AsString(), at[1], hidden, reason); entry.Reason == "" {
				continue
			}
		}
		found = append(found, entry)
	}
	return found
}

// mergeIgnored puts the levels together, of which the highest has the first
// word on each finding.
func mergeIgnored(levels []*level) []Ignored {
	var all []Ignored
	taken := map[string]bool{}
	for _, lv := range slices.Backward(levels) {
		for _, i := range lv.ignored {
			if !taken[i.Finding] && i.Reason != "" {
				all = append(all, i)
			}
			taken[i.Finding] = true
		}
	}
	return all
}
