package inventory

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-version"
)

// plainText refuses what no setting may hold: control characters, which end
// lines early in the files that settings are written into, and bytes that are
// not UTF-8. Every other check begins with it.
func plainText(s string) error {
	if s == "" {
		return errors.New("the value is empty; set it, or leave the attribute out")
	}
	if !utf8.ValidString(s) {
		return errors.New("the value is not valid UTF-8; remove the stray bytes")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("the value holds the control character %U; remove it", r)
		}
	}
	return nil
}

// visible is plain text without Unicode's format characters: nobody sees a zero
// width space or a mark that turns the direction of writing, but programs do.
func visible(s string) error {
	if err := plainText(s); err != nil {
		return err
	}
	for _, r := range s {
		if unicode.Is(unicode.Cf, r) {
			return fmt.Errorf("the value holds the invisible character %U; remove it", r)
		}
	}
	return nil
}

// word is visible text without blanks: fields of fstab(5), of no_proxy and the
// like are separated by them.
func word(s string) error {
	if err := visible(s); err != nil {
		return err
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return fmt.Errorf("%q holds a blank; remove it", s)
	}
	return nil
}

// fstabWord is a word that stands in fstab(5) as it is, and that mount(8) and
// systemd read alike.
func fstabWord(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if i := strings.IndexAny(s, `\"'#`); i >= 0 {
		return fmt.Errorf("%q holds the character %q, which fstab readers do not agree on; rename it", s, s[i])
	}
	return nil
}

// unitWord is a word that can stand in a systemd unit file, an environment file
// and a shell assignment without quoting.
func unitWord(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if i := strings.IndexAny(s, "\\\"'%$`;&|<>(){}"); i >= 0 {
		return fmt.Errorf("%q holds the character %q, which would break the unit and environment files it is written into; remove it", s, s[i])
	}
	return nil
}

var (
	nameRE        = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	hostNameRE    = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	numericRE     = regexp.MustCompile(`^[0-9.]+$`)
	hexRE         = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	fingerprintRE = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
	pinRE         = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}=?$`)
)

// name checks the names of hosts, groups, roles and profiles.
func name(s string) error {
	if len(s) > 253 || !nameRE.MatchString(s) {
		return fmt.Errorf("%q is not a valid name; use letters, digits, '.', '-' and '_', with a letter or digit at both ends", s)
	}
	return nil
}

// zoneRE is what a network interface may be called, more strictly than Linux.
var zoneRE = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// address is a host name or an IP address, without a port.
func address(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if zone := a.Zone(); zone != "" && !zoneRE.MatchString(zone) {
			return fmt.Errorf("%q names %q as its zone, which is no name of an interface", s, zone)
		}
		return nil
	}
	switch {
	case strings.Contains(s, "://"):
		return fmt.Errorf("%q is a URL; write the host name or IP address alone", s)
	case strings.Contains(s, "@"):
		return fmt.Errorf("%q holds a user name; write it as ssh { user = … }", s)
	case strings.HasPrefix(s, "["):
		return fmt.Errorf("%q holds brackets; write an IPv6 address without them", s)
	case strings.Count(s, ":") == 1:
		return fmt.Errorf("%q holds a port; write it as ssh { port = … }", s)
	case numericRE.MatchString(s):
		return fmt.Errorf("%q is not an IP address; write four numbers up to 255, such as 10.0.1.5", s)
	case len(s) > 253 || !hostNameRE.MatchString(s):
		return fmt.Errorf("%q is neither a host name nor an IP address", s)
	}
	return nil
}

// cleanPath is an absolute path without detours.
func cleanPath(s string) error {
	switch err := plainText(s); {
	case err != nil:
		return err
	case !path.IsAbs(s):
		return fmt.Errorf("%q is not an absolute path; begin it with /", s)
	case path.Clean(s) != s:
		return fmt.Errorf("%q is not a clean path; write %q", s, path.Clean(s))
	}
	return nil
}

// cidr is a network such as 10.0.0.0/8, or one address.
func cidr(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not a network; write an address and a prefix length, such as 10.0.0.0/8", s)
	}
	if p.Masked() != p {
		return fmt.Errorf("%q has bits set beyond its prefix length; write %q", s, p.Masked())
	}
	return nil
}

// hostPort splits "host", "host:port" or "[v6]:port". The port is 0 when none
// is named.
func hostPort(s string) (host string, port int, err error) {
	if err := word(s); err != nil {
		return "", 0, err
	}
	host = s
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]"); ok && strings.HasPrefix(s, "[") {
		if host = inner; rest == "" {
			return host, 0, address(host)
		}
		if !strings.HasPrefix(rest, ":") {
			return "", 0, fmt.Errorf("%q is not an address with a port; write [2001:db8::1]:22", s)
		}
		s = "x" + rest
	} else if strings.Count(s, ":") != 1 {
		return host, 0, address(host)
	}
	before, digits, _ := strings.Cut(s, ":")
	if host == s {
		host = before
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is not a port; use a number from 1 to 65535", digits)
	}
	return host, int(n), address(host)
}

// proxyURL is a proxy's address, with a port and without credentials.
func proxyURL(s string) error {
	if err := plainText(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		if strings.Contains(s, "@") {
			return credentialsError("the value is not a URL; write one such as http://proxy.example.com:3128, and the credentials as username = … and password = …")
		}
		return fmt.Errorf("%q is not a URL; write one such as http://proxy.example.com:3128", s)
	}
	if u.User != nil {
		return credentialsError("the URL holds credentials, which would end in files that everybody reads; write username = … and password = … beside it")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q has the scheme %q; a proxy's URL begins with http:// or https://", s, u.Scheme)
	}
	if u.Port() == "" {
		return fmt.Errorf("%q names no port, and programs do not agree on a default; add it, such as %s://%s:3128", s, u.Scheme, u.Host)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q goes on after the port; write %s://%s", s, u.Scheme, u.Host)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not a port; use a number from 1 to 65535", u.Port())
	}
	if err := address(u.Hostname()); err != nil {
		return err
	}
	return unitWord(s)
}

// httpURL is the address of a mirror.
func httpURL(s string) error {
	if err := unitWord(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not a URL; write one such as http://mirror.example.com/cuda", s)
	case u.User != nil:
		return credentialsError("the URL holds credentials, which plans and results would show; use a mirror that needs none")
	case !slices.Contains([]string{"http", "https", "file"}, u.Scheme):
		return fmt.Errorf("%q has the scheme %q; use http, https or file", s, u.Scheme)
	}
	return nil
}

// noProxy is a host, a domain, an address or a network that is reached without
// the proxy.
func noProxy(s string) error {
	if err := unitWord(s); err != nil {
		return err
	}
	switch {
	case s == "*":
		return nil
	case strings.Contains(s, ","):
		return fmt.Errorf("%q holds a comma; write a list of strings, one for each", s)
	case strings.Contains(s, "/"):
		return cidr(s)
	}
	host := strings.TrimPrefix(strings.TrimPrefix(s, "*"), ".")
	_, _, err := hostPort(host)
	return err
}

// constraint is a version constraint as Terraform writes them.
func constraint(s string) error {
	if err := plainText(s); err != nil {
		return err
	}
	if _, err := version.NewConstraint(s); err != nil {
		return fmt.Errorf("%q is not a version constraint; write one such as \">= 1.15\" or \">= 535.104, < 536\"", s)
	}
	return nil
}

// Compatible reports whether v fulfils the constraint c; an empty constraint
// is fulfilled by every version. It fails when either cannot be read.
func Compatible(c, v string) (bool, error) {
	got, err := version.NewVersion(v)
	if err != nil {
		return false, fmt.Errorf("read version: %w", err)
	}
	if c == "" {
		return true, nil
	}
	want, err := version.NewConstraint(c)
	if err != nil {
		return false, fmt.Errorf("read constraint: %w", err)
	}
	return want.Check(got), nil
}

// versionText is one version.
func versionText(s string) error {
	if err := word(s); err != nil {
		return err
	}
	if _, err := version.NewVersion(s); err != nil {
		return fmt.Errorf("%q is not a version; write one such as \"1.17\"", s)
	}
	return nil
}

// authority checks PEM text for certificates that can sign others now.
func authority(now time.Time) func(string) error {
	return func(s string) error {
		rest, found := []byte(s), 0
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if strings.Contains(block.Type, "PRIVATE KEY") {
				return errors.New("the PEM text holds a private key, which must never leave its owner; give the certificate alone")
			}
			if block.Type != "CERTIFICATE" {
				return fmt.Errorf("the PEM text holds a %q; give certificates alone", block.Type)
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return errors.New("the PEM text holds a certificate that cannot be parsed; export it anew")
			}
			who := fmt.Sprintf("the certificate of %q", c.Subject)
			switch {
			case !c.IsCA:
				return fmt.Errorf("%s is not one of a certificate authority; give that of its issuer %q", who, c.Issuer)
			case now.After(c.NotAfter):
				return fmt.Errorf("%s expired on %s; give its successor", who, c.NotAfter.Format(time.DateOnly))
			case now.Before(c.NotBefore):
				return fmt.Errorf("%s is not valid before %s; give the one in use, and look at this machine's clock", who, c.NotBefore.Format(time.DateOnly))
			}
			found++
		}
		if found == 0 {
			return errors.New("the text is not a PEM certificate; read one with file(\"ca.pem\")")
		}
		return nil
	}
}
