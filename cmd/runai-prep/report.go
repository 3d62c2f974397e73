package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/report"
)

func (a *app) report() *cobra.Command {
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Turn a saved JSON result into text, HTML or JUnit",
		Long: `Reads a result that plan, apply or check wrote with -o json (- is standard input) and writes it in another form.
No host is contacted. The exit code is about the reading and the writing alone: the result's own is in the document.`,
		Example: `  runai-prep check inventory.hcl -o json >last.json
  runai-prep report last.json -o html >last.html`,
		Args: arguments(1, 1, "one FILE, which plan, apply or check wrote with -o json (- is standard input)"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.checkOutputs(); err != nil {
				return err
			}
			r, err := a.saved(args[0])
			if err != nil {
				return err
			}
			if !a.write(r) {
				return exitCode(report.ExitUsage)
			}
			return nil
		},
	}
	a.outputFlags(c)
	return c
}

// saved reads a result from a file, or from standard input.
func (a *app) saved(path string) (report.Result, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return report.Result{}, err
		}
		defer f.Close()
		in = f
	}
	r, err := report.Read(in)
	if err != nil {
		return report.Result{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
