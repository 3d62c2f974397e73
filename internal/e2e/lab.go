//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Controller is the address of the controller's side on the bridge.
const Controller = "10.77.0.1"

// Password is what sudo asks pat for, and what logs pat in.
const Password = "correct horse"

var (
	//go:embed recipes/enter.sh
	enterScript string
	//go:embed recipes/sweep.sh
	sweepScript string
)

// Lab is a network of machines, cut off from everything else.
type Lab struct {
	Dir          string // scratch folder of the controller: its HOME and working directory
	IdentityFile string // private key that root, ops and pat of every machine accept

	t     testing.TB
	name  string // of the network namespace and the control group
	cache string
	run   string // everything of this Lab on disk
	lock  *os.File
	apt   aptServer

	mu       sync.Mutex
	machines []*Machine
}

// New sets up the network, the key and the apt repository, and removes them
// with everything that was booted when the test ends. It calls [Require].
func New(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	cache, err := cacheDir()
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	l := &Lab{t: t, cache: cache}
	t.Cleanup(l.close)
	if err := l.open(t.Context()); err != nil {
		t.Fatalf("e2e: %v", err)
	}
	return l
}

func (l *Lab) open(ctx context.Context) error {
	runs := filepath.Join(l.cache, "run")
	// The root file systems must be readable by the people in them, whatever
	// the umask here.
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return err
	}
	sweepDead(runs)
	if err := l.claim(runs); err != nil {
		return err
	}
	if err := l.reaper(); err != nil {
		return err
	}
	l.Dir = filepath.Join(l.run, "controller")
	l.IdentityFile = filepath.Join(l.Dir, "id_ed25519")
	for _, dir := range []string{l.Dir, filepath.Join(l.run, "machines")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// No name server answers here, and asking the machine's would hang.
	if err := os.WriteFile(filepath.Join(l.run, "resolv.conf"), []byte("# none\n"), 0o644); err != nil {
		return err
	}
	if err := l.writeHosts(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "e2e", "-f", l.IdentityFile},
		{"ip", "netns", "add", l.name},
		{"ip", "-n", l.name, "link", "set", "lo", "up"},
		{"ip", "-n", l.name, "link", "add", "br0", "type", "bridge"},
		{"ip", "-n", l.name, "addr", "add", Controller + "/24", "dev", "br0"},
		{"ip", "-n", l.name, "link", "set", "br0", "up"},
	} {
		if err := run(ctx, args...); err != nil {
			return err
		}
	}
	return l.apt.start(ctx, l)
}

// labs counts the names that this process has claimed.
var labs atomic.Int64

// claim finds a name that no living run has. The lock is what says that a run
// is alive: it ends with the process, however that ends.
//
// No name is used twice in a process: the reaper of a Lab that has been closed
// may still be on its way, and must not meet the next one under its name.
func (l *Lab) claim(runs string) error {
	for {
		l.name = fmt.Sprintf("rp%d", os.Getpid())
		if n := labs.Add(1); n > 1 {
			l.name += fmt.Sprintf("b%d", n)
		}
		l.run = filepath.Join(runs, l.name)
		lock, err := tryLock(l.run + ".lock")
		if err != nil {
			return err
		}
		if lock == nil {
			continue
		}
		l.lock = lock
		if err := sweep(l.run, l.name); err != nil { // a former process of this number
			return err
		}
		return os.Mkdir(l.run, 0o755)
	}
}

// tryLock returns nil when somebody else holds the lock.
func tryLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		switch err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EWOULDBLOCK):
			_ = f.Close()
			return nil, nil
		case err != nil:
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// A sweeper may have removed the file between the open and the lock.
		held, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return f, nil
		}
		_ = f.Close()
	}
}

// sweepDead removes what runs left behind that died together with their reaper.
// What cannot be removed now is left for the next time.
func sweepDead(runs string) {
	locks, _ := filepath.Glob(filepath.Join(runs, "rp*.lock"))
	for _, path := range locks {
		lock, err := tryLock(path)
		if err != nil || lock == nil {
			continue
		}
		dir := strings.TrimSuffix(path, ".lock")
		if sweep(dir, filepath.Base(dir)) == nil {
			_ = os.Remove(path)
		}
		_ = lock.Close()
	}
}

func sweep(dir, name string) error {
	out, err := exec.Command("/bin/sh", "-c", sweepScript, "sweep", dir, name, "").CombinedOutput()
	if err != nil {
		return fmt.Errorf("sweep %s: %w: %s", dir, err, out)
	}
	return nil
}

// reaper leaves a shell waiting for this process to be gone, however it goes.
func (l *Lab) reaper() error {
	cmd := exec.Command("/bin/sh", "-c", sweepScript, "e2e-reaper", l.run, l.name, l.run+".lock")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start reaper: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

func (l *Lab) close() {
	for _, m := range l.all() {
		m.stop()
	}
	l.apt.stop()
	if l.lock == nil {
		return
	}
	if err := sweep(l.run, l.name); err != nil {
		l.t.Errorf("e2e: %v", err)
	}
	_ = os.Remove(l.run + ".lock")
	_ = l.lock.Close() // lets the reaper go
}

// Command is a command on the controller's side: it reaches the machines by
// address or name and nothing else, and sees none of the developer's own ssh
// and git configuration: HOME and the working directory are [Lab.Dir]. Add to Env
// what it needs beyond PATH.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if path, err := exec.LookPath(name); err == nil {
		name, _ = filepath.Abs(path)
	}
	// ip netns exec made a mount namespace already, so these binds are its own.
	const inside = `mount --bind "$1/hosts" /etc/hosts && { [ ! -e /etc/resolv.conf ] || mount --bind "$1/resolv.conf" /etc/resolv.conf; } || exit 125
shift; exec "$@"`
	cmd := l.process(ctx, "controller", append([]string{"ip", "netns", "exec", l.name, "/bin/sh", "-c", inside, "sh", l.run, name}, args...)...)
	cmd.Dir = l.Dir
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + l.Dir, "LANG=C.UTF-8", "TMPDIR=" + l.Dir,
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// process is a command in this Lab's control group, out of reach of Ctrl-C, and
// in the machine's own network.
func (l *Lab) process(ctx context.Context, group string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", enterScript, "enter", l.name + "/" + group}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Listen is net.Listen on the controller's side: for proxies, endpoints and
// servers that a test plays to the hosts. The address must be numeric.
func (l *Lab) Listen(network, address string) (net.Listener, error) {
	return inNamespace(l.name, func() (net.Listener, error) { return net.Listen(network, address) })
}

// Dial is net.Dialer.DialContext on the controller's side, for numeric addresses.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return inNamespace(l.name, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) })
}

// inNamespace calls f on a thread that is in the network namespace. A socket
// stays in the namespace it was made in, whatever thread uses it later.
func inNamespace[T any](name string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread ends with this goroutine, so that no other
		// goroutine finds itself in the namespace.
		runtime.LockOSThread()
		var r result
		if ns, err := os.Open("/run/netns/" + name); err != nil {
			r.err = err
		} else if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			_ = ns.Close()
			r.err = fmt.Errorf("enter network namespace %s: %w", name, err)
		} else {
			_ = ns.Close()
			r.value, r.err = f()
		}
		done <- r
	}()
	r := <-done
	return r.value, r.err
}

func (l *Lab) all() []*Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.machines)
}

// writeHosts writes in place: running commands have the file mounted.
func (l *Lab) writeHosts() error {
	var text strings.Builder
	fmt.Fprintf(&text, "127.0.0.1 localhost\n%s controller\n", Controller)
	for _, m := range l.all() {
		fmt.Fprintf(&text, "%s %s\n", m.IP, m.Name)
	}
	return os.WriteFile(filepath.Join(l.run, "hosts"), []byte(text.String()), 0o644)
}

func (l *Lab) logf(format string, args ...any) {
	l.t.Logf("e2e: "+format, args...)
}

func run(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// aptServer serves the repository at http://10.77.0.1/.
type aptServer struct {
	root string // a copy of the repository in this Lab's run, to add packages to
	http http.Server

	mu       sync.Mutex
	requests []string
}

func (a *aptServer) start(ctx context.Context, l *Lab) error {
	cached, err := repository.path(ctx, l)
	if err != nil {
		return err
	}
	a.root = filepath.Join(l.run, "repository")
	// Hard links where nothing is written in place (see repo.sh); gpg does.
	for _, args := range [][]string{
		{"mkdir", a.root},
		{"cp", "-al", filepath.Join(cached, "www"), a.root},
		{"cp", "-a", filepath.Join(cached, "gnupg"), a.root},
	} {
		if err := run(ctx, args...); err != nil {
			return err
		}
	}
	listener, err := l.Listen("tcp", Controller+":80")
	if err != nil {
		return fmt.Errorf("serve the apt repository: %w", err)
	}
	files := http.FileServer(http.Dir(filepath.Join(a.root, "www")))
	a.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.RemoteAddr+" "+r.URL.Path)
		a.mu.Unlock()
		files.ServeHTTP(w, r)
	})
	go func() { _ = a.http.Serve(listener) }()
	return nil
}

func (a *aptServer) stop() { _ = a.http.Close() }

// AptRequests are the requests to the repository so far, as "client:port /path":
// looking at a host must add none.
func (l *Lab) AptRequests() []string {
	l.apt.mu.Lock()
	defer l.apt.mu.Unlock()
	return slices.Clone(l.apt.requests)
}

// Publish adds packages to the repository; hosts see them after apt-get update.
func (l *Lab) Publish(t testing.TB, debs ...string) {
	t.Helper()
	if err := l.script(t.Context(), repoRecipe, append([]string{l.apt.root}, debs...)...); err != nil {
		t.Fatalf("e2e: publish: %v", err)
	}
}
