package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxOutput is how much of a step's output is kept, the end of it.
const maxOutput = 16 << 10

// maxShown is how much of it an error shows.
const maxShown = 2 << 10

// Do carries out one step and returns when it is done. A step that the host
// refused is a *CommandError; an *Error is about the connection or sudo, and
// then how far the step got is not known. said, which may be nil, is told each
// line of a long step as it comes, and those of a short one that it did well,
// from one goroutine at a time; it is a stranger's words made safe to print.
func (c *Conn) Do(ctx context.Context, s Step, said func(line string)) error {
	return fenced(c.do(ctx, s, said))
}

// stepMercy is how long a detached command may tidy up at the end of its time.
const stepMercy = 10 * time.Second

func (c *Conn) do(ctx context.Context, s Step, said func(line string)) error {
	switch {
	case s.Run != nil && s.Run.Detached:
		return c.runJob(ctx, s.Title, s.Run.Script, orDefault(s.Run.Timeout, time.Minute), stepMercy, said)
	case s.Run != nil:
		out, err := c.shell(ctx, s.Title, c.fence()+s.Run.Script, orDefault(s.Run.Timeout, time.Minute))
		if err == nil && said != nil {
			for line := range strings.Lines(out) {
				said(Safe(strings.TrimSuffix(line, "\n")))
			}
		}
		return err
	case s.Write != nil:
		return c.write(ctx, s.Title, s.Write)
	case s.Remove != nil:
		return c.remove(ctx, s.Title, s.Remove)
	case s.Install != nil:
		return c.install(ctx, s.Title, s.Install, said)
	case s.Upload != nil:
		return c.uploadFile(ctx, s.Title, s.Upload, said)
	case s.Reboot != nil:
		return c.reboot(ctx, s.Title, s.Reboot, said)
	case s.Kubectl != nil:
		return fmt.Errorf("%s: kubectl is run on the controller, not on the host", s.Title)
	}
	return fmt.Errorf("%s: the step says nothing to do", s.Title)
}

// shell runs a script as root, under the deadline on both ends, and returns
// the end of its standard output.
func (c *Conn) shell(ctx context.Context, title, script string, limit time.Duration) (string, error) {
	return c.shellWithMercy(ctx, title, script, limit, 3*time.Second)
}

// shellWithMercy is for what must not be killed at once when it is ended early.
func (c *Conn) shellWithMercy(ctx context.Context, title, script string, limit, mercy time.Duration) (string, error) {
	b := &batch{
		jobs:    []job{{script: script, timeout: limit}},
		limit:   maxOutput,
		tail:    true,
		mercy:   mercy,
		patient: max(mercy, 5*time.Second) + 2*time.Second, // the host's own deadline comes first, and its -k
	}
	if err := b.run(ctx, c); err != nil {
		return "", fmt.Errorf("%s: %w", title, err)
	}
	if len(b.results) == 0 {
		return "", fmt.Errorf("%s: %w", title, errors.New("the host did not run it"))
	}
	r := b.results[0]
	switch {
	case r.killed:
		return "", commandError(title, r, -1, "killed after "+limit.String())
	case r.failure != "":
		return "", commandError(title, r, -1, r.failure)
	case r.exit != 0:
		return "", commandError(title, r, r.exit, fmt.Sprintf("exit status %d", r.exit))
	}
	return text(r.out), nil
}

// commandError shows what the command said of its failure: what it wrote to
// stderr, else the end of what it printed.
func commandError(title string, r result, exit int, reason string) *CommandError {
	said := strings.TrimSpace(string(r.errs))
	if said == "" {
		said = string(r.out)
	}
	return &CommandError{Title: title, Exit: exit, Reason: reason, Stderr: tail(Safe(said), maxShown)}
}
