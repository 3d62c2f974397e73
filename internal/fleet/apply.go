package fleet

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runai-prep/runai-prep/internal/report"
)

// A Share is a number of hosts, or a percentage of them: "5", "20%".
type Share struct {
	N       int
	Percent bool
	Set     bool
}

// ParseShare reads N or P%.
func ParseShare(s string) (Share, error) {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return Share{}, fmt.Errorf("%q is neither a number of hosts nor a percentage of them (such as 5 or 20%%)", s)
	}
	return Share{N: n, Percent: percent, Set: true}, nil
}

// Of is the share of total hosts; a percentage is rounded up.
func (s Share) Of(total int) int {
	if !s.Percent {
		return s.N
	}
	return int(math.Ceil(float64(s.N) * float64(total) / 100))
}

// ApplyOptions say how far one bad host, or a bad wave, may reach.
type ApplyOptions struct {
	Canary      int   // hosts that go first, alone
	Batch       Share // hosts at a time after them; unset: all
	MaxFailures Share // failed hosts after which no further wave starts; unset: 0
	Reboot      bool  // reboots are allowed
	// Hard outlives the context of Apply by one more Ctrl-C; what must not be
	// left in the middle is given it.
	Hard context.Context
	// LockWait is how long another one at work on a host is waited for; 0: not
	// at all.
	LockWait time.Duration
}

// Waves splits n hosts, by number, into canary and batches.
func (o ApplyOptions) Waves(n int) []int {
	var waves []int
	if o.Canary > 0 && n > 0 {
		waves = append(waves, min(o.Canary, n))
		n -= waves[0]
	}
	size := n
	if o.Batch.Set {
		size = max(1, o.Batch.Of(n))
	}
	for n > 0 {
		waves = append(waves, min(size, n))
		n -= waves[len(waves)-1]
	}
	return waves
}

// Apply carries out what the visits have pending, wave after wave. A host
// that fails never stops another of its wave; more failures than allowed stop
// the waves after it.
func (f *Fleet) Apply(ctx context.Context, visits []*Visit, o ApplyOptions) {
	defer HangUp(visits)
	var todo []*Visit
	for _, v := range visits {
		if len(v.pending()) > 0 {
			todo = append(todo, v)
		}
	}
	budget := o.MaxFailures.Of(len(todo))
	var failures atomic.Int64
	rest := todo
	for n, size := range o.Waves(len(todo)) {
		wave := rest[:size]
		rest = rest[size:]
		if n > 0 && int(failures.Load()) > budget {
			for _, v := range append(wave, rest...) {
				v.notStarted = fmt.Sprintf("not started: %d of the hosts before it failed", failures.Load())
			}
			return
		}
		var group errgroup.Group
		group.SetLimit(max(1, f.Parallel))
		for _, v := range wave {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					v.notStarted = fmt.Sprintf("not started: %v", context.Cause(ctx))
					return nil
				}
				f.change(ctx, v, o)
				if v.failed() {
					failures.Add(1)
				}
				f.event(v, "")
				return nil
			})
		}
		_ = group.Wait() // a host's failure is its own, and counted above
	}
}

// failed reports whether the host's turn in Apply went badly.
func (v *Visit) failed() bool {
	switch v.Report().Status {
	case report.Failed, report.Unreachable, report.Unknown:
		return true
	}
	return false
}

// Reports are the visits as a result shows them.
func Reports(visits []*Visit) []report.Host {
	hosts := make([]report.Host, len(visits))
	for i, v := range visits {
		hosts[i] = v.Report()
	}
	return hosts
}
