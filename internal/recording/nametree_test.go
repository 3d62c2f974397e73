package recording

import (
	"cmp"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// One pass finds what a regular expression of all names finds, which says best
// what is meant and takes as long as there are names.
func sameAsRegexp(t *testing.T, names map[string]nameKind, text string) {
	t.Helper()
	tree := nameTree{}
	patterns := map[bool][]string{}
	longest := func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) }
	var sorted []string
	for name, kind := range names {
		tree.add(name, kind)
		sorted = append(sorted, name)
	}
	slices.SortFunc(sorted, longest)
	for _, name := range sorted {
		q := regexp.QuoteMeta(name)
		switch names[name] {
		case inDomain:
			q = `\b(?:[a-z0-9_-]+\.)*` + q + `\b`
		case wholeWord:
			q = `\b` + q + `\b`
		}
		patterns[names[name] == inDomain] = append(patterns[names[name] == inDomain], q)
	}
	mark := func(name string) string { return "<" + name + ">" }
	want := text
	if len(names) > 0 {
		want = regexp.MustCompile(`(?i)`+strings.Join(append(patterns[true], patterns[false]...), "|")).ReplaceAllStringFunc(text, mark)
	}
	if got := tree.replace(text, mark); got != want {
		t.Errorf("%v in %q:\n%q, want\n%q", names, text, got, want)
	}
}

func TestNameTree(t *testing.T) {
	names := map[string]nameKind{"acme.test": inDomain, "corp": inDomain, "lab.corp": inDomain, "corp.lab": inDomain, "nas": wholeWord, "gpu-01": anywhere, "gpu-010": anywhere, "a.b": anywhere}
	for _, text := range []string{
		"", "canvas nas NAS nas-2 nas_2", "xgpu-010y gpu-01", "px.Acme.Test:3128 acme.test.acme.test acme.tests my-acme.test",
		"a.lab.corp b.corp corp.lab.corp corp.corp.lab x..corp ..corp. .corp -corp-corp corp_ corp.x", "\x80corp é.corp\x80 a.b.c.corp/a.b",
	} {
		sameAsRegexp(t, names, text)
	}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 5000 {
		names := map[string]nameKind{}
		for range random.IntN(6) {
			name := ""
			for range 1 + random.IntN(4) {
				name += pick("a", "b", "1", "a.", "b-", ".a", "_")
			}
			if nameRE.MatchString(name) && !strings.Contains(name, "..") {
				names[name] = nameKind(1 + random.IntN(3))
			}
		}
		text := ""
		for range random.IntN(16) {
			text += pick("a", "b", "A", "1", ".", "-", "_", " ", "/", ".a", "b.", "é")
		}
		sameAsRegexp(t, names, text)
	}
}

func FuzzNameTree(f *testing.F) {
	f.Add("acme.test nas gpu-01", "px.acme.test nas GPU-01x")
	f.Fuzz(func(t *testing.T, list, text string) {
		names := map[string]nameKind{}
		for i, name := range strings.Fields(list) {
			if name = strings.ToLower(name); isName(name) && len(names) < 50 {
				names[name] = nameKind(1 + i%3)
			}
		}
		// These two are letters of names to a regular expression alone: K and s.
		sameAsRegexp(t, names, strings.NewReplacer("\u212a", "", "\u017f", "").Replace(text))
	})
}
