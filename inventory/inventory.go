// Package inventory reads what a user wants of which hosts: HCL in, a list of
// hosts out, or diagnostics that say what is wrong, where and what to do.
package inventory

import "github.com/hashicorp/hcl/v2"

// Options are what a command line adds to an inventory.
type Options struct {
	Vars     []string // "name=value", as -var gives them, in order
	VarFiles []string
	// LookupEnv is os.LookupEnv, or a test's.
	LookupEnv func(string) (string, bool)
}

// A Profile is a named set of requirements.
type Profile struct{ Name string }

// Load reads the inventory at path, a file or a folder of *.hcl files.
func Load(path string, o Options) (*Inventory, hcl.Diagnostics) { panic("not yet written") }
