package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// alike compares two JSON documents whole, but for what names the single run:
// its id, when it began and how long it took.
//
//	alike FILE FILE
func alike(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: alike FILE FILE")
	}
	var docs [2]any
	for i, name := range args {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(name)), &docs[i]))
		docs[i] = timeless(docs[i])
	}
	if diff := cmp.Diff(docs[0], docs[1]); (diff == "") == neg {
		ts.Fatalf("%s and %s (-first +second):\n%s", args[0], args[1], diff)
	}
}

func timeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		v = maps.Clone(v)
		for k, e := range v {
			if slices.Contains([]string{"run_id", "started", "elapsed_seconds"}, k) {
				delete(v, k)
				continue
			}
			v[k] = timeless(e)
		}
		return v
	case []any:
		v = slices.Clone(v)
		for i := range v {
			v[i] = timeless(v[i])
		}
		return v
	}
	return v
}

// editFile replaces a text in a file by another, in which \n is a line's end;
// the text must be there.
//
//	edit FILE TEXT NEW
func editFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE TEXT NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], strings.ReplaceAll(args[2], `\n`, "\n"))), 0o600))
}
