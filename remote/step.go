package remote

import (
	"io/fs"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// A Step is one change to a host, as data: a plan prints exactly what will
// run, and a test of a task needs no connection. Exactly one of the pointers
// is set.
type Step struct {
	// Title is the step in one line, as plans, logs and results show it:
	// "write /etc/fstab", "mount /mnt/data". It never holds a secret.
	Title string
	// Disrupts says what running work will notice ("containerd restarts;
	// running containers go on"). Empty: nothing.
	Disrupts string

	Run     *Command
	Write   *File
	Remove  *Removal
	Upload  *Upload
	Install *Packages
	Reboot  *Reboot
	Kubectl *Kubectl
}

// A Command is a POSIX shell script run by root.
type Command struct {
	// Script may hold values of an inventory or a host only through Quote.
	Script  string
	Timeout time.Duration // 0: one minute
	// Detached: it runs as a job, which outlives the connection and the
	// controller, as package installations do: for what must not be cut off
	// in the middle. Its output is followed live.
	Detached bool
	// Guard: it only asks whether the steps after it may be carried out. When
	// it fails nothing has gone wrong: what it guards is left undone, by
	// choice, and what it wrote to stderr says why.
	Guard bool
}

// A File is a file to be written, atomically: beside, synced, checked,
// renamed. An old file keeps owner and SELinux label, and its content is kept
// once under /var/lib/runai-prep/backup, unless it is ours.
type File struct {
	Path string
	Mode fs.FileMode // 0: as it is; for a new file 0644, with Secret 0600
	Data string
	// Secret, in place of Data, is content that nothing shows. The file is
	// root's then, whoever owned it before.
	Secret secret.Text
	// Ours: runai-prep made this file, so that there is no older content of
	// somebody else's to keep, and no password of ours is to be kept in its
	// place. Not for a file of somebody else's that we only edit.
	Ours bool
	// Old is the content that the plan was made from: the base of the diff
	// and a condition, for a file that has become another since is not
	// overwritten. nil: there was no file. Not looked at with Secret.
	Old *string
	// Verify is a script that is given the new file as $1 before it takes
	// the old one's place; when it fails, nothing has changed.
	Verify string
}

// A Removal takes a file away that a former step wrote.
type Removal struct {
	Path string
	Old  *string // a condition, as in File; nil: whatever it holds
	Ours bool    // as in File: its content is not kept
	// Verify is a script, as in File; when it fails, nothing has changed.
	Verify string
}

// An Upload brings a file that is too large to be content of a plan from the
// controller to the host: streamed, and its sum verified on both ends.
type Upload struct {
	From   string // on the controller
	Path   string // on the host
	Mode   fs.FileMode
	SHA256 string // in lower-case hex; empty: only that both ends have the same
}

// Packages are installed by the host's package manager, without questions, as
// a job. A lock that another program holds is waited for, its holder named;
// an interrupted dpkg is finished first.
type Packages struct {
	Manager string // apt, dnf, yum, zypper
	// Names are as the manager spells them, with a version where one is
	// wished: "nvidia-smi=535.261.03-1" for apt and zypper,
	// "nvidia-driver-535.261.03" for dnf.
	Names []string
	// Optional are those of Names that are left out where no repository has
	// them; for apt alone.
	Optional []string
	Remove   []string // go in the same transaction (zypper: or NAME=VERSION); nothing else may be removed
	// Replaces: packages that are not named may be removed where those of
	// Names conflict with them (a change of branch). Never a running kernel.
	Replaces     bool
	Release      string // the release to take them from, as apt's -t
	Refresh      bool   // fetch the package lists first
	Downgrade    bool   // an older version may take a newer one's place
	Held         bool   // packages on hold may change too
	DownloadOnly bool   // fetch everything, change nothing
	// Preferences is a folder that apt reads in place of /etc/apt/preferences.d,
	// this once.
	Preferences string
	// Stream of a module, "nvidia-driver:550-open", is what dnf takes the
	// packages from. It becomes that of the host with the transaction: where
	// there is none, or it failed, the host has the stream that it had.
	Stream  string
	Timeout time.Duration // 0: fifteen minutes
}

// A Reboot restarts the host and waits for it to be back with a new boot id.
type Reboot struct {
	Timeout time.Duration // 0: fifteen minutes
	// Refused says who does not allow it ("inventory.hcl:12"): the step stands
	// in the plan, and is left undone.
	Refused string
}

// A Cluster is how the controller's kubectl finds one.
type Cluster struct {
	Kubeconfig string // a file; empty: kubectl's own choice
	Context    string // in it; empty: its current one
}

// Flags are kubectl's, for this cluster.
func (c Cluster) Flags() []string {
	var flags []string
	if c.Kubeconfig != "" {
		flags = append(flags, "--kubeconfig="+c.Kubeconfig)
	}
	if c.Context != "" {
		flags = append(flags, "--context="+c.Context)
	}
	return flags
}

// Kubectl is run on the controller; it is not Do's to carry out.
type Kubectl struct {
	Args    []string
	Timeout time.Duration // 0: one minute
	Guard   bool          // as in Command: a node that cannot be drained is left as it is, by choice
}
