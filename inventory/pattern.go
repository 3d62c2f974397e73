package inventory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxHosts bounds the hosts of one inventory, and the names of one pattern.
const MaxHosts = 100_000

// A hostPattern is a host block's label: text and brackets, each bracket a
// list of words and ranges that multiplies the names.
//
//	gpu-[01:16]         gpu-01 … gpu-16
//	node[1:9:2]         node1, node3 … node9
//	r[1:4]-[a,b,10:12]  r1-a, r1-b, r1-10 …
type hostPattern struct {
	parts []patternPart
	count int // of the names; at most MaxHosts
}

// A patternPart is some text and the bracket after it, if any.
type patternPart struct {
	text  string
	items []patternItem
	count int
}

// A patternItem is one word of a bracket, or a range of numbers.
type patternItem struct {
	word              string // a range when empty
	first, last, step int
	width             int // digits of the first number as written: the padding
}

func (it patternItem) count() int {
	if it.word != "" {
		return 1
	}
	return (it.last-it.first)/it.step + 1
}

// A patternName is one name that a pattern expands to.
type patternName struct {
	name   string
	labels []string // each bracket's text, as it stands in the name
}

// ExpandNames returns the names that a host pattern stands for, in order;
// a name without brackets stands for itself.
func ExpandNames(pattern string) ([]string, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, p.count)
	for n := range p.names() {
		names = append(names, n.name)
	}
	return names, nil
}

// parsePattern reads a label.
func parsePattern(label string) (hostPattern, error) {
	p := hostPattern{count: 1}
	for rest := label; rest != ""; {
		text, after, bracket := strings.Cut(rest, "[")
		if strings.Contains(text, "]") {
			return p, fmt.Errorf("the pattern %q has a ] without a [; write a range like gpu-[01:16] or a list like rack-[a,b]", label)
		}
		if !bracket {
			p.parts = append(p.parts, patternPart{text: text})
			break
		}
		inner, next, closed := strings.Cut(after, "]")
		if !closed || strings.Contains(inner, "[") {
			return p, fmt.Errorf("the pattern %q has a [ that is not closed; write a range like gpu-[01:16] or a list like rack-[a,b]", label)
		}
		part := patternPart{text: text}
		for word := range strings.SplitSeq(inner, ",") {
			it, err := parseItem(strings.TrimSpace(word))
			if err != nil {
				return p, err
			}
			part.items = append(part.items, it)
			part.count += it.count()
			// Every count is bounded before the next is looked at, so
			// that the products cannot overflow.
			if part.count > MaxHosts {
				return p, errTooMany(label)
			}
		}
		p.count *= part.count
		if p.count > MaxHosts {
			return p, errTooMany(label)
		}
		p.parts = append(p.parts, part)
		rest = next
	}
	return p, nil
}

func errTooMany(label string) error {
	return fmt.Errorf("the pattern %q stands for more than %d hosts, the most that an inventory may hold; split the fleet into several inventories", label, MaxHosts)
}

func parseItem(word string) (patternItem, error) {
	ends := strings.Split(word, ":")
	if len(ends) == 1 {
		if word == "" {
			return patternItem{}, errors.New("a bracket holds an empty word; write a range like [01:16] or a list like [a,b]")
		}
		return patternItem{word: word}, nil
	}
	it := patternItem{step: 1, width: len(ends[0])}
	numbers := []*int{&it.first, &it.last, &it.step}
	if len(ends) > len(numbers) {
		return it, fmt.Errorf("the range [%s] has too many colons; write [first:last] or [first:last:step]", word)
	}
	for i, text := range ends {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || len(text) > 9 {
			return it, fmt.Errorf("the range [%s] does not consist of numbers of at most nine digits; write a range like [01:16], or list words as [a,b,c]", word)
		}
		*numbers[i] = int(n)
	}
	switch {
	case it.step == 0:
		return it, fmt.Errorf("the range [%s] has the step 0; use a step of 1 or more", word)
	case it.first > it.last:
		return it, fmt.Errorf("the range [%s] runs backwards; put the smaller number first", word)
	case len(ends[1]) > 1 && ends[1][0] == '0' && len(ends[1]) != it.width:
		return it, fmt.Errorf("the range [%s] pads its ends with different numbers of zeros; write both ends with the same number of digits", word)
	}
	return it, nil
}

// names yields the names in order, the last bracket turning fastest.
func (p hostPattern) names() func(yield func(patternName) bool) {
	return func(yield func(patternName) bool) {
		brackets := 0
		for _, part := range p.parts {
			if part.items != nil {
				brackets++
			}
		}
		var walk func(i int, name string, labels []string) bool
		walk = func(i int, name string, labels []string) bool {
			if i == len(p.parts) {
				return yield(patternName{name, labels})
			}
			part := p.parts[i]
			name += part.text
			if part.items == nil {
				return walk(i+1, name, labels)
			}
			for _, it := range part.items {
				for k := range it.count() {
					word := it.word
					if word == "" {
						word = padded(it.first+k*it.step, it.width)
					}
					next := append(make([]string, 0, brackets), labels...)
					if !walk(i+1, name+word, append(next, word)) {
						return false
					}
				}
			}
			return true
		}
		walk(0, "", nil)
	}
}

// padded writes n with at least width digits.
func padded(n, width int) string {
	s := strconv.Itoa(n)
	if len(s) < width {
		s = strings.Repeat("0", width-len(s)) + s
	}
	return s
}
