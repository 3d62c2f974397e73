package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/recording"
	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// An expedition is one command's way to the hosts of an inventory.
type expedition struct {
	inv    *inventory.Inventory
	hosts  []inventory.Host
	fleet  *fleet.Fleet
	state  fleet.State
	result report.Result
	began  time.Time

	recorder *recording.Recorder  // nil: nothing is recorded
	replay   *recording.Recording // nil: the hosts themselves are looked at
}

// prepare reads the inventory and gets a fleet ready; nothing is contacted.
func (a *app) prepare(command, path string) (*expedition, error) {
	if err := a.checkOutputs(); err != nil {
		return nil, err
	}
	selected, err := fleet.Select(tasks.All, a.common.only, a.common.skip)
	if err != nil {
		return nil, err
	}
	inv, err := a.load(path)
	if err != nil {
		return nil, err
	}
	if len(inv.Hosts) == 0 {
		return nil, fmt.Errorf("%s has no host to look at: add host \"NAME\" { … }", inv.Path)
	}
	hosts, err := a.hosts(inv)
	if err == nil {
		hosts, err = a.gated(inv, hosts)
	}
	if err != nil {
		return nil, err
	}
	state, err := fleet.OpenState(a.common.state)
	if err != nil {
		return nil, err
	}
	if command == "apply" || command == "check" && a.common.gate == "" {
		if err := state.Ready(); err != nil {
			return nil, err
		}
	}
	a.dialer = a.newDialer()
	began := time.Now()
	id := newRunID(began)
	e := &expedition{
		inv:   inv,
		hosts: hosts,
		began: began,
		state: state,
		fleet: &fleet.Fleet{
			Connect:  fleet.Over(a.dialer),
			Tasks:    selected,
			Parallel: a.common.parallel,
			Timeout:  a.common.timeout,
			Strict:   a.common.strict,
			Holder:   remote.Holder{Who: whoami(), RunID: id},
			Log:      slog.Default(),
		},
		result: report.Result{
			Schema:       report.Schema,
			Command:      command,
			Version:      buildVersion(),
			RunID:        id,
			Started:      began.UTC().Format(time.RFC3339),
			Inventory:    path,
			Requirements: inv.Requirements.Name,
		},
	}
	if err := a.evidence(e); err != nil {
		return nil, err
	}
	return e, nil
}

// newRunID sorts by time and is unique.
func newRunID(began time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return began.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// whoami is who applies, as hosts remember it and tell others: alice@controller.
func whoami() string {
	who := os.Getenv("SUDO_USER")
	if u, err := user.Current(); who == "" && err == nil {
		who = u.Username
	}
	where, err := os.Hostname()
	if err != nil {
		where = "an unnamed machine"
	}
	return cmp.Or(who, "somebody") + "@" + where
}

// conclude completes the result from the visits.
func (e *expedition) conclude(ctx context.Context, visits []*fleet.Visit) report.Result {
	r := e.result
	r.Hosts = fleet.Reports(visits)
	r.Fleet = fleet.Across(visits)
	r.Notes = e.notes(visits, r.Fleet)
	r.ElapsedSeconds = time.Since(e.began).Seconds()
	r.Finish()
	if ctx.Err() != nil {
		r.ExitCode = int(interrupted)
	}
	return r
}
