package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const bootID = "read -r b </proc/sys/kernel/random/boot_id && echo \"$b\""

// rebootScript answers before the host goes down where it can.
const rebootScript = `if command -v systemctl >/dev/null 2>&1; then systemctl reboot; else reboot; fi`

// reboot restarts the host and comes back to it: done is when it answers with
// another boot id, not when it first answers, for the old sshd goes on for a
// while. The connection is the same Conn afterwards.
func (c *Conn) reboot(ctx context.Context, title string, r *Reboot, said func(string)) error {
	if r.Refused != "" {
		return fmt.Errorf("%s: not allowed (%s)", title, r.Refused)
	}
	limit := orDefault(r.Timeout, 15*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errRebootTimeout)
	defer cancel()

	before, err := c.boot(ctx, title)
	if err != nil {
		return err
	}
	j := newJob(title, time.Minute, said)
	if err = c.launch(ctx, j, rebootScript, stepMercy); err == nil {
		if err = c.followOnce(ctx, j, time.Minute); err == nil {
			err = j.err()
		}
	}
	var failed *CommandError
	if errors.As(err, &failed) && failed.Exit > 0 && !strings.Contains(failed.Stderr, "Connection reset") &&
		!strings.Contains(failed.Stderr, "Transport endpoint") {
		return err
	}
	if err != nil && (ctx.Err() != nil || stageIs(err, SudoStage)) {
		return err
	}
	// Else the host went down under the command, which is what was asked for.
	c.current().close()

	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = 500*time.Millisecond, 5*time.Second, 1.3
	last := errors.New("it did not answer")
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		err := c.comeBack(ctx, title, before)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		if stageIs(err, HostKey) || errors.Is(err, errClosed) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
	if err != nil && errors.Is(context.Cause(ctx), errRebootTimeout) {
		return &CommandError{Title: title, Exit: -1, Reason: "the host was not back within " + limit.String(), Stderr: Safe(last.Error())}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	return c.lockAnew(ctx, title)
}

// lockAnew takes the lock that went with the connection.
func (c *Conn) lockAnew(ctx context.Context, title string) error {
	c.mu.Lock()
	l := c.lock
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	if err := l.again(ctx, ""); err != nil {
		return fmt.Errorf("%s: the host is back, and not ours any more: %w", title, err)
	}
	return nil
}

var errRebootTimeout = errors.New("the host was not back in time")

// comeBack connects anew and looks whether this is another boot.
func (c *Conn) comeBack(ctx context.Context, title, before string) error {
	if err := c.renew(ctx); err != nil {
		return err
	}
	l := c.current()
	// A host that is going down may not answer any more.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	now, err := c.boot(ctx, title)
	if err == nil && now == before {
		err = errors.New("it has not gone down yet")
	}
	if err != nil {
		l.close()
	}
	return err
}

func (c *Conn) boot(ctx context.Context, title string) (string, error) {
	out, err := c.shell(ctx, title, bootID, 10*time.Second)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(out)
	if id == "" || len(id) > 64 {
		return "", fmt.Errorf("%s: the host's boot id is %q", title, Safe(tail(id, 64)))
	}
	return id, nil
}
