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

// kubectl runs a step's kubectl on this machine, with the kubeconfig of its
// environment.
func kubectl(ctx context.Context, s remote.Step, said func(line string)) error {
	limit := cmp.Or(s.Kubectl.Timeout, time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no end within %s", limit))
	defer cancel()
	c := exec.CommandContext(ctx, kubectlProgram, s.Kubectl.Args...)
	out, errs := &output{said: said}, &output{said: said}
	c.Stdout, c.Stderr = out, errs
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it takes back what it can
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	out.flush()
	errs.flush()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", s.Title, context.Cause(ctx))
	case errors.As(err, &failed):
		what := errs.tail
		if len(bytes.TrimSpace(what)) == 0 {
			what = out.tail
		}
		return &remote.CommandError{Title: s.Title, Exit: failed.ExitCode(), Reason: failed.String(),
			Stderr: remote.Safe(string(bytes.TrimSpace(what)))}
	}
	return fmt.Errorf("%s: %w", s.Title, err)
}

// output tells each line of what a program prints, and keeps the end of it.
type output struct {
	said func(line string)
	line []byte // begun, and not ended yet
	tail []byte
}

const (
	maxTail = 2 << 10
	maxLine = 4 << 10
)

func (o *output) Write(b []byte) (int, error) {
	o.tail = append(o.tail, b...)
	o.tail = o.tail[max(0, len(o.tail)-maxTail):]
	for rest := b; len(rest) > 0; {
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
