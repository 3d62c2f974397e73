package inventory

import (
	"slices"
	"strings"
)

// This file knows where registries send on to. Whoever may reach a registry and
// not these has no image: the registry's own name answers with a manifest, or
// with where to get a token, and the layers come from elsewhere.

// A companion is where an endpoint sends on to, always to port 443.
type companion struct {
	host string
	what string // what it sends there for
	// listed: only in lists of what to allow. It is a name of many, or one of
	// several of which somebody else decides which it is, so that no single host
	// can be asked whether it is reached.
	listed bool
}

var (
	hub = []companion{
		{host: "registry-1.docker.io", what: "images"},
		{host: "auth.docker.io", what: "tokens"},
		{host: "production.cloudflare.docker.com", what: "image layers"},
		// docs.docker.com, "Allowlist for Docker Desktop", names two more.
		{host: "production.cloudfront.docker.com", what: "image layers", listed: true},
		{host: "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com", what: "image layers without a login", listed: true},
	}
	google = []companion{
		{host: "storage.googleapis.com", what: "image layers"},
		{host: "*.pkg.dev", what: "image layers", listed: true}, // where Artifact Registry answers for it
	}
)

// companions by the name of the endpoint that sends to them.
var companions = map[string][]companion{
	"docker.io":            hub,
	"index.docker.io":      hub,
	"registry-1.docker.io": hub,
	"hub.docker.com":       hub,
	"gcr.io":               google,
	"us.gcr.io":            google,
	"eu.gcr.io":            google,
	"asia.gcr.io":          google,
	"k8s.gcr.io":           google,
	"quay.io": { // access.redhat.com, "Firewall changes for container image pulls"
		{host: "cdn.quay.io", what: "image layers"},
		{host: "cdn01.quay.io", what: "image layers"},
		{host: "cdn02.quay.io", what: "image layers"},
		{host: "cdn03.quay.io", what: "image layers"},
	},
	"registry.k8s.io": { // its README: what stands behind it changes at any time
		{host: "*.pkg.dev", what: "images", listed: true},
		{host: "prod-registry-k8s-io-us-east-1.s3.dualstack.us-east-1.amazonaws.com", what: "image layers", listed: true},
	},
	"nvcr.io": {
		{host: "layers.nvcr.io", what: "image layers"},
		{host: "authn.nvidia.com", what: "tokens", listed: true},
		{host: "api.ngc.nvidia.com", what: "tokens", listed: true},
	},
	"ghcr.io": {
		{host: "pkg-containers.githubusercontent.com", what: "image layers"},
	},
}

// Wildcard reports whether the endpoint is all names below a domain: *.pkg.dev.
func (e Endpoint) Wildcard() bool { return strings.HasPrefix(e.Host, "*.") }

// BuiltInEndpoints are the hosts of which the built-in profiles speak, and where
// registries send on to; "*.DOMAIN" is all below a domain. They are everybody's,
// and tell nothing of a site.
func BuiltInEndpoints() []string {
	var all []string
	for _, p := range Profiles() {
		all = append(all, p.endpointHosts()...)
	}
	for from, sends := range companions {
		all = append(all, from)
		for _, c := range sends {
			all = append(all, c.host)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// withCompanions puts after each endpoint where it sends on to, for the same
// hosts and the same phase, unless that is there by itself, or skipped.
func withCompanions(asked, skip []Endpoint) []Endpoint {
	var all []Endpoint
	has := func(list []Endpoint, host string) bool {
		return slices.ContainsFunc(list, func(e Endpoint) bool { return e.Host == host && e.Port == 443 })
	}
	for _, e := range asked {
		all = append(all, e)
		if e.Port != 443 {
			continue
		}
		for _, c := range companions[e.Host] {
			if has(asked, c.host) || has(all, c.host) ||
				slices.ContainsFunc(skip, func(s Endpoint) bool { return covers(s, Endpoint{Host: c.host, Port: 443}) }) {
				continue
			}
			from, _, _ := strings.Cut(e.Why, ": ")
			sends := e.Host + " sends to it for " + c.what
			all = append(all, Endpoint{
				Host: c.host, Port: 443, Phase: e.Phase, Roles: e.Roles, Listed: c.listed,
				Title: "where " + sends, Why: from + ": " + sends,
			})
		}
	}
	return all
}

// isCompanion reports whether one of the endpoints sends on to what is skipped.
func isCompanion(skipped Endpoint, of []Endpoint) bool {
	return slices.ContainsFunc(of, func(e Endpoint) bool {
		return slices.ContainsFunc(companions[e.Host], func(c companion) bool {
			return covers(skipped, Endpoint{Host: c.host, Port: 443})
		})
	})
}
