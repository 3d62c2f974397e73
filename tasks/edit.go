package tasks

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/remote"
)

// This file changes single lines of files that belong to somebody else, and
// leaves every other byte as it is.

// A lineSyntax is how a file spells assignments.
type lineSyntax struct {
	// parse reads a line, without its newline; false: it assigns nothing.
	parse  func(line string) (assignment, bool)
	format func(assignment) string
	// section bounds what is looked at and changed; empty: the whole file.
	section string
}

var (
	environmentSyntax = lineSyntax{parse: parseEnvironmentLine, format: assignment.String}
	sysconfigSyntax   = lineSyntax{parse: parseShellLine, format: func(a assignment) string { return a.name + `="` + a.value + `"` }}
	dnfSyntax         = lineSyntax{parse: parseINILine, format: func(a assignment) string { return a.name + "=" + a.value }, section: "main"}
	curlrcSyntax      = lineSyntax{parse: parseCurlLine, format: func(a assignment) string { return a.name + ` = "` + curlEscaper.Replace(a.value) + `"` }}
	// lineSyntaxes are those of the files in which single lines are ours.
	lineSyntaxes = map[string]lineSyntax{
		environmentPath: environmentSyntax,
		sysconfigPath:   sysconfigSyntax,
		dnfPath:         dnfSyntax,
		yumPath:         dnfSyntax,
		curlrcPath:      curlrcSyntax,
	}
	curlEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
)

// assigned is the line, without its newline, whose assignment of a name holds.
func (s lineSyntax) assigned(content, name string) (line string, ok bool) {
	if s.parse == nil {
		return "", false
	}
	lines := splitLines(content)
	start, end := s.bounds(lines)
	for i := end - 1; i >= max(start, 0); i-- {
		l := strings.TrimSuffix(lines[i], "\n")
		if a, ok := s.parse(l); ok && a.name == name {
			return l, true
		}
	}
	return "", false
}

// set makes content assign what is wanted. The last assignment of a name is
// the one that holds, so a line is replaced only if it is that one and its
// value is another; what is missing is added at the end.
func (s lineSyntax) set(content string, want []assignment) string {
	lines := splitLines(content)
	start, end := s.bounds(lines)
	var missing []string
	for _, w := range want {
		at := -1
		for i := start; i < end; i++ {
			if a, ok := s.parse(strings.TrimSuffix(lines[i], "\n")); ok && a.name == w.name {
				at = i
			}
		}
		if at < 0 {
			missing = append(missing, s.format(w)+"\n")
			continue
		}
		if a, _ := s.parse(strings.TrimSuffix(lines[at], "\n")); a.value != w.value {
			lines[at] = s.format(w) + "\n"
		}
	}
	if missing == nil {
		return strings.Join(lines, "")
	}
	if start < 0 {
		missing = append([]string{"[" + s.section + "]\n"}, missing...)
		end = len(lines)
	}
	// Above the blank lines that part a section from the next.
	for s.section != "" && end > start+1 && end > 0 && strings.TrimSpace(lines[end-1]) == "" {
		end--
	}
	if end > 0 && !strings.HasSuffix(lines[end-1], "\n") {
		lines[end-1] += "\n"
	}
	return strings.Join(slices.Insert(lines, end, missing...), "")
}

// bounds are the lines of the section, or -1 and the end where there is none.
func (s lineSyntax) bounds(lines []string) (start, end int) {
	if s.section == "" {
		return 0, len(lines)
	}
	start = -1
	for i, line := range lines {
		if name := strings.TrimSpace(line); strings.HasPrefix(name, "[") {
			if start >= 0 {
				return start, i
			}
			if name == "["+s.section+"]" {
				start = i + 1
			}
		}
	}
	if start < 0 {
		return -1, -1
	}
	return start, len(lines)
}

// splitLines keeps the newlines.
func splitLines(content string) []string { return slices.Collect(strings.Lines(content)) }

// withoutLines takes whole lines out.
func withoutLines(content string, gone func(line string) bool) string {
	return strings.Join(slices.DeleteFunc(splitLines(content), func(line string) bool {
		return gone(strings.TrimSuffix(line, "\n"))
	}), "")
}

func hasLine(content, line string) bool {
	return slices.ContainsFunc(splitLines(content), func(l string) bool { return strings.TrimSuffix(l, "\n") == line })
}

// parseEnvironment reads a file as pam_env(8) does.
func parseEnvironment(content string) []assignment {
	var all []assignment
	for line := range strings.Lines(content) {
		if a, ok := parseEnvironmentLine(strings.TrimSuffix(line, "\n")); ok {
			all = append(all, a)
		}
	}
	return all
}

// parseEnvironmentLine: pam_env knows comments, the word export, and quotes
// around a value, and nothing else of a shell.
func parseEnvironmentLine(line string) (assignment, bool) {
	line, _, _ = strings.Cut(strings.TrimLeft(line, " \t"), "#")
	line = strings.TrimPrefix(line, "export ")
	name, value, ok := strings.Cut(strings.TrimRight(line, " \t"), "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return assignment{}, false
	}
	if len(value) > 0 && (value[0] == '"' || value[0] == '\'') {
		value = strings.TrimRight(value[1:], `"'`)
	}
	return assignment{name, value}, true
}

// parseShellLine reads an assignment of a file that shells source.
func parseShellLine(line string) (assignment, bool) {
	name, value, ok := strings.Cut(strings.TrimLeft(line, " \t"), "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t#") {
		return assignment{}, false
	}
	return assignment{name, unquoteShell(value)}, true
}

func parseINILine(line string) (assignment, bool) {
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.ContainsAny(name[:1], "#;[") || line[0] == ' ' || line[0] == '\t' {
		return assignment{}, false // an indented line goes on with the one before
	}
	return assignment{name, strings.TrimSpace(value)}, true
}

// parseCurlLine reads a line of .curlrc: a name, with or without dashes, then
// blanks, "=" or ":", then the value with or without quotes.
func parseCurlLine(line string) (assignment, bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return assignment{}, false
	}
	end := strings.IndexAny(line, " \t=:")
	if end < 0 {
		end = len(line)
	}
	name := strings.TrimLeft(line[:end], "-")
	value := strings.TrimLeft(line[end:], " \t=:")
	return assignment{name, unquoteShell(value)}, name != ""
}

// rewrite is the step that replaces a file that was shown. What holds a
// password, before or afterwards, is written without a diff, whose context is
// other people's lines; that nobody has changed it since is then checked by
// its sum.
func rewrite(f file, content string, mode fs.FileMode) remote.Step {
	w := &remote.File{Path: f.Path, Mode: mode}
	if holdsCredentials(content) || holdsCredentials(f.content) || f.Path == environmentPath && setsOthers(f.content) {
		w.Secret = secret.New(content)
		w.Verify = unchanged(f)
	} else {
		w.Data, w.Old = content, f.old()
	}
	return remote.Step{Title: "write " + f.Path, Write: w}
}

// setsOthers reports whether an environment has variables of which nobody can
// say that their values may be shown: who knows what DB_URL holds.
func setsOthers(content string) bool {
	for _, a := range parseEnvironment(content) {
		name := strings.ToUpper(a.name)
		if !strings.HasPrefix(name, "LC_") && !strings.HasSuffix(name, "_PROXY") &&
			!slices.Contains([]string{"PATH", "LANG", "LANGUAGE", "TZ", "EDITOR", "VISUAL", "PAGER"}, name) {
			return true
		}
	}
	return false
}

// escaped is how a byte that is not UTF-8 arrives here. It cannot be told from
// the same four characters, which no file that we edit has.
var escaped = regexp.MustCompile(`\\x(00|[89a-f][0-9a-f])`)

// notText says what is wrong with a file that cannot be written back as it is;
// empty: nothing.
func notText(f file) string {
	if f.Presence != Present {
		return ""
	}
	if found := escaped.FindString(f.content); found != "" {
		return f.Path + " holds bytes that are not UTF-8 (" + found + ")"
	}
	return ""
}

// byHand is what can be done about such a file.
const byHand = "convert it to UTF-8, or edit it by hand: runai-prep changes no file that it cannot give back byte by byte"

// unchanged is a script that fails when f is no longer as it was seen.
func unchanged(f file) string {
	if f.Presence != Present {
		return fmt.Sprintf("[ ! -e %s ] || { echo 'it is there now' >&2; exit 1; }\n", quote(f.Path))
	}
	return fmt.Sprintf("[ \"$(sha256sum <%s)\" = '%x  -' ] || { echo 'it has changed since the plan' >&2; exit 1; }\n",
		quote(f.Path), sha256.Sum256([]byte(f.content)))
}
