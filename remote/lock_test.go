package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	alice = Holder{Who: "alice@ctl", RunID: "run-a"}
	bob   = Holder{Who: "bob o'ctl\n$(reboot)", RunID: "run-b"}
)

func wantLocked(t *testing.T, err error, who string) {
	t.Helper()
	var busy *LockedError
	if !errors.As(err, &busy) || busy.Work.Who != who {
		t.Errorf("got %v, want the host locked by %s", err, who)
	}
}

// Two who want the same host: the second is told who is there, or waits, and
// gets it after the first. Looking asks nobody.
func TestLockIsForOne(t *testing.T) {
	for _, user := range []string{"root", "ops", "pw", "needstty", "busy"} {
		t.Run(user, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{setup: "ln -s /bin/busybox /etc/busybox; printf '#!/bin/busybox sh\\nexec /bin/busybox sh \"$@\"\\n' >/etc/busybox-sh; chmod 755 /etc/busybox-sh; sed -i s,/bin/busybox-sh,/etc/busybox-sh, /etc/passwd"})
			target := withSudoPassword(s.target(t, user), password)
			d := newDialer(t)
			first, second := dial(t, d, target), dial(t, d, target)
			if w := lookForWork(t, first); w != nil {
				t.Errorf("at work: %v", w)
			}
			lock, err := first.Lock(context.Background(), alice, 0, nil)
			must(t, err)
			if w := lookForWork(t, second); w == nil || w.Holder != alice || w.Job != "" || w.Orphaned || time.Since(w.Since).Abs() > time.Minute {
				t.Errorf("at work: %+v", w)
			}
			_, err = second.Lock(context.Background(), bob, 0, nil)
			wantLocked(t, err, "alice@ctl")
			type end struct {
				l   *Lock
				err error
			}
			waiting, done := make(chan Work, 10), make(chan end, 1)
			go func() {
				l, err := second.Lock(context.Background(), bob, time.Minute, func(w Work) { waiting <- w })
				done <- end{l, err}
			}()
			if w := <-waiting; w.Holder != alice {
				t.Errorf("waited for %v", w)
			}
			must(t, first.Do(context.Background(), Step{Title: "work", Run: &Command{Script: "true"}}, nil))
			must(t, lock.Close())
			must(t, lock.Close())
			e := <-done
			must(t, e.err)
			if w := lookForWork(t, first); w == nil || w.Who != "bob o'ctl $(reboot)" {
				t.Errorf("at work: %+v", w)
			}
			// A connection that is closed takes its lock along.
			_ = second.Close()
			lock, err = first.Lock(context.Background(), alice, 20*time.Second, nil)
			must(t, err)
			must(t, lock.Close())
			if w := lookForWork(t, first); w != nil {
				t.Errorf("at work: %v", w)
			}
			left, err := filepath.Glob(s.path(stateDir + "/lock.*"))
			must(t, err)
			if len(left) != 0 {
				t.Errorf("left: %q", left)
			}
			noProcess(t, s, "flock")
		})
	}
}

// A controller that is gone leaves a file behind, and nothing that holds.
func TestLockOfTheDead(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	target := s.target(t, "ops")
	d := newDialer(t)
	first := dial(t, d, target)
	_, err := first.Lock(context.Background(), alice, 0, nil)
	must(t, err)
	by := readFile(t, s.path(stateDir+"/lock.by"))
	cut(t, s, "ops")
	second := dial(t, d, target)
	lock, err := second.Lock(context.Background(), bob, 20*time.Second, nil)
	must(t, err)
	must(t, lock.Close())
	// As if the keeper had been killed.
	must(t, os.WriteFile(s.path(stateDir+"/lock.by"), []byte(by), 0o644))
	if w := lookForWork(t, second); w != nil {
		t.Errorf("at work: %v", w)
	}
	lock, err = second.Lock(context.Background(), bob, 0, nil)
	must(t, err)

	// Its keeper killed under it, a holder is refused by the host itself.
	pid := strings.Fields(readFile(t, s.path(stateDir+"/lock.by")))[1]
	must(t, second.Do(context.Background(), Step{Title: "kill", Run: &Command{Script: "kill -s KILL " + pid}}, nil))
	third := dial(t, d, target)
	other, err := third.Lock(context.Background(), alice, 20*time.Second, nil)
	must(t, err)
	for _, step := range []Step{
		{Title: "touch", Run: &Command{Script: "touch /etc/harm"}},
		detachedStep("touch /etc/harm", 0),
		{Title: "write", Write: &File{Path: "/etc/harm", Data: "x"}},
		{Title: "remove", Remove: &Removal{Path: "/etc/passwd"}},
		{Title: "install", Install: &Packages{Manager: "dnf", Names: []string{"x"}}},
		{Title: "reboot", Reboot: &Reboot{}},
	} {
		err := second.Do(context.Background(), step, nil)
		wantError(t, err, Session, lostLock)
	}
	if _, err := os.Stat(s.path("/etc/harm")); err == nil {
		t.Error("a step was carried out without the lock")
	}
	if _, err := os.Stat(s.path("/etc/passwd")); err != nil {
		t.Error(err)
	}
	must(t, lock.Close())
	if w := lookForWork(t, second); w == nil || w.Holder != alice {
		t.Errorf("at work: %+v", w)
	}
	must(t, other.Close())
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

// A controller that is cut off without a word, so that its sshd waits for it
// for hours, does not keep the host from others, and is refused when it wakes.
func TestLockOfAGhost(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	target := s.target(t, "ops")
	d := newDialer(t)
	d.beats = 200 * time.Millisecond
	first := dial(t, d, target)
	_, err := first.Lock(context.Background(), alice, 0, nil)
	must(t, err)
	frozen := userSessions(t, s, "ops")
	second := dial(t, d, target)
	// It lives, and its clock was set: that is no ghost.
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(s.path(stateDir+"/lock.beat"), old, old))
	_, err = second.Lock(context.Background(), bob, 0, nil)
	wantLocked(t, err, "alice@ctl")
	for _, pid := range frozen {
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	lock, err := second.Lock(context.Background(), bob, time.Minute, nil)
	must(t, err)
	for _, pid := range frozen {
		must(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	err = first.Do(context.Background(), Step{Title: "touch", Run: &Command{Script: "touch /etc/harm"}}, nil)
	wantError(t, err, Session, lostLock)
	must(t, lock.Close())
}

// One session at a time is enough for the lock, for steps, looks and jobs.
func TestLockWithOneSession(t *testing.T) {
	s := startSSHD(t, sshdOptions{config: "MaxSessions 1", setup: stateSetup})
	for _, user := range []string{"root", "pw"} {
		t.Run(user, func(t *testing.T) {
			conn := dial(t, newDialer(t), withSudoPassword(s.target(t, user), password))
			for range 2 {
				lock, err := conn.Lock(context.Background(), alice, 0, nil)
				must(t, err)
				must(t, conn.Do(context.Background(), Step{Title: "write", Write: &File{Path: "/etc/x-" + word(), Data: "x"}}, nil))
				must(t, conn.Do(context.Background(), detachedStep("echo x", 0), nil))
				if w := lookForWork(t, conn); w == nil || w.Holder != alice {
					t.Errorf("at work: %+v", w)
				}
				must(t, lock.Close())
			}
		})
	}
}

// A host without flock is told so, and nothing is put on it.
func TestHostWithoutFlock(t *testing.T) {
	for _, program := range []string{"flock", "setsid"} {
		s := startSSHD(t, sshdOptions{setup: "touch /run/none; mount --bind /run/none /usr/bin/" + program})
		conn := dial(t, newDialer(t), s.target(t, "ops"))
		_, err := conn.Lock(context.Background(), alice, 0, nil)
		wantError(t, err, Session, "no "+program, "util-linux")
		if err := conn.Do(context.Background(), detachedStep("true", 0), nil); err == nil || !strings.Contains(err.Error(), "util-linux") {
			t.Error(err)
		}
		if _, err := os.Stat(s.path(stateDir)); err == nil {
			t.Error("something was put on the host")
		}
		if w := lookForWork(t, conn); w != nil {
			t.Errorf("at work: %v", w)
		}
	}
}
