package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c Config) *Fleet {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	f, err := Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// dial connects as the inventory says, with the files that it names.
func dial(t *testing.T, f *Fleet, dir, name string) (*ssh.Client, error) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "id_ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(filepath.Join(dir, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", f.Address(name), &ssh.ClientConfig{
		User: "ops", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: known, Timeout: 5 * time.Second,
	})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func mustDial(t *testing.T, f *Fleet, dir, name string) *ssh.Client {
	t.Helper()
	c, err := dial(t, f, dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type result struct {
	out, err string
	exit     int
	signal   string
}

func run(t *testing.T, c *ssh.Client, command, stdin string) result {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(stdin), &out, &errs
	err = s.Run(command)
	r := result{out: out.String(), err: errs.String()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		r.exit, r.signal = exit.ExitStatus(), exit.Signal()
	case err != nil:
		t.Fatalf("%s: %v", command, err)
	}
	return r
}

func TestExec(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	c := mustDial(t, f, dir, "gpu-01")
	for _, test := range []struct {
		name, command, stdin string
		want                 result
	}{
		{"exit status", "echo hello; exit 3", "", result{out: "hello\n", exit: 3}},
		{"stdin", "cat", "some\x00bytes", result{out: "some\x00bytes"}},
		{"a script on stdin after a line for the shell before", "read -r a; /bin/sh", "first\necho $$ | grep -c .\n: \"$a\"; cat\n", result{out: "1\n"}},
		{"who", "id -u; pwd; echo $HOME", "", result{out: "1000\n/home/ops\n/home/ops\n"}},
		{"not found", "nosuch -x", "", result{err: "bash: 1: nosuch: not found\n", exit: 127}},
		{"not allowed", "echo x >/etc/hostname", "", result{err: "bash: 1: cannot create /etc/hostname: Permission denied\n", exit: 1}},
		{"root through sudo", "sudo -n id -un", "", result{out: "root\n"}},
		{"killed", "kill -KILL $$; echo not here", "", result{exit: 137, signal: "KILL"}},
		{"timeout", "timeout 0.05 sleep 60; echo $?", "", result{out: "124\n"}},
		{"process group of timeout", `timeout 5 sh -c 'read -r _ _ _ _ g _ </proc/self/stat; kill -s KILL -- -$g; sleep 9'; echo $?`, "", result{out: "137\n"}},
		{"background job", "sleep 60 & p=$!; kill $p; wait $p; echo $?", "", result{out: "143\n", err: "Terminated\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := run(t, c, test.command, test.stdin); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
	if got := f.Machine("gpu-01").Missing(); len(got) != 1 || got[0] != "nosuch" {
		t.Errorf("missing: %v", got)
	}
}

func TestSudoWithPassword(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	c := mustDial(t, f, dir, "gpu-06")
	for _, test := range []struct {
		name, command, stdin string
		want                 result
	}{
		{"refused without", "sudo -n true", "", result{err: "sudo: a password is required\n", exit: 1}},
		{"right", "sudo -S -p ask: sh", password + "\nid -u\n", result{out: "0\n", err: "ask:"}},
		{"wrong", "sudo -S -p ask: id", "wrong\n", result{err: "ask:Sorry, try again.\nask:sudo: no password was provided\nsudo: 1 incorrect password attempt\n", exit: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := run(t, c, test.command, test.stdin); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestSFTP(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	c, err := sftp.NewClient(mustDial(t, f, dir, "gpu-01"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	for _, name := range []string{"upload", "other"} {
		h, err := c.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.Chmod(0o640), h.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Rename("other", "upload"); err == nil {
		t.Error("a rename replaced a file")
	}
	if err := c.PosixRename("other", "upload"); err != nil {
		t.Error(err)
	}
	if got, err := f.Machine("gpu-01").ReadFile("/home/ops/upload"); err != nil || got != string(data) {
		t.Errorf("read %d bytes back, %v", len(got), err)
	}
	if i, err := c.Stat("upload"); err != nil || i.Mode() != 0o640 {
		t.Errorf("stat: %v, %v", i, err)
	}
	if _, err := c.Create("/etc/upload"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("create in /etc: %v", err)
	}
}

// What a host has in memory goes with a reboot, what is on its disk stays.
func TestReboot(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	m := f.Machine("gpu-01")
	c := mustDial(t, f, dir, "gpu-01")
	before := m.BootID()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	// As on any host, the connection may be dropped before the status arrives.
	var exit *ssh.ExitError
	if err := s.Run("sudo -n sh -c 'echo kept >/var/lib/kept; echo gone >/tmp/gone; umount /mnt/data; systemctl reboot'"); errors.As(err, &exit) {
		t.Fatal(err)
	}
	_ = c.Wait() // for the connection to be dropped
	deadline := time.Now().Add(10 * time.Second)
	for {
		if c, err = dial(t, f, dir, "gpu-01"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if m.BootID() == before || m.Boots() != 2 {
		t.Errorf("boot id %s, %d boots", m.BootID(), m.Boots())
	}
	r := run(t, c, "cat /var/lib/kept /tmp/gone; grep -c /mnt/data /proc/self/mountinfo", "")
	if r.out != "kept\n1\n" {
		t.Errorf("%+v", r)
	}
}

// Two of the clinic's hosts cannot be reached, each in its own way.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	if _, err := dial(t, f, dir, "gpu-08"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("gpu-08: %v", err)
	}
	var key *knownhosts.KeyError
	if _, err := dial(t, f, dir, "gpu-09"); !errors.As(err, &key) || len(key.Want) == 0 {
		t.Errorf("gpu-09: %v", err)
	}
}

// No script gets at the machine that the lab runs on.
func TestSealed(t *testing.T) {
	f := start(t, Config{Hosts: 1})
	m := f.Hosts[0]
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("real"), 0o777); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "written")
	real, _ := os.Hostname()
	for _, script := range []string{
		"cat " + canary, "read -r x <" + canary + "; echo $x", ". " + canary, "echo " + filepath.Dir(canary) + "/*", canary,
		"[ -e " + canary + " ] && echo real", "test -x " + canary + " && echo real", "cd " + filepath.Dir(canary) + " && pwd -P | grep -c .",
		"eval 'cat <(cat " + canary + ")'", "command -v " + canary, "type " + canary, "echo $(<" + canary + ")",
		"cat </tmp/sh-interp-1", "TMPDIR=" + filepath.Dir(canary) + " cat " + canary, "exec " + canary, "sh " + canary,
		"[ " + canary + " -nt /etc/passwd ] && echo real", "source " + canary,
	} {
		got, _ := m.Run(script)
		if got, _, _ := strings.Cut(strings.ReplaceAll(got, canary, "…"), "canary: "); strings.Contains(got, "real") || strings.Contains(got, "\n1\n") {
			t.Errorf("%s: %q", script, got)
		}
	}
	for _, script := range []string{"echo x >" + out, "cp /etc/passwd " + out, "mkdir -p " + filepath.Dir(out) + "; touch " + out} {
		m.Run(script)
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s wrote it", script)
		}
	}
	if got, _ := m.Run("hostname; cat /etc/hostname; uname -n"); got != "gpu-01\ngpu-01\ngpu-01\n" || real == "gpu-01" {
		t.Errorf("hostname: %q", got)
	}
	if got, _ := m.Run("echo $$ $PPID"); strings.Contains(got, fmt.Sprint(os.Getpid())) {
		t.Errorf("process ids: %q", got)
	}
}

// Forwarding ends at the fleet: no practice host is a way to this machine.
func TestForwarding(t *testing.T) {
	real, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	dir := t.TempDir()
	f := start(t, Config{Dir: dir, Hosts: 2})
	c := mustDial(t, f, dir, "gpu-01")
	if peer, err := c.Dial("tcp", real.Addr().String()); err == nil {
		_ = peer.Close()
		t.Error("it forwards to a port of this machine")
	}
	peer, err := c.Dial("tcp", f.Address("gpu-02"))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	hello := make([]byte, 7)
	if _, err := io.ReadFull(peer, hello); err != nil || string(hello) != "SSH-2.0" {
		t.Errorf("the other machine says %q, %v", hello, err)
	}
}

// A person who comes without a command gets a prompt.
func TestInteractive(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	s, err := mustDial(t, f, dir, "gpu-02").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 200, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdin = strings.NewReader("a=kept\rif [ $a = kept ]; then\recho $((40 + 2)) $a\rfi\rexit 3\r")
	s.Stdout = &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("it ended with %v", err)
	}
	for _, want := range []string{"This is gpu-02, a practice host", "ops@gpu-02:$ ", "42 kept\r\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}

// What was begun with setsid goes on when its connection is gone.
func TestDetached(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	c := mustDial(t, f, dir, "gpu-01")
	r := run(t, c, "setsid sh -c 'until [ -e go ]; do sleep 0.01; done; echo done >result' </dev/null >log 2>&1 & echo $!", "")
	if r.exit != 0 || r.out == "" {
		t.Fatalf("%+v", r)
	}
	_ = c.Close()
	m := f.Machine("gpu-01")
	if out, status := m.Run("touch /home/ops/go; timeout 10 sh -c 'until [ -s /home/ops/result ]; do sleep 0.01; done'; cat /home/ops/result"); out != "done\n" || status != 0 {
		t.Errorf("%q, exit %d", out, status)
	}
}

// A job that has a lock is seen and refused from another connection, goes on
// when its own is cut, and gives the lock back at its end, also at a violent one.
func TestLockedJob(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	m := f.Machine("gpu-01")
	begin := `sudo -n timeout -k 5 60 /bin/sh -c 'setsid flock -n -o /run/job sh -c "echo \$\$ >/run/job.pid; until [ -e /run/go ]; do sleep 0.01; done" </dev/null >/run/job.log 2>&1 &
		until [ -s /run/job.pid ]; do sleep 0.01; done'`
	taken := func() int {
		r := run(t, mustDial(t, f, dir, "gpu-01"), "sudo -n flock -n -o /run/job true", "")
		return r.exit
	}
	for _, end := range []string{"touch /run/go", `read -r pid </run/job.pid; read -r _ _ _ _ g _ </proc/$pid/stat; kill -s KILL -- -$g`} {
		m.Run("rm -f /run/go /run/job.pid")
		c := mustDial(t, f, dir, "gpu-01")
		if r := run(t, c, begin, ""); r.exit != 0 {
			t.Fatalf("%+v", r)
		}
		_ = c.Close()
		if got := taken(); got != 1 {
			t.Errorf("while the job runs, flock ended with %d", got)
		}
		if got, _ := m.Run(`read -r _ _ _ _ pid _ </proc/locks; readlink /proc/$pid/fd/3; read -r name </proc/$pid/comm; echo $name`); got != "/run/job\nflock\n" {
			t.Errorf("/proc says %q of who holds it", got)
		}
		if out, exit := m.Run(end + `; timeout 10 sh -c 'until flock -n -o /run/job true; do sleep 0.01; done'`); exit != 0 {
			t.Errorf("after %s: exit %d, %s", end, exit, out)
		}
		if got := taken(); got != 0 {
			t.Errorf("after %s flock ended with %d", end, got)
		}
	}
	if missing := m.Missing(); len(missing) > 0 {
		t.Errorf("missing: %v", missing)
	}
}

// The start of a fleet that cannot write its files leaves nothing behind.
func TestCannotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Start(context.Background(), Config{Dir: filepath.Join(file, "lab"), Hosts: 2}); err == nil {
		_ = f.Close()
		t.Error("it started")
	}
}

// A fleet ends with its context.
func TestEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f, err := Start(ctx, Config{Dir: t.TempDir(), Hosts: 2})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	f.Wait()
}
