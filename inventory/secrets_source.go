package inventory

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// parse parses a source, and hides what it spells out of secrets: what is
// assigned to attributes named in names, or to anything called like a
// password, and credentials in URLs. The file is never nil; it has no body when
// nothing of it can be used.
func (s *secrets) parse(src []byte, filename string, names ...string) (*hcl.File, hcl.Diagnostics) {
	// Lexing reports nothing that parsing does not.
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	var file *hcl.File
	var diags hcl.Diagnostics
	if rng, deep := tooDeep(tokens); deep {
		diags = diags.Append(&hcl.Diagnostic{Severity: hcl.DiagError, Subject: &rng, Summary: "Too deeply nested",
			Detail: "The file nests brackets or operators too deeply, or holds a number too large, to be read. Split the expression into local values."})
	} else {
		file, diags = hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	}
	if file == nil {
		file = &hcl.File{Bytes: src}
	}
	if diags.HasErrors() {
		if bytes.Contains(src, []byte("sensitive")) {
			names = append(slices.Clone(names), "default") // perhaps of a sensitive variable
		}
		s.hideLines(src, filename, names)
	}
	s.hideAssigned(tokens, names)
	s.hideCredentials(src, filename)
	return file, diags
}

// secretNames end the names of secrets, misspelt ones too.
const secretNames = `pas+.{0,2}w.?r?[dt]|passwd|passphrase|secret|token`

var passwordName = regexp.MustCompile(`(?i)(?:` + secretNames + `)$`)

// hideAssigned hides what is literally assigned to attributes of these names,
// and to those that are called like a secret.
// It reads tokens, not the parsed file: a line with a password and a missing
// quote is shown as a syntax error, too.
func (s *secrets) hideAssigned(tokens hclsyntax.Tokens, names []string) {
	for i := 1; i+1 < len(tokens); i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenEqual, hclsyntax.TokenColon:
		default:
			continue
		}
		first := i - 1 // of the name
		name := tokens[first].Bytes
		if tokens[first].Type == hclsyntax.TokenCQuote && i >= 3 && tokens[i-3].Type == hclsyntax.TokenOQuote {
			first, name = i-3, tokens[i-2].Bytes
		} else if tokens[first].Type != hclsyntax.TokenIdent {
			continue
		}
		if tokens[i].Type == hclsyntax.TokenColon && first > 0 && !beginsItem(tokens[first-1]) {
			continue // the middle of a condition, or the end of a list in a for expression
		}
		if slices.Contains(names, string(name)) || passwordName.Match(name) {
			i = s.hideExpression(tokens, i+1)
		}
	}
}

// beginsItem reports whether a name that follows t may be a key.
func beginsItem(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenOBrace || t.Type == hclsyntax.TokenComma || endsLine(t)
}

// endsLine reports whether t ends a line: HCL's tokens of comments do.
func endsLine(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n"))
}

// passwordPlace is what may be seen: where a secret comes from.
var passwordPlace = regexp.MustCompile(`^(?:(?:env|command|sops|file)\("?[^"]*"?\)|(?:var|local)\.[\w-]+)[ \t]*}*[ \t\r]*$`)

// hideLines hides the secrets of a file that does not parse, line by line:
// when a quote is missing further up, tokens cannot be trusted.
func (s *secrets) hideLines(src []byte, filename string, names []string) {
	words := secretNames
	for _, n := range names {
		words += "|" + regexp.QuoteMeta(n)
	}
	line := regexp.MustCompile(`(?im)(?:` + words + `)(?:"?[ \t]*[=:]|[ \t]+["'])[ \t]*([^ \t\r\n].*)$`)
	for _, m := range line.FindAllSubmatchIndex(src, -1) {
		if !passwordPlace.Match(src[m[2]:m[3]]) {
			s.hideBytes(filename, m[2], m[3])
		}
	}
}

func (s *secrets) hideBytes(filename string, from, to int) {
	s.hide(hcl.Range{Filename: filename, Start: hcl.Pos{Byte: from}, End: hcl.Pos{Byte: to}})
}

// hideExpression hides the literals of the expression that begins at token i,
// but for the arguments of functions that only name the place of a secret. It
// returns the last token of the expression.
func (s *secrets) hideExpression(tokens hclsyntax.Tokens, i int) int {
	begin := i
	if value := skipLines(tokens, i); value > i && valueAlone(tokens, value) {
		begin, i = value, value // on the next line, which does not parse
	}
	depth, named := 0, 0 // brackets open; the depth inside such a call, or 0
	for ; i < len(tokens); i++ {
		t := tokens[i]
		if depth <= 0 && (endsLine(t) || t.Type == hclsyntax.TokenComma) {
			return i
		}
		switch t.Type {
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
			after := tokens[min(i+1, len(tokens)-1)].Type
			if i == begin && !slices.Contains([]hclsyntax.TokenType{hclsyntax.TokenDot, hclsyntax.TokenOParen, hclsyntax.TokenDoubleColon, hclsyntax.TokenOBrack}, after) {
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

func skipLines(tokens hclsyntax.Tokens, i int) int {
	for i < len(tokens) && endsLine(tokens[i]) {
		i++
	}
	return i
}

// valueAlone reports whether token i begins a line that is no attribute or
// block.
func valueAlone(tokens hclsyntax.Tokens, i int) bool {
	if i+1 >= len(tokens) {
		return false
	}
	return tokens[i].Type != hclsyntax.TokenIdent && tokens[i].Type != hclsyntax.TokenCBrace || endsLine(tokens[i+1])
}

func (s *secrets) hideToken(t hclsyntax.Token) {
	s.hide(t.Range)
	s.learnText(string(t.Bytes))
}

// sourceCredentials are the credentials of a URL in a source; its quotes may be
// missing.
var sourceCredentials = regexp.MustCompile(`://((?:\\.|[^"\\\n])+)@`)

// hideCredentials hides the credentials in URLs, in comments as well.
func (s *secrets) hideCredentials(src []byte, filename string) {
	for _, m := range sourceCredentials.FindAllSubmatchIndex(src, -1) {
		s.hideBytes(filename, m[2], m[3])
	}
}

// messageCredentials are the credentials of a URL that a message quotes.
var messageCredentials = regexp.MustCompile(`://[^\s"]+@`)

func maskCredentials(message string) string {
	if !strings.Contains(message, "://") {
		return message
	}
	return messageCredentials.ReplaceAllLiteralString(message, "://"+secret.Shown+"@")
}

// holdsCredentials reports whether a value that was refused looks like
// user:password@host, with or without a scheme.
func holdsCredentials(value string) bool {
	at := strings.LastIndexByte(value, '@')
	return at >= 0 && strings.Contains(value[:at], ":") && !strings.Contains(value, "-----BEGIN")
}

// A credentialsError refuses a value with credentials in it. It does not repeat
// the value.
type credentialsError string

func (e credentialsError) Error() string { return string(e) }
