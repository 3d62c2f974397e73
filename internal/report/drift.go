package report

// A Mended is something that was wrong at the last check and is as wanted now.
type Mended struct {
	Host    string `json:"host"`
	Task    string `json:"task"`    // empty: the host as a whole
	Subject string `json:"subject"` // likewise
	Was     string `json:"was"`     // the state, or the host's status
}

// key is what makes a finding the same in two results. Several findings of a
// host may share one: a mount now and at boot.
type key struct{ host, task, subject string }

// Compare compares this check with the last, which is what Remember kept. It
// marks as New the findings that are wrong and were not, and the hosts that
// could not be looked at and could, and lists in now.Mended what was wrong and
// is as wanted now. Without a last check (nil) all that is wrong is new, or a
// check that notifies of what is new would never tell what it began with.
func Compare(last, now *Result) {
	now.Mended = nil
	wasWrong := map[key]string{} // the worst state
	if last != nil {
		for _, h := range last.Hosts {
			for k, state := range h.wrong() {
				wasWrong[k] = state
			}
		}
	}
	for i := range now.Hosts {
		h := &now.Hosts[i]
		h.New = false
		wrong := h.wrong()
		for j := range h.Findings {
			f := &h.Findings[j]
			k := key{h.Name, f.Task, f.Subject}
			was, known := wasWrong[k]
			f.New = f.wrong() && !known
			if f.Ignored != "" {
				continue // it is as it was, and nobody wants to be told
			}
			if _, still := wrong[k]; known && !still {
				now.Mended = append(now.Mended, Mended{h.Name, f.Task, f.Subject, was})
				delete(wasWrong, k) // said once, whatever shares the key
			}
		}
		whole := key{host: h.Name}
		was, known := wasWrong[whole]
		_, still := wrong[whole]
		h.New = still && !known
		if known && !still {
			now.Mended = append(now.Mended, Mended{Host: h.Name, Was: was})
		}
	}
}

// HasNew reports whether Compare found anything newly wrong.
func (r Result) HasNew() bool { return r.fresh() > 0 }

// fresh counts what is newly wrong.
func (r Result) fresh() int {
	n := 0
	for _, h := range r.Hosts {
		n += h.fresh()
	}
	return n
}

func (h Host) fresh() int {
	n := btoi(h.New)
	for _, f := range h.Findings {
		n += btoi(f.New)
	}
	return n
}

// wrong is what is wrong on a host: for each key the worst state, and under
// the key without a task the status of a host that is in trouble as a whole.
func (h Host) wrong() map[key]string {
	wrong := map[key]string{}
	for _, f := range h.Findings {
		k := key{h.Name, f.Task, f.Subject}
		if was, ok := wrong[k]; f.wrong() && (!ok || stateRank(f.State) < stateRank(was)) {
			wrong[k] = f.State
		}
	}
	if h.Error != "" || h.Status == Unreachable {
		wrong[key{host: h.Name}] = h.Status
	}
	return wrong
}

// Remember returns what to keep for the next check: this result, completed by
// what the last one knew of hosts and tasks that this one did not see, because
// they were unreachable or left out (--limit, --task). Without that a host's
// old trouble would be new again each time the host comes back. Of hosts that
// left the inventory, which inInventory tells, nothing is kept.
func Remember(last, now *Result, inInventory func(host string) bool) *Result {
	kept := *now
	kept.Hosts = nil
	seen := map[string]bool{}
	before := map[string]Host{}
	if last != nil {
		for _, h := range last.Hosts {
			before[h.Name] = h
		}
	}
	for _, h := range now.Hosts {
		seen[h.Name] = true
		looked := map[string]bool{} // tasks of which anything at all was seen
		for _, f := range h.Findings {
			if stateRank(f.State) != stateRank(stateUnknown) {
				looked[f.Task] = true
			}
		}
		// Clipped, because now's own array must not be written to.
		h.Findings = h.Findings[:len(h.Findings):len(h.Findings)]
		for _, f := range before[h.Name].Findings {
			if !looked[f.Task] {
				h.Findings = append(h.Findings, f)
			}
		}
		kept.Hosts = append(kept.Hosts, h)
	}
	if last != nil {
		for _, h := range last.Hosts {
			if !seen[h.Name] && inInventory(h.Name) {
				kept.Hosts = append(kept.Hosts, h)
			}
		}
	}
	return &kept
}
