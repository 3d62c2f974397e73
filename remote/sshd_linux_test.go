package remote

import (
	"os/exec"
	"syscall"
)

// dieWithUs: a test that is killed takes its sshd along, in a group of its own
// so that Ctrl-C ends the test first.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
