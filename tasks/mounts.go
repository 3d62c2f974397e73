package tasks

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// A mountInfo is one line of /proc/self/mountinfo.
type mountInfo struct {
	ID      int    `json:"id"`
	Parent  int    `json:"parent"`
	Path    string `json:"path"`
	Type    string `json:"type"`
	Source  string `json:"source"`
	Options string `json:"options"` // of the mount, then of the filesystem

	device string   // "0:43": the filesystem, wherever it is mounted
	groups []string // "shared:1", "master:1": with which mounts it shares what is mounted on it
}

func (m mountInfo) nfs() bool { return m.Type == "nfs" || m.Type == "nfs4" }

// parseMountInfo reads one line; see proc_pid_mountinfo(5).
func parseMountInfo(line string) (mountInfo, error) {
	fail := func() (mountInfo, error) {
		return mountInfo{}, fmt.Errorf("%q is not a line of mountinfo", clip(line, 100))
	}
	head, tail, ok := strings.Cut(line, " - ")
	fields, rest := strings.Split(head, " "), strings.Split(tail, " ")
	if !ok || len(fields) < 6 || len(rest) < 3 {
		return fail()
	}
	id, err1 := strconv.Atoi(fields[0])
	parent, err2 := strconv.Atoi(fields[1])
	m := mountInfo{
		ID: id, Parent: parent,
		Path:    unescapeMount(fields[4]),
		Type:    rest[0],
		Source:  unescapeMount(rest[1]),
		Options: fields[5] + "," + strings.Join(rest[2:], " "),
		device:  fields[2],
		groups:  fields[6:],
	}
	if err1 != nil || err2 != nil || !strings.HasPrefix(m.Path, "/") {
		return fail()
	}
	return m, nil
}

// option finds one among m's options.
func (m mountInfo) option(name string) (value string, ok bool) {
	for o := range strings.SplitSeq(m.Options, ",") {
		if k, v, _ := strings.Cut(o, "="); k == name {
			return v, true
		}
	}
	return "", false
}

// escapeMount writes a field as fstab(5) and mountinfo have it.
func escapeMount(field string) string { return mountEscaper.Replace(field) }

var mountEscaper = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)

// unescapeMount reads octal escapes, whichever there are.
func unescapeMount(field string) string {
	if !strings.Contains(field, `\`) {
		return field
	}
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if n, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(field[i])
	}
	return b.String()
}

// mountPatterns are the words by which grep finds the lines of mountinfo that
// matter to a path: of what is mounted on it, above it and below it.
func mountPatterns(p string) []string {
	patterns := []string{" " + escapeMount(p) + "/"}
	for ; p != "/" && p != "."; p = path.Dir(p) {
		patterns = append(patterns, " "+escapeMount(p)+" ")
	}
	for i, s := range patterns {
		// Whether "#" is escaped depends on the kernel.
		patterns[i], _, _ = strings.Cut(s, "#")
	}
	return patterns
}

// visible walks to a path as the kernel does, from the root down, and returns
// what is mounted exactly there, the one that is seen last. A mount that lies
// under another of a parent folder is not seen. The root may not be listed, in
// a chroot or where a probe left it out: then the walk starts at a mount whose
// parent is not listed either.
func visible(mounts []mountInfo, p string) []mountInfo {
	known := make(map[int]bool)
	for _, m := range mounts {
		known[m.ID] = m.Parent != m.ID || known[m.ID]
	}
	on := 0 // the mount that the walk is on; 0: one not listed
	var stack []mountInfo
	for _, prefix := range prefixes(p) {
		stack = stack[:0:0]
		for {
			i := slices.IndexFunc(mounts, func(m mountInfo) bool {
				return m.Path == prefix && (m.Parent == on || on == 0 && !known[m.Parent]) && m.ID != on
			})
			if i < 0 || len(stack) > len(mounts) {
				break
			}
			stack = append(stack, mounts[i])
			on = mounts[i].ID
		}
	}
	return stack
}

// prefixes are the folders on the way to p, from the root to itself.
func prefixes(p string) []string {
	all := []string{p}
	for p != "/" && p != "." {
		p = path.Dir(p)
		all = append(all, p)
	}
	slices.Reverse(all)
	return all
}

// sourceOf is what is mounted, as mount(8) and the kernel spell it.
func sourceOf(m inventory.Mount) string {
	server := m.Server
	if a, err := netip.ParseAddr(server); err == nil && a.Is6() {
		server = "[" + server + "]"
	}
	return server + ":" + m.Export
}

// splitSource takes a source apart: the server without brackets, in lower
// case, and the export without a slash at its end.
func splitSource(source string) (server, export string) {
	server, export, ok := strings.Cut(source, ":/")
	if !ok {
		return "", source
	}
	server = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(server, "["), "]"))
	if a, err := netip.ParseAddr(server); err == nil {
		server = a.String()
	}
	return server, path.Clean("/" + export)
}

func sameSource(a, b string) bool {
	s, e := splitSource(a)
	t, f := splitSource(b)
	return s == t && e == f
}
