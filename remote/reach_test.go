package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// An authority signs certificates for servers of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// serve is a TLS server on loopback with a certificate for the names.
func (a *authority) serve(t *testing.T, h http.Handler, names ...string) int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	must(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// registryOf answers /v2/ as a registry does that sends for tokens.
func registryOf(realm string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.Header().Set("Www-Authenticate", `Bearer realm="`+realm+`",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
}

// connectProxy is an HTTP proxy that knows some names, wants a login for
// others, and forbids the rest.
func connectProxy(t *testing.T, ports map[string]int) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		port, known := ports[host]
		login := r.Header.Get("Proxy-Authorization")
		switch {
		case r.Method != http.MethodConnect || !known:
			w.Header().Set("X-Squid-Error", "ERR_ACCESS_DENIED 0")
			w.WriteHeader(http.StatusForbidden)
			return
		case strings.HasPrefix(host, "private") && login != "Basic cnVuYWk6YSI6Ig==": // runai:a":"
			w.Header().Set("Proxy-Authenticate", `Basic realm="corp"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		up, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(up, down); _ = up.Close() }()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// silent accepts and says nothing.
func silent(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// plainHTTP speaks no TLS.
func plainHTTP(t *testing.T) int {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// hangsUp ends every connection with its first byte, as firewalls do that look
// at names.
func hangsUp(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestReach(t *testing.T) {
	ours, box := newAuthority(t, "Corp CA"), newAuthority(t, "Blue Box TLS inspection")
	names := []string{"registry.test", "private.test", "odd.test"}
	registry := ours.serve(t, registryOf("https://auth.test/token"), names...)
	notFound := ours.serve(t, http.NotFoundHandler(), names...)
	page := ours.serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "please log in")
	}), names...)
	sends := ours.serve(t, http.RedirectHandler("https://login.test/?to=registry", http.StatusFound), names...)
	intercepted := box.serve(t, http.NotFoundHandler(), names...)
	proxy := &HTTPProxy{Host: "127.0.0.1", Port: connectProxy(t, map[string]int{"registry.test": registry, "private.test": registry, "odd.test": intercepted})}
	login := *proxy
	login.Username, login.Password = "runai", secret.New(`a":"`)
	setup := "printf '127.0.0.1 registry.test private.test odd.test\\n' >>/etc/hosts"
	roots := []string{ours.pem}
	endpoint := func(host string, port int, p *HTTPProxy, isRegistry bool) Endpoint {
		return Endpoint{Host: host, Port: port, Proxy: p, Registry: isRegistry, Roots: roots}
	}
	endpoints := []Endpoint{
		endpoint("registry.test", registry, nil, true),
		endpoint("registry.test", notFound, nil, false),
		endpoint("registry.test", notFound, nil, true),
		endpoint("registry.test", intercepted, nil, true),
		endpoint("registry.test", freePort(t), nil, true),
		endpoint("registry.test", silent(t), nil, true),
		endpoint("no-such-name.invalid", 443, nil, false),
		endpoint("registry.test", 443, proxy, true),
		endpoint("forbidden.test", 443, proxy, false),
		endpoint("private.test", 443, proxy, true),
		endpoint("private.test", 443, &login, true),
		endpoint("odd.test", 443, proxy, true),
		endpoint("registry.test", 443, &HTTPProxy{Host: "127.0.0.1", Port: freePort(t)}, true),
		{Host: "registry.test", Port: silent(t), Plain: true},
		{Host: "registry.test", Port: freePort(t), Plain: true},
		endpoint("registry.test", page, nil, true),
		endpoint("registry.test", sends, nil, true),
		endpoint("registry.test", plainHTTP(t), nil, true),
		endpoint("registry.test", hangsUp(t), nil, false),
	}
	type seen struct {
		barrier Barrier
		proxy   bool
		status  int
		issuer  string
		tokens  string
	}
	want := []seen{
		{"", false, 401, "Corp CA", "auth.test:443"},
		{"", false, 0, "Corp CA", ""},
		{Answer, false, 404, "Corp CA", ""},
		{NotTrusted, false, 0, "Blue Box TLS inspection", ""},
		{Refused, false, 0, "", ""},
		{Silence, false, 0, "", ""},
		{NoName, false, 0, "", ""},
		{"", false, 401, "Corp CA", "auth.test:443"},
		{ByProxy, false, 403, "", ""},
		{ByProxy, false, 407, "", ""},
		{"", false, 401, "Corp CA", "auth.test:443"},
		{NotTrusted, false, 0, "Blue Box TLS inspection", ""},
		{Refused, true, 0, "", ""},
		{},
		{barrier: Refused},
		{Answer, false, 200, "Corp CA", ""},
		{Answer, false, 302, "Corp CA", ""},
		{barrier: NoTLS},
		{barrier: NoTLS},
	}
	// What the host's tools can tell is less: openssl is not given a password,
	// bash knows no TLS and no proxy.
	for _, way := range []string{bySSH, "curl on the host", "openssl on the host", "bash on the host"} {
		t.Run(way, func(t *testing.T) {
			o := sshdOptions{setup: setup}
			if way != bySSH {
				tool, _, _ := strings.Cut(way, " ")
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("SKIP: needs %s (apt-get install %[1]s)", tool)
				}
				o.config = "AllowTcpForwarding no"
				// What a tool trusts is the host's own matter.
				file := filepath.Join(t.TempDir(), "ca.pem")
				write(t, file, ours.pem, 0o644)
				o.setup += "; cat " + file + " >>/etc/ssl/certs/ca-certificates.crt"
			}
			want := slices.Clone(want)
			hide := map[string]string{"openssl on the host": "curl", "bash on the host": "curl openssl"}[way]
			for tool := range strings.FieldsSeq(hide) {
				o.setup += "; [ ! -e /usr/bin/" + tool + " ] || mount --bind /dev/null /usr/bin/" + tool
			}
			for i, e := range endpoints {
				w := &want[i]
				switch {
				case way == bySSH, e.Plain:
				case hide == "":
					w.tokens = ""
					if w.barrier == NotTrusted {
						w.barrier = Unproved // curl does not know what else is to be trusted
					}
				case e.Proxy != nil && (e.Proxy.Username != "" || hide != "curl"):
					*w = seen{barrier: Forbidden}
				case hide != "curl" && (w.status != 0 || w.barrier == "" || w.barrier == NotTrusted || w.barrier == NoTLS || i == 5):
					*w = seen{barrier: Unproved}
				default:
					w.tokens = ""
					if w.barrier == ByProxy {
						w.status = 0
					}
				}
			}
			s := startSSHD(t, o)
			d := newDialer(t)
			d.patience = 12 * time.Second // programs begin late on a busy machine
			conn := dial(t, d, s.target(t, "ops"))
			begun := time.Now()
			sections, err := conn.Look(context.Background(), "", []Probe{
				{Name: "before", Script: "echo before"},
				{Name: "egress", Script: "echo here", Endpoints: endpoints},
			})
			must(t, err)
			if sections[0].Reached != "" || sections[1].Out != "here\n" {
				t.Errorf("%+v", sections)
			}
			if took := time.Since(begun); took > 20*time.Second+d.patience { // ten without it, on a machine that has nothing else to do
				t.Errorf("took %v", took)
			}
			lines := strings.Split(strings.TrimSpace(sections[1].Reached), "\n")
			if len(lines) != len(endpoints) {
				t.Fatalf("%d endpoints, %d lines", len(endpoints), len(lines))
			}
			for i, line := range lines {
				var r Reached
				must(t, json.Unmarshal([]byte(line), &r))
				w, by := want[i], way
				switch {
				case w.barrier == Forbidden:
					by = bySSH
				case endpoints[i].Plain && way != bySSH:
					by = "bash on the host"
				}
				if got := (seen{r.Barrier, r.Proxy, r.Status, r.Issuer, r.Tokens}); got != w || r.By != by || r.Endpoint != endpoints[i].address() {
					t.Errorf("%s\ngot  %+v\nwant %+v", line, got, w)
				}
				if words := map[int]string{15: "text/html", 16: "login.test"}[i]; w.barrier == Answer && !strings.Contains(r.Said, words) {
					t.Errorf("%s\nsays nothing of %s", line, words)
				}
				if strings.Contains(line, "cnVuYWk6") || strings.Contains(line, `a\":\"`) {
					t.Errorf("the password shows: %s", line)
				}
			}
		})
	}
}

// However many endpoints say nothing, a host takes no more than ten seconds, on
// a connection and with the host's tools; and those beside them are found.
func TestManySilent(t *testing.T) {
	ours := newAuthority(t, "Corp CA")
	answers := Endpoint{Host: "registry.test", Port: ours.serve(t, registryOf("https://auth.test/token"), "registry.test"), Registry: true, Roots: []string{ours.pem}}
	for name, config := range map[string]string{"forwarded": "", "by tools": "AllowTcpForwarding no", "some forwarded": fmt.Sprintf("PermitOpen registry.test:%d", answers.Port)} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ca.pem")
			write(t, file, ours.pem, 0o644)
			o := sshdOptions{config: config, setup: "printf '127.0.0.1 registry.test\\n' >>/etc/hosts; cat " + file + " >>/etc/ssl/certs/ca-certificates.crt"}
			if config != "" {
				if _, err := exec.LookPath("curl"); err != nil {
					t.Skip("SKIP: needs curl (apt-get install curl)")
				}
			}
			s := startSSHD(t, o)
			d := newDialer(t)
			d.patience = 12 * time.Second // programs begin late on a busy machine
			conn := dial(t, d, s.target(t, "ops"))
			endpoints := []Endpoint{answers}
			for range 20 {
				endpoints = append(endpoints, Endpoint{Host: "registry.test", Port: silent(t)})
			}
			begun := time.Now() // bounds against twenty waits in a row, not a measure
			found := reachedBy(t, conn, endpoints...)
			if took := time.Since(begun); took > 30*time.Second+d.patience {
				t.Errorf("took %v", took)
			} else {
				t.Log(took)
			}
			for i, r := range found {
				if want := map[bool]Barrier{true: "", false: Silence}[i == 0]; r.Barrier != want {
					t.Errorf("%d: %+v", i, r)
				}
			}
		})
	}
}

// A name server that says nothing makes sshd wait, and all that is asked of it
// afterwards too: one name is sent to it and no more.
func TestNameServerSaysNothing(t *testing.T) {
	var server net.PacketConn
	var err error
	for i := range 50 {
		if server, err = net.ListenPacket("udp", fmt.Sprintf("127.%d.%d.53:53", 60+i, time.Now().Nanosecond()%250)); err == nil {
			break
		}
	}
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	host, _, _ := net.SplitHostPort(server.LocalAddr().String())
	ours := newAuthority(t, "Corp CA")
	port := ours.serve(t, registryOf("https://auth.test/token"), "registry.test")
	s := startSSHD(t, sshdOptions{setup: "printf '127.0.0.1 registry.test\\n' >>/etc/hosts; printf 'nameserver " + host + "\\noptions timeout:4 attempts:2\\n' >/etc/resolv.conf; printf 'hosts: files dns\\n' >/etc/nsswitch.conf"})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var endpoints []Endpoint
	for i := range 20 {
		endpoints = append(endpoints, Endpoint{Host: fmt.Sprintf("host-%d.example.org", i), Port: 443})
	}
	endpoints = append(endpoints, Endpoint{Host: "registry.test", Port: port, Roots: []string{ours.pem}}, Endpoint{Host: "127.0.0.1", Port: port, Plain: true})
	begun := time.Now()
	found := reachedBy(t, conn, endpoints...)
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	for i, r := range found {
		if want := map[bool]Barrier{true: NoName, false: ""}[i < 20]; r.Barrier != want {
			t.Errorf("%+v", r)
		}
	}
	// The connection is of use again when that one name is given up.
	if _, err := conn.shell(context.Background(), "go on", "echo here", 30*time.Second); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 60*time.Second {
		t.Errorf("it was of use again after %v", took)
	}
}

// An insecure registry is what it was asked to be with TLS that nobody can
// verify, and without TLS, but has to be a registry.
func TestReachInsecure(t *testing.T) {
	box := newAuthority(t, "Nobody")
	answers := registryOf("https://auth.test/token")
	plain := httptest.NewServer(answers)
	t.Cleanup(plain.Close)
	port := plain.Listener.Addr().(*net.TCPAddr).Port
	proxy := &HTTPProxy{Host: "127.0.0.1", Port: connectProxy(t, map[string]int{"registry.test": port})}
	for name, config := range map[string]string{"forwarded": "", "by curl": "AllowTcpForwarding no"} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("curl"); err != nil && config != "" {
				t.Skip("SKIP: needs curl (apt-get install curl)")
			}
			s := startSSHD(t, sshdOptions{config: config, setup: "printf '127.0.0.1 registry.test\\n' >>/etc/hosts"})
			conn := dial(t, newDialer(t), s.target(t, "ops"))
			of := func(port int, p *HTTPProxy) Endpoint {
				return Endpoint{Host: "registry.test", Port: port, Registry: true, Insecure: true, Proxy: p}
			}
			want := []Barrier{"", "", "", Answer, Answer, Refused}
			for i, r := range reachedBy(t, conn, of(box.serve(t, answers, "other.test"), nil), of(port, nil), of(port, proxy),
				of(box.serve(t, http.NotFoundHandler(), "other.test"), nil), of(plainHTTP(t), nil), of(freePort(t), nil)) {
				if r.Barrier != want[i] {
					t.Errorf("%d: %+v", i, r)
				}
			}
		})
	}
}

// reachedBy looks through a connection at these alone.
func reachedBy(t *testing.T, c *Conn, endpoints ...Endpoint) []Reached {
	t.Helper()
	sections, err := c.Look(context.Background(), "", []Probe{{Name: "egress", Script: "echo here", Endpoints: endpoints[:1], More: func(s []Section) []Endpoint {
		if s[0].Out != "here\n" {
			t.Errorf("it was asked for more before anything was seen: %+v", s)
		}
		return endpoints[1:]
	}}})
	must(t, err)
	var all []Reached
	for line := range strings.Lines(sections[0].Reached) {
		var r Reached
		must(t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	if len(all) != len(endpoints) {
		t.Fatalf("%d endpoints, %d lines", len(endpoints), len(all))
	}
	return all
}
