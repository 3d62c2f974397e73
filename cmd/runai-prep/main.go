// Command runai-prep brings bare-metal hosts to where a Kubernetes cluster
// with Run:ai can be installed on them, over SSH alone, and keeps them there.
//
// This package holds no logic: one file a command, flags in, exit code out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; its result is the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	ctx, stop := a.interruptible(ctx)
	defer stop()
	root := a.root()
	root.SetArgs(terraformStyle(args))
	err := root.ExecuteContext(ctx)
	a.close()
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		fmt.Fprintf(stderr, "runai-prep: %v\n", err)
		return 1
	}
	return 0
}

// terraformStyle lets -var and -var-file be written with one dash, as hands
// that know Terraform do.
func terraformStyle(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if name, _, _ := strings.Cut(arg, "="); name == "-var" || name == "-var-file" {
			args[i] = "-" + arg
		}
	}
	return args
}

// An exitCode is an error that has been reported already: what is left of it
// is the status.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// interrupted is the exit code after Ctrl-C.
const interrupted exitCode = 130
