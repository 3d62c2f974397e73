package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A batch is several scripts for one exec.
type batch struct {
	prelude string
	jobs    []job
	limit   int           // bytes that one may print
	room    *int          // bytes that all may print, still; nil: no matter
	tail    bool          // over the limit the beginning is dropped, and nothing fails
	mercy   time.Duration // what is ended early has this long to tidy up, between TERM and KILL
	spare   time.Duration // what the host's deadline, which is for the whole, has over the sum of the jobs'
	patient time.Duration // what our own deadline of a job has over the job's
	heard   func([]byte)  // told what the jobs print, as it comes; may be nil
	noticed func(marker)  // told of the marks that the jobs themselves make; may be nil

	// results are those of the first jobs, in order. The last may be of one
	// that failed; the jobs after it were not run.
	results []result
}

type job struct {
	script  string
	timeout time.Duration
	inline  bool // in the shell itself, not in a subshell
}

type result struct {
	out, errs []byte
	exit      int
	failure   string    // why there is no complete output
	begun     bool      // its shell said so
	ended     [3]bool   // by stream
	killed    bool      // by the host's deadline or ours
	at        time.Time // of its end, by our clock
}

// run runs the jobs until one fails to come to its end. An error is about the
// whole exec: then no job failed for a reason of its own.
func (b *batch) run(ctx context.Context, c *Conn) error {
	limit := b.spare
	for _, j := range b.jobs {
		limit += j.timeout
	}
	for {
		mark := word()
		bare := c.lacksTimeout()
		p, err := c.begin(ctx, func(pty bool) (string, []byte) {
			script := b.script(mark, pty)
			return b.shellLine(limit, len(script), pty, bare), []byte(script)
		})
		if err != nil {
			return err
		}
		f := &follower{batch: b, conn: c, p: p}
		err = f.follow(ctx, mark)
		if !errors.Is(err, errTimeoutProgram) || bare {
			return err
		}
		c.mu.Lock()
		c.noTimeout = true
		c.mu.Unlock()
	}
}

// errTimeoutProgram is a host whose timeout knows no -k, as busybox before 1.34.
var errTimeoutProgram = errors.New("the host's timeout program is too old")

func (c *Conn) lacksTimeout() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noTimeout
}

// shellLine becomes a shell that reads a script from standard input, under the
// host's own deadline.
func (b *batch) shellLine(limit time.Duration, size int, pty, bare bool) string {
	if bare && !pty {
		return "exec /bin/sh"
	}
	if pty {
		// A shell on a terminal would prompt, and timeout's process group would
		// be stopped for reading one; the hang-up ends it instead.
		return "head -c " + strconv.Itoa(size) + " | /bin/sh"
	}
	return "if command -v timeout >/dev/null 2>&1; then exec timeout -k " +
		strconv.Itoa(seconds(max(b.mercy, 5*time.Second))) + " " + strconv.Itoa(seconds(limit)) + " /bin/sh; else exec /bin/sh; fi"
}

// script is what the host's shell reads. Its first words say which family it
// is, so that it can be ended.
func (b *batch) script(mark string, pty bool) string {
	var s strings.Builder
	both, errs := `; printf '\n%s %s\n' `+mark+` "$*" >&2`, ""
	if pty {
		both, errs = "", " 2>/dev/null"
		if b.tail {
			errs = " 2>&1" // for the error's text
		}
	}
	s.WriteString(familyScript +
		`runai_prep_mark() { printf '\n%s %s\n' ` + mark + ` "$*"` + both + "; }\n" +
		`runai_prep_mark g "$g" "$s" "$d" "$e"` + "\n")
	s.WriteString(b.prelude)
	for i, j := range b.jobs {
		run := "( eval " + quoteScript(j.script) + " ) </dev/null" + errs + "\nset -- $?\n"
		if j.inline {
			// What comes after it finds the shell as it was, but for variables and functions.
			run = "eval " + quoteScript(j.script) + " </dev/null" + errs + "\nset +f -- \"$?\"\nIFS=' \t\n'\ncd /\n"
		}
		fmt.Fprintf(&s, "\nrunai_prep_mark b %d\n%srunai_prep_mark e %d \"$1\"\nset --\n", i, run, i)
	}
	s.WriteString("exit 0\n")
	return s.String()
}

func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// A follower watches one exec of a batch.
type follower struct {
	*batch
	conn *Conn
	p    *process

	family  family // what is to be ended with it
	current [3]int // by stream, the job whose text this is; -1: between jobs
	stray   []byte // stderr outside the jobs
	over    bool   // a job printed too much
	started time.Time
}

func (f *follower) follow(ctx context.Context, mark string) error {
	f.started = time.Now()
	var streams [3]*splitter
	for fd := 1; fd <= 2; fd++ {
		f.current[fd] = -1
		streams[fd] = newSplitter(mark, func(b []byte) { f.text(fd, b) }, func(m marker) { f.mark(fd, m) })
	}
	deadline := time.NewTimer(0)
	defer deadline.Stop()
	for watched := -1; ; {
		now := f.complete()
		if now == len(f.jobs) {
			f.p.finish(ctx)
			return nil
		}
		if now != watched {
			watched = now
			deadline.Reset(f.jobs[now].timeout + f.patient)
		}
		e, err := f.p.next(ctx, deadline.C)
		switch {
		case errors.Is(err, errDeadline):
			for _, s := range streams[1:] {
				s.end()
			}
			f.fail(now, "no answer within "+f.jobs[now].timeout.String()).killed = true
			f.stop(10 * time.Second)
			return nil
		case err != nil:
			f.introduce(streams[1])
			f.results = f.results[:min(now, len(f.results))]
			f.stop(4 * time.Second)
			return err
		case e.fd == 0:
			for _, s := range streams[1:] {
				s.end()
			}
			return f.ended(now, e)
		}
		streams[e.fd].feed(e.data)
		if f.over {
			f.stop(10 * time.Second)
			return nil
		}
	}
}

// introduce waits a moment for the host to say which family is to be ended,
// for a caller may cancel before that was read.
func (f *follower) introduce(stdout *splitter) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for f.family == (family{}) {
		e, err := f.p.next(ctx, nil)
		if err != nil || e.fd == 0 {
			return
		}
		if e.fd == 1 {
			stdout.feed(e.data)
		}
	}
}

// complete is how many jobs have come to their end on every stream.
func (f *follower) complete() int {
	for i := range f.results {
		if r := &f.results[i]; !r.ended[1] || !r.ended[2] && !f.p.pty {
			return i
		}
	}
	return len(f.results)
}

// result is the record of job i.
func (f *follower) result(i int) *result {
	for len(f.results) <= i {
		f.results = append(f.results, result{})
	}
	return &f.results[i]
}

// fail ends the batch with job i.
func (f *follower) fail(i int, why string) *result {
	r := f.result(i)
	r.failure = why
	f.results = f.results[:i+1]
	return r
}

func (f *follower) mark(fd int, m marker) {
	number := func(i int) int {
		if i >= len(m.fields) {
			return -1
		}
		n, err := strconv.ParseUint(m.fields[i], 10, 63)
		if err != nil {
			return -1
		}
		return int(n)
	}
	i := number(0)
	switch {
	case m.kind == "g" && f.family.group == 0:
		f.family = family{group: i, born: number(1), session: number(2), sessionBorn: number(3)}
	case m.kind != "b" && m.kind != "e":
		if fd == 1 && f.noticed != nil && f.current[1] >= 0 {
			f.noticed(m)
		}
	case i < 0 || i >= len(f.jobs):
	case m.kind == "b":
		f.current[fd] = i
		f.result(i).begun = true
	case m.kind == "e" && f.current[fd] == i:
		f.current[fd] = -1
		r := f.result(i)
		r.ended[fd] = true
		if fd == 1 {
			r.exit, r.at = number(1), time.Now()
		}
	}
}

func (f *follower) text(fd int, data []byte) {
	i := f.current[fd]
	if i < 0 {
		if fd == 2 {
			f.stray = appendUpTo(f.stray, data, maxTalk)
		}
		return
	}
	r := f.result(i)
	if fd == 1 && f.heard != nil {
		f.heard(data)
	}
	switch {
	case fd == 2 && f.batch.tail:
		r.errs = appendTail(r.errs, data, f.limit)
	case fd == 2:
		r.errs = appendUpTo(r.errs, data, maxStderr)
	case f.batch.tail:
		r.out = appendTail(r.out, data, f.limit)
	default:
		kept := len(r.out)
		r.out = appendUpTo(r.out, data, f.limit)
		if kept+len(data) > f.limit {
			f.fail(i, fmt.Sprintf("output over %d MiB", f.limit>>20))
			f.over = true
		}
	}
	if f.room == nil {
		return
	}
	if *f.room -= len(data); *f.room < 0 && !f.over {
		f.fail(i, fmt.Sprintf("output over %d MiB in all", maxLook>>20))
		f.over = true
	}
}

func appendUpTo(b, data []byte, limit int) []byte {
	return append(b, data[:min(len(data), max(0, limit-len(b)))]...)
}

func appendTail(b, data []byte, limit int) []byte {
	b = append(b, data...)
	if len(b) > limit {
		b = append(b[:0], b[len(b)-limit:]...)
	}
	return b
}

// ended is about an exec that ended while job now had not.
func (f *follower) ended(now int, e event) error {
	f.p.close()
	if e.lost && f.conn.isLost() {
		f.results = f.results[:min(now, len(f.results))]
		return f.conn.lostError()
	}
	if now < len(f.results) && f.results[now].begun {
		// Its own children may go on in the group, and the shell that was to
		// wait for them is no more.
		f.conn.kill(f.family, f.mercy, 10*time.Second)
		f.fail(now, "its shell ended early: "+e.cause).killed = (e.exit == 124 || e.exit == 137) && time.Since(f.started) > f.jobs[now].timeout-time.Second
		return nil
	}
	f.results = f.results[:min(now, len(f.results))]
	if now > 0 {
		return nil // the next exec begins with this job
	}
	if !f.p.pty && !f.p.found[2] {
		return &Error{Stage: Session, Err: fmt.Errorf("the script did not reach the shell whole: %s", e.cause),
			Hint: "does a start-up file of the login shell of " + f.conn.target.User + " read standard input?"}
	}
	if strings.Contains(string(f.stray), "timeout: ") && e.exit > 0 {
		return errTimeoutProgram
	}
	err := fmt.Errorf("the shell ended before the first script: %s", e.cause)
	if said := Safe(tail(string(f.stray), 500)); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return &Error{Stage: Session, Err: err}
}

// stop ends what still runs on the host.
func (f *follower) stop(within time.Duration) {
	f.conn.kill(f.family, f.mercy, within)
	f.p.abandon()
}
