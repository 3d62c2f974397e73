package remote

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for _, c := range [][2]string{
		{"plain € text\tand\nlines", "plain € text\tand\nlines"},
		{"dos\r\nlines", "dos\nlines"},
		{"\x1b[31mred\x07", `\x1b[31mred\x07`},
		{"over\rwritten", `over\x0dwritten`},
		{"user\u202etxt.exe", `user\u202etxt.exe`},
		{"c1 \u009b31m", `c1 \x9b31m`},
		{"bad \xff\xc3", `bad \xff\xc3`},
		{"sep\u2028", `sep\u2028`},
		{"tag \U000e0041", `tag \U000e0041`},
	} {
		if got := Safe(c[0]); got != c[1] {
			t.Errorf("Safe(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b]0;x\x07\u202e\xff\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if !utf8.ValidString(got) {
			t.Errorf("not UTF-8: %q", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%q is in %q", r, got)
			}
		}
		if again := Safe(got); again != got {
			t.Errorf("not stable: %q %q", got, again)
		}
		if plain := text([]byte(s)); utf8.ValidString(s) && !strings.Contains(s, "\x00") && plain != s {
			t.Errorf("text changed %q to %q", s, plain)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("it's $HOME `x` \\ \"!\n")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1000 {
			t.Skip()
		}
		word, err := Quote(s)
		if strings.Contains(s, "\x00") && err == nil {
			t.Fatal("NUL was quoted")
		}
		if err == nil {
			check(t, word, s)
		}
		if !strings.Contains(s, "\x00") {
			check(t, quoteScript(s), s)
		}
	})
}

func check(t *testing.T, word, want string) {
	t.Helper()
	out, err := exec.Command("sh", "-c", "printf %s. "+word).Output()
	if err != nil || string(out) != want+"." {
		t.Errorf("%s: got %q, want %q: %v", word, out, want, err)
	}
}

// FuzzSplitter: however a stream is cut, the text and the markers are the same.
func FuzzSplitter(f *testing.F) {
	f.Add("noise\nM b 0\ntext\n\nM e 0 0\n\nM", 3)
	f.Add("\nM \n\nM\n\nM b", 1)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		if size < 1 {
			size = 1
		}
		whole, pieces := split(stream, len(stream)+1), split(stream, size)
		if whole != pieces {
			t.Errorf("whole  %q\npieces %q", whole, pieces)
		}
	})
}

func split(stream string, size int) string {
	var got strings.Builder
	text := false
	s := newSplitter("M", func(b []byte) {
		if !text {
			got.WriteString("<")
		}
		text = true
		got.Write(b)
	}, func(m marker) {
		text = false
		got.WriteString("[" + m.kind + " " + strings.Join(m.fields, ",") + "]")
	})
	for len(stream) > 0 {
		n := min(size, len(stream))
		s.feed([]byte(stream[:n]))
		stream = stream[n:]
	}
	s.end()
	return got.String()
}
