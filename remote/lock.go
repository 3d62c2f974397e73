package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// beatEvery is how often the keeper of a lock hears of us.
const beatEvery = 15 * time.Second

// ghostAfter is after how many beats that were not heard a keeper whose
// controller is cut off, which its sshd may not notice for hours, loses the
// lock to another who asks for it.
const ghostAfter = 12

// A Lock is a host at which we alone are at work, until Close, or until the
// connection or this program ends. It is a flock on the host, held by a program
// there, the keeper, that ends with our connection, so that no file can go stale.
type Lock struct {
	conn   *Conn
	holder Holder
	id     string

	mu     sync.Mutex
	keeper *keeper
	closed bool
}

// A keeper is the program on the host that holds the lock.
type keeper struct {
	p     *process
	spare *Conn         // the connection of its own; nil: it is on the host's
	end   chan struct{} // closed: end it
	done  chan struct{} // closed once it has ended
}

// Lock makes the host ours. It refuses with a *LockedError when somebody else
// is still at work there after wait (0: at once); waiting, which may be nil,
// is told now and then who that is. A job that runs on after its controller's
// end is somebody at work too: Follow it first.
//
// Steps that Do carries out afterwards are refused by the host when the lock
// has been lost meanwhile, and jobs bear the holder's name.
func (c *Conn) Lock(ctx context.Context, h Holder, wait time.Duration, waiting func(Work)) (*Lock, error) {
	l := &Lock{conn: c, holder: Holder{Who: label(h.Who), RunID: label(h.RunID)}, id: word()}
	end := time.Now().Add(wait)
	var told time.Time
	for pause := time.Second; ; pause = min(pause*3/2, 5*time.Second) {
		err := l.take(ctx, "")
		var busy *LockedError
		switch {
		case err == nil:
			c.mu.Lock()
			c.lock = l
			c.mu.Unlock()
			return l, nil
		case !errors.As(err, &busy):
			return nil, err
		case time.Until(end) <= 0:
			return nil, err
		}
		if waiting != nil && time.Since(told) > 30*time.Second {
			told = time.Now()
			waiting(busy.Work)
		}
		if err := sleep(ctx, min(pause, time.Until(end))); err != nil {
			return nil, fmt.Errorf("lock the host: %w", err)
		}
	}
}

// sleep waits, unless ctx ends before: then that is the error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// label is a word about somebody, on one line.
func label(s string) string {
	s = strings.Join(strings.Fields(Safe(strings.ToValidUTF8(s, "?"))), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	if s == "" {
		return "unknown"
	}
	return s
}

// take gets the lock, unless somebody holds it or a job other than ours runs.
func (l *Lock) take(ctx context.Context, ours string) error {
	c := l.conn
	if err := l.hold(ctx, c.singleSession()); err != nil {
		return err
	}
	w, busy, err := c.workersBut(ctx)
	if errors.Is(err, errRefused) {
		// MaxSessions 1: the keeper has the only session.
		l.release()
		c.mu.Lock()
		c.oneSession = true
		c.mu.Unlock()
		if err := l.hold(ctx, true); err != nil {
			return err
		}
		w, busy, err = c.workersBut(ctx)
	}
	if err == nil && busy && (w.job == nil || w.job.id != ours) {
		err = locked(w)
	}
	if err != nil {
		l.release()
	}
	return err
}

func (c *Conn) singleSession() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.oneSession
}

// locked is the error for a host at which others are at work.
func locked(w workers) error {
	if work := w.work(); work != nil {
		return &LockedError{*work}
	}
	return &LockedError{Work{Holder: Holder{Who: "somebody", RunID: "unknown"}, Since: time.Now()}}
}

// hold starts the keeper. When another one holds the lock it ends that one if
// it is our own of a former connection, or nobody's any more.
func (l *Lock) hold(ctx context.Context, alone bool) error {
	for try := 0; ; try++ {
		err := l.start(ctx, alone)
		if !errors.Is(err, errHeld) {
			return err
		}
		w, err := l.conn.workers(ctx)
		if err != nil {
			return err
		}
		if w.lock == nil && try < 2 {
			// It has just come, or just gone.
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		if try == 2 || w.lock == nil || !l.evict(ctx, w.lock.id) {
			return locked(w)
		}
	}
}

// errHeld is a lock that somebody else holds.
var errHeld = errors.New("the lock is held")

// keeperLine becomes the keeper: $1 lock's id, $2 run, $3 who, $4 its word for
// "held". Each line that it reads is a beat, but for the last.
var keeperLine = `exec flock -n -o ` + stateDir + `/lock /bin/sh -c ` + quoteScript(`cd `+stateDir+` || exit 3; `+
	`read -r p x </proc/self/stat; read -r `+upToStart+` s x <"/proc/$p/stat"; read -r b </proc/sys/kernel/random/boot_id; t=$(date +%s); `+
	`echo 0 >lock.beat; `+
	`{ printf "%s %s %s %s %s\n%s\n%s\n" "$1" "$p" "$s" "$b" "$t" "$2" "$3" >lock.by.new && mv -f lock.by.new lock.by; } || exit 3; `+
	`echo "$4"; while read -r n && [ "$n" != end ]; do echo "$n" >lock.beat; done; rm -f lock.by lock.beat; exit 0`) + ` keeper`

// start starts a keeper.
func (l *Lock) start(ctx context.Context, alone bool) error {
	const title = "lock the host"
	line, mark := "", word()
	for _, value := range []string{l.id, l.holder.RunID, l.holder.Who, mark} {
		q, err := Quote(value)
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		line += " " + q
	}
	line = `for f in flock setsid; do command -v $f >/dev/null 2>&1 || { echo "` + mark + ` lacks $f"; exit 0; }; done; mkdir -p ` + stateDir + ` || exit 3; ` + keeperLine + line
	k := &keeper{end: make(chan struct{}), done: make(chan struct{})}
	via := l.conn
	if alone {
		spare, err := via.again(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		via, k.spare = spare, spare
	}
	p, err := via.beginLine(ctx, line)
	if err != nil {
		k.hangUp()
		return fmt.Errorf("%s: %w", title, err)
	}
	k.p = p
	if err := k.wait(ctx, mark); err != nil {
		p.abandon()
		k.hangUp()
		if errors.Is(err, errHeld) {
			return err
		}
		return fmt.Errorf("%s: %w", title, err)
	}
	l.mu.Lock()
	l.keeper = k
	l.mu.Unlock()
	go k.keep(l.conn.dialer.beat())
	return nil
}

func (d *Dialer) beat() time.Duration { return orDefault(d.beats, beatEvery) }

// wait waits for the keeper's word.
func (k *keeper) wait(ctx context.Context, mark string) error {
	var out, errs []byte
	for {
		e, err := k.p.next(ctx, nil)
		switch {
		case err != nil:
			return err
		case e.fd == 2:
			errs = appendUpTo(errs, e.data, maxTalk)
		case e.fd == 1:
			out = appendUpTo(out, e.data, maxTalk)
			for line := range strings.Lines(string(out)) {
				if line == mark+"\n" {
					return nil
				}
			}
		default:
			if _, program, found := strings.Cut(string(out), mark+" lacks "); found {
				program = Safe(strings.TrimSpace(program))
				return &Error{Stage: Session, Err: fmt.Errorf("the host has no %s; nothing was changed", program), Hint: "install util-linux on the host"}
			}
			said := Safe(tail(string(errs)+string(out), 500))
			if e.exit == 1 && said == "" {
				return errHeld
			}
			if e.lost {
				return &Error{Stage: Session, Err: errors.New("the connection was lost")}
			}
			return fmt.Errorf("%s: %s", e.cause, said)
		}
	}
}

// keep tells the keeper that we are there, until it or we end.
func (k *keeper) keep(every time.Duration) {
	defer close(k.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	beat := time.NewTicker(every)
	defer beat.Stop()
	writing := make(chan struct{}, 1)
	tell := func(word string) {
		select {
		case writing <- struct{}{}:
			go func() {
				_, _ = k.p.stdin.Write([]byte(word + "\n"))
				<-writing
			}()
		default: // a peer that does not read
		}
	}
	for n := 1; ; {
		select {
		case e := <-k.p.events:
			if e.fd == 0 {
				return
			}
		case <-beat.C:
			tell(strconv.Itoa(n))
			n++
		case <-k.end:
			tell("end")
			k.p.finish(ctx)
			return
		}
	}
}

func (k *keeper) hangUp() {
	if k.spare != nil {
		_ = k.spare.Close()
	}
}

// release ends the keeper, with the host's leave or without.
func (l *Lock) release() {
	l.mu.Lock()
	k := l.keeper
	l.keeper = nil
	l.mu.Unlock()
	if k == nil {
		return
	}
	close(k.end)
	<-k.done
	k.p.close()
	k.hangUp()
}

// Close gives the host free. It may be called more than once.
func (l *Lock) Close() error {
	if l.conn == nil {
		return nil
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.release()
	l.conn.mu.Lock()
	if l.conn.lock == l {
		l.conn.lock = nil
	}
	l.conn.mu.Unlock()
	return nil
}

// again takes the lock on a new connection, where the old one and its keeper
// are gone. ours is the job of ours that may run.
func (l *Lock) again(ctx context.Context, ours string) error {
	l.release()
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil
	}
	return l.take(ctx, ours)
}

// evictScript ends the keeper of the lock $id, after a second look at its last
// beat where it is old by the clock, which may have been set. It says "gone"
// when that keeper has gone.
const evictScript = `
cd ` + stateDir + ` || exit 1
read -r i p s k x <lock.by || exit 0
[ "$i" = "$id" ] || exit 0
if [ -z "$ours" ]; then
	m=$(stat -c %Y lock.beat) || exit 0
	[ $(($(date +%s) - m)) -gt "$old" ] || exit 0
	read -r before <lock.beat
	sleep "$pause"
	read -r after <lock.beat
	[ "$before" = "$after" ] || exit 0
	read -r i x <lock.by
	[ "$i" = "$id" ] || exit 0
fi
if runai_prep_alive "$p" "$s" "$k"; then kill -s KILL "$p"; fi
n=0
while runai_prep_alive "$p" "$s" "$k" && [ $n -lt 5 ]; do sleep 1; n=$((n+1)); done
echo gone
`

// evict ends the keeper of lock id where it is our own, or has not heard of its
// controller for long, and reports whether it is gone.
func (l *Lock) evict(ctx context.Context, id string) bool {
	word, err := Quote(id)
	if err != nil {
		return false
	}
	beat := l.conn.dialer.beat()
	vars := fmt.Sprintf("id=%s ours=%s old=%d pause=%d\n", word, flag(id == l.id), seconds(ghostAfter*beat), seconds(2*beat))
	out, err := l.conn.shell(ctx, "lock the host", vars+aliveScript+evictScript, fileTimeout+2*beat)
	return err == nil && strings.TrimSpace(out) == "gone"
}

// lostLock is what the host says when a step comes without the lock that it
// was to be carried out under.
const lostLock = "runai-prep's lock on this host is not held any more"

// fence begins a script of a step: under a lock it is refused by the host when
// that is another's by now, or nobody's.
func (c *Conn) fence() string {
	c.mu.Lock()
	l := c.lock
	c.mu.Unlock()
	if l == nil {
		return ""
	}
	return `if ! { read -r i x <` + stateDir + `/lock.by && [ "$i" = ` + l.id + ` ]; } 2>/dev/null; then echo "` + lostLock + `" >&2; exit 1; fi
`
}

// fenced tells a step that the fence held back from one that failed.
func fenced(err error) error {
	var failed *CommandError
	if errors.As(err, &failed) && failed.Stderr == lostLock {
		return &Error{Stage: Session, Err: fmt.Errorf("%s: %s", failed.Title, lostLock), Hint: "look again: somebody else may have been at work"}
	}
	return err
}
