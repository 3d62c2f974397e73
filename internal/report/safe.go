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

var (
	// "http://user:password@proxy", whatever the password holds
	inURL = regexp.MustCompile(`://[^\s"']*@`)
	// "proxy_password = x" of dnf.conf, "user=a,password=x" of a CIFS line in fstab
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:password|passwd|passphrase|secret|token)|\bpass)(\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;"']+)`)
)

// redact takes passwords out of what a host had lying about in its files.
// Secrets of the inventory never come here, they are a type; these nobody told
// us of, and a diff shows the lines around a change.
func redact(s string) string {
	s = inURL.ReplaceAllLiteralString(s, "://"+secret.Shown+"@")
	return assigned.ReplaceAllString(s, "${1}${2}"+secret.Shown)
}
