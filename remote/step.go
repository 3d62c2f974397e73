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
	Install *Packages
	Reboot  *Reboot
}

// A Command is a POSIX shell script run by root.
type Command struct {
	// Script may hold values of an inventory or a host only through Quote.
	Script  string
	Timeout time.Duration // 0: one minute
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
}

// Packages are installed by the host's package manager, without questions.
type Packages struct {
	Manager string // apt, dnf, yum, zypper
	Names   []string
	Timeout time.Duration // 0: fifteen minutes
}

// A Reboot restarts the host and waits for it to be back with a new boot id.
type Reboot struct {
	Timeout time.Duration // 0: fifteen minutes
}
