package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv("RUNAI_PREP_TEST_CONTROLLER"); spec != "" {
		beController(spec)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestCancelLeavesNothingBehind(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	for _, user := range []string{"root", "ops", "pw", "needstty"} {
		t.Run(user, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			conn, err := newDialer(t).Dial(context.Background(), withSudoPassword(s.target(t, user), password))
			must(t, err)
			for name, run := range map[string]func(context.Context) error{
				"look": func(ctx context.Context) error {
					_, err := conn.Look(ctx, "", []Probe{{Name: "x", Script: "sleep 4714 & timeout 3600 sleep 4714", Timeout: time.Hour}})
					return err
				},
				"step": func(ctx context.Context) error {
					return conn.Do(ctx, Step{Title: "wait", Run: &Command{Script: "sleep 4714 & timeout -s KILL 3600 sleep 4714 & trap '' TERM; sleep 4714", Timeout: time.Hour}}, nil)
				},
			} {
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- run(ctx) }()
				waitProcess(t, s, "sleep 4714")
				begun := time.Now()
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(begun); took > 6*time.Second {
					t.Errorf("%s took %v to end", name, took)
				}
				noProcess(t, s, "sleep 4714")
			}
			// The connection is as good as before.
			if err := conn.Do(context.Background(), Step{Title: "go on", Run: &Command{Script: "true"}}, nil); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
			goleak.VerifyNone(t, leaks)
		})
	}
}

// Where one session is allowed at a time the next one waits for the last, and
// what hangs is ended through another connection.
func TestOneSession(t *testing.T) {
	s := startSSHD(t, sshdOptions{config: "MaxSessions 1"})
	for _, user := range []string{"root", "ops", "pw"} {
		t.Run(user, func(t *testing.T) {
			conn := dial(t, newDialer(t), withSudoPassword(s.target(t, user), password))
			for i := range 10 {
				f := &File{Path: fmt.Sprintf("/etc/x-%s-%d", user, i), Data: "x\n"}
				if err := conn.Do(context.Background(), Step{Title: "write", Write: f}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if !conn.maySFTP() {
				t.Error("SFTP was given up")
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				_, err := conn.Look(ctx, "", []Probe{{Name: "x", Script: "sleep 4718", Timeout: time.Hour}})
				done <- err
			}()
			waitProcess(t, s, "sleep 4718")
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			noProcess(t, s, "sleep 4718")
			if err := conn.Do(context.Background(), Step{Title: "go on", Run: &Command{Script: "true"}}, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func waitProcess(t *testing.T, s *sshd, words string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, p := range s.processes(t) {
			if strings.HasPrefix(p, words) {
				return
			}
		}
	}
	t.Fatalf("no %q was started", words)
}

func TestFrozenPeerIsLost(t *testing.T) {
	servers, target := chain(t, 2)
	for _, c := range []struct {
		name   string
		frozen *sshd
		hops   []Hop
		words  string
	}{
		{"target", servers[1], nil, "lost: no answer for 600ms"},
		{"bastion", servers[0], target.Bastions, "lost: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			target.Bastions = c.hops
			target.Keepalive = 200 * time.Millisecond
			conn := dial(t, newDialer(t), target)
			if _, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "true"}}); err != nil {
				t.Fatal(err)
			}
			for _, pid := range sessionPIDs(t, c.frozen) {
				must(t, syscall.Kill(pid, syscall.SIGSTOP))
				defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
			}
			begun := time.Now()
			_, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "true", Timeout: time.Hour}})
			wantError(t, err, Session, c.words)
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// sessionPIDs are the processes that serve ops' logins, as seen from here.
func sessionPIDs(t *testing.T, s *sshd) []int {
	t.Helper()
	var found []int
	entries, err := os.ReadDir("/proc")
	must(t, err)
	ns, err := os.Readlink(s.path("/proc/1/ns/pid"))
	must(t, err)
	for _, e := range entries {
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		link, _ := os.Readlink("/proc/" + e.Name() + "/ns/pid")
		if link == ns && strings.Contains(string(cmdline), "sshd: ops") {
			var pid int
			for _, r := range e.Name() {
				pid = pid*10 + int(r-'0')
			}
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		t.Fatal("no session found")
	}
	return found
}

func TestLostConnectionKeepsWhatWasSeen(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	done := make(chan struct{})
	var sections []Section
	var err error
	go func() {
		defer close(done)
		sections, err = conn.Look(context.Background(), "", []Probe{
			{Name: "a", Script: "echo a"}, {Name: "b", Script: "echo b; sleep 4715", Timeout: time.Minute}, {Name: "c", Script: "echo c"}})
	}()
	waitProcess(t, s, "sleep 4715")
	for _, pid := range sessionPIDs(t, s) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-done
	must(t, err)
	sections[0].Clock, sections[0].Began = time.Time{}, time.Time{}
	if sections[0] != (Section{Name: "a", Out: "a\n"}) || sections[1].Failure != "connection lost" || sections[2].Failure != "connection lost" {
		t.Errorf("got %+v", sections)
	}
}

// curt is a server that says one thing and closes, and how often it did.
func curt(t *testing.T, words string) (net.Listener, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	dials := new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			_, _ = c.Write([]byte(words))
			_ = c.Close()
		}
	}()
	return l, dials
}

func TestServersThatAreNone(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = silent.Close() }()
	web, webDials := curt(t, "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")
	closing, _ := curt(t, "")
	// OpenSSH 9.8 and newer.
	full, fullDials := curt(t, "Exceeded MaxStartups\r\n")
	penalty, penaltyDials := curt(t, "Not allowed at this time\r\n")
	to := func(l net.Listener) Target {
		return Target{Name: "h", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "x", ConnectTimeout: 300 * time.Millisecond, KnownHosts: []string{"/nonexistent"}}
	}
	d := newDialer(t)
	wantError(t, tryDial(t, d, to(silent)), Handshake, "no answer within 300ms")
	wantError(t, tryDial(t, d, to(web)), Handshake, "no SSH server")
	wantError(t, tryDial(t, d, to(closing)), Handshake, "MaxStartups")
	wantError(t, tryDial(t, d, to(full)), Handshake, "before its greeting: Exceeded MaxStartups", "see MaxStartups")
	wantError(t, tryDial(t, d, to(penalty)), Handshake, "Not allowed at this time", "PerSourcePenalties")
	if web, full, penalty := webDials.Load(), fullDials.Load(), penaltyDials.Load(); web != 1 || full != 5 || penalty != 5 {
		t.Errorf("dialled %d, %d and %d times", web, full, penalty)
	}
	none := to(silent)
	none.Port = 1
	wantError(t, tryDial(t, d, none), Connect, "127.0.0.1:1", "refused")
	none.Host = "no-such-host.invalid"
	wantError(t, tryDial(t, d, none), Resolve, "no-such-host.invalid")

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	slow := to(silent)
	slow.ConnectTimeout = time.Hour
	begun := time.Now()
	if _, err := d.Dial(ctx, slow); !errors.Is(err, context.Canceled) || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}
