package tasks

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed explain/*.md
var explainFiles embed.FS

// An Explanation says what a finding is about, for people. It is written in
// explain/TASK.md, with one section for a subject or a pattern of subjects.
type Explanation struct {
	Task     string   `json:"task"`
	Subjects []string `json:"subjects"` // names, and patterns in which * stands for anything
	What     string   `json:"what"`     // is looked at
	How      string   `json:"how"`
	Why      string   `json:"why"`
	Source   string   `json:"source"` // of the wish
	Fix      string   `json:"fix"`    // by hand
}

// A TaskExplanation is all that is said of a task.
type TaskExplanation struct {
	Task     string        `json:"task"`
	About    string        `json:"about"`
	Subjects []Explanation `json:"subjects"`
}

// ExplainTask returns what is said of a task.
func ExplainTask(name string) (TaskExplanation, error) {
	src, err := explainFiles.ReadFile("explain/" + name + ".md")
	if err != nil {
		return TaskExplanation{}, fmt.Errorf("nothing is said of a task %q", name)
	}
	return parseExplanation(name, string(src))
}

// Explain returns what is said of a finding: of its very name, or else of the
// first pattern that it fits.
func Explain(task, subject string) (Explanation, error) {
	t, err := ExplainTask(task)
	if err != nil {
		return Explanation{}, err
	}
	for _, fits := range []func(string) bool{
		func(name string) bool { return name == subject },
		func(pattern string) bool { return subjectPattern(pattern).MatchString(subject) },
	} {
		for _, e := range t.Subjects {
			if slices.ContainsFunc(e.Subjects, fits) {
				return e, nil
			}
		}
	}
	var known []string
	for _, e := range t.Subjects {
		known = append(known, e.Subjects...)
	}
	return Explanation{}, fmt.Errorf("the task %s has no finding %q; it has %s", task, subject, strings.Join(known, ", "))
}

// Subjects are the names that the findings of each task can have, in which *
// stands for anything. A look that failed is called as its task is.
func Subjects() map[string][]string {
	all := map[string][]string{}
	for _, t := range All {
		e, err := ExplainTask(t.Name)
		if err != nil {
			continue // a test reads them all
		}
		for _, s := range e.Subjects {
			all[t.Name] = append(all[t.Name], s.Subjects...)
		}
		all[t.Name] = append(all[t.Name], t.Name)
	}
	return all
}

func subjectPattern(pattern string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".+") + "$")
}

// parseExplanation reads a file of explanations. The files are part of the
// program, and a test reads them all.
func parseExplanation(name, text string) (TaskExplanation, error) {
	t := TaskExplanation{Task: name}
	head, rest, _ := strings.Cut(text, "\n## ")
	title, about, _ := strings.Cut(head, "\n")
	if title != "# "+name || strings.TrimSpace(about) == "" {
		return t, fmt.Errorf("explanation of %s: begins with %q", name, title)
	}
	t.About = strings.TrimSpace(about)
	for section := range strings.SplitSeq(rest, "\n## ") {
		e := Explanation{Task: name}
		heading, body, _ := strings.Cut(section, "\n")
		for i, part := range strings.Split(heading, "`") {
			if i%2 == 1 {
				e.Subjects = append(e.Subjects, part)
			}
		}
		for line := range strings.Lines(body) {
			field, words, ok := strings.Cut(strings.TrimSpace(line), ": ")
			to := map[string]*string{"What": &e.What, "How": &e.How, "Why": &e.Why, "Source": &e.Source, "Fix": &e.Fix}[field]
			switch {
			case field == "":
			case !ok || to == nil || *to != "":
				return t, fmt.Errorf("explanation of %s, %s: the line %q", name, heading, strings.TrimSpace(line))
			default:
				*to = words
			}
		}
		if e.Subjects == nil || slices.Contains([]string{e.What, e.How, e.Why, e.Source, e.Fix}, "") {
			return t, errors.New("explanation of " + name + ": something is left unsaid of " + heading)
		}
		t.Subjects = append(t.Subjects, e)
	}
	return t, nil
}
