package tasks

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// Egress proves that a host reaches what it needs outside, along the way that
// its container runtime takes: through the proxy that is wished for it, unless
// NO_PROXY says otherwise. Nothing here can be changed on the host: an endpoint
// is reached, or somebody has to open the way, and then it is said what stood
// in it.
//
// The host is not asked to do anything. Its sshd is asked to forward a
// connection, so that its own resolver, routes and firewall are met, and TLS is
// spoken by the controller; only where sshd forwards nothing are the host's own
// programs used.
var Egress = Task{Name: "egress", Probe: probeEgress, Reach: reachEgress, Read: readEgress, Plan: planEgress}

func probeEgress(inventory.Host) string { return probeEnd }

func reachEgress(h inventory.Host) []remote.Endpoint {
	var all []remote.Endpoint
	for _, e := range h.Egress {
		to := remote.Endpoint{Host: e.Host, Port: e.Port, Registry: isRegistry(h, e)}
		if h.Proxy != nil {
			to.Roots = h.Proxy.CACertificates
			to.Proxy = proxyFor(h.Proxy, e.Host, e.Port)
		}
		for _, r := range h.Registries {
			if host, port := registryAddress(r.Name); host == e.Host && port == e.Port && r.CA != "" {
				to.Roots = append(slices.Clone(to.Roots), r.CA)
			}
		}
		all = append(all, to)
	}
	return all
}

// proxyFor is the proxy on the way of a runtime, which is a program in Go, to
// host:port; nil: it goes straight.
func proxyFor(p *inventory.Proxy, host string, port int) *remote.HTTPProxy {
	u, err := url.Parse(p.HTTPSProxy)
	if p.HTTPSProxy == "" || err != nil {
		return nil
	}
	var direct []string
	for _, d := range p.Direct {
		direct = append(direct, d.Value)
	}
	if inventory.Direct(inventory.ReaderGo, direct, host, port) {
		return nil
	}
	at, err := strconv.Atoi(u.Port())
	if err != nil {
		at = 80
	}
	return &remote.HTTPProxy{Host: u.Hostname(), Port: at, Username: p.Username, Password: p.Password}
}

// registries are those that are known by name. An answer to /v2/ is asked of
// them, for a box on the way that shows a login page answers too.
var registries = []string{"gcr.io", "quay.io", "nvcr.io", "registry.k8s.io", "registry-1.docker.io", "ghcr.io", "runai.jfrog.io"}

func isRegistry(h inventory.Host, e inventory.Endpoint) bool {
	return slices.Contains(registries, e.Host) || strings.HasSuffix(e.Host, ".gcr.io") ||
		slices.ContainsFunc(h.Registries, func(r inventory.Registry) bool {
			host, port := registryAddress(r.Name)
			return host == e.Host && port == e.Port
		})
}

func registryAddress(name string) (host string, port int) {
	host, at, err := net.SplitHostPort(name)
	if err != nil {
		return name, 443
	}
	port, _ = strconv.Atoi(at)
	return host, port
}

// egressFacts are how the way to each endpoint went.
type egressFacts struct {
	Endpoints []remote.Reached `json:"endpoints"`
}

func readEgress(s remote.Section) (Facts, error) {
	if _, err := readBlocks(s); err != nil {
		return nil, err
	}
	f := &egressFacts{}
	var err error
	if f.Endpoints, err = readReached(s); err != nil {
		return nil, err
	}
	return f, nil
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

func planEgress(h inventory.Host, facts Facts) []Finding {
	f := facts.(*egressFacts)
	var found []Finding
	for _, e := range h.Egress {
		subject := net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
		g := Finding{Subject: subject, Want: "reached", Why: e.Why}
		if e.Phase != "" {
			g.Want += " to " + e.Phase
		}
		i := slices.IndexFunc(f.Endpoints, func(r remote.Reached) bool { return r.Endpoint == subject })
		if i < 0 {
			g.State, g.Have = Unknown, "it was not tried"
		} else {
			g.State, g.Have, g.Hint = judgeReached(f.Endpoints[i])
		}
		found = append(found, g)
	}
	return found
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
		if r.Issuer != "" {
			have += ", certificate by " + r.Issuer
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
		return Unmet, "no answer from " + whom + way + by, "a firewall on the way drops it, most often: it has to let " + host + " through"
	case remote.ByProxy:
		have = "the proxy " + r.Through + " did not let it through" + said + by
		switch r.Status {
		case 407:
			return Unmet, have, "the proxy wants a login: give username and password in the proxy block, or let it through without"
		case 403:
			return Unmet, have, "the proxy has to allow CONNECT to " + r.Endpoint
		}
		return Unmet, have, "ask those who run the proxy"
	case remote.NotTrusted:
		have = "its certificate is not trusted" + way
		if r.Issuer != "" {
			have += ", issued by " + r.Issuer
		}
		return Unmet, have + said + by, "where a box on the way looks into TLS, let it pass this host through, or give its authority as ca_certificates in the proxy block"
	case remote.Answer:
		return Unmet, "it does not answer as a registry does" + way + said + by, "something on the way answers in its place, or the registry is out of order"
	}
	return Unknown, fmt.Sprintf("it ended at %q%s", r.Barrier, said), ""
}
