package tasks

import (
	"fmt"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// acrossRoles says once for the fleet which host a profile would have beside
// those that there are: a node of its own for Run:ai's services. What runs
// there runs on the others then, so it is a warning.
func acrossRoles(hosts []HostFacts) []FleetFinding {
	var found []FleetFinding
	told := map[string]bool{}
	seen := map[*inventory.Settings]bool{}
	for _, h := range hosts {
		if h.Host.Settings == nil || seen[h.Host.Settings] {
			continue
		}
		seen[h.Host.Settings] = true
		for _, r := range h.Host.Unfilled {
			if told[r.Why] {
				continue
			}
			told[r.Why] = true
			words := "recommended"
			if !r.Recommended {
				words = "asked for"
			}
			found = append(found, FleetFinding{Task: "resources", Finding: Finding{
				Subject: "role " + r.Role,
				State:   OK,
				Have:    "no host of the inventory has this role",
				Want:    wantRole(r),
				Why:     r.Why,
				Warning: "a " + r.Title + " is " + words + ": without one its services run on the other hosts",
				Hint:    fmt.Sprintf("give a host role = %q", r.Role),
			}})
		}
	}
	return found
}

func wantRole(r inventory.RoleRequirement) string {
	var parts []string
	if r.MinCPUs.IsSet() {
		parts = append(parts, fmt.Sprintf("%d CPUs", r.MinCPUs.Value))
	}
	if r.MinMemory.IsSet() {
		parts = append(parts, fmt.Sprintf("%v of memory", r.MinMemory.Value))
	}
	if r.MinDisk.IsSet() {
		parts = append(parts, fmt.Sprintf("%v of disk", r.MinDisk.Value))
	}
	if parts == nil {
		return "a host with it"
	}
	return "a host with " + strings.Join(parts, ", ")
}
