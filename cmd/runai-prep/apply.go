package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/report"
)

// applyFlags are those of apply alone.
type applyFlags struct {
	yes                bool
	batch, maxFailures string
	canary             int
	reboot             string
	lockWait           time.Duration
}

func (a *app) apply() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:   "apply INVENTORY|PLANFILE",
		Short: "Show the plan, ask, carry it out, and look again to prove it",
		Args:  oneInventory,
		RunE: func(c *cobra.Command, args []string) error {
			options, err := f.options(a.hard)
			if err != nil {
				return err
			}
			if !f.yes && !(isTerminal(a.stdin) && isTerminal(a.stderr)) {
				return errors.New("apply asks before it changes anything, and there is no terminal to ask at: add -y (--yes), or use plan to look only")
			}
			a.installs.Store(true)
			return a.runApply(c.Context(), args[0], f.yes, options)
		},
	}
	a.fleetFlags(c)
	a.outputFlags(c)
	a.strictFlag(c)
	fs := c.Flags()
	fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fs.StringVar(&f.batch, "batch", "", "hosts at a time: `N|P%` (default all)")
	fs.IntVar(&f.canary, "canary", 0, "`N` hosts go first; when one of them fails, no other is started")
	fs.StringVar(&f.maxFailures, "max-failures", "", "failed hosts after which no further batch starts: `N|P%` (default 0)")
	fs.StringVar(&f.reboot, "reboot", "allow", "allow or never")
	fs.DurationVar(&f.lockWait, "lock-wait", 0, "how long to wait for a host at which somebody else is at work (default not at all)")
	return c
}

func (f applyFlags) options(hard context.Context) (fleet.ApplyOptions, error) {
	o := fleet.ApplyOptions{Canary: f.canary, Reboot: f.reboot == "allow", Hard: hard, LockWait: f.lockWait}
	if f.lockWait < 0 {
		return o, fmt.Errorf("--lock-wait %s: a time, such as 30m", f.lockWait)
	}
	if f.reboot != "allow" && f.reboot != "never" {
		return o, fmt.Errorf("--reboot %s: it is either allow or never", f.reboot)
	}
	if f.canary < 0 {
		return o, fmt.Errorf("--canary %d: not a number of hosts", f.canary)
	}
	for flag, share := range map[string]struct {
		text string
		into *fleet.Share
	}{"--batch": {f.batch, &o.Batch}, "--max-failures": {f.maxFailures, &o.MaxFailures}} {
		if share.text == "" {
			continue
		}
		var err error
		if *share.into, err = fleet.ParseShare(share.text); err != nil {
			return o, fmt.Errorf("%s: %w", flag, err)
		}
	}
	if o.Batch.Set && o.Batch.N == 0 {
		return o, errors.New("--batch 0: at least one host at a time")
	}
	return o, nil
}

func (a *app) runApply(ctx context.Context, path string, yes bool, o fleet.ApplyOptions) error {
	saved, err := fleet.ReadPlan(path)
	isPlan := err == nil
	if err != nil && !errors.Is(err, fleet.ErrNoPlan) {
		return err
	}
	if isPlan {
		if err := a.usePlan(saved); err != nil {
			return err
		}
		path = saved.Inventory
	}
	e, err := a.prepare("apply", path)
	if err != nil {
		return err
	}
	visits := a.look(ctx, e, true)
	defer fleet.HangUp(visits)
	if isPlan && ctx.Err() == nil {
		if stale := saved.Refuse(visits); len(stale) > 0 {
			return fmt.Errorf("the plan of %s is stale: on %s it would no longer do the same; nothing was changed (hint: plan again)",
				saved.Created.Local().Format("2006-01-02 15:04"), strings.Join(stale, ", "))
		}
	}
	changes := 0
	for _, v := range visits {
		n, _ := v.Pending()
		changes += n
	}
	if changes == 0 || ctx.Err() != nil {
		return a.concluded(ctx, e, visits)
	}
	// The plan is shown where a person reads: with JSON on stdout it goes to
	// stderr, beside the question.
	shown := a.stdout
	if a.common.output != "text" {
		shown = a.stderr
	}
	planned := e.conclude(ctx, visits)
	planned.Command = "plan"
	preview := report.TextOptions{Color: a.colour(shown), Width: a.width(shown), Verbose: a.common.verbose, Preview: true}
	if err := report.Text(shown, planned, preview); err != nil {
		return err
	}
	if !yes {
		if !a.confirm(ctx, "Carry out this plan? Only \"yes\" does it: ") {
			fmt.Fprintln(a.stderr, "Nothing was changed.")
			return a.concluded(ctx, e, visits)
		}
	}
	a.watch(e, len(visits), func() { e.fleet.Apply(ctx, visits, o) })
	return a.concluded(ctx, e, visits)
}

// usePlan takes the flags that a saved plan was made with.
func (a *app) usePlan(p fleet.SavedPlan) error {
	if len(a.common.limit)+len(a.common.only)+len(a.common.skip)+len(a.common.varFiles) > 0 {
		return errors.New("a saved plan names its hosts, tasks and variable files: leave out --limit, --task, --skip-task and --var-file")
	}
	a.common.limit, a.common.only, a.common.varFiles = p.Limit, p.Tasks, p.VarFiles
	a.common.vars = append(p.Vars, a.common.vars...) // sensitive ones are given again
	return nil
}

// concluded delivers the result of apply and remembers it, for @failed.
func (a *app) concluded(ctx context.Context, e *expedition, visits []*fleet.Visit) error {
	r := e.conclude(ctx, visits)
	return a.deliver(r, func() error { return e.state.Save(fleet.Any, r) })
}

// confirm asks on stderr; anything but "yes" is no, and so is Ctrl-C.
func (a *app) confirm(ctx context.Context, question string) bool {
	fmt.Fprint(a.stderr, "\n", question)
	answer := make(chan string, 1)
	go func() { // a read of a terminal cannot be cancelled; it ends with the program
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			line = ""
		}
		answer <- strings.TrimSpace(line)
	}()
	select {
	case text := <-answer:
		return text == "yes"
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return false
	}
}
