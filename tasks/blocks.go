package tasks

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// A block is one thing that a probe printed: see Prelude.
type block struct {
	kind, rest string
	lines      []string
	notes      []string
}

func (b block) noted(note string) bool {
	for _, n := range b.notes {
		if n == note {
			return true
		}
	}
	return false
}

// exit is the status that the block's command ended with.
func (b block) exit() int {
	for _, n := range b.notes {
		if status, ok := strings.CutPrefix(n, "exit "); ok {
			if code, err := strconv.Atoi(status); err == nil {
				return code
			}
			return -1
		}
	}
	return 0
}

// readBlocks is the first half of every Read: a section that is not whole is
// an error with the evidence in it, for nothing may be concluded from it.
func readBlocks(s remote.Section) ([]block, error) {
	switch {
	case s.Failure != "":
		return nil, fmt.Errorf("probe %s: %s%s", s.Name, s.Failure, evidence(s.Err))
	case s.Exit != 0:
		return nil, fmt.Errorf("probe %s: exit status %d%s", s.Name, s.Exit, evidence(s.Err))
	}
	blocks, err := parseBlocks(s.Out)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w%s", s.Name, err, evidence(s.Err))
	}
	return blocks, nil
}

// probeEnd is the last thing that every probe prints.
const probeEnd = "echo @end\n"

func evidence(stderr string) string {
	stderr = strings.TrimSpace(stderr)
	if stderr == "" {
		return ""
	}
	return ": " + clip(stderr, 200)
}

// clip keeps an excerpt of a stranger's words short enough for one line.
func clip(text string, most int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func parseBlocks(out string) ([]block, error) {
	var blocks []block
	for n, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		if line == "" {
			if out == "" || out == "\n" {
				return nil, fmt.Errorf("it printed nothing")
			}
			return nil, fmt.Errorf("line %d is empty", n+1)
		}
		text := line[1:]
		switch {
		case line[0] == '@':
			kind, rest, _ := strings.Cut(text, " ")
			blocks = append(blocks, block{kind: kind, rest: rest})
		case len(blocks) == 0:
			return nil, fmt.Errorf("line %d belongs to nothing: %q", n+1, clip(line, 80))
		case line[0] == '|':
			b := &blocks[len(blocks)-1]
			b.lines = append(b.lines, text)
		case line[0] == '!':
			b := &blocks[len(blocks)-1]
			b.notes = append(b.notes, text)
		default:
			// Not quoted: it may be a line of a file that holds a password.
			return nil, fmt.Errorf("line %d begins with %q, which means nothing here", n+1, line[0])
		}
	}
	if end := len(blocks) - 1; blocks[end].kind != "end" {
		return nil, fmt.Errorf("it did not come to its end, only to %q", clip(blocks[end].kind, 40))
	} else {
		return blocks[:end], nil
	}
}

// A Presence is how a file stands on the host.
type Presence string

// What can be said of a file. Same and Differs are of one whose content is a
// secret and was compared on the host.
const (
	Present    Presence = "present"
	Absent     Presence = "absent"
	Unreadable Presence = "unreadable" // it, or a folder above it, without root
	Irregular  Presence = "irregular"  // a folder, a device, a dangling link
	Same       Presence = "same"
	Differs    Presence = "differs"
)

// A file is one that the probe has shown.
type file struct {
	Path     string   `json:"path"`
	Presence Presence `json:"presence"`
	// What it holds may be another program's password, and so stays out of
	// what is shown unless a task shows it itself.
	content string
}

func (b block) file() file {
	f := file{Path: b.rest, Presence: Present}
	for _, n := range b.notes {
		switch p := Presence(n); p {
		case Absent, Unreadable, Irregular, Same, Differs:
			f.Presence = p
		}
	}
	if f.Presence != Present {
		return f
	}
	f.content = strings.Join(b.lines, "\n")
	if len(b.lines) > 0 && !b.noted("unterminated") {
		f.content += "\n"
	}
	return f
}

// old is the condition for replacing f.
func (f file) old() *string {
	if f.Presence != Present {
		return nil
	}
	return &f.content
}
