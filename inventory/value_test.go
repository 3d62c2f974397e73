package inventory

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"4GiB": 4 << 30, "4 GiB": 4 << 30, "4GB": 4e9, "1.5TiB": 3 << 39, "20GB": 20e9, "512MiB": 512 << 20, "64kB": 64e3, "64KB": 64e3, "100B": 100,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s: got %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "4", "4G", "4Gi", "4gb", "-4GB", "0GB", "1e3GB", "0x10GB", "4GB GB", "GB", "1/2GB", "9999999PiB", "4.5.6GB", "١GB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%s: taken for %d bytes", text, got)
		}
	}
	for b, want := range map[Bytes]string{0: "0B", 20e9: "20GB", 4 << 30: "4GiB", 3 << 39: "1536GiB", 16_642_998_272: "15.5GiB", 16_642_998_273: "15.5GiB", 1000: "1kB", 100_001: "97.7KiB"} {
		if got := b.String(); got != want {
			t.Errorf("%d: shown as %s, want %s", int64(b), got, want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	f.Add("4GiB")
	f.Add("1.5 TB")
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBytes(s); err == nil && b < 0 {
			t.Errorf("%q: %d", s, b)
		}
	})
}

func TestConstraints(t *testing.T) {
	for c, want := range map[string]bool{
		"": true, ">= 535.104, < 536": true, ">= 536, < 535": false, "= 390.12, >= 384.81": true, "> 5, < 6": true,
		"~> 535.104, >= 550": false, ">= 1.15, < 1.15": false, "!= 5": true, "> 535.104.05, < 535.104.06": true, "= 1, = 2": false, "< 0.0.1": true,
	} {
		if got := satisfiable(c); got != want {
			t.Errorf("%q: satisfiable %v, want %v", c, got, want)
		}
	}
	for _, c := range []struct {
		constraint, version string
		want                bool
	}{{">= 384.81", "535.104.05", true}, {">= 384.81", "384.66", false}, {"", "1", true}, {">= 1.23, < 1.29", "1.28.9", true}} {
		if got, err := Compatible(c.constraint, c.version); err != nil || got != c.want {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
	if _, err := Compatible(">= 1", "none"); err == nil {
		t.Error("a version that is none was compared")
	}
}

// TestWriteDiagnostics: place, snippet and marks; hostile bytes of a source or
// a message do not reach the terminal.
func TestWriteDiagnostics(t *testing.T) {
	src := []byte("host \"a\" {\n\trole = \"x\x1b[2J\u202e\xff\" # \x07\n}\n")
	file := &hcl.File{Bytes: src}
	var out bytes.Buffer
	rng := hcl.Range{Filename: "dir/i.hcl", Start: hcl.Pos{Line: 2, Column: 9, Byte: 19}, End: hcl.Pos{Line: 2, Column: 15, Byte: 30}}
	err := WriteDiagnostics(&out, map[string]*hcl.File{"dir/i.hcl": file}, hcl.Diagnostics{
		{Severity: hcl.DiagError, Summary: "Invalid \x1b[31mrole", Detail: "There is no such role. Add it, or use a known one, such as this.", Subject: &rng},
		{Severity: hcl.DiagWarning, Summary: "No place", Detail: "None."},
	}, 40, false)
	want := `Error: Invalid \u001b[31mrole
  dir/i.hcl:2:9
  2:     role = "x\u001b[2J\u202e\xff" # \u0007
                ^^^^^^^^^^^^^^^^^^^^^^
  There is no such role. Add it, or
  use a known one, such as this.

Warning: No place
  None.

`
	if err != nil || out.String() != want {
		t.Errorf("got\n%s\nwant\n%s%v", out.String(), want, err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
		t.Errorf("a control character at %d", i)
	}
}
