package inventory

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Our readers answer as the programs did.
func TestDirect(t *testing.T) {
	recorded, err := os.ReadFile("testdata/noproxy/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(recorded)) {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		port, err := strconv.Atoi(f[2])
		if err != nil || len(f) != 5 {
			t.Fatalf("%q: %v", line, err)
		}
		for i, r := range []Reader{ReaderCurl, ReaderPython} {
			if got, want := Direct(r, strings.Split(f[0], ","), f[1], port), f[3+i] == "yes"; got != want {
				t.Errorf("%s goes straight to %s:%d with NO_PROXY=%s: %v, and %v says the program", r, f[1], port, f[0], got, want)
			}
		}
	}
	// The package that net/http is made from is the program itself; these are
	// the points at which it is alone.
	for _, c := range []struct {
		noProxy, host string
		want          bool
	}{
		{".corp.example", "corp.example", false}, {"corp.example", "a.corp.example", true}, {"*.corp.example", "a.corp.example", true},
		{"registry.corp.example:5000", "registry.corp.example", true}, {"10.0.0.0/8", "10.2.3.4", true}, {"x", "localhost", true},
	} {
		if got := Direct(ReaderGo, []string{c.noProxy}, c.host, 5000); got != c.want {
			t.Errorf("Go goes straight to %s with NO_PROXY=%s: %v", c.host, c.noProxy, got)
		}
	}
}
