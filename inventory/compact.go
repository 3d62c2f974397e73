package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Compact renders names as host patterns, in the order of their numbers and
// separated by ", ": cpu-1, gpu-[01:14]. Expanding the patterns gives the
// names back.
func Compact(names []string) string {
	type family struct {
		texts []string   // around the numbers
		rows  [][]string // the numbers of each name
	}
	families := map[string]*family{}
	var order []*family
	for _, n := range naturally(names) {
		texts, numbers := splitNumbers(n)
		key := strings.Join(texts, "\x00")
		f := families[key]
		if f == nil {
			f = &family{texts: texts}
			families[key] = f
			order = append(order, f)
		}
		f.rows = append(f.rows, numbers)
	}
	var patterns []string
	for _, f := range order {
		rows := f.rows
		for column := len(f.texts) - 2; column >= 0; column-- {
			rows = foldColumn(rows, column)
		}
		for _, row := range rows {
			var b strings.Builder
			for i, text := range f.texts {
				b.WriteString(text)
				if i < len(row) {
					b.WriteString(row[i])
				}
			}
			patterns = append(patterns, b.String())
		}
	}
	return strings.Join(patterns, ", ")
}

// naturally sorts names as people count, and drops what repeats.
func naturally(names []string) []string {
	type key struct {
		name           string
		texts, numbers []string
	}
	keys := make([]key, len(names))
	for i, n := range names {
		texts, numbers := splitNumbers(n)
		keys[i] = key{n, texts, numbers}
	}
	slices.SortFunc(keys, func(a, b key) int {
		for i := range min(len(a.texts), len(b.texts)) {
			if c := cmp.Compare(a.texts[i], b.texts[i]); c != 0 {
				return c
			}
			if i < min(len(a.numbers), len(b.numbers)) {
				if c := compareNumbers(a.numbers[i], b.numbers[i]); c != 0 {
					return c
				}
			}
		}
		return cmp.Compare(a.name, b.name)
	})
	sorted := make([]string, len(keys))
	for i, k := range keys {
		sorted[i] = k.name
	}
	return slices.Compact(sorted)
}

func compareNumbers(a, b string) int {
	m, _ := strconv.Atoi(a)
	n, _ := strconv.Atoi(b)
	return cmp.Or(cmp.Compare(m, n), cmp.Compare(len(a), len(b)))
}

// splitNumbers takes a name apart: there is one text more than numbers. What
// has more than nine digits is text, as no range reaches there.
func splitNumbers(name string) (texts, numbers []string) {
	text := 0
	for i := 0; i < len(name); {
		end := i
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		if n := end - i; n > 0 && n <= 9 {
			texts, numbers = append(texts, name[text:i]), append(numbers, name[i:end])
			text = end
		}
		i = max(end, i+1)
	}
	return append(texts, name[text:]), numbers
}

// foldColumn joins the rows that differ in one column alone.
func foldColumn(rows [][]string, column int) [][]string {
	var folded [][]string
	values := map[string][]string{}
	var keys []string
	for _, row := range rows {
		rest := slices.Clone(row)
		rest[column] = ""
		key := strings.Join(rest, "\x00")
		if values[key] == nil {
			keys = append(keys, key)
			folded = append(folded, rest)
		}
		values[key] = append(values[key], row[column])
	}
	for i, key := range keys {
		folded[i][column] = bracket(values[key])
	}
	return folded
}

// bracket renders numbers as the ranges that they form.
func bracket(numbers []string) string {
	if len(numbers) == 1 {
		return numbers[0]
	}
	type run struct{ first, last string }
	var runs []*run
	// The number that continues a run. Numbers padded to different widths
	// form different runs, which may lie side by side.
	next := map[string]*run{}
	for _, n := range numbers {
		r := next[n]
		if r == nil {
			r = &run{first: n}
			runs = append(runs, r)
		}
		delete(next, n)
		r.last = n
		value, _ := strconv.Atoi(n)
		next[padded(value+1, len(r.first))] = r
	}
	var items []string
	for _, r := range runs {
		if r.first == r.last {
			items = append(items, r.first)
		} else {
			items = append(items, r.first+":"+r.last)
		}
	}
	return "[" + strings.Join(items, ",") + "]"
}
