package inventory

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// This file is about the roles of a profile, and which hosts of an inventory
// have them. A profile may ask of a role that a site does not have: Run:ai's
// system services run on nodes of their own, or else on the others.

// Excluded reports whether a version belongs to one of the releases: 1.22.3
// and v1.22.3+k3s1 belong to 1.22, and 1.2 does not belong to 1.22.
func Excluded(releases []string, version string) bool {
	version = strings.TrimPrefix(version, "v")
	return slices.ContainsFunc(releases, func(r string) bool {
		rest, ok := strings.CutPrefix(version, strings.TrimPrefix(r, "v"))
		return ok && (rest == "" || !('0' <= rest[0] && rest[0] <= '9'))
	})
}

// asksOf is what the profile asks of hosts of a role in this inventory: that of
// the role that they stand in for, where no host has that one.
func (l *loader) asksOf(p *Profile, role string) (RoleRequirement, bool) {
	for _, r := range p.Roles {
		if r.StandIn == role && role != "" && !l.taken[r.Role] {
			note := " (no host has the role " + r.Role + ")"
			r.MinCPUs.Why, r.MinMemory.Why, r.MinDisk.Why = noted(r.MinCPUs.Why, note), noted(r.MinMemory.Why, note), noted(r.MinDisk.Why, note)
			return r, true
		}
	}
	return p.Role(role)
}

func noted(why, note string) string {
	if why == "" {
		return "" // nobody wished
	}
	return why + note
}

// needs reports whether hosts of a role need an endpoint. Where no host has a
// role that it is for, those that stand in for it do; where there are none
// either, every host may come to run what needs it. The proxy asks for all.
func (l *loader) needs(p *Profile, role string, e Endpoint) bool {
	if len(e.Roles) == 0 || role == "proxy" || slices.Contains(e.Roles, role) {
		return true
	}
	for _, want := range e.Roles {
		r, _ := p.Role(want)
		switch {
		case l.taken[want]:
			return false
		case r.StandIn != "" && r.StandIn == role:
			return true
		case r.StandIn != "" && l.taken[r.StandIn]:
			return false
		}
	}
	return true
}

// unfilled are the roles that the profile would have a host for, and that
// neither a host nor one that stands in for it has. Not every role is one: a
// site without CPU workers lacks nothing.
func (l *loader) unfilled(p *Profile) []RoleRequirement {
	var roles []RoleRequirement
	for _, r := range p.Roles {
		if (r.Recommended || r.StandIn != "") && !l.taken[r.Role] && !l.taken[r.StandIn] {
			roles = append(roles, r)
		}
	}
	return roles
}

// takeRoles learns which roles the hosts have, before any is merged. What does
// not evaluate is reported when the host is.
func (l *loader) takeRoles(blocks []*hostBlock) {
	take := func(h *hostBlock, ctx *hcl.EvalContext) {
		v, diags := h.attrs["role"].Expr.Value(ctx)
		if v, _ = v.UnmarkDeep(); !diags.HasErrors() && !v.IsNull() && v.IsWhollyKnown() && v.Type() == cty.String {
			l.taken[v.AsString()] = true
		}
	}
	for _, h := range blocks {
		switch {
		case h.attrs["role"] == nil:
		case !h.perHost["role"]:
			take(h, l.root)
		default:
			position := 0
			for n := range h.pattern.names() {
				position++
				take(h, hostContext(l.root, n, position, h.uses))
			}
		}
	}
}
