package lab

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A server is the sshd of one machine: a listener that keeps its port
// through reboots. It is written on x/crypto itself and not on
// gliderlabs/ssh: a reboot has to drop connections, a killed program to end
// in exit-signal, and forwarding to stay among the machines of the fleet.
type server struct {
	machine *Machine
	host    ssh.Signer
	client  ssh.PublicKey // who is let in
	port    int
	forward func(port int) bool // reports whether a port is one of the fleet's

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	closed   bool
	away     bool  // it is just rebooting
	held     *port // where nobody listens

	work sync.WaitGroup
}

// rebootTime is how long a practice host is away, at least.
const rebootTime = 300 * time.Millisecond

func (s *server) listen() error {
	s.mu.Lock()
	s.held.release()
	s.held = nil
	s.mu.Unlock()
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(s.port))
	if err != nil {
		return fmt.Errorf("listen for %s: %w", s.machine.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(l.Close(), net.ErrClosed)
	}
	if s.port == 0 { // set once, for it is read without the lock
		s.port = l.Addr().(*net.TCPAddr).Port
	}
	s.listener = l
	s.work.Go(func() { s.accept(l) })
	return nil
}

func (s *server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed || s.listener != l {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		if d := s.machine.spec.latency; d > 0 {
			c = slowly(c, d)
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.work.Go(func() {
			s.serve(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
		})
	}
}

// hangUp refuses new connections and drops those there are.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
		if !s.closed {
			s.held = holdPort(s.port)
		}
	}
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.held.release()
	s.held = nil
	s.mu.Unlock()
	s.hangUp()
	s.machine.shutdown()
	s.work.Wait()
}

// restart is a reboot as those outside see it.
func (s *server) restart(ctx context.Context) error {
	s.mu.Lock()
	again := s.away
	s.away = true
	s.mu.Unlock()
	if again {
		return nil
	}
	defer func() {
		s.mu.Lock()
		s.away = false
		s.mu.Unlock()
	}()
	s.hangUp()
	s.machine.shutdown()
	t := time.NewTimer(rebootTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.machine.boot()
	return s.listen()
}

// A slowConn delivers everything that is written to it later, in order.
type slowConn struct {
	net.Conn
	delay  time.Duration
	queue  chan late
	once   sync.Once
	closed chan struct{}
}

type late struct {
	due  time.Time
	data []byte
}

func slowly(c net.Conn, delay time.Duration) *slowConn {
	s := &slowConn{Conn: c, delay: delay, queue: make(chan late, 1024), closed: make(chan struct{})}
	go s.deliver()
	return s
}

func (c *slowConn) deliver() {
	for {
		select {
		case l := <-c.queue:
			t := time.NewTimer(time.Until(l.due))
			select {
			case <-t.C:
			case <-c.closed:
				t.Stop()
				return
			}
			if _, err := c.Conn.Write(l.data); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

func (c *slowConn) Write(p []byte) (int, error) {
	select {
	case c.queue <- late{time.Now().Add(c.delay), bytes.Clone(p)}:
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (s *server) config() *ssh.ServerConfig {
	m := s.machine
	config := &ssh.ServerConfig{
		MaxAuthTries:  6,
		ServerVersion: "SSH-2.0-OpenSSH_9.2p1",
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() == m.spec.user && bytes.Equal(key.Marshal(), s.client.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	if m.spec.secret != "" {
		config.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == m.spec.user && subtle.ConstantTimeCompare(password, []byte(m.spec.secret)) == 1 {
				return nil, nil
			}
			return nil, errors.New("wrong password")
		}
	}
	config.AddHostKey(s.host)
	return config
}

func (s *server) serve(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute)) // LoginGraceTime
	conn, channels, requests, err := ssh.NewServerConn(c, s.config())
	if err != nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	defer conn.Close()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { ssh.DiscardRequests(requests) })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for offer := range channels {
		switch offer.ChannelType() {
		case "session":
			ch, reqs, err := offer.Accept()
			if err != nil {
				return
			}
			work.Go(func() { s.session(conn, ch, reqs) })
		case "direct-tcpip":
			work.Go(func() { s.tunnel(ctx, offer) })
		default:
			_ = offer.Reject(ssh.UnknownChannelType, "unsupported channel type")
		}
	}
}

// peer is what a tunnel leads to: another machine of the fleet, or something in
// the machine's world.
func (s *server) peer(ctx context.Context, host string, port int) (net.Conn, *ssh.OpenChannelError) {
	if host != "127.0.0.1" && host != "localhost" {
		return s.machine.reach(host, port)
	}
	var d net.Dialer
	if s.forward(port) {
		if c, err := d.DialContext(ctx, "tcp4", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return c, nil
		}
	}
	return nil, &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "Connection refused"}
}

// tunnel forwards to where a host of the fleet would come, and nowhere else.
func (s *server) tunnel(ctx context.Context, offer ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if ssh.Unmarshal(offer.ExtraData(), &to) != nil {
		_ = offer.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	peer, refused := s.peer(ctx, to.Host, int(to.Port))
	if refused != nil {
		_ = offer.Reject(refused.Reason, refused.Message)
		return
	}
	defer peer.Close()
	ch, reqs, err := offer.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	defer context.AfterFunc(ctx, func() { _ = peer.Close() })()
	relay(ch, peer)
}
