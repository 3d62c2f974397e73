package tasks

import (
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// noProxy shows what goes past the proxy, and where each entry comes from: most
// of them nobody wrote down. It is set together with the proxy itself, by the
// findings of those that read it; apt and dnf do not.
func (p *proxyPlan) noProxy(wish *inventory.Proxy, others []change) []change {
	c := change{Finding: Finding{Subject: "no_proxy", State: OK, Have: "set wherever the proxy is", Want: directList(wish.Direct), Why: p.why}}
	var with []string
	carried := false
	for _, o := range others {
		if o.Subject != "environment" && o.Subject != "zypper" && !slices.Contains(runtimes, o.Subject) {
			continue
		}
		carried = true
		switch o.State {
		case Pending:
			with = append(with, o.Subject)
		case Unmet, Unknown:
			if c.State == OK {
				c.State, c.Have, c.Hint = o.State, "it is set as the proxy is, and that is not seen to be so of "+o.Subject, "see "+o.Subject
			}
		}
	}
	if with != nil {
		c.State, c.Have, c.Hint = Pending, "not everywhere as wished", "comes with "+strings.Join(with, ", ")
	}
	if !carried || len(wish.Direct) == 0 {
		return nil
	}
	return []change{c}
}

// directList are entries by where they come from: "10.0.0.0/8 (inventory.hcl:3)".
func directList(entries []inventory.Wish[string]) string {
	var sources []string
	by := map[string][]string{}
	for _, e := range entries {
		if by[e.Why] == nil {
			sources = append(sources, e.Why)
		}
		by[e.Why] = append(by[e.Why], e.Value)
	}
	for i, s := range sources {
		sources[i] = strings.Join(by[s], ", ") + " (" + s + ")"
	}
	return strings.Join(sources, "; ")
}
