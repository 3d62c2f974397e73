package remote

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// How long the way to all endpoints of a host may take together, and its parts:
// the way itself, its repetition with the host's tools where nothing is
// forwarded, which is known at once, and what is asked afterwards.
const (
	reachLimit   = 9500 * time.Millisecond
	forwardLimit = 5 * time.Second
	toolsLimit   = 7 * time.Second
	whyLimit     = 2 * time.Second
	// nameLimit is for one name: sshd does nothing else while it asks for it.
	nameLimit = 2 * time.Second
)

// An Endpoint is a server that a host must reach, and the way that the host's
// programs take to it.
type Endpoint struct {
	Host string
	Port int
	// Proxy is the HTTP proxy on the way; nil: straight.
	Proxy *HTTPProxy
	// Registry: it is an image registry, and is asked for /v2/ as container
	// runtimes do, and then for where its tokens come from.
	Registry bool
	// Plain: whoever listens there does not speak TLS, as an NFS server; that it
	// listens is all that is asked.
	Plain bool
	// Insecure: it may speak TLS that nobody can verify, or none, and still is
	// what it was asked to be.
	Insecure bool
	// Roots are certificates, in PEM, that are trusted beside the controller's.
	Roots []string
	// Image is what the registry is asked for beside /v2/; nil: nothing.
	Image *Image
	// Of says whose way it is where there are several; empty: the one that is
	// wished.
	Of string
}

// An HTTPProxy is asked to CONNECT.
type HTTPProxy struct {
	Host     string
	Port     int
	Username string
	Password secret.Text
}

func (p HTTPProxy) address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }
func (e Endpoint) address() string  { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// A Barrier is where the way to an endpoint ended.
type Barrier string

// The barriers, in the order in which they are met.
const (
	Lost       Barrier = "connection"  // the connection to the host was lost
	Forbidden  Barrier = "forwarding"  // the host's sshd forwards nothing, and the host has no tool either
	NoName     Barrier = "dns"         // no address for the name
	Refused    Barrier = "refused"     // nobody listens there
	NoRoute    Barrier = "unreachable" // the network says that there is no way
	Silence    Barrier = "timeout"     // no answer
	ByProxy    Barrier = "proxy"       // the proxy did not let it through
	NoTLS      Barrier = "handshake"   // it shows no certificate: it speaks something else, or is cut off
	NotTrusted Barrier = "tls"         // its certificate is not what it should be
	Unproved   Barrier = "unproved"    // it listens, and the host has no tool that speaks TLS
	Answer     Barrier = "http"        // it does not answer as a registry does
	Login      Barrier = "login"       // it tells only those who log in
	TooMany    Barrier = "limit"       // it has been asked too often
	NoImage    Barrier = "image"       // it has no such image
)

// Reached is how the way to one endpoint went.
type Reached struct {
	Endpoint string  `json:"endpoint"`          // host:port
	Of       string  `json:"of,omitempty"`      // as the Endpoint has it
	Through  string  `json:"through,omitempty"` // the proxy, as host:port; empty: straight
	By       string  `json:"by"`                // the SSH connection, curl…
	Barrier  Barrier `json:"barrier,omitempty"` // empty: reached
	// Proxy says that it is the way to the proxy that ended at the barrier.
	Proxy  bool   `json:"proxy,omitempty"`
	Said   string `json:"said,omitempty"`   // the words of whoever raised the barrier
	Issuer string `json:"issuer,omitempty"` // of the certificate shown
	Status int    `json:"status,omitempty"` // of HTTP, from a registry or a proxy
	Tokens string `json:"tokens,omitempty"` // host:port where a registry sends for tokens
	// Plain says that an insecure one answered without TLS.
	Plain bool `json:"plain,omitempty"`
	// Image is what was seen of the image that was asked for; nil: none was.
	Image *SeenImage `json:"image,omitempty"`

	shown *certified // nil: no certificate was
}

// bySSH is how Reached calls the usual way.
const bySSH = "the SSH connection"

// reach tries all endpoints side by side, through the host's own network: the
// connection is asked to forward, so that the host's resolver, routes, firewall
// and proxy are met, and TLS is spoken here, so that the host needs no tool.
//
// It comes after the look, not beside it: sshd resolves names one after the
// other, and answers nothing else meanwhile, which with a dead name server
// takes longer than a probe may. So the first name goes ahead alone: where it is
// stuck none is sent after it, for each would keep the connection busy for as
// long again, and those who have steps for it waiting.
func (c *Conn) reach(ctx context.Context, endpoints []Endpoint) []Reached {
	found := make([]Reached, len(endpoints))
	ctx, cancel := context.WithTimeout(ctx, reachLimit+c.dialer.patience)
	defer cancel()
	inTime, done := context.WithTimeout(ctx, forwardLimit)
	defer done()
	ahead := slices.IndexFunc(endpoints, Endpoint.byName)
	var first sync.WaitGroup
	stuck := false
	if ahead >= 0 {
		sent := c.current().wire.sent.Load()
		first.Go(func() { found[ahead] = c.reachOne(inTime, endpoints[ahead]) })
		stuck = c.isStuck(inTime, sent)
	}
	if stuck {
		done() // there is nothing to wait for
	}
	c.reachAll(inTime, forwardLimit, endpoints, found, func(i int) bool {
		if stuck && i != ahead {
			found[i] = endpoints[i].triedBy(bySSH)
			found[i].Barrier = Silence
			return false
		}
		return i != ahead
	})
	first.Wait()
	c.reachByTools(ctx, endpoints, found)
	way := c
	if spare := c.explainSilence(ctx, endpoints, found, stuck); spare != nil {
		defer func() { _ = spare.Close() }()
		way = spare
	}
	way.trustThere(ctx, endpoints, found)
	return found
}

// byName reports whether the host has to ask for an address.
func (e Endpoint) byName() bool {
	host := e.Host
	if e.Proxy != nil {
		host = e.Proxy.Host
	}
	return net.ParseIP(host) == nil
}

// triedBy is the way to an endpoint, of which nothing is known yet.
func (e Endpoint) triedBy(by string) Reached {
	r := Reached{Endpoint: e.address(), Of: e.Of, By: by}
	if e.Proxy != nil {
		r.Through = e.Proxy.address()
	}
	if e.Image != nil {
		r.Image = &SeenImage{Name: e.Image.Name}
	}
	return r
}

// isStuck reports whether sshd does nothing any more after what was sent since:
// it waits for a name server.
func (c *Conn) isStuck(ctx context.Context, sent int64) bool {
	ctx, cancel := context.WithTimeout(ctx, nameLimit)
	defer cancel()
	l := c.current()
	for l.wire.sent.Load() == sent { // it is on its way
		select {
		case <-ctx.Done():
			return false
		case <-l.dead:
			return false
		case <-time.After(200 * time.Microsecond):
		}
	}
	answered := make(chan struct{})
	go func() {
		// Refused is an answer too.
		_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil)
		close(answered)
	}()
	select {
	case <-answered:
		return false
	case <-ctx.Done():
		return true
	}
}

// reachAll tries those that are asked for by their place, side by side.
func (c *Conn) reachAll(ctx context.Context, limit time.Duration, endpoints []Endpoint, found []Reached, asked func(int) bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var all sync.WaitGroup
	for i, e := range endpoints {
		if asked(i) {
			all.Go(func() { found[i] = c.reachOne(ctx, e) })
		}
	}
	all.Wait()
}

func (c *Conn) reachOne(ctx context.Context, e Endpoint) Reached {
	if e.Image != nil {
		return c.reachImage(ctx, e)
	}
	conn, r := c.wayTo(ctx, e)
	if conn == nil {
		return r
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if e.Plain {
		return r
	}
	secured, shown, err := handshake(ctx, conn, e)
	if err != nil && e.Insecure && ctx.Err() == nil { // it speaks no TLS
		return c.reachPlain(ctx, e)
	}
	if !e.Insecure {
		r.shown = shown
	}
	switch {
	case shown != nil:
		r.Issuer = shown.issuer()
		if err != nil {
			return r.ended(ctx, NotTrusted, err)
		}
	case errors.Is(err, io.EOF):
		return r.ended(ctx, NoTLS, errors.New("the connection was closed"))
	case err != nil:
		return r.ended(ctx, NoTLS, err)
	}
	if !e.Registry {
		return r
	}
	if err := askRegistry(secured, e, &r); err != nil {
		return r.ended(ctx, Answer, err)
	}
	return r
}

// ended is r, whose way ended at b on an open connection: from there on only a
// deadline ends what waits for the other side.
func (r Reached) ended(ctx context.Context, b Barrier, err error) Reached {
	r.Barrier, r.Said = b, Safe(tail(err.Error(), 300))
	if ctx.Err() != nil {
		r.Barrier, r.Said = Silence, ""
	}
	return r
}

// reachPlain asks an insecure registry without TLS.
func (c *Conn) reachPlain(ctx context.Context, e Endpoint) Reached {
	conn, r := c.wayTo(ctx, e)
	if conn == nil {
		return r
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r.Plain = true
	if err := askRegistry(conn, e, &r); err != nil {
		return r.ended(ctx, Answer, err)
	}
	return r
}

// wayTo opens the way to an endpoint, through its proxy too; where there is no
// connection, it ended at the barrier.
func (c *Conn) wayTo(ctx context.Context, e Endpoint) (net.Conn, Reached) {
	r := e.triedBy(bySSH)
	to := e.address()
	if e.Proxy != nil {
		to = e.Proxy.address()
	}
	conn, err := c.client().DialContext(ctx, "tcp", to)
	if lost := c.current().lostCause(); err != nil && lost != nil {
		r.Barrier, r.Said = Lost, Safe(lost.Error())
		return nil, r
	}
	if err != nil {
		r.Barrier, r.Said = barrierOf(ctx, err)
		r.Proxy = e.Proxy != nil && r.Barrier != Forbidden
		return nil, r
	}
	if e.Proxy == nil {
		return conn, r
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	status, said, err := connectThrough(conn, *e.Proxy, e.address())
	switch {
	case err != nil && ctx.Err() != nil:
		r.Barrier = Silence
	case err != nil:
		r.Barrier, r.Said = ByProxy, Safe(tail(err.Error(), 300))
	case status/100 != 2:
		r.Barrier, r.Status, r.Said = ByProxy, status, said
	default:
		return conn, r
	}
	_ = conn.Close()
	return nil, r
}

// barrierOf is what sshd says of a way that it could not open. OpenSSH passes
// on the words of getaddrinfo and of connect.
func barrierOf(ctx context.Context, err error) (Barrier, string) {
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) {
		if ctx.Err() != nil {
			return Silence, ""
		}
		return Forbidden, Safe(err.Error())
	}
	said := Safe(tail(refused.Message, 300))
	if b := barrierIn(said); b != "" {
		return b, said
	}
	if refused.Reason == ssh.Prohibited {
		return Forbidden, said
	}
	// Servers other than OpenSSH need not say why.
	return NoRoute, said
}

// connectThrough asks a proxy to let us through to an address.
func connectThrough(conn net.Conn, p HTTPProxy, to string) (status int, said string, err error) {
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\nUser-Agent: runai-prep\r\n"
	if p.Username != "" {
		login := base64.StdEncoding.EncodeToString([]byte(p.Username + ":" + p.Password.Reveal()))
		request += "Proxy-Authorization: Basic " + login + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return 0, "", err
	}
	// Read byte by byte: what comes after the head is TLS'.
	response, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return 0, "", fmt.Errorf("its answer to CONNECT is not HTTP: %w", err)
	}
	if response.StatusCode/100 != 2 { // else what follows is no body
		_ = response.Body.Close()
	}
	said = response.Status
	for _, header := range []string{"X-Squid-Error", "Proxy-Authenticate", "Server"} {
		if v := response.Header.Get(header); v != "" {
			said += ", " + header + ": " + v
		}
	}
	return response.StatusCode, Safe(tail(said, 300)), nil
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return o.r.Read(b[:1])
}

// askRegistry asks for /v2/: 200, or 401 with where tokens come from.
func askRegistry(conn net.Conn, e Endpoint, r *Reached) error {
	scheme := "https://"
	if r.Plain {
		scheme = "http://"
	}
	request, err := http.NewRequest(http.MethodGet, scheme+e.address()+"/v2/", nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "runai-prep")
	request.Close = true
	if err := request.Write(conn); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 1<<20)), request)
	if err != nil {
		return fmt.Errorf("its answer is not HTTP: %w", err)
	}
	_ = response.Body.Close()
	r.Status = response.StatusCode
	kind, marked := response.Header.Get("Content-Type"), response.Header.Get("Docker-Distribution-Api-Version") != ""
	if err := notRegistry(response.Status, kind, response.Header.Get("Location")); err != nil && (response.StatusCode/100 != 2 || !marked) {
		return err
	}
	r.Tokens = tokensOf(response.Header.Get("Www-Authenticate"))
	return nil
}

// notRegistry is what an answer to /v2/ says against its being one: of a box on
// the way that shows a page of its own, or sends to one.
func notRegistry(status, kind, location string) error {
	code, _, _ := strings.Cut(status, " ")
	switch u, err := url.Parse(location); {
	case strings.HasPrefix(code, "3") && err == nil && u.Hostname() != "":
		return fmt.Errorf("%s, it sends on to %s", status, u.Host)
	case code != "200" && code != "401":
		return errors.New(status)
	case code == "200" && strings.HasPrefix(kind, "text/html"):
		return fmt.Errorf("%s, with a page for people (text/html)", status)
	}
	return nil
}

// tokensOf is the host:port of a Bearer challenge's realm; empty: there is none.
func tokensOf(challenge string) string {
	_, after, ok := strings.Cut(challenge, `realm="`)
	if !ok || !strings.HasPrefix(strings.ToLower(challenge), "bearer ") {
		return ""
	}
	realm, _, _ := strings.Cut(after, `"`)
	u, err := url.Parse(realm)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return hostPort(u)
}

// reachedText is what a Section carries: a JSON object a line.
func reachedText(found []Reached) string {
	var b strings.Builder
	for _, r := range found {
		line, _ := json.Marshal(r) // strings and numbers always encode
		b.Write(append(line, '\n'))
	}
	return b.String()
}
