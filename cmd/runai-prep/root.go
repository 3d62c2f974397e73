package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/runai-prep/runai-prep/remote"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = ""

// app is what every command has at hand.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	hard           context.Context
	installs       atomic.Bool // hosts are being changed, or about to be

	common  commonFlags
	dialer  *remote.Dialer
	logFile *os.File
}

// commonFlags are those of every command that reads an inventory.
type commonFlags struct {
	limit, only, skip []string
	output            string
	outputFiles       []string
	vars, varFiles    []string
	parallel          int
	timeout           time.Duration
	noColor           bool
	logFile           string
	verbose           bool
	state             string
	sshConfig         string
	strict            bool
	gate              string
	record            recordFlags
	replay            string
	requirements      string // a profile in place of the inventory's own; empty: none
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "runai-prep",
		Short: "Make bare-metal hosts ready for a Kubernetes cluster with Run:ai, over SSH alone",
		Long: `runai-prep is plan and apply for bare-metal hosts: it looks at every host of an
inventory, says what is missing and why, changes it, and looks again to prove it.
A host needs sshd and /bin/sh; nothing is installed on it to be looked at.`,
		Example: `  runai-prep plan inventory.hcl
  runai-prep apply inventory.hcl
  runai-prep check inventory.hcl --limit 'gpu-*'`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           buildVersion(),
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.openLog() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("runai-prep {{.Version}}\n")
	pf := root.PersistentFlags()
	pf.BoolVar(&a.common.noColor, "no-color", false, "no colours (as with NO_COLOR in the environment)")
	pf.StringVar(&a.common.logFile, "log-file", "", "write the whole log, as JSON lines, to this file")
	pf.BoolVarP(&a.common.verbose, "verbose", "v", false, "log what is being done, to stderr")
	root.AddCommand(a.validate(), a.plan(), a.apply(), a.check(), a.facts(), a.report(),
		a.allowlist(), a.profiles(), a.explain(), a.trust(), a.format(), a.lab(), a.version())
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = knownCommand
	}
	return root
}

// knownCommand refuses to help with a command that there is not, for which cobra
// would print the help of all and be content.
func knownCommand(c *cobra.Command, args []string) error {
	found, rest, err := c.Root().Find(args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unknown command %q for %q", rest[0], found.CommandPath())
	}
	return err
}

// inventoryFlags adds the flags of a command that reads an inventory.
func (a *app) inventoryFlags(c *cobra.Command) {
	f, fs := &a.common, c.Flags()
	a.variableFlags(fs)
	fs.StringArrayVar(&f.limit, "limit", nil, "only these hosts, groups or roles: a glob `PATTERN`; ! excludes; @failed: those of the last run (repeatable)")
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
	}
	_ = c.RegisterFlagCompletionFunc("limit", a.completeLimit)
}

func (a *app) variableFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&a.common.vars, "var", nil, "set a variable: `NAME=VALUE` (repeatable)")
	fs.StringArrayVar(&a.common.varFiles, "var-file", nil, "read variables from `FILE` (repeatable)")
}

// fleetFlags adds the flags of a command that goes to hosts.
func (a *app) fleetFlags(c *cobra.Command) {
	a.inventoryFlags(c)
	f, fs := &a.common, c.Flags()
	fs.StringSliceVar(&f.only, "task", nil, "only these tasks: `NAME,…`")
	fs.StringSliceVar(&f.skip, "skip-task", nil, "not these tasks: `NAME,…`")
	fs.IntVar(&f.parallel, "parallel", 32, "hosts at once")
	fs.DurationVar(&f.timeout, "timeout", 2*time.Minute, "time for one look at one host, connecting included")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range []string{"task", "skip-task"} {
			if v, _ := fs.GetStringSlice(name); fs.Changed(name) && len(v) == 0 {
				return fmt.Errorf("--%s is empty: name a task, or leave it out", name)
			}
		}
		return a.checkNumbers()
	}
	fs.StringVar(&f.state, "state", "", "folder where the last results are remembered (default ~/.local/state/runai-prep)")
	a.sshConfigFlag(fs)
}

// checkNumbers refuses what would be taken for something else.
func (a *app) checkNumbers() error {
	switch f := &a.common; {
	case f.parallel < 1:
		return fmt.Errorf("--parallel %d: at least one host at once", f.parallel)
	case f.timeout <= 0:
		return fmt.Errorf("--timeout %s: a time above zero, such as 30s", f.timeout)
	case f.sshConfig != "":
		if _, err := os.Stat(f.sshConfig); err != nil {
			return fmt.Errorf("--ssh-config: %w", err)
		}
	}
	return nil
}

// oneInventory is the argument that most commands take.
func oneInventory(c *cobra.Command, args []string) error {
	return arguments(1, 1, "one inventory")(c, args)
}

// arguments refuses other numbers of arguments than a command takes, in words.
func arguments(least, most int, takes string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if n := len(args); n < least || n > most {
			return fmt.Errorf("%s takes %s, not %s: %s %s", c.Name(), takes, count(n, "argument"), c.Parent().CommandPath(), c.Use)
		}
		return nil
	}
}

func (a *app) sshConfigFlag(fs *pflag.FlagSet) {
	fs.StringVar(&a.common.sshConfig, "ssh-config", "", "ssh_config to honour in place of ~/.ssh/config (none: "+os.DevNull+")")
}

func (a *app) newDialer() *remote.Dialer {
	return &remote.Dialer{ConfigFile: a.common.sshConfig, Prompt: a.prompt(), Log: slog.Default()}
}

// strictFlag adds the flag by which recommendations become requirements.
func (a *app) strictFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.common.strict, "strict", false, "what falls short of a recommendation is unmet, and so no host is ready with it")
}

// outputFlags adds the flags for the form of a result.
func (a *app) outputFlags(c *cobra.Command) {
	f, fs := &a.common, c.Flags()
	fs.StringVarP(&f.output, "output", "o", "text", "form of the result on stdout: text, json, junit, html, nagios")
	fs.StringArrayVar(&f.outputFiles, "output-file", nil, "write the result to a file as well: `FILE`, in the form of -o, or FORMAT=FILE (repeatable)")
}

// openLog sets up slog: to stderr what a person asked for, to --log-file all.
func (a *app) openLog() error {
	level := slog.LevelWarn
	if a.common.verbose {
		level = slog.LevelDebug
	}
	var handler slog.Handler = tint.NewTextHandler(a.stderr, &tint.Options{Level: level, NoColor: !a.colour(a.stderr), TimeFormat: time.TimeOnly})
	if a.common.logFile != "" {
		file, err := os.OpenFile(a.common.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		a.logFile = file
		handler = slog.NewMultiHandler(handler, slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	slog.SetDefault(slog.New(handler))
	return nil
}

func (a *app) close() {
	if a.dialer != nil {
		_ = a.dialer.Close() // the hosts' own connections have been closed, and their errors seen
	}
	if a.logFile != nil {
		_ = a.logFile.Close()
	}
}

// isTerminal reports whether w or r is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour reports whether w may be coloured.
func (a *app) colour(w io.Writer) bool {
	return isTerminal(w) && !a.common.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
