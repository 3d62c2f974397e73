package tasks

import (
	"fmt"
	"strings"
)

// A System is what kind of machine a host is; the function system of Prelude
// looks at it.
type System struct {
	ID      string `json:"id"`      // "debian", "rocky"; empty: no os-release
	Version string `json:"version"` // "12"; empty on a rolling release
	Name    string `json:"name"`    // "Debian GNU/Linux 12 (bookworm)"
	Kernel  string `json:"kernel"`  // of uname -r
	Arch    string `json:"arch"`    // of uname -m
}

func readSystem(blocks []block) (System, error) {
	var s System
	for _, b := range blocks {
		switch b.kind {
		case "file":
			if strings.HasSuffix(b.rest, "/os-release") {
				values := parseOSRelease(b.file().content)
				s.ID, s.Version, s.Name = values["ID"], values["VERSION_ID"], values["PRETTY_NAME"]
				if s.Name == "" {
					s.Name = strings.TrimSpace(values["NAME"] + " " + s.Version)
				}
			}
		case "kernel":
			s.Kernel = b.rest
		case "arch":
			s.Arch = b.rest
		}
	}
	if s.Kernel == "" || s.Arch == "" {
		return System{}, fmt.Errorf("neither /proc/sys/kernel nor uname says which kernel and architecture this is")
	}
	if s.Name == "" {
		s.Name = "an unnamed Linux" // busybox and other hosts without os-release
	}
	return s, nil
}

// parseOSRelease reads os-release(5): assignments as a shell takes them, with
// no substitution.
func parseOSRelease(text string) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = unquoteShell(value)
	}
	return values
}

// unquoteShell takes the quotes off a shell's word: single, double with
// backslashes, or none. What follows a closing quote is dropped.
func unquoteShell(word string) string {
	if strings.HasPrefix(word, "'") {
		word, _, _ = strings.Cut(word[1:], "'")
		return word
	}
	double := strings.HasPrefix(word, `"`)
	if double {
		word = word[1:]
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '"' && double:
			return b.String()
		case c == '\\' && i+1 < len(word):
			i++
			b.WriteByte(word[i])
		case (c == ' ' || c == '\t') && !double:
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// A Services says what a host installs packages and starts services with; the
// function manager of Prelude looks at it.
type Services struct {
	Manager string `json:"manager"` // apt, dnf, yum or zypper; empty: none known
	Systemd bool   `json:"systemd"` // is process 1
}

func readServices(blocks []block) Services {
	var s Services
	for _, b := range blocks {
		switch b.kind {
		case "manager":
			s.Manager = b.rest
		case "init":
			s.Systemd = b.rest == "systemd"
		}
	}
	return s
}
