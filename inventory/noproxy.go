package inventory

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// A Reader of NO_PROXY is a family of programs that read it alike. No standard
// says what it means, and they do not agree.
type Reader string

// The readers that matter on a node: container runtimes, kubelet and most of
// Kubernetes are written in Go; scripts use curl; frameworks use Python.
const (
	ReaderGo     Reader = "Go"
	ReaderCurl   Reader = "curl"
	ReaderPython Reader = "Python requests"
)

// Readers are all of them.
var Readers = []Reader{ReaderGo, ReaderCurl, ReaderPython}

// Direct reports whether programs of a family go straight to host:port, past
// the proxy, where NO_PROXY has these entries.
func Direct(r Reader, entries []string, host string, port int) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch r {
	case ReaderGo:
		return directInGo(entries, host, port)
	case ReaderCurl:
		return directInCurl(entries, host)
	default:
		return directInPython(entries, host, port)
	}
}

// directInGo asks the package that net/http itself is made from.
func directInGo(entries []string, host string, port int) bool {
	c := httpproxy.Config{HTTPSProxy: "http://proxy.invalid:3128", NoProxy: strings.Join(entries, ",")}
	u, err := c.ProxyFunc()(&url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(port))})
	return err == nil && u == nil
}

// directInCurl is curl's own matching, from 7.86 on: a leading dot means
// nothing, an entry covers the name and all below it, "*" counts only alone, a
// port never matches, and addresses of IPv6 are compared as names.
func directInCurl(entries []string, host string) bool {
	if len(entries) == 1 && entries[0] == "*" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil && addr.Is4()
	for _, e := range entries {
		e = strings.ToLower(e)
		if prefix, err := netip.ParsePrefix(e); err == nil {
			if isAddr && prefix.Contains(addr) {
				return true
			}
			continue
		}
		if covered(host, strings.TrimSuffix(strings.TrimPrefix(e, "."), ".")) {
			return true
		}
	}
	return false
}

// directInPython is requests.utils.should_bypass_proxies, which asks urllib
// where it does not know itself. Older versions compared names by their
// end alone, so that "corp.example" also covered "notcorp.example".
func directInPython(entries []string, host string, port int) bool {
	if len(entries) == 1 && entries[0] == "*" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil && addr.Is4()
	for _, e := range entries {
		if prefix, err := netip.ParsePrefix(e); err == nil {
			if isAddr && prefix.Contains(addr) {
				return true
			}
			continue
		}
		e = strings.TrimLeft(strings.ToLower(e), ".")
		if covered(host, e) || !isAddr && covered(host+":"+strconv.Itoa(port), e) {
			return true
		}
	}
	return false
}

// covered: it is the name, or one below it.
func covered(host, name string) bool {
	return name != "" && (host == name || strings.HasSuffix(host, "."+name))
}
