package report

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/remote"
)

// diffLines is how much of one file's diff is shown, unless all is asked for.
const diffLines = 40

// A diff is what a step does to a file, line by line, without line ends.
// Only shown makes the lines safe: of a thousand alike hosts one is shown.
type diff struct {
	lines []string
	// changes are the lines that come and go, as they are. Hosts whose files
	// differ elsewhere (each has its own disks in fstab) are alike in these.
	changes string
}

// diffOf is the diff of a step that writes or removes a file; else empty.
func diffOf(s remote.Step) diff {
	switch {
	case s.Write != nil && !s.Write.Secret.IsZero():
		return diff{lines: []string{"+++ " + s.Write.Path + " " + secret.Shown}}
	case s.Write != nil && s.Write.Old == nil:
		return unified("/dev/null", s.Write.Path, "", s.Write.Data)
	case s.Write != nil:
		return unified(s.Write.Path, s.Write.Path, *s.Write.Old, s.Write.Data)
	case s.Remove != nil && s.Remove.Old != nil:
		return unified(s.Remove.Path, "/dev/null", *s.Remove.Old, "")
	}
	return diff{}
}

func unified(from, to, old, data string) diff {
	u, err := udiff.ToUnifiedDiff(from, to, old, udiff.Lines(old, data), udiff.DefaultContextLines)
	if err != nil || len(u.Hunks) == 0 {
		return diff{} // the edits are udiff's own, so only the latter happens
	}
	d := diff{lines: []string{"--- " + from, "+++ " + to}}
	var changes strings.Builder
	shift := 0 // of the new file's line numbers
	for _, h := range u.Hunks {
		head, added := hunkHead(h, shift)
		d.lines = append(d.lines, head)
		shift += added
		for _, l := range h.Lines {
			mark := " "
			switch l.Kind {
			case udiff.Delete:
				mark = "-"
			case udiff.Insert:
				mark = "+"
			}
			text, ended := strings.CutSuffix(l.Content, "\n")
			d.lines = append(d.lines, mark+text)
			if !ended {
				d.lines = append(d.lines, `\ No newline at end of file`)
			}
			if mark != " " {
				changes.WriteString(mark + l.Content)
			}
		}
	}
	d.changes = changes.String()
	return d
}

// hunkHead is the "@@" line as diff(1) writes it, and by how many lines the
// hunk makes the file longer.
func hunkHead(h *udiff.Hunk, shift int) (head string, added int) {
	var before, after int
	for _, l := range h.Lines {
		if l.Kind != udiff.Insert {
			before++
		}
		if l.Kind != udiff.Delete {
			after++
		}
	}
	side := func(line, count int) string {
		switch count {
		case 0:
			return fmt.Sprintf("%d,0", line-1)
		case 1:
			return fmt.Sprint(line)
		}
		return fmt.Sprintf("%d,%d", line, count)
	}
	return fmt.Sprintf("@@ -%s +%s @@", side(h.FromLine, before), side(h.FromLine+shift, after)), after - before
}

// shown is the diff as it may be printed, cut to a length that a person reads
// unless all is asked for, and how many of its lines that leaves out.
func (d diff) shown(all bool) (lines []string, more int) {
	lines = d.lines
	if !all && len(lines) > diffLines+5 { // five more are no longer than saying so
		lines, more = lines[:diffLines], len(lines)-diffLines
	}
	safeLines := make([]string, len(lines))
	for i, line := range lines {
		safeLines[i] = safeTabs(Redact(line))
	}
	return safeLines, more
}
