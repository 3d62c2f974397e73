package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// An elevation is how a program becomes root's.
type elevation struct {
	sudo bool
	asks bool // sudo may ask for the password
	pty  bool // sudo insists on a terminal
}

// command is the exec string: see the package's comment. It must stay a line
// that every login shell reads alike.
func (e elevation) command(token string) string {
	shell := `/bin/sh -c 'echo ` + token + `; read -r m s; [ "$m" = ` + token + ` ] && eval "$s"'`
	switch {
	case !e.sudo:
		return shell
	case e.asks:
		return "env LC_ALL=C sudo -S -p " + prompt(token) + " " + shell
	default:
		return "env LC_ALL=C sudo -n " + shell
	}
}

// prompt must not hold the token itself, which says that the program has begun.
func prompt(token string) string { return "prompt-" + token[2:14] + ":" }

// elevation is the way that is to be used now.
func (c *Conn) elevation() elevation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.way
}

// errNeedsTTY is sudo's requiretty.
var errNeedsTTY = errors.New("sudo wants a terminal")

// errNoSudo is a host without sudo.
var errNoSudo = errors.New("sudo is not installed")

// adapt changes the way to root after a failure that another way may not have,
// and reports whether to try again.
func (c *Conn) adapt(ctx context.Context, way elevation, err error) bool {
	switch {
	case errors.Is(err, errNeedsTTY) && !way.pty:
		way.pty = true
	case errors.Is(err, errNoSudo) && c.isRoot(ctx):
		way = elevation{}
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = way
	return true
}

// isRoot asks the host whether the user, whatever its name, is root.
func (c *Conn) isRoot(ctx context.Context) bool {
	p, err := c.beginAs(ctx, elevation{}, "id -u", nil)
	if err != nil {
		return false
	}
	defer p.close()
	var out []byte
	for {
		e, err := p.next(ctx, nil)
		if err != nil || e.fd == 0 || len(out) > maxTalk {
			return err == nil && strings.TrimSpace(string(out)) == "0"
		}
		if e.fd == 1 {
			out = append(out, e.data...)
		}
	}
}

// greet waits for the program's first word, and answers sudo once.
func (c *Conn) greet(ctx context.Context, p *process, way elevation) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errStartTimeout)
	defer cancel()
	answered := false
	heard := 0 // how much of the talk was there when we answered
	for {
		select {
		case e := <-p.events:
			if e.fd == 0 {
				return c.notStarted(p, way, e)
			}
			rest := e.data
			if !p.found[e.fd] {
				rest = p.skipEarly(e.fd, e.data)
			}
			// What follows a token is the program's own; on stderr it may be here
			// before stdout's first word.
			if p.found[e.fd] {
				p.unread(e.fd, rest)
			}
			if p.found[1] {
				return nil
			}
			if !way.asks {
				continue
			}
			talk := p.talk()
			asked := asksForPassword(talk, p.token, heard)
			switch {
			case asked && answered, answered && sudoRefused(talk[min(heard, len(talk)):]):
				_ = p.stdin.Close()
				return wrongPassword(c.target.User)
			case asked:
				answered, heard = true, len(talk)
				go func() { _, _ = p.stdin.Write([]byte(c.target.Sudo.Password.Reveal() + "\n")) }()
			}
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errStartTimeout) {
				return c.silentStart(p, way)
			}
			return context.Cause(ctx)
		}
	}
}

var errStartTimeout = errors.New("no answer in time")

// talk is what was printed before the program's first word; sudo asks on
// stderr, and on a terminal there is only one stream.
func (p *process) talk() []byte {
	if p.pty {
		return p.early[1]
	}
	return p.early[2]
}

var anyPrompt = regexp.MustCompile(`(?i)(password|passcode|passphrase)[^\n:]*:[ \t]*$`)

// asksForPassword reports whether sudo waits for a password: by our prompt, or
// by one that PAM insists on.
func asksForPassword(talk []byte, token string, from int) bool {
	talk = talk[min(from, len(talk)):]
	return bytes.Contains(talk, []byte(prompt(token))) || anyPrompt.Match(talk)
}

func sudoRefused(talk []byte) bool {
	return bytes.Contains(talk, []byte("try again")) || bytes.Contains(talk, []byte("incorrect password attempt"))
}

func wrongPassword(user string) error {
	return &Error{Stage: SudoStage, Err: fmt.Errorf("wrong password for %s", user),
		Hint: "check sudo { password = … }; it was tried once only, so that the account is not locked"}
}

// notStarted says why a program ended before its first word.
func (c *Conn) notStarted(p *process, way elevation, e event) error {
	if e.lost && c.isLost() {
		return c.lostError()
	}
	talk := string(p.early[2])
	if p.pty {
		talk = string(p.early[1])
	}
	said := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(talk, w) {
				return true
			}
		}
		return false
	}
	last := strings.ReplaceAll(talk, prompt(p.token), "")
	last = Safe(tail(last, 500))
	user := c.target.User
	if !way.sudo {
		if last == "" {
			last = Safe(tail(string(p.early[1]), 500))
		}
		err := fmt.Errorf("the login shell of %s ended before our script began: %s", user, e.cause)
		if last != "" {
			err = fmt.Errorf("%w: %s", err, last)
		}
		return &Error{Stage: Session, Err: err,
			Hint: "the user needs a login shell, and a key without a forced command"}
	}
	switch {
	case said("must have a tty"):
		if way.pty {
			return &Error{Stage: SudoStage, Err: fmt.Errorf("%w, and one did not help: %s", errNeedsTTY, last)}
		}
		return errNeedsTTY
	case e.exit == 127, said("env: "):
		return &Error{Stage: SudoStage, Err: errNoSudo, Hint: "log in as root, or install sudo"}
	case said("incorrect password attempt", "try again", "Authentication failed"):
		return wrongPassword(user)
	case said("not in the sudoers file", "may not run sudo", "not allowed to execute", "not allowed to run sudo", "I'm sorry "):
		return &Error{Stage: SudoStage, Err: fmt.Errorf("%s may not use sudo on this host: %s", user, last),
			Hint: "allow " + user + " to run /bin/sh as root in sudoers"}
	case said("a password is required", "password is required to run sudo", "interactive authentication is required",
		"no password was provided", "a terminal is required", "no tty present"):
		return &Error{Stage: SudoStage, Err: fmt.Errorf("sudo wants a password for %s", user),
			Hint: `set sudo { password = env("SUDO_PASSWORD") }, or allow ` + user + " NOPASSWD in sudoers"}
	}
	if last == "" {
		last = e.cause
	}
	return &Error{Stage: SudoStage, Err: errors.New(last)}
}

func (c *Conn) silentStart(p *process, way elevation) error {
	if way.sudo {
		return &Error{Stage: SudoStage, Err: fmt.Errorf("no answer from sudo within %s: %s", startTimeout, Safe(tail(string(p.talk()), 500)))}
	}
	return &Error{Stage: Session, Err: fmt.Errorf("no answer from the login shell of %s within %s", c.target.User, startTimeout.Round(time.Second)),
		Hint: "a start-up file of the shell may wait for something"}
}
