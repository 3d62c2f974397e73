package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/tasks"
)

func (a *app) explain() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "explain [TASK[/SUBJECT]]",
		Short: "Say what a finding looks at, how, why, from which source, and how to fix it by hand",
		Example: `  runai-prep explain
  runai-prep explain kubernetes
  runai-prep explain kubernetes/swap
  runai-prep explain "nfs//mnt/data"`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return explainable(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o %s: explanations are shown as text or json", output)
			}
			// A subject of several words needs no quotes.
			task, subject, narrow := strings.Cut(strings.Join(args, " "), "/")
			known := []string{}
			for _, t := range tasks.All {
				known = append(known, t.Name)
			}
			if task == "" {
				return a.explainAll(known, output)
			}
			t, err := tasks.ExplainTask(task)
			if err != nil {
				return fmt.Errorf("%w; the tasks are %s%s", err, strings.Join(known, ", "), meant(task, ""))
			}
			if !narrow {
				return a.printExplanation(output, t, func(w io.Writer) { explainTask(w, t, a.width(w)) })
			}
			full, e, err := explained(task, subject)
			if err != nil {
				return fmt.Errorf("%w%s", err, meant(subject, task))
			}
			return a.printExplanation(output, e, func(w io.Writer) {
				fmt.Fprintf(w, "%s/%s\n\n", task, full)
				explainSubject(w, e, a.width(w))
			})
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// explained is what is said of a finding, and its name in full: an endpoint's port
// may be left out where it is that of HTTPS.
func explained(task, subject string) (string, tasks.Explanation, error) {
	e, err := tasks.Explain(task, subject)
	if err != nil && strings.Contains(subject, ".") {
		full := subject + ":443"
		if e, err := tasks.Explain(task, full); err == nil {
			return full, e, nil
		}
	}
	return subject, e, err
}

// meant asks whether somebody meant a task, or a finding of the one task that is
// named or else of any.
func meant(name, task string) string {
	var names, findings []string
	subjects := tasks.Subjects()
	for _, t := range tasks.All {
		if task != "" && task != t.Name {
			continue
		}
		if task == "" {
			names = append(names, t.Name)
		}
		known := slices.DeleteFunc(subjects[t.Name], func(s string) bool { return strings.Contains(s, "*") })
		if near := inventory.Nearest(name, known); near != "" {
			findings = append(findings, t.Name+"/"+near)
		}
	}
	best := cmp.Or(inventory.Nearest(name, names), strings.Join(findings, `" or "`))
	if best == "" {
		return ""
	}
	return `. Did you mean "` + best + `"?`
}

// explainAll lists what can be asked for.
func (a *app) explainAll(names []string, output string) error {
	var all []tasks.TaskExplanation
	for _, name := range names {
		t, err := tasks.ExplainTask(name)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	return a.printExplanation(output, all, func(w io.Writer) {
		for _, t := range all {
			fmt.Fprintln(w, t.Task)
			for _, e := range t.Subjects {
				for _, s := range e.Subjects {
					fmt.Fprintf(w, "  %s/%s\n", t.Task, s)
				}
			}
		}
		fmt.Fprintln(w, "\n* stands for anything. One of them: runai-prep explain "+names[0]+"/"+all[0].Subjects[0].Subjects[0])
	})
}

func (a *app) printExplanation(output string, v any, text func(io.Writer)) error {
	if output == "json" {
		return a.printJSON(v)
	}
	text(a.stdout)
	return nil
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func explainTask(w io.Writer, t tasks.TaskExplanation, width int) {
	fmt.Fprintln(w, t.Task)
	fill(w, "", "", t.About, width)
	for _, e := range t.Subjects {
		fmt.Fprintf(w, "\n%s/%s\n", t.Task, strings.Join(e.Subjects, ", "))
		fill(w, "  ", "  ", e.What, width)
	}
}

func explainSubject(w io.Writer, e tasks.Explanation, width int) {
	for _, part := range []struct{ label, words string }{
		{"looks at", e.What}, {"how", e.How}, {"why", e.Why}, {"source", e.Source}, {"by hand", e.Fix},
	} {
		fill(w, fmt.Sprintf("  %-9s ", part.label), strings.Repeat(" ", 12), part.words, width)
	}
}

// fill breaks text into lines of a width; a first prefix, and one for the rest.
func fill(w io.Writer, first, rest, text string, width int) {
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > max(width, 40) {
			fmt.Fprintln(w, line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(w, line)
}

// explainable are the findings that can be named outright.
func explainable() []string {
	var names []string
	for _, t := range tasks.All {
		names = append(names, t.Name)
		if all, err := tasks.ExplainTask(t.Name); err == nil {
			for _, e := range all.Subjects {
				for _, s := range e.Subjects {
					if !strings.Contains(s, "*") {
						names = append(names, t.Name+"/"+s)
					}
				}
			}
		}
	}
	return names
}
