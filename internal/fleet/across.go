package fleet

import (
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/tasks"
)

// Across is what the hosts show together, as a result shows it: those alone
// that were looked at.
func Across(visits []*Visit) []report.FleetFinding {
	var seen []tasks.HostFacts
	byName := make(map[string]*Visit, len(visits))
	for _, v := range visits {
		byName[v.Host.Name] = v
		if v.Err != nil || v.Looks == nil {
			continue
		}
		h := tasks.HostFacts{Host: v.Host, Facts: make(map[string]tasks.Facts, len(v.Looks))}
		for _, l := range v.Looks {
			if l.Err == nil {
				h.Facts[l.Task] = l.Facts
			}
		}
		seen = append(seen, h)
	}
	var found []report.FleetFinding
	for _, g := range tasks.AcrossFleet(seen) {
		f := report.FleetFinding{Hosts: append([]string{}, g.Hosts...), Finding: report.From(g.Task, g.Finding)}
		f.Steps, f.Plan = []string{}, nil
		about := g.Hosts
		if len(about) == 0 { // what no host has is everybody's to ignore
			for _, h := range seen {
				about = append(about, h.Host.Name)
			}
		}
		var reasons []string
		strict := false
		for _, name := range about {
			v := byName[name]
			if v == nil {
				continue
			}
			strict = strict || v.strict
			if by, ok := v.Host.Ignores(g.Task, g.Subject); ok {
				f.IgnoredBy = append(f.IgnoredBy, name)
				if why := because(by); !slices.Contains(reasons, why) {
					reasons = append(reasons, why)
				}
			}
		}
		switch {
		case f.State == string(tasks.OK) && f.Warning == "":
			f.IgnoredBy = nil
		case len(f.IgnoredBy) == len(about) && len(about) > 0:
			f.IgnoredBy = nil
			f.Ignored = strings.Join(reasons, "; ")
		case strict:
			f.Strict()
		}
		found = append(found, f)
	}
	return found
}
