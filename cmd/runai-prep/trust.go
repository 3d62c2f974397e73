package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func (a *app) trust() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "trust INVENTORY",
		Short: "Show the hosts' keys with their fingerprints and, confirmed, add them to known_hosts",
		Long: `trust asks every host for its keys, without logging in, and shows what is not in
known_hosts yet. Compare the fingerprints with what the hosts' consoles show
(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) before you say yes: this is
the one moment at which an impostor can get in. A key that conflicts with a
known one is never added.`,
		Args: oneInventory,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.checkNumbers(); err != nil {
				return err
			}
			inv, err := a.load(args[0])
			if err != nil {
				return err
			}
			hosts, err := a.hosts(inv)
			if err != nil {
				return err
			}
			return a.runTrust(c.Context(), hosts, yes)
		},
	}
	a.inventoryFlags(c)
	fs := c.Flags()
	fs.BoolVarP(&yes, "yes", "y", false, "do not ask")
	fs.IntVar(&a.common.parallel, "parallel", 32, "hosts at once")
	fs.DurationVar(&a.common.timeout, "timeout", time.Minute, "time for one host")
	a.sshConfigFlag(fs)
	return c
}

func (a *app) runTrust(ctx context.Context, hosts []inventory.Host, yes bool) error {
	a.dialer = a.newDialer()
	keys := make([][]remote.PresentedKey, len(hosts))
	faults := make([]error, len(hosts))
	var group errgroup.Group
	group.SetLimit(max(1, a.common.parallel))
	for i, h := range hosts {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, a.common.timeout)
			defer cancel()
			keys[i], faults[i] = a.dialer.HostKeys(ctx, fleet.Target(h))
			return nil
		})
	}
	_ = group.Wait() // a host's fault is its own
	if ctx.Err() != nil {
		return interrupted
	}

	var fresh []remote.PresentedKey
	exit := exitCode(0)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for i, h := range hosts {
		if faults[i] != nil {
			exit = 4
			fmt.Fprintf(w, "%s\tunreachable\t%s\n", h.Name, remote.Safe(faults[i].Error()))
		}
		for _, k := range keys[i] {
			state := "new"
			switch {
			case k.Conflict != "":
				state = "CONFLICT with " + k.Conflict
				exit = max(exit, 3)
			case k.Known:
				state = "known"
			default:
				fresh = append(fresh, k)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Name, k.Type, k.Fingerprint, state)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(fresh) > 0 {
		if err := a.addKeys(ctx, fresh, yes); err != nil {
			return err
		}
	}
	if exit != 0 {
		return exit
	}
	return nil
}

// addKeys adds the keys once a person, or --yes, has said so.
func (a *app) addKeys(ctx context.Context, keys []remote.PresentedKey, yes bool) error {
	if !yes {
		if !isTerminal(a.stdin) || !isTerminal(a.stderr) {
			return errors.New("there is no terminal to ask at: compare the fingerprints, then add -y (--yes)")
		}
		if !a.confirm(ctx, fmt.Sprintf("Add %s to known_hosts? Only \"yes\" does it: ", count(len(keys), "key"))) {
			fmt.Fprintln(a.stderr, "Nothing was added.")
			if ctx.Err() != nil {
				return interrupted
			}
			return exitCode(2)
		}
	}
	files, err := a.dialer.Trust(keys)
	for _, f := range files {
		fmt.Fprintf(a.stderr, "added to %s\n", f)
	}
	return err
}
