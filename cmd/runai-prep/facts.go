package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/report"
)

func (a *app) facts() *cobra.Command {
	c := &cobra.Command{
		Use:   "facts INVENTORY",
		Short: "Show what was seen on each host",
		Args:  oneInventory,
		RunE: func(c *cobra.Command, args []string) error {
			if a.common.output != "text" && a.common.output != "json" {
				return fmt.Errorf("-o %s: facts are shown as text or json", a.common.output)
			}
			e, err := a.prepare("facts", args[0])
			if err != nil {
				return err
			}
			visits := a.look(c.Context(), e, false)
			if err := a.keepEvidence(c.Context(), e, visits); err != nil {
				return err
			}
			doc := report.Facts{
				Schema: report.FactsSchema, Version: buildVersion(),
				RunID: e.result.RunID, Started: e.result.Started, Inventory: e.result.Inventory,
			}
			for _, v := range visits {
				h := report.HostFacts{Name: v.Host.Name, Address: v.Report().Address, Role: v.Host.Role, Facts: map[string]any{}, Errors: map[string]string{}}
				if v.Err != nil {
					h.Error = v.Err.Error()
				}
				for _, l := range v.Looks {
					if l.Err != nil {
						h.Errors[l.Task] = l.Err.Error()
					} else {
						h.Facts[l.Task] = l.Facts
					}
				}
				doc.Hosts = append(doc.Hosts, h)
			}
			if a.common.output == "json" {
				err = report.FactsJSON(a.stdout, doc)
			} else {
				err = report.FactsText(a.stdout, doc)
			}
			if err != nil {
				return err
			}
			return factsExit(c, doc)
		},
	}
	a.fleetFlags(c)
	a.recordFlags(c)
	c.Flags().StringVarP(&a.common.output, "output", "o", "text", "text or json")
	return c
}

// factsExit is 4 when a host or a part of one could not be looked at.
func factsExit(c *cobra.Command, doc report.Facts) error {
	if c.Context().Err() != nil {
		return interrupted
	}
	for _, h := range doc.Hosts {
		if h.Error != "" || len(h.Errors) > 0 {
			return exitCode(4)
		}
	}
	return nil
}
