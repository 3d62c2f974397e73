package inventory

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/mitchellh/go-wordwrap"
)

// WriteDiagnostics prints diagnostics for people: severity and summary, file,
// line and column, the line of the source with what is meant underlined, and
// the sentences that say what to do. The files are an Inventory's: its secrets
// are blanked there. Control characters are escaped. Sentences are wrapped at
// width, when it is above zero.
func WriteDiagnostics(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, width uint, color bool) error {
	b := bufio.NewWriter(w)
	for _, d := range diags {
		word, paint, plain := "Error", "\x1b[1;31m", "\x1b[0m"
		if d.Severity == hcl.DiagWarning {
			word, paint = "Warning", "\x1b[1;33m"
		}
		if !color {
			paint, plain = "", ""
		}
		fmt.Fprintf(b, "%s%s%s: %s\n", paint, word, plain, printable(d.Summary))
		if d.Subject != nil {
			writeSnippet(b, files[d.Subject.Filename], *d.Subject, paint, plain)
		}
		detail := printable(d.Detail)
		if width > 4 {
			detail = wordwrap.WrapString(detail, width-4)
		}
		for line := range strings.SplitSeq(detail, "\n") {
			fmt.Fprintf(b, "  %s\n", line)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// maxLine is how many bytes on either side of a fault are looked at.
const maxLine = 2000

// writeSnippet prints where the fault is, and the line with what is meant
// underlined.
func writeSnippet(b *bufio.Writer, file *hcl.File, rng hcl.Range, paint, plain string) {
	fmt.Fprintf(b, "  %s:%d:%d", printable(rng.Filename), rng.Start.Line, rng.Start.Column)
	if file == nil || rng.Start.Byte > len(file.Bytes) {
		fmt.Fprintln(b)
		return
	}
	if block := enclosing(file, rng.Start.Byte); block != "" {
		fmt.Fprintf(b, ", in %s", printable(block))
	}
	start := bytes.LastIndexByte(file.Bytes[:rng.Start.Byte], '\n') + 1
	end := len(file.Bytes)
	if i := bytes.IndexByte(file.Bytes[rng.Start.Byte:], '\n'); i >= 0 {
		end = rng.Start.Byte + i
	}
	// What is far from the fault on a very long line is not looked at.
	start, end = max(start, rng.Start.Byte-maxLine), min(end, rng.Start.Byte+maxLine)
	before := printable(string(file.Bytes[start:rng.Start.Byte]))
	meant := printable(string(file.Bytes[rng.Start.Byte:max(rng.Start.Byte, min(end, rng.End.Byte))]))
	after := printable(strings.TrimRight(string(file.Bytes[max(rng.Start.Byte, min(end, rng.End.Byte)):end]), "\r"))
	const most = 160 // columns of a line that are of use
	if utf8.RuneCountInString(before)+utf8.RuneCountInString(meant) > most {
		before = "… " + tail(before, most/4)
		meant, after = head(meant, most/2), ""
	}
	after = head(after, most)
	number := fmt.Sprintf("%d", rng.Start.Line)
	fmt.Fprintf(b, "\n  %s: %s%s%s%s%s\n", number, before, paint, meant, plain, after)
	marks := max(utf8.RuneCountInString(meant), 1)
	fmt.Fprintf(b, "  %s%s%s%s\n", strings.Repeat(" ", len(number)+2+utf8.RuneCountInString(before)), paint, strings.Repeat("^", marks), plain)
}

func head(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

func tail(s string, n int) string {
	r := []rune(s)
	return string(r[max(0, len(r)-n):])
}

// enclosing names the block around a place of the source.
func enclosing(file *hcl.File, at int) string {
	if file.Nav == nil {
		return ""
	}
	nav, ok := file.Nav.(interface{ ContextString(offset int) string })
	if !ok {
		return ""
	}
	return nav.ContextString(at)
}

// printable escapes what would do something to a terminal, or look like other
// text: control characters, marks that turn the direction of writing, and
// bytes that are not UTF-8. Line breaks of messages stay.
func printable(s string) string {
	if !strings.ContainsFunc(s, unsafe) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteByte('\n')
		case unsafe(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

func unsafe(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co))
}
