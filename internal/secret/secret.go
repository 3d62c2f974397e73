// Package secret holds the one type for values that must not be shown.
//
// It is the leaf of the import graph: inventory decodes secrets, remote uses
// them, and neither may import the other.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Shown is what stands in the place of a secret wherever one would be printed.
const Shown = "(sensitive)"

// A Text is a string that no print verb, JSON encoder or logger shows.
// The zero value is "no secret".
type Text struct {
	// A pointer, because fmt reaches an unexported field of a struct by
	// reflection and past every method, but does not follow pointers there.
	text *string
}

// New wraps text.
func New(text string) Text {
	if text == "" {
		return Text{}
	}
	return Text{&text}
}

// Reveal returns the wrapped string. Its callers are the places to audit.
func (t Text) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t.text == nil }

// Equal reports whether both hold the same string.
func (t Text) Equal(u Text) bool { return t.Reveal() == u.Reveal() }

func (t Text) shown() string {
	if t.IsZero() {
		return ""
	}
	return Shown
}

// Format implements fmt.Formatter, so that %v, %+v, %#v, %q, %x and the rest
// show the placeholder also where a Text is a field of something printed.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.shown()) }

// String implements fmt.Stringer.
func (t Text) String() string { return t.shown() }

// MarshalText implements encoding.TextMarshaler, and so serves encoding/json.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.shown()), nil }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.shown()) }
