package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) validate() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate INVENTORY",
		Short: "Read the inventory and report every fault in it; no host is contacted",
		Args:  oneInventory,
		RunE: func(_ *cobra.Command, args []string) error {
			inv, err := a.load(args[0])
			if err != nil {
				return err
			}
			hosts, err := a.hosts(inv)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s is valid: %s, requirements %q.\n", inv.Path, count(len(hosts), "host"), inv.Requirements.Name)
			return err
		},
	}
	a.inventoryFlags(c)
	return c
}

// count is a number with its noun: "1 host", "3 hosts".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
