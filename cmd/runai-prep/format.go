package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/inventory"
)

func (a *app) format() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "fmt [FILE|FOLDER|-]...",
		Short: "Format inventories in the one canonical way; prints the names of files it changed",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			changed := false
			for _, arg := range args {
				files, err := a.inventoryFiles(arg)
				if err != nil {
					return err
				}
				for _, file := range files {
					c, err := a.formatFile(file, check)
					if err != nil {
						return err
					}
					changed = changed || c
				}
			}
			if check && changed {
				return exitCode(2)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; exit 2 when a file is not formatted")
	return c
}

// inventoryFiles are the *.hcl files of a folder, or the file itself.
func (a *app) inventoryFiles(arg string) ([]string, error) {
	if arg == "-" {
		return []string{arg}, nil
	}
	info, err := os.Stat(arg)
	if err != nil || !info.IsDir() {
		return []string{arg}, err
	}
	return filepath.Glob(filepath.Join(arg, "*.hcl"))
}

func (a *app) formatFile(path string, check bool) (changed bool, err error) {
	var old []byte
	if path == "-" {
		old, err = io.ReadAll(a.stdin)
	} else {
		old, err = os.ReadFile(path)
	}
	if err != nil {
		return false, err
	}
	formatted, files, diags := inventory.Format(old, path)
	if diags.HasErrors() {
		return false, a.diagnose(&inventory.Inventory{Files: files}, diags)
	}
	if path == "-" && !check {
		_, err = a.stdout.Write(formatted)
		return false, err
	}
	if bytes.Equal(old, formatted) {
		return false, nil
	}
	fmt.Fprintln(a.stdout, path)
	if check {
		return true, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return true, err
	}
	return true, replaceFile(path, formatted, info.Mode().Perm())
}
