package wildcard

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"gpu-?", "gpu-1", true},
		{"gpu-?", "gpu-10", false},
		{"*.quay.io:443", "cdn01.quay.io:443", true},
		{"*.quay.io:443", "quay.io:443", false},
		{"/mnt/*", "/mnt/a/b", true}, // a slash is nothing special
		{"[::1]:*", "[::1]:443", true},
		{"[::1]:*", ":443", false}, // nor is a bracket
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-b-b-", false},
		{strings.Repeat("*a", 200), strings.Repeat("a", 20000) + "b", false}, // in time
	} {
		if got := Match(c.pattern, c.text); got != c.want {
			t.Errorf("Match(%.20q, %.20q) = %t", c.pattern, c.text, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"", "*", true},
		{"", "?", false},
		{"swap", "swap", true},
		{"swap", "swp", false},
		{"sw*", "swap", true},
		{"sw?", "swap", false},
		{"*:443", "*:*", true},
		{"quay.io", "*:*", false},
		{"*quay.io", "*:*", true}, // a:b.quay.io
		{"mnt/*", "/*", false},
		{"*mnt", "/*", true},
		{"nvidia * for ?.1", "nvidia module for *", true},
		{"a*b", "b*a", false},
		{"a*", "*b", true},
		{"?", "**", true},
		{strings.Repeat("a*", 500) + "b", strings.Repeat("*a", 500) + "c", false}, // in time
	} {
		if Overlap(c.a, c.b) != c.want || Overlap(c.b, c.a) != c.want {
			t.Errorf("Overlap(%.20q, %.20q) = %t, and the other way round %t", c.a, c.b, Overlap(c.a, c.b), Overlap(c.b, c.a))
		}
	}
}
