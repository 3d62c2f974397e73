package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// ledgerPath is where a task remembers on the host what it put there.
func ledgerPath(task string) string { return "/var/lib/runai-prep/" + task + ".ledger" }

// A ledger is what a task has put on a host, one entry a line, with tabs
// between its fields. Only what it names, and only while it is still as it was
// written, may ever be taken away again.
type ledger struct {
	task    string
	file    file
	entries []entry
}

// An entry is one thing that was put on a host.
type entry struct {
	kind string // file, secret, line, secret line, was, secret was, mount, folder
	path string
	// Of a file its SHA-256; of a line or mount the line; of what "was" there
	// before, and is put back, that line; of a line with a secret its name.
	text string
}

func (e entry) String() string { return e.kind + "\t" + e.path + "\t" + e.text }

const ledgerHead = "# What runai-prep put on this host and may remove again. Not to be edited.\n"

func readLedger(task string, blocks []block) (ledger, error) {
	l := ledger{task: task}
	for _, b := range blocks {
		if b.kind == "file" && b.rest == ledgerPath(task) {
			l.file = b.file()
		}
	}
	switch l.file.Presence {
	case Present:
	case Absent:
		return l, nil
	default:
		return l, fmt.Errorf("%s is %s", ledgerPath(task), l.file.Presence)
	}
	var err error
	l.entries, err = parseLedger(l.file.content)
	if err != nil {
		return l, fmt.Errorf("%s: %w", ledgerPath(task), err)
	}
	return l, nil
}

func parseLedger(content string) ([]entry, error) {
	var entries []entry
	for line := range strings.Lines(content) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) != 3 || !strings.HasPrefix(fields[1], "/") {
			return nil, fmt.Errorf("%q is not an entry", clip(line, 80))
		}
		entries = append(entries, entry{fields[0], fields[1], fields[2]})
	}
	return entries, nil
}

func (l ledger) has(e entry) bool { return slices.Contains(l.entries, e) }

// of are the entries of a kind.
func (l ledger) of(kind string) []entry {
	var found []entry
	for _, e := range l.entries {
		if e.kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// A change is a finding with what its steps put on the host and take away.
type change struct {
	Finding
	adds, drops []entry
	ends        []entry // what its After, or its Undo, takes away
}

// remember turns changes into findings. What a plan is going to put on a host
// is remembered before the first step of all, for what is interrupted must be
// found again; what it takes away is forgotten only when it is gone. Entries
// of things that somebody else removed are forgotten along with it.
func (l ledger) remember(changes []change, isThere func(entry) bool) []Finding {
	var added []entry
	first := -1
	for i, c := range changes {
		for _, e := range c.adds {
			if !slices.Contains(added, e) {
				added = append(added, e)
			}
		}
		if first < 0 && len(c.adds) > 0 {
			first = i
		}
	}
	current := slices.DeleteFunc(slices.Clone(l.entries), func(e entry) bool { return !isThere(e) })
	for _, e := range added {
		if !slices.Contains(current, e) {
			current = append(current, e)
		}
	}
	if first >= 0 && !slices.Equal(current, l.entries) {
		c := &changes[first]
		c.Steps = append([]remote.Step{l.write(current)}, c.Steps...)
	}
	found := make([]Finding, 0, len(changes))
	began, undone := l, current
	for _, c := range changes {
		if len(c.drops) > 0 {
			current = slices.DeleteFunc(slices.Clone(current), func(e entry) bool { return slices.Contains(c.drops, e) })
			c.Steps = append(slices.Clone(c.Steps), l.write(current))
		}
		if len(c.ends) > 0 {
			ended := func(e entry) bool { return slices.Contains(c.ends, e) }
			current = slices.DeleteFunc(slices.Clone(current), ended)
			c.After = append(slices.Clone(c.After), l.write(current))
			if c.Undo != nil {
				c.Undo = append(slices.Clone(c.Undo), began.write(slices.DeleteFunc(slices.Clone(undone), ended)))
			}
		}
		found = append(found, c.Finding)
	}
	return found
}

// write is the step that makes the ledger hold entries; the next one made
// builds on it.
func (l *ledger) write(entries []entry) remote.Step {
	path := ledgerPath(l.task)
	if len(entries) == 0 {
		step := remote.Step{Title: "remove " + path, Remove: &remote.Removal{Path: path, Old: l.file.old(), Ours: true}}
		l.file = file{Path: path, Presence: Absent}
		return step
	}
	var b strings.Builder
	b.WriteString(ledgerHead)
	for _, e := range entries {
		b.WriteString(e.String() + "\n")
	}
	step := remote.Step{
		Title: "write " + path,
		Write: &remote.File{Path: path, Mode: 0o644, Data: b.String(), Old: l.file.old(), Ours: true},
	}
	l.file = file{Path: path, Presence: Present, content: b.String()}
	return step
}
