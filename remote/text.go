package remote

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes a stranger's words fit for a terminal, a log or a page: control
// characters (but newline and tab), bidirectional and other invisible ones,
// and bytes that are not UTF-8 become \x1b, \u202e, \xff. "\r\n" is "\n".
func Safe(s string) string {
	plain := true
	for _, r := range s {
		if !shown(r) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return escape(s, func(r rune) bool { return !shown(r) })
}

func shown(r rune) bool {
	if r == '\n' || r == '\t' {
		return true
	}
	// C: control, format (bidi, zero width, tags), private, surrogate. Zl and
	// Zp end lines in some viewers.
	return r != utf8.RuneError && !unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
}

// text makes what a host printed into a string that is the very bytes where
// they are text, so that a file read by a probe can be compared and rewritten;
// what is not text shows as such.
func text(b []byte) string {
	s := string(b)
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return escape(s, func(r rune) bool { return r == 0 })
}

// escape writes the bytes that are not UTF-8, and the runes named, as escapes.
func escape(s string, bad func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !bad(r):
			b.WriteString(s[:n])
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// tail is the end of a text, from the start of a line, within n bytes.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	if _, rest, found := strings.Cut(s, "\n"); found && rest != "" {
		s = rest
	}
	return "… " + strings.ToValidUTF8(s, "")
}
