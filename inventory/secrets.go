package inventory

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// secrets are the sensitive texts of a run, and the places of the source that
// spell them out: no diagnostic shows either.
type secrets struct {
	texts    []string // longest first
	known    map[string]bool
	places   []hcl.Range
	replacer *strings.Replacer // of the texts; nil: to be made
	short    *regexp.Regexp    // the short ones in quotes; nil: there are none
}

// learn remembers every text of a value. Truth values and null say nothing.
func (s *secrets) learn(v cty.Value) {
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, part cty.Value) (bool, error) {
		if !part.IsKnown() || part.IsNull() {
			return false, nil
		}
		switch part.Type() {
		case cty.String:
			s.learnText(part.AsString())
		case cty.Number:
			s.learnText(part.AsBigFloat().Text('f', -1))
		}
		return true, nil
	})
}

// maxLines bounds the lines of one secret that are looked for one by one.
const maxLines = 500

// learnText remembers a text, and its lines: a message may quote one alone.
func (s *secrets) learnText(text string) {
	for _, t := range append(strings.SplitN(text, "\n", maxLines), text) {
		if strings.TrimSpace(t) == "" || s.known[t] {
			continue
		}
		if s.known == nil {
			s.known = map[string]bool{}
		}
		s.known[t] = true
		s.texts = append(s.texts, t)
		s.replacer = nil
	}
}

// hide remembers a part of the source that spells a secret out.
func (s *secrets) hide(rng hcl.Range) { s.places = append(s.places, rng) }

// conceal hides a part of the source whose value turned out to be a secret.
func (s *secrets) conceal(rng hcl.Range, value string) {
	s.hide(rng)
	s.learnText(value)
	quoted := strconv.Quote(value) // as messages show it
	s.learnText(quoted[1 : len(quoted)-1])
}

// mask replaces the secrets in a message about at; at may be nil. Short ones
// are words like any other: they are replaced in messages about the place that
// spells them out, where they stand in quotes.
func (s *secrets) mask(message string, at *hcl.Range) string {
	message = maskCredentials(message)
	if len(s.texts) == 0 {
		return message
	}
	if s.replacer == nil {
		s.compile()
	}
	message = s.replacer.Replace(message)
	if s.short != nil && at != nil && s.hidden(*at) {
		message = s.short.ReplaceAllLiteralString(message, `"`+secret.Shown+`"`)
	}
	return message
}

// hidden reports whether a part of the source touches what is hidden.
func (s *secrets) hidden(rng hcl.Range) bool {
	return slices.ContainsFunc(s.places, func(p hcl.Range) bool {
		return p.Filename == rng.Filename && p.Start.Byte <= rng.End.Byte && rng.Start.Byte <= p.End.Byte
	})
}

// isShort says of which secrets a coincidence in a message is likely.
func isShort(text string) bool { return utf8.RuneCountInString(text) < 4 }

func (s *secrets) compile() {
	slices.SortFunc(s.texts, func(a, b string) int { return len(b) - len(a) })
	var pairs, words []string
	for _, t := range s.texts {
		switch {
		case !isShort(t):
			pairs = append(pairs, t, secret.Shown)
		case utf8.ValidString(t):
			words = append(words, regexp.QuoteMeta(t))
		}
	}
	s.replacer = strings.NewReplacer(pairs...)
	if s.short = nil; len(words) > 0 {
		s.short = regexp.MustCompile(`["'](?:` + strings.Join(words, "|") + `)["']`)
	}
}

// blank overwrites the secrets in the sources, byte for byte, so that snippets
// keep their columns and show nothing.
func (s *secrets) blank(files map[string]*hcl.File) {
	for name, f := range files {
		var src []byte
		edit := func(from, to int) {
			if from < 0 || to > len(f.Bytes) || from >= to {
				return
			}
			if src == nil {
				src = slices.Clone(f.Bytes)
			}
			for i := from; i < to; i++ {
				if src[i] != '\n' {
					src[i] = '*'
				}
			}
		}
		for _, p := range s.places {
			if p.Filename == name {
				edit(p.Start.Byte, p.End.Byte)
			}
		}
		for _, t := range s.texts {
			if isShort(t) {
				continue
			}
			for at := 0; ; at += len(t) {
				i := bytes.Index(f.Bytes[at:], []byte(t))
				if i < 0 {
					break
				}
				at += i
				edit(at, at+len(t))
			}
		}
		if src != nil {
			files[name] = &hcl.File{Body: f.Body, Bytes: src, Nav: blankedNav{f, s}}
		}
	}
}

// A blankedNav names the block around a place; a label may be wrong in that it
// holds a secret.
type blankedNav struct {
	file    *hcl.File
	secrets *secrets
}

// ContextString is what hcl's and this package's writers of diagnostics ask for.
func (n blankedNav) ContextString(offset int) string {
	return n.secrets.mask(enclosing(n.file, offset), nil)
}
