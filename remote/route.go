package remote

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// An endpoint is one SSH server, and everything about reaching it decided: the
// target's wishes first, then ~/.ssh/config, then OpenSSH's defaults.
type endpoint struct {
	name       string // what messages call it
	target     string // the name of the target that it is, or is on the way to
	user, host string
	port       int

	hostKeyName string   // host:port as known_hosts has it
	knownHosts  []string // the first is the one that is added to
	acceptNew   bool
	hashNew     bool
	pin         string // SHA256:…

	identities []string // files
	explicit   bool     // only the identities
	agent      string   // socket; empty: none
	password   secret.Text
	withheld   bool // a bastion that is not given the target's password

	connectTimeout, keepalive time.Duration
}

func (e endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// login is the endpoint as people write it.
func (e endpoint) login() string { return e.user + "@" + e.address() }

// A route is the way to a target: the bastions in order, and the target last.
type route []endpoint

const (
	defaultConnectTimeout = 10 * time.Second
	defaultKeepalive      = 15 * time.Second
	maxHops               = 16
)

// route decides the way to t.
func (d *Dialer) route(t Target) (route, error) {
	target, conf, err := d.endpoint(t, t.Name, Hop{t.User, t.Host, t.Port}, false)
	if err != nil {
		return nil, &Error{Stage: Resolve, Err: err}
	}
	target.pin = t.HostKeySHA256
	jumps := t.Bastions
	if jumps == nil {
		if jumps, err = proxyJump(conf, target); err != nil {
			return nil, &Error{Stage: Resolve, Err: err}
		}
	}
	way := route{target}
	for len(jumps) > 0 {
		if len(way)+len(jumps) > maxHops {
			return nil, &Error{Stage: Resolve, Err: fmt.Errorf("more than %d bastions in a row: does ProxyJump in ssh_config go in a circle?", maxHops)}
		}
		var before []Hop
		for i := len(jumps) - 1; i >= 0; i-- {
			hop, conf, err := d.endpoint(t, jumps[i].Host, jumps[i], true)
			if err != nil {
				return nil, &Error{Stage: Resolve, Err: fmt.Errorf("bastion %s: %w", Safe(jumps[i].Host), err)}
			}
			if hop.user != target.user || len(t.IdentityFiles) > 0 {
				hop.withheld, hop.password = !hop.password.IsZero(), secret.Text{}
			}
			way = append(route{hop}, way...)
			if i > 0 {
				continue // the way to it is the hop before
			}
			if before, err = proxyJump(conf, hop); err != nil {
				return nil, &Error{Stage: Resolve, Err: err}
			}
		}
		jumps = before
	}
	return way, nil
}

// endpoint decides about one server of the way to t: t itself or a bastion,
// for which everything is as for t but user, host and port.
func (d *Dialer) endpoint(t Target, name string, at Hop, bastion bool) (endpoint, settings, error) {
	host := strings.Trim(at.Host, "[]")
	if host == "" || strings.HasPrefix(host, "-") || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || !shown(r) }) {
		return endpoint{}, settings{}, fmt.Errorf("%q is not a host name", host)
	}
	conf, err := d.settingsFor(orElse(name, host), host, at.User)
	if err != nil {
		return endpoint{}, conf, err
	}
	e := endpoint{
		name:           orElse(name, host),
		target:         orElse(t.Name, t.Host),
		user:           orElse(at.User, conf.user),
		host:           host,
		port:           at.Port,
		acceptNew:      t.AcceptNew,
		hashNew:        conf.hashKnownHosts,
		password:       t.Password,
		connectTimeout: orDefault(orDefault(t.ConnectTimeout, conf.connectTimeout), defaultConnectTimeout),
		keepalive:      orDefault(t.Keepalive, defaultKeepalive),
	}
	if e.user == "" && bastion {
		e.user = t.User
	}
	e.user = orElse(e.user, localUser())
	if e.port == 0 {
		e.port = conf.port
	}
	if e.port == 0 {
		e.port = 22
	}
	if conf.hostName != "" {
		// OpenSSH knows only %h and %% here.
		if e.host, err = expandTokens(conf.hostName, host, host, e.port, e.user); err != nil {
			return e, conf, err
		}
	}
	expand := func(path string) (string, error) { return expandTokens(path, host, e.host, e.port, e.user) }

	e.hostKeyName = strings.ToLower(e.address())
	if conf.hostKeyAlias != "" {
		alias, err := expand(conf.hostKeyAlias)
		if err != nil {
			return e, conf, err
		}
		e.hostKeyName = net.JoinHostPort(alias, "22")
	}
	files := t.KnownHosts
	if len(files) == 0 {
		files = conf.knownHosts
		if len(files) == 0 {
			files = []string{"~/.ssh/known_hosts"}
		}
		files = append(files[:len(files):len(files)], "/etc/ssh/ssh_known_hosts")
	}
	for _, f := range files {
		if f, err = expand(f); err != nil {
			return e, conf, err
		}
		e.knownHosts = append(e.knownHosts, f)
	}
	e.explicit = len(t.IdentityFiles) > 0 || conf.identitiesOnly
	files = t.IdentityFiles
	if len(files) == 0 {
		files = conf.identityFiles
	}
	if len(files) == 0 {
		for _, n := range []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"} {
			e.identities = append(e.identities, filepath.Join(homeDir(), ".ssh", n))
		}
	}
	for _, f := range files {
		if f, err = expand(f); err != nil {
			return e, conf, err
		}
		e.identities = append(e.identities, f)
	}
	e.agent, err = agentSocket(conf.identityAgent, expand)
	return e, conf, err
}

// proxyJump reads "[user@]host[:port],…", "ssh://…" or "none".
func proxyJump(conf settings, e endpoint) ([]Hop, error) {
	value := conf.proxyJump
	if value == "" || strings.EqualFold(value, "none") {
		return nil, nil
	}
	value, err := expandTokens(value, e.name, e.host, e.port, e.user)
	if err != nil {
		return nil, err
	}
	var hops []Hop
	for _, one := range strings.Split(value, ",") {
		hop, err := parseHop(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(one), "ssh://"), "/"))
		if err != nil {
			return nil, fmt.Errorf("ProxyJump %s: %w", Safe(value), err)
		}
		hops = append(hops, hop)
	}
	return hops, nil
}

func parseHop(s string) (Hop, error) {
	var h Hop
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		h.User, s = s[:at], s[at+1:]
	}
	h.Host = s
	if host, port, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return h, fmt.Errorf("port %q is none", port)
		}
		h.Host, h.Port = host, n
	}
	h.Host = strings.Trim(h.Host, "[]")
	if h.Host == "" {
		return h, errors.New("no host")
	}
	return h, nil
}
