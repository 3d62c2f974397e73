package fleet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// chain is a task whose findings build on each other: what is planned for the
// files that a host has.
func chain(plan func(have map[string]string) []tasks.Finding) tasks.Task {
	t := want()
	t.Name, t.Independent = "driver", false
	t.Plan = func(_ inventory.Host, f tasks.Facts) []tasks.Finding { return plan(f.(map[string]string)) }
	return t
}

// The steps of a driver, in small.
var (
	fetch  = remote.Step{Title: "fetch", Install: &remote.Packages{Names: []string{"packages=550"}, DownloadOnly: true}}
	guard  = remote.Step{Title: "guard", Run: &remote.Command{Script: "guard", Guard: true}}
	unload = remote.Step{Title: "unload", Run: &remote.Command{Script: "loaded=none"}, Disrupts: "no GPU meanwhile"}
	swap   = remote.Step{Title: "install", Install: &remote.Packages{Names: []string{"packages=550"}}}
	load   = remote.Step{Title: "load", Run: &remote.Command{Script: "loaded=550"}, Disrupts: "no GPU meanwhile"}
	reboot = remote.Step{Title: "reboot", Reboot: &remote.Reboot{}, Disrupts: "the machine restarts"}

	install470 = remote.Step{Title: "install 470", Install: &remote.Packages{Names: []string{"packages=470"}, Downgrade: true}}
	load470    = remote.Step{Title: "load 470", Run: &remote.Command{Script: "loaded=470"}}
)

// driver is such a task: the headline with the steps, what comes with them, and
// the loading; with a way back and something to follow.
func driver(headline, loading []remote.Step) tasks.Task {
	return chain(func(have map[string]string) []tasks.Finding {
		finding := func(subject, file string, steps ...remote.Step) tasks.Finding {
			g := tasks.Finding{Subject: subject, Have: have[file], Want: "550", Why: "test:1", State: tasks.OK}
			if g.Have != "550" {
				g.State, g.Steps = tasks.Pending, steps
				if len(steps) == 0 {
					g.Hint = "comes with nvidia driver"
				}
			}
			return g
		}
		head := finding("nvidia driver", "packages", headline...)
		if head.State == tasks.OK && have["loaded"] != "550" {
			head.State, head.Have, head.Hint = tasks.Pending, "550, not loaded", "comes with nvidia module loaded"
		}
		if len(head.Steps) > 0 {
			head.Hint = "formerly " + have["packages"]
			head.Back = []remote.Step{install470, load470}
			head.After = []remote.Step{{Title: "uncordon", Run: &remote.Command{Script: "uncordon"}}}
		}
		return []tasks.Finding{head, finding("nvidia packages", "packages"), finding("nvidia module loaded", "loaded", loading...)}
	})
}

func refusal(said string) error {
	return &remote.CommandError{Title: "guard", Exit: 1, Reason: "exit status 1", Stderr: said}
}

func TestTransactions(t *testing.T) {
	whole := []remote.Step{fetch, guard, unload, swap}
	exploded := &remote.CommandError{Title: "load", Exit: 1, Reason: "exit status 1", Stderr: "modprobe: could not insert 'nvidia': Exec format error"}
	for name, c := range map[string]struct {
		headline, loading []remote.Step
		options           ApplyOptions
		broken            map[string]error // by title
		ignore            bool             // what is loaded is another driver than what is installed
		did               []string
		states            []string
		status            string
		rebootPending     bool
	}{
		"all goes well": {
			headline: whole, loading: []remote.Step{load},
			did:    []string{"fetch", "guard", "unload", "install", "load", "uncordon"},
			states: []string{"nvidia driver fixed", "nvidia packages fixed", "nvidia module loaded fixed"},
			status: report.Settled,
		},
		"what follows fails": {
			headline: whole, loading: []remote.Step{load}, broken: map[string]error{"uncordon": errors.New("no cluster")},
			did: []string{"fetch", "guard", "unload", "install", "load", "uncordon"},
			states: []string{"nvidia driver failed: the host is as wanted, but what follows failed: uncordon: no cluster",
				"nvidia packages fixed", "nvidia module loaded fixed"},
			status: report.Failed,
		},
		"somebody computes": {
			headline: whole, loading: []remote.Step{load}, broken: map[string]error{"guard": refusal("GPU processes run: python3 (pid 7)")},
			did: []string{"fetch", "guard"},
			states: []string{"nvidia driver pending (GPU processes run: python3 (pid 7))",
				"nvidia packages pending (not started: GPU processes run: python3 (pid 7))",
				"nvidia module loaded pending (not started: GPU processes run: python3 (pid 7))"},
			status: report.Pending,
		},
		"whether somebody computes cannot be told": {
			headline: whole, loading: []remote.Step{load},
			broken: map[string]error{"guard": &remote.CommandError{Title: "guard", Exit: -1, Reason: "killed after 1m0s"}},
			did:    []string{"fetch", "guard"},
			states: []string{"nvidia driver failed: guard: killed after 1m0s (formerly 470)",
				"nvidia packages pending (not started: nvidia driver has failed)",
				"nvidia module loaded pending (not started: nvidia driver has failed)"},
			status: report.Failed,
		},
		"not to be had: nothing to go back from": {
			headline: whole, loading: []remote.Step{load}, broken: map[string]error{"fetch": errors.New("404 Not Found\nmore of it")},
			did: []string{"fetch"},
			states: []string{"nvidia driver failed: fetch: 404 Not Found\nmore of it (formerly 470)",
				"nvidia packages pending (not started: nvidia driver has failed)",
				"nvidia module loaded pending (not started: nvidia driver has failed)"},
			status: report.Failed,
		},
		"never rebooted for a driver that could not be installed": {
			headline: []remote.Step{fetch, swap}, loading: []remote.Step{reboot}, options: ApplyOptions{Reboot: true},
			broken: map[string]error{"install": errors.New("no space left"), "install 470": errors.New("no space left")},
			did:    []string{"fetch", "install", "install 470"},
			states: []string{"nvidia driver failed: install: no space left\nthe way back failed too: install 470: no space left; the host now has: 470 (formerly 470)",
				"nvidia packages pending (not started: nvidia driver has failed)",
				"nvidia module loaded pending (not started: nvidia driver has failed)"},
			status: report.Failed, rebootPending: false,
		},
		"does not come up: back": {
			headline: whole, loading: []remote.Step{load}, broken: map[string]error{"load": exploded},
			did: []string{"fetch", "guard", "unload", "install", "load", "install 470", "load 470"},
			states: []string{
				"nvidia driver failed: every step succeeded, but the host still has: 550, not loaded\nwent back; the host now has: 470 (formerly 470)",
				"nvidia packages failed: it was done, and taken back with what failed\nwent back; the host now has: 470",
				"nvidia module loaded failed: " + exploded.Error() + "\nwent back; the host now has: 470"},
			status: report.Failed,
		},
		"is not what it said: back": {
			headline: whole, loading: []remote.Step{{Title: "load", Run: &remote.Command{Script: "loaded=545"}}},
			did: []string{"fetch", "guard", "unload", "install", "load", "install 470", "load 470"},
			states: []string{
				"nvidia driver failed: every step succeeded, but the host still has: 550, not loaded\nwent back; the host now has: 470 (formerly 470)",
				"nvidia packages failed: it was done, and taken back with what failed\nwent back; the host now has: 470",
				"nvidia module loaded failed: every step succeeded, but the host still has: 545\nwent back; the host now has: 470"},
			status: report.Failed,
		},
		"no reboot, by the command line": {
			headline: []remote.Step{fetch, swap}, loading: []remote.Step{reboot},
			did: []string{"fetch", "install"},
			states: []string{"nvidia driver pending (a reboot is needed and not allowed (--reboot never))", "nvidia packages fixed",
				"nvidia module loaded pending (a reboot is needed and not allowed (--reboot never))"},
			status: report.Pending, rebootPending: true,
		},
		"no reboot, by the inventory": {
			headline: []remote.Step{fetch, swap},
			loading:  []remote.Step{{Title: "reboot", Reboot: &remote.Reboot{Refused: "inventory.hcl:12"}}},
			options:  ApplyOptions{Reboot: true},
			did:      []string{"fetch", "install"},
			states: []string{"nvidia driver pending (a reboot is needed and not allowed (inventory.hcl:12))", "nvidia packages fixed",
				"nvidia module loaded pending (a reboot is needed and not allowed (inventory.hcl:12))"},
			status: report.Pending, rebootPending: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &replay{files: map[string]string{"packages": "470", "loaded": "470", "/x": "bad"}, broken: c.broken}
			f, list := fleetOf(map[string]*replay{"h": r}, driver(c.headline, c.loading), want("/x"))
			visits := f.Look(t.Context(), list, true)
			f.Apply(t.Context(), visits, c.options)
			got := visits[0].Report()
			lines := states([]report.Host{got})
			for i := range lines {
				lines[i] = strings.TrimPrefix(lines[i], "h ")
			}
			if diff := cmp.Diff(append(c.states, "/x fixed"), lines); diff != "" {
				t.Errorf("findings: -want +got:\n%s", diff)
			}
			// Another task's wishes are carried out whatever became of this one,
			// before the second look.
			did := cmp.Diff(c.did, without(r.did, "write /x"))
			if did != "" {
				t.Errorf("steps: -want +got:\n%s", did)
			}
			if got.Status != c.status || got.RebootPending != c.rebootPending {
				t.Errorf("status %s, reboot pending %v; want %s, %v", got.Status, got.RebootPending, c.status, c.rebootPending)
			}
			if len(r.free) > 0 {
				t.Errorf("done without the lock: %v", r.free)
			}
		})
	}
}

func without(list []string, x string) []string {
	var rest []string
	for _, s := range list {
		if s != x {
			rest = append(rest, s)
		}
	}
	return rest
}

// What stands aside ends nothing but itself, and is no reason to take a driver
// away that works.
func TestAside(t *testing.T) {
	for _, aside := range []bool{true, false} {
		r := &replay{files: map[string]string{"packages": "470", "loaded": "470", "hold": "no"}, broken: map[string]error{"hold": errors.New("no plugin")}}
		task := driver([]remote.Step{swap}, []remote.Step{load})
		plan := task.Plan
		task.Plan = func(h inventory.Host, facts tasks.Facts) []tasks.Finding {
			hold := tasks.Finding{Subject: "hold", State: tasks.Pending, Aside: aside, Steps: []remote.Step{{Title: "hold", Run: &remote.Command{Script: "hold=yes"}}}}
			return slices.Insert(plan(h, facts), 1, hold)
		}
		f, list := fleetOf(map[string]*replay{"h": r}, task)
		visits := f.Look(t.Context(), list, true)
		f.Apply(t.Context(), visits, ApplyOptions{})
		want := []string{"install", "hold", "load"}
		if !aside {
			want = []string{"install", "hold", "install 470", "load 470"}
		}
		if got := visits[0].Report(); !slices.Equal(r.did, want) || got.Status != report.Failed {
			t.Errorf("aside %v: %s, did %v", aside, got.Status, r.did)
		}
	}
}

// A look alone tells that a host waits for its reboot, and for nothing else.
func TestAPlanThatBeginsWithAReboot(t *testing.T) {
	for _, c := range []struct {
		packages string
		pending  bool
	}{{"550", true}, {"470", false}} {
		r := &replay{files: map[string]string{"packages": c.packages, "loaded": "470"}}
		f, list := fleetOf(map[string]*replay{"h": r}, driver([]remote.Step{swap}, []remote.Step{guard, reboot}))
		if got := f.Look(t.Context(), list, false)[0].Report(); got.RebootPending != c.pending {
			t.Errorf("packages %s: reboot pending %v", c.packages, got.RebootPending)
		}
	}
}

// The first Ctrl-C lets a job come to its end; the second leaves it alone, and
// nobody says that it failed.
func TestInterruptedInAJob(t *testing.T) {
	for _, c := range []struct {
		name  string
		twice bool
		want  []string
		did   []string
	}{
		{"once", false, []string{"h nvidia driver unknown: the steps were done, but could not be proved: interrupted (formerly 470)",
			"h nvidia packages pending (not started: interrupted)",
			"h nvidia module loaded pending (not started: interrupted)", "h: interrupted"}, []string{"install"}},
		{"twice", true, []string{"h nvidia driver unknown: install: interrupted (formerly 470)",
			"h nvidia packages pending (not started: install: interrupted)",
			"h nvidia module loaded pending (not started: install: interrupted)", "h: interrupted"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			interrupted := errors.New("interrupted")
			soft, stop := context.WithCancelCause(t.Context())
			hard, stopHard := context.WithCancelCause(t.Context())
			defer stop(nil)
			defer stopHard(nil)
			r := &replay{files: map[string]string{"packages": "470", "loaded": "470"}}
			r.during = func(remote.Step) {
				if stop(interrupted); c.twice {
					stopHard(interrupted)
				}
			}
			f, list := fleetOf(map[string]*replay{"h": r}, driver([]remote.Step{swap}, []remote.Step{load}))
			visits := f.Look(soft, list, true)
			f.Apply(soft, visits, ApplyOptions{Hard: hard})
			if diff := cmp.Diff(c.want, states(Reports(visits))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.did, r.did); diff != "" {
				t.Errorf("steps: -want +got:\n%s", diff)
			}
		})
	}
}

// kubectl is run here, with the environment's kubeconfig, and a host whose
// drain fails is not touched.
func TestKubectl(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("KUBECONFIG", "/some/kubeconfig")
	cordon := remote.Step{Title: "kubectl drain gpu-01", Kubectl: &remote.Kubectl{Args: []string{"drain", "gpu-01"}}}
	apply := func() (*replay, report.Host) {
		r := &replay{files: map[string]string{"packages": "470", "loaded": "550", "/x": "bad"}}
		f, list := fleetOf(map[string]*replay{"h": r}, driver([]remote.Step{cordon, swap}, nil), want("/x"))
		visits := f.Look(t.Context(), list, true)
		f.Apply(t.Context(), visits, ApplyOptions{})
		return r, visits[0].Report()
	}

	r, got := apply()
	if len(r.did) != 1 || !strings.Contains(got.Findings[0].Error, "nothing was begun: its steps need kubectl") || got.Findings[3].State != "fixed" {
		t.Errorf("without kubectl: did %v, %+v", r.did, got.Findings)
	}

	script := "#!/bin/sh\necho \"$@ $KUBECONFIG\" >>" + filepath.Join(dir, "log") + "\ncase $1 in drain) ${DRAIN:-:};; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if r, got = apply(); got.Status != report.Settled {
		t.Errorf("%v %+v", r.did, got)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || string(log) != "drain gpu-01 /some/kubeconfig\n" {
		t.Errorf("kubectl was called so: %q %v", log, err)
	}

	t.Setenv("DRAIN", "eval printf 'line\\n%.0s' "+strings.Repeat("x ", 3000)+" >&2; echo 'error: cannot evict pod\x1b[2J' >&2; exit 3")
	r, got = apply()
	if len(r.did) != 1 { // write /x alone
		t.Errorf("a drain failed, and then: %v", r.did)
	}
	said := got.Findings[0].Error
	if got.Findings[0].State != "failed" || !strings.Contains(said, "exit status 3") || !strings.Contains(said, "cannot evict pod") ||
		strings.Contains(said, "\x1b") || len(said) > 3000 {
		t.Errorf("%d bytes: %q", len(said), said)
	}
}
