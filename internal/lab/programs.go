package lab

// findProgram is the table of contents of what can be run on a practice
// host. A file whose program is not here is one that nobody has asked for
// yet: it fails as if it were not there, and Missing lists it.
func findProgram(name string) func(*process) int {
	switch name {
	case "sh", "dash", "bash":
		return sh

	// files.go
	case "ls":
		return ls
	case "cp":
		return cp
	case "mv":
		return mv
	case "rm":
		return rm
	case "rmdir":
		return rmdir
	case "mkdir":
		return mkdir
	case "install":
		return installProgram
	case "ln":
		return ln
	case "touch":
		return touch
	case "chmod":
		return chmod
	case "chown":
		return chown
	case "chgrp":
		return chgrp
	case "mktemp":
		return mktemp
	case "readlink", "realpath":
		return readlink
	case "truncate":
		return truncate
	case "dd":
		return dd
	case "find":
		return find
	case "sync":
		return syncProgram

	// stat.go
	case "stat":
		return statProgram
	case "df":
		return df

	// text.go
	case "cat":
		return cat
	case "head":
		return head
	case "tail":
		return tail
	case "wc":
		return wc
	case "tee":
		return tee
	case "cmp":
		return cmp
	case "echo":
		return echo
	case "printf":
		return printf
	case "basename", "dirname":
		return basename

	// filters.go
	case "sort":
		return sortProgram
	case "uniq":
		return uniq
	case "cut":
		return cut
	case "tr":
		return tr
	case "grep":
		return grep
	case "sha256sum", "md5sum":
		return checksum

	// execution.go
	case "[", "test":
		return test
	case "env":
		return env
	case "kill":
		return killProgram
	case "nice", "ionice":
		return nice
	case "setsid", "nohup":
		return detached
	case "flock":
		return flock
	case "systemd-run":
		return systemdRun
	case "sleep":
		return sleep
	case "timeout":
		return timeout
	case "which":
		return which

	// system.go
	case "true", ":":
		return func(*process) int { return 0 }
	case "false":
		return func(*process) int { return 1 }
	case "id", "whoami", "groups":
		return id
	case "uname", "arch":
		return uname
	case "hostname":
		return hostname
	case "nproc":
		return nproc
	case "date":
		return date
	case "tty":
		return func(p *process) int { p.println("not a tty"); return 1 }
	case "pwd":
		return func(p *process) int { p.println(p.dir); return 0 }
	case "logger", "ldconfig", "depmod":
		return func(*process) int { return 0 }
	case "getent":
		return getent
	case "sysctl":
		return sysctl

	// kubernetes.go, containerd.go
	case "swapoff":
		return swapoff
	case "containerd":
		return containerdProgram
	case "reboot", "shutdown":
		return reboot

	// modules.go, gpu.go, bootkernel.go
	case "lsmod":
		return lsmod
	case "modprobe":
		return modprobe
	case "rmmod":
		return rmmod
	case "modinfo":
		return modinfo
	case "dmesg":
		return dmesg
	case "nvidia-smi":
		return nvidiaSMI
	case "update-initramfs":
		return updateInitramfs
	case "dracut", "mkinitrd":
		return dracut

	// sudo.go, sftp.go
	case "sudo":
		return sudo
	case "sftp-server":
		return sftpServer

	// mount_programs.go, namespace.go
	case "mount":
		return mountProgram
	case "umount":
		return umountProgram
	case "mountpoint":
		return mountpointProgram
	case "findmnt":
		return findmntProgram
	case "unshare":
		return unshare
	case "showmount":
		return showmount

	// systemctl.go, apt.go, dpkg.go, dkms.go
	case "systemctl":
		return systemctl
	case "dnf", "yum":
		return dnf
	case "rpm":
		return rpm
	case "zypper":
		return zypper
	case "curl":
		return curl
	case "gpg":
		return gpg
	case "update-ca-trust":
		return updateCATrust
	case "dkms":
		return dkms
	case "apt-get":
		return aptGet
	case "apt-mark":
		return aptMark
	case "apt-cache":
		return aptCache
	case "apt-config":
		return aptConfig
	case "dpkg", "dpkg-query":
		return dpkgQuery
	case "update-ca-certificates":
		return updateCA
	case "systemd-detect-virt":
		return func(p *process) int { p.println("none"); return 1 }
	}
	return nil
}
