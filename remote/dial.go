package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/crypto/ssh"
)

// Dial connects to t, through its bastions, and authenticates. Its error is an
// *Error that says at which stage the way ended, or the context's.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Conn, error) {
	way, err := d.route(t)
	if err != nil {
		return nil, err
	}
	l, err := d.connect(ctx, way)
	if err != nil {
		return nil, err
	}
	c := &Conn{dialer: d, target: t, route: way, link: l}
	c.target.User = way[len(way)-1].user
	c.way = elevation{
		sudo: t.Sudo.Enabled && c.target.User != "root",
		asks: !t.Sudo.Password.IsZero(),
	}
	if !c.way.sudo {
		c.way.asks = false
	}
	return c, nil
}

// Address is where the connection went, as host:port.
func (c *Conn) Address() string { return c.route[len(c.route)-1].address() }

// Close ends the connection and everything that runs through it, the lock too.
// Jobs go on.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	held := c.lock
	c.mu.Unlock()
	c.current().close()
	if held != nil {
		return held.Close()
	}
	return nil
}

// Close ends the connections to bastions.
func (d *Dialer) Close() error {
	d.hops.close()
	return nil
}

func (d *Dialer) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (c *Conn) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

func (c *Conn) client() *ssh.Client { return c.current().client }

var errClosed = errors.New("the connection was closed")

// isLost reports whether the connection has ended. Its channels end a moment
// before it is known to have, so this is for what has failed already.
func (c *Conn) isLost() bool {
	select {
	case <-c.current().dead:
		return true
	case <-time.After(time.Second):
		return false
	}
}

func (c *Conn) lostError() error {
	return &Error{Stage: Session, Err: c.current().lostCause()}
}

// errRefused is a channel that the host did not open.
var errRefused = errors.New("refused")

// sessionError is about a channel that the host refused, or could not answer
// for.
func (c *Conn) sessionError(action string, err error) error {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return &Error{Stage: Session, Err: fmt.Errorf("%s: %w: %s", action, errRefused, Safe(refused.Message)),
			Hint: "MaxSessions in the host's sshd_config may be too low"}
	}
	if c.isLost() {
		return c.lostError()
	}
	return &Error{Stage: Session, Err: fmt.Errorf("%s: %w", action, err)}
}

// connect opens the last link of a route. sshd drops connections at random
// when many log in at once (MaxStartups); that is worth another try.
func (d *Dialer) connect(ctx context.Context, way route) (*link, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 250 * time.Millisecond
	return backoff.Retry(ctx, func() (*link, error) {
		l, err := d.connectOnce(ctx, way)
		if err != nil && !errors.Is(err, errDropped) {
			return nil, backoff.Permanent(err)
		}
		return l, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(5))
}

// errDropped is a server that closed the connection before its greeting.
var errDropped = errors.New("the server closed the connection before its greeting")

func (d *Dialer) connectOnce(ctx context.Context, way route) (*link, error) {
	e := way[len(way)-1]
	algorithms, err := (&hostKeyCheck{ring: &d.ring, e: e}).algorithms()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	var presented []ssh.PublicKey
	for {
		check := &hostKeyCheck{ring: &d.ring, e: e}
		l, err := d.login(ctx, way, check, algorithms)
		switch {
		case err == nil:
			d.log().Debug("connected", "host", e.name, "login", e.login(), "hops", len(way)-1, "took", time.Since(begun))
			return l, nil
		case check.unpinned:
			// A pin does not say of which type its key is: the host may have
			// others than the one it prefers.
			presented = append(presented, check.presented)
			algorithms = without(algorithms, check.presented.Type())
		case len(presented) > 0 && stageIs(err, Handshake):
			return nil, pinMissed(e, presented...) // it has none of another type
		default:
			return nil, err
		}
		if len(algorithms) == 0 {
			return nil, pinMissed(e, presented...)
		}
	}
}

func without(algorithms []string, keyType string) []string {
	drop := strings.Join(keyAlgorithms(keyType), " ")
	var rest []string
	for _, a := range algorithms {
		if !strings.Contains(drop, a) {
			rest = append(rest, a)
		}
	}
	return rest
}

func stageIs(err error, s Stage) bool {
	var e *Error
	return errors.As(err, &e) && e.Stage == s
}

// login opens a connection, through the hops of the route, and authenticates.
func (d *Dialer) login(ctx context.Context, way route, check *hostKeyCheck, algorithms []string) (*link, error) {
	raw, release, err := d.dial(ctx, way)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.handshake(ctx, raw, check, algorithms)
}

// dial opens the byte stream to the last endpoint of a route. release is to be
// called when the handshake over it is done.
func (d *Dialer) dial(ctx context.Context, way route) (conn net.Conn, release func(), err error) {
	e := way[len(way)-1]
	if len(way) > 1 {
		return d.hops.dial(ctx, d, way)
	}
	limited, cancel := context.WithTimeout(ctx, e.connectTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err = dialer.DialContext(limited, "tcp", e.address())
	switch {
	case err == nil:
		return conn, func() {}, nil
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	}
	return nil, nil, dialError(e, err, limited.Err() != nil)
}

func dialError(e endpoint, err error, timedOut bool) error {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return &Error{Stage: Resolve, Err: fmt.Errorf("look up %s: %s", Safe(e.host), Safe(dns.Err)),
			Hint: "check the host's address in the inventory, and DNS here"}
	case timedOut || isTimeout(err):
		return &Error{Stage: Connect, Err: fmt.Errorf("%s: no answer within %s", e.address(), e.connectTimeout)}
	case errors.As(err, &op):
		err = op.Err
	}
	return &Error{Stage: Connect, Err: fmt.Errorf("%s: %w", e.address(), err)}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

var errHandshakeTimeout = errors.New("handshake took too long")

// handshake makes an authenticated link of a byte stream, and closes the
// stream otherwise. Its deadline closes the stream, for streams through a hop
// know no other.
func (d *Dialer) handshake(ctx context.Context, raw net.Conn, check *hostKeyCheck, algorithms []string) (*link, error) {
	e := check.e
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(e.connectTimeout, func() { cancel(errHandshakeTimeout) })
	defer timer.Stop()

	w := newWire(raw)
	auth := &authenticator{ctx: ctx, d: d, e: e, pause: func(t time.Duration) { timer.Reset(orDefault(t, e.connectTimeout)) }}
	defer auth.close()
	stop := context.AfterFunc(ctx, func() {
		_ = raw.Close()
		auth.close()
	})
	config := auth.config()
	config.HostKeyCallback = check.verify
	config.HostKeyAlgorithms = algorithms
	conn, channels, requests, err := ssh.NewClientConn(w, e.hostKeyName, config)
	if !stop() && err == nil {
		err = context.Cause(ctx)
		_ = conn.Close()
	}
	if err == nil {
		return newLink(ssh.NewClient(conn, channels, requests), w, e.keepalive), nil
	}
	_ = raw.Close()
	if outer.Err() != nil {
		return nil, context.Cause(outer)
	}
	return nil, handshakeError(err, e, check, auth, w, errors.Is(context.Cause(ctx), errHandshakeTimeout))
}

// A sayingError is an error that may quote the server.
type sayingError struct{ err error }

func saying(err error) error { return &sayingError{err} }

func (e *sayingError) Error() string { return Safe(e.err.Error()) }
func (e *sayingError) Unwrap() error { return e.err }

func handshakeError(err error, e endpoint, check *hostKeyCheck, auth *authenticator, w *wire, timedOut bool) error {
	switch {
	case check.err != nil:
		return check.err
	case timedOut && check.verified:
		return &Error{Stage: Authentication, Err: fmt.Errorf("no answer within %s", e.connectTimeout)}
	case timedOut:
		return &Error{Stage: Handshake, Err: fmt.Errorf("%s: no answer within %s", e.address(), e.connectTimeout),
			Hint: "is it an SSH server that answers there?"}
	case check.verified:
		return auth.refused(err)
	}
	first := w.first()
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
	switch {
	case strings.HasPrefix(first, "HTTP/"), strings.Contains(err.Error(), "overflow reading version string"):
		err = errors.New("what answers there is no SSH server")
	case closed && !strings.Contains("\n"+first, "\nSSH-"):
		return dropped(e, first)
	}
	return &Error{Stage: Handshake, Err: fmt.Errorf("%s: %w", e.address(), saying(err))}
}

// dropped is about a server that closed the connection before its greeting,
// and may have said why.
func dropped(e endpoint, said string) error {
	failed := &Error{Stage: Handshake, Err: fmt.Errorf("%s: %w", e.address(), errDropped),
		Hint: "sshd does so when many log in at once: see MaxStartups in sshd_config"}
	if said = strings.TrimSpace(said); said != "" {
		failed.Err = fmt.Errorf("%w: %s", failed.Err, Safe(said))
	}
	if strings.Contains(said, "Not allowed at this time") {
		failed.Hint = "sshd does so to addresses from which logins have failed: see PerSourcePenalties in sshd_config"
	}
	return failed
}
