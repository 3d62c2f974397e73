package lab

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// An outside is what the practice hosts' proxy lets them reach: servers by
// name, all behind a box that looks into TLS and signs with the company's own
// authority, as in many a data center.
type outside struct {
	CA        string // the authority, in PEM
	names     map[string]bool
	documents map[string]string // of registries, by name and path

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	mu   sync.Mutex
	leaf map[string]*tls.Certificate
}

// allowedOutside are the names that the practice proxy knows: all that the
// built-in profile of 2020 and the practice images ask for, with what registries
// send on to.
var allowedOutside = []string{
	"runai-charts.storage.googleapis.com", "hub.docker.com", "gcr.io", "quay.io", "prometheus-us-central1.grafana.net", "app.run.ai",
	"storage.googleapis.com", "cdn.quay.io", "cdn01.quay.io", "cdn02.quay.io", "cdn03.quay.io",
	"registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com", "nvcr.io", "layers.nvcr.io",
}

func newOutside() (*outside, error) {
	o := &outside{names: map[string]bool{}, documents: practiceImages(), leaf: map[string]*tls.Certificate{}}
	for _, n := range allowedOutside {
		o.names[n] = true
	}
	var err error
	if o.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Example Corp practice CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Example Corp practice CA"}}, &o.key.PublicKey, o.key)
	if err == nil {
		o.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	o.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return o, nil
}

// certificate is the one that the box shows for a name.
func (o *outside) certificate(name string) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.leaf[name]; c != nil {
		return c, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}, o.cert, &o.key.PublicKey, o.key)
	if err != nil {
		return nil, err
	}
	o.leaf[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: o.key}
	return o.leaf[name], nil
}

// proxy answers on a connection to the practice proxy, which denies a host some
// of the names that it lets others through to.
func (o *outside) proxy(c net.Conn, denied []string) {
	defer c.Close()
	in := bufio.NewReader(c)
	request, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	name, _, _ := net.SplitHostPort(request.Host)
	if request.Method != http.MethodConnect || !o.names[name] || slices.Contains(denied, name) {
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nServer: squid\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	o.serve(c, name)
}

// serve is a server outside: a registry, as far as anybody asks, in which images
// are told of to those with a token.
func (o *outside) serve(c net.Conn, name string) {
	cert, err := o.certificate(name)
	if err != nil {
		return
	}
	secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	defer secured.Close()
	in := bufio.NewReader(secured)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		status, body := "200 OK", ""
		switch document, known := o.documents[name+request.URL.Path]; {
		case name == practiceRegistry && request.URL.Path == "/v2/":
			body = "{}"
		case request.URL.Path == "/token":
			body = `{"token":"practice-token"}`
		case strings.HasPrefix(request.URL.Path, "/v2/") && request.Header.Get("Authorization") != "Bearer practice-token":
			status = "401 Unauthorized\r\nWww-Authenticate: Bearer realm=\"https://" + name + "/token\""
		case known:
			status, body = "200 OK\r\nDocker-Content-Digest: "+digestOf(document), document
		case strings.HasPrefix(request.URL.Path, "/v2/"):
			status = "404 Not Found"
		}
		answer := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n", status, len(body))
		if request.Method != http.MethodHead {
			answer += body
		}
		if _, err := io.WriteString(secured, answer); err != nil || request.Close {
			return
		}
	}
}

// reach connects a machine to something in its world, as its sshd would. What
// cannot be connected to is refused with the words of getaddrinfo and connect.
func (m *Machine) reach(host string, port int) (net.Conn, *ssh.OpenChannelError) {
	no := func(words string) (net.Conn, *ssh.OpenChannelError) {
		return nil, &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: words}
	}
	address := m.resolve(host)
	if address == "" {
		return no("Name or service not known")
	}
	ours, theirs := net.Pipe()
	_, isServer := m.world.servers[address]
	m.mu.Lock()
	silent := m.silent[address]
	m.mu.Unlock()
	switch {
	case silent:
		return no("Connection timed out")
	case isServer && (port == 2049 || port == 111):
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
	case isServer:
		return no("Connection refused")
	case host == practiceRegistry && port == 5000:
		go m.world.outside.serve(theirs, host)
	case m.world.isProxy(m, address, port):
		go m.world.outside.proxy(theirs, m.spec.denied)
	default:
		return no("Connection timed out") // past the proxy there is no way
	}
	return ours, nil
}

// isProxy reports whether a proxy listens at the address.
func (w *world) isProxy(m *Machine, address string, port int) bool {
	for at := range w.proxies {
		host, p, err := net.SplitHostPort(at)
		if err == nil && m.resolve(host) == address && p == fmt.Sprint(port) {
			return true
		}
	}
	return false
}
