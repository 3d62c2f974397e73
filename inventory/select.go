package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Select returns the hosts that the patterns choose, in their order: all that
// match one pattern, less all that match one after a "!". With nothing but
// exclusions, or no pattern at all, it starts from every host.
//
// A pattern is the name of a host, a group or a role; it may hold the globs *,
// ? and [0-9], or the brackets of host patterns (gpu-[01:04]). Several may
// stand in one, separated by commas. A pattern that matches nothing is an error
// that names what is near, and so are patterns that leave no host.
func Select(hosts []Host, patterns []string) ([]Host, error) {
	var take, drop []string
	known := selectable(hosts)
	for _, p := range patterns {
		for _, one := range splitPatterns(p) {
			rest, excluded := strings.CutPrefix(one, "!")
			names, err := ExpandNames(rest)
			// gpu-[01] is a host; where there is none, [0-9] is a class.
			if err == nil && isClass(rest) && !matchesAny(known, names[0]) {
				names = []string{rest}
				_, err = path.Match(rest, "")
			}
			switch {
			case err != nil:
				return nil, fmt.Errorf("limit to %q: %w", one, err)
			case rest == "":
				return nil, fmt.Errorf("limit to %q: the pattern is empty; name a host, a group or a role", p)
			}
			for _, n := range names {
				if !matchesAny(known, n) {
					return nil, fmt.Errorf("limit to %q: no host, group or role matches.%s", n, didYouMean(n, known))
				}
			}
			if excluded {
				drop = append(drop, names...)
			} else {
				take = append(take, names...)
			}
		}
	}
	picks := matcher(take)
	drops := matcher(drop)
	var chosen []Host
	for _, h := range hosts {
		if (len(take) == 0 || picks(h)) && !drops(h) {
			chosen = append(chosen, h)
		}
	}
	if len(chosen) == 0 && len(hosts) > 0 {
		return nil, fmt.Errorf("limit to %s: every host is excluded", strings.Join(patterns, ", "))
	}
	return chosen, nil
}

// isClass tells the bracket of a glob, [0-9], from those of a host pattern,
// [01:16] and [a,b].
func isClass(pattern string) bool {
	return strings.Contains(pattern, "[") && !strings.ContainsAny(pattern, ":,")
}

// globs are what makes a name a glob.
const globs = "*?["

// splitPatterns splits at the commas outside brackets.
func splitPatterns(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}

// matcher tests hosts against many patterns at once: those without globs, of
// which a bracket may have made thousands, are looked up.
func matcher(patterns []string) func(Host) bool {
	exact := map[string]bool{}
	var wild []string
	for _, p := range patterns {
		if strings.ContainsAny(p, globs) {
			wild = append(wild, p)
		} else {
			exact[p] = true
		}
	}
	matches := func(name string) bool {
		return name != "" && (exact[name] || slices.ContainsFunc(wild, func(g string) bool { return glob(g, name) }))
	}
	return func(h Host) bool {
		return matches(h.Name) || matches(h.Role) || slices.ContainsFunc(h.Groups, matches)
	}
}

func glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// matchesAny reports whether a pattern matches one of the sorted names.
func matchesAny(sorted []string, pattern string) bool {
	if strings.ContainsAny(pattern, globs) {
		return slices.ContainsFunc(sorted, func(n string) bool { return glob(pattern, n) })
	}
	_, found := slices.BinarySearch(sorted, pattern)
	return found
}

// selectable lists what a pattern may name, sorted.
func selectable(hosts []Host) []string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
		if h.Role != "" {
			names = append(names, h.Role)
		}
		names = append(names, h.Groups...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
