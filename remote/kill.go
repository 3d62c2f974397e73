package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A family is how a host tells what an exec of ours has started: the process
// group of the shell that reads our script, and its session, for a program may
// go into a group of its own, as timeout does. Each comes with its leader's
// start time, by which it is known not to be another one's by now. What is not
// above zero is not known.
type family struct{ group, born, session, sessionBorn int }

// upToStart are the fields of /proc/PID/stat before the start time.
var upToStart = strings.TrimSpace(strings.Repeat("x ", 21))

// familyScript finds a shell's own family: $g $s $d $e.
var familyScript = `g= s= d= e=
if [ -r /proc/self/stat ]; then read -r x x x x g d x </proc/self/stat; fi
if [ -r "/proc/$g/stat" ]; then read -r ` + upToStart + ` s x <"/proc/$g/stat"; fi
if [ -r "/proc/$d/stat" ]; then read -r ` + upToStart + ` e x <"/proc/$d/stat"; fi
`

// kill ends a family on the host from a second exec: a signal through the
// channel does not reach what sudo made root's.
func (c *Conn) kill(f family, mercy, within time.Duration) {
	if f.group < 2 { // the host's word reaches a kill as root: 1 would mean everything
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if c.elevation().pty {
		mercy = 0 // the terminal's hang-up would end the killer
	}
	line := always(f.killLine(mercy), nil)
	p, err := c.beginOnce(ctx, line)
	if errors.Is(err, errRefused) {
		// With MaxSessions 1 the session is the one that hangs.
		spare, errSpare := c.again(ctx)
		if errSpare != nil {
			return
		}
		defer func() { _ = spare.Close() }()
		p, err = spare.beginOnce(ctx, line)
	}
	if err != nil {
		return
	}
	defer p.close()
	for {
		// With mercy its first word says that it goes on without us.
		if e, err := p.next(ctx, nil); err != nil || e.fd == 0 || mercy > 0 {
			return
		}
	}
}

// again is another connection to the same host.
func (c *Conn) again(ctx context.Context) (*Conn, error) {
	l, err := c.dialer.connect(ctx, c.route)
	if err != nil {
		return nil, err
	}
	return &Conn{dialer: c.dialer, target: c.target, route: c.route, link: l, way: c.elevation()}, nil
}

// killLine kills the group, and the other groups of its session but the one of
// the session's leader: sudo and the login shell are to end by themselves, with
// what they have to tidy up.
//
// The group is left alone when its leader is not the process it was, the rest
// of the session likewise, and also when the killer is in that session: then
// the SSH server does not give each exec a session of its own, and it may be
// the server's.
func (f family) killLine(mercy time.Duration) string {
	var b strings.Builder
	b.WriteString("o=; others() { :; }; ")
	if f.session > 1 {
		fmt.Fprintf(&b, `k=%d e=; if [ -r /proc/self/stat ]; then read -r x x x x x k x </proc/self/stat; fi; `, f.session)
		fmt.Fprintf(&b, `if [ -r /proc/%d/stat ]; then read -r %s e x </proc/%[1]d/stat; fi; `, f.session, upToStart)
		fmt.Fprintf(&b, `case "$e" in ''|%d) if [ "$k" != %d ]; then others() { o=; for f in /proc/[0-9]*/stat; do `, f.sessionBorn, f.session)
		// After the name, which may hold anything, come state, parent, group, session.
		fmt.Fprintf(&b, `read -r l <"$f" || continue; set -- ${l##*)}; if [ "$4" = %d ] && [ "$3" != %[1]d ] && [ "$3" != %d ]; then o="$o $3"; fi; done; }; fi;; esac; `,
			f.session, f.group)
	}
	fmt.Fprintf(&b, `hit() { for q in %d $o; do kill -s $1 -- -$q; done; }; `, f.group)
	end := "hit KILL; others; hit KILL"
	if mercy > 0 {
		end = fmt.Sprintf("left() { for q in %d $o; do kill -s 0 -- -$q && return 0; done; return 1; }; "+
			"others; hit TERM; echo; n=0; while [ $n -lt %d ] && left; do sleep 1; n=$((n+1)); done; others; hit KILL", f.group, seconds(mercy))
	}
	fmt.Fprintf(&b, `s=; if [ -r /proc/%d/stat ]; then read -r %s s x </proc/%[1]d/stat; fi; case "$s" in ''|%[3]d) %[4]s;; esac`,
		f.group, upToStart, f.born, end)
	return "{ " + b.String() + "; } 2>/dev/null"
}
