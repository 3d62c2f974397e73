package remote

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// jobsKept is how many jobs' folders a host keeps.
const jobsKept = 10

// jobName is the name of a job's folder: by its time, so that they sort.
var jobName = regexp.MustCompile(`^[0-9]{14}-rp[a-z0-9]+$`)

// A detached is one job: a script that runs on the host in a session of its
// own, under the host's own deadline, whoever is connected.
type detached struct {
	id     string
	title  string
	limit  time.Duration
	begun  bool // seen to have begun
	offset int64
	lines  liner
	tail   []byte

	exit int
	late bool // ended by its deadline
	lost bool // ended without a status, or never began
}

// wrapScript is what the job's flock runs: $1 the job's folder, $2 its limit,
// $3 how long it may tidy up at the end of that, $4 yes where timeout is not to
// be used.
//
// timeout sends TERM to all that is in its group, but ends together with the
// script's shell, which ends at once: so what still tidies up is waited for
// here, and then killed.
var wrapScript = `umask 022
cd /
d=$1
read -r p x </proc/self/stat
read -r x x x x x sid ` + strings.TrimSpace(strings.Repeat("x ", 15)) + ` s x <"/proc/$p/stat"
read -r b </proc/sys/kernel/random/boot_id
mkdir "$d/begun" || exit 1 # it was given up
printf '%s %s %s\n' "$p" "$s" "$b" >"$d/pid.new" && mv -f "$d/pid.new" "$d/pid" || exit 1
runai_prep_job=$d; export runai_prep_job
begun=$(date +%s)
if [ -z "$4" ] && command -v timeout >/dev/null 2>&1; then
	timeout -k "$3" "$2" /bin/sh "$d/script" </dev/null
else
	/bin/sh "$d/script" </dev/null
fi
e=$? late=
# others are in our session, but for us and flock above us.
others() {
	o=
	for f in /proc/[0-9]*/stat; do
		read -r l <"$f" || continue
		q=${l%% *}
		set -- ${l##*)}
		if [ "$4" = "$sid" ] && [ "$q" != "$p" ] && [ "$q" != "$sid" ] && [ "$1" != Z ]; then o="$o $q"; fi
	done
	[ -n "$o" ]
} 2>/dev/null
case $e in 124|137)
	if [ $(($(date +%s) - begun)) -ge "$2" ]; then
		late=late n=0 mercy=$3
		while others && [ "$n" -lt "$mercy" ]; do sleep 1; n=$((n+1)); done
		if others; then kill -s KILL $o; fi
	fi ;;
esac
printf '%s %s\n' "$e" "$late" >"$d/exit.new" && mv -f "$d/exit.new" "$d/exit"
exit "$e"
`

// launchScript starts a job and returns when it has begun. $id, $script, $wrap,
// $run, $who, $title, $limit, $mercy, $bare and $lock are given.
//
// The session of a login may be ended with its last connection, and everything
// in it (logind's KillUserProcesses), and a unit of sshd when it is stopped: where
// systemd runs the job gets a scope of its own.
const launchScript = `
set -u
fail() { printf '%s\n' "$1" >&2; exit 1; }
for f in flock setsid; do command -v $f >/dev/null 2>&1 || fail "the host has no $f: install util-linux"; done
mkdir -p ` + stateDir + ` && cd ` + stateDir + ` || exit 1
umask 077
mkdir -p jobs || exit 1
flock -n -o job true || fail 'another job is running'
chmod 644 job
set -- jobs/*
while [ $# -ge "$keep" ]; do rm -rf "$1"; shift; done
d=` + jobsDir + `/$id
mkdir "$d" || exit 1
{ printf '%s' "$script" >"$d/script" && printf '%s' "$wrap" >"$d/wrap" && : >"$d/log" &&
	printf '%s %s %s\n%s\n%s\n%s\n' "$(date +%s)" "$limit" "$lock" "$run" "$who" "$title" >"$d/about"; } || { rm -rf "$d"; exit 1; }
set --
if [ -d /run/systemd/system ] && [ -r /proc/self/cgroup ] && command -v systemd-run >/dev/null 2>&1; then
	while IFS= read -r l; do
		case $l in */session-*.scope*|*/ssh*.service*) set -- systemd-run --quiet --scope "--unit=runai-prep-job-$id" ;; esac
	done </proc/self/cgroup
	if [ $# -gt 0 ] && ! systemd-run --quiet --scope true </dev/null >/dev/null 2>&1; then set --; fi
fi
setsid "$@" flock -n -o job /bin/sh "$d/wrap" "$d" "$limit" "$mercy" "$bare" </dev/null >>"$d/log" 2>&1 &
n=0
while [ ! -e "$d/pid" ]; do
	# Whoever makes this folder first decides: a job that was given up never begins.
	if [ $n -ge 100 ] && mkdir "$d/begun" 2>/dev/null; then cat "$d/log" >&2; fail 'the job did not begin'; fi
	sleep 0.1 2>/dev/null || sleep 1
	n=$((n+1))
done
`

// followScript prints the log of a job from $n on, until the job has ended. It
// marks how far it has come, and at the end the job's exit status.
//
// What is far behind is left out: a log that floods is not worth the way.
const followScript = `
d=` + jobsDir + `/$id k=0
if [ ! -d "$d" ]; then runai_prep_mark x none; exit 0; fi
p= s= i= late=
while :; do
	e=
	if [ -z "$p" ] && [ -r "$d/pid" ]; then read -r p s i <"$d/pid"; fi
	if [ -e "$d/exit" ]; then e=exit; elif [ -n "$p$late" ] && ! runai_prep_alive "$p" "$s" "$i"; then e=gone; fi
	size=$(stat -c %s "$d/log") || exit 1
	if [ "$size" -gt "$n" ]; then
		if [ $((size-n)) -gt 262144 ]; then runai_prep_mark s $((size-n-262144)); n=$((size-262144)); fi
		tail -c +$((n+1)) "$d/log" | head -c $((size-n))
		n=$size
		runai_prep_mark o "$n"
	fi
	if [ -n "$e" ]; then break; fi
	k=$((k+1))
	if [ $k -gt 15 ]; then late=yes; fi # it was given its time to begin
	if [ $((k%10)) = 0 ]; then runai_prep_mark o "$n"; fi # and so hear when nobody listens
	if [ $k -le 5 ]; then sleep 0.2 2>/dev/null || sleep 1; else sleep 1; fi
done
e= l=
if [ -e "$d/exit" ]; then read -r e l <"$d/exit"; fi
runai_prep_mark x "${e:-gone}" $l
`

// runJob runs a script as a job and follows it to its end. Its error is a
// *CommandError when the job failed; when ctx ends the job goes on.
func (c *Conn) runJob(ctx context.Context, title, script string, limit, mercy time.Duration, said func(string)) error {
	j := newJob(title, limit, said)
	unsure := c.launch(ctx, j, script, mercy)
	var ended *CommandError
	switch {
	case unsure == nil:
		j.begun = true
	case ctx.Err() != nil:
		return fmt.Errorf("%w; it may have begun, and goes on on the host then; the same command follows it", unsure)
	case !c.lostIn(unsure) && (!errors.As(unsure, &ended) || ended.Exit >= 0):
		return unsure
	}
	if err := c.follow(ctx, j, limit+mercy+time.Minute); err != nil {
		return err
	}
	if j.lost && !j.begun {
		return unsure
	}
	return j.err()
}

func newJob(title string, limit time.Duration, said func(string)) *detached {
	return &detached{id: time.Now().UTC().Format("20060102150405") + "-" + word(), title: title, limit: limit, lines: liner{said: said}}
}

// launch starts a job.
func (c *Conn) launch(ctx context.Context, j *detached, script string, mercy time.Duration) error {
	h, lock := Holder{Who: "unknown", RunID: "unknown"}, "none"
	c.mu.Lock()
	if c.lock != nil {
		h, lock = c.lock.holder, c.lock.id
	}
	c.mu.Unlock()
	vars := fmt.Sprintf("id=%s limit=%d mercy=%d keep=%d bare=%s lock=%s\nscript=%s\nwrap=%s\n", j.id,
		seconds(j.limit), seconds(mercy), jobsKept, flag(c.lacksTimeout()), lock, quoteScript(script), quoteScript(wrapScript))
	for name, value := range map[string]string{"run": h.RunID, "who": h.Who, "title": label(j.title)} {
		word, err := Quote(value)
		if err != nil {
			return fmt.Errorf("%s: %w", j.title, err)
		}
		vars += name + "=" + word + "\n"
	}
	_, err := c.shell(ctx, j.title, c.fence()+vars+launchScript, time.Minute)
	return err
}

// lostIn reports whether an error is that the connection was lost, and not
// because it was closed here.
func (c *Conn) lostIn(err error) bool {
	return stageIs(err, Session) && c.isLost() && !errors.Is(c.current().lostCause(), errClosed)
}

// follow follows a job to its end, over as many connections as it takes.
func (c *Conn) follow(ctx context.Context, j *detached, patience time.Duration) error {
	end := time.Now().Add(patience)
	var relock error
	broken := 0
	for {
		err := c.followOnce(ctx, j, time.Until(end))
		switch {
		case err == nil:
			j.lines.flush()
			if relock != nil {
				return fmt.Errorf("%s: it has ended, and the host is not ours any more: %w", j.title, relock)
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w; it goes on on the host; the same command follows it", j.title, context.Cause(ctx))
		case errors.Is(err, errUnfollowed) && !c.isLost():
			// Somebody ended the program that followed.
			if broken++; broken == 3 {
				return err
			}
			continue
		case !errors.Is(err, errUnfollowed) && !c.lostIn(err):
			return err
		}
		j.lines.own("connection lost; what was begun goes on on the host; connecting again")
		if errAgain := c.reconnect(ctx, end); errAgain != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w; it goes on on the host; the same command follows it", j.title, context.Cause(ctx))
			}
			return fmt.Errorf("%w; it goes on on the host, and no new connection came about: %w", err, errAgain)
		}
		j.lines.own("connected again")
		c.mu.Lock()
		l := c.lock
		c.mu.Unlock()
		relock = nil
		if l != nil {
			relock = l.again(ctx, j.id)
		}
	}
}

// followOnce follows over the present connection.
func (c *Conn) followOnce(ctx context.Context, j *detached, patience time.Duration) error {
	b := &batch{
		jobs:  []job{{script: "id=" + j.id + " n=" + strconv.FormatInt(j.offset, 10) + "\n" + aliveScript + followScript, timeout: max(patience, time.Second)}},
		limit: maxOutput,
		tail:  true,
		mercy: 0,
		spare: 5 * time.Second,
		heard: j.hear,
	}
	over := false
	b.noticed = func(m marker) { over = j.notice(m) || over }
	if err := b.run(ctx, c); err != nil {
		return fmt.Errorf("%s: %w", j.title, err)
	}
	if over {
		return nil
	}
	r := result{}
	if len(b.results) > 0 {
		r = b.results[0]
	}
	if r.killed {
		return fmt.Errorf("%s: it still runs on the host, beyond its limit of %s; the same command follows it", j.title, j.limit)
	}
	return fmt.Errorf("%s: %w; it goes on on the host, and the same command follows it: %s", j.title, errUnfollowed, Safe(tail(string(r.errs), 500)))
}

// errUnfollowed is a program that followed a job and ended before it did.
var errUnfollowed = errors.New("the job could not be followed")

// hear takes the next piece of the log.
func (j *detached) hear(data []byte) {
	j.tail = appendTail(j.tail, data, maxOutput)
	j.lines.write(data)
}

// notice takes a mark of followScript, and reports whether it is the last.
func (j *detached) notice(m marker) bool {
	field := ""
	if len(m.fields) > 0 {
		field = m.fields[0]
	}
	switch m.kind {
	case "o":
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && n > j.offset {
			j.offset, j.begun = n, true
		}
	case "s":
		j.lines.own(Safe(field) + " bytes of its output are left out here; they are in its log on the host")
	case "x":
		if n, err := strconv.Atoi(field); err == nil && n >= 0 && n < 256 {
			j.exit, j.late = n, len(m.fields) > 1
		} else {
			j.exit, j.lost = -1, true
		}
		if field != "none" {
			j.begun = true
		}
		return true
	}
	return false
}

// err is a job's end as an error.
func (j *detached) err() error {
	r := result{out: j.tail}
	switch {
	case j.lost:
		return commandError(j.title, r, -1, "it ended without a status: was the host restarted, or the job killed?")
	case j.late:
		return commandError(j.title, r, -1, "killed after "+j.limit.String())
	case j.exit != 0:
		return commandError(j.title, r, j.exit, fmt.Sprintf("exit status %d", j.exit))
	}
	return nil
}

// A liner makes lines of pieces.
type liner struct {
	said func(string)
	part []byte
}

// maxLine bounds a line of live output, in bytes.
const maxLine = 4 << 10

func (l *liner) write(data []byte) {
	if l.said == nil {
		return
	}
	for _, b := range data {
		if b == '\n' {
			l.flush()
			continue
		}
		if len(l.part) < maxLine {
			l.part = append(l.part, b)
		}
	}
}

// flush says the line that is there. Of one that was written over, as progress
// is, the last state counts.
func (l *liner) flush() {
	line := strings.TrimRight(string(l.part), "\r")
	l.part = l.part[:0]
	if line = line[strings.LastIndexByte(line, '\r')+1:]; line != "" && l.said != nil {
		l.said(Safe(line))
	}
}

// own says a line of ours.
func (l *liner) own(line string) {
	l.flush()
	if l.said != nil {
		l.said("runai-prep: " + line)
	}
}

// authTries is how often a login that is refused is tried again on the way
// back: pam_nologin refuses while a host comes up, but accounts may be locked.
const authTries = 3

// reconnect connects anew, as often as it takes, until end.
func (c *Conn) reconnect(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = 500*time.Millisecond, 10*time.Second, 1.5
	refused := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := c.renew(ctx)
		if stageIs(err, Authentication) {
			refused++
		}
		if stageIs(err, HostKey) || refused == authTries || errors.Is(err, errClosed) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
	return err
}

// renew puts a new connection in the place of one that has ended.
func (c *Conn) renew(ctx context.Context) error {
	l, err := c.dialer.connect(ctx, c.route)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		l.close()
		return errClosed
	}
	c.link = l
	return nil
}
