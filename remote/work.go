package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Where the lock and the jobs of a host are.
const (
	stateDir = "/var/lib/runai-prep"
	jobsDir  = stateDir + "/jobs"
)

// aliveScript is a function: the process with the pid $1 is the one that
// started at $2 in the boot $3, and no zombie. $b is this boot's id; $x, $y and
// $z are its own.
const aliveScript = `runai_prep_alive() {
	[ "$3" = "$b" ] && [ -r "/proc/$1/stat" ] && read -r x x z x x x x x x x x x x x x x x x x x x y x <"/proc/$1/stat" &&
		[ "$z" != Z ] && [ "$y" = "$2" ]
} 2>/dev/null
b=
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r b </proc/sys/kernel/random/boot_id; fi
`

// WorkProbe is a probe that sees who is at work on the host, for one more
// section of a look. It changes and locks nothing, and starts no process. Who
// may not read root's folders sees no jobs.
const WorkProbe = `cd ` + stateDir + ` 2>/dev/null || exit 0
[ -e lock.by ] || [ -e jobs ] || exit 0
` + aliveScript + `if [ -r lock.by ]; then
	{ read -r i p s k t; read -r run; read -r who; } <lock.by
	if runai_prep_alive "$p" "$s" "$k"; then printf 'lock %s %s\n%s\n%s\n' "$i" "$t" "$run" "$who"; fi
fi
for d in jobs/*; do
	if [ -r "$d/pid" ] && [ ! -e "$d/exit" ] && [ -r "$d/about" ]; then
		read -r p s k <"$d/pid"
		if runai_prep_alive "$p" "$s" "$k"; then
			{ read -r t l i; read -r run; read -r who; read -r title; } <"$d/about"
			printf 'job %s %s %s %s\n%s\n%s\n%s\n' "${d#jobs/}" "$t" "$l" "$i" "$run" "$who" "$title"
		fi
	fi
done
exit 0
`

// ReadWork reads what WorkProbe printed. nil: nobody is at work.
func ReadWork(s Section) (*Work, error) {
	switch {
	case s.Failure != "":
		return nil, fmt.Errorf("%s: %s", seeWork, s.Failure)
	case s.Exit != 0:
		return nil, fmt.Errorf("%s: exit status %d: %s", seeWork, s.Exit, tail(s.Err, 200))
	}
	w, err := readWorkers(s.Out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", seeWork, err)
	}
	return w.work(), nil
}

// workers are those who are at work on a host.
type workers struct {
	lock *worker
	job  *worker
}

// A worker holds the lock, or has started the job that runs.
type worker struct {
	Holder
	id    string // of the lock; of a job, that of its folder
	since time.Time
	// Of a job:
	title string
	limit time.Duration
	lock  string // the id of the lock under which it was started
}

func (w workers) work() *Work {
	switch {
	case w.job != nil:
		return &Work{Holder: w.job.Holder, Since: w.job.since, Job: w.job.title, Orphaned: w.lock == nil || w.lock.id != w.job.lock}
	case w.lock != nil:
		return &Work{Holder: w.lock.Holder, Since: w.lock.since}
	}
	return nil
}

// readWorkers reads what WorkProbe prints: three lines for a lock, four for a
// job.
func readWorkers(out string) (workers, error) {
	var w workers
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if out == "" {
		return w, nil
	}
	for len(lines) > 0 {
		fields := strings.Fields(lines[0])
		var err error
		switch {
		case len(fields) == 3 && fields[0] == "lock" && len(lines) >= 3:
			w.lock = &worker{id: fields[1], Holder: holderOf(lines[2], lines[1])}
			w.lock.since, err = hostTime(fields[2])
			lines = lines[3:]
		case len(fields) == 5 && fields[0] == "job" && len(lines) >= 4 && jobName.MatchString(fields[1]):
			w.job = &worker{id: fields[1], lock: fields[4], Holder: holderOf(lines[2], lines[1]), title: Safe(lines[3])}
			var limit uint64
			if limit, err = strconv.ParseUint(fields[3], 10, 31); err == nil {
				w.job.limit = time.Duration(limit) * time.Second
				w.job.since, err = hostTime(fields[2])
			}
			lines = lines[4:]
		default:
			err = errors.New("no word of ours")
		}
		if err != nil {
			return workers{}, fmt.Errorf("cannot read %q: %w", Safe(tail(out, 200)), err)
		}
	}
	return w, nil
}

func holderOf(who, run string) Holder { return Holder{Who: Safe(who), RunID: Safe(run)} }

func hostTime(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<38 {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return time.Unix(n, 0), nil
}

const seeWork = "see who is at work"

// workers asks the host who is at work.
func (c *Conn) workers(ctx context.Context) (workers, error) {
	out, err := c.shell(ctx, seeWork, WorkProbe, fileTimeout)
	if err != nil {
		return workers{}, err
	}
	w, err := readWorkers(out)
	if err != nil {
		return workers{}, fmt.Errorf("%s: %w", seeWork, err)
	}
	return w, nil
}

// workersBut is for who holds the host's lock: it tries the job's, too, by
// which a job is known before it has told of itself. Nobody else may, for a
// moment's hold would keep the holder's own job from beginning.
func (c *Conn) workersBut(ctx context.Context) (w workers, busy bool, err error) {
	out, err := c.shell(ctx, seeWork, `if [ -e `+stateDir+`/job ] && ! flock -n -o `+stateDir+`/job true; then echo busy; else echo free; fi
`+WorkProbe, fileTimeout)
	if err != nil {
		return workers{}, false, err
	}
	state, rest, _ := strings.Cut(out, "\n")
	if w, err = readWorkers(rest); err != nil {
		return workers{}, false, fmt.Errorf("%s: %w", seeWork, err)
	}
	w.lock = nil // that is the one who asks
	return w, state == "busy", nil
}
