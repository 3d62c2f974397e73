package main

import (
	"fmt"
	"strings"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/tasks"
)

// notes are what a reader should know of how far a result goes: a verdict on
// half the tasks, or a comparison of half the hosts, is not to be taken for one
// on all.
func (e *expedition) notes(visits []*fleet.Visit, across []report.FleetFinding) []string {
	var notes []string
	if len(e.fleet.Tasks) < len(tasks.All) {
		var names []string
		for _, t := range e.fleet.Tasks {
			names = append(names, t.Name)
		}
		notes = append(notes, "a host is called ready as far as these tasks see: "+strings.Join(names, ", "))
	}
	if e.replay != nil {
		notes = append(notes, e.replay.Notes()...)
	}
	var unseen []string
	for _, v := range visits {
		if v.Err != nil {
			unseen = append(unseen, v.Host.Name)
		}
	}
	if len(across) > 0 {
		if all := len(e.inv.Hosts); len(visits) < all {
			notes = append(notes, fmt.Sprintf("%d of the %d hosts of the inventory were compared with each other (--limit)", len(visits)-len(unseen), all))
		}
		if len(unseen) > 0 {
			notes = append(notes, "not compared with the others, for it could not be looked at: "+inventory.Compact(unseen))
		}
	}
	for _, i := range fleet.Unmatched(visits) {
		if !covers(across, i) {
			notes = append(notes, fmt.Sprintf("%s: ignore %q is about nothing that was found", i.Why, i.Finding))
		}
	}
	return notes
}

// covers reports whether i is about a finding of the fleet.
func covers(across []report.FleetFinding, i inventory.Ignored) bool {
	for _, f := range across {
		if i.Covers(f.Task, f.Subject) {
			return true
		}
	}
	return false
}
