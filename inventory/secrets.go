package inventory

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// secrets are the sensitive texts of a run, and the places of the source that
// spell them out: no diagnostic shows either.
type secrets struct {
	texts    []string // longest first
	known    map[string]bool
	places   []hcl.Range
	short    *regexp.Regexp
	replacer *strings.Replacer
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

// passwordName recognizes names of secrets, misspelt ones too.
var passwordName = regexp.MustCompile(`(?i)(pas+.{0,2}w.?r?[dt]|passwd|passphrase|secret|token)$`)

// hideAssigned hides what is literally assigned to attributes of these names,
// and to those that are called like a secret.
// It reads tokens, not the parsed file: a line with a password and a missing
// quote is shown as a syntax error, too.
func (s *secrets) hideAssigned(tokens hclsyntax.Tokens, names ...string) {
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].Type != hclsyntax.TokenIdent || tokens[i+1].Type != hclsyntax.TokenEqual {
			continue
		}
		if !slices.Contains(names, string(tokens[i].Bytes)) && !passwordName.Match(tokens[i].Bytes) {
			continue
		}
		i = s.hideExpression(tokens, i+2)
	}
}

// passwordLine finds the line of a secret where tokens cannot be trusted,
// because a quote is missing further up. What names a secret may be seen.
var passwordLine = regexp.MustCompile(`(?im)(?:pas+.{0,2}w.?r?[dt]|passwd|passphrase|secret|token|default)[ \t]*=[ \t]*([^ \t\r\n].*)$`)

var passwordPlace = regexp.MustCompile(`^(?:(?:env|command|sops|file)\("?[^"]*"?\)|(?:var|local)\.[\w-]+)[ \t]*}*[ \t\r]*$`)

// hideLines hides the secrets of a file that does not parse.
func (s *secrets) hideLines(src []byte, filename string) {
	for _, m := range passwordLine.FindAllSubmatchIndex(src, -1) {
		if passwordPlace.Match(src[m[2]:m[3]]) {
			continue
		}
		s.hide(hcl.Range{Filename: filename, Start: hcl.Pos{Byte: m[2]}, End: hcl.Pos{Byte: m[3]}})
	}
}

// hideExpression hides the literals of the expression that begins at token i,
// but for the arguments of functions that only name the place of a secret. It
// returns the last token of the expression.
func (s *secrets) hideExpression(tokens hclsyntax.Tokens, i int) int {
	depth, named := 0, 0 // brackets open; the depth inside such a call, or 0
	for ; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case hclsyntax.TokenNewline:
			if depth <= 0 {
				return i
			}
		case hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
			if named == 0 && t.Type == hclsyntax.TokenOParen && slices.Contains(secretPlaces, string(tokens[i-1].Bytes)) {
				named = depth
			}
		case hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth < named {
				named = 0
			}
			if depth < 0 {
				return i // of a block on one line
			}
		case hclsyntax.TokenIdent:
			// A word without quotes, which was meant to have them.
			before, after := tokens[i-1].Type, tokens[min(i+1, len(tokens)-1)].Type
			if depth == 0 && before == hclsyntax.TokenEqual && after != hclsyntax.TokenDot && after != hclsyntax.TokenOParen && after != hclsyntax.TokenDoubleColon && after != hclsyntax.TokenOBrack {
				s.hideToken(t)
			}
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedNewline,
			hclsyntax.TokenInvalid, hclsyntax.TokenBadUTF8:
			if named == 0 {
				s.hideToken(t)
			}
		}
	}
	return i
}

func (s *secrets) hideToken(t hclsyntax.Token) {
	s.hide(t.Range)
	s.learnText(string(t.Bytes))
}

// mask replaces the secrets in a message. Very short ones are replaced where
// they stand as words of their own: "1" is not taken out of "10.0.0.1:22".
func (s *secrets) mask(message string) string {
	if len(s.texts) == 0 {
		return message
	}
	if s.replacer == nil {
		s.compile()
	}
	message = s.replacer.Replace(message)
	if s.short != nil {
		message = s.short.ReplaceAllString(message, "${1}"+secret.Shown+"${2}")
	}
	return message
}

// isShort says of which secrets a coincidence in a message is likely.
func isShort(text string) bool { return len(text) < 4 }

func (s *secrets) compile() {
	slices.SortFunc(s.texts, func(a, b string) int { return len(b) - len(a) })
	var pairs, words []string
	for _, t := range s.texts {
		switch {
		case isShort(t) && utf8.ValidString(t):
			words = append(words, regexp.QuoteMeta(t))
		case !isShort(t):
			pairs = append(pairs, t, secret.Shown)
		}
	}
	s.replacer = strings.NewReplacer(pairs...)
	if s.short = nil; len(words) > 0 {
		s.short = regexp.MustCompile(`(^|[\s"'])(?:` + strings.Join(words, "|") + `)($|[\s"'])`)
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
			files[name] = &hcl.File{Body: f.Body, Bytes: src, Nav: f.Nav}
		}
	}
}
