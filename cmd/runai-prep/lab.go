package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/lab"
)

func (a *app) lab() *cobra.Command {
	var hosts int
	var latency time.Duration
	c := &cobra.Command{
		Use:   "lab [FOLDER] [-- COMMAND ARG...]",
		Short: "Start practice hosts on loopback, each with an illness of its own, and write an inventory for them",
		Long: `lab starts an embedded fleet of practice hosts: real SSH and SFTP servers on
loopback in front of machines in memory. Nothing of this computer is touched but
FOLDER (default ./runai-prep-lab), which is given an inventory, a key and a
known_hosts file. The hosts live until Ctrl-C, or while COMMAND runs: it runs in
FOLDER, and lab ends with its exit code.`,
		Example: `  runai-prep lab &
  cd runai-prep-lab && runai-prep plan inventory.hcl

  runai-prep lab -- runai-prep plan inventory.hcl`,
		RunE: func(c *cobra.Command, args []string) error {
			var command []string
			if at := c.ArgsLenAtDash(); at >= 0 {
				args, command = args[:at], args[at:]
			}
			if hosts < 0 {
				return fmt.Errorf("--hosts %d: not a number of hosts", hosts)
			}
			folder := "runai-prep-lab"
			switch {
			case len(args) == 1:
				folder = args[0]
			case len(args) > 1:
				return fmt.Errorf("lab takes one folder, not %d (a command comes after --)", len(args))
			}
			fleet, err := lab.Start(c.Context(), lab.Config{Dir: folder, Hosts: hosts, Latency: latency})
			if err != nil {
				return err
			}
			defer fleet.Close()
			if len(command) > 0 {
				return a.inLab(c, folder, command)
			}
			fmt.Fprintf(a.stdout, "%s are up; the way to them is in %s.\n\n  cd %s\n  runai-prep plan inventory.hcl\n  runai-prep apply inventory.hcl\n  runai-prep check inventory.hcl\n\nCtrl-C ends them, and what was done to them is forgotten.\n",
				count(len(fleet.Hosts), "practice host"), filepath.Join(folder, "inventory.hcl"), folder)
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().IntVar(&hosts, "hosts", 0, "that many healthy hosts, in place of the sick ones")
	c.Flags().DurationVar(&latency, "latency", 0, "answer that much later, as hosts far away do")
	return c
}

// inLab runs a command while the practice hosts are up. This program is first
// on its PATH.
func (a *app) inLab(c *cobra.Command, folder string, command []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv("PATH", filepath.Dir(self)+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	child := exec.CommandContext(c.Context(), command[0], command[1:]...)
	child.Dir = folder
	child.Stdin, child.Stdout, child.Stderr = a.stdin, a.stdout, a.stderr
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	child.WaitDelay = 10 * time.Second
	err = child.Run()
	var failed *exec.ExitError
	switch {
	case c.Context().Err() != nil:
		return interrupted
	case errors.As(err, &failed) && failed.ExitCode() > 0:
		return exitCode(failed.ExitCode())
	case errors.As(err, &failed): // ended by a signal, as a shell says it
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitCode(128 + int(status.Signal()))
		}
	}
	return err
}
