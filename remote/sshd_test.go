package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// password is that of every user of an sshd's own user table.
const (
	password     = "correct horse"
	passwordHash = "$6$runaiprep$p70XNtQk3nOlhUPkf5RJo2dMjbzK/XLbStXELhSPVWm3RyIjlB5EIyGB68zmGjybaBpu.GmeE17A8JxA1EqzM."
)

// users are those of an sshd's own user table: name, login shell, line of sudoers.
var users = []struct {
	name, shell, sudoers string
	uid                  int
}{
	{"ops", "/bin/sh", "ops ALL=(ALL) NOPASSWD: ALL", 61001},
	{"pw", "/bin/sh", "pw ALL=(ALL) ALL", 61002},
	{"nosudo", "/bin/sh", "", 61003},
	{"needstty", "/bin/bash", "Defaults:needstty requiretty\nneedstty ALL=(ALL) ALL", 61004},
	{"ttyfree", "/bin/sh", "Defaults:ttyfree requiretty\nttyfree ALL=(ALL) NOPASSWD: ALL", 61011},
	{"csh", "/bin/csh", "csh ALL=(ALL) NOPASSWD: ALL", 61005},
	{"fish", "/usr/bin/fish", "fish ALL=(ALL) ALL", 61006},
	{"noisy", "/bin/bash", "noisy ALL=(ALL) NOPASSWD: ALL", 61007},
	{"busy", "/bin/busybox-sh", "busy ALL=(ALL) NOPASSWD: ALL", 61008},
	{"gone", "/usr/sbin/nologin", "", 61009},
	{"toor", "/bin/sh", "", 0},
	{"swallow", "/bin/bash", "swallow ALL=(ALL) NOPASSWD: ALL", 61010},
}

// An sshd is a real OpenSSH server on loopback with users, sudoers, /etc, /var
// and process table of its own, in mount and pid namespaces: nothing of it
// touches the machine, and nothing of it outlives the test.
type sshd struct {
	port    int
	pid     int           // of its init, as seen from here
	dir     string        // its own folder, readable for all
	hostKey ssh.PublicKey // of type ed25519
	log     *syncBuffer
	stop    func() // ends it, and everything that runs on it
}

type syncBuffer struct{ ch chan []byte }

// sshdOptions change what startSSHD does.
type sshdOptions struct {
	config   string   // more lines of sshd_config
	hostKeys []string // types as ssh-keygen has them; none: ed25519
	setup    string   // sh, run in the namespaces before sshd
	port     int      // 0: any
	dir      string   // "": a fresh one
}

func needSSHD(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root, for a user table and a sudoers of its own in a mount namespace")
	}
	for _, name := range []string{"/usr/sbin/sshd", "unshare", "sudo", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIP: needs %s (apt-get install openssh-server openssh-client sudo util-linux)", name)
		}
	}
}

func startSSHD(t testing.TB, o sshdOptions) *sshd {
	t.Helper()
	needSSHD(t)
	s := &sshd{dir: o.dir, port: o.port}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "runai-prep-sshd-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		s.dir = dir
	}
	must(t, os.Chmod(s.dir, 0o755))
	if s.port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		s.port = l.Addr().(*net.TCPAddr).Port
		must(t, l.Close())
	}
	var config strings.Builder
	fmt.Fprintf(&config, "Port %d\nListenAddress 127.0.0.1\nAuthorizedKeysFile %s/authorized/%%u\nStrictModes no\nPidFile none\n", s.port, s.dir)
	fmt.Fprintf(&config, "PermitRootLogin yes\nMaxStartups 100\nUseDNS no\nTrustedUserCAKeys %s/user-ca.pub\n", s.dir)
	if !strings.Contains(o.config, "Subsystem") {
		config.WriteString("Subsystem sftp internal-sftp\n")
	}
	if !strings.Contains(o.config, "UsePAM") {
		config.WriteString("UsePAM no\n")
	}
	config.WriteString(o.config + "\n")
	if len(o.hostKeys) == 0 {
		o.hostKeys = []string{"ed25519"}
	}
	for _, kind := range o.hostKeys {
		file := filepath.Join(s.dir, "host_"+kind)
		if _, err := os.Stat(file); err != nil {
			keygen(t, "-t", kind, "-f", file)
		}
		fmt.Fprintf(&config, "HostKey %s\n", file)
		if kind == o.hostKeys[0] {
			s.hostKey = readPublic(file + ".pub")
		}
		if _, err := os.Stat(file + "-cert.pub"); err == nil {
			fmt.Fprintf(&config, "HostCertificate %s-cert.pub\n", file)
		}
	}
	write(t, filepath.Join(s.dir, "sshd_config"), config.String(), 0o644)
	if _, err := os.Stat(filepath.Join(s.dir, "user-ca.pub")); err != nil {
		keygen(t, "-t", "ed25519", "-f", filepath.Join(s.dir, "user-ca"))
	}
	must(t, os.MkdirAll(filepath.Join(s.dir, "authorized"), 0o755))
	must(t, os.MkdirAll(filepath.Join(s.dir, "ov"), 0o755))
	var passwd, shadow, sudoers strings.Builder
	sudoers.WriteString("Defaults env_reset, use_pty, timestamp_timeout=0, !lecture\nDefaults secure_path=/usr/sbin:/usr/bin:/sbin:/bin\nroot ALL=(ALL:ALL) ALL\n")
	for _, u := range users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s/home/%s:%s\n", u.name, u.uid, u.uid, s.dir, u.name, u.shell)
		fmt.Fprintf(&shadow, "%s:%s:19000:0:99999:7:::\n", u.name, passwordHash)
		sudoers.WriteString(u.sudoers + "\n")
		home := filepath.Join(s.dir, "home", u.name)
		must(t, os.MkdirAll(home, 0o755))
		must(t, os.Chown(home, u.uid, u.uid))
	}
	write(t, filepath.Join(s.dir, "home/noisy/.bashrc"), "echo 'Welcome to $HOST'; echo motd on stderr >&2; printf 'no newline'\ntrap 'echo bye; echo bye >&2' EXIT\n", 0o644)
	write(t, filepath.Join(s.dir, "home/swallow/.bashrc"), "read -r -t 1 line\n", 0o644)
	write(t, filepath.Join(s.dir, "home/csh/.cshrc"), "echo csh noise\n", 0o644)
	write(t, filepath.Join(s.dir, "setup"), `set -e
mount -t tmpfs tmpfs /run && mkdir -p /run/sshd
mount -t tmpfs tmpfs `+s.dir+`/ov
for d in etc var/lib var/log; do
	o=`+s.dir+`/ov/$d; mkdir -p $o/up $o/work
	mount -t overlay overlay -o lowerdir=/$d,upperdir=$o/up,workdir=$o/work /$d
done
grep -v '^root:' /etc/shadow >/etc/shadow.new; echo 'root:`+passwordHash+`:19000:0:99999:7:::' >>/etc/shadow.new
cat /etc/shadow.new - >/etc/shadow <<'E'
`+shadow.String()+`E
cat >>/etc/passwd <<'E'
`+passwd.String()+`E
sed -i 's,^\(root:.*\):[^:]*:[^:]*$,\1:/nonexistent:/bin/sh,' /etc/passwd
cat >/etc/sudoers <<'E'
`+sudoers.String()+`E
chmod 0440 /etc/sudoers
rm -rf /var/lib/sudo/lectured
`+o.setup+`
exec /usr/sbin/sshd -D -e -f `+s.dir+`/sshd_config
`, 0o644)

	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", filepath.Join(s.dir, "setup"))
	dieWithUs(cmd)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	cmd.Stdout = cmd.Stderr
	must(t, cmd.Start())
	ready := make(chan string, 1)
	done := make(chan struct{})
	s.log = &syncBuffer{make(chan []byte, 1)}
	s.log.ch <- nil
	go func() {
		defer close(done)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.log.add(lines.Text())
			if strings.Contains(lines.Text(), "Server listening") {
				select {
				case ready <- "":
				default:
				}
			}
		}
		close(ready)
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // --kill-child takes the whole namespace along
		<-done
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("sshd's log:\n%s", s.log)
		}
	})
	select {
	case _, ok := <-ready:
		if !ok {
			t.Fatalf("sshd did not start:\n%s", s.log)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("sshd did not start in time:\n%s", s.log)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	must(t, err)
	s.pid, err = strconv.Atoi(strings.Fields(string(children))[0])
	must(t, err)
	return s
}

func (b *syncBuffer) add(line string) { b.ch <- append(<-b.ch, line+"\n"...) }
func (b *syncBuffer) String() string {
	v := <-b.ch
	defer func() { b.ch <- v }()
	return string(v)
}

// path is a path of the server's machine as seen from here.
func (s *sshd) path(p string) string { return fmt.Sprintf("/proc/%d/root%s", s.pid, p) }

// processes are the command lines of the server's machine.
func (s *sshd) processes(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(s.path("/proc/[0-9]*/cmdline"))
	must(t, err)
	var all []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil && len(data) > 0 {
			all = append(all, string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte(" "))))
		}
	}
	return all
}

func (s *sshd) authorize(t testing.TB, user string, lines ...string) {
	t.Helper()
	write(t, filepath.Join(s.dir, "authorized", user), strings.Join(lines, "\n")+"\n", 0o644)
}

// target is a login with a fresh key, strict about the server's key.
func (s *sshd) target(t testing.TB, user string) Target {
	t.Helper()
	dir := t.TempDir()
	key := newKeyFile(t, filepath.Join(dir, "id"))
	s.authorize(t, user, key)
	known := filepath.Join(dir, "known_hosts")
	write(t, known, s.knownLine(), 0o600)
	return Target{
		Name: "host", Host: "127.0.0.1", Port: s.port, User: user,
		IdentityFiles: []string{filepath.Join(dir, "id")}, KnownHosts: []string{known},
		Sudo: Sudo{Enabled: true},
	}
}

func (s *sshd) knownLine() string {
	return fmt.Sprintf("[127.0.0.1]:%d %s", s.port, ssh.MarshalAuthorizedKey(s.hostKey))
}

func withSudoPassword(t Target, p string) Target {
	t.Sudo.Password = secret.New(p)
	return t
}

// newKeyFile writes an ed25519 key and returns its line of authorized_keys.
func newKeyFile(t testing.TB, path string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	must(t, err)
	write(t, path, string(pem.EncodeToMemory(block)), 0o600)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func keygen(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", ""}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", args, err, out)
	}
}

func write(t testing.TB, path, data string, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(data), mode))
	must(t, os.Chmod(path, mode))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDialer is one without ~/.ssh/config and without an agent.
func newDialer(t testing.TB) *Dialer {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	d := &Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func dial(t testing.TB, d *Dialer, target Target) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := d.Dial(ctx, target)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func owner(info os.FileInfo) (uid, gid uint32) {
	stat := info.Sys().(*syscall.Stat_t)
	return stat.Uid, stat.Gid
}
