package recording

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// This file is about names: which there are, those that the inventory knows and
// those that hosts tell, and how they are found in a text. A name that a host
// tells may stand in what was written of another one before, see Recorder.Close.

// known is what is called by a name.
type known struct {
	tree    nameTree
	kinds   map[string]nameKind // by name, in lower case
	public  map[string]bool     // built-in endpoints, "*.DOMAIN" too: everybody's
	spelt   map[string]string   // hosts as the inventory spells them, by name in lower case
	changes int
}

// add takes up a name, in lower case; false: it is known, or tells nothing.
func (k *known) add(name string, kind nameKind) bool {
	if k.kinds[name] != 0 || k.isPublic(name) {
		return false
	}
	k.kinds[name] = kind
	k.tree.add(name, kind)
	k.changes++
	return true
}

// kindOf says where a name of a host, or another single one, counts as found.
func kindOf(name string) nameKind {
	if isPlain(name) {
		return wholeWord
	}
	return anywhere
}

func isPlain(name string) bool { return !strings.ContainsAny(name, "0123456789-.") }

// vendors are those whose names are everybody's: systems, drivers and images come
// from there. Of a customer's own name below one of them nothing is known here.
var vendors = []string{
	"debian.org", "ubuntu.com", "canonical.com", "launchpad.net", "fedoraproject.org", "centos.org", "rockylinux.org", "resf.org",
	"almalinux.org", "redhat.com", "oracle.com", "suse.com", "opensuse.org", "kernel.org", "nvidia.com", "nvidia.github.io", "github.com",
	"docker.com", "docker.io", "quay.io", "gcr.io", "nvcr.io", "ghcr.io", "k8s.io", "rancher.com", "rancher.io", "k3s.io",
	"cluster.local",
}

// isPublic: the name tells nothing of whose hosts these are.
func (k *known) isPublic(name string) bool {
	name = strings.ToLower(name)
	for _, below, ok := strings.Cut("."+name, "."); ok; _, below, ok = strings.Cut(below, ".") {
		if k.public["*."+below] {
			return true
		}
	}
	return k.public[name] || slices.ContainsFunc(vendors, func(v string) bool { return name == v || strings.HasSuffix(name, "."+v) })
}

// ourWords are words of what hosts print and of masks: a host may be called so,
// and it tells nothing.
var ourWords = []string{"host", "name", "domain", "user", "issuer", "disk", "invalid", "localhost", "svc", "local", "root", "none", "file", "work"}

// isName reports whether a text can be a name that is worth a mask.
func isName(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	return len(name) > 1 && len(name) < 254 && (!isPlain(name) || len(name) > 2) && !strings.Contains(name, "..") && nameRE.MatchString(name) && strings.ContainsFunc(name, isLetter) &&
		!inventory.KnownTask(name) && !slices.Contains(ourWords, name)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' }

// sites end the names of networks that are nobody else's.
var sites = []string{"corp", "lan", "local", "internal", "intranet", "private", "home", "test", "example", "lab"}

// domainsOf are the domains that a name is in, the nearest first. What countries
// and their registries have in common is none.
func domainsOf(name string) []string {
	var all []string
	for _, parent, ok := strings.Cut(name, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
		label, rest, more := strings.Cut(parent, ".")
		if more && !(len(label) <= 3 && len(rest) == 2) || slices.Contains(sites, parent) {
			all = append(all, parent)
		}
	}
	return all
}

// learnName takes up a name, and the domains that it is in.
func (m *masks) learnName(name string) {
	name = strings.ToLower(strings.Trim(name, "."))
	if !isName(name) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.kinds[name] != 0 || m.known.isPublic(name) {
		return
	}
	for _, d := range slices.Backward(domainsOf(name)) {
		if m.known.add(d, inDomain) {
			m.give("domain", d)
		}
	}
	if m.known.add(name, kindOf(name)) {
		m.give("name", name)
	}
}

// changes counts what was learned: it grows with every name.
func (m *masks) changes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known.changes
}

// learnInventory takes up the names that the inventory knows, the hosts' first
// and in their order.
func (m *masks) learnInventory(hosts []inventory.Host) {
	m.known.kinds, m.known.public, m.known.spelt = map[string]nameKind{}, map[string]bool{}, map[string]string{}
	for _, host := range inventory.BuiltInEndpoints() {
		m.known.public[strings.ToLower(host)] = true
	}
	for _, h := range hosts {
		m.mask("host", h.Name)
		if name := strings.ToLower(h.Name); isName(name) {
			m.known.spelt[name] = h.Name
			m.known.add(name, kindOf(name))
		}
	}
	for _, h := range hosts {
		m.learnName(h.Address)
		for _, b := range h.SSH.Bastions {
			m.learnName(b.Host)
		}
		for _, n := range h.Mounts {
			m.learnName(n.Server)
		}
		for _, r := range h.Registries {
			m.learnName(withoutPort(r.Name))
		}
		for _, e := range h.Egress {
			m.learnName(strings.TrimPrefix(e.Host, "*."))
		}
		if h.Proxy != nil {
			for _, u := range []string{h.Proxy.HTTPProxy, h.Proxy.HTTPSProxy} {
				if parsed, err := url.Parse(u); err == nil {
					m.learnName(parsed.Hostname())
				}
			}
			m.learnDirect(strings.Join(h.Proxy.NoProxy, ","))
		}
	}
}

func withoutPort(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// learnDirect takes up what a NO_PROXY lists.
func (m *masks) learnDirect(list string) {
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		domain := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		m.learnName(withoutPort(domain))
		if domain == entry {
			continue
		}
		if domain = strings.ToLower(withoutPort(domain)); isName(domain) {
			m.mu.Lock()
			m.known.add(domain, inDomain)
			m.mu.Unlock()
		}
	}
}

var (
	urlRE     = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://(?:[^\s/@"']*@)?([^\s/:"'@]+)`)
	exportRE  = regexp.MustCompile(`(?:^|[\s|"])(?:([A-Za-z0-9][A-Za-z0-9._-]*):/[^/]|//([A-Za-z0-9][A-Za-z0-9._-]*)/)`)
	noProxyRE = regexp.MustCompile(`(?i)\bno_proxy["']?\s*[=:]\s*["']?([^\s"']+)`)
	fullRE    = regexp.MustCompile(`(?i)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z]{2,}`)
	// Those that can be nothing else, wherever they stand.
	plainlyRE = regexp.MustCompile(`(?i)\b[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.(?:com|net|org|edu|gov|corp|lan|internal|intranet)\b`)
	nodeRE    = regexp.MustCompile(`"name":"([^"]+)"`) // a node of a cluster
	viaRE     = regexp.MustCompile(`Via: [0-9.]+ ([^\s,;]+)`)
	whoRE     = regexp.MustCompile(`^([^\s@]+)@([^\s@]+)$`)
	homeRE    = regexp.MustCompile(`(/home/|/Users/)([^\s/:;,"'()]+)`)
	// What stands before the path of a package source, or of a platform's name,
	// where an export has its server.
	noServers = []string{"file", "cdrom", "copy", "cpe", "dir", "unix", "http", "https"}
)

// learn takes up the names that a host tells in a section, where it says what
// they are: its own, those of addresses, of exports and of who is at work there.
func (m *masks) learn(s section) {
	if !m.has(Names) {
		return
	}
	for _, line := range slices.Concat(s.Out, s.Err, s.Cluster) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "@hostname":
			m.learnName(words[1])
		case len(words) > 3 && words[0] == "@process":
			m.learnUser(words[2])
		case s.Name == "work" && whoRE.MatchString(line):
			who := whoRE.FindStringSubmatch(line)
			m.learnUser(who[1])
			m.learnName(who[2])
		}
		for _, hit := range exportRE.FindAllStringSubmatch(line, -1) {
			if server := hit[1] + hit[2]; !slices.Contains(noServers, server) {
				m.learnName(server)
			}
		}
		for _, hit := range noProxyRE.FindAllStringSubmatch(line, -1) {
			m.learnDirect(hit[1])
		}
		m.learnPlainly(line)
	}
	for _, line := range s.Cluster {
		for _, hit := range nodeRE.FindAllStringSubmatch(line, -1) {
			m.learnName(hit[1])
		}
	}
	for _, line := range s.Reached {
		var r remote.Reached
		if json.Unmarshal([]byte(line), &r) != nil {
			continue
		}
		for _, address := range []string{r.Endpoint, r.Through, r.Tokens} {
			m.learnName(withoutPort(address))
		}
		if r.Image != nil {
			m.learnName(withoutPort(r.Image.At))
		}
		for _, hit := range viaRE.FindAllStringSubmatch(r.Said, -1) {
			m.learnName(hit[1])
		}
		for _, name := range fullRE.FindAllString(r.Said, -1) {
			m.learnName(name)
		}
	}
}

// learnPlainly takes up names in a text that nothing else is said of: those in
// URLs, and those that end as only names of hosts do.
func (m *masks) learnPlainly(text string) {
	if !m.has(Names) {
		return
	}
	for _, hit := range urlRE.FindAllStringSubmatch(text, -1) {
		m.learnName(hit[1])
	}
	for _, name := range plainlyRE.FindAllString(text, -1) {
		m.learnName(name)
	}
}

// learnUser takes up the name of somebody who has an account; what systems have
// themselves is nobody's.
func (m *masks) learnUser(name string) {
	if name == "root" || !strings.ContainsFunc(name, isLetter) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.give("user", name)
	m.users[name] = true
}

// names masks the names in a text.
func (m *masks) names(s string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s = m.known.tree.replace(s, func(name string) string {
		if m.known.isPublic(name) {
			return name
		}
		return m.give("name", m.spelt(name))
	})
	return homeRE.ReplaceAllStringFunc(s, func(path string) string {
		at := strings.LastIndexByte(path, '/') + 1
		return path[:at] + m.give("user", path[at:])
	})
}

// nameMask is the mask of a name: below the mask of the domain that it is in, so
// that what was in a domain still is.
func (m *masks) nameMask(name string, n int) string {
	low := strings.ToLower(name)
	domain, in := "", low
	for ok := true; ok && domain == ""; {
		if _, in, ok = strings.Cut(in, "."); m.known.kinds[in] == inDomain {
			domain = in
		}
	}
	if domain == "" {
		return fmt.Sprintf("name-%d.invalid", n)
	}
	first, _, _ := strings.Cut(low, ".")
	label, isHost := m.of[first]
	if !isHost || strings.Contains(label, ".") {
		label = fmt.Sprintf("name-%d", n)
	}
	return label + "." + m.give("domain", domain)
}

// reached masks a line of how the way to an endpoint went: its fields, for the
// words between them are nobody's names.
func (m *masks) reached(line string) string {
	var r remote.Reached
	if json.Unmarshal([]byte(line), &r) != nil {
		return m.text(line)
	}
	if r.Issuer != "" && m.has(Names) {
		mask := m.mask("issuer", m.secret(r.Issuer))
		r.Said = strings.ReplaceAll(m.secret(r.Said), m.secret(r.Issuer), mask)
		r.Issuer = mask
	}
	for _, s := range []*string{&r.Endpoint, &r.Through, &r.Said, &r.Issuer, &r.Tokens} {
		*s = m.text(*s)
	}
	if r.Image != nil {
		text, _ := json.Marshal(r.Image) // strings always encode
		image := &remote.SeenImage{}
		if err := json.Unmarshal([]byte(m.text(string(text))), image); err != nil {
			image = &remote.SeenImage{Name: m.text(r.Image.Name)}
		}
		r.Image = image
	}
	masked, _ := json.Marshal(r)
	return string(masked)
}
