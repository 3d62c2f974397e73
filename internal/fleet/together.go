package fleet

import (
	"slices"

	"github.com/aymanbagabas/go-udiff"

	"github.com/runai-prep/runai-prep/remote"
)

// together makes one plan of several tasks' plans. Each was made from the same
// look, so two that change one file, as fstab for a mount and for swap, would
// each find it changed by the other: what the later one changes is changed in
// what the earlier one leaves. Where both change the same lines the later one
// stays as it is, and is refused when its turn comes.
func together(plan []planned) []planned {
	type state struct{ task, believed, real string }
	files := map[string]state{}
	for i, p := range plan {
		copied := false
		for j, s := range p.Steps {
			if s.Write == nil || s.Write.Old == nil || !s.Write.Secret.IsZero() {
				continue
			}
			w := *s.Write
			now, known := files[w.Path]
			if !known || now.task != p.task {
				now = state{p.task, *w.Old, *w.Old}
				if before, ok := files[w.Path]; ok {
					now.real = before.real
				}
			}
			if known && now.believed == *w.Old && now.real != *w.Old {
				if merged, ok := onto(now.real, *w.Old, w.Data); ok {
					if !copied {
						plan[i].Steps, copied = slices.Clone(p.Steps), true
					}
					real := now.real
					now = state{p.task, w.Data, merged}
					w.Old, w.Data = &real, merged
					plan[i].Steps[j] = remote.Step{Title: s.Title, Disrupts: s.Disrupts, Write: &w}
					files[w.Path] = now
					continue
				}
			}
			files[w.Path] = state{p.task, w.Data, w.Data}
		}
	}
	return plan
}

// onto makes the change from before to after in another content that came from
// before.
func onto(other, before, after string) (string, bool) {
	edits, ok := udiff.Merge(udiff.Lines(before, other), udiff.Lines(before, after))
	if !ok {
		return "", false
	}
	merged, err := udiff.Apply(before, edits)
	return merged, err == nil
}
