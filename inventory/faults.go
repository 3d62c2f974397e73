package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// maxAlike bounds the faults of one kind in one place: an expression of a
// pattern may be wrong in as many ways as there are hosts.
const maxAlike = 5

// maxFaults bounds the faults of one run. Nobody reads further, and a binary
// file taken for an inventory has one at every byte.
const maxFaults = 1000

// faults collects what is wrong with an inventory, so that one run shows all
// of it. A nil collector drops everything: for a second look at what has been
// reported before.
type faults struct {
	diags hcl.Diagnostics
	seen  map[string]bool
	alike map[string]int // by place and summary
	more  int            // errors beyond maxFaults
	// mask takes the secrets read so far out of a message about a place.
	mask func(string, *hcl.Range) string
	// conceal hides a place of the source, and the value that it has.
	conceal func(hcl.Range, string)
}

// errorf reports a fault at rng. The message is whole sentences, and the last
// of them says what to do.
func (f *faults) errorf(rng hcl.Range, summary, format string, args ...any) {
	f.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng})
}

// refuse reports that the text at rng did not pass its check. What looks like
// credentials is neither repeated nor shown in the line of the source.
func (f *faults) refuse(rng hcl.Range, summary, text string, err error) {
	if f == nil {
		return
	}
	var safe credentialsError
	known := errors.As(err, &safe)
	if known || holdsCredentials(text) {
		f.conceal(rng, text)
		if !known {
			err = errors.New("the value does not fit here, and is not shown because it looks like one with a password in it; write it without the part before the @")
		}
	}
	f.errorf(rng, summary, "%s", sentence(err))
}

// warnf reports advice at rng.
func (f *faults) warnf(rng hcl.Range, summary, format string, args ...any) {
	f.add(&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng})
}

// add takes diagnostics in. A pattern of a thousand hosts meets the same fault
// a thousand times: it is kept once.
func (f *faults) add(diags ...*hcl.Diagnostic) {
	if f == nil {
		return
	}
	for _, d := range diags {
		// hcl's own writer prints the values of the variables that an
		// expression refers to; some of them are secrets.
		d.Expression, d.EvalContext = nil, nil
		if f.mask != nil {
			d.Summary, d.Detail = f.mask(d.Summary, d.Subject), f.mask(d.Detail, d.Subject)
		}
		key := d.Summary + "\x00" + d.Detail
		if d.Subject != nil {
			key += "\x00" + d.Subject.String()
		}
		if f.seen[key] {
			continue
		}
		if f.seen == nil {
			f.seen, f.alike = map[string]bool{}, map[string]int{}
		}
		f.seen[key] = true
		if d.Subject != nil {
			here := d.Summary + d.Subject.String()
			if f.alike[here]++; f.alike[here] > maxAlike {
				continue
			}
			if f.alike[here] == maxAlike {
				d.Detail += " Further faults of this kind in this place are not shown."
			}
		}
		if len(f.diags) >= maxFaults {
			if d.Severity == hcl.DiagError {
				f.more++
			}
			continue
		}
		f.diags = append(f.diags, d)
	}
}

// failed reports whether anything but advice was reported.
func (f *faults) failed() bool { return f.more > 0 || f.diags.HasErrors() }

// sorted returns the diagnostics in the order of the source.
func (f *faults) sorted() hcl.Diagnostics {
	at := func(d *hcl.Diagnostic) hcl.Range {
		if d.Subject == nil {
			return hcl.Range{}
		}
		return *d.Subject
	}
	sort.SliceStable(f.diags, func(i, j int) bool {
		a, b := at(f.diags[i]), at(f.diags[j])
		return cmp.Or(
			cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte),
			cmp.Compare(f.diags[i].Summary, f.diags[j].Summary), cmp.Compare(f.diags[i].Detail, f.diags[j].Detail),
		) < 0
	})
	if f.more > 0 {
		return append(f.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too many faults",
			Detail: fmt.Sprintf("There are %d more faults, which are not shown. Correct those above first.", f.more)})
	}
	return f.diags
}

// slips are what a letter costs that is left out, is too many, or is another
// one: with that a short word soon becomes any other, as nope becomes node.
var slips = levenshtein.NewParams().SubCost(2)

// Nearest is the known name that somebody most likely meant who wrote another
// one, at most a third of whose letters are slips; empty: none is near.
func Nearest(name string, known []string) string {
	best, distance := "", max(len(name)/3, 1)+1
	for _, k := range known {
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(k), slips)
		if letters(name) == letters(k) {
			d = 1 // letters swapped: the commonest slip counts as one
		}
		if d < distance {
			best, distance = k, d
		}
	}
	return best
}

// partOf is the one known name of which the written one is a word: nfs for
// nfs_mount; empty: there is none, or several.
func partOf(name string, known []string) string {
	whole := ""
	for _, k := range known {
		if !slices.Contains(strings.Split(k, "_"), strings.ToLower(name)) {
			continue
		}
		if whole != "" {
			return ""
		}
		whole = k
	}
	return whole
}

// maxKnown bounds the names that a fault lists.
const maxKnown = 20

// didYouMean is a sentence that names the known name nearest to name, or all
// of them where they are few. It begins with a blank, or is empty.
func didYouMean(name string, known []string) string {
	switch best := cmp.Or(Nearest(name, known), partOf(name, known)); {
	case best != "":
		return fmt.Sprintf(" Did you mean %q?", best)
	case len(known) > 0 && len(known) <= maxKnown:
		return fmt.Sprintf(" Known are %s.", enumerate(known))
	}
	return ""
}

// letters are the letters of a name, sorted.
func letters(name string) string {
	r := []rune(strings.ToLower(name))
	slices.Sort(r)
	return string(r)
}

// sentence makes an error's text a sentence of a diagnostic.
func sentence(err error) string {
	s := err.Error()
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

// enumerate renders names as a sentence does: "a", "b" and "c".
func enumerate(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " and " + quoted[len(quoted)-1]
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
