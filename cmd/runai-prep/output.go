package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
		format, path := a.outputFile(f)
		if path == "" || formats[format] == nil {
			return fmt.Errorf("--output-file %s: it is FILE, in the format of -o, or FORMAT=FILE, and the formats are %s", f, formatNames)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return fmt.Errorf("--output-file %s: there is no folder %s", f, filepath.Dir(path))
		}
	}
	return nil
}

// outputFile takes an --output-file apart: FORMAT=FILE, or a FILE in the format of
// -o. After a slash a = is one of the file's name.
func (a *app) outputFile(f string) (format, path string) {
	if format, path, ok := strings.Cut(f, "="); ok && !strings.Contains(format, "/") {
		return format, path
	}
	return a.common.output, f
}

// deliver ends a command: the result on stdout and in every --output-file, and
// what follows from it. The exit code is the largest that applies.
func (a *app) deliver(r report.Result, then ...func() error) error {
	code := r.ExitCode
	if !a.write(r, then...) {
		code = max(code, report.ExitUsage)
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// write is whether all of that went well; no part keeps another from being done.
func (a *app) write(r report.Result, then ...func() error) bool {
	faults := []error{a.print(r)}
	for _, f := range a.common.outputFiles {
		format, path := a.outputFile(f)
		var content bytes.Buffer
		err := formats[format](&content, r)
		if err == nil {
			err = replaceFile(path, content.Bytes(), 0o644)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("write %s: %w", path, err))
		}
	}
	for _, f := range then {
		faults = append(faults, f())
	}
	well := true
	for _, err := range faults {
		if err != nil {
			fmt.Fprintf(a.stderr, "runai-prep: %v\n", err)
			well = false
		}
	}
	return well
}

// print writes the result to stdout in the form of --output.
func (a *app) print(r report.Result) error {
	if a.common.output == "text" {
		if r.Gate != "" && !a.common.verbose {
			_, err := io.WriteString(a.stdout, gateText(r))
			return err
		}
		return a.text(a.stdout, r)
	}
	return formats[a.common.output](a.stdout, r)
}

// replaceFile writes a file whole or not at all. A link is followed, and what is
// no file (a pipe, /dev/null) is written to, not replaced.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, content, mode)
	}
	if err := renameio.WriteFile(path, content, mode); err != nil {
		return err
	}
	if info != nil {
		return keepOwner(path, info)
	}
	return nil
}

// keepOwner gives a file that root has replaced back to its owner.
func keepOwner(path string, was os.FileInfo) error {
	old, ok := was.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(old.Uid), int(old.Gid))
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
