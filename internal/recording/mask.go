package recording

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
)

// What may be masked beside secrets.
const (
	Addresses = "addresses" // IP and hardware addresses
	Names     = "names"     // of hosts, servers and domains, users, issuers of certificates
	Serials   = "serials"   // machine-ids, UUIDs, ids of disks, fingerprints of host keys
)

// Maskable are all of them.
var maskable = []string{Addresses, Names, Serials}

// ParseMask reads the words of --mask.
func ParseMask(words []string) ([]string, error) {
	if slices.Contains(words, "all") {
		return maskable, nil
	}
	for _, w := range words {
		if !slices.Contains(maskable, w) {
			return nil, fmt.Errorf("%q cannot be masked; what can is %s, or all (secrets always are)", w, strings.Join(maskable, ", "))
		}
	}
	return words, nil
}

// masks replace what must not be written down: the same value by the same mask,
// wherever it is found, so that what agreed still agrees.
type masks struct {
	what    []string
	secrets *strings.Replacer
	forms   []string // of secrets, that secrets replaces
	mu      sync.Mutex
	known   known             // names, where they are masked
	users   map[string]bool   // that stand alone in what hosts print
	of      map[string]string // by value
	count   map[string]int
}

func newMasks(what []string, hosts []inventory.Host) *masks {
	m := &masks{what: what, of: map[string]string{}, count: map[string]int{}, users: map[string]bool{}}
	m.forms = secretForms(hosts)
	var pairs []string
	for _, f := range m.forms {
		pairs = append(pairs, f, secret.Shown)
	}
	m.secrets = strings.NewReplacer(pairs...)
	if m.has(Names) {
		m.learnInventory(hosts)
	}
	return m
}

func (m *masks) has(what string) bool { return slices.Contains(m.what, what) }

// host is what the recording calls a host.
func (m *masks) host(name string) string {
	if m.has(Names) {
		return m.mask("host", name)
	}
	return name
}

// secretForms are the inventory's secrets in each of the forms in which a host
// may have them, longest first.
func secretForms(hosts []inventory.Host) []string {
	forms := map[string]bool{}
	add := func(user string, t secret.Text) {
		s := t.Reveal()
		if len(s) < 3 {
			return // it would be found everywhere, and give itself away so
		}
		for _, f := range []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(user + ":" + s))} {
			forms[f] = true
		}
	}
	seen := map[*inventory.Settings]bool{}
	for _, h := range hosts {
		if seen[h.Settings] {
			continue
		}
		seen[h.Settings] = true
		add(h.SSH.User, h.SSH.Password)
		add(h.SSH.User, h.Sudo.Password)
		if h.Proxy != nil {
			add(h.Proxy.Username, h.Proxy.Password)
		}
	}
	var list []string
	for f := range forms {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}

// coincides reports whether a secret stands in a text where something else may
// be meant: it is an ordinary word, or stands within a longer one. It is masked
// there all the same, and a replay may say something else than the host did.
func (m *masks) coincides(text string) bool {
	for _, f := range m.forms {
		ordinary := strings.Trim(strings.ToLower(f), "abcdefghijklmnopqrstuvwxyz") == ""
		for at := 0; ; {
			i := strings.Index(text[at:], f)
			if i < 0 {
				break
			}
			from := at + i
			at = from + len(f)
			if ordinary || from > 0 && isWord(text[from-1]) || at < len(text) && isWord(text[at]) {
				return true
			}
		}
	}
	return false
}

// mask is what stands for a value.
func (m *masks) mask(kind, value string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.give(kind, value)
}

// give is mask for who holds the lock. Values that differ in case alone have
// masks that do.
func (m *masks) give(kind, value string) string {
	if mask, known := m.of[value]; known {
		return mask
	}
	if low := strings.ToLower(value); low != value && (kind == "mac" || kind == "uuid") {
		m.of[value] = strings.ToUpper(m.give(kind, low))
		return m.of[value]
	}
	m.count[kind]++
	n := m.count[kind]
	mask := ""
	switch kind {
	case "host":
		mask = fmt.Sprintf("host-%04d", n)
	case "name":
		mask = m.nameMask(value, n)
	case "domain", "user", "issuer", "disk":
		mask = fmt.Sprintf("%s-%d.invalid", kind, n)
	case "v4": // RFC 2544, which no network uses
		mask = netip.AddrFrom4([4]byte{198, byte(18 + n>>16&1), byte(n >> 8), byte(n)}).String()
	case "v6": // RFC 3849, likewise
		mask = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}).String()
	case "mac":
		mask = fmt.Sprintf("0a:00:00:%02x:%02x:%02x", byte(n>>16), byte(n>>8), byte(n))
	case "uuid":
		mask = fmt.Sprintf("a0000000-0000-4000-8000-%012x", n)
	case "id":
		mask = fmt.Sprintf("%032x", n)
	case "key":
		mask = fmt.Sprintf("SHA256:key-%d.invalid", n)
	}
	m.of[value] = mask
	return mask
}

var (
	macRE  = regexp.MustCompile(`(?i)\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b`)
	uuidRE = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	keyRE  = regexp.MustCompile(`\bSHA256:[A-Za-z0-9+/]{43}`)
	diskRE = regexp.MustCompile(`(/dev/disk/by-id/)([^\s"',]+)`)
	idRE   = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	v4RE   = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}`)
	v6RE   = regexp.MustCompile(`(?i)[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*`)
)

// secret masks what is masked always: the inventory's secrets, and what looks
// like a password in a host's files.
func (m *masks) secret(text string) string { return report.Redact(m.secrets.Replace(text)) }

// text masks a text.
func (m *masks) text(s string) string {
	if s = m.secret(s); s == "" {
		return s
	}
	if m.has(Names) {
		s = m.names(s)
	}
	if m.has(Serials) {
		s = keyRE.ReplaceAllStringFunc(s, func(v string) string { return m.mask("key", v) })
		s = diskRE.ReplaceAllStringFunc(s, func(path string) string {
			at := strings.LastIndexByte(path, '/') + 1
			return path[:at] + m.mask("disk", path[at:])
		})
		s = uuidRE.ReplaceAllStringFunc(s, func(v string) string { return m.mask("uuid", v) })
		s = idRE.ReplaceAllStringFunc(s, func(v string) string { return m.mask("id", v) })
	}
	if m.has(Addresses) {
		s = macRE.ReplaceAllStringFunc(s, func(v string) string { return m.mask("mac", v) })
		s = replaceAll(v6RE, s, func(v string) string {
			if a, err := netip.ParseAddr(v); err == nil && a.Is6() && !a.IsLoopback() && !a.IsUnspecified() && !strings.HasPrefix(v, "2001:db8::") {
				return m.mask("v6", a.String())
			}
			return v
		})
		s = replaceAll(v4RE, s, func(v string) string {
			if a, err := netip.ParseAddr(v); err == nil && v != "127.0.0.1" && !a.IsUnspecified() {
				return m.mask("v4", v)
			}
			return v
		})
	}
	return s
}

// spelt is a name as it is known, in whatever case it stands; m.mu is held.
func (m *masks) spelt(name string) string {
	if _, known := m.of[name]; known {
		return name
	}
	low := strings.ToLower(name)
	if spelt, ok := m.known.spelt[low]; ok && m.of[low] == "" {
		return spelt // as the inventory does
	}
	return low
}

// replaceAll replaces what stands for itself: no part of a longer number, as
// in the version 1.2.3.4.5.
func replaceAll(re *regexp.Regexp, s string, by func(string) string) string {
	var b strings.Builder
	at := 0
	for _, hit := range re.FindAllStringIndex(s, -1) {
		b.WriteString(s[at:hit[0]])
		v := s[hit[0]:hit[1]]
		before, after := byte(' '), byte(' ')
		if hit[0] > 0 {
			before = s[hit[0]-1]
		}
		if hit[1] < len(s) {
			after = s[hit[1]]
		}
		if isWord(before) || isWord(after) || before == '.' || after == '~' || after == '+' || after == '.' && hit[1]+1 < len(s) && isWord(s[hit[1]+1]) {
			b.WriteString(v)
		} else {
			b.WriteString(by(v))
		}
		at = hit[1]
	}
	return b.String() + s[at:]
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// doubtful reports whether a section holds a secret that may be meant otherwise.
func (m *masks) doubtful(s section) bool {
	return slices.ContainsFunc(slices.Concat(s.Out, s.Err, s.Reached, s.Cluster), m.coincides)
}

// section masks all that a host said in a section.
func (m *masks) section(s section) section {
	s.Failure = m.text(s.Failure)
	for _, list := range [][]string{s.Out, s.Err, s.Cluster} {
		for i, line := range list {
			list[i] = m.process(m.text(line))
		}
	}
	for i, line := range s.Reached {
		s.Reached[i] = m.reached(line)
	}
	return s
}

// process masks the user where a line says whose a process is, or who is at
// work: elsewhere a user's name may be any word.
func (m *masks) process(line string) string {
	if !m.has(Names) {
		return line
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	words := strings.SplitN(line, " ", 4)
	if len(words) == 4 && words[0] == "@process" && m.users[words[2]] {
		words[2] = m.give("user", words[2])
		return strings.Join(words, " ")
	}
	if who := whoRE.FindStringSubmatch(line); who != nil && m.users[who[1]] {
		return m.give("user", who[1]) + "@" + who[2]
	}
	return line
}
