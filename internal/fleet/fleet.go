// Package fleet takes many hosts through the same path: connect, look, plan,
// and for apply the steps and the second look that proves them.
//
//	fleet.go   the hosts side by side, one look each
//	twice.go   one look, and two plans
//	apply.go   waves: canary, batches, failure budget
//	change.go  one host: the steps of its findings, the second look, what follows from it
//	lock.go    who else is at work on a host; a job that was left behind is taken over
//	steps.go   one step: guards, reboots, what outlives an interruption; kubectl.go on the controller
//	proof.go   what the second look makes of the findings
//	back.go    the way back from a change that failed, and what follows one that went well
//	ignore.go  findings that the inventory ignores, and what builds on them
//	across.go  what the hosts show together
//	select.go  which tasks
//	cluster.go what the hosts' clusters say of them
//	target.go  from the inventory's words to remote's
//	plan.go    plan files: saved, compared, refused when stale
//	state.go   what the controller remembers of the last run
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// Conn is what a fleet needs of a connection: *remote.Conn, or a test's replay.
type Conn interface {
	Address() string
	Look(ctx context.Context, prelude string, probes []remote.Probe) ([]remote.Section, error)
	Lock(ctx context.Context, h remote.Holder, wait time.Duration, waiting func(remote.Work)) (io.Closer, error)
	Follow(ctx context.Context, said func(line string)) (*remote.JobResult, error)
	Do(ctx context.Context, s remote.Step, said func(line string)) error
	// Settle waits, after a restart, for what others have to do before the host is
	// what it was.
	Settle(ctx context.Context, said func(line string))
	Close() error
}

// A Fleet is how hosts are visited.
type Fleet struct {
	Connect  func(context.Context, inventory.Host) (Conn, error)
	Tasks    []tasks.Task
	Parallel int           // hosts at once
	Timeout  time.Duration // for one look at one host, connecting included
	Holder   remote.Holder // who we are, as others at work on a host are told
	Strict   bool          // what falls short of a recommendation is unmet
	Log      *slog.Logger
	Progress func(Event) // called from many goroutines; may be nil
}

// An Event is something that a person who waits wants to see.
type Event struct {
	Host string
	// Doing is what the host is at; empty when it is done with its turn.
	Doing string
}

// A Visit is one host and what was learned of it.
type Visit struct {
	Host    inventory.Host
	Address string // host:port, once known
	Err     error  // why nothing could be looked at
	Looks   []TaskLook
	// applied is set once steps were run: the findings as they ended.
	applied []report.Finding
	// notStarted says why the host's turn never came.
	notStarted    string
	refused       bool // Err says why no step was run, though the host answers
	interrupted   bool
	rebootPending bool
	strict        bool

	work     *remote.Work       // who else is at work there; nil: nobody
	followed []remote.JobResult // jobs that had been left behind, followed to their ends

	conn    Conn
	elapsed time.Duration
}

// A TaskLook is what one task saw of one host, and makes of it.
type TaskLook struct {
	Task     string
	Facts    tasks.Facts // nil when the look failed
	Err      error
	Findings []tasks.Finding
	// left are the pending findings, by their place in Findings, that apply
	// leaves alone: they are ignored, or build on one that is.
	left []bool
}

// Look visits every host and returns the visits in the order of hosts. With
// keep, hosts that have something to change stay connected for Apply.
func (f *Fleet) Look(ctx context.Context, hosts []inventory.Host, keep bool) []*Visit {
	visits := make([]*Visit, len(hosts))
	f.sideBySide(len(hosts), func(i int) {
		v := &Visit{Host: hosts[i], strict: f.Strict}
		visits[i] = v
		f.look(ctx, v)
		if keep {
			f.takeOver(ctx, v)
		}
		if !keep || len(v.pending()) == 0 || len(hosts) > maxHeld {
			v.hangUp()
		}
		f.event(v, "")
	})
	return visits
}

// sideBySide calls visit with 0 to n-1, as many at once as the fleet may.
func (f *Fleet) sideBySide(n int, visit func(i int)) {
	var group errgroup.Group
	group.SetLimit(max(1, f.Parallel))
	for i := range n {
		group.Go(func() error {
			visit(i)
			return nil // a host's error is its own
		})
	}
	_ = group.Wait()
}

// maxHeld bounds the connections that stay open while a person reads a plan.
const maxHeld = 200

// look connects where there is no connection yet, runs all probes and plans.
func (f *Fleet) look(ctx context.Context, v *Visit) {
	var probes []remote.Probe
	for _, t := range f.Tasks {
		probes = append(probes, t.Look(v.Host))
	}
	if sections, ok := f.see(ctx, v, probes); ok {
		f.judge(v, sections)
	}
}

// see runs the probes on a host and returns the sections by their names; false:
// the visit's error says why there are none.
func (f *Fleet) see(ctx context.Context, v *Visit, probes []remote.Probe) (map[string]remote.Section, bool) {
	start := time.Now()
	defer func() { v.elapsed += time.Since(start) }()
	v.Err, v.Looks, v.work = nil, nil, nil

	outer := ctx
	ctx, cancel := f.inTime(ctx)
	defer cancel()
	if err := f.connect(ctx, v); err != nil {
		v.Err, v.interrupted = cause(ctx, err), outer.Err() != nil
		return nil, false
	}
	f.event(v, "looking")
	probes = append([]remote.Probe{{Name: workSection, Script: remote.WorkProbe}}, probes...)
	sections, err := v.conn.Look(ctx, tasks.Prelude, probes)
	if err != nil {
		v.Err, v.interrupted = cause(ctx, err), outer.Err() != nil
		v.hangUp()
		return nil, false
	}
	byName := make(map[string]remote.Section, len(sections))
	for _, s := range sections {
		byName[s.Name] = s
	}
	return byName, true
}

// judge plans by what was seen.
func (f *Fleet) judge(v *Visit, sections map[string]remote.Section) {
	f.readWork(v, sections[workSection])
	for _, t := range f.Tasks {
		s, ok := sections[t.Name]
		if !ok {
			s = remote.Section{Name: t.Name, Failure: "the probe printed nothing at all"}
		}
		v.Looks = append(v.Looks, lookOf(t, v.Host, s))
	}
}

// inTime is a context for one look at one host, connecting included.
func (f *Fleet) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.Timeout, fmt.Errorf("no complete answer within %s (--timeout)", f.Timeout))
}

// connect connects where there is no connection yet.
func (f *Fleet) connect(ctx context.Context, v *Visit) error {
	if v.conn != nil {
		return nil
	}
	f.event(v, "connecting")
	conn, err := f.Connect(ctx, v.Host)
	if err != nil {
		return err
	}
	v.conn, v.Address = conn, conn.Address()
	return nil
}

// lookOf reads and judges one section. What could not be looked at becomes an
// unknown finding, never an ok one.
func lookOf(t tasks.Task, h inventory.Host, s remote.Section) TaskLook {
	l := TaskLook{Task: t.Name}
	if err := sectionError(s); err != nil {
		l.Err = err
	} else {
		l.Facts, l.Err = t.Read(s)
	}
	if l.Err != nil {
		l.Findings = []tasks.Finding{{
			Subject: t.Name,
			Have:    l.Err.Error(),
			Want:    "an answer",
			State:   tasks.Unknown,
		}}
		return l
	}
	l.Findings = t.Plan(h, l.Facts)
	l.left = leave(t, h, l.Findings)
	return l
}

func sectionError(s remote.Section) error {
	said := ""
	if s.Err != "" {
		said = ": " + s.Err
	}
	switch {
	case s.Failure != "":
		return fmt.Errorf("probe %s: %s%s", s.Name, s.Failure, said)
	case s.Exit != 0:
		return fmt.Errorf("probe %s: exit status %d%s", s.Name, s.Exit, said)
	}
	return nil
}

// cause prefers the reason a context ended for over the error it led to.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if c := context.Cause(ctx); c != nil && !errors.Is(err, c) {
			return fmt.Errorf("%w: %w", err, c)
		}
	}
	return err
}

func (f *Fleet) event(v *Visit, doing string) {
	if f.Progress != nil {
		f.Progress(Event{Host: v.Host.Name, Doing: doing})
	}
}

func (f *Fleet) log() *slog.Logger {
	if f.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.Log
}

// hangUp closes the connection, if there is one.
func (v *Visit) hangUp() {
	if v.conn != nil {
		_ = v.conn.Close() // nothing is lost with it: every step has answered
		v.conn = nil
	}
}

// HangUp closes the connections that Look kept.
func HangUp(visits []*Visit) {
	var wg sync.WaitGroup
	for _, v := range visits {
		wg.Go(v.hangUp)
	}
	wg.Wait()
}

// A planned finding is a pending one, and the task it belongs to.
type planned struct {
	task string
	tasks.Finding
}

// isLeft reports whether apply leaves a pending finding alone.
func (l TaskLook) isLeft(i int) bool { return i < len(l.left) && l.left[i] }

// pending are the findings that apply is to change, in the order of work.
func (v *Visit) pending() []planned {
	var found []planned
	for _, l := range v.Looks {
		for i, g := range l.Findings {
			if g.State == tasks.Pending && !l.isLeft(i) {
				found = append(found, planned{l.Task, g})
			}
		}
	}
	return together(found)
}

// Pending counts the findings that Apply would change, and those of them that
// running work would notice.
func (v *Visit) Pending() (all, disruptive int) {
	for _, p := range v.pending() {
		all++
		if p.Disruptive() {
			disruptive++
		}
	}
	return all, disruptive
}

// Report is the visit as a result shows it.
func (v *Visit) Report() report.Host {
	h := report.Host{
		Name:           v.Host.Name,
		Address:        v.Address,
		Role:           v.Host.Role,
		RebootPending:  v.rebootPending || v.waitsForReboot(),
		ElapsedSeconds: v.elapsed.Seconds(),
		Findings:       v.applied,
		Hint:           cmp.Or(v.notStarted, v.others()),
	}
	if h.Address == "" {
		h.Address = wouldBe(v.Host)
	}
	if h.Findings == nil {
		for _, l := range v.Looks {
			for _, g := range l.Findings {
				h.Findings = append(h.Findings, report.From(l.Task, g))
			}
		}
	}
	h.Findings = slices.Clone(h.Findings)
	mark(v.Host, v.strict, h.Findings)
	switch {
	case v.refused:
		h.Status = report.Failed
	case v.interrupted:
		h.Status = report.Unknown // nobody knows whether it would have answered
	case v.Err != nil && v.applied == nil:
		h.Status = report.Unreachable
	}
	if v.Err != nil {
		h.Error = v.Err.Error()
		var at *remote.Error
		if errors.As(v.Err, &at) {
			h.Hint = cmp.Or(at.Hint, h.Hint)
		}
	}
	h.Settle()
	return h
}
