package tasks

import "github.com/runai-prep/runai-prep/inventory"

// HostFacts are one host and what its tasks saw of it, by task. What could not
// be looked at is not in it: that host's own findings say so.
type HostFacts struct {
	Host  inventory.Host
	Facts map[string]Facts
}

// A FleetFinding is what no host shows alone: a machine-id that two of them
// have, clocks that stand apart. It has no steps.
type FleetFinding struct {
	Task string
	// Hosts are those that it is about, by name, in the order of the inventory:
	// where it is unmet or unknown, none of them is ready.
	Hosts []string
	Finding
}

// AcrossFleet compares the hosts that were looked at with each other. It is
// pure, as plans are, and takes time in proportion to the hosts.
func AcrossFleet(hosts []HostFacts) []FleetFinding {
	return append(acrossRoles(hosts), acrossKubernetes(hosts)...)
}
