package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/term"

	"github.com/runai-prep/runai-prep/internal/report"
)

// formats are the forms a result can be written in.
var formats = map[string]func(io.Writer, report.Result) error{
	"json":   report.JSON,
	"junit":  report.JUnit,
	"html":   report.HTML,
	"nagios": report.Nagios,
	"text": func(w io.Writer, r report.Result) error {
		return report.Text(w, r, report.TextOptions{Width: 100})
	},
}

const formatNames = "text, json, junit, html, nagios"

// checkOutputs refuses what write could not do, before any host is contacted.
func (a *app) checkOutputs() error {
	// facts has two forms of its own and checks them itself.
	if formats[a.common.output] == nil {
		return fmt.Errorf("-o %s: the formats are %s", a.common.output, formatNames)
	}
	for _, f := range a.common.outputFiles {
		format, path, ok := strings.Cut(f, "=")
		if !ok || path == "" || formats[format] == nil {
			return fmt.Errorf("--output-file %s: it is FORMAT=FILE, and the formats are %s", f, formatNames)
		}
	}
	return nil
}

// write puts the result on stdout, and into every --output-file.
func (a *app) write(r report.Result) error {
	for _, f := range a.common.outputFiles {
		format, path, _ := strings.Cut(f, "=")
		var content bytes.Buffer
		if err := formats[format](&content, r); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := renameio.WriteFile(path, content.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if a.common.output == "text" {
		return a.text(a.stdout, r)
	}
	return formats[a.common.output](a.stdout, r)
}

// text writes the result for a person.
func (a *app) text(w io.Writer, r report.Result) error {
	return report.Text(w, r, report.TextOptions{Color: a.colour(w), Width: a.width(w), Verbose: a.common.verbose})
}

// width of the terminal that w is; 100 where it is none.
func (a *app) width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 100
}
