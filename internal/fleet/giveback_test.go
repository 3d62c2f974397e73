package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// A node that was taken from its cluster is given back after the proof; at once
// where nothing has followed; and not as long as nobody knows what the host has.
func TestGivenBack(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte("#!/bin/sh\ncase $1 in drain) ${DRAIN:-:};; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	remembered := remote.Step{Title: "remember", Run: &remote.Command{Script: "node=cordoned"}}
	cordon := remote.Step{Title: "kubectl cordon h", Kubectl: &remote.Kubectl{Args: []string{"cordon", "h"}}}
	drain := remote.Step{Title: "kubectl drain h", Kubectl: &remote.Kubectl{Args: []string{"drain", "h"}, Guard: true}}
	forget := remote.Step{Title: "forget", Run: &remote.Command{Script: "node=free"}}
	task := chain(func(have map[string]string) []tasks.Finding {
		head := tasks.Finding{Subject: "nvidia driver", Have: have["packages"], Want: "550", State: tasks.OK}
		if head.Have != "550" {
			head.State, head.Steps = tasks.Pending, []remote.Step{fetch, remembered, cordon, drain, guard, swap}
		}
		found := []tasks.Finding{head}
		if head.State != tasks.OK || have["node"] == "cordoned" {
			node := tasks.Finding{Subject: "kubernetes node", Have: have["node"], Want: "takes pods", State: tasks.Pending, After: []remote.Step{forget}}
			if have["node"] != "cordoned" {
				node.Undo = []remote.Step{forget}
			}
			found = append(found, node)
		}
		return found
	})
	for name, c := range map[string]struct {
		packages, node, drain string
		broken                map[string]error
		did, states           []string
		left, status          string
	}{
		"proved": {"470", "free", "", nil,
			[]string{"fetch", "remember", "guard", "install", "forget"}, []string{"nvidia driver fixed", "kubernetes node fixed"}, "free", report.Settled},
		"not drained": {"470", "free", "false", nil,
			[]string{"fetch", "remember", "forget"}, []string{"nvidia driver pending (exit status 1)", "kubernetes node pending (it was given back as it was)"}, "free", report.Pending},
		"somebody computes all the same": {"470", "free", "", map[string]error{"guard": refusal("python3")},
			[]string{"fetch", "remember", "guard", "forget"}, []string{"nvidia driver pending (python3)", "kubernetes node pending (it was given back as it was)"}, "free", report.Pending},
		"not installed": {"470", "free", "", map[string]error{"install": errors.New("no space left")},
			[]string{"fetch", "remember", "guard", "install"}, []string{"nvidia driver failed: install: no space left", "kubernetes node pending (not started: nvidia driver has failed)"}, "cordoned", report.Failed},
		"not fetched": {"470", "free", "", map[string]error{"fetch": errors.New("404")},
			[]string{"fetch"}, []string{"nvidia driver failed: fetch: 404", "kubernetes node pending (not started: nvidia driver has failed)"}, "free", report.Failed},
		"left by one who was killed": {"550", "cordoned", "", nil,
			[]string{"forget"}, []string{"nvidia driver ok", "kubernetes node fixed"}, "free", report.Settled},
		"left in the middle, and not drained": {"470", "cordoned", "false", nil,
			[]string{"fetch", "remember"}, []string{"nvidia driver pending (exit status 1)", "kubernetes node pending (not started: exit status 1)"}, "cordoned", report.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DRAIN", c.drain)
			r := &replay{files: map[string]string{"packages": c.packages, "node": c.node}, broken: c.broken}
			f, list := fleetOf(map[string]*replay{"h": r}, task)
			visits := f.Look(t.Context(), list, true)
			f.Apply(t.Context(), visits, ApplyOptions{})
			got := visits[0].Report()
			var lines []string
			for _, line := range states([]report.Host{got}) {
				lines = append(lines, strings.TrimPrefix(line, "h "))
			}
			if diff := cmp.Diff(c.states, lines); diff != "" {
				t.Errorf("findings: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.did, r.did); diff != "" {
				t.Errorf("steps: -want +got:\n%s", diff)
			}
			if r.files["node"] != c.left || got.Status != c.status {
				t.Errorf("the node is left %s, the host is %s", r.files["node"], got.Status)
			}
		})
	}
}
