package lab

// A distro is an operating system that practice hosts run.
type distro struct {
	name         string // of its folder under images, "debian-12"
	manager      string // apt, dnf, zypper
	kernel       string // uname -r of a fresh host
	version      string // /proc/version
	modules      []string
	programs     map[string]string // that it has beside basePrograms
	sh           string            // what /bin/sh is
	installed    map[string]string // packages of a fresh host, with versions
	repositories []*repository     // all that can be set up
	passwd       string            // filled by loadImages
	group        string
}

func distros() []distro { return []distro{debian12(), ubuntu2204(), rocky9(), sles15()} }

func debian12() distro {
	return distro{
		name:    "debian-12",
		manager: "apt", sh: "dash", programs: debianPrograms,
		kernel:  "6.1.0-37-amd64",
		version: "Linux version 6.1.0-37-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)",
		modules: []string{"ext4", "mbcache", "jbd2", "igb", "nvme", "nvme_core", "sunrpc"},
		installed: map[string]string{
			"apt": "2.6.1", "base-files": "12.4+deb12u11", "bash": "5.2.15-2+b8", "ca-certificates": "20230311+deb12u1",
			"coreutils": "9.1-1", "dash": "0.5.12-2", "dpkg": "1.21.22", "kmod": "30+20221128-1", "libc6": "2.36-9+deb12u10",
			"linux-image-6.1.0-37-amd64": "6.1.140-1", "mount": "2.38.1-5+deb12u3", "openssh-server": "1:9.2p1-2+deb12u6",
			"openssh-sftp-server": "1:9.2p1-2+deb12u6", "openssl": "3.0.16-1~deb12u1", "procps": "2:4.0.2-3", "sudo": "1.9.13p3-1+deb12u2",
			"systemd": "252.38-1~deb12u1", "util-linux": "2.38.1-5+deb12u3",
		},
		repositories: debianRepositories(),
	}
}

func ubuntu2204() distro {
	return distro{
		name:    "ubuntu-22.04",
		manager: "apt", sh: "dash", programs: debianPrograms,
		kernel:  "5.15.0-143-generic",
		version: "Linux version 5.15.0-143-generic (buildd@lcy02-amd64-110) (gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0, GNU ld (GNU Binutils for Ubuntu) 2.38) #153-Ubuntu SMP Fri Jun 13 19:10:45 UTC 2025",
		modules: []string{"ext4", "mbcache", "jbd2", "igb", "nvme", "nvme_core", "sunrpc"},
		installed: map[string]string{
			"apt": "2.4.14", "base-files": "12ubuntu4.7", "bash": "5.1-6ubuntu1.1", "ca-certificates": "20240203~22.04.1",
			"coreutils": "8.32-4.1ubuntu1.2", "dash": "0.5.11+git20210903+really0.5.11-4+b1", "dpkg": "1.21.1ubuntu2.3", "kmod": "29-1ubuntu1",
			"libc6": "2.35-0ubuntu3.10", "linux-image-5.15.0-143-generic": "5.15.0-143.153", "mount": "2.37.2-4ubuntu3.4",
			"openssh-server": "1:8.9p1-3ubuntu0.13", "openssh-sftp-server": "1:8.9p1-3ubuntu0.13", "openssl": "3.0.2-0ubuntu1.19",
			"procps": "2:3.3.17-6ubuntu2.1", "sudo": "1.9.9-1ubuntu2.5", "systemd": "249.11-0ubuntu3.16", "util-linux": "2.37.2-4ubuntu3.4",
		},
		repositories: ubuntuRepositories(),
	}
}

func service(description, command string) string {
	return "[Unit]\nDescription=" + description + "\nAfter=network.target\n\n[Service]\nExecStart=" + command +
		"\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n"
}

// basePrograms are the files of a fresh host that can be run.
var basePrograms = map[string]string{
	"/usr/bin": "[ basename bash cat chgrp chmod chown cksum cmp cp cut date dd df diff dirname dmesg du echo env " +
		"expr false find findmnt getent grep groups head hostname hostnamectl id install journalctl kill ln ls md5sum mkdir mktemp mount mountpoint mv nohup nproc openssl pgrep " +
		"printf ps pwd readlink realpath rm rmdir scp sed setsid sha256sum sleep sort stat sudo sync systemctl systemd-detect-virt systemd-run tail tee test timedatectl timeout " +
		"touch tr true truncate tty umount uname uniq unshare uptime wc which whoami xargs awk arch free lscpu logger loginctl ionice nice flock",
	"/usr/sbin": "blkid chroot depmod insmod ldconfig lsmod modinfo modprobe reboot rmmod shutdown sshd swapoff swapon sysctl usermod",
}

var debianPrograms = map[string]string{
	"/usr/bin":         "apt-cache apt-config apt-get apt-mark dash dpkg dpkg-query",
	"/usr/sbin":        "update-ca-certificates update-initramfs",
	"/usr/lib/openssh": "sftp-server",
}
