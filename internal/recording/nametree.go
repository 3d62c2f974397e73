package recording

import "strings"

// A nameTree finds names in a text in one pass, however many names there are:
// from each place it goes down a tree of their letters, as far as the text does.
// Names are in lower case, of letters, digits, '.', '-' and '_', and no label
// of them is empty. What is found is of any case.
type nameTree struct {
	next map[branching]int // node by node; 0 is the root
	ends map[int]nameKind
}

type branching struct {
	from int
	by   byte
}

// A nameKind says where a name counts as found.
type nameKind byte

const (
	inDomain  nameKind = iota + 1 // with all labels before it, as whole words
	wholeWord                     // "nas" is no part of "canvas"
	anywhere
)

func (t *nameTree) add(name string, kind nameKind) {
	if t.next == nil {
		t.next, t.ends = map[branching]int{}, map[int]nameKind{}
	}
	at := 0
	for i := range len(name) {
		b := branching{at, name[i]}
		if t.next[b] == 0 {
			t.next[b] = len(t.next) + 1
		}
		at = t.next[b]
	}
	t.ends[at] = kind
}

// A hit is a name that was found, as text[start:end].
type hit struct{ start, end int }

// replace puts something else in the place of the names that it finds: the first
// one of the text, and so on behind it. Of several that begin at one place it
// takes domains before others, then longer ones, and of a domain that is there
// twice the last.
func (t *nameTree) replace(text string, by func(name string) string) string {
	low := lower(text)
	var b strings.Builder
	done, reach := 0, 0
	var below []hit // domains at the labels from here to reach
	for at := 0; at < len(low); at++ {
		if !isLabel(low[at]) {
			continue
		}
		if at >= reach {
			below, reach = t.below(low, at)
		}
		for len(below) > 0 && below[0].start <= at {
			below = below[1:]
		}
		if end := t.match(low, at, below); end > 0 {
			b.WriteString(text[done:at])
			b.WriteString(by(text[at:end]))
			done, at = end, end-1
		}
	}
	return b.String() + text[done:]
}

// below finds the longest domain at each label behind the one at a place, up to
// where the labels end.
func (t *nameTree) below(low string, at int) (found []hit, reach int) {
	for ; at < len(low); at++ {
		if isLabel(low[at]) {
			continue
		}
		if low[at] != '.' || at+1 == len(low) || !isLabel(low[at+1]) {
			break
		}
		if domain, _ := t.at(low, at+1); domain > 0 {
			found = append(found, hit{at + 1, domain})
		}
	}
	return found, at
}

// match is where the name ends that begins at a place; 0: none does.
func (t *nameTree) match(low string, at int, below []hit) int {
	domain, other := t.at(low, at)
	if !isEdge(low, at) {
		return other
	}
	best := hit{at, domain}
	for _, h := range below {
		d, longest := low[h.start:h.end], low[best.start:max(best.start, best.end)]
		if len(d) > len(longest) || len(d) == len(longest) && d <= longest {
			best = h
		}
	}
	if best.end > 0 {
		return best.end
	}
	return other
}

// at is where the longest domain ends that begins at a place, whatever is before
// it, and the longest other name; 0: none does.
func (t *nameTree) at(low string, at int) (domain, other int) {
	node := 0
	for end := at; end < len(low); {
		node = t.next[branching{node, low[end]}]
		if node == 0 {
			break
		}
		end++
		switch kind := t.ends[node]; {
		case kind == inDomain && isEdge(low, end):
			domain = end
		case kind == anywhere, kind == wholeWord && isEdge(low, at) && isEdge(low, end):
			other = end
		}
	}
	return domain, other
}

// isEdge reports whether a word begins or ends at a place, as \b of regular
// expressions does.
func isEdge(s string, at int) bool {
	return (at > 0 && isWord(s[at-1])) != (at < len(s) && isWord(s[at]))
}

func isLabel(c byte) bool { return c == '-' || isWord(c) }

// lower is a text with the letters of names in lower case, and as long as before.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
