//go:build linux

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/report"
)

// A world is what lies outside the hosts of a test: names, each with an address
// of its own on the bridge, somebody who answers there or nobody, and a firewall
// on the way. A name server knows none of the names: hosts find them in /etc/hosts.
type world struct {
	t     *testing.T
	lab   *Lab
	known *signer // whom everybody trusts
	names map[string]string
	order []string
}

// withCurl is a host that has curl, to ask with something else than the product.
var withCurl = layer("curl", `apt-get update -qq
apt-get install -y -qq --no-install-recommends curl
apt-get clean`, base)

func newWorld(t *testing.T) *world {
	t.Helper()
	unavailable(t, missingPrograms("nft", "nftables"))
	w := &world{t: t, lab: New(t), known: newSigner(t, "Public Root"), names: map[string]string{}}
	w.resolver()
	return w
}

// name gives names an address each, and returns the last.
func (w *world) name(names ...string) (address string) {
	w.t.Helper()
	for _, name := range names {
		address = fmt.Sprintf("10.77.0.%d", 101+len(w.names))
		w.names[name] = address
		w.order = append(w.order, name)
		if out, err := w.lab.Command(w.t.Context(), "ip", "addr", "add", address+"/24", "dev", "br0").CombinedOutput(); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
	return address
}

// serve has somebody speak TLS as a name. Where the name is not there yet it is
// made.
func (w *world) serve(name string, as *tls.Config, h http.Handler) {
	w.t.Helper()
	if w.names[name] == "" {
		w.name(name)
	}
	w.listen(w.names[name]+":443", func(l net.Listener) { serveHTTP(tls.NewListener(l, as), h) })
}

// listen hands a listener to somebody until the test ends.
func (w *world) listen(address string, serve func(net.Listener)) {
	w.t.Helper()
	l, err := w.lab.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	go serve(l)
}

func serveHTTP(l net.Listener, h http.Handler) {
	_ = (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}).Serve(l)
}

// hosts is /etc/hosts of a host that is to know the world's names.
func (w *world) hosts(more ...string) string {
	text := "127.0.0.1 localhost\n"
	for _, name := range w.order {
		text += w.names[name] + " " + name + "\n"
	}
	return text + strings.Join(more, "\n") + "\n"
}

// host has curl, the world's names, and trusts whom everybody trusts.
func (w *world) host(name string, opts ...Option) *Machine {
	w.t.Helper()
	return w.lab.Host(w.t, name, append([]Option{
		func(o *options) { o.layers = append(o.layers, withCurl) },
		File("/etc/hosts", w.hosts("127.0.1.1 "+name), 0o644),
		File("/etc/resolv.conf", "nameserver "+Controller+"\n", 0o644),
		File("/usr/share/ca-certificates/e2e.crt", w.known.pem, 0o644),
		// As update-ca-certificates would have it, and will.
		Setup(func(root string) error {
			return errors.Join(appendFile(root+"/etc/ca-certificates.conf", "e2e.crt\n"), appendFile(root+bundle, w.known.pem))
		}),
	}, opts...)...)
}

// bundle is what programs of Debian trust.
const bundle = "/etc/ssl/certs/ca-certificates.crt"

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// controller trusts whom everybody trusts, too.
func (w *world) controller(machines ...*Machine) *controller {
	w.t.Helper()
	c := newController(w.t, w.lab, machines, "SSL_CERT_FILE="+filepath.Join(w.lab.Dir, "public.pem"), "SSL_CERT_DIR=/nonexistent")
	c.write("public.pem", w.known.pem)
	return c
}

// firewall replaces the rules by which the network judges what comes in from
// hosts, and shows what nft made of them.
func (w *world) firewall(rules ...string) string {
	w.t.Helper()
	nft := func(stdin string, args ...string) string {
		cmd := w.lab.Command(w.t.Context(), "nft", args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			w.t.Fatalf("nft %q: %v: %s", stdin, err, out)
		}
		return string(out)
	}
	nft("flush ruleset\ntable inet e2e {\nchain in {\ntype filter hook input priority 0\n"+strings.Join(rules, "\n")+"\n}\n}\n", "-f", "-")
	return nft("", "list", "ruleset")
}

// resolver is a name server that knows no name.
func (w *world) resolver() {
	w.t.Helper()
	conn, err := inNamespace(w.lab.name, func() (net.PacketConn, error) { return net.ListenPacket("udp", Controller+":53") })
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	go func() {
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if n < 12 {
				continue
			}
			answer := bytes.Clone(question[:n])
			answer[2], answer[3] = 0x81, 0x83 // an answer: NXDOMAIN
			_, _ = conn.WriteTo(answer, from)
		}
	}()
}

// egress are the findings about endpoints of one host, by endpoint.
func egressOf(r report.Result, host string) map[string]report.Finding {
	found := map[string]report.Finding{}
	for _, h := range r.Hosts {
		for _, f := range h.Findings {
			if h.Name == host && f.Task == "egress" {
				found[f.Subject] = f
			}
		}
	}
	return found
}

// A case of what a finding is to say.
type said struct {
	state string
	words []string // in what it has, or the hint
}

func says(state string, words ...string) said { return said{state, words} }

// holds compares findings with what they are to say; all of them are named.
func holds(t *testing.T, found map[string]report.Finding, want map[string]said) {
	t.Helper()
	for subject, f := range found {
		s, ok := want[subject]
		if !ok {
			t.Errorf("a finding about %s: %s", subject, f.Have)
			continue
		}
		text := f.Have + "\n" + f.Hint
		if f.State != s.state || slices.ContainsFunc(s.words, func(w string) bool { return !strings.Contains(text, w) }) {
			t.Errorf("%s is %s: %s\n\thint: %s\n\twant %s with %q", subject, f.State, f.Have, f.Hint, s.state, s.words)
		} else {
			t.Logf("%s is %s: %s", subject, f.State, f.Have)
		}
	}
	for subject := range want {
		if _, ok := found[subject]; !ok {
			t.Errorf("no finding about %s", subject)
		}
	}
}

// A signer is an authority that issues a certificate for whatever name it is
// asked for, as a box does that looks into TLS.
type signer struct {
	pem  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	issued map[string]*tls.Certificate
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	s := &signer{issued: map[string]*tls.Certificate{}}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der := s.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	s.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return s
}

// sign cannot fail with templates such as these.
func (s *signer) sign(template *x509.Certificate) []byte {
	now := time.Now()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(now.UnixNano()), now.Add(-time.Hour), now.Add(24*time.Hour)
	parent := s.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &s.key.PublicKey, s.key)
	if err != nil {
		panic(err)
	}
	return der
}

// certificate is issued for a name, once.
func (s *signer) certificate(name string) *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issued[name] == nil {
		der := s.sign(&x509.Certificate{
			Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		s.issued[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s.key}
	}
	return s.issued[name]
}

func (s *signer) config() *tls.Config {
	return &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate(h.ServerName), nil }}
}

// answer is a server that says one thing, whatever it is asked.
func answer(status int, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
	})
}
