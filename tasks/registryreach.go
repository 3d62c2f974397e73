package tasks

import (
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// reached is what came of asking a registry for /v2/ from the host.
func (p *registryPlan) reached(w registryWish) Finding {
	f := Finding{Subject: w.endpoint(), Want: "it answers as a registry", Why: w.why}
	i := slices.IndexFunc(p.f.Reached, func(r remote.Reached) bool { return r.Endpoint == f.Subject })
	if i < 0 {
		f.State, f.Have = Unknown, "it was not tried"
		return f
	}
	r := p.f.Reached[i]
	f.State, f.Have, f.Hint = judgeReached(r)
	switch {
	case f.State == OK && w.insecure:
		f.Have = strings.Replace(f.Have, "reached", "reached, and not verified, as asked for,", 1)
	case r.Barrier == remote.NotTrusted:
		f.Hint = "give the authority that issued it as ca, or find out who sits in between"
	}
	return f
}
