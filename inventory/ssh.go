package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var sshSpec = spec[SSH]{
	{"user", func(s *SSH, in input) { s.User = in.text(userName) }},
	{"port", func(s *SSH, in input) { s.Port = in.port() }},
	{"identity_file", func(s *SSH, in input) { s.IdentityFiles = in.texts(nil) }},
	{"password", func(s *SSH, in input) { s.Password = in.password() }},
	{"known_hosts", func(s *SSH, in input) { s.KnownHosts = in.texts(nil) }},
	{"host_key", func(s *SSH, in input) { s.HostKey = in.text(hostKeyMode) }},
	{"host_key_sha256", func(s *SSH, in input) { s.HostKeySHA256 = in.text(fingerprint) }},
	{"bastion", func(s *SSH, in input) { s.Bastions = in.bastions() }},
	{"connect_timeout", func(s *SSH, in input) { s.ConnectTimeout = in.duration(100*time.Millisecond, 10*time.Minute) }},
	{"keepalive", func(s *SSH, in input) { s.Keepalive = in.duration(time.Second, 10*time.Minute) }},
}

var sudoSpec = spec[Sudo]{
	{"password", func(s *Sudo, in input) { s.Password = in.password() }},
	{"enabled", func(s *Sudo, in input) { s.Enabled = in.boolean() }},
}

func userName(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if strings.Contains(s, ":") {
		return credentialsError("the user name holds a colon, as if a password followed; write the login name alone, and the password as password = env(\"…\")")
	}
	if strings.HasPrefix(s, "-") || strings.ContainsAny(s, `"'/;`) {
		return fmt.Errorf("%q is not a user name; write the login name alone", s)
	}
	return nil
}

func hostKeyMode(s string) error {
	switch s {
	case "strict", "accept-new":
		return nil
	case "off", "no", "none", "false", "ask", "insecure", "ignore":
		return fmt.Errorf("host keys are always verified: there is no %q; use \"accept-new\" to add the keys of hosts seen for the first time, or `runai-prep trust` to look at them first", s)
	}
	return oneOf("strict", "accept-new")(s)
}

func fingerprint(s string) error {
	if !pinRE.MatchString(s) {
		return fmt.Errorf("%q is not a SHA-256 fingerprint; write it as `ssh-keygen -lf` prints it: SHA256: and 43 characters", s)
	}
	return nil
}

func (in input) bastions() []Bastion {
	hops := []Bastion{}
	for _, s := range in.texts(func(s string) error { _, err := parseBastion(s); return err }) {
		b, _ := parseBastion(s)
		if b == (Bastion{}) {
			continue
		}
		if slices.ContainsFunc(hops, func(h Bastion) bool { return h.Host == b.Host && h.Port == b.Port }) {
			in.errorf(in.expr.Range(), "Invalid bastion", "The way leads through %q twice. Name each hop once, in order.", b.Host)
			continue
		}
		hops = append(hops, b)
	}
	return hops
}

// parseBastion reads [user@]host[:port].
func parseBastion(s string) (b Bastion, err error) {
	if strings.Contains(s, "://") {
		return b, fmt.Errorf("%q is a URL; write a hop as user@host:port", s)
	}
	if strings.Contains(s, ",") {
		return b, fmt.Errorf("%q holds a comma; write the hops as a list of strings, in order", s)
	}
	rest := s
	if i := strings.LastIndex(s, "@"); i >= 0 {
		b.User, rest = s[:i], s[i+1:]
		if strings.Contains(b.User, ":") {
			return b, credentialsError("the hop holds a password; use a key or the agent for bastions")
		}
		if err := userName(b.User); err != nil {
			return b, err
		}
	}
	b.Host, b.Port, err = hostPort(rest)
	return b, err
}
