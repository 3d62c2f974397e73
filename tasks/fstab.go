package tasks

import (
	"path"
	"slices"
	"strings"
)

// An fstabEntry is one line of fstab(5) that mounts something.
type fstabEntry struct {
	Source  string `json:"source"`
	Path    string `json:"path"`
	Type    string `json:"type"`
	Options string `json:"options"`
	line    string // as it is, without its newline
}

func (e fstabEntry) nfs() bool { return e.Type == "nfs" || e.Type == "nfs4" }

// parseFstab reads the lines that mount(8) would. It skips comments and what
// has fewer than three fields.
func parseFstab(content string) []fstabEntry {
	var entries []fstabEntry
	for line := range strings.Lines(content) {
		if e, ok := parseFstabLine(strings.TrimSuffix(line, "\n")); ok {
			entries = append(entries, e)
		}
	}
	return entries
}

func parseFstabLine(line string) (fstabEntry, bool) {
	fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
		return fstabEntry{}, false
	}
	e := fstabEntry{Source: unescapeMount(fields[0]), Path: cleanMountPoint(unescapeMount(fields[1])), Type: fields[2], line: line}
	if len(fields) > 3 {
		e.Options = unescapeMount(fields[3])
	}
	return e, true
}

// cleanMountPoint is p as the kernel shows it: "/mnt//data/" is /mnt/data;
// "none" and "swap" stay.
func cleanMountPoint(p string) string {
	if !strings.HasPrefix(p, "/") {
		return p
	}
	return path.Clean(p)
}

// option reports whether e has one of the options.
func (e fstabEntry) option(names ...string) bool {
	for o := range strings.SplitSeq(e.Options, ",") {
		if slices.Contains(names, o) {
			return true
		}
	}
	return false
}

// replaceLines puts line, which may be several, where the first of the old
// lines is and takes the others out; with none it adds line at the end.
// Everything else stays, byte for byte.
func replaceLines(content string, old []string, line string) string {
	isOld := func(l string) bool { return slices.Contains(old, strings.TrimSuffix(l, "\n")) }
	lines := splitLines(content)
	first := slices.IndexFunc(lines, isOld)
	if first < 0 {
		if content != "" && !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		return content + line + "\n"
	}
	if strings.HasSuffix(lines[first], "\n") {
		line += "\n"
	}
	lines[first] = line
	rest := slices.DeleteFunc(slices.Clone(lines[first+1:]), isOld)
	return strings.Join(append(lines[:first+1:first+1], rest...), "")
}

// verifyFstab refuses a new fstab for what is wrong with it and was not wrong
// with the old one: findmnt complains of old faults too (a disk that is not
// plugged in), and those are not ours to judge. Where findmnt is missing, too
// old, or hangs on the target of a dead server, every line is checked to have
// its fields. It is given the new file as $1.
//
// The bounds of findmnt are here and not the step's alone, for it is not the
// file's fault when findmnt hangs. It reads only, and ends within them even when
// the step is ended before.
const verifyFstab = `verdict() { timeout -s KILL 10 findmnt --verify --tab-file "$1" 2>&1; }
if timeout -s KILL 10 findmnt --verify --help >/dev/null 2>&1 && new=$(verdict "$1"; echo "$?") && [ "${new##*
}" -le 1 ]; then
	# An error counts with the mount point that it stands under.
	old=$(if [ -e /etc/fstab ]; then verdict /etc/fstab; fi)
	errors() {
		under= n=0
		while IFS= read -r line; do
			case $line in
			' '*'[E]'*) printf '%s:%s\n' "$under" "${line#*]}" ;;
			' '*) ;;
			*' parse error at line '*) n=$((n + 1)) && echo "lines that cannot be parsed: $n" ;;
			*) under=$line ;;
			esac
		done
	}
	known=$(printf '%s\n' "$old" | errors)
	printf '%s\n' "$new" | errors | { while IFS= read -r fault; do
		case "
$known
" in *"
$fault
"*) ;; *) printf 'findmnt --verify: %s\n' "$fault" >&2; exit 1 ;; esac
	done; }
else
	n=0
	while read -r source target type rest || [ -n "$source" ]; do
		n=$((n + 1))
		case $source in '' | '#'*) continue ;; esac
		if [ -z "$type" ] && ! grep -qxF -- "$source${target:+ $target}" /etc/fstab; then
			printf 'line %s has too few fields\n' "$n" >&2
			exit 1
		fi
	done <"$1"
fi
`
