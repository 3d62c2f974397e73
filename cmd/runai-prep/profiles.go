package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/inventory"
)

func (a *app) profiles() *cobra.Command {
	c := &cobra.Command{
		Use:   "profiles",
		Short: "List the built-in requirement profiles",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, p := range inventory.Profiles() {
				fmt.Fprintf(w, "%s\t%s\n", p.Name, p.Title)
			}
			return w.Flush()
		},
	}
	c.AddCommand(&cobra.Command{
		Use:   "show NAME",
		Short: "Print a built-in profile, as HCL",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			source, err := inventory.ProfileSource(args[0])
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(source)
			return err
		},
	})
	return c
}
