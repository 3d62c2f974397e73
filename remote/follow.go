package remote

import (
	"context"
	"time"
)

// A JobResult is a job that has ended.
type JobResult struct {
	Work
	Exit int    // -1: it ended without a status, by a power cut or a reboot, or by its deadline
	Tail string // the end of what it printed; bounded, safe to print
}

// Follow follows the job that runs on the host, whoever started it, to its
// end, telling each line to said, which may be nil. nil and nil: none runs.
// When ctx ends, following ends, and the job goes on.
func (c *Conn) Follow(ctx context.Context, said func(line string)) (*JobResult, error) {
	w, err := c.workers(ctx)
	if err != nil || w.job == nil {
		return nil, err
	}
	j := newJob(w.job.title, w.job.limit, said)
	j.id, j.begun = w.job.id, true
	if err := c.follow(ctx, j, w.job.limit+managerMercy+time.Minute); err != nil {
		return nil, err
	}
	r := &JobResult{Work: *w.work(), Exit: j.exit, Tail: tail(Safe(string(j.tail)), maxShown)}
	if j.late {
		r.Exit = -1
	}
	return r, nil
}
