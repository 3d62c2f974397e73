package fleet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

const kubectlProgram = "kubectl"

// impossible are the tasks of which a step needs what is not to be had on this
// machine: kubectl, or a file to be uploaded. Such a task is not begun with.
func impossible(plan []planned) map[string]error {
	why := map[string]error{}
	for _, p := range plan {
		for _, s := range slices.Concat(p.Steps, p.Back, p.After, p.Undo) {
			var err error
			switch {
			case s.Kubectl != nil:
				if _, err = exec.LookPath(kubectlProgram); err != nil {
					err = fmt.Errorf("nothing was begun: its steps need kubectl, here where runai-prep runs: %w", err)
				}
			case s.Upload != nil:
				if err = uploadable(*s.Upload); err != nil {
					err = fmt.Errorf("nothing was begun: %w", err)
				}
			}
			if err != nil && why[p.task] == nil {
				why[p.task] = err
			}
		}
	}
	return why
}

// uploadable reports why a file cannot be brought to a host as it is wished.
func uploadable(u remote.Upload) error {
	f, err := os.Open(u.From)
	if err != nil {
		return err
	}
	defer f.Close()
	if u.SHA256 == "" {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != u.SHA256 {
		return fmt.Errorf("%s has the sha256 %s, and %s was wished", u.From, got, u.SHA256)
	}
	return nil
}

// kubectl runs a step's kubectl on this machine.
func kubectl(ctx context.Context, s remote.Step, said func(line string)) error {
	out, errs := &output{said: said}, &output{said: said}
	err := runKubectl(ctx, s.Title, *s.Kubectl, out, errs)
	out.flush()
	errs.flush()
	var failed *remote.CommandError
	if errors.As(err, &failed) && failed.Stderr == "" {
		failed.Stderr = remote.Safe(string(bytes.TrimSpace(out.tail)))
	}
	return err
}

// runKubectl runs kubectl on this machine, in its environment. Title is what it
// does, for errors, which have the end of what it said.
func runKubectl(ctx context.Context, title string, k remote.Kubectl, out io.Writer, errs *output) error {
	limit := cmp.Or(k.Timeout, time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no end within %s", limit))
	defer cancel()
	c := exec.CommandContext(ctx, kubectlProgram, k.Args...)
	c.Stdout, c.Stderr = out, errs
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it takes back what it can
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", title, context.Cause(ctx))
	case errors.As(err, &failed):
		return &remote.CommandError{Title: title, Exit: failed.ExitCode(), Reason: failed.String(),
			Stderr: remote.Safe(string(bytes.TrimSpace(errs.tail)))}
	}
	return fmt.Errorf("%s: %w", title, err)
}

// output tells each line of what a program prints, and keeps the end of it.
type output struct {
	said func(line string) // nil: nobody is told
	line []byte            // begun, and not ended yet
	tail []byte
}

const (
	maxTail = 2 << 10
	maxLine = 4 << 10
)

func (o *output) Write(b []byte) (int, error) {
	o.tail = append(o.tail, b...)
	o.tail = o.tail[max(0, len(o.tail)-maxTail):]
	for rest := b; o.said != nil && len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		o.line = append(o.line, line[:min(len(line), max(0, maxLine-len(o.line)))]...)
		if ended {
			o.flush()
		}
		rest = after
	}
	return len(b), nil
}

// flush tells the line that was begun.
func (o *output) flush() {
	if len(o.line) > 0 {
		o.said(remote.Safe(string(o.line)))
		o.line = o.line[:0]
	}
}
