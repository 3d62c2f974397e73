package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/runai-prep/runai-prep/tasks"
)

// FactsSchema names the version of the JSON document of the command facts.
const FactsSchema = "runai-prep.facts/1"

// Facts are what was seen on each host; the JSON encoding is the document of
// the command facts.
type Facts struct {
	Schema    string      `json:"schema"`
	Version   string      `json:"version"`
	RunID     string      `json:"run_id"`
	Started   string      `json:"started"` // RFC 3339
	Inventory string      `json:"inventory"`
	Hosts     []HostFacts `json:"hosts"`
}

// HostFacts are what was seen on one host.
type HostFacts struct {
	Name    string            `json:"name"`
	Address string            `json:"address"` // host:port
	Role    string            `json:"role"`
	Error   string            `json:"error"`
	Facts   map[string]any    `json:"facts"`  // by task: its own struct
	Errors  map[string]string `json:"errors"` // by task: why there are none
}

// FactsText writes facts for a person: for each host and task the keys and
// values of whatever the task's struct encodes to, aligned. A list of objects
// has a line for each.
func FactsText(w io.Writer, doc Facts) error {
	p := newPage(TextOptions{})
	for i, h := range doc.Hosts {
		if i > 0 {
			p.WriteByte('\n')
		}
		about := []string{h.Address, h.Role}
		about = slices.DeleteFunc(about, func(s string) bool { return s == "" })
		p.line(span{safe(h.Name) + "  (" + safe(strings.Join(about, ", ")) + ")", plain})
		for _, line := range safeLines(h.Error) {
			p.para(span{"  ✗ ", plain}, span{line, plain})
		}
		for _, task := range inOrder(h) {
			p.line(span{"  " + safe(task), plain})
			for _, line := range safeLines(h.Errors[task]) {
				p.para(span{"    ? ", plain}, span{line, plain})
			}
			if err := p.facts(h.Facts[task]); err != nil {
				return fmt.Errorf("facts of %s, %s: %w", h.Name, task, err)
			}
		}
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// inOrder is the names of the host's tasks, in the order of work.
func inOrder(h HostFacts) []string {
	names := maps.Clone(h.Errors)
	if names == nil {
		names = map[string]string{}
	}
	for task := range h.Facts {
		names[task] = ""
	}
	return slices.SortedFunc(maps.Keys(names), byWork)
}

// byWork orders names of tasks as they work; what is no task comes last.
func byWork(a, b string) int {
	place := func(name string) int {
		i := slices.IndexFunc(tasks.All, func(t tasks.Task) bool { return t.Name == name })
		if i < 0 {
			return len(tasks.All)
		}
		return i
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

// facts writes what v encodes to, flat: "mounts.0.path" is no key a person
// wants, so lists are said on lines of their own.
func (p *page) facts(v any) error {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // a size in bytes stays what it is
	tree, err := decodeTree(dec)
	if err != nil {
		return err
	}
	pairs := flatten("", tree)
	width := 0
	for _, f := range pairs {
		width = max(width, lipgloss.Width(f.key))
	}
	width = min(width, 28) // one long key must not push all values away
	for _, f := range pairs {
		label := "    " + f.key + strings.Repeat(" ", max(0, width-lipgloss.Width(f.key))) + "  "
		for i, value := range f.values {
			if i > 0 {
				label = strings.Repeat(" ", 4+width+2)
			}
			if f.verbatim {
				p.line(span{label, plain}, span{value, plain})
			} else {
				p.para(span{label, plain}, span{value, plain})
			}
		}
	}
	return nil
}

// An object keeps the order of its keys, which is the order in which the
// task's author declared them.
type object []member

type member struct {
	key   string
	value any // object, []any, or a scalar
}

func decodeTree(dec *json.Decoder) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeTree(dec)
			if err != nil {
				return nil, err
			}
			o = append(o, member{k.(string), v})
		}
		_, err = dec.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeTree(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return t, nil
}

// A fact is a key and the lines of its value, safe to print.
type fact struct {
	key      string
	values   []string
	verbatim bool // lines of a text, not to be wrapped
}

func flatten(prefix string, v any) []fact {
	switch v := v.(type) {
	case object:
		var all []fact
		for _, m := range v {
			k := safe(m.key)
			if prefix != "" {
				k = prefix + "." + k
			}
			all = append(all, flatten(k, m.value)...)
		}
		if len(v) == 0 && prefix != "" {
			return []fact{{key: prefix, values: []string{"none"}}}
		}
		return all
	case []any:
		if len(v) == 0 {
			return []fact{{key: prefix, values: []string{"none"}}}
		}
		var lines []string
		var scalars []string
		for _, e := range v {
			switch e.(type) {
			case object, []any:
				lines = append(lines, inline(e))
			default:
				scalars = append(scalars, inline(e))
			}
		}
		if len(scalars) > 0 {
			lines = append([]string{strings.Join(scalars, ", ")}, lines...)
		}
		return []fact{{key: prefix, values: lines}}
	case string:
		if strings.Contains(strings.TrimRight(v, "\n"), "\n") {
			lines := []string{}
			for line := range strings.Lines(v) {
				lines = append(lines, "| "+safeTabs(Redact(strings.TrimRight(line, "\n"))))
			}
			return []fact{{key: prefix, values: lines, verbatim: true}}
		}
	}
	return []fact{{key: prefix, values: []string{inline(v)}}}
}

// inline is a value on one line: an object as key=value, without what is empty.
func inline(v any) string {
	switch v := v.(type) {
	case object:
		var parts []string
		for _, m := range v {
			if s := inline(m.value); s != "-" && s != "" && m.value != false {
				parts = append(parts, safe(m.key)+"="+s)
			}
		}
		return strings.Join(parts, "  ")
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = inline(v[i])
		}
		return strings.Join(parts, ",")
	case string:
		if v == "" {
			return "-"
		}
		return safe(Redact(strings.TrimRight(v, "\n")))
	case nil:
		return "-"
	}
	return fmt.Sprint(v) // a json.Number or a bool
}
