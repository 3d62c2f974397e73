package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/lab"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"runai-prep": main})
}

// The scripts run the program as a user does: arguments in; stdout, stderr and
// exit code out. Where hosts are needed, `lab` starts practice hosts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("SSH_AUTH_SOCK", "")
			demo, err := filepath.Abs("../../examples/demo.sh")
			if err != nil {
				return err
			}
			env.Setenv("DEMO", demo)
			env.Values[fleetKey{}] = &started{}
			return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o700)
		},
		Condition: func(name string) (bool, error) {
			return slices.ContainsFunc(tasks.All, func(t tasks.Task) bool { return t.Name == name }), nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"lab":     startLab,
			"machine": onMachine,
			"upload":  toMachine,
			"seen":    waitFor,
			"code":    exitsWith,
			"mute":    listenMute,
			"hold":    holdHost,
			"release": releaseHosts,
			"leave":   leaveJob,
			"hook":    startHook,
			"alike":   alike,
			"edit":    editFile,
		},
	})
}

// fleetKey is where a script keeps the practice hosts that it started.
type fleetKey struct{}

type started struct {
	fleet *lab.Fleet
	held  []*remote.Conn
}

// startLab starts practice hosts with their files in the folder lab.
//
//	lab [HOSTS]
func startLab(ts *testscript.TestScript, neg bool, args []string) {
	config := lab.Config{Dir: ts.MkAbs("lab")}
	if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		config.Hosts = n
	}
	practice, err := lab.Start(context.Background(), config)
	ts.Check(err)
	ts.Defer(func() { _ = practice.Close() })
	ts.Setenv("LAB", config.Dir)
	ts.Value(fleetKey{}).(*started).fleet = practice
}

// onMachine runs a script on a practice host, as root and past SSH: drift made
// by hand, or a look with other eyes.
//
//	machine HOST 'SCRIPT'
func onMachine(ts *testscript.TestScript, neg bool, args []string) {
	practice := ts.Value(fleetKey{}).(*started).fleet
	if practice == nil || len(args) != 2 {
		ts.Fatalf("usage: machine HOST 'SCRIPT', after lab")
	}
	out, code := practice.Machine(args[0]).Run(args[1])
	_, _ = ts.Stdout().Write([]byte(out))
	if neg == (code == 0) {
		ts.Fatalf("machine %s: exit status %d\n%s", args[0], code, out)
	}
}

// toMachine puts a program on a practice host.
//
//	upload HOST FILE PATH
func toMachine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: upload HOST FILE PATH, after lab")
	}
	m := ts.Value(fleetKey{}).(*started).fleet.Machine(args[0])
	script := "cat >" + args[2] + " <<'END OF FILE'\n" + ts.ReadFile(args[1]) + "END OF FILE\nchmod 755 " + args[2]
	if out, code := m.Run(script); code != 0 {
		ts.Fatalf("upload to %s: exit status %d\n%s", args[0], code, out)
	}
}

// waitFor waits until a file that a program in the background writes has a line
// of a pattern.
//
//	seen FILE PATTERN
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: seen FILE PATTERN")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && pattern.Match(text) {
			return
		}
	}
	ts.Fatalf("%s does not come to say %s:\n%s", args[0], args[1], ts.ReadFile(args[0]))
}

// exitsWith runs a command that must end with that very exit code.
//
//	code CODE COMMAND ARG...
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code CODE COMMAND ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// listenMute opens a port that accepts connections and never says a word, as
// hosts do that are out of memory; its number is in $MUTE. Each time somebody
// connects the file met is written.
func listenMute(ts *testscript.TestScript, neg bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Setenv("MUTE", port)
	met := ts.MkAbs("met")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }() // with the listener, not before
			_ = os.WriteFile(met, nil, 0o600)   // a script that waits for it in vain fails
		}
	}()
}

// startHook answers at $HOOK: what is posted there is kept in the file hook.told,
// or refused where there is a file hook.down.
func startHook(ts *testscript.TestScript, neg bool, args []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(ts.MkAbs("hook.down")); err == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(ts.MkAbs("hook.told"), body, 0o600)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv("HOOK", server.URL+"/canary")
}

// dial connects to a practice host, as another runai-prep does.
func dial(ts *testscript.TestScript, name string) *remote.Conn {
	inv, diags := inventory.Load(ts.MkAbs("lab/inventory.hcl"), inventory.Options{})
	if diags.HasErrors() {
		ts.Fatalf("%v", diags)
	}
	i := slices.IndexFunc(inv.Hosts, func(h inventory.Host) bool { return h.Name == name })
	if i < 0 {
		ts.Fatalf("there is no host %s", name)
	}
	dialer := &remote.Dialer{ConfigFile: os.DevNull}
	c, err := dialer.Dial(context.Background(), fleet.Target(inv.Hosts[i]))
	ts.Check(err)
	ts.Defer(func() { _, _ = c.Close(), dialer.Close() })
	return c
}

// holdHost is somebody else at work on a host, until release.
//
//	hold HOST WHO
func holdHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hold HOST WHO")
	}
	c := dial(ts, args[0])
	_, err := c.Lock(context.Background(), remote.Holder{Who: args[1], RunID: "run-1"}, 0, nil)
	ts.Check(err)
	s := ts.Value(fleetKey{}).(*started)
	s.held = append(s.held, c)
}

// releaseHosts ends what hold began, as a controller that is killed does.
func releaseHosts(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(fleetKey{}).(*started)
	for _, c := range s.held {
		ts.Check(c.Close())
	}
	s.held = nil
}

// leaveJob begins a job on a host and leaves it behind, as a controller does
// that is killed in the middle.
//
//	leave HOST WHO TITLE 'SCRIPT'
func leaveJob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: leave HOST WHO TITLE 'SCRIPT'")
	}
	c := dial(ts, args[0])
	_, err := c.Lock(context.Background(), remote.Holder{Who: args[1], RunID: "run-1"}, 0, nil)
	ts.Check(err)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	step := remote.Step{Title: args[2], Run: &remote.Command{Script: "echo begun\n" + args[3], Detached: true}}
	err = c.Do(ctx, step, func(line string) {
		if line == "begun" {
			leave()
		}
	})
	if !errors.Is(err, context.Canceled) {
		ts.Fatalf("the job was not left behind: %v", err)
	}
	ts.Check(c.Close())
}
