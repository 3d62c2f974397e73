package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// JSON writes the document of the contract.
func JSON(w io.Writer, r Result) error {
	r.Hosts = slices.Clone(r.Hosts)
	for i := range r.Hosts {
		r.Hosts[i].Findings = slices.Clone(r.Hosts[i].Findings)
	}
	r.complete()
	return Encode(w, r)
}

// FactsJSON writes the document of the command facts.
func FactsJSON(w io.Writer, doc Facts) error {
	doc.Schema = FactsSchema
	doc.Hosts = slices.Clone(doc.Hosts)
	if doc.Hosts == nil {
		doc.Hosts = []HostFacts{}
	}
	for i := range doc.Hosts {
		if h := &doc.Hosts[i]; h.Facts == nil {
			h.Facts = map[string]any{}
		}
		if h := &doc.Hosts[i]; h.Errors == nil {
			h.Errors = map[string]string{}
		}
	}
	return Encode(w, doc)
}

// Encode writes v indented. What a terminal would obey is written as JSON's own
// escapes, also where JSON itself does not ask for it (C1, bidi), so that a
// document may be looked at and nothing in it is another.
func Encode(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // "&&" in a step is for people; the page escapes for itself
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() { // such runes stand in strings alone
		switch {
		case r == '\n' || strconv.IsPrint(r):
			out.WriteRune(r)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Read reads a document that JSON wrote. What this version does not know in it
// is left out; a document of another schema, or more than one, is an error.
func Read(r io.Reader) (Result, error) {
	var doc Result
	dec := json.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		return Result{}, fmt.Errorf("read result: %w", err)
	}
	if doc.Schema != Schema {
		return Result{}, fmt.Errorf("read result: its schema is %q, and this program reads %q", doc.Schema, Schema)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Result{}, errors.New("read result: there is more after the document")
	}
	for i, h := range doc.Hosts {
		if h.Name == "" {
			return Result{}, fmt.Errorf("read result: host %d has no name", i+1)
		}
		if !slices.Contains(statuses, h.Status) {
			return Result{}, fmt.Errorf("read result: host %q has the unknown status %q", h.Name, h.Status)
		}
		for _, f := range h.Findings {
			if !slices.Contains(states, f.State) {
				return Result{}, fmt.Errorf("read result: host %q, %s %q: unknown state %q", h.Name, f.Task, f.Subject, f.State)
			}
		}
	}
	for _, f := range doc.Fleet {
		if !slices.Contains(states, f.State) {
			return Result{}, fmt.Errorf("read result: the fleet, %s %q: unknown state %q", f.Task, f.Subject, f.State)
		}
	}
	doc.complete()
	return doc, nil
}
