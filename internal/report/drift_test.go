package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/tasks"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkOf is a check in a word or two: "a: nfs/x=pending nfs/y=ok; b: !" is
// host a with two findings and host b unreachable.
func checkOf(spec string) *Result {
	r := Result{Command: "check"}
	for hostSpec := range strings.SplitSeq(spec, ";") {
		name, found, _ := strings.Cut(strings.TrimSpace(hostSpec), ":")
		h := Host{Name: name}
		for _, f := range strings.Fields(found) {
			if f == "!" {
				h.Status, h.Error = Unreachable, "connect: timeout"
				continue
			}
			what, state, _ := strings.Cut(f, "=")
			task, subject, _ := strings.Cut(what, "/")
			h.Findings = append(h.Findings, Finding{Task: task, Subject: subject, State: state})
		}
		r.Hosts = append(r.Hosts, h)
	}
	r.Finish()
	return &r
}

// news is what Compare found: "+a nfs/x" is new, "-a nfs/x" was mended.
func news(r *Result) []string {
	var all []string
	for _, h := range r.Hosts {
		if h.New {
			all = append(all, "+"+h.Name)
		}
		for _, f := range h.Findings {
			if f.New {
				all = append(all, "+"+h.Name+" "+f.Task+"/"+f.Subject)
			}
		}
	}
	for _, m := range r.Mended {
		all = append(all, strings.TrimSuffix("-"+m.Host+" "+m.Task+"/"+m.Subject, " /"))
	}
	return all
}

func TestDriftOverSeveralChecks(t *testing.T) {
	everywhere := func(string) bool { return true }
	for name, c := range map[string]struct {
		checks []string
		want   string // of the last check
	}{
		"first check: all is new":         {[]string{"a: nfs/x=pending nfs/y=ok; b: !"}, "+a nfs/x +b"},
		"still wrong is not new":          {[]string{"a: nfs/x=pending", "a: nfs/x=unmet"}, ""},
		"newly wrong":                     {[]string{"a: nfs/x=ok", "a: nfs/x=unknown"}, "+a nfs/x"},
		"mended":                          {[]string{"a: nfs/x=pending nfs/y=ok", "a: nfs/x=ok nfs/y=ok"}, "-a nfs/x"},
		"half mended is not mended":       {[]string{"a: nfs/x=pending nfs/x=pending", "a: nfs/x=ok nfs/x=pending"}, ""},
		"mended is said once":             {[]string{"a: nfs/x=pending nfs/x=pending", "a: nfs/x=ok nfs/x=ok"}, "-a nfs/x"},
		"no longer wanted is not mended":  {[]string{"a: nfs/x=pending", "a: nfs/y=ok"}, ""},
		"of another host":                 {[]string{"a: nfs/x=pending; b: nfs/x=ok", "a: nfs/x=pending; b: nfs/x=pending"}, "+b nfs/x"},
		"gone":                            {[]string{"a: nfs/x=ok", "a: !"}, "+a"},
		"still gone":                      {[]string{"a: !", "a: !"}, ""},
		"back, and as wrong as before":    {[]string{"a: nfs/x=pending", "a: !", "a: nfs/x=pending"}, "-a"},
		"back, and wrong anew":            {[]string{"a: nfs/x=ok", "a: !", "a: nfs/x=pending"}, "+a nfs/x -a"},
		"left out by --limit":             {[]string{"a: nfs/x=pending; b: nfs/x=pending", "b: nfs/x=pending", "a: nfs/x=pending; b: nfs/x=pending"}, ""},
		"left out by --task":              {[]string{"a: nfs/x=pending", "a: proxy/p=ok", "a: nfs/x=pending proxy/p=ok"}, ""},
		"not seen once, as wrong as ever": {[]string{"a: nfs/x=pending", "a: nfs/nfs=unknown", "a: nfs/x=pending"}, ""},
	} {
		var kept, now *Result
		for _, spec := range c.checks {
			now = checkOf(spec)
			Compare(kept, now)
			kept = Remember(kept, now, everywhere)
		}
		if diff := cmp.Diff(strings.Fields(strings.ReplaceAll(c.want, " nfs", "_nfs")), underscored(news(now))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if now.HasNew() != strings.Contains(c.want, "+") {
			t.Errorf("%s: HasNew is %v", name, now.HasNew())
		}
	}
	kept := Remember(checkOf("a: nfs/x=pending; gone: nfs/x=ok"), checkOf("a: nfs/x=ok"), func(h string) bool { return h != "gone" })
	if len(kept.Hosts) != 1 {
		t.Errorf("a host that left the inventory is kept: %v", kept.Hosts)
	}
}

func underscored(all []string) []string {
	out := []string{}
	for _, s := range all {
		out = append(out, strings.ReplaceAll(s, " ", "_"))
	}
	return out
}

func TestJSONComesBack(t *testing.T) {
	want := check()
	var b bytes.Buffer
	if err := JSON(&b, want); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	ignorePlan := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Plan" }, cmp.Ignore())
	if diff := cmp.Diff(want, got, ignorePlan); diff != "" {
		t.Errorf("(-wrote +read):\n%s", diff)
	}
	for name, bad := range map[string]string{
		"empty": "", "schema": strings.Replace(text, "result/1", "result/2", 1), "two": text + text,
		"status": strings.Replace(text, `"settled"`, `"fine"`, 1), "state": strings.Replace(text, `"ok"`, `"fine"`, 1),
		"cut": text[:len(text)/2],
	} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}

// The contract: arrays are always there, whoever filled in the result.
func TestJSONHasNoNullArrays(t *testing.T) {
	for _, r := range []Result{{}, {Hosts: []Host{{Name: "a"}}}, {Hosts: []Host{{Name: "a", Findings: []Finding{{State: "ok"}}}}}} {
		var b bytes.Buffer
		if err := JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "null") {
			t.Errorf("null in %s", b.String())
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schema":"runai-prep.result/1","hosts":[{"name":"a","status":"settled","findings":[{"state":"ok"}]}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := Read(bytes.NewReader(doc))
		if err != nil {
			return
		}
		// What could be read can be shown.
		if err := Text(&bytes.Buffer{}, r, TextOptions{Verbose: true}); err != nil {
			t.Error(err)
		}
	})
}

func TestAlikeHostsAreSaidOnce(t *testing.T) {
	r := plan()
	groups := groupsOf(r, false)
	i := slices.IndexFunc(groups, func(g group) bool { return g.status == Pending })
	if len(groups[i].names) != 3 || !groups[i].items[1].differ {
		t.Errorf("three hosts whose fstab differs in a UUID are %d, differ %v", len(groups[i].names), groups[i].items[1].differ)
	}
	// A step that differs is not alike, however equal the rest.
	r.Hosts[1].Findings[3].Plan[1].Write.Data += "another line\n"
	if more := groupsOf(r, false); len(more) != len(groups)+1 {
		t.Errorf("%d groups, want %d: what one step writes differs", len(more), len(groups)+1)
	}
}

func TestLongDiffSaysWhatIsLeftOut(t *testing.T) {
	r := plan()
	r.Hosts[3].Findings[2].Plan[1].Write.Data = strings.Repeat("a line\n", 500)
	for _, verbose := range []bool{false, true} {
		var b bytes.Buffer
		if err := Text(&b, r, TextOptions{Verbose: verbose}); err != nil {
			t.Fatal(err)
		}
		shown := strings.Count(b.String(), "+a line")
		if said := strings.Contains(b.String(), "-v shows all"); verbose == said || verbose != (shown == 500) {
			t.Errorf("verbose %v: %d of 500 lines, said so: %v", verbose, shown, said)
		}
	}
}

// manyHosts are each a little different where it does not matter.
func manyHosts(n int) Result {
	r := Result{Command: "plan"}
	for i := range n {
		r.Hosts = append(r.Hosts, Host{Name: fmt.Sprintf("gpu-%05d", i), Address: fmt.Sprintf("10.0.%d.%d:22", i/250, i%250), Findings: []Finding{
			cpus(), memory(fmt.Sprintf("%d GiB", 200+i%7), tasks.OK), mountPending(fmt.Sprint(i), "not mounted", "")}})
	}
	r.Finish()
	return r
}

func TestManyHostsAreOneGroup(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, manyHosts(1000), TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "PENDING"); n != 1 {
		t.Errorf("%d groups, want 1", n)
	}
}

func BenchmarkText10000Hosts(b *testing.B) {
	r := manyHosts(10_000)
	for b.Loop() {
		if err := Text(io.Discard, r, TextOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
