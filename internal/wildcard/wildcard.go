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
