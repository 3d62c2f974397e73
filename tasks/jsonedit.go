package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// This file changes single members of JSON objects that belong to somebody
// else, and leaves every other byte as it is.

// A jsonMember is where a member of the outermost object stands: from the first
// byte of its name to the last of its value.
type jsonMember struct {
	name              string
	start, value, end int
}

// jsonMembers reads the outermost object. open is where its first brace is,
// end its last.
func jsonMembers(content string) (members []jsonMember, open, end int, err error) {
	d := json.NewDecoder(strings.NewReader(content))
	t, err := d.Token()
	if err != nil {
		return nil, 0, 0, err
	}
	if t != json.Delim('{') {
		return nil, 0, 0, errors.New("it is no JSON object")
	}
	open = int(d.InputOffset()) - 1
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, 0, 0, err
		}
		name, _ := t.(string) // what else the decoder refuses
		if seen[name] {
			return nil, 0, 0, fmt.Errorf("it has %q twice", name)
		}
		seen[name] = true
		nameEnd := int(d.InputOffset())
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, 0, 0, err
		}
		m := jsonMember{name: name, end: int(d.InputOffset())}
		m.value = m.end - len(value)
		m.start = quotedStart(content, nameEnd)
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, 0, 0, err
	}
	end = int(d.InputOffset()) - 1
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, 0, 0, errors.New("something follows its object")
	}
	return members, open, end, nil
}

// quotedStart is where the string begins that ends before end.
func quotedStart(content string, end int) int {
	for i := end - 2; i > 0; i-- {
		if content[i] != '"' {
			continue
		}
		slashes := 0
		for j := i - 1; j >= 0 && content[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
	return 0
}

// jsonStrings is a member that is an array of strings; ok is false where it is
// something else.
func jsonStrings(doc map[string]any, name string) (list []string, ok bool) {
	v, there := doc[name]
	if !there || v == nil {
		return nil, true
	}
	array, ok := v.([]any)
	if !ok {
		return nil, false
	}
	for _, e := range array {
		s, ok := e.(string)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

func parseJSON(content string) (map[string]any, error) {
	if strings.TrimSpace(content) == "" {
		return map[string]any{}, nil
	}
	doc := map[string]any{}
	d := json.NewDecoder(strings.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errors.New("it is no JSON object")
	}
	return doc, nil
}

// jsonSet makes the outermost object have an array of strings as a member; nil
// takes the member out.
func jsonSet(content, name string, list []string) (string, error) {
	before, err := parseJSON(content)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(content) == "" {
		content = "{}\n"
	}
	members, open, end, err := jsonMembers(content)
	if err != nil {
		return "", err
	}
	at := -1
	for i, m := range members {
		if m.name == name {
			at = i
		}
	}
	var edited string
	switch {
	case at < 0 && list == nil:
		return content, nil
	case at < 0:
		edited = jsonAppend(content, members, open, end, name, list)
	case list == nil:
		edited = jsonRemove(content, members, at, open)
	default:
		m := members[at]
		edited = content[:m.value] + jsonArray(list, content[m.value:m.end]) + content[m.end:]
	}
	after, err := parseJSON(edited)
	if err != nil {
		return "", fmt.Errorf("with another %s it cannot be read: %w", name, err)
	}
	delete(before, name)
	if list != nil {
		array := make([]any, len(list))
		for i, s := range list {
			array[i] = s
		}
		before[name] = array
	}
	if !reflect.DeepEqual(before, after) {
		return "", fmt.Errorf("%s cannot be changed alone", name)
	}
	return edited, nil
}

// jsonAppend puts a member after the last, on a line of its own where the
// others have theirs.
func jsonAppend(content string, members []jsonMember, open, end int, name string, list []string) string {
	text := quoteJSON(name) + ": " + jsonArray(list, "")
	if len(members) == 0 {
		return content[:open+1] + "\n  " + text + "\n" + content[end:]
	}
	last := members[len(members)-1]
	if gap := content[open+1 : members[0].start]; strings.Contains(gap, "\n") {
		indent := gap[strings.LastIndexByte(gap, '\n')+1:]
		return content[:last.end] + ",\n" + indent + text + content[last.end:]
	}
	return content[:last.end] + ", " + text + content[last.end:]
}

// jsonRemove takes a member out with the comma that parts it from a neighbour.
func jsonRemove(content string, members []jsonMember, at, open int) string {
	m := members[at]
	switch {
	case at > 0:
		return content[:members[at-1].end] + content[m.end:]
	case len(members) > 1:
		return content[:m.start] + content[members[1].start:]
	}
	return content[:open+1] + strings.TrimLeft(content[m.end:], " \t\r\n")
}

// jsonArray spells an array in the manner of the one that it replaces.
func jsonArray(list []string, like string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, quoteJSON(s))
	}
	gap, _, found := strings.Cut(strings.TrimPrefix(like, "["), `"`)
	if !found || !strings.Contains(gap, "\n") {
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	tail := strings.TrimSuffix(like, "]")
	return "[" + gap + strings.Join(quoted, ","+gap) + tail[len(strings.TrimRight(tail, " \t\r\n")):] + "]"
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
