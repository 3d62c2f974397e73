package report

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// safe is one line of a stranger's words as a terminal, a page or an XML
// document may have them: what is not printable (control characters, line
// ends, bidi and zero-width ones, broken UTF-8) is written as Go would escape
// it, so that nothing is lost either.
func safe(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// safeTabs is safe for a line of a file, where tabs are common, harmless and
// worth keeping for a copy and paste.
func safeTabs(s string) string {
	fields := strings.Split(s, "\t")
	for i := range fields {
		fields[i] = safe(fields[i])
	}
	return strings.Join(fields, "\t")
}

// safeLines splits a text, such as a command's stderr, into lines that are
// safe each.
func safeLines(s string) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(s)) {
		lines = append(lines, safe(strings.TrimRight(line, "\r\n")))
	}
	return lines
}

var credentials = regexp.MustCompile(`://[^\s/@"']*@`)

// redact takes credentials out of URLs. Secrets of the inventory are a type
// and never come here; these are what a host had lying about in a file.
func redact(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	return credentials.ReplaceAllString(s, "://"+secret.Shown+"@")
}
