package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
)

func (a *app) plan() *cobra.Command {
	var savePlan string
	c := &cobra.Command{
		Use:   "plan INVENTORY",
		Short: "Look at the hosts and say what apply would do, and why; nothing is changed, anywhere",
		Args:  oneInventory,
		RunE: func(c *cobra.Command, args []string) error {
			e, err := a.prepare("plan", args[0])
			if err != nil {
				return err
			}
			visits := a.look(c.Context(), e, false)
			if err := a.keepEvidence(c.Context(), e, visits); err != nil {
				return err
			}
			return a.deliver(e.conclude(c.Context(), visits), func() error {
				if savePlan == "" || c.Context().Err() != nil {
					return nil
				}
				return a.savePlan(savePlan, e, visits)
			})
		},
	}
	a.fleetFlags(c)
	a.outputFlags(c)
	a.strictFlag(c)
	a.recordFlags(c)
	c.Flags().StringVar(&savePlan, "save-plan", "", "save the plan to `FILE`, for apply FILE")
	return c
}

func (a *app) savePlan(path string, e *expedition, visits []*fleet.Visit) error {
	inv, err := filepath.Abs(e.inv.Path)
	if err != nil {
		return err
	}
	isSensitive := func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(e.inv.Sensitive, name)
	}
	p := fleet.SavedPlan{
		Created:   time.Now().UTC(),
		Version:   buildVersion(),
		Inventory: inv,
		Limit:     a.common.limit,
		Vars:      slices.DeleteFunc(slices.Clone(a.common.vars), isSensitive),
		Hosts:     fleet.Fingerprints(visits),
	}
	for _, t := range e.fleet.Tasks {
		p.Tasks = append(p.Tasks, t.Name)
	}
	for _, f := range a.common.varFiles {
		abs, err := filepath.Abs(f)
		if err != nil {
			return err
		}
		p.VarFiles = append(p.VarFiles, abs)
	}
	if err := p.Write(path); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	fmt.Fprintf(a.stderr, "The plan is saved; to do exactly this: runai-prep apply %s\n", path)
	return nil
}
