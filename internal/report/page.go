package report

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// A style is how a piece of text looks in a terminal that shows colours; in
// any other it does not matter, for nothing is said by colour alone.
type style int

const (
	plain style = iota
	bold
	faint
	bad
	warn
	unsure
	good
	added
	removed
	place // "@@" of a diff
)

// A span is text of one style, safe already.
type span struct {
	text string
	style
}

// glue is a blank at which no line ends; in safe text it is nothing else.
const glue = "\x00"

// A page is text being laid out for a terminal.
type page struct {
	strings.Builder
	width  int
	styles map[style]lipgloss.Style // nil: no colours
}

func newPage(o TextOptions) *page {
	p := &page{width: o.Width}
	if p.width <= 0 {
		p.width = 80
	}
	if o.Color {
		// The sixteen colours of the terminal's own theme: they are readable
		// on the background that its user chose.
		base := lipgloss.NewStyle().TabWidth(lipgloss.NoTabConversion)
		p.styles = map[style]lipgloss.Style{
			bold:    base.Bold(true),
			faint:   base.Faint(true),
			bad:     base.Bold(true).Foreground(lipgloss.Red),
			warn:    base.Bold(true).Foreground(lipgloss.Yellow),
			unsure:  base.Bold(true).Foreground(lipgloss.Magenta),
			good:    base.Bold(true).Foreground(lipgloss.Green),
			added:   base.Foreground(lipgloss.Green),
			removed: base.Foreground(lipgloss.Red),
			place:   base.Foreground(lipgloss.Cyan),
		}
	}
	return p
}

func (p *page) paint(s span) string {
	s.text = strings.ReplaceAll(s.text, glue, " ")
	if look, ok := p.styles[s.style]; ok && s.text != "" {
		return look.Render(s.text)
	}
	return s.text
}

// line writes one line as it is, however long: a path, a command or a line of
// a diff is for copying and must stay whole.
func (p *page) line(spans ...span) {
	for _, s := range spans {
		p.WriteString(p.paint(s))
	}
	p.WriteByte('\n')
}

// para writes spans after a first prefix and wraps at the page's width, at
// blanks alone, with further lines indented as deep as the prefix.
func (p *page) para(prefix span, spans ...span) {
	indent := strings.Repeat(" ", lipgloss.Width(prefix.text))
	p.WriteString(p.paint(prefix))
	used, first := len(indent), true
	for _, w := range words(spans) {
		width := 0
		for _, s := range w {
			width += lipgloss.Width(strings.ReplaceAll(s.text, glue, " "))
		}
		switch {
		case first:
		case used+1+width > p.width && used > len(indent):
			p.WriteString("\n" + indent)
			used = len(indent)
		default:
			p.WriteByte(' ')
			used++
		}
		for _, s := range w {
			p.WriteString(p.paint(s))
		}
		used, first = used+width, false
	}
	p.WriteByte('\n')
}

// words cuts spans at blanks; a word may be of several styles.
func words(spans []span) [][]span {
	var all [][]span
	var current []span
	for _, s := range spans {
		for i, part := range strings.Split(s.text, " ") {
			if i > 0 {
				all = append(all, current)
				current = nil
			}
			if part != "" {
				current = append(current, span{part, s.style})
			}
		}
	}
	return append(all, current)
}
