package report

import "cmp"

// An Upgrade is what another profile would change for a fleet: two plans of the
// same inventory, held against each other.
type Upgrade struct {
	Hosts []HostUpgrade `json:"hosts"` // those for which something changes
	Fleet []Shift       `json:"fleet"` // findings of the hosts together
	// ReadyFrom and ReadyTo are the hosts that are ready by either.
	ReadyFrom int `json:"ready_from"`
	ReadyTo   int `json:"ready_to"`
	// Unlooked are hosts that one of the two could not look at.
	Unlooked []string `json:"unlooked"`

	looked int // hosts
}

// A HostUpgrade is what changes for one host.
type HostUpgrade struct {
	Name      string  `json:"name"`
	ReadyFrom bool    `json:"ready_from"`
	ReadyTo   bool    `json:"ready_to"`
	Breaks    []Shift `json:"breaks"` // stands well by the first profile alone, or is asked for by the second alone
	Mended    []Shift `json:"mended"` // stands well by the second profile alone, or is not asked for any more
}

// A Shift is one finding by both profiles; nil: not asked for.
type Shift struct {
	From *Finding `json:"from,omitempty"`
	To   *Finding `json:"to,omitempty"`
}

// CompareProfiles holds two results of one inventory against each other.
func CompareProfiles(from, to Result) Upgrade {
	u := Upgrade{Hosts: []HostUpgrade{}, Fleet: []Shift{}, Unlooked: []string{}}
	after := map[string]*Host{}
	for i := range to.Hosts {
		after[to.Hosts[i].Name] = &to.Hosts[i]
	}
	for _, a := range from.Hosts {
		b := after[a.Name]
		if b == nil || a.Error != "" || b.Error != "" {
			u.Unlooked = append(u.Unlooked, a.Name)
			continue
		}
		u.looked++
		h := HostUpgrade{Name: a.Name, ReadyFrom: a.Ready, ReadyTo: b.Ready}
		h.Breaks, h.Mended = shifts(a.Findings, b.Findings)
		if a.Ready {
			u.ReadyFrom++
		}
		if b.Ready {
			u.ReadyTo++
		}
		if len(h.Breaks)+len(h.Mended) > 0 || a.Ready != b.Ready {
			u.Hosts = append(u.Hosts, h)
		}
	}
	breaks, mended := shifts(findingsOf(from.Fleet), findingsOf(to.Fleet))
	u.Fleet = append(append(u.Fleet, breaks...), mended...)
	return u
}

func findingsOf(fleet []FleetFinding) []Finding {
	var found []Finding
	for _, f := range fleet {
		found = append(found, f.Finding)
	}
	return found
}

// shifts are the findings that stand otherwise.
func shifts(from, to []Finding) (breaks, mended []Shift) {
	breaks, mended = []Shift{}, []Shift{}
	type key struct{ task, subject string }
	after := map[key]*Finding{}
	for i := range to {
		after[key{to[i].Task, to[i].Subject}] = &to[i]
	}
	for i := range from {
		a := &from[i]
		k := key{a.Task, a.Subject}
		b := after[k]
		delete(after, k)
		switch was, is := grade(a), grade(b); {
		case is > was:
			breaks = append(breaks, Shift{a, b})
		case is < was:
			mended = append(mended, Shift{a, b})
		}
	}
	for i := range to { // in their order
		b := &to[i]
		if k := (key{b.Task, b.Subject}); after[k] == b && grade(b) > 0 {
			breaks = append(breaks, Shift{nil, b})
		}
	}
	return breaks, mended
}

// grade is how badly a finding stands: not at all, with a warning, pending,
// not to be seen, or unmet.
func grade(f *Finding) int {
	switch {
	case f == nil || f.Ignored != "":
		return 0
	case f.State == "pending":
		return 2
	case f.State == "unknown":
		return 3
	case f.State == "unmet" || f.State == "failed":
		return 4
	}
	return cmp.Compare(len(f.Warning), 0)
}

// ExitCode is what the second profile alone asks for: 3 what no task can fix,
// 4 what could not be looked at, 2 changes, else 0. A warning breaks nothing.
func (u Upgrade) ExitCode() int {
	worst := 0
	count := func(s Shift) {
		if s.To == nil || grade(s.To) <= grade(s.From) {
			return
		}
		switch grade(s.To) {
		case 2:
			worst = max(worst, ExitPending)
		case 3:
			worst = max(worst, ExitUnknown)
		case 4:
			worst = max(worst, ExitUnmet)
		}
	}
	for _, h := range u.Hosts {
		for _, s := range h.Breaks {
			count(s)
		}
	}
	for _, s := range u.Fleet {
		count(s)
	}
	if len(u.Unlooked) > 0 {
		worst = max(worst, ExitUnknown)
	}
	return worst
}
