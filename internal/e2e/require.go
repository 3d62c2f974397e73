//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// Require skips the test, saying why, where no Lab can run. With
// RUNAI_PREP_E2E=require in the environment it fails the test instead, so that
// a CI job that is meant to run these tests cannot pass by skipping them.
func Require(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("e2e: not with -short: boots real hosts")
	}
	unavailable(t, missingForHosts())
}

// RequireVM is [Require] for tests that call [Lab.VM]. They are slow, so they
// run only with RUNAI_PREP_E2E_VM=1.
func RequireVM(t testing.TB) {
	t.Helper()
	Require(t)
	if os.Getenv("RUNAI_PREP_E2E_VM") != "1" {
		t.Skip("e2e: set RUNAI_PREP_E2E_VM=1 to run tests in an emulated machine (half a minute a boot, minutes to build it once)")
	}
	unavailable(t, missingForVMs())
}

// RequireLong is [Require] for tests that take minutes each on a quiet machine:
// they run only with RUNAI_PREP_E2E_LONG=1, as make e2e does.
func RequireLong(t testing.TB) {
	t.Helper()
	Require(t)
	if os.Getenv("RUNAI_PREP_E2E_LONG") != "1" {
		t.Skip("e2e: set RUNAI_PREP_E2E_LONG=1 to run tests that take minutes each (make e2e does)")
	}
}

func unavailable(t testing.TB, reason string) {
	t.Helper()
	switch {
	case reason == "":
	case os.Getenv("RUNAI_PREP_E2E") == "require":
		t.Fatalf("e2e: RUNAI_PREP_E2E=require, but %s", reason)
	default:
		t.Skipf("e2e: %s", reason)
	}
}

func missingForHosts() string {
	if os.Geteuid() != 0 {
		return "booting hosts needs root"
	}
	if r := missingPrograms(
		"systemd-nspawn", "systemd-container", "mmdebstrap", "mmdebstrap", "ip", "iproute2",
		"ssh", "openssh-client", "ssh-keygen", "openssh-client", "unshare", "util-linux", "flock", "util-linux",
		"dpkg-scanpackages", "dpkg-dev", "gpg", "gnupg", "apt-get", "apt",
	); r != "" {
		return r
	}
	if fs, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(fs), "\toverlay\n") {
		// Loading it is the administrator's business, not a test's.
		return "the kernel offers no overlayfs (modprobe overlay?)"
	}
	for _, h := range []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if f, err := os.OpenFile(h+"/cgroup.procs", os.O_WRONLY, 0); err == nil {
			_ = f.Close()
			return ""
		}
	}
	return "no control group hierarchy is writable under /sys/fs/cgroup"
}

func missingForVMs() string {
	if runtime.GOARCH != "amd64" {
		return "the emulated machine is built for amd64 only, and this is " + runtime.GOARCH
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "an emulated machine on the bridge needs /dev/net/tun"
	}
	return missingPrograms("qemu-system-x86_64", "qemu-system-x86", "mke2fs", "e2fsprogs", "debugfs", "e2fsprogs")
}

// missingPrograms takes pairs of a program and the Debian package that has it.
func missingPrograms(pairs ...string) string {
	var programs, packages []string
	for i := 0; i < len(pairs); i += 2 {
		if _, err := exec.LookPath(pairs[i]); err != nil {
			programs, packages = append(programs, pairs[i]), append(packages, pairs[i+1])
		}
	}
	if programs == nil {
		return ""
	}
	return fmt.Sprintf("this machine lacks %s (apt-get install %s)", strings.Join(programs, ", "), strings.Join(packages, " "))
}
