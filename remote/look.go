package remote

import (
	"context"
	"time"
)

// A Probe is read-only POSIX sh that prints what it sees. It fails when it
// cannot look.
type Probe struct {
	Name    string
	Script  string
	Timeout time.Duration // 0: ten seconds
}

// A Section is what one probe printed.
type Section struct {
	Name string
	// Out is its standard output: bounded, valid UTF-8 or escaped. Its lines
	// are a stranger's words all the same.
	Out string
	Err string // its standard error, likewise
	// Exit is the probe's exit status.
	Exit int
	// Failure says why there is no complete output ("no answer within 10s",
	// "output over 1 MiB", "connection lost"). Empty: the probe came to its end.
	Failure string
}

// Look runs all probes in one exec, each in a subshell of its own. prelude is
// put before them: functions that they share. A probe that hangs or fails
// spoils its own section alone; an error means that there are no sections.
func (c *Conn) Look(ctx context.Context, prelude string, probes []Probe) ([]Section, error) {
	panic("not yet written")
}
