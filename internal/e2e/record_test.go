//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/tasks"
)

// A real host is recorded and played back without it: the same JSON, whole. Of
// what is masked nothing is in the folder. Two hosts from one image have one
// machine-id, and neither of them is ready until it has its own.
func TestRecord(t *testing.T) {
	l := New(t)
	one, two := l.Host(t, "gpu-01"), l.Host(t, "gpu-02")
	id := strings.TrimSpace(one.SSH(t, "cat /etc/machine-id"))
	two.SSH(t, "echo "+id+" >/etc/machine-id")
	c := newController(t, l, []*Machine{one, two}, "SUDO_PASSWORD=k4n4rie-v0gel")
	c.write("inventory.hcl", fmt.Sprintf(`ssh {
  user          = "ops"
  identity_file = %q
  known_hosts   = "known_hosts"
}
sudo { password = env("SUDO_PASSWORD") }
nfs_mount "/mnt/data" {
  server = "10.77.0.9"
  export = "/export/data"
}
host "gpu-01" { address = %q }
host "gpu-02" { address = %q }
`, l.IdentityFile, one.IP, two.IP))
	inv := filepath.Join(l.Dir, "inventory.hcl")
	rec := filepath.Join(l.Dir, "rec")

	plan := func(args ...string) report.Result {
		t.Helper()
		path, err := program()
		if err != nil {
			t.Fatal(err)
		}
		cmd := l.Command(t.Context(), path, append([]string{"plan", inv, "-o", "json"}, args...)...)
		cmd.Env = append(cmd.Env, c.env...)
		out, err := cmd.Output()
		if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		var r report.Result
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("plan %v: %v\n%s", args, err, out)
		}
		return r
	}
	live := plan("--record", rec)
	ids := func(r report.Result) (hosts []string) {
		for _, f := range r.Fleet {
			if f.Task == "kubernetes" && strings.HasPrefix(f.Subject, "machine-id ") && f.State == "unmet" {
				hosts = append(hosts, f.Hosts...)
			}
		}
		return hosts
	}
	if slices.ContainsFunc(tasks.All, func(t tasks.Task) bool { return t.Name == "kubernetes" }) {
		if got := ids(live); strings.Join(got, " ") != "gpu-01 gpu-02" {
			t.Errorf("one machine-id of two hosts is not found out: %v, %+v", got, live.Fleet)
		}
		for _, h := range live.Hosts {
			if h.Ready || !strings.Contains(strings.Join(h.Reasons, "\n"), "kubernetes/machine-id ") {
				t.Errorf("%s is ready, or for other reasons not: %v", h.Name, h.Reasons)
			}
		}
		contains(t, "the gate", c.run(live.ExitCode, "check", inv, "--gate", "gpu-02"), "NOT READY gpu-02: ", "kubernetes/machine-id ")
	}

	masked := filepath.Join(l.Dir, "masked")
	again := plan("--record", masked, "--mask", "all")
	one.Stop(t)
	two.Stop(t)

	timeless := cmpopts.IgnoreFields(report.Result{}, "RunID", "Started", "ElapsedSeconds")
	noTime := cmpopts.IgnoreFields(report.Host{}, "ElapsedSeconds")
	if diff := cmp.Diff(live, plan("--replay", rec), timeless, noTime); diff != "" {
		t.Errorf("live and replayed (-live +replayed):\n%s", diff)
	}
	if diff := cmp.Diff(again, plan("--replay", masked), timeless, noTime); diff != "" {
		t.Errorf("live and replayed with the table of masks (-live +replayed):\n%s", diff)
	}
	for _, folder := range []string{rec, masked} {
		files, _ := filepath.Glob(folder + "/*/*.json")
		if len(files) != 2 {
			t.Fatalf("%s: %v", folder, files)
		}
		for _, f := range append(files, folder+"/record.json") {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			lacks(t, f, string(text), "k4n4rie")
			if folder == masked {
				lacks(t, f, string(text), "10.77.0.", "gpu-01", "gpu-02", id)
			}
		}
	}
}
