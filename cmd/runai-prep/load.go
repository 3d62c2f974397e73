package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/inventory"
)

// load reads the inventory and prints its diagnostics; with an error among
// them, the command ends.
func (a *app) load(path string) (*inventory.Inventory, error) {
	inv, diags := inventory.Load(path, inventory.Options{
		Vars:      a.common.vars,
		VarFiles:  a.common.varFiles,
		LookupEnv: os.LookupEnv,
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
	for _, p := range a.common.limit {
		if p != "@failed" && p != "!@failed" {
			patterns = append(patterns, p)
			continue
		}
		names, err := a.failedLast(inv.Path)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if p[0] == '!' {
				n = "!" + n
			}
			patterns = append(patterns, n)
		}
	}
	return inventory.Select(inv.Hosts, patterns)
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
	if len(names) == 0 {
		return nil, fmt.Errorf("--limit @failed: the last %s left every host settled", last.Command)
	}
	return names, nil
}

// completeLimit completes host, group and role names from the inventory that
// is already on the command line.
func (a *app) completeLimit(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	inv, diags := inventory.Load(args[0], inventory.Options{Vars: a.common.vars, VarFiles: a.common.varFiles, LookupEnv: os.LookupEnv})
	if diags.HasErrors() {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range inv.Hosts {
		names = append(append(names, h.Name, h.Role), h.Groups...)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
