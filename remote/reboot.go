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
// while, and when systemd has started what belongs to the boot: the new sshd
// answers while mounts and daemons are still on their way. The connection is the
// same Conn afterwards.
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
	if err := c.started(ctx, title, said); err != nil {
		return err
	}
	return c.lockAnew(ctx, title)
}

// startLimit bounds the wait for the end of a boot: a unit that hangs, for a
// file server that does not answer say, is no reason not to look at the rest.
const startLimit = 3 * time.Minute

// systemState prints what systemd says of its boot, where there is one. It exits
// with another status than 0 in any state but "running", and says nothing while
// it cannot be asked yet.
const systemState = `if [ -d /run/systemd/system ]; then state=$(systemctl is-system-running 2>/dev/null); echo "${state:-starting}"; fi`

// started returns once systemd has carried out what the boot asks for. That it
// cannot be asked, or that the connection breaks while the network is being set
// up, belongs to a boot: it is asked again.
func (c *Conn) started(ctx context.Context, title string, said func(string)) error {
	over := time.After(startLimit)
	for told := false; ; told = true {
		out, err := c.shell(ctx, title, systemState, 10*time.Second)
		if state := strings.TrimSpace(out); err == nil && state != "initializing" && state != "starting" {
			return nil
		}
		if errors.As(err, new(*Error)) && ctx.Err() == nil {
			c.current().close()
			if err := c.renew(ctx); stageIs(err, HostKey) || errors.Is(err, errClosed) {
				return fmt.Errorf("%s: %w", title, err)
			}
		}
		if !told && said != nil {
			said("the host is back; its services are still starting")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", title, context.Cause(ctx))
		case <-over:
			return nil
		case <-time.After(time.Second):
		}
	}
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
