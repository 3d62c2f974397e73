package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
)

// passGate looks whether one host may join. The others are looked at for what
// must not be the same on two; nothing is remembered of it, for a gate is no
// check, and must not take the news from the next one.
func (a *app) passGate(ctx context.Context, e *expedition) error {
	visits := a.look(ctx, e, false)
	if err := a.keepEvidence(ctx, e, visits); err != nil {
		return err
	}
	r := e.conclude(ctx, visits).Only(a.common.gate)
	if ctx.Err() != nil {
		r.ExitCode = int(interrupted)
	}
	return a.deliver(r)
}

// gated adds the host of --gate to those that --limit chose.
func (a *app) gated(inv *inventory.Inventory, hosts []inventory.Host) ([]inventory.Host, error) {
	gate := a.common.gate
	if gate == "" {
		return hosts, nil
	}
	if len(a.common.only)+len(a.common.skip) > 0 {
		return nil, errors.New("--gate: a verdict is one on all tasks; leave out --task and --skip-task, and ignore in the inventory what does not count")
	}
	isGate := func(h inventory.Host) bool { return h.Name == gate }
	if slices.ContainsFunc(hosts, isGate) {
		return hosts, nil
	}
	i := slices.IndexFunc(inv.Hosts, isGate)
	if i < 0 {
		if _, err := inventory.Select(inv.Hosts, []string{gate}); err != nil {
			return nil, fmt.Errorf("--gate: %w", err)
		}
		return nil, fmt.Errorf("--gate %s: it asks about one host, by its name", gate)
	}
	return append([]inventory.Host{inv.Hosts[i]}, hosts...), nil
}

// gateText is the verdict alone, and what is to be known with it.
func gateText(r report.Result) string {
	var b strings.Builder
	b.WriteString(r.GateLine() + "\n")
	for _, n := range r.Notes {
		b.WriteString("Note: " + n + "\n")
	}
	return b.String()
}
