package tasks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// Squid makes a host with a squid block the outbound proxy: it lets the clients
// through to what the hosts of the inventory need, and nobody to anything else.
//
// The probe reads our own files whole, and of squid's (Debian's has nine thousand
// lines of commentary) the lines that matter, with one grep for them and for who
// listens. That squid does what they say is asked of it, through its own port.
var Squid = Task{Name: "squid", Probe: probeSquid, Reach: reachSquid, Read: readSquid, Plan: planSquid}

// squidProgram is there whichever of the packages is: Debian also has
// squid-openssl, which ours must not replace.
const squidProgram = "/usr/sbin/squid"

func probeSquid(h inventory.Host) string {
	wished, port := "false", 0
	if h.Squid != nil {
		wished, port = "true", h.Squid.Port
	}
	return "manager\n" + probeUser(h) + "show " + ledgerPath("squid") + `
if ` + wished + ` || [ -e ` + ledgerPath("squid") + ` ]; then
	show ` + squidPart + `
	show ` + squidOwn + `
	if [ -x ` + squidProgram + ` ]; then
		echo '@squid installed'
	else
		echo '@squid absent'
		if [ -e /etc/os-release ]; then show /etc/os-release; else show /usr/lib/os-release; fi
	fi
	set --
	for file in ` + squidMain + ` ` + squidFolder + `/*; do
		if [ -f "$file" ]; then
			printf '@conf %s\n' "$file"
			if [ -r "$file" ]; then set -- "$@" "$file"; else echo '!unreadable'; fi
		fi
	done
	times=
	if [ $# -gt 0 ]; then
		if [ -e ` + squidOwn + ` ]; then set -- "$@" ` + squidOwn + `; fi
		times=$(stat -L -c '%Y %n' "$@")
	fi
	for file in /proc/net/tcp /proc/net/tcp6; do
		if [ -r "$file" ]; then set -- "$@" "$file"; fi
	done
	if [ $# -gt 0 ]; then
		ran lines grep -HE '^[[:blank:]]*(include|http_port|http_access)[[:blank:]]|^ *[0-9]+: [0-9A-F]+:` + fmt.Sprintf("%04X", port) + ` [0-9A-F:]+ 0A ' "$@"
		echo @times
		bars "$times"
	fi
	if [ -d /run/systemd/system ] && hasUnit squid; then services unit LoadState,ActiveState,UnitFileState,StateChangeTimestamp squid; fi
fi
` + probeEnd
}

// squidForbidden is what no allowlist has, and what shows at once when it is let
// through: a name that does not exist, and an address that answers immediately,
// whatever becomes of packets to the outside.
var squidForbidden = []string{"not-allowed.runai-prep.invalid", "127.0.0.1"}

// reachSquid asks the proxy, on the host itself, for all that it is to let
// through, and for what it is not.
func reachSquid(h inventory.Host) []remote.Endpoint {
	if h.Squid == nil {
		return nil
	}
	proxy := &remote.HTTPProxy{Host: "127.0.0.1", Port: h.Squid.Port}
	var asked []remote.Endpoint
	for _, host := range squidForbidden {
		asked = append(asked, remote.Endpoint{Host: host, Port: 443, Proxy: proxy})
	}
	for _, e := range h.Squid.Allow {
		if e.Port != 80 && !e.Wildcard() { // it does not connect to the one, and the other is no name to ask for
			asked = append(asked, remote.Endpoint{Host: e.Host, Port: e.Port, Proxy: proxy})
		}
	}
	return asked
}

// squidFacts are what was found of squid on a host.
type squidFacts struct {
	Services
	Installed bool             `json:"installed"`
	Ports     []string         `json:"ports"`     // of the http_port lines
	Listening bool             `json:"listening"` // somebody is, on the wished port
	Load      string           `json:"load_state,omitempty"`
	Active    string           `json:"active_state,omitempty"`
	Enabled   string           `json:"unit_file_state,omitempty"`
	Asked     []remote.Reached `json:"asked,omitempty"`

	ledger ledger
	files  map[string]file  // ours
	lines  []squidLine      // of squid.conf, and of the folder's files
	confs  []string         // these files, as squid reads them
	closed string           // one of them that only root can read
	times  map[string]int64 // when they were written, in seconds since 1970
	since  time.Time        // when the unit changed last: started, or reloaded
	os     map[string]string
}

func readSquid(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &squidFacts{Services: readServices(blocks), files: make(map[string]file), times: make(map[string]int64)}
	if f.ledger, err = readLedger("squid", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	for _, b := range blocks {
		switch b.kind {
		case "squid":
			f.Installed = b.rest == "installed"
		case "file":
			if strings.HasSuffix(b.rest, "/os-release") {
				f.os = parseOSRelease(b.file().content)
				continue
			}
			f.files[b.rest] = b.file()
		case "conf":
			f.confs = append(f.confs, b.rest)
			if b.noted("unreadable") {
				f.closed = b.rest
			}
		case "lines":
			if b.exit() > 1 {
				return nil, fmt.Errorf("probe %s: grep in %s: exit status %d%s", s.Name, squidMain, b.exit(), evidence(s.Err))
			}
			for _, line := range b.lines {
				if strings.HasPrefix(line, "/proc/net/tcp") {
					f.Listening = true
				} else if l, ok := f.lineOf(line); ok {
					f.lines = append(f.lines, l)
				} else if !strings.HasPrefix(line, squidOwn+":") { // not quoted: who knows whose file it is
					return nil, fmt.Errorf("probe %s: grep printed a line of no file that was looked at", s.Name)
				}
			}
		case "times":
			for _, line := range b.lines {
				seconds, path, _ := strings.Cut(line, " ")
				if n, err := strconv.ParseInt(seconds, 10, 64); err == nil {
					f.times[path] = n
				}
			}
		case "unit":
			if b.exit() != 0 {
				return nil, fmt.Errorf("probe %s: systemctl show: exit status %d%s", s.Name, b.exit(), evidence(s.Err))
			}
			f.readUnit(b.lines)
		}
	}
	for _, p := range squidPorts(f.lines) {
		f.Ports = append(f.Ports, p.words()[1])
	}
	if f.Asked, err = readReached(s); err != nil {
		return nil, err
	}
	return f, nil
}

// lineOf takes apart what grep -H prints.
func (f *squidFacts) lineOf(printed string) (squidLine, bool) {
	for _, path := range f.confs {
		if text, ok := strings.CutPrefix(printed, path+":"); ok {
			return squidLine{path, text}, true
		}
	}
	return squidLine{}, false
}

// before are the lines that squid reads before the file at path, and whether it
// comes to that at all.
func (f *squidFacts) before(path string) (lines []squidLine, included bool) {
	for _, l := range f.lines {
		if l.path != squidMain {
			continue
		}
		if !l.includes(path) {
			lines = append(lines, l)
			continue
		}
		if strings.HasPrefix(path, squidFolder+"/") {
			for _, part := range f.lines {
				if part.path != squidMain && part.path < path && l.includes(part.path) {
					lines = append(lines, part)
				}
			}
		}
		return lines, true
	}
	return lines, false
}

// seen reports whether squid's own configuration was looked at: it is there,
// also where only the package has been removed.
func (f *squidFacts) seen() bool { return slices.Contains(f.confs, squidMain) }

func (f *squidFacts) readUnit(lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "LoadState":
			f.Load = value
		case "ActiveState":
			f.Active = value
		case "UnitFileState":
			f.Enabled = value
		case "StateChangeTimestamp":
			f.since, _ = time.Parse("Mon 2006-01-02 15:04:05 UTC", value)
		}
	}
}

// running reports whether squid is at work.
func (f *squidFacts) running() bool { return f.Active == "active" || f.Active == "reloading" }

// outdated names a file that was written after squid was started or told to
// read its configuration again; empty: there is none.
func (f *squidFacts) outdated() string {
	for _, path := range []string{squidPart, squidOwn, squidMain} {
		if written, ok := f.times[path]; ok && !f.since.IsZero() && written > f.since.Unix() {
			return path
		}
	}
	return ""
}
