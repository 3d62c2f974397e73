package inventory

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// The marks of values. They travel with every value made from a marked one.
type mark string

const (
	// sensitive values go into secret attributes only.
	sensitive mark = "sensitive"
	// private values come from the environment: any attribute takes them,
	// but no message shows them.
	private mark = "private"
)

// An input is an attribute on its way into a setting. Its methods convert it
// and report what does not fit; they return the zero value then.
type input struct {
	attr
	*faults
}

// unseen reports a value from the environment that does not fit.
func (in input) unseen(rng hcl.Range) {
	in.errorf(rng, "Invalid "+in.name, "The value does not fit here. It comes from the environment and may be secret, so it is not shown; look at the variable that is read.")
}

// open takes the marks off a value that will be shown in plans and results.
func (in input) open(v cty.Value, rng hcl.Range) (plain cty.Value, hidden, ok bool) {
	plain, marks := v.UnmarkDeep()
	if _, is := marks[sensitive]; is {
		in.errorf(rng, "Sensitive value in "+in.name, "The value is sensitive, but %s is shown in plans and results. Use it in a password, or say that it may be seen: nonsensitive(…).", in.name)
		return cty.NilVal, true, false
	}
	return plain, len(marks) > 0, true
}

// as converts the value to a primitive type.
func (in input) as(ty cty.Type) (v cty.Value, hidden, ok bool) {
	rng := in.expr.Range()
	v, hidden, ok = in.open(in.value, rng)
	if !ok {
		return v, hidden, false
	}
	got, err := convert.Convert(v, ty)
	if err != nil {
		in.errorf(rng, "Invalid "+in.name, "%s needed here, not %s.", map[cty.Type]string{
			cty.String: "A string is", cty.Number: "A number is", cty.Bool: "The word true or false is",
		}[ty], article(v.Type()))
		return v, hidden, false
	}
	return got, hidden, true
}

// version is text that passes check, and is written as text.
func (in input) version(check func(string) error) string {
	if in.value.Type() == cty.Number {
		in.errorf(in.expr.Range(), "Invalid "+in.name, "The number needs quotes: a version 4.10 without them is read as 4.1.")
		return ""
	}
	return in.text(check)
}

func article(ty cty.Type) string {
	name := ty.FriendlyName()
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// text is a string that passes check.
func (in input) text(check func(string) error) string {
	v, hidden, ok := in.as(cty.String)
	if !ok {
		return ""
	}
	return in.checked(v.AsString(), in.expr.Range(), hidden, check)
}

func (in input) checked(s string, rng hcl.Range, hidden bool, check func(string) error) string {
	if check == nil {
		check = plainText
	}
	switch err := check(s); {
	case err == nil:
		return s
	case hidden:
		in.unseen(rng)
	default:
		in.refuse(rng, "Invalid "+in.name, s, err)
	}
	return ""
}

// texts is a list of strings, or a single one, each of which passes check.
// What repeats is a fault. The list is never nil.
func (in input) texts(check func(string) error) []string {
	list := []string{}
	in.elements(func(v cty.Value, rng hcl.Range) {
		v, hidden, ok := in.open(v, rng)
		if !ok {
			return
		}
		s, err := convert.Convert(v, cty.String)
		if err != nil || s.IsNull() {
			in.errorf(rng, "Invalid "+in.name, "A list of strings is needed here.")
			return
		}
		text := in.checked(s.AsString(), rng, hidden, check)
		if text == "" {
			return
		}
		if slices.Contains(list, text) {
			in.errorf(rng, "Duplicate in "+in.name, "This stands in the list a second time. Remove it.")
			return
		}
		list = append(list, text)
	})
	return list
}

// elements calls each with the elements of a list, or with a single value, and
// with the place of each element where the list is written out.
func (in input) elements(each func(cty.Value, hcl.Range)) {
	rng := in.expr.Range()
	v, marks := in.value.Unmark()
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		if ty == cty.String {
			each(in.value, rng)
			return
		}
		in.errorf(rng, "Invalid "+in.name, "A list of strings is needed here, not %s.", article(ty))
		return
	}
	written, diags := hcl.ExprList(in.expr)
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, e := it.Element()
		at := rng
		if !diags.HasErrors() && i < len(written) {
			at = written[i].Range()
		}
		each(e.WithMarks(marks), at)
	}
}

// choice is one of the words.
func (in input) choice(words ...string) string { return in.text(oneOf(words...)) }

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("%q is not among the possible values %s", s, enumerate(words))
	}
}

// number is a whole number within bounds.
func (in input) number(least, most int) int {
	v, hidden, ok := in.as(cty.Number)
	if !ok {
		return 0
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < int64(least) || n > int64(most) {
		if hidden {
			in.unseen(in.expr.Range())
		} else {
			in.errorf(in.expr.Range(), "Invalid "+in.name, "%s is out of range; use a whole number from %d to %d.", v.AsBigFloat().Text('g', 10), least, most)
		}
		return 0
	}
	return int(n)
}

// port is a TCP port.
func (in input) port() int { return in.number(1, 65535) }

// boolean is true or false.
func (in input) boolean() bool {
	v, _, ok := in.as(cty.Bool)
	return ok && v.True()
}

// duration is a Go duration within bounds.
func (in input) duration(least, most time.Duration) time.Duration {
	var d time.Duration
	in.text(func(s string) (err error) {
		d, err = parseDuration(s, least, most)
		return err
	})
	return d
}

func parseDuration(s string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number and a unit, such as \"10s\", \"500ms\" or \"1m30s\"", s)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("the duration %s is out of range; use one from %s to %s", d, least, most)
	}
	return d, nil
}

// size is a number of bytes.
func (in input) size() Bytes {
	var b Bytes
	in.text(func(s string) (err error) {
		b, err = ParseBytes(s)
		return err
	})
	return b
}

// password is a secret: any mark is welcome, and nothing about it is shown.
func (in input) password() secret.Text {
	v, _ := in.value.UnmarkDeep()
	got, err := convert.Convert(v, cty.String)
	if err != nil {
		in.errorf(in.expr.Range(), "Invalid "+in.name, "A string is needed here, not %s.", article(v.Type()))
		return secret.Text{}
	}
	s := got.AsString()
	if s == "" {
		in.errorf(in.expr.Range(), "Empty "+in.name, "The %s is empty. Set it, or leave the attribute out.", in.name)
	}
	if strings.ContainsAny(s, "\x00\r\n") {
		in.errorf(in.expr.Range(), "Invalid "+in.name, "The %s holds a line break. Read it without its final newline: trimspace(…).", in.name)
		return secret.Text{}
	}
	return secret.New(s)
}

// wish is a value and its place; it is unset when the value does not fit.
func wish[T comparable](v T, in input) Wish[T] {
	var zero T
	if v == zero {
		return Wish[T]{}
	}
	return Wish[T]{v, in.why}
}

// units are those of sizes. Decimal ones are what disks are sold in, binary
// ones what memory is.
var units = []struct {
	name  string
	bytes int64
}{
	{"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15},
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50},
}

// ParseBytes reads a size such as "4GiB" (4 × 1024³ bytes), "4GB" (4 × 1000³)
// or "1.5 TiB". A unit without B ("4G") is refused: df and Kubernetes do not
// agree on what it means.
func ParseBytes(s string) (Bytes, error) {
	digits := strings.TrimRight(s, "BKMGTPEkmgtpeib ")
	unit := strings.TrimSpace(s[len(digits):])
	number, ok := new(big.Rat).SetString(digits)
	if !ok || strings.ContainsAny(digits, "eEpPxX/_") || len(digits) > 20 {
		return 0, fmt.Errorf("%q is not a size; write a number and a unit, such as \"4GiB\" or \"20GB\"", s)
	}
	for _, u := range units {
		if u.name != unit {
			continue
		}
		n := number.Mul(number, new(big.Rat).SetInt64(u.bytes))
		whole := new(big.Int).Quo(n.Num(), n.Denom())
		if n.Sign() <= 0 || !whole.IsInt64() {
			return 0, fmt.Errorf("the size %q is out of range; use one above zero and below 8192PiB", s)
		}
		return Bytes(whole.Int64()), nil
	}
	if unit == "" {
		return 0, fmt.Errorf("the size %q has no unit; write \"%sGiB\" for units of 1024, or \"%sGB\" for units of 1000", s, digits, digits)
	}
	return 0, fmt.Errorf("the size %q has the unit %q, which means different sizes to different programs; write KiB, MiB, GiB, TiB for units of 1024, or kB, MB, GB, TB for units of 1000", s, unit)
}

// String renders b in the largest unit of which it is a whole number, so that
// what was written as 20GB is shown as 20GB, and 4GiB as 4GiB; else with one
// decimal.
func (b Bytes) String() string {
	best := units[0]
	for _, u := range units {
		if u.name != "KB" && u.bytes > best.bytes && b != 0 && int64(b)%u.bytes == 0 {
			best = u
		}
	}
	if n := int64(b) / best.bytes; n < 10_000 {
		return strconv.FormatInt(n, 10) + best.name
	}
	for _, u := range slices.Backward(units) {
		if strings.HasSuffix(u.name, "iB") && int64(b) >= u.bytes {
			best = u
			break
		}
	}
	return strconv.FormatFloat(float64(b)/float64(best.bytes), 'f', 1, 64) + best.name
}
