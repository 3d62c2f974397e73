package remote

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Quote makes a value one word of a POSIX shell. It refuses what no line of a
// shell can hold plainly: NUL, other control characters, bytes that are not
// UTF-8.
func Quote(value string) (string, error) {
	word, err := syntax.Quote(value, syntax.LangPOSIX)
	if err != nil {
		return "", fmt.Errorf("quote %q for a shell: %w", value, err)
	}
	return word, nil
}

// quoteScript makes a whole script one word: unlike a value it has lines.
func quoteScript(script string) string {
	return "'" + strings.ReplaceAll(script, "'", `'\''`) + "'"
}
