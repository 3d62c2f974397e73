// Package lab is the embedded practice fleet behind runai-prep lab, demos,
// script tests and fleet-size tests: hosts that live in the memory of this
// process and are reached over real SSH on loopback.
//
// A practice host runs the very scripts that a real one would, in mvdan.cc/sh,
// over a filesystem, a package database, units and mounts of its own. Nothing
// of the real machine can be reached from it.
//
// Where things are:
//
//	fleet.go      Config, Start, Fleet; inventory.go the inventory it writes
//	clinic.go     which hosts there are; illnesses.go what is wrong with each
//	machine.go    a host: its state, processes, what a person at its console can do
//	server.go     its sshd; session.go one program over it; sftp.go its files
//	shell.go      /bin/sh on the interpreter; rewrite.go what makes it dash;
//	              builtins.go those that the interpreter lacks
//	process.go    a running program; programs.go which there are, and where;
//	              sudo.go how one becomes root's, flock.go what it has locked
//	filesystem.go the tree, node.go its nodes, file.go open files
//	image.go      the disk of a fresh host; kernel.go its /proc and /sys, proc.go
//	              /proc/PID, made.go what is made up when somebody looks;
//	              distro.go and rpmdistros.go per distribution
//	modules.go    kernel modules on disk and loaded; bootkernel.go a boot, and
//	              initramfs; gpu.go what is on the PCI bus, and who uses it
//	packages.go   packages and what their installation does; solver.go what a
//	              wish comes to, versions.go, repositories.go; apt.go, dpkg.go,
//	              rpm.go, dnf.go, zypper.go the managers; dkms.go
//	debian.go, nvidia_deb.go
//	              what the repositories hold; rpmdistros.go for EL and SUSE
//	kubernetes.go  settings of a boot, swap, control groups
//	mounts.go, units.go
//	              fstab and NFS, systemd
//
// testdata/fidelity holds scripts that must print the same under a real dash
// with real coreutils and on a practice host: whoever adds a program adds
// lines there.
//
// What is imitated is what our scripts use, down to messages and exit
// statuses. A program or an option that is not there fails as on a host that
// lacks it, and is listed by Machine.Missing, so that a test can insist that
// nothing was missing.
package lab
