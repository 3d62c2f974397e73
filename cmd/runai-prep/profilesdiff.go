package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
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
		Args: cobra.RangeArgs(2, 3),
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

// upgrade plans for the inventory by both profiles.
func (a *app) upgrade(ctx context.Context, path, from, to string) (*report.Upgrade, error) {
	// Its form is this command's own.
	a.common.output, a.common.outputFiles = "text", nil
	var results []report.Result
	for _, profile := range []string{from, to} {
		a.common.requirements = profile
		e, err := a.prepare("plan", path)
		if err != nil {
			return nil, err
		}
		visits := a.look(ctx, e, false)
		results = append(results, e.conclude(ctx, visits))
		if ctx.Err() != nil {
			return nil, interrupted
		}
		err = a.dialer.Close()
		if a.dialer = nil; err != nil {
			return nil, err
		}
	}
	u := report.CompareProfiles(results[0], results[1])
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
	if d.Upgrade != nil {
		writeUpgrade(out, d)
	}
	return nil
}

func writeUpgrade(out io.Writer, d profilesDiff) {
	u := d.Upgrade
	fmt.Fprintln(out)
	for _, h := range u.Hosts {
		fmt.Fprintf(out, "%s: %s by %s, %s by %s\n", remote.Safe(h.Name), report.Verdict(h.ReadyFrom), d.From, report.Verdict(h.ReadyTo), d.To)
		writeShifts(out, "breaks", h.Breaks)
		writeShifts(out, "mended", h.Mended)
	}
	writeShifts(out, "fleet", u.Fleet)
	if len(u.Hosts) == 0 && len(u.Fleet) == 0 {
		fmt.Fprintln(out, "For no host that was looked at anything changes.")
	}
	if len(u.Unlooked) > 0 {
		fmt.Fprintf(out, "Not to be looked at: %s\n", inventory.Compact(u.Unlooked))
	}
	fmt.Fprintf(out, "Ready by %s: %d; by %s: %d\n", d.From, u.ReadyFrom, d.To, u.ReadyTo)
}

func writeShifts(out io.Writer, word string, shifts []report.Shift) {
	for _, s := range shifts {
		f := s.To
		if f == nil {
			f = s.From
			fmt.Fprintf(out, "  %s  %s/%s: not asked for any more\n", word, f.Task, remote.Safe(f.Subject))
			continue
		}
		fmt.Fprintf(out, "  %s  %s/%s: %s; have %s, want %s (%s)\n", word, f.Task, remote.Safe(f.Subject), f.State, remote.Safe(f.Have), remote.Safe(f.Want), f.Why)
		if f.Warning != "" {
			fmt.Fprintf(out, "          warning: %s\n", remote.Safe(f.Warning))
		}
	}
}
