package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageSource string

// pageTemplate is parsed once; it holds no state.
var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// HTML writes one page that opens offline, from a mail attachment: nothing in
// it is loaded from outside, and it runs no script.
func HTML(w io.Writer, r Result) error {
	return pageTemplate.Execute(w, pageOf(r))
}

// What follows is the page as its template walks it; all strings are safe.

type htmlPage struct {
	Title, Command, Inventory, Requirements, Version, RunID, Started, Took string
	Checked, Outcome, Meaning                                              string
	ExitCode                                                               int
	Verdict                                                                string // the worst status
	Bar                                                                    []htmlSlice
	Groups                                                                 []htmlGroup
	Mended                                                                 []htmlMended
	RebootPending, Ready                                                   string
	Fleet, Asides                                                          []htmlShared
	Notes                                                                  []string
}

// An htmlShared is something that is said of hosts together.
type htmlShared struct {
	What, About, Hosts string
	Rows               []htmlRow
}

// An htmlSlice is a status's part of the bar, in the bar's own units.
type htmlSlice struct {
	Status   string
	Count    int
	From, To float64
}

func (s htmlSlice) Width() float64 { return s.To - s.From }

type htmlGroup struct {
	Status, Hosts, Count, Roles string
	Error                       []string
	Hint                        string
	New, Ready                  bool
	Verdict, Not                string
	Wrong, Right                []htmlRow
	Wanted                      int // findings in Right, which holds alike ones once
}

type htmlRow struct {
	Task, State, Want, Why, Hint string
	Warning, Ignored             string
	Subjects                     []string
	Have, Errors                 []htmlVariant
	New, Disruptive              bool
	Steps                        []htmlStep
	After, Back                  string
}

type htmlVariant struct {
	Lines []string
	Hosts string // empty: all of the group
}

type htmlStep struct {
	Title, Disrupts string
	Diff            []htmlLine
	As              string // the host whose file it is, where they differ
}

type htmlLine struct{ Class, Text string }

type htmlMended struct{ What, Was, Host string }

const barUnits = 600.0

func pageOf(r Result) htmlPage {
	page := htmlPage{
		Command: safe(r.Command), Inventory: safe(r.Inventory), Requirements: safe(r.Requirements),
		Version: safe(r.Version), RunID: safe(r.RunID), Started: safe(r.Started), Took: duration(r.ElapsedSeconds),
		Checked: checked(r), ExitCode: r.ExitCode, Meaning: r.meaning(), Verdict: Settled,
	}
	page.Title = "runai-prep " + page.Command + ": " + counted(r.Summary)
	for _, s := range outcome(r) {
		page.Outcome += s.text
	}
	at := 0.0
	for _, status := range statuses {
		n := r.Summary.of(status)
		if n == 0 {
			continue
		}
		if len(page.Bar) == 0 {
			page.Verdict = status
		}
		to := at + barUnits*float64(n)/float64(max(1, r.Summary.Hosts))
		page.Bar = append(page.Bar, htmlSlice{status, n, at, to})
		at = to
	}
	for _, g := range groupsOf(r, true) {
		page.Groups = append(page.Groups, htmlOf(g))
	}
	for _, g := range fleetGroups(r, true) {
		page.Fleet = append(page.Fleet, htmlShared{"fleet", "what these hosts show together", hostList(g.names), []htmlRow{rowOf(g.items[0], g)}})
	}
	for _, g := range asides(r) {
		what, about := "warning", "a recommendation; it keeps no host from being ready"
		if g.items[0].Ignored != "" {
			what, about = "ignored", "as the inventory says; it counts for nothing"
		}
		page.Asides = append(page.Asides, htmlShared{what, about, count(len(g.names), "host") + ": " + hostList(g.names), []htmlRow{rowOf(g.items[0], g)}})
	}
	for _, s := range readiness(r) {
		page.Ready += s.text
	}
	for _, n := range r.Notes {
		page.Notes = append(page.Notes, safe(n))
	}
	for _, m := range r.Mended {
		what := strings.TrimSpace(m.Task + " " + m.Subject)
		if what == "" {
			what = "the host itself"
		}
		page.Mended = append(page.Mended, htmlMended{safe(what), safe(m.Was), safe(m.Host)})
	}
	if names := rebooting(r.Hosts); len(names) > 0 {
		page.RebootPending = count(len(names), "host") + ": " + hostList(names)
	}
	return page
}

func htmlOf(g group) htmlGroup {
	h := htmlGroup{
		Status: g.status, Hosts: hostList(g.names), Count: count(len(g.names), "host"),
		Roles: safe(strings.Join(g.roles, ", ")), Error: safeLines(g.err), Hint: safe(g.hint), New: g.isNew,
		Ready: g.ready, Verdict: Verdict(g.ready), Not: safe(strings.Join(g.not, "; ")),
	}
	for _, it := range g.items {
		row := rowOf(it, g)
		if it.wrong() || it.State == stateFixed {
			h.Wrong = append(h.Wrong, row)
		} else {
			h.Right = append(h.Right, row)
			h.Wanted += len(it.subjects)
		}
	}
	return h
}

func rowOf(it item, g group) htmlRow {
	row := htmlRow{
		Task: safe(it.Task), State: it.shown(), Want: safe(it.Want), Why: safe(it.Why), Hint: safe(it.Hint),
		Warning: safe(it.Warning), Ignored: safe(it.Ignored),
		Have: htmlVariants(it.haves, len(g.names)), Errors: htmlVariants(it.errors, len(g.names)),
		New: it.New, Disruptive: it.Disruptive,
		After: safe(strings.Join(it.After, "; ")), Back: safe(strings.Join(it.Back, "; ")),
	}
	for _, s := range it.subjects {
		row.Subjects = append(row.Subjects, safe(s))
	}
	for i, title := range it.Steps {
		row.Steps = append(row.Steps, htmlStepOf(title, it, i, g.names[0]))
	}
	return row
}

func htmlStepOf(title string, it item, i int, first string) htmlStep {
	step, d := it.step(i)
	s := htmlStep{Title: safe(title), Disrupts: safe(step.Disrupts)}
	lines, more := d.shown(false)
	for n, line := range lines {
		class := map[style]string{bold: "file", added: "added", removed: "removed", place: "place"}[lineStyle(n, line)]
		s.Diff = append(s.Diff, htmlLine{class, line})
	}
	if more > 0 {
		s.Diff = append(s.Diff, htmlLine{"place", fmt.Sprintf("(%s more)", count(more, "line"))})
	}
	if it.differ && len(lines) > 0 {
		s.As = safe(first)
	}
	return s
}

func htmlVariants(vs []variant, hosts int) []htmlVariant {
	var all []htmlVariant
	for _, v := range vs {
		h := htmlVariant{Lines: safeLines(v.text)}
		if len(v.hosts) < hosts {
			h.Hosts = hostList(v.hosts)
			if len(h.Lines) == 0 {
				h.Lines = []string{"nothing"}
			}
		}
		if len(h.Lines) > 0 {
			all = append(all, h)
		}
	}
	return slices.Clip(all)
}
