package remote

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// silences is how many keepalives may go unanswered.
const silences = 3

// A link is one SSH connection, to a target or to a bastion.
type link struct {
	client *ssh.Client
	wire   *wire
	dead   chan struct{} // closed at its end
	stop   context.CancelFunc

	mu    sync.Mutex
	cause error // why it ended
}

// A wire is a connection that knows when its peer was last heard, and what it
// said first.
type wire struct {
	net.Conn
	heard atomic.Int64 // nanoseconds of time.Now
	sent  atomic.Int64 // bytes

	mu        sync.Mutex
	beginning []byte // the first that was read
}

// maxBeginning is room for a server's greeting and what comes before it.
const maxBeginning = 512

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	w.heard.Store(time.Now().UnixNano())
	return w
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
		w.mu.Lock()
		w.beginning = appendUpTo(w.beginning, b[:n], maxBeginning)
		w.mu.Unlock()
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.sent.Add(int64(n))
	return n, err
}

// first is what the peer said first.
func (w *wire) first() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.beginning)
}

// newLink watches over an established connection until it ends.
func newLink(client *ssh.Client, w *wire, every time.Duration) *link {
	ctx, stop := context.WithCancel(context.Background())
	l := &link{client: client, wire: w, dead: make(chan struct{}), stop: stop}
	go func() {
		err := client.Wait()
		l.lose(fmt.Errorf("lost: %w", saying(err)))
		stop()
		close(l.dead)
	}()
	go l.keepalive(ctx, every)
	return l
}

func (l *link) keepalive(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	asking := make(chan struct{}, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Anything heard counts: an answer may queue behind much output.
		if silent := time.Since(time.Unix(0, l.wire.heard.Load())); silent >= silences*every {
			l.lose(fmt.Errorf("lost: no answer for %s", silences*every))
			l.close()
			return
		}
		select {
		case asking <- struct{}{}:
			go func() {
				// Refused is an answer too.
				_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil)
				<-asking
			}()
		default: // the last is not answered yet
		}
	}
}

// lose notes the first reason for the end.
func (l *link) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = err
	}
}

func (l *link) lostCause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

func (l *link) alive() bool {
	select {
	case <-l.dead:
		return false
	default:
		return true
	}
}

// close ends the connection at once: the wire first, for a polite goodbye
// would wait for a peer that may be frozen.
func (l *link) close() {
	l.lose(errClosed)
	l.stop()
	_ = l.wire.Close()
	_ = l.client.Close()
}
