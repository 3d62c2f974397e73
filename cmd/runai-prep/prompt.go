package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// prompt asks for the passphrase of a key at the terminal; nil where there is
// none, as under cron.
func (a *app) prompt() func(context.Context, string) (secret.Text, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(a.stderr) {
		return nil
	}
	return func(ctx context.Context, question string) (secret.Text, error) {
		before, err := term.GetState(int(in.Fd()))
		if err != nil {
			return secret.Text{}, err
		}
		fmt.Fprintf(a.stderr, "\r%s: ", question)
		type answer struct {
			text []byte
			err  error
		}
		answered := make(chan answer, 1)
		go func() { // a read of a terminal cannot be cancelled; it ends with the program
			text, err := term.ReadPassword(int(in.Fd()))
			answered <- answer{text, err}
		}()
		select {
		case got := <-answered:
			fmt.Fprintln(a.stderr)
			return secret.New(string(got.text)), got.err
		case <-ctx.Done():
			_ = term.Restore(int(in.Fd()), before) // echo was off
			return secret.Text{}, context.Cause(ctx)
		}
	}
}
