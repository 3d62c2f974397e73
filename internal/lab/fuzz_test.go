package lab

import (
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// FuzzRewrite: whatever a script holds, making it one for the interpreter
// neither panics nor makes of it what does not parse.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{"a='it'\\''s'", "sleep 1 & kill $!", "cat <<E\n$x\nE\n", "case $a in *\\**) ;; esac", "f() { echo \"${1#\\*}\"; }", "echo $$ ${PPID:-x}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		s := &shell{name: "sh", funcs: map[string]bool{}}
		file, err := s.parse(script)
		if err != nil {
			_ = syntaxError(err)
			return
		}
		var text strings.Builder
		if err := syntax.NewPrinter().Print(&text, file); err != nil {
			t.Fatal(err)
		}
		if _, err := syntax.NewParser().Parse(strings.NewReader(text.String()), "sh"); err != nil {
			t.Errorf("%q became %q: %v", script, text.String(), err)
		}
	})
}

// FuzzFstab: no fstab makes the reader panic, and what it reads has three
// fields.
func FuzzFstab(f *testing.F) {
	f.Add("nas:/x /mnt nfs defaults 0 0\n# comment\n\nbad")
	f.Add("a\\040b /m\\011x nfs")
	f.Fuzz(func(t *testing.T, text string) {
		lines, _ := readFstab(text)
		for _, l := range lines {
			if l.source == "" || l.point == "" || l.kind == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}
