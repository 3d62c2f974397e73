package tasks

import (
	"net"
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
var Egress = Task{Name: "egress", Probe: probeEgress, Reach: reachEgress, More: presentEndpoints, Read: readEgress, Plan: planEgress}

func probeEgress(h inventory.Host) string {
	if h.Proxy != nil || len(h.Egress) == 0 {
		return probeEnd // with a proxy the proxy's own probe looks at the runtimes
	}
	return probePullers + probeEnd
}

func reachEgress(h inventory.Host) []remote.Endpoint {
	var all []remote.Endpoint
	for _, e := range h.Egress {
		if e.Listed {
			continue
		}
		own := ownRegistry(h, e)
		to := outside(h, e.Host, e.Port)
		to.Registry = own != nil || isPublicRegistry(e.Host)
		if own != nil {
			to.Insecure = own.Insecure
			if own.CA != "" {
				to.Roots = append(slices.Clone(to.Roots), own.CA)
			}
		}
		all = append(all, to)
	}
	return all
}

// registries are those that are known by name. An answer to /v2/ is asked of
// them, for a box on the way that shows a login page answers too.
var registries = []string{"gcr.io", "quay.io", "nvcr.io", "registry.k8s.io", "registry-1.docker.io", "ghcr.io", "runai.jfrog.io"}

func isPublicRegistry(host string) bool {
	return slices.Contains(registries, host) || strings.HasSuffix(host, ".gcr.io")
}

// ownRegistry is the registry block that an endpoint is about; nil: none.
func ownRegistry(h inventory.Host, e inventory.Endpoint) *inventory.Registry {
	for i, r := range h.Registries {
		if host, port := registryAddress(r.Name); host == e.Host && port == e.Port {
			return &h.Registries[i]
		}
	}
	return nil
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

// sentOn is a hint where a registry sends for tokens to somebody whom the
// inventory does not name, so that nobody has tried the way there.
func sentOn(h inventory.Host, r remote.Reached) string {
	if r.Tokens == "" || r.Tokens == r.Endpoint || slices.ContainsFunc(h.Egress, func(e inventory.Endpoint) bool {
		return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) == r.Tokens
	}) {
		return ""
	}
	name := strings.TrimSuffix(r.Tokens, ":443")
	return "it sends for tokens to " + r.Tokens + ", and the way there was not tried: name it in the egress block, allow = [\"" + name + "\"]"
}

func planEgress(h inventory.Host, facts Facts) []Finding {
	f := facts.(*egressFacts)
	var found []Finding
	for _, e := range h.Egress {
		if e.Listed {
			continue
		}
		subject := net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
		g := Finding{Subject: subject, Want: "reached", Why: e.Why}
		if e.Phase != "" {
			g.Want += " to " + e.Phase
		}
		i := slices.IndexFunc(f.Endpoints, func(r remote.Reached) bool { return r.Endpoint == subject && r.Of == "" })
		if i < 0 {
			g.State, g.Have = Unknown, "it was not tried"
		} else {
			r := f.Endpoints[i]
			if g.State, g.Have, g.Hint = judgeReached(r); g.State == OK {
				g.Hint = sentOn(h, r)
			}
			f.today(h, &g)
		}
		found = append(found, g)
	}
	return found
}
