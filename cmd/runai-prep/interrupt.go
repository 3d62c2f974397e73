package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first Ctrl-C (SIGTERM, or SIGHUP of a
// terminal that went away) ends, and sets the one that only the second ends:
// package managers and other jobs at work on a host are followed to their ends
// under that one. After the second they go on by themselves. The third is no
// longer caught: it ends the program, whatever that hangs at.
func (a *app) interruptible(parent context.Context) (ctx context.Context, stop func()) {
	soft, cancelSoft := context.WithCancelCause(parent)
	hard, cancelHard := context.WithCancelCause(parent)
	a.hard = hard
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	caught := func() bool {
		select {
		case <-done:
			return false
		case <-signals:
			return true
		}
	}
	go func() {
		if !caught() {
			return
		}
		slog.Info("interrupted")
		if a.installs.Load() {
			fmt.Fprintln(a.stderr, "interrupted: stopping once what is being installed is done (once more: at once; what a host is installing goes on there)")
		} else {
			fmt.Fprintln(a.stderr, "interrupted: stopping")
		}
		cancelSoft(errInterrupted)
		if !caught() {
			return
		}
		slog.Info("interrupted again")
		signal.Stop(signals)
		fmt.Fprintln(a.stderr, "interrupted again: stopping at once (once more ends runai-prep, whatever it waits for)")
		cancelHard(errInterrupted)
	}()
	return soft, func() {
		signal.Stop(signals)
		close(done)
		cancelSoft(nil)
		cancelHard(nil)
	}
}
