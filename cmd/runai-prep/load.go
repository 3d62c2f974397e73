package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/tasks"
)

// load reads the inventory and prints its diagnostics; with an error among
// them, the command ends.
func (a *app) load(path string) (*inventory.Inventory, error) {
	if _, err := fleet.ReadPlan(path); err == nil {
		return nil, fmt.Errorf("%s is a saved plan, not an inventory: runai-prep apply %s carries it out", path, path)
	}
	inv, diags := inventory.Load(path, inventory.Options{
		Vars:      a.common.vars,
		VarFiles:  a.common.varFiles,
		LookupEnv: os.LookupEnv,

		Requirements: a.common.requirements,
		Subjects:     tasks.Subjects(),
	})
	if err := a.diagnose(inv, diags); err != nil {
		return nil, err
	}
	return inv, nil
}

// diagnose prints diagnostics to stderr.
func (a *app) diagnose(inv *inventory.Inventory, diags hcl.Diagnostics) error {
	if len(diags) == 0 {
		return nil
	}
	var files map[string]*hcl.File
	if inv != nil {
		files = inv.Files
	}
	if err := inventory.WriteDiagnostics(a.stderr, files, diags, uint(a.width(a.stderr)), a.colour(a.stderr)); err != nil {
		return err
	}
	if diags.HasErrors() {
		return exitCode(1)
	}
	return nil
}

// hosts are those of the inventory that --limit leaves.
func (a *app) hosts(inv *inventory.Inventory) ([]inventory.Host, error) {
	var patterns []string
	failed, notFailed := false, false
	for _, p := range a.common.limit {
		switch p {
		case "@failed":
			failed = true
		case "!@failed":
			notFailed = true
		default:
			patterns = append(patterns, p)
		}
	}
	if !failed && !notFailed {
		return inventory.Select(inv.Hosts, patterns)
	}
	names, err := a.failedLast(inv.Path)
	if err != nil {
		return nil, err
	}
	// By exact name: a host may be called as its role is, and one that has left
	// the inventory is no fault.
	hosts := slices.DeleteFunc(slices.Clone(inv.Hosts), func(h inventory.Host) bool {
		return slices.Contains(names, h.Name) != failed
	})
	if len(hosts) == 0 {
		return nil, errors.New("--limit @failed: the last run leaves no host to choose")
	}
	return inventory.Select(hosts, patterns)
}

// failedLast names the hosts that the last run did not leave settled.
func (a *app) failedLast(path string) ([]string, error) {
	state, err := fleet.OpenState(a.common.state)
	if err != nil {
		return nil, err
	}
	last, err := state.Last(path, fleet.Any)
	if err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("--limit @failed: no apply or check of this inventory is remembered")
	}
	var names []string
	for _, h := range last.Hosts {
		if h.Status != "settled" {
			names = append(names, h.Name)
		}
	}
	return names, nil
}

// completeLimit completes host, group and role names from the inventory that
// is already on the command line. It runs no programs: a key press is no order
// to fetch passwords. What the inventory lacks then is no fault here.
func (a *app) completeLimit(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	inv, _ := inventory.Load(args[0], inventory.Options{Vars: a.common.vars, VarFiles: a.common.varFiles, LookupEnv: os.LookupEnv, NoCommands: true})
	var names []string
	for _, h := range inv.Hosts {
		names = append(append(names, h.Name, h.Role), h.Groups...)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
	return names, cobra.ShellCompDirectiveNoFileComp
}
