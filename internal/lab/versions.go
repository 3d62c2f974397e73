package lab

import "strings"

// compareVersions orders versions as dpkg does, and rpm nearly so: epoch, then
// text and numbers in turn, where ~ comes before everything.
func compareVersions(a, b string) int {
	ea, a := cutEpoch(a)
	eb, b := cutEpoch(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	ua, ra := cutRevision(a)
	ub, rb := cutRevision(b)
	if c := compareParts(ua, ub); c != 0 {
		return c
	}
	return compareParts(ra, rb)
}

func cutEpoch(v string) (epoch, rest string) {
	if e, r, ok := strings.Cut(v, ":"); ok {
		return e, r
	}
	return "0", v
}

func cutRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func compareParts(a, b string) int {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	weight := func(s string, i int) int {
		switch {
		case i >= len(s) || digit(s[i]):
			return 0
		case s[i] == '~':
			return -1
		case s[i] >= 'A' && s[i] <= 'Z', s[i] >= 'a' && s[i] <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for a != "" || b != "" {
		i := 0
		for i < len(a) && !digit(a[i]) || i < len(b) && !digit(b[i]) {
			if c := weight(a, i) - weight(b, i); c != 0 {
				return c
			}
			i++
		}
		a, b = a[min(i, len(a)):], b[min(i, len(b)):]
		na, nb := leading(a, digit), leading(b, digit)
		if c := compareNumbers(na, nb); c != 0 {
			return c
		}
		a, b = a[len(na):], b[len(nb):]
	}
	return 0
}

func leading(s string, is func(byte) bool) string {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i]
}

// A relation is one alternative of a dependency: "libcuda1 (= 535.261.03-1)".
type relation struct{ name, op, version string }

func parseRelation(s string) relation {
	name, rest, ok := strings.Cut(strings.TrimSpace(s), " (")
	if !ok {
		return relation{name: name}
	}
	op, version, _ := strings.Cut(strings.TrimSuffix(rest, ")"), " ")
	return relation{name, op, version}
}

func (r relation) String() string {
	if r.op == "" {
		return r.name
	}
	return r.name + " (" + r.op + " " + r.version + ")"
}

// by reports whether a version of the package that is named satisfies it.
func (r relation) by(version string) bool {
	c := 0
	if r.op != "" {
		c = compareVersions(version, r.version)
	}
	switch r.op {
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case "<<":
		return c < 0
	}
	return true
}
