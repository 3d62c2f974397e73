package lab

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// All probes of a look run in one shell, so none may take a variable that
// another has left for its own: what each says is the same where all have a
// value already. On hosts that are ill more is asked than on those that are not.
func TestProbesRelyOnTheirOwnVariables(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	read := regexp.MustCompile(`\$\{?#?([a-z_]\w*)`)
	// What differs from one look to the next: processes, the time, free memory.
	passing := regexp.MustCompile(`(?m)^(@date|!up|@available|@holder|@process) .*|\b[0-9]{3,4}\b`)
	for _, h := range load(t, dir).Hosts {
		c, err := d.Dial(ctx, target(h))
		if err != nil {
			continue // one that cannot be reached
		}
		var alone, after []remote.Probe
		for _, task := range tasks.All {
			p := task.Look(h)
			p.Endpoints, p.More = nil, nil
			var names []string
			for _, name := range read.FindAllStringSubmatch(tasks.Prelude+p.Script, -1) {
				names = append(names, name[1])
			}
			slices.Sort(names)
			left := ""
			for _, name := range slices.Compact(names) {
				if !regexp.MustCompile(`(?m)^` + name + `=`).MatchString(tasks.Prelude) { // set there, for all
					left += name + "=left\n"
				}
			}
			alone = append(alone, p)
			p.Script = left + p.Script
			after = append(after, p)
		}
		want, err := c.Look(ctx, tasks.Prelude, alone)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Look(ctx, tasks.Prelude, after)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			a, b := passing.ReplaceAllString(want[i].Out, ""), passing.ReplaceAllString(got[i].Out, "")
			if a != b || got[i].Err != want[i].Err || got[i].Failure != "" {
				t.Errorf("%s: %s: %s %s\n%s", h.Name, want[i].Name, got[i].Failure, got[i].Err, firstDifference(a, b))
			}
		}
		_ = c.Close()
	}
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "alone: " + x[i] + "\nafter: " + y[i]
		}
	}
	return "one ends early"
}
