package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first Ctrl-C (SIGTERM, or SIGHUP of a
// terminal that went away) ends, and one that only the second ends: package
// managers and other jobs at work on a host are followed to their ends under
// that one. After the second they go on by themselves.
func interruptible(parent context.Context, stderr io.Writer) (soft, hard context.Context, stop func()) {
	soft, cancelSoft := context.WithCancelCause(parent)
	hard, cancelHard := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			slog.Info("interrupted", "times", n+1)
			if n == 0 {
				fmt.Fprintln(stderr, "interrupted: stopping once what is being installed is done (once more: at once; what a host is installing goes on there)")
				cancelSoft(errInterrupted)
			} else {
				cancelHard(errInterrupted)
			}
		}
	}()
	return soft, hard, func() {
		signal.Stop(signals)
		close(done)
		cancelSoft(nil)
		cancelHard(nil)
	}
}
