package remote

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// A content is what a file is to hold. begin reads it from its start: a second
// way to the host begins anew.
type content struct {
	size  int64
	begin func() (io.Reader, error)
}

func contentOf(s string) content {
	return content{int64(len(s)), func() (io.Reader, error) { return strings.NewReader(s), nil }}
}

// upload makes a file that only root can read, by SFTP, or through a root
// shell where that is off.
func (c *Conn) upload(ctx context.Context, title, file string, content content) error {
	limit := fileTimeout + time.Duration(content.size>>16)*time.Second // at 64 KiB a second
	if c.maySFTP() {
		err := c.uploadSFTP(ctx, limit, file, content)
		if err == nil || ctx.Err() != nil || c.current().lostCause() != nil {
			return wrap(title, err)
		}
		c.dialer.log().Debug("not by SFTP, content goes through the shell", "host", c.target.Name, "cause", err)
	}
	return c.uploadShell(ctx, title, limit, file, content)
}

func wrap(title string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", title, err)
}

func (c *Conn) maySFTP() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.noSFTP && !c.way.pty
}

// sftpServers are where the distributions keep it.
const sftpServers = "/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server " +
	"/usr/libexec/sftp-server /usr/lib/sftp-server /usr/libexec/ssh/sftp-server"

func (c *Conn) uploadSFTP(ctx context.Context, limit time.Duration, file string, content content) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, p, err := c.openSFTP(ctx, limit)
	if err != nil {
		c.mu.Lock()
		c.noSFTP = c.noSFTP || ctx.Err() == nil
		c.mu.Unlock()
		return err
	}
	stop := context.AfterFunc(ctx, p.abandon)
	defer func() {
		_ = client.Close() // which is the server's end of input
		if stop() {
			p.finish(ctx)
		}
	}()
	err = func() error {
		f, err := client.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		r, err := content.begin()
		if err != nil {
			return err
		}
		if _, err := f.ReadFromWithConcurrency(r, 0); err != nil {
			return err
		}
		return f.Close()
	}()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_ = client.Remove(file)
	}
	return err
}

// openSFTP speaks SFTP with root's rights, or the user's own where it is to
// stay itself, with the host's sftp-server as one of our programs: sshd's own
// subsystem would make files that others can read, for SFTP's clients do not
// say with which mode. end lets it end, abandon ends it, from any goroutine.
func (c *Conn) openSFTP(ctx context.Context, limit time.Duration) (client *sftp.Client, p *process, err error) {
	line := "umask 077; for f in " + sftpServers + `; do if [ -x "$f" ]; then ` +
		`if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 ` + strconv.Itoa(seconds(limit)) + ` "$f"; else exec "$f"; fi; fi; done`
	if p, err = c.beginLine(ctx, line); err != nil {
		return nil, nil, err
	}
	select {
	case <-p.sent: // the protocol follows our line
	case <-ctx.Done():
		p.abandon()
		return nil, nil, context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, p.abandon)
	client, err = sftp.NewClientPipe(&processStream{ctx: ctx, p: p}, p.stdin)
	if err != nil || !stop() {
		p.abandon()
		return nil, nil, fmt.Errorf("begin SFTP: %w", orError(err, context.Cause(ctx)))
	}
	return client, p, nil
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// A processStream is a process' standard output as a reader.
type processStream struct {
	ctx  context.Context
	p    *process
	left []byte
}

func (s *processStream) Read(b []byte) (int, error) {
	for len(s.left) == 0 {
		e, err := s.p.next(s.ctx, nil)
		if err != nil {
			return 0, err
		}
		if e.fd == 0 {
			return 0, io.EOF
		}
		if e.fd == 1 {
			s.left = e.data
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// uploadShell sends the content to a root shell's standard input. The shell
// reads its one line byte by byte, so that the content is untouched.
func (c *Conn) uploadShell(ctx context.Context, title string, limit time.Duration, file string, content content) error {
	word1, err := pathWord(file)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	mark := word()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	from, err := content.begin()
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	p, err := c.beginLine(ctx, "umask 077; head -c "+strconv.FormatInt(content.size, 10)+" >"+word1+"; echo "+mark+" $?")
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	defer p.close()
	go func() {
		<-p.sent
		if _, err := io.Copy(p.stdin, from); err == nil && !p.pty {
			_ = p.stdin.Close()
		}
	}()
	var r result
	for {
		e, err := p.next(ctx, nil)
		switch {
		case err != nil:
			p.abandon()
			return fmt.Errorf("%s: %w", title, err)
		case e.fd == 1:
			r.out = appendTail(r.out, e.data, maxOutput)
		case e.fd == 2:
			r.errs = appendTail(r.errs, e.data, maxOutput)
		case e.lost && c.isLost():
			return fmt.Errorf("%s: %w", title, c.lostError())
		default:
			status, found := strings.CutPrefix(strings.TrimSpace(string(r.out)), mark+" ")
			if found && status == "0" {
				return nil
			}
			r.out = nil
			return commandError(title, r, max(e.exit, 1), "the content could not be written")
		}
	}
}
