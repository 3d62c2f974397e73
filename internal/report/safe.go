package report

import (
	"regexp"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/remote"
)

// oneLine escapes what remote.Safe lets pass, for places of one line.
var oneLine = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// safe is a stranger's words on one line, as a terminal, a page or an XML
// document may have them.
func safe(s string) string { return oneLine.Replace(safeTabs(s)) }

// safeTabs is safe for a line of a file, where tabs are common, harmless and
// worth keeping for a copy and paste.
func safeTabs(s string) string { return strings.ReplaceAll(remote.Safe(s), "\n", `\n`) }

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
	// Credentials without a scheme before them, as curl and apt take a proxy.
	bare     = regexp.MustCompile(`(?i)((?:https?|all|ftp)_?proxy["']?\s*[=:]?\s*(?:is )?["']?)[^/@\s"']+:[^/@\s"'][^@\s"']*@`)
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:password|passwd|passphrase|secret|token|credentials?|[_.-]key|apikey)|\bpass)(\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;"']+)`)
)

// Redact takes passwords out of what a host had lying about in its files.
// Secrets of the inventory never come here, they are a type; these nobody told
// us of, and a diff shows the lines around a change.
func Redact(s string) string {
	s = inURL.ReplaceAllLiteralString(s, "://"+secret.Shown+"@")
	s = bare.ReplaceAllString(s, "${1}"+secret.Shown+"@")
	return assigned.ReplaceAllString(s, "${1}${2}"+secret.Shown)
}
