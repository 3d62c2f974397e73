// Package inventory reads what a user wants of which hosts: HCL in, a list of
// hosts out, or diagnostics that say what is wrong, where and what to do.
//
// Load goes through these steps, each in a file of its own:
//
//	read.go       files to blocks
//	variables.go  variables, from --var, files and the environment; locals
//	functions*.go what expressions may call
//	profile*.go   requirement profiles, built in (profiles/*.hcl) or declared:
//	              their language, and which hosts a role of theirs means
//	block.go      settings blocks, evaluated, as layers with their places
//	ssh.go, network.go, mount.go, machine.go
//	              which attributes each block has, and their checks
//	value.go, check.go
//	              an attribute's value converted, and checked as text
//	secrets*.go   what no diagnostic shows: learnt, masked, blanked
//	hosts.go      host patterns expanded, addresses, roles, groups
//	images.go     container images that are to run
//	ignore.go     findings that somebody takes responsibility for
//	settings.go   the layers of a host merged into its Settings
//
// Beside it stand Format, Select (for --limit), Compact and ExpandNames (host
// patterns) and WriteDiagnostics.
package inventory

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Options are what a command line adds to an inventory. The zero value reads
// the process's environment and runs real commands.
type Options struct {
	Vars     []string // "name=value", as --var gives them, in order
	VarFiles []string
	// Requirements names the profile that takes the place of all that the
	// inventory chooses, at every level; empty: as it says.
	Requirements string
	// Subjects are the names that the findings of each task can have, in
	// which * stands for what differs from host to host; of a task that is
	// not in it, and where it is nil, any name is believed.
	Subjects map[string][]string
	// LookupEnv is os.LookupEnv, or a test's.
	LookupEnv func(string) (string, bool)
	// Run runs argv for the function command() and returns its standard
	// output; nil runs it on this machine.
	Run func(ctx context.Context, argv []string) ([]byte, error)
	// NoCommands makes command() and sops() fail instead of running a
	// program: for shell completion and other readers that nobody asked
	// to run one. Everything else is read as far as it goes.
	NoCommands bool
	// Now is the clock that certificates are held against; nil: time.Now.
	Now func() time.Time
}

// Load reads the inventory at path, a file or a folder of *.hcl files.
//
// The inventory is never nil, so that its Files serve to print the
// diagnostics. Its hosts are for use only when there is no error among them.
func Load(path string, o Options) (*Inventory, hcl.Diagnostics) {
	l := newLoader(path, o)
	inv := &Inventory{Path: path, Files: l.files}
	decls := l.read(path)
	if l.unparsed {
		// What did not parse may declare what the rest refers to: going on
		// would report faults that are none.
		l.secrets.blank(l.files)
		return inv, l.sorted()
	}
	inv.Sensitive = l.variables(decls.variables)
	l.locals(decls.locals)
	l.profiles(decls.profiles)
	l.hosts(decls, inv)
	l.secrets.blank(l.files)
	return inv, l.sorted()
}

// A loader is one run of Load.
type loader struct {
	faults
	secrets secrets
	options Options
	now     time.Time
	base    string // the folder that relative paths start from
	files   map[string]*hcl.File
	root    *hcl.EvalContext
	names   map[string][]string // what may follow var. and local.
	profile profileSet
	// taken holds the roles that some host has.
	taken map[string]bool
	// noProxyAt is where the no_proxy of a proxy stands.
	noProxyAt map[*Proxy]hcl.Range
	// unparsed says that a file is missing from what was read, in part or as
	// a whole.
	unparsed bool
}

func newLoader(path string, o Options) *loader {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Run == nil {
		o.Run = runLocally
	}
	if o.NoCommands {
		o.Run = func(context.Context, []string) ([]byte, error) { return nil, errNoCommands }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	base := path
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		base = filepath.Dir(path)
	}
	l := &loader{options: o, now: o.Now(), base: base, files: map[string]*hcl.File{}, names: map[string][]string{}, taken: map[string]bool{}, noProxyAt: map[*Proxy]hcl.Range{}}
	l.mask, l.conceal = l.secrets.mask, l.secrets.conceal
	l.root = &hcl.EvalContext{Functions: l.functions()}
	return l
}

// resolve makes a path of the inventory absolute to its folder; "~/" stays, as
// it is expanded where the file is opened.
func (l *loader) resolve(p string) string {
	if p == "" || filepath.IsAbs(p) || p[0] == '~' {
		return p
	}
	return filepath.Join(l.base, p)
}
