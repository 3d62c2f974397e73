//go:build linux

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A running is the program at work, as somebody's terminal would have it.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lockedBuffer
	log  string // of what it hears from the host, line by line
	done chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs the program without waiting for its end. Another controller has a
// state folder of its own: give it by env.
func (c *controller) start(env string, args ...string) *running {
	c.t.Helper()
	path, err := program()
	if err != nil {
		c.t.Fatal(err)
	}
	r := &running{t: c.t, done: make(chan struct{})}
	log, err := os.CreateTemp(c.lab.Dir, "log-")
	if err != nil {
		c.t.Fatal(err)
	}
	_ = log.Close()
	r.log = log.Name()
	r.cmd = c.lab.Command(context.Background(), path, append(args, "--log-file", r.log)...)
	r.cmd.Env = append(append(r.cmd.Env, c.env...), env)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = r.cmd.Process.Kill(); <-r.done })
	go func() { _ = r.cmd.Wait(); close(r.done) }()
	return r
}

// said is everything so far: what a terminal shows, and the log.
func (r *running) said() string {
	log, _ := os.ReadFile(r.log)
	return r.out.String() + string(log)
}

// says waits until the program has said something.
func (r *running) says(what string) {
	r.t.Helper()
	r.await(what, func() bool { return strings.Contains(r.said(), what) })
}

func (r *running) await(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(4 * time.Minute); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %q in vain; it has said\n%s", what, r.said())
		}
		select {
		case <-r.done:
			if is() {
				return
			}
			r.t.Fatalf("it ended (%v) before %q:\n%s", r.cmd.ProcessState, what, r.said())
		default:
		}
	}
}

// ends waits for its end, which must be this one.
func (r *running) ends(code int) string {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(5 * time.Minute):
		r.t.Fatalf("it does not end; it has said\n%s", r.out.String())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Fatalf("exit code %d, want %d\n%s", got, code, r.out.String())
	}
	r.t.Logf("exit code %d\n%s", code, r.out.String())
	return r.said()
}

// begun is how often an installation has come to its middle.
func begun(t *testing.T, m *Machine) int {
	t.Helper()
	return strings.Count(m.SSH(t, "cat /var/log/e2e-begun 2>/dev/null || true"), "\n")
}

// An installation goes on when its controller is killed, another controller
// finds it, follows it and takes its result; when the connection is cut, the
// controller comes back and follows on. Two at once are told of each other.
func TestJobs(t *testing.T) {
	l := New(t)
	l.DebianArchive(t, R535, R535slow, R535slow2)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools), Sources("debian bookworm main contrib non-free"))
	d := newDriver(t, l, h)
	apply := []string{"apply", "-y", "inventory.hcl", "--task", "driver"}
	h.SSH(t, "apt-get update -qq")
	other := "XDG_STATE_HOME=" + l.Dir + "/other"
	d.write("inventory.hcl", driverInventory(h, "ops", `version = "535.274.02"`))

	// SIGKILL in the middle.
	first := d.start("", apply...)
	first.await("the middle of the installation", func() bool { return begun(t, h) == 1 })
	_ = first.cmd.Process.Kill()
	<-first.done
	contains(t, "dpkg after its controller was killed", h.SSH(t, "ps -eo args"), "/usr/bin/dpkg", "nvidia-smi.postinst configure")
	contains(t, "plan beside an orphaned job", d.do(2, "plan"), "is no longer connected", "runs apt-get install")
	second := d.start(other, apply...)
	second.says("waiting in the middle") // what the job has said before, too
	h.SSH(t, "touch /run/e2e-go")
	contains(t, "the second apply", second.ends(0), "was followed to its end: exit status 0")
	if n := begun(t, h); n != 1 {
		t.Errorf("the installation was begun %d times", n)
	}
	contains(t, "the host", h.SSH(t, installed), "nvidia-smi 535.274.02-1 installed", "nvidia-smi: 0")

	// Two at once; a connection that is cut.
	d.write("inventory.hcl", driverInventory(h, "ops", `version = "535.288.01"`))
	first = d.start("", apply...)
	first.await("the middle of the installation", func() bool { return begun(t, h) == 2 })
	refused := d.start(other, apply...)
	contains(t, "a second apply", refused.ends(2), "locked", "apt-get install", "run ")

	h.Partition(t)
	time.Sleep(20 * time.Second) // three keepalives: what is tested is that it is given up
	h.Heal(t)
	first.says("connection lost")
	first.says("connected again")
	waits := d.start(other, append(apply, "--lock-wait", "10m")...)
	waits.says("waiting")
	h.SSH(t, "touch /run/e2e-go")
	contains(t, "the first, cut off", first.ends(0), "connection lost")
	waits.ends(0)
	if n := begun(t, h); n != 2 {
		t.Errorf("the installation was begun %d times in all", n)
	}
	contains(t, "the host", h.SSH(t, installed), "nvidia-smi 535.288.01-1 installed", "nvidia-smi: 0")
	d.do(0, "check")
}

// Another package manager at work is waited for, and named; one that was killed
// in the middle is repaired.
func TestPackageManagers(t *testing.T) {
	RequireLong(t)
	l := New(t)
	l.DebianArchive(t, R535, R535slow, R535slow2)
	h := l.Host(t, "gpu-01", gpuHost(gpuWithTools), Sources("debian bookworm main contrib non-free"))
	d := newDriver(t, l, h)
	apply := []string{"apply", "-y", "inventory.hcl", "--task", "driver"}

	// Somebody installs by hand what stops in its middle.
	h.SSH(t, "apt-get update -qq; DEBIAN_FRONTEND=noninteractive setsid apt-get install -y nvidia-smi=535.274.02-1 libnvidia-ml1=535.274.02-1 nvidia-alternative=535.274.02-1 >/var/log/by-hand 2>&1 </dev/null &")
	for begun(t, h) == 0 {
		time.Sleep(200 * time.Millisecond)
	}
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.261.03"`))
	run := d.start("", apply...)
	run.says("apt-get")
	pid := strings.TrimSpace(h.SSH(t, "pgrep -x apt-get | head -n 1"))
	run.says(pid)
	h.SSH(t, "touch /run/e2e-go")
	run.ends(0)
	contains(t, "the host", h.SSH(t, installed), "nvidia-smi 535.261.03-1 installed", "nvidia-smi: 0")

	// apt and dpkg die in the middle.
	d.write("inventory.hcl", driverInventory(h, "root", `version = "535.288.01"`))
	run = d.start("", apply...)
	run.await("the middle of the installation", func() bool { return begun(t, h) == 2 })
	h.SSH(t, "pkill -KILL -x apt-get; pkill -KILL -x dpkg; pkill -KILL -f '[n]vidia-smi.postinst'; true")
	run.ends(5)
	contains(t, "dpkg", h.SSH(t, "dpkg --audit; dpkg-query -W -f '${db:Status-Status}' nvidia-smi"), "half-configured")
	h.SSH(t, "touch /run/e2e-go")
	d.apply(0)
	got := h.SSH(t, installed+"; dpkg --audit")
	contains(t, "the host", got, "nvidia-smi 535.288.01-1 installed", "nvidia-smi: 0")
	lacks(t, "dpkg", got, "half-configured", "unpacked")
}
