package tasks

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
)

// A proxyWish is an inventory.Proxy as files spell it.
type proxyWish struct {
	http, https        string // URLs without credentials
	noProxy            string // with commas
	username, password string
	certificates       []certificate
	mirrors            []string // hosts of packages to which noProxy goes straight, without naming each
}

func wishOf(h inventory.Host) proxyWish {
	p := h.Proxy
	direct := p.Straight()
	return proxyWish{
		mirrors:      straightMirrors(h, direct),
		http:         p.HTTPProxy,
		https:        p.HTTPSProxy,
		noProxy:      strings.Join(direct, ","),
		username:     p.Username,
		password:     p.Password.Reveal(),
		certificates: splitCertificates(p.CACertificates),
	}
}

// straightMirrors are the hosts of the inventory's own repositories that lie in
// a network or domain of NO_PROXY.
func straightMirrors(h inventory.Host, direct []string) []string {
	var all []string
	add := func(repository string) {
		u, err := url.Parse(repository)
		if err != nil || !goesStraight(u, direct) {
			return
		}
		if name := u.Hostname(); !slices.Contains(direct, name) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if h.Driver != nil {
		add(h.Driver.Repository)
	}
	if h.Toolkit != nil {
		add(h.Toolkit.Repository)
	}
	return all
}

// pastProxy is what a repository of dnf's or yum's says that goes past the proxy
// which their own configuration names, for they know no exceptions; empty: it
// goes as any other.
func pastProxy(h inventory.Host, manager, repository string) string {
	if manager == "zypper" || !pastTheProxy(h, repository) {
		return ""
	}
	return "proxy=_none_\n"
}

// pastTheProxy reports whether a repository is asked past the host's proxy.
func pastTheProxy(h inventory.Host, repository string) bool {
	u, err := url.Parse(repository)
	return err == nil && h.Proxy.HasURL() && goesStraight(u, h.Proxy.Straight())
}

// goesStraight reports whether a runtime would go straight to u.
func goesStraight(u *url.URL, direct []string) bool {
	if u.Hostname() == "" {
		return false
	}
	port := map[string]int{"http": 80, "https": 443}[u.Scheme]
	if n, err := strconv.Atoi(u.Port()); err == nil {
		port = n
	}
	return inventory.Direct(inventory.ReaderGo, direct, u.Hostname(), port)
}

// credentials reports whether anything must be kept from ordinary users.
func (w proxyWish) credentials() bool { return w.username != "" }

// An assignment sets one variable.
type assignment struct{ name, value string }

func (a assignment) String() string { return a.name + "=" + a.value }

// assignments are the variables in both cases, for programs read one or the
// other, with URLs as given.
func (w proxyWish) assignments() []assignment { return w.variables(w.http, w.https) }

func (w proxyWish) variables(http, https string) []assignment {
	var as []assignment
	add := func(name, value string) {
		if value != "" {
			as = append(as, assignment{strings.ToUpper(name), value}, assignment{name, value})
		}
	}
	add("http_proxy", http)
	add("https_proxy", https)
	if as != nil {
		add("no_proxy", w.noProxy)
	}
	return as
}

// secretAssignments are the lines NAME=VALUE with credentials where there are
// any. They may go into the text of a probe and into root-only files.
func (w proxyWish) secretAssignments() []string {
	var lines []string
	for _, a := range w.variables(w.withCredentials(w.http), w.withCredentials(w.https)) {
		lines = append(lines, a.String())
	}
	return lines
}

// withCredentials puts user and password into a URL.
func (w proxyWish) withCredentials(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || !w.credentials() {
		return url
	}
	user := percent(w.username)
	if w.password != "" {
		user += ":" + percent(w.password)
	}
	return scheme + "://" + user + "@" + rest
}

// percent escapes all that is not unreserved in RFC 3986, so that no reader of
// a URL, shell, unit or apt.conf finds anything to interpret.
func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// aptConf is our file for apt. apt knows no lists of what goes direct, only
// single hosts; ranges and domains cannot be said to it. Of those the mirrors
// that the inventory names are said by themselves.
func (w proxyWish) aptConf() string {
	var b strings.Builder
	for _, of := range []struct{ scheme, url string }{{"http", w.http}, {"https", w.https}} {
		if of.url == "" {
			continue
		}
		fmt.Fprintf(&b, "Acquire::%s::Proxy \"%s\";\n", of.scheme, w.withCredentials(of.url))
		for _, direct := range append(strings.Split(w.noProxy, ","), w.mirrors...) {
			if isHost(direct) {
				fmt.Fprintf(&b, "Acquire::%s::Proxy::%s \"DIRECT\";\n", of.scheme, direct)
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return w.sign("//", b.String())
}

// isHost tells a single host from a range, a domain and a wildcard. IPv6
// addresses are left out: apt.conf's names are separated by "::".
func isHost(direct string) bool {
	if a, err := netip.ParseAddr(direct); err == nil {
		return a.Is4()
	}
	return direct != "" && !strings.HasPrefix(direct, ".") && !strings.ContainsAny(direct, "*/: ")
}

// dropIn makes a unit's environment. What systemctl shows of a unit it shows
// to every user, so credentials come from a file that only root reads. The dash
// is for the day that somebody removes it: a runtime without a proxy is better
// than none.
func (w proxyWish) dropIn() string {
	if w.credentials() {
		return "# Written by runai-prep: the outbound proxy.\n[Service]\nEnvironmentFile=-" + proxyEnvPath + "\n"
	}
	var b strings.Builder
	b.WriteString("# Written by runai-prep: the outbound proxy.\n[Service]\n")
	for _, a := range w.assignments() {
		fmt.Fprintf(&b, "Environment=\"%s\"\n", unitEscaper.Replace(a.String()))
	}
	return b.String()
}

// unitEscaper escapes what systemd interprets inside double quotes.
var unitEscaper = strings.NewReplacer(`%`, `%%`, `\`, `\\`, `"`, `\"`)

// envFile is what dropIn refers to when there are credentials.
func (w proxyWish) envFile() string {
	if !w.credentials() {
		return ""
	}
	return w.sign("#", strings.Join(w.secretAssignments(), "\n")+"\n")
}

// sign puts a comment before content that says whose it is. With credentials
// it also holds the sum of the rest, by which the host can tell whether it is
// still what was written when nobody remembers the password.
func (w proxyWish) sign(comment, content string) string {
	if !w.credentials() {
		return comment + " Written by runai-prep: the outbound proxy.\n" + content
	}
	return fmt.Sprintf("%s Written by runai-prep, sha256 %x\n%s", comment, sha256.Sum256([]byte(content)), content)
}

// dnfURL is the one proxy that dnf and yum can be given for everything.
func (w proxyWish) dnfURL() string {
	if w.https != "" {
		return w.https
	}
	return w.http
}

// masked takes credentials out of messages: of URLs, and of addresses that are
// given without a scheme, as in http_proxy=user:password@proxy:3128. What is in
// doubt is masked too. Exports of NFS (nas:/a@b) are none.
func masked(text string) string {
	var b strings.Builder
	for text != "" {
		end := strings.IndexAny(text, " \t\r\n")
		switch {
		case end < 0:
			end = len(text)
		case end == 0:
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		b.WriteString(maskedWord(text[:end]))
		text = text[end:]
	}
	return b.String()
}

func maskedWord(word string) string {
	at := strings.LastIndexByte(word, '@')
	colon := strings.IndexByte(word[:max(at, 0)], ':')
	if colon < 0 {
		return word
	}
	start := colon + len("://")
	switch {
	case strings.HasPrefix(word[colon:at], "://"):
	case word[colon+1] == '/':
		return word
	default:
		start = 1 + strings.LastIndexAny(word[:colon], `="'(<,`)
	}
	return word[:start] + secret.Shown + word[at:]
}

// maskedAddress is masked for the value of one setting, which is the address of
// a proxy: whatever blanks and quotes are in it, up to the last @ it is nobody's
// business.
func maskedAddress(value string) string {
	at := strings.LastIndexByte(value, '@')
	if at < 0 {
		return value
	}
	start := 0
	if i := strings.Index(value[:at], "://"); i >= 0 {
		start = i + len("://")
	}
	return value[:start] + secret.Shown + value[at:]
}

// secretive is what a file looks like that must not be shown: it names
// something that is kept secret, or gives the user of a proxy.
var secretive = regexp.MustCompile(`(?i)passw|secret|token|credentials? *= *[^/ ]|proxy-user|,pass=|(api|access|auth|private)_?key|proxy.*@`)

// holdsCredentials reports whether a text must not be shown.
func holdsCredentials(text string) bool {
	return masked(text) != text || secretive.MatchString(text)
}
