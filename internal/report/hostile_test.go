package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// hostile is a result in which everything a stranger can say is s.
func hostile(s, state string) Result {
	old := s + "\nx"
	f := From(s, tasks.Finding{
		Subject: s, Have: s, Want: s + "w", Why: s, State: tasks.State(state), Hint: s,
		Steps: []remote.Step{
			{Title: s, Disrupts: s, Write: &remote.File{Path: s, Old: &old, Data: s + "\ny\n"}},
			{Title: s, Remove: &remote.Removal{Path: s, Old: &old}},
		}})
	f.Error, f.Warning = s, s
	g := f
	g.Ignored = s
	g.Have += "else"
	r := Result{
		Command: s, Version: s, RunID: s, Started: s, Inventory: s, Requirements: s,
		Gate: s, Notes: []string{s}, Fleet: []FleetFinding{{Hosts: []string{s, s + "2"}, Finding: f}},
		Hosts: []Host{
			{Name: s, Address: s, Role: s, Error: s, Hint: s, Findings: []Finding{f}, RebootPending: true},
			{Name: s + "2", Address: s, Role: s, Error: s, Hint: s, Findings: []Finding{g}},
			{Name: s + "3", Address: s, Role: s, Error: s, Hint: s, Status: Unreachable},
			{Name: s + "4", Findings: []Finding{From(s, tasks.Finding{Subject: s, State: tasks.OK, Have: s})}},
		},
	}
	last := r
	last.Hosts = []Host{{Name: s + "4", Findings: []Finding{f}}}
	r.Finish()
	Compare(&last, &r)
	return r
}

func FuzzNothingHostileGetsOut(f *testing.F) {
	for _, s := range []string{
		"", "plain", "\x1b[31mred\x1b[0m", "\x1b]0;title\a", "a\rb\nc\x00d", "\u202egnp.exe", "\u2066x\u2069", "\u200b\ufeff",
		"\xff\xfe", "]]><evil/>", "<script>alert(1)</script>", "javascript:alert(1)", "\" onload=x '", "\u2028\u2029", "\U000e0041",
		"{{.}}", "-->", "|", "http://u:p@h", "\ufffd\uffff", "\u0085\u009b31m",
	} {
		for _, state := range []string{"pending", "unknown", "failed", "strange\x1b"} {
			f.Add(s, state)
		}
	}
	f.Fuzz(func(t *testing.T, s, state string) {
		r := hostile(s, state)
		clean := func(form string, b []byte) {
			t.Helper()
			if !utf8.Valid(b) {
				t.Errorf("%s is not UTF-8: %q", form, b)
			}
			for i, c := range string(b) {
				if c != '\n' && c != '\t' && (unicode.Is(unicode.C, c) || unicode.In(c, unicode.Zl, unicode.Zp)) {
					t.Fatalf("%s lets %U through: %q", form, c, string(b[max(0, i-30):i]))
				}
			}
		}
		write := func(form string, to func(io.Writer) error) []byte {
			t.Helper()
			var b bytes.Buffer
			if err := to(&b); err != nil {
				t.Fatalf("%s: %v", form, err)
			}
			return b.Bytes()
		}
		for _, o := range []TextOptions{{}, {Verbose: true, Width: 20}} {
			clean("text", write("text", func(w io.Writer) error { return Text(w, r, o) }))
		}
		clean("nagios", write("nagios", func(w io.Writer) error { return Nagios(w, r) }))
		clean("facts", write("facts", func(w io.Writer) error {
			return FactsText(w, Facts{Hosts: []HostFacts{{Name: s, Address: s, Role: s, Error: s,
				Facts:  map[string]any{s: map[string]any{s: s, "list": []any{s, map[string]string{s: s}}}},
				Errors: map[string]string{s + "e": s}}}})
		}))

		j := write("json", func(w io.Writer) error { return JSON(w, r) })
		clean("json", j)
		var back Result
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatalf("json: %v", err)
		}
		if have := back.Hosts[0].Findings[0].Have; utf8.ValidString(s) && have != Redact(s) {
			t.Fatalf("json gives %q back for %q", have, Redact(s))
		}

		x := write("junit", func(w io.Writer) error { return JUnit(w, r) })
		clean("junit", x)
		dec := xml.NewDecoder(bytes.NewReader(x))
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("junit is no XML: %v\n%s", err, x)
			}
			if e, ok := token.(xml.StartElement); ok && !slices.Contains(strings.Fields(
				"testsuites testsuite properties property testcase system-out failure error skipped"), e.Name.Local) {
				t.Fatalf("junit has a foreign element %q", e.Name.Local)
			}
		}

		page := write("html", func(w io.Writer) error { return HTML(w, r) })
		clean("html", page)
		// Every tag of the page is one that the template wrote, with the
		// attributes that it wrote.
		for _, tag := range strings.Split(string(page), "<")[1:] {
			name, _, ok := strings.Cut(tag, ">")
			if !ok || !fromTemplate(name) {
				t.Fatalf("html has a tag that the template did not write: <%s", name)
			}
		}

		path := filepath.Join(t.TempDir(), "x.prom")
		if err := WriteMetrics(path, r); err != nil {
			t.Fatalf("metrics: %v", err)
		}
	})
}

// fromTemplate reports whether a tag's name and the names of its attributes
// stand in the template.
func fromTemplate(tag string) bool {
	name, attributes, _ := strings.Cut(tag, " ")
	if !strings.Contains(pageSource, "<"+name) {
		return false
	}
	for attributes = strings.TrimSpace(attributes); attributes != ""; attributes = strings.TrimSpace(attributes) {
		key, rest, ok := strings.Cut(attributes, "=")
		if !ok {
			return key == "html" // <!DOCTYPE html>
		}
		quoted, ok := strings.CutPrefix(rest, `"`)
		if !ok || strings.ContainsAny(key, " \"'") || !strings.Contains(pageSource, key+`="`) {
			return false
		}
		if _, attributes, ok = strings.Cut(quoted, `"`); !ok {
			return false
		}
	}
	return true
}

// The page must open from a mail attachment, without a network.
func TestPageLoadsNothing(t *testing.T) {
	for _, bad := range []string{"<script", "<link", "<img", "url(", "@import", " src=", "http:", "https:"} {
		if strings.Contains(pageSource, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestColourIsAnOption(t *testing.T) {
	for name, r := range map[string]Result{"plan": plan(), "apply": apply(), "check": check()} {
		var with, without bytes.Buffer
		if err := errors.Join(Text(&with, r, TextOptions{Color: true}), Text(&without, r, TextOptions{})); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(with.String(), "\x1b[") {
			t.Errorf("%s: no colours though asked for", name)
		}
		if got := stripSGR(with.String()); got != without.String() {
			t.Errorf("%s: colour changes more than colours", name)
		}
	}
}

func stripSGR(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

func TestNothingSecretShows(t *testing.T) {
	r := plan()
	for form, write := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return Text(w, r, TextOptions{Verbose: true}) },
		"html": func(w io.Writer) error { return HTML(w, r) }, "json": func(w io.Writer) error { return JSON(w, r) },
		"junit": func(w io.Writer) error { return JUnit(w, r) }, "nagios": func(w io.Writer) error { return Nagios(w, r) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s shows a password", form)
		}
	}
}

func TestPasswordsInAHostsFilesDoNotShow(t *testing.T) {
	for in, want := range map[string]string{
		`Acquire::http::Proxy "http://bob:s3/cr@et@p:3128";`: `Acquire::http::Proxy "http://(sensitive)@p:3128";`,
		"https_proxy=http://p:3128 # ask ops@example.com":    "https_proxy=http://p:3128 # ask ops@example.com",
		`Acquire::http::Proxy "http://bob:s3cret@p:3128";`:   `Acquire::http::Proxy "http://(sensitive)@p:3128";`,
		"proxy_password = s3cret":                            "proxy_password = (sensitive)",
		"//srv/x /mnt cifs user=a,password=s3cret,vers=3 0":  "//srv/x /mnt cifs user=a,password=(sensitive),vers=3 0",
		"//srv/x /mnt cifs user=a,pass=s3cret 0":             "//srv/x /mnt cifs user=a,pass=(sensitive) 0",
		"# <dump> <pass>":                                    "# <dump> <pass>",
		"bypass=10":                                          "bypass=10",
		"nas:/export@1 /mnt nfs hard 0 0":                    "nas:/export@1 /mnt nfs hard 0 0",
		"ssh ops@jump":                                       "ssh ops@jump",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
		if got := Redact(Redact(in)); got != Redact(in) {
			t.Errorf("%s: not the same twice: %s", in, got)
		}
	}
}

func TestMetricsParse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.prom")
	if err := WriteMetrics(path, hostile("a\"b\\\n\xff", "pending")); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(read(t, path))); err != nil {
		t.Error(err)
	}
}
