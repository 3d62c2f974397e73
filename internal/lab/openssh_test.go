package lab

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The practice hosts are for people too, who come with their own ssh.
func TestOpenSSH(t *testing.T) {
	for _, program := range []string{"ssh", "sftp"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no OpenSSH client here: %v", err)
		}
	}
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	config := filepath.Join(dir, "ssh_config")
	run := func(stdin string, command ...string) result {
		t.Helper()
		cmd := exec.Command(command[0], append([]string{"-F", config, "-o", "BatchMode=yes"}, command[1:]...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return result{out: out.String(), err: errs.String(), exit: cmd.ProcessState.ExitCode()}
	}
	if got := run("", "ssh", "gpu-01", "echo out; echo err >&2; exit 7"); got != (result{out: "out\n", err: "err\n", exit: 7}) {
		t.Errorf("exec: %+v", got)
	}
	if got := run("uname -n\nid -u\n", "ssh", "gpu-02", "sudo -n /bin/sh"); got != (result{out: "gpu-02\n0\n"}) {
		t.Errorf("script on stdin: %+v", got)
	}
	if got := run(password+"\necho \"$SUDO_USER\"\n", "ssh", "gpu-06", "sudo -S -p '' /bin/sh"); got != (result{out: "ops\n"}) {
		t.Errorf("sudo with the password: %+v", got)
	}
	if got := run("wrong\n", "ssh", "gpu-06", "sudo -S -p '' true"); got.exit != 1 || !strings.Contains(got.err, "Sorry, try again.") {
		t.Errorf("sudo with a wrong one: %+v", got)
	}
	if got := run("", "ssh", "gpu-08", "true"); got.exit != 255 || !strings.Contains(got.err, "refused") {
		t.Errorf("the unreachable: %+v", got)
	}
	if got := run("", "ssh", "gpu-09", "true"); got.exit != 255 || !strings.Contains(got.err, "HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("the impostor: %+v", got)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("uploaded\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// OpenSSH's rename is posix-rename, which replaces.
	if got := run("put "+file+" a\nput "+file+" b\nrename a b\nmkdir d\nls -1\nchmod 640 b\n", "sftp", "-b", "-", "gpu-01"); got.exit != 0 || !strings.Contains(got.out, "\nb\nd\n") {
		t.Errorf("sftp: %+v", got)
	}
	if out, _ := f.Machine("gpu-01").Run("stat -c '%U %a %s' /home/ops/b"); out != "ops 640 9\n" {
		t.Errorf("uploaded: %q", out)
	}
	// Through one practice host to another, as through a bastion.
	if got := run("", "ssh", "-J", "gpu-01", "gpu-02", "hostname"); got != (result{out: "gpu-02\n"}) {
		t.Errorf("through a bastion: %+v", got)
	}
}
