package remote

import (
	"fmt"
	"time"
)

// A Holder is who works on a host: what its lock and its jobs say of them.
type Holder struct {
	Who   string // "alice@controller"
	RunID string
}

// Work is what goes on at a host by somebody's hand.
type Work struct {
	Holder
	Since time.Time // by the host's clock
	Job   string    // the title of the step that runs as a job; empty: none runs
	// Orphaned: the job runs on, and nobody who started it is connected.
	Orphaned bool
}

func (w Work) String() string {
	what := "is at work"
	if w.Job != "" {
		what = "runs " + w.Job
	}
	return fmt.Sprintf("%s %s since %s (run %s)", w.Who, what, w.Since.Format("2006-01-02 15:04:05"), w.RunID)
}

// A LockedError is a host at which somebody else is at work.
type LockedError struct{ Work Work }

func (e *LockedError) Error() string { return "the host is locked: " + e.Work.String() }
