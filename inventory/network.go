package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

var proxySpec = spec[Proxy]{
	{"http_proxy", func(p *Proxy, in input) { p.HTTPProxy = in.text(proxyURL) }},
	{"https_proxy", func(p *Proxy, in input) { p.HTTPSProxy = in.text(proxyURL) }},
	{"username", func(p *Proxy, in input) { p.Username = in.text(visible) }},
	{"password", func(p *Proxy, in input) { p.Password = in.password() }},
	{"no_proxy", func(p *Proxy, in input) { p.NoProxy = in.texts(noProxy) }},
	{"ca_certificates", func(p *Proxy, in input) { p.CACertificates = in.certificates() }},
	{"targets", func(p *Proxy, in input) {
		p.Targets = in.texts(oneOf("environment", "apt", "dnf", "zypper", "containerd", "docker", "crio", "kubelet"))
	}},
}

var squidSpec = spec[Squid]{
	{"port", func(s *Squid, in input) { s.Port = in.port() }},
	{"clients", func(s *Squid, in input) { s.Clients = in.networks() }},
}

var registrySpec = spec[Registry]{
	{"mirror_of", func(r *Registry, in input) { r.MirrorOf = in.texts(registryName) }},
	{"ca", func(r *Registry, in input) { r.CA = strings.Join(in.certificates(), "\n") }},
	{"insecure", func(r *Registry, in input) { r.Insecure = in.boolean() }},
}

// egress is what egress blocks say; with the profile it becomes []Endpoint.
type egress struct {
	allow, skip []Endpoint
	skipped     input // for messages about skip
}

var egressSpec = spec[egress]{
	{"allow", func(e *egress, in input) { e.allow = in.endpoints(parseEndpoint) }},
	{"skip", func(e *egress, in input) { e.skip, e.skipped = in.endpoints(parseSkipped), in }},
}

// certificates are PEM texts. They have lines, so plainText is not asked.
func (in input) certificates() []string { return in.texts(authority(in.now)) }

// networks are CIDRs; one address is a network of one.
func (in input) networks() []string {
	list := in.texts(cidr)
	for i, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			list[i] = netip.PrefixFrom(a, a.BitLen()).String()
		}
	}
	return list
}

func (in input) endpoints(parse func(string) (Endpoint, error)) []Endpoint {
	list := []Endpoint{}
	for _, s := range in.texts(func(s string) error { _, err := parse(s); return err }) {
		if e, err := parse(s); err == nil {
			e.Why = in.why
			list = append(list, e)
		}
	}
	return list
}

// parseEndpoint reads host[:port][/path]. The path is dropped: what a proxy or
// a firewall sees of TLS is the host. The port is 0 when none is named.
func parseEndpoint(s string) (e Endpoint, err error) {
	if strings.Contains(s, "://") {
		return e, fmt.Errorf("%q is a URL; write host or host:port, such as quay.io or registry.example.com:5000", s)
	}
	if strings.Contains(s, "*") {
		return e, fmt.Errorf("%q is a pattern, which cannot be looked at from a host; name each host", s)
	}
	if err := unitWord(s); err != nil {
		return e, err
	}
	authority, path, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(strings.Trim(authority, "[]")); err == nil && path != "" && path[0] >= '0' && path[0] <= '9' {
		return e, fmt.Errorf("%q is a network, which cannot be looked at from a host; name each host", s)
	}
	e.Host, e.Port, err = hostPort(authority)
	e.Host = strings.ToLower(e.Host)
	return e, err
}

// parseSkipped also reads *.pkg.dev, which is in lists of what to allow.
func parseSkipped(s string) (Endpoint, error) {
	name, wild := strings.CutPrefix(s, "*.")
	e, err := parseEndpoint(name)
	if wild {
		e.Host = "*." + e.Host
	}
	return e, err
}

func registryName(s string) error {
	if strings.Contains(s, "://") || strings.Contains(s, "/") {
		return fmt.Errorf("%q is not a registry; write host or host:port, without scheme or path", s)
	}
	if err := unitWord(s); err != nil {
		return err
	}
	_, _, err := hostPort(s)
	return err
}

// checkProxy finds what only the whole of a proxy block shows.
func (l *loader) checkProxy(p *Proxy, layers []*layer) {
	top := layers[len(layers)-1]
	if !said(layers, "http_proxy") && !said(layers, "https_proxy") {
		l.checkTransparent(layers)
		return
	}
	switch {
	case !said(layers, "username") && !p.Password.IsZero():
		l.errorf(top.rng, "Proxy without user name", "The proxy has a password but no user name. Add username = ….")
	case p.Username != "" && !said(layers, "password"):
		l.warnf(top.rng, "Proxy without password", "The proxy has a user name but no password, and so is asked with an empty one. Add password = env(\"PROXY_PASSWORD\"), or leave the user name out.")
	}
}

// checkTransparent is about a block that names no proxy: certificates may stand
// alone, for a box that looks into TLS on the way; what is about a proxy may not.
func (l *loader) checkTransparent(layers []*layer) {
	top := layers[len(layers)-1]
	var idle []string
	for _, name := range []string{"username", "password", "no_proxy"} {
		if said(layers, name) {
			idle = append(idle, name)
		}
	}
	switch {
	case !said(layers, "ca_certificates") || saidEmpty(layers, "ca_certificates"):
		l.errorf(top.rng, "Proxy without URL", "The proxy has neither http_proxy nor https_proxy. Add one; or give ca_certificates alone, where a box on the way looks into TLS without being a proxy; or take the block away with enabled = false.")
	case idle != nil:
		l.errorf(top.rng, "Proxy without URL", "The block names no proxy, so that %s would have no effect. Add http_proxy or https_proxy; or leave nothing but ca_certificates and targets, where a box on the way looks into TLS without being a proxy.", strings.Join(idle, " and "))
	}
}

func (l *loader) checkRegistry(r Registry, layers []*layer) {
	top := layers[len(layers)-1]
	if r.Insecure && r.CA != "" {
		l.warnf(top.rng, "Insecure registry with a CA", "With insecure = true nothing is verified, so ca has no effect. Remove insecure.")
	}
	for _, m := range r.MirrorOf {
		if m == r.Name {
			l.errorf(top.rng, "Registry mirrors itself", "The registry %q is named as a mirror of itself. Remove it from mirror_of.", r.Name)
		}
	}
}

// endpoints are the profile's for the role and those of images, less skip, plus
// allow, and where these send on to.
func (l *loader) endpoints(p *Profile, role string, layers []*layer, images []Endpoint) []Endpoint {
	var e egress
	if len(layers) > 0 {
		if _, on := fold(egressSpec, layers, &e); !on {
			return nil
		}
	}
	for _, s := range e.skip {
		known := false
		for _, from := range [][]Endpoint{p.Endpoints, e.allow, images} {
			known = known || isCompanion(s, from)
		}
		for _, have := range slices.Concat(p.Endpoints, images) {
			known = known || covers(s, have)
		}
		if !known {
			l.warnf(e.skipped.expr.Range(), "Nothing to skip", "The profile %q has no endpoint %s.%s", p.Name, quoteEndpoint(s), didYouMean(s.Host, p.endpointHosts()))
		}
	}
	var list []Endpoint
	seen := map[string]bool{}
	take := func(have Endpoint) {
		if have.Port == 0 {
			have.Port = 443
		}
		if key := fmt.Sprint(have.Host, " ", have.Port); !seen[key] {
			seen[key] = true
			list = append(list, have)
		}
	}
	takeUnlessSkipped := func(have Endpoint) {
		if !slices.ContainsFunc(e.skip, func(s Endpoint) bool { return covers(s, have) }) {
			take(have)
		}
	}
	for _, have := range p.Endpoints {
		if l.needs(p, role, have) {
			takeUnlessSkipped(have)
		}
	}
	for _, a := range e.allow {
		take(a)
	}
	for _, i := range images {
		takeUnlessSkipped(i)
	}
	return withCompanions(list, e.skip)
}

// covers reports whether skipping s skips have: without a port, all of them.
func covers(s, have Endpoint) bool {
	return s.Host == have.Host && (s.Port == 0 || s.Port == have.Port)
}

func quoteEndpoint(e Endpoint) string {
	if e.Port == 0 {
		return fmt.Sprintf("%q", e.Host)
	}
	return fmt.Sprintf("\"%s:%d\"", e.Host, e.Port)
}
