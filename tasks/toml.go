package tasks

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// This file changes single values of TOML files that belong to somebody else,
// and leaves every other byte as it is. Whatever it makes is read again: the
// new document must say what the old one said, and the wished value.

// parseTOML reads a document. A program's own reader may take more or less;
// what cannot be read here is not edited.
func parseTOML(content string) (map[string]any, error) {
	doc := map[string]any{}
	if err := toml.Unmarshal([]byte(content), &doc); err != nil {
		// Not its excerpt of the file: there may be a password in it.
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, _ := at.Position()
			return nil, fmt.Errorf("line %d: %w", row, errors.New(strings.TrimPrefix(at.Error(), "toml: ")))
		}
		return nil, err
	}
	return doc, nil
}

// tomlAt is what a document has at a path; nil: nothing.
func tomlAt(doc map[string]any, path ...string) any {
	var at any = doc
	for _, name := range path {
		table, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = table[name]
	}
	return at
}

// tomlTable is the table at a path; nil: there is none.
func tomlTable(doc map[string]any, path ...string) map[string]any {
	table, _ := tomlAt(doc, path...).(map[string]any)
	return table
}

// An edited document: what was put in, to be found again, or what it took the
// place of.
type tomlEdit struct {
	content  string
	inserted string // text that is new
	replaced bool   // a value took the place of another, and nothing is inserted
	was      string // the other
}

// tomlSet makes a table of a document assign a string to a key. The value in
// place is replaced; without one, a line is put below the table's header, or
// the whole table at the end.
func tomlSet(content string, table []string, key, value string) (tomlEdit, error) {
	before, err := parseTOML(content)
	if err != nil {
		return tomlEdit{}, err
	}
	line := key + " = " + tomlString(value) + "\n"
	at, end, header, err := tomlFind(content, table, key)
	if err != nil {
		return tomlEdit{}, err
	}
	var e tomlEdit
	switch {
	case at >= 0:
		was, _ := tomlAt(before, append(slices.Clone(table), key)...).(string)
		e = tomlEdit{content: content[:at] + tomlString(value) + content[end:], replaced: true, was: was}
	case header >= 0:
		// Indented as the header is, and once more.
		start := strings.LastIndexByte(content[:header], '\n') + 1
		indent := content[start : len(content)-len(strings.TrimLeft(content[start:], " \t"))]
		next := strings.IndexByte(content[header:], '\n')
		if next < 0 {
			e.inserted = "\n" + indent + "  " + line
			e.content = content + e.inserted
			break
		}
		e.inserted = indent + "  " + line
		e.content = content[:header+next+1] + e.inserted + content[header+next+1:]
	default:
		var names []string
		for _, name := range table {
			names = append(names, tomlKey(name))
		}
		e.inserted = "\n[" + strings.Join(names, ".") + "]\n  " + line
		if content == "" {
			e.inserted = e.inserted[1:]
		} else if !strings.HasSuffix(content, "\n") {
			e.inserted = "\n" + e.inserted
		}
		e.content = content + e.inserted
	}
	after, err := parseTOML(e.content)
	if err != nil {
		return tomlEdit{}, fmt.Errorf("with %s in it, it cannot be read: %w", strings.TrimSpace(line), err)
	}
	if !reflect.DeepEqual(after, withValue(before, table, key, value)) {
		return tomlEdit{}, errors.New("it says " + strings.Join(table, ".") + " in a way that cannot be added to")
	}
	return e, nil
}

// tomlFind is where a key's value stands, from at to end, and a place in the
// line of the table's header; -1 each: nowhere.
func tomlFind(content string, table []string, key string) (at, end, header int, err error) {
	at, end, header = -1, -1, -1
	var p unstable.Parser
	p.Reset([]byte(content))
	in := false
	for p.NextExpression() {
		x := p.Expression()
		switch x.Kind {
		case unstable.Table, unstable.ArrayTable:
			names, last := tomlNames(x)
			in = x.Kind == unstable.Table && slices.Equal(names, table)
			if in {
				header = int(last.Raw.Offset)
			}
		case unstable.KeyValue:
			names, _ := tomlNames(x)
			if v := x.Value(); in && slices.Equal(names, []string{key}) && v.Kind == unstable.String {
				at, end = int(v.Raw.Offset), int(v.Raw.Offset+v.Raw.Length)
			}
		}
	}
	return at, end, header, p.Error()
}

func tomlNames(x *unstable.Node) (names []string, last *unstable.Node) {
	for it := x.Key(); it.Next(); {
		last = it.Node()
		names = append(names, string(last.Data))
	}
	return names, last
}

// withValue is a document with one value more, or another.
func withValue(doc map[string]any, table []string, key, value string) map[string]any {
	doc = maps.Clone(doc)
	if len(table) == 0 {
		doc[key] = value
		return doc
	}
	below, _ := doc[table[0]].(map[string]any)
	if below == nil {
		below = map[string]any{}
	}
	doc[table[0]] = withValue(below, table[1:], key, value)
	return doc
}

// tomlString spells a string that has neither control characters nor, being of
// an inventory's names and of paths, much to escape.
func tomlString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func tomlKey(name string) string {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return tomlString(name)
		}
	}
	return name
}

func tomlStrings(values []string) string {
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, tomlString(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
