// Package wildcard matches text with * and ?, as ssh_config(5) has them and as
// inventories name findings that are ignored: nothing else is special, neither
// slashes nor brackets, for the subjects of findings are paths and IPv6
// addresses.
package wildcard

import "strings"

// Match reports whether all of text is as pattern says: * is any text, ? one
// byte, and everything else itself. It takes time len(pattern) × len(text) at most.
func Match(pattern, text string) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark, p = p, t, p+1
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Overlap reports whether some text is as both patterns say. It takes time
// len(a) × len(b).
func Overlap(a, b string) bool {
	star := func(s string, i int) bool { return i < len(s) && s[i] == '*' }
	// now[j]: some text is as both a[:i] and b[:j] say.
	now := make([]bool, len(b)+1)
	now[0] = true
	for i := 0; ; i++ {
		next := make([]bool, len(b)+1)
		for j := range now {
			if !now[j] {
				continue
			}
			if j < len(b) && (star(a, i) || star(b, j)) {
				now[j+1] = true // a's star takes what b has next, or b's takes nothing
			}
			if i == len(a) {
				continue
			}
			if star(a, i) || star(b, j) {
				next[j] = true
			}
			if j < len(b) && (a[i] == '?' || b[j] == '?' || a[i] == b[j]) {
				next[j+1] = true
			}
		}
		if i == len(a) {
			return now[len(b)]
		}
		now = next
	}
}
