package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// A Row is one requirement of a profile: what a table of them shows, and what
// two profiles are compared by.
type Row struct {
	Key    string `json:"key"` // "kubernetes", "role system: cpus", "endpoint quay.io:443"
	Title  string `json:"title,omitempty"`
	Value  string `json:"value"` // ">= 1.15", "4", "install, from every host"; of advice its text
	Text   string `json:"text,omitempty"`
	Source string `json:"source,omitempty"`

	number int64 // of minima, for comparison
}

// Rows are all that a profile asks for, in the order of its language.
func (p *Profile) Rows() []Row {
	var rows []Row
	add := func(r Row) {
		if r.Value != "" {
			rows = append(rows, r)
		}
	}
	for _, of := range []struct {
		key string
		Requirement
	}{
		{"kubernetes", p.Kubernetes}, {"openshift", p.OpenShift}, {"gpu_operator", p.GPUOperator}, {"nvidia_driver", p.Driver},
	} {
		r := of.Requirement
		row := Row{Key: of.key, Title: r.Title, Value: r.Constraint, Text: r.Text, Source: r.Source}
		if row.Value == "" && r.Why != "" {
			row.Value = "any version"
		}
		add(row)
		row.Key, row.Value = of.key+" recommended", r.Recommended
		add(row)
		row.Key, row.Value = of.key+" excluded", strings.Join(r.Excluded, ", ")
		add(row)
	}
	f := p.Fractional
	for _, of := range [][2]string{{"driver", f.Driver}, {"cuda", f.CUDA}, {"frameworks", strings.Join(f.Frameworks, ", ")}} {
		add(Row{Key: "fractional_gpu " + of[0], Title: f.Title, Value: of[1], Text: f.Text, Source: f.Source})
	}
	add(Row{Key: "runtimes", Title: p.Runtimes.Title, Value: strings.Join(p.Runtimes.Supported, ", "), Text: p.Runtimes.Text, Source: p.Runtimes.Source})
	if s := p.Storage; s.Why != "" {
		add(Row{Key: "shared_storage", Title: s.Title, Value: "present", Text: s.Text, Source: s.Source})
	}
	for _, r := range p.Roles {
		suffix := ""
		if r.Recommended {
			suffix = " (recommended)"
		}
		row := Row{Title: r.Title + suffix, Text: r.Text, Source: r.Source}
		for _, of := range []struct {
			what, value string
			number      int64
		}{
			{"cpus", strconv.Itoa(r.MinCPUs.Value), int64(r.MinCPUs.Value)},
			{"memory", r.MinMemory.Value.String(), int64(r.MinMemory.Value)},
			{"disk", r.MinDisk.Value.String(), int64(r.MinDisk.Value)},
		} {
			if of.number > 0 {
				row.Key, row.Value, row.number = "role "+r.Role+": "+of.what, of.value, of.number
				add(row)
			}
		}
		row.Key, row.Value, row.number = "role "+r.Role+": stand-in", r.StandIn, 0
		add(row)
	}
	for _, e := range p.Endpoints {
		value := cmp.Or(e.Phase, "install and run")
		if len(e.Roles) > 0 {
			value += ", from " + strings.Join(e.Roles, ", ")
		} else {
			value += ", from every host"
		}
		add(Row{Key: fmt.Sprintf("endpoint %s:%d", e.Host, e.Port), Title: e.Title, Value: value, Text: e.Text, Source: e.Source})
	}
	for _, a := range p.Advice {
		add(Row{Key: "advice " + a.Name, Title: a.Title, Value: a.Text, Source: a.Source})
	}
	return rows
}

// A RowChange is a requirement that two profiles do not have alike.
type RowChange struct {
	Key string `json:"key"`
	// Change is "raised", "lowered", "changed", "added" or "removed".
	Change string `json:"change"`
	From   *Row   `json:"from,omitempty"`
	To     *Row   `json:"to,omitempty"`
}

// CompareProfiles says what changes from one profile to another, in the order
// of their language. Other words for the same requirement are no change.
func CompareProfiles(from, to *Profile) []RowChange {
	before, after := from.Rows(), to.Rows()
	var changes []RowChange
	for _, a := range before {
		i := slices.IndexFunc(after, func(b Row) bool { return b.Key == a.Key })
		switch {
		case i < 0:
			changes = append(changes, RowChange{Key: a.Key, Change: "removed", From: &a})
		case a.Value != after[i].Value:
			changes = append(changes, RowChange{Key: a.Key, Change: direction(a, after[i]), From: &a, To: &after[i]})
		}
	}
	for _, b := range after {
		if !slices.ContainsFunc(before, func(a Row) bool { return a.Key == b.Key }) {
			changes = append(changes, RowChange{Key: b.Key, Change: "added", To: &b})
		}
	}
	slices.SortStableFunc(changes, func(a, b RowChange) int { return cmp.Compare(rankOf(a.Key), rankOf(b.Key)) })
	return changes
}

// rankOf puts the rows of one kind beside each other, in the language's order.
func rankOf(key string) int {
	name, _, _ := strings.Cut(key, " ")
	return slices.IndexFunc(profileKinds, func(k kind) bool { return k.name == name })
}

// direction is where a requirement went: both ends of a range may have moved.
func direction(a, b Row) string {
	if a.number > 0 || b.number > 0 {
		return moved(cmp.Compare(b.number, a.number))
	}
	lowA, highA := bounds(a.Value)
	lowB, highB := bounds(b.Value)
	low, high := compareBounds(lowA, lowB), compareBounds(highA, highB)
	switch {
	case low == 0:
		return moved(high)
	case high == 0 || low == high:
		return moved(low)
	}
	return "changed"
}

// bounds are the ends of a constraint such as ">= 1.23, < 1.29"; nil: open.
// What is no such constraint has neither.
func bounds(constraint string) (low, high *version.Version) {
	for part := range strings.SplitSeq(constraint, ",") {
		part = strings.TrimSpace(part)
		at := strings.IndexAny(part, "0123456789")
		if at <= 0 {
			continue
		}
		v, err := version.NewVersion(part[at:])
		if err != nil {
			continue
		}
		switch strings.TrimSpace(part[:at]) {
		case ">=", ">":
			low = v
		case "<=", "<":
			high = v
		}
	}
	return low, high
}

// compareBounds is 1 where b is above a. An end that was open or is now is
// not compared.
func compareBounds(a, b *version.Version) int {
	if a == nil || b == nil {
		return 0
	}
	return b.Compare(a)
}

func moved(direction int) string {
	switch {
	case direction > 0:
		return "raised"
	case direction < 0:
		return "lowered"
	}
	return "changed"
}
