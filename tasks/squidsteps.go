package tasks

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// squidParse is a script that fails, with squid's own words, unless squid takes
// the configuration that it is given on standard input. Where squid has been
// removed, any configuration may be left.
const squidParse = ` | {
	if [ ! -x ` + squidProgram + ` ] || said=$(` + squidProgram + ` -k parse -f /dev/stdin 2>&1); then exit 0; fi
	printf '%s\n' "$said" | grep -E 'FATAL|ERROR|Bungled' >&2 || printf '%s\n' "$said" | tail -n 5 >&2
	exit 1
}
`

// squidVerify is squid's own judgement of the whole configuration with the new
// file, $1, in the place of the one at path.
func squidVerify(path string) string {
	return `{
	echo "include $1"
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'include ` + squidOwn + `') ;;
		'include ` + squidFolder + `/*'*)
			for file in ${line#include }; do
				if [ -f "$file" ] && [ "$file" != ` + path + ` ]; then echo "include $file"; fi
			done
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done <` + squidMain + `
}` + squidParse
}

// A squidEdit changes single lines of squid.conf, whose nine thousand others no
// look brings here: on the host, in a new file that squid must accept before it
// takes the old one's place. The old one is kept once, as of every file.
type squidEdit struct {
	title string
	drop  string // a line that goes
	top   string // a line that is put before all that is no comment
	old   string // a line that is replaced; it must be there
	by    string // what replaces it
}

func (e squidEdit) step() remote.Step {
	script := fmt.Sprintf("drop=%s top=%s old=%s by=%s\n", quote(e.drop), quote(e.top), quote(e.old), quote(e.by)) +
		"export drop top old by LC_ALL=C\nconf=$(readlink -f " + squidMain + ") || exit 1\n" + `new=$conf.runai-prep
trap 'rm -f "$new"' EXIT
cp -p "$conf" "$new" || exit 1
awk '
ENVIRON["drop"] != "" && $0 == ENVIRON["drop"] { next }
ENVIRON["top"] != "" && !put && $0 !~ /^[ \t]*(#|$)/ { print ENVIRON["top"]; put = 1 }
ENVIRON["old"] != "" && !done && $0 == ENVIRON["old"] { if (ENVIRON["by"] != "") print ENVIRON["by"]; done = 1; next }
{ print }
END {
	if (ENVIRON["top"] != "" && !put) print ENVIRON["top"]
	if (ENVIRON["old"] != "" && !done) exit 3
}' "$conf" >"$new" || { echo "$conf has changed since the plan was made: it has no line $old" >&2; exit 1; }
( cat "$new"` + squidParse + `) || exit 1
dd if=/dev/null of="$new" conv=notrunc,fsync 2>/dev/null
kept=/var/lib/runai-prep/backup` + squidMain + `
if [ ! -e "$kept" ]; then
	( umask 077; mkdir -p "${kept%/*}" ) && cp -p "$conf" "$kept.$$" && mv -f "$kept.$$" "$kept" || exit 1
fi
if [ -e /sys/fs/selinux/enforce ]; then chcon --reference="$conf" "$new" || exit 1; fi
mv -f "$new" "$conf"
`
	return remote.Step{Title: e.title, Run: &remote.Command{Script: script, Timeout: 2 * time.Minute}}
}

func squidEnable() remote.Step {
	return remote.Step{Title: "systemctl enable squid", Run: &remote.Command{Script: "systemctl enable squid.service"}}
}

// squidListeners is a shell function that prints the sockets, by number, that
// listen on a port. squid opens new ones when it has read its configuration.
const squidListeners = `listeners() {
	for file in /proc/net/tcp /proc/net/tcp6; do
		if [ -r "$file" ]; then awk -v end=":$1" '$4 == "0A" && substr($2, length($2) - 4) == end { print $10 }' "$file"; fi
	done
}
`

// squidStart starts squid, or has it read its configuration again, and comes
// back when it listens on the port anew.
func squidStart(port int, disrupts string) remote.Step {
	title := "systemctl reload squid"
	if disrupts == "" {
		title = "systemctl start squid"
	}
	return remote.Step{Title: title, Disrupts: disrupts, Run: &remote.Command{
		Timeout: 3 * time.Minute, // squid looks its own name up, in a DNS that may not answer
		Script: "( cat " + squidMain + squidParse + ") || exit 1\n" + squidListeners + fmt.Sprintf("port=%04X\n", port) + `before=$(listeners $port)
systemctl reload-or-restart squid.service || exit 1
tries=0
while now=$(listeners $port); [ -z "$now" ] || [ "$now" = "$before" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 300 ]; then
		echo "squid does not listen anew on port ` + fmt.Sprint(port) + `: see journalctl -u squid and /var/log/squid/cache.log" >&2
		exit 1
	fi
	sleep 0.2
done
`,
	}}
}

// squidReload has squid read a configuration that is no longer ours.
func squidReload() remote.Step {
	return remote.Step{
		Title:    "systemctl reload squid",
		Disrupts: "clients are let through by squid's own rules alone from now on",
		Run: &remote.Command{Timeout: 3 * time.Minute,
			Script: "( cat " + squidMain + squidParse + ") || exit 1\nsystemctl try-reload-or-restart squid.service\n"},
	}
}

func (f *squidFacts) fileAt(path string) file {
	if has, ok := f.files[path]; ok {
		return has
	}
	return file{Path: path, Presence: Absent}
}

// ours is the ledger's entry for a file that is as it was written; the zero
// entry: it is not.
func (f *squidFacts) ours(has file) entry {
	e := entry{"file", has.Path, fmt.Sprintf("%x", sha256.Sum256([]byte(has.content)))}
	if has.Presence != Present || !f.ledger.has(e) {
		return entry{}
	}
	return e
}

// othersInFolder reports whether squid finds a file in its folder without ours:
// it does not start when it includes the folder and finds none.
func (f *squidFacts) othersInFolder() bool {
	i := slices.IndexFunc(f.lines, func(l squidLine) bool { return l.path == squidMain && l.includes(squidPart) })
	return i < 0 || slices.ContainsFunc(f.confs, func(path string) bool { return path != squidPart && f.lines[i].includes(path) })
}

func (f *squidFacts) hasLine(text string) bool {
	return slices.Contains(f.lines, squidLine{squidMain, text})
}

// isThere reports whether something of the ledger is still on the host as it
// was put there, as far as can be seen.
func (f *squidFacts) isThere(e entry) bool {
	switch e.kind {
	case "line":
		return f.closed != "" || f.hasLine(e.text)
	case "was": // as long as a line of ours is in its place
		return f.closed != "" || slices.ContainsFunc(f.ledger.of("line"), func(l entry) bool {
			return squidLine{text: l.text}.is("http_port") && f.hasLine(l.text)
		})
	}
	has := f.fileAt(e.path)
	return has.Presence == Unreadable || f.ours(has) == e
}

// removals take away what we put there: the lines first, for squid does not
// start when a file that it includes is not there. The package stays, and squid
// goes on as its own configuration says.
func (p *squidPlan) removals() []change {
	f := p.f
	if len(f.ledger.entries) == 0 {
		return nil
	}
	c := change{Finding: Finding{Subject: "config", State: Pending, Want: "without the rules of runai-prep", Why: noLonger}}
	c.Have = "rules of runai-prep"
	if f.closed != "" {
		c.State, c.Have, c.Hint = Unknown, f.closed+" cannot be read without root", "enable sudo for this host"
		return []change{c}
	}
	var left []string
	for _, e := range f.ledger.entries {
		switch {
		case e.kind != "line" || !f.hasLine(e.text):
		case squidLine{text: e.text}.is("http_port"):
			edit := squidEdit{title: "take " + e.text + " out of " + squidMain, old: e.text}
			if was := f.ledger.of("was"); len(was) > 0 {
				edit.by, edit.title = was[0].text, was[0].text+" in "+squidMain+", as it was before"
			}
			c.Steps = append(c.Steps, edit.step())
		default:
			c.Steps = append(c.Steps, squidEdit{title: "take " + e.text + " out of " + squidMain, drop: e.text}.step())
		}
	}
	for _, path := range []string{squidPart, squidOwn} {
		has := f.fileAt(path)
		switch {
		case has.Presence == Absent:
		case f.ours(has).path == "":
			if slices.ContainsFunc(f.ledger.of("file"), func(e entry) bool { return e.path == path }) {
				left = append(left, path+" was changed since runai-prep wrote it, and is left alone")
			}
		case path == squidPart && !f.othersInFolder():
			const nothing = "# Left by runai-prep: squid does not start when it includes a folder without files.\n"
			c.Steps = append(c.Steps, remote.Step{Title: "empty " + path, Write: &remote.File{
				Path: path, Mode: 0o644, Data: nothing, Old: has.old(), Ours: true, Verify: squidVerify(path),
			}})
		default:
			c.Steps = append(c.Steps, remote.Step{Title: "remove " + path, Remove: &remote.Removal{Path: path, Old: has.old(), Ours: true}})
		}
	}
	switch {
	case left != nil && c.Steps == nil:
		c.State, c.Have, c.Hint = OK, strings.Join(left, "; "), "remove it by hand if nobody needs it"
		return []change{c}
	case c.Steps == nil:
		return nil // somebody was faster
	case left != nil:
		c.Hint = strings.Join(left, "; ")
	}
	c.drops = f.ledger.entries
	if f.running() && f.Installed {
		c.Steps = append(c.Steps, squidReload())
	}
	return []change{c}
}
