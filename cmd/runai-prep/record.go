package main

import "github.com/spf13/cobra"

type recordFlags struct {
	dir  string
	mask []string
}

func (a *app) recordFlags(c *cobra.Command) {}
