package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/crypto/ssh"
)

// startTimeout bounds what comes before our own first word: the login shell's
// start-up files and sudo.
const startTimeout = 30 * time.Second

// maxTalk bounds what is kept of the words before it.
const maxTalk = 16 << 10

// A process is a program on the host, from our first word on.
type process struct {
	session *ssh.Session
	stdin   io.WriteCloser
	events  chan event
	quit    chan struct{} // closed when nobody reads events any more
	closing sync.Once
	gone    chan struct{} // closed when it has ended
	sent    chan struct{} // closed when our own line is on its way
	token   string
	pty     bool

	// Of each stream what comes before the token is noise or sudo's talk.
	found [3]bool
	early [3][]byte
	ahead []event // read with the token
}

// An event is a piece of a stream, or the end of the process.
type event struct {
	fd    int // 1 or 2; 0: it has ended
	data  []byte
	exit  int    // status; -1: ended by a signal or together with the connection
	cause string // "exit status 2", "killed by SIGTERM"
	lost  bool   // the channel ended without a status
}

// word is a fresh random word of letters and digits.
func word() string { return "rp" + strings.ToLower(rand.Text()) }

// begin starts a program as root, or as the user where sudo is not to be used.
// what says, for pipes or for a terminal, the line that the host's shell
// evaluates, and what that line finds on its standard input, which stays open
// where that is nil. begin returns after the host's first word. A host that
// allows few sessions at once (MaxSessions) may still count the last one,
// which has just ended: that is worth another try.
func (c *Conn) begin(ctx context.Context, what func(pty bool) (line string, rest []byte)) (*process, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 20 * time.Millisecond
	return backoff.Retry(ctx, func() (*process, error) {
		p, err := c.beginOnce(ctx, what)
		if err != nil && !errors.Is(err, errRefused) {
			return nil, backoff.Permanent(err)
		}
		return p, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(12))
}

func (c *Conn) beginOnce(ctx context.Context, what func(pty bool) (line string, rest []byte)) (*process, error) {
	for {
		way := c.elevation()
		line, rest := what(way.pty)
		p, err := c.beginAs(ctx, way, line, rest)
		if err == nil || !c.adapt(ctx, way, err) {
			return p, err
		}
	}
}

// beginLine is begin for a line that is the same everywhere.
func (c *Conn) beginLine(ctx context.Context, line string, rest ...byte) (*process, error) {
	return c.begin(ctx, always(line, rest))
}

func always(line string, rest []byte) func(bool) (string, []byte) {
	return func(bool) (string, []byte) { return line, rest }
}

func (c *Conn) beginAs(ctx context.Context, way elevation, line string, rest []byte) (*process, error) {
	token := word()
	p, err := c.start(ctx, way.command(token), token, way.pty)
	if err != nil {
		return nil, err
	}
	line = token + " " + preamble(token, way.pty) + line + "\n"
	input := append([]byte(line), rest...)
	if !way.asks {
		p.send(input, rest != nil)
	}
	if err := c.greet(ctx, p, way); err != nil {
		p.abandon()
		return nil, err
	}
	if way.asks {
		p.send(input, rest != nil)
	}
	return p, nil
}

// preamble sets what every program of ours finds around it.
func preamble(token string, pty bool) string {
	s := "LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}; export LC_ALL PATH; " +
		"unset ENV BASH_ENV CDPATH TMOUT; umask 022; cd /; "
	if !pty {
		s += "echo " + token + " >&2; "
	}
	return s
}

// start sends an exec request and begins to read.
func (c *Conn) start(ctx context.Context, command, token string, pty bool) (*process, error) {
	type result struct {
		p   *process
		err error
	}
	started := make(chan result, 1)
	go func() {
		p, err := c.open(command, token, pty)
		started <- result{p, err}
	}()
	select {
	case r := <-started:
		return r.p, r.err
	case <-ctx.Done():
		// A silent peer answers neither; the connection's end frees this.
		go func() {
			if r := <-started; r.p != nil {
				r.p.abandon()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func (c *Conn) open(command, token string, pty bool) (*process, error) {
	client := c.client()
	session, err := client.NewSession()
	if err != nil {
		return nil, c.sessionError("open a session", err)
	}
	p := &process{session: session, token: token, pty: pty, events: make(chan event), quit: make(chan struct{}), gone: make(chan struct{}), sent: make(chan struct{})}
	var streams [3]io.Reader
	p.stdin, _ = session.StdinPipe() // fail only when set twice
	streams[1], _ = session.StdoutPipe()
	streams[2], _ = session.StderrPipe()
	if pty {
		if err := session.RequestPty("dumb", 24, 80, rawModes); err != nil {
			_ = session.Close()
			return nil, c.sessionError("ask for a terminal", err)
		}
	}
	if err := session.Start(command); err != nil {
		_ = session.Close()
		return nil, c.sessionError("start a program", err)
	}
	var readers sync.WaitGroup
	for fd := 1; fd <= 2; fd++ {
		readers.Go(func() { p.pump(fd, streams[fd]) })
	}
	go func() {
		readers.Wait()
		err := session.Wait()
		close(p.gone)
		p.emit(ended(err))
	}()
	return p, nil
}

// rawModes make a terminal a plain pipe: no echo, no lines, no signals, no
// translation.
var rawModes = ssh.TerminalModes{
	ssh.ECHO: 0, ssh.ECHOE: 0, ssh.ECHOK: 0, ssh.ECHONL: 0, ssh.ICANON: 0, ssh.ISIG: 0, ssh.IEXTEN: 0,
	ssh.ICRNL: 0, ssh.INLCR: 0, ssh.IGNCR: 0, ssh.IXON: 0, ssh.IXOFF: 0, ssh.ISTRIP: 0, ssh.OPOST: 0, ssh.ONLCR: 0,
}

func (p *process) pump(fd int, r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 && !p.emit(event{fd: fd, data: bytes.Clone(buf[:n])}) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *process) emit(e event) bool {
	select {
	case p.events <- e:
		return true
	case <-p.quit:
		return false
	}
}

func ended(err error) event {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return event{cause: "exit status 0"}
	case errors.As(err, &exit) && exit.Signal() != "":
		return event{exit: -1, cause: "killed by SIG" + Safe(exit.Signal())}
	case errors.As(err, &exit):
		return event{exit: exit.ExitStatus(), cause: fmt.Sprintf("exit status %d", exit.ExitStatus())}
	default:
		return event{exit: -1, cause: "ended without a status", lost: true}
	}
}

// errDeadline is next's answer when the deadline it was given has come.
var errDeadline = errors.New("deadline")

// next is the next piece after the token, or the end. A nil deadline never
// comes.
func (p *process) next(ctx context.Context, deadline <-chan time.Time) (event, error) {
	if len(p.ahead) > 0 {
		e := p.ahead[0]
		p.ahead = p.ahead[1:]
		return e, nil
	}
	for {
		select {
		case e := <-p.events:
			if e.fd != 0 && !p.found[e.fd] {
				e.data = p.skipEarly(e.fd, e.data)
				if len(e.data) == 0 {
					continue
				}
			}
			return e, nil
		case <-p.quit:
			return event{}, errClosed
		case <-deadline:
			return event{}, errDeadline
		case <-ctx.Done():
			return event{}, context.Cause(ctx)
		}
	}
}

// unread hands data on to next.
func (p *process) unread(fd int, data []byte) {
	if len(data) > 0 {
		p.ahead = append(p.ahead, event{fd: fd, data: data})
	}
}

// skipEarly keeps what comes before the token's line apart and returns what
// comes after it.
func (p *process) skipEarly(fd int, data []byte) []byte {
	seen := append(p.early[fd], data...)
	before, after, found := bytes.Cut(seen, []byte(p.token))
	if found {
		// The line's end belongs to the token.
		end := bytes.IndexByte(after, '\n')
		if end >= 0 {
			p.found[fd], p.early[fd] = true, before
			return after[end+1:]
		}
	}
	if len(seen) > maxTalk {
		seen = seen[len(seen)-maxTalk:]
	}
	p.early[fd] = seen
	return nil
}

// send writes in the background, for a host that does not read must not keep
// us from hearing it. A terminal cannot be told that the data is over.
func (p *process) send(data []byte, over bool) {
	go func() {
		defer close(p.sent)
		if _, err := p.stdin.Write(data); err == nil && over && !p.pty {
			_ = p.stdin.Close()
		}
	}()
}

// finish waits a moment for a program that has no more to do to be gone, and
// closes the channel: until then it takes one of the sessions that the host
// allows.
func (p *process) finish(ctx context.Context) {
	defer p.close()
	enough := time.NewTimer(2 * time.Second)
	defer enough.Stop()
	for {
		select {
		case <-p.events: // nobody's any more
		case <-p.gone:
			return
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// close ends the channel; what runs on the host is not told.
func (p *process) close() {
	p.closing.Do(func() {
		close(p.quit)
		_ = p.session.Close()
	})
}

// abandon asks the host to end the program, and closes the channel. sudo
// passes the signal on to its child, and timeout to its group.
func (p *process) abandon() {
	p.closing.Do(func() {
		close(p.quit)
		_ = p.session.Signal(ssh.SIGTERM)
		_ = p.session.Close()
	})
}
