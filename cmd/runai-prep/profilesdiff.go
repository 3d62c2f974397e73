package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
)

// A profilesDiff is what changes from one profile to another, as JSON has it.
type profilesDiff struct {
	From    string                `json:"from"`
	To      string                `json:"to"`
	Changes []inventory.RowChange `json:"changes"`
	// Upgrade is what they mean for an inventory's hosts; absent without one.
	Upgrade *report.Upgrade `json:"upgrade,omitempty"`
}

func (a *app) profilesDiff() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "diff FROM TO [INVENTORY]",
		Short: "Say what changes from one profile to another and, with an inventory, what that would break there",
		Long: `Say what changes from one profile to another.

With an inventory its hosts are looked at and planned for by both profiles;
nothing is changed. The exit code is 0 when nothing would break, 2 when apply
would mend it all, 3 when a person has to, 4 when a host could not be looked at.`,
		Args: arguments(2, 3, "the names of two profiles, and an inventory where its hosts are to be held against them"),
		RunE: func(c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o %s: differences are shown as text or json", output)
			}
			all, err := a.knownProfiles(args[2:])
			if err != nil {
				return err
			}
			from, err := profileNamed(all, args[0])
			if err != nil {
				return err
			}
			to, err := profileNamed(all, args[1])
			if err != nil {
				return err
			}
			d := profilesDiff{From: from.Name, To: to.Name, Changes: inventory.CompareProfiles(from, to)}
			if d.Changes == nil {
				d.Changes = []inventory.RowChange{}
			}
			if len(args) == 3 {
				if d.Upgrade, err = a.upgrade(c.Context(), args[2], from.Name, to.Name); err != nil {
					return err
				}
			}
			if output == "json" {
				err = a.printJSON(d)
			} else {
				err = writeDiff(a.stdout, d)
			}
			if err == nil && output == "text" && d.Upgrade != nil {
				err = d.Upgrade.Text(a.stdout, d.From, d.To, report.TextOptions{Color: a.colour(a.stdout), Width: a.width(a.stdout), Verbose: a.common.verbose})
			}
			if err != nil || d.Upgrade == nil {
				return err
			}
			if code := d.Upgrade.ExitCode(); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
	a.fleetFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.ValidArgsFunction = completeProfiles(2)
	return c
}

// upgrade looks at the inventory's hosts once and plans for them by both profiles.
func (a *app) upgrade(ctx context.Context, path, from, to string) (*report.Upgrade, error) {
	// Its form is this command's own.
	a.common.output, a.common.outputFiles = "text", nil
	var by [2]*expedition
	for i, profile := range []string{from, to} {
		a.common.requirements = profile
		var err error
		if by[i], err = a.prepare("plan", path); err != nil {
			return nil, err
		}
	}
	var visits [2][]*fleet.Visit
	a.watch(by[1], len(by[1].hosts), func() { visits[0], visits[1] = by[1].fleet.LookTwice(ctx, by[0].hosts, by[1].hosts) })
	if ctx.Err() != nil {
		return nil, interrupted
	}
	u := report.CompareProfiles(by[0].conclude(ctx, visits[0]), by[1].conclude(ctx, visits[1]))
	return &u, nil
}

func writeDiff(out io.Writer, d profilesDiff) error {
	fmt.Fprintf(out, "From %s to %s\n\n", d.From, d.To)
	if len(d.Changes) == 0 {
		fmt.Fprintln(out, "  nothing changes")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range d.Changes {
		if strings.HasPrefix(c.Key, "advice ") { // sentences, not values
			continue
		}
		switch {
		case c.From == nil:
			fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Change, c.Key, c.To.Value)
		case c.To == nil:
			fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Change, c.Key, c.From.Value)
		default:
			fmt.Fprintf(w, "  %s\t%s\t%s → %s\n", c.Change, c.Key, c.From.Value, c.To.Value)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range d.Changes {
		if strings.HasPrefix(c.Key, "advice ") {
			row := c.To
			if row == nil {
				row = c.From
			}
			fmt.Fprintf(out, "  %s %s: %s\n", c.Change, c.Key, row.Value)
		}
	}
	var sources []string
	for _, c := range d.Changes {
		if c.To != nil && c.To.Source != "" {
			sources = append(sources, c.To.Source)
		}
	}
	if len(sources) > 0 {
		fmt.Fprintf(out, "\nSources of %s:\n", d.To)
		told := map[string]bool{}
		for _, s := range sources {
			if !told[s] {
				told[s] = true
				fmt.Fprintf(out, "  %s\n", s)
			}
		}
	}
	return nil
}
