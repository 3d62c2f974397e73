package inventory

import (
	"os"
	"strings"
	"testing"
)

// TestReferenceIsComplete: docs/inventory.md names every block, attribute and
// function, and no function that there is not.
func TestReferenceIsComplete(t *testing.T) {
	src, err := os.ReadFile("../docs/inventory.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	has := func(what, name string) {
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+" ") && !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the reference does not name the %s %s", what, name)
		}
	}
	for _, k := range settingsKinds {
		section := text[max(strings.Index(text, "### "+k.name), 0):]
		if !strings.HasPrefix(section, "### "+k.name) {
			t.Errorf("the reference has no section %s", k.name)
		}
		section, _, _ = strings.Cut(section[4:], "\n#")
		for _, a := range k.attributes {
			if a != "enabled" && !strings.Contains(section, "`"+a+"`") {
				t.Errorf("the section %s does not name %s", k.name, a)
			}
		}
	}
	for _, a := range levelAttributes {
		has("attribute", a)
	}
	for _, k := range profileKinds {
		has("block", k.name)
		for _, a := range k.attributes {
			if a != "enabled" {
				has("attribute", a)
			}
		}
	}
	functions := newLoader(".", Options{}).root.Functions
	for n := range functions {
		has("function", n)
	}
	_, list, _ := strings.Cut(text, "\n## Functions\n")
	for i, word := range strings.Split(list, "`") {
		if _, ok := functions[word]; i%2 == 1 && !ok && word != "~/" {
			t.Errorf("the reference names %s, which is no function", word)
		}
	}
}
