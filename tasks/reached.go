package tasks

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// This file is what tasks share that ask for something outside the host: the
// way there, and what came of it.

// outside is a server as a host's container runtime reaches it.
func outside(h inventory.Host, host string, port int) remote.Endpoint {
	e := remote.Endpoint{Host: host, Port: port}
	if h.Proxy != nil { // its certificates are in the host's store
		e.Roots = h.Proxy.CACertificates
		e.Proxy = runtimeProxy(h.Proxy, host, port)
	}
	return e
}

// runtimeProxy is the proxy that a container runtime, being a program in Go,
// asks for an address; nil: none.
func runtimeProxy(p *inventory.Proxy, host string, port int) *remote.HTTPProxy {
	if p.HTTPSProxy == "" || inventory.Direct(inventory.ReaderGo, p.Straight(), host, port) {
		return nil
	}
	u, err := url.Parse(p.HTTPSProxy)
	if err != nil {
		return nil // the inventory refused it
	}
	via := proxyAt(u)
	via.Username, via.Password = p.Username, p.Password
	return via
}

// proxyAt is the proxy at a URL, without the login that may stand in it; of one
// without a port that could be, the port is HTTP's.
func proxyAt(u *url.URL) *remote.HTTPProxy {
	via := &remote.HTTPProxy{Host: u.Hostname(), Port: 80}
	if n, err := strconv.Atoi(u.Port()); err == nil && n > 0 && n < 65536 {
		via.Port = n
	}
	return via
}

// readReached reads how the way to a section's endpoints went.
func readReached(s remote.Section) ([]remote.Reached, error) {
	var found []remote.Reached
	for line := range strings.Lines(s.Reached) {
		var r remote.Reached
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("probe %s: %w: %q", s.Name, err, clip(line, 80))
		}
		found = append(found, r)
	}
	return found, nil
}

// judgeReached says how the way to an endpoint went, and who can do something
// about it.
func judgeReached(r remote.Reached) (state State, have, hint string) {
	way := ""
	if r.Through != "" {
		way = " through " + r.Through
	}
	by := ""
	if r.By != "" && !strings.HasPrefix(r.By, "the SSH") {
		by = " (tried with " + r.By + ", for its sshd forwards nothing)"
	}
	said := ""
	if r.Said != "" {
		said = ": " + r.Said
	}
	whom, host := r.Endpoint, r.Endpoint
	if r.Proxy {
		whom, host = "the proxy "+r.Through, r.Through
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	switch r.Barrier {
	case "":
		have = "reached" + way
		if r.Plain {
			have += " without TLS"
		}
		if r.Issuer != "" {
			have += ", certificate by " + r.Issuer
		}
		if r.Tokens != "" && r.Tokens != r.Endpoint {
			have += ", tokens from " + r.Tokens
		}
		return OK, have + by, ""
	case remote.Lost:
		return Unknown, "it could not be tried" + said, "look again"
	case remote.Forbidden:
		return Unknown, "it could not be tried" + said,
			"the host's sshd forwards no connection (AllowTcpForwarding, PermitOpen), and no program there could be used: allow it for this user, or install curl"
	case remote.Unproved:
		return Unknown, "it listens, and whether TLS gets through could not be tried" + by + said, "install curl on the host, or let its sshd forward connections for this user"
	case remote.NoName:
		return Unmet, "no address for " + name + said + by, "the host's name server has to know " + name
	case remote.Refused:
		return Unmet, whom + " refused the connection" + by, "nobody listens there, or a firewall rejects it"
	case remote.NoRoute:
		return Unmet, "no way to " + whom + said + by, "the network, or a firewall on the way, has to let it through"
	case remote.Silence:
		if r.Proxy {
			way = "" // it is the proxy that does not answer
		}
		return Unmet, "no answer from " + whom + way + by, "a firewall on the way drops it, most often: it has to let " + host + " through"
	case remote.ByProxy:
		have = "the proxy " + r.Through + " did not let it through" + said + by
		switch r.Status {
		case 407:
			return Unmet, have, "the proxy wants a login: give username and password in the proxy block, or let it through without"
		case 403:
			return Unmet, have, "the proxy has to allow CONNECT to " + r.Endpoint
		}
		if r.Status/100 == 5 {
			return Unmet, have, "the proxy itself finds no way there: see its name server, and its own way out"
		}
		return Unmet, have, "ask those who run the proxy"
	case remote.NoTLS:
		return Unmet, "no TLS with " + r.Endpoint + way + said + by, "a firewall that looks at names cuts it off, or who answers there does not speak TLS"
	case remote.NotTrusted:
		have = "its certificate is not trusted" + way
		if r.Issuer != "" {
			have += ", issued by " + r.Issuer
		}
		hint = "where a box on the way looks into TLS, let it pass this host through, or give its authority as ca_certificates in a proxy block, where they may stand alone"
		switch {
		case strings.Contains(r.Said, "valid for"): // other names, or none
			hint = "another server answers there: see where the name leads, and what stands on the way"
		case strings.Contains(r.Said, "expired or is not yet valid"):
			hint = "it has run out, or the clock of the machine that asks is wrong"
		}
		return Unmet, have + said + by, hint
	case remote.Answer:
		return Unmet, "it does not answer as a registry does" + way + said + by, "something on the way answers in its place, or the registry is out of order"
	}
	return Unknown, fmt.Sprintf("it ended at %q%s", r.Barrier, said), ""
}
