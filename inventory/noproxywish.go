package inventory

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// What never goes through a proxy, wherever: the machine itself, and what only
// the cluster's own name server knows.
var alwaysDirect = []string{"localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"}

// manyDirect is how many hosts NO_PROXY may name before somebody is told that
// their network would do.
const manyDirect = 50

// fillNoProxy adds to each NO_PROXY what the inventory knows to be inside: the
// hosts, and the registries. A host whose address the given entries cover
// already adds nothing, for whatever is added restarts every runtime of the
// fleet once.
func (b *hostBuilder) fillNoProxy() {
	done := map[string][]Wish[string]{}
	seen := map[*Settings]bool{}
	for i := range b.hosts {
		s := b.hosts[i].Settings
		if !s.Proxy.HasURL() || seen[s] {
			continue
		}
		seen[s] = true
		key := strings.Join(s.Proxy.NoProxy, ",")
		for _, r := range s.Registries {
			key += "\n" + r.Name
		}
		direct, ok := done[key]
		if !ok {
			direct = b.direct(s)
			done[key] = direct
			b.lintNoProxy(s, direct)
		}
		s.Proxy.Direct = direct
	}
}

// direct are all entries of a NO_PROXY, in its order.
func (b *hostBuilder) direct(s *Settings) []Wish[string] {
	var all []Wish[string]
	there := map[string]bool{}
	add := func(entry, why string) {
		if !there[entry] {
			there[entry] = true
			all = append(all, Wish[string]{entry, why})
		}
	}
	given := coverage{exact: map[string]bool{}}
	for _, e := range s.Proxy.NoProxy {
		add(e, s.Proxy.Why)
		given.add(e)
	}
	for _, e := range alwaysDirect {
		given.add(e)
	}
	hosts := 0
	for i := range b.hosts {
		h := &b.hosts[i]
		if given.covers(h.Address) {
			continue
		}
		hosts++
		add(h.Address, "host "+h.Name)
		if !given.covers(h.Name) {
			add(h.Name, "host "+h.Name)
		}
	}
	if at, ok := b.noProxyAt[s.Proxy]; ok && hosts > manyDirect {
		b.warnf(at, "NO_PROXY names many hosts", "%d hosts are not within what no_proxy gives, so that each is named, and every runtime is restarted whenever one joins. Give their network, such as no_proxy = [\"10.0.0.0/8\"].", hosts)
	}
	for _, r := range s.Registries {
		if host, _, _ := hostPort(r.Name); !given.covers(host) {
			add(host, "registry "+r.Name)
		}
	}
	for _, e := range alwaysDirect {
		add(e, "always")
	}
	return all
}

// A coverage is what entries cover for programs in Go, which runtimes are. It
// serves ten thousand hosts, for which asking Direct would take too long.
type coverage struct {
	prefixes []netip.Prefix
	exact    map[string]bool
	below    []string // domains with their leading dot
}

func (c *coverage) add(entry string) {
	entry = strings.TrimPrefix(strings.ToLower(entry), "*")
	switch p, err := netip.ParsePrefix(entry); {
	case err == nil:
		c.prefixes = append(c.prefixes, p)
	case entry == "": // an asterisk alone
		c.prefixes = append(c.prefixes, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		c.below = append(c.below, "")
	case strings.HasPrefix(entry, "."):
		c.below = append(c.below, entry)
	default:
		c.exact[entry] = true
		c.below = append(c.below, "."+entry)
	}
}

func (c *coverage) covers(host string) bool {
	host = strings.ToLower(host)
	if c.exact[host] {
		return true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(c.prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	return slices.ContainsFunc(c.below, func(domain string) bool { return strings.HasSuffix(host, domain) })
}

// lintNoProxy warns of entries that programs read differently: what one reaches
// directly, another one asks the proxy for.
func (b *hostBuilder) lintNoProxy(s *Settings, direct []Wish[string]) {
	at, ok := b.noProxyAt[s.Proxy]
	if !ok || b.failed() { // a list with faults is not worth reading
		return
	}
	var entries []string
	for _, d := range direct {
		entries = append(entries, d.Value)
	}
	type sample struct {
		host string
		port int
	}
	var samples []sample
	for _, e := range s.Proxy.NoProxy {
		if host, port := sampleOf(e); host != "" {
			samples = append(samples, sample{host, port})
		}
	}
	for _, r := range s.Registries {
		host, port, _ := hostPort(r.Name)
		if port == 0 {
			port = 443
		}
		samples = append(samples, sample{host, port})
	}
	for _, x := range samples {
		var straight, through []string
		for _, r := range Readers {
			if Direct(r, entries, x.host, x.port) {
				straight = append(straight, string(r))
			} else {
				through = append(through, string(r))
			}
		}
		if len(straight) == 0 || len(through) == 0 {
			continue
		}
		b.warnf(at, "NO_PROXY is read differently", "With this list %s would go straight to %s, and %s through the proxy. Ranges of IPv4, addresses, and names without port or asterisk are read alike.",
			strings.Join(straight, " and "), net.JoinHostPort(x.host, fmt.Sprint(x.port)), strings.Join(through, " and "))
	}
}

// sampleOf is something that an entry of NO_PROXY is meant for.
func sampleOf(entry string) (host string, port int) {
	if p, err := netip.ParsePrefix(entry); err == nil {
		return p.Addr().String(), 443
	}
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return a.String(), 443
	}
	if entry == "*" {
		return "anything.example", 443
	}
	entry = strings.TrimPrefix(entry, "*")
	if strings.HasPrefix(entry, ".") {
		entry = "name" + entry
	}
	host, port, err := hostPort(entry)
	if err != nil {
		return "", 0
	}
	if port == 0 {
		port = 443
	}
	return host, port
}
