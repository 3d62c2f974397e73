package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
)

// This file is about certificates: which were shown on the way to an endpoint,
// and whether the host trusts them. TLS is spoken here, but it is the host's
// programs that have to trust whoever answers: what this machine trusts and the
// host does not, as the authority of a company that is known to its laptops, must
// not count, and the other way round it does.

// certified is what a server showed.
type certified struct {
	host         string              // that was asked for
	certificates []*x509.Certificate // the server's first
	// anchors are the authorities by which it is trusted here, each enough; nil:
	// it is trusted by what is wished for the host, or not at all.
	anchors []*x509.Certificate
	strange bool // by an authority that is neither wished for the host nor known here
}

func (s *certified) issuer() string {
	of := s.certificates[0].Issuer
	for _, name := range append([]string{of.CommonName}, of.Organization...) {
		if name != "" {
			return Safe(tail(name, 200))
		}
	}
	return Safe(tail(of.String(), 200))
}

func (s *certified) verify(name string, roots *x509.CertPool) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range s.certificates[1:] {
		between.AddCert(c)
	}
	return s.certificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
}

// handshake speaks TLS and checks the certificate as a client would, but knows
// what was shown also where it is not trusted: that is who sits in between.
func handshake(ctx context.Context, conn net.Conn, e Endpoint) (secured *tls.Conn, seen *certified, err error) {
	secured = tls.Client(conn, &tls.Config{
		ServerName: e.Host,
		// Verified below, where the chain is at hand also when it fails.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			seen = &certified{host: e.Host, certificates: s.PeerCertificates}
			if e.Insecure {
				return nil
			}
			if _, err := seen.verify(e.Host, e.roots(x509.NewCertPool())); err == nil {
				return nil
			}
			here, err := x509.SystemCertPool()
			if err != nil {
				here = x509.NewCertPool()
			}
			chains, err := seen.verify(e.Host, e.roots(here))
			var strange x509.UnknownAuthorityError
			seen.strange = errors.As(err, &strange)
			for _, chain := range chains {
				seen.anchors = append(seen.anchors, chain[len(chain)-1])
			}
			return err
		},
	})
	err = secured.HandshakeContext(ctx)
	return secured, seen, err
}

// roots adds what is wished for the host.
func (e Endpoint) roots(to *x509.CertPool) *x509.CertPool {
	for _, pem := range e.Roots {
		to.AppendCertsFromPEM([]byte(pem))
	}
	return to
}

// trusting is e with more that is trusted, also where it is asked for elsewhere.
func (e Endpoint) trusting(pem string) Endpoint {
	e.Roots = append(slices.Clone(e.Roots), pem)
	if e.Image != nil && e.Image.Else != nil {
		image := *e.Image
		image.Else = slices.Clone(image.Else)
		for i := range image.Else {
			image.Else[i] = image.Else[i].trusting(pem)
		}
		e.Image = &image
	}
	return e
}

// hostBundle finds what programs in Go, as runtimes are, read: the first of
// these, and the folders besides.
const hostBundle = `bundle=
for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/pki/tls/cacert.pem /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
	if [ -r "$f" ]; then bundle=$f; break; fi
done
`

// trustThere asks the host about the certificates that were judged here. Most
// are by one of a few authorities, and it is enough to ask for those; only where
// one is by somebody unknown all that the host trusts is fetched.
func (c *Conn) trustThere(ctx context.Context, endpoints []Endpoint, found []Reached) {
	lines, strange := map[string]bool{}, false
	for _, r := range found {
		if r.shown == nil {
			continue
		}
		strange = strange || r.shown.strange
		for _, a := range r.shown.anchors {
			lines[telling(a)] = true
		}
	}
	if len(lines) == 0 && !strange {
		return
	}
	script := hostBundle
	if strange {
		script += "if [ -n \"$bundle\" ]; then cat \"$bundle\"; fi\n"
	}
	if len(lines) > 0 {
		script += "grep -hsxF"
		for _, line := range slices.Sorted(maps.Keys(lines)) {
			script += " -e " + quoteScript(line)
		}
		script += " ${bundle:+\"$bundle\"} /etc/ssl/certs/* /etc/pki/tls/certs/* || :\n"
	}
	section, room := make([]Section, 1), maxLook
	_, err := c.lookFrom(ctx, "", []Probe{{Name: "trust", Script: script, Timeout: whyLimit}}, section, 0, &room)
	if err == nil && section[0].Failure != "" {
		err = errors.New(section[0].Failure)
	}
	has := map[string]bool{}
	for line := range strings.Lines(section[0].Out) {
		has[strings.TrimSpace(line)] = true
	}
	known := func(a *x509.Certificate) bool { return has[telling(a)] }
	for i := range found {
		r := &found[i]
		switch {
		case r.shown == nil || r.shown.anchors == nil:
		case err != nil:
			r.Barrier, r.Said = Lost, Safe("whether the host trusts "+r.Issuer+" could not be asked: "+err.Error())
		case !slices.ContainsFunc(r.shown.anchors, known):
			r.Barrier, r.Status, r.Tokens = NotTrusted, 0, ""
			if r.Image != nil {
				r.Image = &SeenImage{Name: r.Image.Name, At: r.Image.At}
			}
			r.Said = "the host does not trust it; the machine that asks does"
		}
	}
	if !strange || err != nil {
		return
	}
	// What the host trusts by itself is as good as what is wished.
	there := slices.Clone(endpoints)
	for i := range there {
		there[i] = there[i].trusting(section[0].Out)
	}
	c.reachAll(ctx, forwardLimit, there, found, func(i int) bool {
		if found[i].shown == nil || !found[i].shown.strange {
			return false
		}
		_, err := found[i].shown.verify(found[i].shown.host, there[i].roots(x509.NewCertPool()))
		return err == nil
	})
}

// telling is a line that no other certificate's PEM has, and every bundle that
// holds this one: the last full one, of its signature.
func telling(c *x509.Certificate) string {
	lines := strings.Split(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "\n")
	for _, line := range slices.Backward(lines) {
		if len(line) == 64 {
			return line
		}
	}
	return lines[0]
}
