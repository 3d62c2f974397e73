package tasks

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// This file knows squid's language: what our rules look like in it, and what
// the distro's own configuration makes of them.

const (
	squidMain   = "/etc/squid/squid.conf"
	squidFolder = "/etc/squid/conf.d"
	// squidPart is where the rules are if squid.conf includes the folder before
	// it decides anything, as that of Debian 11 and 12 does; 13 lets the host
	// itself through first. squid reads its files in the order
	// of their names and the first rule that matches decides, so ours is early.
	squidPart = squidFolder + "/00-runai-prep.conf"
	// squidOwn is where they are otherwise, for a line of ours at the top of
	// squid.conf. It lies outside the folder, so that nothing reads it twice.
	squidOwn = "/etc/squid/runai-prep.conf"
	// squidDefault is the line about the port in the squid.conf of all distros.
	squidDefault = "http_port 3128"

	squidHead = "# Written by runai-prep: what the hosts of the inventory need to reach, and nothing else.\n"
)

// SquidConf are the rules that let clients, which are CIDRs, through to the
// endpoints and nobody to anything else. They use nothing that is defined
// outside of them, so that they hold wherever they are included.
func SquidConf(clients []string, endpoints []inventory.Endpoint) string {
	var b strings.Builder
	b.WriteString(squidHead)
	for _, c := range append(slices.Clone(clients), "127.0.0.0/8", "::1") {
		if p, err := netip.ParsePrefix(c); err == nil {
			c = p.Masked().String() // squid complains of bits beyond the mask
		}
		b.WriteString("acl runai_prep_clients src " + c + "\n")
	}
	b.WriteString("acl runai_prep_connect method CONNECT\n")
	names := make(map[int][]string)
	for _, e := range endpoints {
		if slices.ContainsFunc(endpoints, func(w inventory.Endpoint) bool { // squid will not have both
			return w.Wildcard() && w.Port == e.Port && w.Host != e.Host && strings.HasSuffix(e.Host, w.Host[1:])
		}) {
			continue
		}
		if name := squidName(e.Host); !slices.Contains(names[e.Port], name) {
			names[e.Port] = append(names[e.Port], name)
		}
	}
	var ports []int
	for port := range names {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	for _, port := range ports {
		fmt.Fprintf(&b, "acl runai_prep_port_%d port %d\n", port, port)
		// The distro's rules may come first: they deny CONNECT to other ports
		// than those that are called so, and some ports altogether.
		if port != 443 && port != 80 {
			fmt.Fprintf(&b, "acl SSL_ports port %d\nacl Safe_ports port %d\n", port, port)
		}
		slices.Sort(names[port])
		for _, name := range names[port] {
			// -n: a client may name any address, and whoever owns that says
			// in the DNS how it is called.
			fmt.Fprintf(&b, "acl runai_prep_names_%d dstdomain -n %s\n", port, name)
		}
	}
	b.WriteString("http_access allow localhost manager\n") // squid's own figures, as distros have it
	for _, port := range ports {
		connect := "runai_prep_connect"
		if port == 80 { // plain HTTP asks, it does not connect
			connect = "!" + connect
		}
		fmt.Fprintf(&b, "http_access allow runai_prep_clients %s runai_prep_port_%d runai_prep_names_%d\n", connect, port, port)
	}
	b.WriteString("http_access deny all\n")
	return b.String()
}

// squidName is how squid spells the host of a request.
func squidName(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + a.String() + "]"
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "*"), "."))
}

// squidNames are the endpoints that rules of ours let through, as host:port.
func squidNames(content string) []string {
	var names []string
	for line := range strings.Lines(content) {
		words := strings.Fields(line)
		if len(words) == 5 && words[0] == "acl" && strings.HasPrefix(words[1], "runai_prep_names_") {
			names = append(names, words[4]+":"+strings.TrimPrefix(words[1], "runai_prep_names_"))
		}
	}
	return names
}

// A squidLine is a line of squid's configuration: one of those that say who may
// do what, where it listens, and what else is read.
type squidLine struct{ path, text string }

func (l squidLine) words() []string {
	words := strings.Fields(l.text)
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 {
		words = words[:i]
	}
	return words
}

func (l squidLine) is(directive string) bool {
	words := l.words()
	return len(words) > 0 && words[0] == directive
}

// includes reports whether the line brings in the file at path.
func (l squidLine) includes(path string) bool {
	words := l.words()
	if len(words) < 2 || words[0] != "include" {
		return false
	}
	for _, w := range words[1:] {
		if w = strings.Trim(w, `"`); w == path || strings.HasPrefix(path, squidFolder+"/") && (w == squidFolder+"/*" || // Debian 11
			w == squidFolder+"/*.conf" && strings.HasSuffix(path, ".conf")) {
			return true
		}
	}
	return false
}

// decides reports whether a line before our rules may let somebody through whom
// they would not, or keep out whom they would let through. An include may do
// anything.
func (l squidLine) decides() bool {
	words := l.words()
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "include":
		return true
	case "http_access":
	default:
		return false
	}
	switch strings.Join(words[1:], " ") {
	case "deny !Safe_ports", "deny CONNECT !SSL_ports", "deny manager", "deny to_localhost", "deny to_linklocal",
		"allow localhost manager", "allow manager localhost", "deny !localhost manager", "deny manager !localhost":
		return false
	}
	return true
}

// A squidPort is what an http_port line says.
type squidPort struct {
	squidLine
	address string // what it binds to; empty: everything
	port    int
	plain   bool // for clients that know that they speak to a proxy
}

func squidPorts(lines []squidLine) []squidPort {
	var ports []squidPort
	for _, l := range lines {
		words := l.words()
		if len(words) < 2 || words[0] != "http_port" {
			continue
		}
		p := squidPort{squidLine: l, plain: true}
		number := words[1]
		if i := strings.LastIndexByte(number, ':'); i >= 0 {
			p.address, number = strings.Trim(number[:i], "[]"), number[i+1:]
		}
		var err error
		if p.port, err = strconv.Atoi(number); err != nil {
			continue
		}
		for _, option := range words[2:] {
			option, _, _ = strings.Cut(option, "=")
			if slices.Contains([]string{"intercept", "tproxy", "transparent", "accel", "vhost", "vport", "defaultsite", "require-proxy-header"}, option) {
				p.plain = false
			}
		}
		ports = append(ports, p)
	}
	return ports
}

// local reports whether only the host itself reaches the port.
func (p squidPort) local() bool {
	if p.address == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(p.address)
	return err == nil && a.IsLoopback()
}

// everywhere reports whether the port is bound to every address.
func (p squidPort) everywhere() bool {
	a, err := netip.ParseAddr(p.address)
	return p.address == "" || err == nil && a.IsUnspecified()
}

// at is the line with another port, on every address, and the options that it has.
func (p squidPort) at(port int) string {
	indent := p.text[:strings.Index(p.text, "http_port")]
	rest := strings.TrimLeft(p.text[len(indent)+len("http_port"):], " \t")
	_, options, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " ")
	return strings.TrimRight(indent+"http_port "+strconv.Itoa(port)+" "+options, " ")
}
