package tasks

import (
	"fmt"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
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

	rootless bool // looked at by somebody who is not root, and may not become it
}

func readServices(blocks []block) Services {
	var s Services
	for _, b := range blocks {
		switch b.kind {
		case "manager":
			s.Manager = b.rest
		case "init":
			s.Systemd = b.rest == "systemd"
		case "uid":
			s.rootless = b.rest != "0"
		}
	}
	return s
}

// probeUser prints who looks, where that may be somebody else than root: with
// sudo switched off. It starts no process; where there is no /proc, it is the
// steps themselves that tell.
func probeUser(h inventory.Host) string {
	if h.Sudo.Enabled {
		return ""
	}
	return `if [ -r /proc/self/status ]; then
	while read -r user_key user_real user_effective user_rest; do
		if [ "$user_key" = Uid: ]; then echo "@uid $user_effective"; fi
	done </proc/self/status
fi
`
}

// asRoot is what a plan comes to on a host on which nobody may become root: no
// step can be made there, so what is pending is for a person to do.
func (s Services) asRoot(found []Finding) []Finding {
	if !s.rootless {
		return found
	}
	for i := range found {
		if f := &found[i]; f.State == Pending {
			f.State, f.Steps = Unmet, nil
			f.Hint = "only root can change it: let sudo be enabled for this host, or log in as root"
		}
	}
	return found
}
