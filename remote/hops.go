package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialsPerHop is how many dials go through one bastion at once.
const dialsPerHop = 10

// forgiveAfter is how long a bastion that could not be reached is not dialled
// again: of five hundred hosts behind it each would wait in vain.
const forgiveAfter = 5 * time.Second

// hops are the connections to bastions, shared by all targets whose way begins
// with the same ones.
type hops struct {
	mu     sync.Mutex
	byPath map[string]*hop
	closed bool
}

// A hop is the connection to the last bastion of a path.
type hop struct {
	slots chan struct{}

	mu     sync.Mutex
	link   *link
	flight *flight
	failed error // the last dial's
	until  time.Time
}

// A flight is a dial under way, which ends when nobody waits for it any more.
type flight struct {
	done    chan struct{}
	link    *link // once done
	err     error
	cancel  context.CancelFunc
	waiters int
}

// path names the bastions and all that decides who they are and who we are to
// them.
func (way route) path() string {
	var b strings.Builder
	for _, e := range way {
		fmt.Fprintf(&b, "%s|%s|%q|%t|%q|%t|%s|%s\n", e.login(), e.hostKeyName, e.knownHosts, e.acceptNew, e.identities, e.explicit, e.agent, e.password.Reveal())
	}
	// A digest, for the password is among it.
	sum := sha256.Sum256([]byte(b.String()))
	return string(sum[:])
}

func (h *hops) get(way route) (*hop, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	path := way.path()
	if h.byPath == nil {
		h.byPath = make(map[string]*hop)
	}
	one := h.byPath[path]
	if one == nil {
		one = &hop{slots: make(chan struct{}, dialsPerHop)}
		h.byPath[path] = one
	}
	return one, nil
}

func (h *hops) close() {
	h.mu.Lock()
	all := h.byPath
	h.byPath, h.closed = nil, true
	h.mu.Unlock()
	for _, one := range all {
		one.close()
	}
}

// forgive lets bastions that were refused be dialled again.
func (h *hops) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.byPath {
		one.mu.Lock()
		one.failed = nil
		one.mu.Unlock()
	}
}

// connect is the connection to the last bastion of a route.
func (h *hops) connect(ctx context.Context, d *Dialer, way route) (*hop, *link, error) {
	one, err := h.get(way)
	if err != nil {
		return nil, nil, err
	}
	l, err := one.connect(ctx, d, way)
	if err != nil {
		return nil, nil, hopError(way[len(way)-1], err)
	}
	return one, l, nil
}

// dial opens a stream to the last endpoint of a route from the one before it.
func (h *hops) dial(ctx context.Context, d *Dialer, way route) (net.Conn, func(), error) {
	last := len(way) - 1
	via, target := way[:last], way[last]
	one, l, err := h.connect(ctx, d, via)
	if err != nil {
		return nil, nil, err
	}
	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	release := func() { <-one.slots }
	dialCtx, cancel := context.WithTimeout(ctx, target.connectTimeout)
	defer cancel()
	conn, err := l.client.DialContext(dialCtx, "tcp", target.address())
	if err != nil {
		release()
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return nil, nil, forwardError(via[last-1], target, l, err)
	}
	return conn, release, nil
}

// hopError names the bastion at which the way ended, once.
func hopError(e endpoint, err error) error {
	var known *Error
	if !errors.As(err, &known) {
		return err
	}
	var named *namedHop
	if errors.As(known.Err, &named) {
		return err
	}
	return &Error{Stage: known.Stage, Err: &namedHop{e.login(), known.Err}, Hint: known.Hint}
}

type namedHop struct {
	login string
	err   error
}

func (n *namedHop) Error() string { return "bastion " + n.login + ": " + n.err.Error() }
func (n *namedHop) Unwrap() error { return n.err }

// forwardError is about a stream that a bastion did not open.
func forwardError(via, target endpoint, l *link, err error) error {
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return &Error{Stage: Connect, Err: fmt.Errorf("bastion %s does not forward to %s: %s", via.login(), target.address(), Safe(refused.Message)),
			Hint: "AllowTcpForwarding and PermitOpen in the bastion's sshd_config decide about it"}
	case errors.As(err, &refused):
		stage := Connect
		message := Safe(refused.Message)
		for _, words := range []string{"not known", "resolution", "Unknown host", "nodename"} {
			if strings.Contains(message, words) {
				stage = Resolve
			}
		}
		return &Error{Stage: stage, Err: fmt.Errorf("%s from bastion %s: %s", target.address(), via.login(), message)}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Stage: Connect, Err: fmt.Errorf("%s from bastion %s: no answer within %s", target.address(), via.login(), target.connectTimeout)}
	case !l.alive():
		return &Error{Stage: Connect, Err: fmt.Errorf("bastion %s: %w", via.login(), l.lostCause())}
	}
	return &Error{Stage: Connect, Err: fmt.Errorf("%s from bastion %s: %w", target.address(), via.login(), err)}
}

// connect is the shared connection, dialled by whoever needs it first.
func (o *hop) connect(ctx context.Context, d *Dialer, way route) (*link, error) {
	o.mu.Lock()
	if o.link != nil && o.link.alive() {
		defer o.mu.Unlock()
		return o.link, nil
	}
	if o.failed != nil && (o.until.IsZero() || time.Now().Before(o.until)) {
		defer o.mu.Unlock()
		return nil, o.failed
	}
	f := o.flight
	if f == nil {
		f = o.launch(ctx, d, way)
	}
	f.waiters++
	o.mu.Unlock()

	select {
	case <-f.done:
		if errors.Is(f.err, context.Canceled) && ctx.Err() == nil {
			return o.connect(ctx, d, way) // those who launched it had left
		}
		return f.link, f.err
	case <-ctx.Done():
		o.mu.Lock()
		defer o.mu.Unlock()
		if f.waiters--; f.waiters == 0 {
			f.cancel()
		}
		return nil, context.Cause(ctx)
	}
}

// launch begins a dial that no single caller's end ends.
func (o *hop) launch(ctx context.Context, d *Dialer, way route) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	o.flight = f
	go func() {
		defer cancel()
		l, err := d.connect(ctx, way)
		f.link, f.err = l, err
		o.mu.Lock()
		defer o.mu.Unlock()
		o.flight = nil
		o.link, o.failed, o.until = l, err, time.Now().Add(forgiveAfter)
		switch {
		case stageIs(err, HostKey), stageIs(err, Authentication):
			o.until = time.Time{} // no better next time, and each try may count against the account
		case errors.Is(err, context.Canceled):
			o.until = time.Now() // nobody waited
		}
		close(f.done)
	}()
	return f
}

func (o *hop) close() {
	o.mu.Lock()
	f := o.flight
	if f != nil {
		f.cancel()
	}
	o.mu.Unlock()
	if f != nil {
		<-f.done
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link != nil {
		o.link.close()
	}
	o.failed = errClosed
	o.until = time.Time{}
}
