package report

import (
	"io"
	"strconv"
)

// Text writes what an engineer reads of an upgrade from one profile to another:
// whose verdict changes, each finding that stands otherwise with the hosts that
// have it, and how many hosts are ready by either.
func (u Upgrade) Text(w io.Writer, from, to string, o TextOptions) error {
	p := newPage(o)
	var lost, won []string
	var breaks, mended, fleet []item
	for _, h := range u.Hosts {
		switch {
		case h.ReadyFrom && !h.ReadyTo:
			lost = append(lost, h.Name)
		case h.ReadyTo && !h.ReadyFrom:
			won = append(won, h.Name)
		}
		for _, s := range h.Breaks {
			breaks = append(breaks, itemOf(s.shown(), []string{h.Name}))
		}
		for _, s := range h.Mended {
			mended = append(mended, itemOf(s.shown(), []string{h.Name}))
		}
	}
	for _, s := range u.Fleet {
		fleet = append(fleet, itemOf(s.shown(), nil))
	}
	if len(lost)+len(won) > 0 {
		p.WriteByte('\n')
	}
	if len(lost) > 0 {
		p.hosts(span{Verdict(false) + " by " + safe(to) + ", and ready by " + safe(from), bad}, lost)
	}
	if len(won) > 0 {
		p.hosts(span{Verdict(true) + " by " + safe(to) + ", and not by " + safe(from), good}, won)
	}
	all := Result{Hosts: make([]Host, u.looked)}
	p.together(all, o, "BREAKS", "stands well by "+safe(from)+", or is not asked for there", shared(breaks))
	p.together(all, o, "MENDED", "stands better by "+safe(to)+", or is not asked for there", shared(mended))
	p.together(all, o, "FLEET", "what the hosts show together", shared(fleet))
	if len(u.Hosts) == 0 && len(u.Fleet) == 0 {
		p.WriteByte('\n')
		p.para(span{}, span{"For no host that was looked at anything changes.", plain})
	}
	p.WriteByte('\n')
	if len(u.Unlooked) > 0 {
		p.para(span{"Not to be looked at: ", bad}, span{hostList(u.Unlooked), plain})
	}
	p.para(span{}, span{"Ready by " + safe(from) + ": " + strconv.Itoa(u.ReadyFrom) + "; by " + safe(to) + ": " + strconv.Itoa(u.ReadyTo), plain})
	_, err := io.WriteString(w, p.String())
	return err
}

// shown is the finding as it stands afterwards. What would be done about it is
// the plan's to say.
func (s Shift) shown() Finding {
	if s.To == nil {
		return Finding{Task: s.From.Task, Subject: s.From.Subject, State: stateOK, Have: "not asked for any more"}
	}
	f := *s.To
	f.Steps, f.Plan, f.Back, f.After = nil, nil, nil, nil
	return f
}
