package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// waitingJob runs until the test lets it go, and then fails.
const waitingJob = `echo begun; sleep 4801 & until [ -e /run/state/go ]; do sleep 0.05; done; kill $!; echo over; echo why >&2; exit 7`

const stateSetup = "mkdir /run/state"

// heard collects the lines of a job.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) say(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// eventually waits for what takes its time on a busy machine.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("in vain waited for: %s", what)
}

func (h *heard) waitFor(t testing.TB, line string) {
	t.Helper()
	eventually(t, "the line "+line, func() bool { return slices.Contains(h.all(), line) })
}

// userSessions are the processes that serve a user's logins, as seen from here.
func userSessions(t testing.TB, s *sshd, user string) []int {
	t.Helper()
	var found []int
	ns, err := os.Readlink(s.path("/proc/1/ns/pid"))
	must(t, err)
	files, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, f := range files {
		cmdline, _ := os.ReadFile(f + "/cmdline")
		link, _ := os.Readlink(f + "/ns/pid")
		if link == ns && strings.HasPrefix(string(cmdline), "sshd: "+user) {
			pid, err := strconv.Atoi(filepath.Base(f))
			must(t, err)
			found = append(found, pid)
		}
	}
	return found
}

// cut ends all connections of a user as a broken line does.
func cut(t testing.TB, s *sshd, user string) {
	t.Helper()
	pids := userSessions(t, s, user)
	if len(pids) == 0 {
		t.Fatalf("%s is not logged in", user)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func detachedStep(script string, limit time.Duration) Step {
	return Step{Title: "build the module", Run: &Command{Script: script, Timeout: limit, Detached: true}}
}

// lookForWork sees who is at work as a fleet's look does.
func lookForWork(t testing.TB, c *Conn) *Work {
	t.Helper()
	sections, err := c.Look(context.Background(), "", []Probe{{Name: "work", Script: WorkProbe}})
	must(t, err)
	w, err := ReadWork(sections[0])
	must(t, err)
	return w
}

// The connection is cut in the middle of a job: it goes on, is followed over
// another connection, every line is told once, and its status is its own. The
// lock is ours again.
func TestJobOutlivesTheConnection(t *testing.T) {
	for _, user := range []string{"root", "ops", "pw", "needstty"} {
		t.Run(user, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{setup: stateSetup})
			conn := dial(t, newDialer(t), withSudoPassword(s.target(t, user), password))
			lock, err := conn.Lock(context.Background(), Holder{Who: "alice@ctl", RunID: "r1"}, 0, nil)
			must(t, err)
			defer func() { _ = lock.Close() }()
			var h heard
			done := make(chan error, 1)
			go func() { done <- conn.Do(context.Background(), detachedStep(waitingJob, time.Minute), h.say) }()
			h.waitFor(t, "begun")
			cut(t, s, user)
			h.waitFor(t, "runai-prep: connected again")
			must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
			err = <-done
			var failed *CommandError
			if !errors.As(err, &failed) || failed.Exit != 7 || failed.Stderr != "begun\nover\nwhy" {
				t.Errorf("got %v", err)
			}
			lines := slices.DeleteFunc(h.all(), func(l string) bool { return strings.HasPrefix(l, "runai-prep: ") })
			if want := []string{"begun", "over", "why"}; !slices.Equal(lines, want) {
				t.Errorf("heard %q", h.all())
			}
			if w := lookForWork(t, conn); w == nil || w.Who != "alice@ctl" || w.RunID != "r1" || w.Job != "" {
				t.Errorf("at work: %+v", w)
			}
			if err := conn.Do(context.Background(), Step{Title: "go on", Run: &Command{Script: "true"}}, nil); err != nil {
				t.Error(err)
			}
			noProcess(t, s, "sleep 4801")
		})
	}
}

// beController is a controller in a process of its own, for a test to kill.
func beController(spec string) {
	err := func() error {
		var o struct {
			Port                               int
			User, Key, Known, Password, Script string
		}
		if err := json.Unmarshal([]byte(spec), &o); err != nil {
			return err
		}
		ctx := context.Background()
		conn, err := (&Dialer{ConfigFile: os.DevNull}).Dial(ctx, Target{
			Name: "host", Host: "127.0.0.1", Port: o.Port, User: o.User, IdentityFiles: []string{o.Key}, KnownHosts: []string{o.Known},
			Sudo: Sudo{Enabled: true, Password: secret.New(o.Password)},
		})
		if err != nil {
			return err
		}
		if _, err := conn.Lock(ctx, Holder{Who: "alice@laptop", RunID: "run-1"}, 0, nil); err != nil {
			return err
		}
		return conn.Do(ctx, detachedStep(o.Script, time.Minute), func(line string) { fmt.Println(line) })
	}()
	fmt.Println("ended:", err)
}

// startController runs a controller as a process of its own, and returns when
// it hears of its job.
func startController(t *testing.T, target Target, script string) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(map[string]any{"Port": target.Port, "User": target.User, "Key": target.IdentityFiles[0], "Known": target.KnownHosts[0],
		"Password": password, "Script": script})
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "RUNAI_PREP_TEST_CONTROLLER="+string(spec), "SSH_AUTH_SOCK=")
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "begun\n" {
		t.Fatalf("the controller said %q, %v", line, err)
	}
	return cmd
}

// The controller is killed in the middle of a job. Another one sees whose it
// is, is not let in, follows it, takes its result, and then gets the host.
func TestJobIsTakenOverAfterItsControllersEnd(t *testing.T) {
	for _, user := range []string{"root", "pw", "needstty"} {
		t.Run(user, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{setup: stateSetup})
			target := withSudoPassword(s.target(t, user), password)
			first := startController(t, target, waitingJob)
			conn := dial(t, newDialer(t), target)
			if w := lookForWork(t, conn); w == nil || w.Orphaned || w.Job != "build the module" || w.Who != "alice@laptop" {
				t.Errorf("while it lives: %+v", w)
			}
			must(t, first.Process.Kill())
			_ = first.Wait()
			eventually(t, "the job to be an orphan", func() bool { w := lookForWork(t, conn); return w != nil && w.Orphaned })
			_, err := conn.Lock(context.Background(), Holder{Who: "bob@ctl", RunID: "run-2"}, 0, nil)
			var busy *LockedError
			if !errors.As(err, &busy) || !busy.Work.Orphaned || busy.Work.Who != "alice@laptop" || busy.Work.RunID != "run-1" ||
				busy.Work.Job != "build the module" || time.Since(busy.Work.Since).Abs() > 5*time.Minute {
				t.Fatalf("got %v", err)
			}
			t.Log(err)
			var h heard
			type end struct {
				r   *JobResult
				err error
			}
			done := make(chan end, 1)
			go func() {
				r, err := conn.Follow(context.Background(), h.say)
				done <- end{r, err}
			}()
			h.waitFor(t, "begun")
			must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
			e := <-done
			must(t, e.err)
			if e.r == nil || e.r.Exit != 7 || e.r.Tail != "begun\nover\nwhy" || e.r.Who != "alice@laptop" || e.r.Job != "build the module" {
				t.Errorf("got %+v", e.r)
			}
			if r, err := conn.Follow(context.Background(), nil); r != nil || err != nil {
				t.Errorf("followed %+v, %v", r, err)
			}
			if w := lookForWork(t, conn); w != nil {
				t.Errorf("still at work: %v", w)
			}
			lock, err := conn.Lock(context.Background(), Holder{Who: "bob@ctl", RunID: "run-2"}, 0, nil)
			must(t, err)
			must(t, lock.Close())
		})
	}
}

// Whoever gives up following a job does not end it.
func TestCancelLeavesTheJob(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: stateSetup})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	ctx, cancel := context.WithCancel(context.Background())
	var h heard
	done := make(chan error, 1)
	go func() { done <- conn.Do(ctx, detachedStep(waitingJob, time.Minute), h.say) }()
	h.waitFor(t, "begun")
	// Meanwhile there is no room for another.
	if err := conn.Do(context.Background(), detachedStep("true", 0), nil); err == nil || !strings.Contains(err.Error(), "another job is running") {
		t.Errorf("a second job: %v", err)
	}
	cancel()
	err := <-done
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "it goes on on the host; the same command follows it") {
		t.Error(err)
	}
	must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
	r, err := conn.Follow(context.Background(), nil)
	must(t, err)
	if r != nil && r.Exit != 7 {
		t.Errorf("got %+v", r)
	}
	noProcess(t, s, "sleep 4801")
	exits, err := filepath.Glob(s.path(jobsDir + "/*/exit"))
	must(t, err)
	if len(exits) != 1 {
		t.Errorf("exits: %q", exits)
	}
}

// A job whose host loses power leaves no status, and is not taken for one that
// went well.
func TestJobWithoutStatus(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: stateSetup})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var h heard
	done := make(chan error, 1)
	go func() { done <- conn.Do(context.Background(), detachedStep(waitingJob, time.Minute), h.say) }()
	h.waitFor(t, "begun")
	kill := exec.Command("nsenter", "-t", strconv.Itoa(s.pid), "-m", "-p", "pkill", "-KILL", "-f", "jobs/.*/(wrap|script)|sleep 4801")
	if out, err := kill.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err := <-done
	var failed *CommandError
	if !errors.As(err, &failed) || failed.Exit != -1 || !strings.Contains(failed.Reason, "ended without a status") || failed.Stderr != "begun" {
		t.Errorf("got %v", err)
	}
	if r, err := conn.Follow(context.Background(), nil); r != nil || err != nil {
		t.Errorf("followed %+v, %v", r, err)
	}
	// And the next one may run.
	if err := conn.Do(context.Background(), detachedStep("true", 0), nil); err != nil {
		t.Error(err)
	}
}

// At the end of its time a job, and what it has started, may tidy up, and
// nothing is left of it.
func TestJobTidiesUpAtItsEnd(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: stateSetup})
	conn := dial(t, newDialer(t), withSudoPassword(s.target(t, "pw"), password))
	err := conn.Do(context.Background(), detachedStep(`echo working
sh -c 'trap "sleep 1; echo tidied >/run/state/tidy; exit" TERM; sleep 4802 & wait'
`, time.Second), nil)
	if got, want := fmt.Sprint(err), "build the module: killed after 1s: working"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
	if data, err := os.ReadFile(s.path("/run/state/tidy")); err != nil || string(data) != "tidied\n" {
		t.Errorf("%q, %v", data, err)
	}
	noProcess(t, s, "sleep 4802")
	noProcess(t, s, "wrap")
}

// What a job finds around it, what is kept of it, and who may read that.
func TestJobAsItIs(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: stateSetup})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var h heard
	script := `id -u; umask; pwd; echo $LC_ALL; cat; printf 'one\rtwo\r\nthr'; sleep 0.3; printf 'ee\033[31m\n'; until [ -e /run/state/go ]; do sleep 0.05; done; head -c 700000 /dev/zero | tr '\0' x; echo; printf last`
	done := make(chan error, 1)
	go func() { done <- conn.Do(context.Background(), detachedStep(script, 0), h.say) }()
	h.waitFor(t, `three\x1b[31m`)
	must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
	must(t, <-done)
	lines := slices.DeleteFunc(h.all(), func(l string) bool { return strings.HasPrefix(l, "runai-prep: ") })
	if want := []string{"0", "0022", "/", "C", "two", `three\x1b[31m`}; len(lines) != 8 || !slices.Equal(lines[:6], want) || lines[7] != "last" {
		t.Errorf("heard %d lines: %.300q", len(lines), lines)
	} else if len(lines[6]) > maxLine {
		t.Errorf("a line of %d bytes", len(lines[6]))
	}
	for range jobsKept + 2 {
		must(t, conn.Do(context.Background(), detachedStep("true", 0), nil))
	}
	kept, err := filepath.Glob(s.path(jobsDir + "/*"))
	must(t, err)
	if len(kept) != jobsKept {
		t.Errorf("%d jobs are kept", len(kept))
	}
	for _, p := range append(kept, s.path(jobsDir)) {
		info, err := os.Stat(p)
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v", p, info.Mode())
		}
	}
	info, err := os.Stat(kept[0] + "/script")
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("script: %v", info.Mode())
	}
}

func FuzzReadWork(f *testing.F) {
	f.Add("lock rp1 1700000000\nr1\nalice@ctl\njob 20260101000000-rpa 1700000001 60 rp1\nr1\nalice@ctl\napt-get install x\n")
	f.Add("job 20260101000000-rpa 1 60 x\n\n\n\n")
	f.Add("lock a b\n")
	f.Fuzz(func(t *testing.T, out string) {
		w, err := ReadWork(Section{Out: out})
		if err != nil || w == nil {
			return
		}
		if s := w.String(); s != Safe(s) {
			t.Errorf("%q is not safe", s)
		}
		if w.Since.Year() < 1969 || w.Since.Year() > 20000 {
			t.Errorf("since %v", w.Since)
		}
	})
}

// The program that follows is ended, as by logind with a session: the job is
// followed by another one.
func TestFollowerIsKilled(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: stateSetup})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var h heard
	done := make(chan error, 1)
	go func() { done <- conn.Do(context.Background(), detachedStep(waitingJob, time.Minute), h.say) }()
	h.waitFor(t, "begun")
	waitProcess(t, s, "timeout -k 5 1")
	if out, err := s.inside("kill -s KILL -- -$(pgrep -f '[t]imeout -k 5 1')").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitProcess(t, s, "timeout -k 5 1")
	must(t, os.WriteFile(s.path("/run/state/go"), nil, 0o644))
	err := <-done
	var failed *CommandError
	if !errors.As(err, &failed) || failed.Exit != 7 || failed.Stderr != "begun\nover\nwhy" {
		t.Errorf("got %v", err)
	}
}
