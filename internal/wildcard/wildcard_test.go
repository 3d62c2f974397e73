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
