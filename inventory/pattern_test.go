package inventory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

func TestExpandNames(t *testing.T) {
	for pattern, want := range map[string]string{
		"gpu":              "gpu",
		"gpu-[08:11]":      "gpu-08 gpu-09 gpu-10 gpu-11",
		"gpu-[8:11]":       "gpu-8 gpu-9 gpu-10 gpu-11",
		"n[01:16:5]":       "n01 n06 n11 n16",
		"n[98:101].rack":   "n98 n99 n100 n101.rack",
		"[a, b]-[1:2,9]":   "a-1 a-2 a-9 b-1 b-2 b-9",
		"x[098:101:1]":     "x098 x099 x100 x101",
		"x[7:7]":           "x7",
		"r[1:2]n[01:02]-c": "r1n01-c r1n02-c r2n01-c r2n02-c",
	} {
		got, err := inventory.ExpandNames(pattern)
		if pattern == "n[98:101].rack" {
			want = "n98.rack n99.rack n100.rack n101.rack"
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %q %v, want %q", pattern, got, err, want)
		}
	}
}

func TestCompact(t *testing.T) {
	for want, names := range map[string]string{
		"gpu-[01:14]":                     "gpu-14 gpu-01 gpu-02 gpu-03 gpu-04 gpu-05 gpu-06 gpu-07 gpu-08 gpu-09 gpu-10 gpu-11 gpu-12 gpu-13",
		"gpu-[01:03,07], proxy":           "proxy gpu-01 gpu-03 gpu-02 gpu-07",
		"n[8:10]":                         "n8 n9 n10",
		"r[1:2]-n[01:02]":                 "r1-n01 r1-n02 r2-n01 r2-n02",
		"r1-n[01:02], r2-n01":             "r1-n01 r1-n02 r2-n01",
		"a1, a-1, b":                      "b a1 a-1",
		"n[1,01]":                         "n1 n01",
		"x1234567890123, x1234567890124":  "x1234567890123 x1234567890124",
		"":                                "",
		"gpu-1.rack-[1:2], gpu-2.rack-10": "gpu-1.rack-2 gpu-1.rack-1 gpu-2.rack-10",
	} {
		if got := inventory.Compact(strings.Fields(names)); got != want {
			t.Errorf("%s: got %q, want %q", names, got, want)
		}
	}
}

// TestCompactUndoesExpand: for names that look like those of machines, the
// patterns of Compact expand to the names that it was given.
func TestCompactUndoesExpand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var names []string
		for range r.IntN(40) {
			n := []string{"gpu-", "n", "rack.", "", "a-b-"}[r.IntN(5)]
			switch r.IntN(4) {
			case 0:
				n += fmt.Sprintf("%d", r.IntN(13))
			case 1:
				n += fmt.Sprintf("%02d", r.IntN(13))
			case 2:
				n += fmt.Sprintf("%d-%03d", r.IntN(3), r.IntN(4))
			case 3:
				n += fmt.Sprintf("r%dx%02d.c", r.IntN(3), 8+r.IntN(4))
			}
			names = append(names, n)
		}
		checkCompact(t, names)
	}
}

func checkCompact(t *testing.T, names []string) {
	t.Helper()
	text := inventory.Compact(names)
	var got []string
	for _, p := range splitOutsideBrackets(text) {
		expanded, err := inventory.ExpandNames(p)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got = append(got, expanded...)
	}
	want := slices.Clone(names)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" && len(want)+len(got) > 0 {
		t.Fatalf("%q is not what it was made from (-want +got):\n%s", text, diff)
	}
}

func splitOutsideBrackets(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

func FuzzCompact(f *testing.F) {
	f.Add("gpu-01 gpu-02 gpu-03")
	f.Add("a1b2c3 a1b2c4 000 00 0 999999999 1000000000")
	f.Fuzz(func(t *testing.T, s string) {
		names := strings.FieldsFunc(s, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
		})
		checkCompact(t, names)
	})
}

func FuzzExpandNames(f *testing.F) {
	for _, p := range []string{"gpu-[01:16]", "[a,b][1:9:2]", "[[", "a]", "[1:99999]x[1:99999]", "[:]", "[1:2:0]"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		names, err := inventory.ExpandNames(p)
		if err == nil && (len(names) > inventory.MaxHosts || len(names) == 0 && p != "") {
			t.Errorf("%q: %d names", p, len(names))
		}
	})
}

func TestSelect(t *testing.T) {
	hosts := []inventory.Host{
		{Name: "gpu-01", Role: "gpu", Groups: []string{"rack-a"}},
		{Name: "gpu-02", Role: "gpu", Groups: []string{"rack-b"}},
		{Name: "gpu-03", Role: "gpu", Groups: []string{"rack-b", "new"}},
		{Name: "cpu-01", Role: "cpu", Groups: []string{"rack-a"}},
		{Name: "proxy"},
	}
	for patterns, want := range map[string]string{
		"":                 "gpu-01 gpu-02 gpu-03 cpu-01 proxy",
		"gpu-02":           "gpu-02",
		"gpu":              "gpu-01 gpu-02 gpu-03",
		"rack-a":           "gpu-01 cpu-01",
		"*-01":             "gpu-01 cpu-01",
		"rack-?":           "gpu-01 gpu-02 gpu-03 cpu-01",
		"gpu-[02:03]":      "gpu-02 gpu-03",
		"gpu-[01,03]":      "gpu-01 gpu-03",
		"cpu-01,gpu-02":    "gpu-02 cpu-01",
		"gpu !new":         "gpu-01 gpu-02",
		"!gpu":             "cpu-01 proxy",
		"!gpu-[01:02] !*y": "gpu-03 cpu-01",
		"gpu-0[12]":        "gpu-01 gpu-02",
		"gpu-[01]":         "gpu-01",
		"???-0[2-9]":       "gpu-02 gpu-03",
	} {
		got, err := inventory.Select(hosts, strings.Fields(patterns))
		var names []string
		for _, h := range got {
			names = append(names, h.Name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q: got %q %v, want %q", patterns, names, err, want)
		}
	}
	for pattern, hint := range map[string]string{
		"gpu-04": `Did you mean "gpu-01"`, "rakc-a": `Did you mean "rack-a"`, "!gpuu": `Did you mean`, "gpu-[1": "not closed",
		"gpu,!gpu": "every host is excluded", "": "empty", "x*": "no host, group or role matches", "gpu-[03:04]": `"gpu-04"`,
	} {
		if _, err := inventory.Select(hosts, []string{pattern}); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: got %v, want a hint: %s", pattern, err, hint)
		}
	}
}
