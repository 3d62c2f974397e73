package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runai-prep/runai-prep/internal/lab"
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
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"lab":     startLab,
			"machine": onMachine,
			"code":    exitsWith,
			"mute":    listenMute,
		},
	})
}

// fleetKey is where a script keeps the practice hosts that it started.
type fleetKey struct{}

type started struct{ fleet *lab.Fleet }

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
	fleet, err := lab.Start(context.Background(), config)
	ts.Check(err)
	ts.Defer(func() { _ = fleet.Close() })
	ts.Setenv("LAB", config.Dir)
	ts.Value(fleetKey{}).(*started).fleet = fleet
}

// onMachine runs a script on a practice host, as root and past SSH: drift made
// by hand, or a look with other eyes.
//
//	machine HOST 'SCRIPT'
func onMachine(ts *testscript.TestScript, neg bool, args []string) {
	fleet := ts.Value(fleetKey{}).(*started).fleet
	if fleet == nil || len(args) != 2 {
		ts.Fatalf("usage: machine HOST 'SCRIPT', after lab")
	}
	out, code := fleet.Machine(args[0]).Run(args[1])
	_, _ = ts.Stdout().Write([]byte(out))
	if neg == (code == 0) {
		ts.Fatalf("machine %s: exit status %d\n%s", args[0], code, out)
	}
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
// hosts do that are out of memory; its number is in $MUTE.
func listenMute(ts *testscript.TestScript, neg bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Setenv("MUTE", port)
}
