package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandLine finds calls of the program in scripts, units and documents.
var commandLine = regexp.MustCompile(`(?m)(?:^|[\s/])runai-prep ((?:[a-z]+)[^\n|>&;#` + "`" + `]*)`)

// Every call of the program that an example or a document shows is one that
// the program understands: the command exists, and each flag with it.
func TestShownCommandLinesParse(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../examples/*", "../../README.md", "../../docs/*.md", "../../CONTRIBUTING.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	calls := 0
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue // an inventory of several files; they are read by a test of their own
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		joined := strings.ReplaceAll(string(text), "\\\n", " ")
		if strings.HasSuffix(file, ".md") {
			joined = codeOf(joined)
		}
		for _, m := range commandLine.FindAllStringSubmatch(joined, -1) {
			args := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(m[1]))
			if at := slices.Index(args, "--"); at >= 0 {
				args = args[:at]
			}
			a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
			c, rest, err := a.root().Find(args)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil && c.Args != nil {
				err = c.Args(c, c.Flags().Args())
			}
			if err != nil && !strings.Contains(err.Error(), "help requested") {
				t.Errorf("%s: runai-prep %s: %v", filepath.Base(file), m[1], err)
			}
			calls++
		}
	}
	if calls < 8 {
		t.Errorf("only %d command lines found: the pattern no longer finds them", calls)
	}
}

// codeOf is what stands in the code blocks of a Markdown document.
func codeOf(text string) string {
	var code strings.Builder
	for i, block := range strings.Split(text, "```") {
		if i%2 == 1 {
			code.WriteString(block)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			code.WriteString(line)
		}
	}
	return code.String()
}

// systemd itself reads the units.
func TestUnitsVerify(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	units, err := filepath.Glob("../../examples/*.service")
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	timers, err := filepath.Glob("../../examples/*.timer")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no"}
	for _, unit := range append(units, timers...) {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		// verify wants the program to be there.
		replaced := strings.ReplaceAll(string(text), "/usr/bin/runai-prep", "/bin/true")
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, []byte(replaced), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
