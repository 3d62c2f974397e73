package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/recording"
)

// recordFlags say what is kept of a look.
type recordFlags struct {
	dir  string
	mask []string
}

// recordFlags adds the flags of a command whose looks can be kept, and played
// back.
func (a *app) recordFlags(c *cobra.Command) {
	f, fs := &a.common, c.Flags()
	fs.StringVar(&f.record.dir, "record", "", "keep what the hosts print in the folder `DIR`, for --replay; the inventory's secrets are masked")
	fs.StringSliceVar(&f.record.mask, "mask", nil, "mask more in the recording: `WHAT,…` of addresses, names, serials, or all")
	fs.StringVar(&f.replay, "replay", "", "look at what was recorded in `DIR` in the place of the hosts; no network is used")
}

// evidence gets the recording of an expedition ready, or one to be played back.
func (a *app) evidence(e *expedition) error {
	f := &a.common
	mask, err := recording.ParseMask(f.record.mask)
	switch {
	case err != nil:
		return fmt.Errorf("--mask: %w", err)
	case len(mask) > 0 && f.record.dir == "":
		return errors.New("--mask is about a recording: add --record DIR")
	}
	if f.replay != "" {
		if e.replay, err = recording.Open(f.replay); err != nil {
			return err
		}
		e.replay.Against(e.inv.Hosts)
		e.fleet.Connect = e.replay.Connect
	}
	if f.record.dir == "" {
		return nil
	}
	about := recording.About{
		Version: e.result.Version, RunID: e.result.RunID, Started: e.result.Started,
		Inventory: e.result.Inventory, Requirements: e.result.Requirements,
	}
	for _, t := range e.fleet.Tasks {
		about.Tasks = append(about.Tasks, t.Name)
	}
	e.recorder, err = recording.Create(f.record.dir, about, e.inv.Hosts, mask)
	return err
}

// keepEvidence completes a recording. Half a look is none.
func (a *app) keepEvidence(ctx context.Context, e *expedition, visits []*fleet.Visit) error {
	if e.recorder == nil {
		return nil
	}
	if ctx.Err() != nil {
		e.recorder.Abort()
		return nil
	}
	table, err := e.recorder.Close(visits)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "Recorded %s in %s\n", count(len(visits), "host"), a.common.record.dir)
	if doubtful := e.recorder.Doubtful(); len(doubtful) > 0 {
		fmt.Fprintf(a.stderr, "Note: a secret of the inventory is an ordinary word, or part of one, in what %s print, %s among them; it is masked there too, and a replay may differ\n",
			count(len(doubtful), "host"), doubtful[0])
	}
	if table != "" {
		fmt.Fprintf(a.stderr, "What the masks stand for is in %s: keep it to yourself; beside the recording it undoes them\n", table)
	}
	return nil
}
