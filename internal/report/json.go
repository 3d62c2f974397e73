package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// JSON writes the document of the contract.
func JSON(w io.Writer, r Result) error {
	r.Hosts = slices.Clone(r.Hosts)
	for i := range r.Hosts {
		r.Hosts[i].Findings = slices.Clone(r.Hosts[i].Findings)
	}
	r.complete()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // "&&" in a step is for people; the page escapes for itself
	enc.SetIndent("", "  ")
	return enc.Encode(r)
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
	doc.complete()
	return doc, nil
}
