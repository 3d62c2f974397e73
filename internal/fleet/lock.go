package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/remote"
)

// workSection is the section of a look that tells who is at work on the host.
const workSection = "work"

// readWork notes who else is at work on the host. Where that cannot be told,
// the look is as good as it would be without: the lock decides, not this.
func (f *Fleet) readWork(v *Visit, s remote.Section) {
	err := sectionError(s)
	if err == nil {
		v.work, err = remote.ReadWork(s)
	}
	if err != nil {
		v.work = nil
		f.log().Warn("who is at work on the host cannot be told", "host", v.Host.Name, "error", err)
	}
	if v.work != nil && v.work.RunID == f.Holder.RunID && !leftBehind(v.work) {
		v.work = nil // that is us
	}
}

// leftBehind reports whether the work is a job whose controller is gone.
func leftBehind(w *remote.Work) bool { return w != nil && w.Job != "" && w.Orphaned }

// maxTakeOver bounds the jobs that are followed one after the other before the
// look at a host stands.
const maxTakeOver = 3

// takeOver follows a job that was left behind to its end, and looks again: so
// its result is taken, and nothing is begun a second time beside it.
func (f *Fleet) takeOver(ctx context.Context, v *Visit) {
	for range maxTakeOver {
		if v.Err != nil || !leftBehind(v.work) {
			return
		}
		if err := f.follow(ctx, v, *v.work); err != nil {
			v.Err, v.interrupted = cause(ctx, err), ctx.Err() != nil
			v.hangUp()
			return
		}
		f.look(ctx, v)
	}
}

// follow follows the job at work on the host to its end.
func (f *Fleet) follow(ctx context.Context, v *Visit, w remote.Work) error {
	f.log().Info("following", "host", v.Host.Name, "job", w.Job, "who", w.Who, "run", w.RunID)
	doing := fmt.Sprintf("following %s of %s", w.Job, w.Who)
	f.event(v, doing)
	ended, err := v.conn.Follow(ctx, f.said(v, doing))
	if err != nil {
		return fmt.Errorf("follow %s: %w", w.Job, err)
	}
	if ended != nil { // else it had ended before
		f.log().Info("followed", "host", v.Host.Name, "job", ended.Job, "exit", ended.Exit)
		v.followed = append(v.followed, *ended)
	}
	return nil
}

// said is told the lines of a long step, which a person who waits sees and the
// log keeps.
func (f *Fleet) said(v *Visit, doing string) func(line string) {
	return func(line string) {
		line = report.Redact(strings.TrimSpace(line))
		if line == "" {
			return
		}
		f.log().Debug("output", "host", v.Host.Name, "step", doing, "line", line)
		f.event(v, brief(doing)+": "+line)
	}
}

// brief leaves room for what a step says on a line that has its title before.
func brief(title string) string {
	const most = 40
	if r := []rune(title); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return title
}

// lock makes the host ours.
func (f *Fleet) lock(ctx context.Context, v *Visit, o ApplyOptions) (lock io.Closer, err error) {
	f.event(v, "locking")
	waited := false
	waiting := func(w remote.Work) {
		if !waited {
			f.log().Info("waiting", "host", v.Host.Name, "for", w.String())
		}
		waited = true
		f.event(v, "waiting: "+w.String())
	}
	for range maxTakeOver {
		lock, err = v.conn.Lock(ctx, f.Holder, o.LockWait, waiting)
		var locked *remote.LockedError
		if !errors.As(err, &locked) || !leftBehind(&locked.Work) {
			break
		}
		// Its controller has died since the look.
		if failed := f.follow(ctx, v, locked.Work); failed != nil {
			return nil, failed
		}
	}
	return lock, err
}

// others is what a report says of the work of others on the host; empty:
// nobody's.
func (v *Visit) others() string {
	var said []string
	for _, j := range v.followed {
		ended := fmt.Sprintf("exit status %d", j.Exit)
		switch {
		case j.Exit < 0:
			ended = "without an exit status, as after a power cut"
		case j.Exit > 0 && j.Tail != "":
			ended += ": " + report.Redact(j.Tail)
		}
		said = append(said, fmt.Sprintf("%s, which %s had left behind (run %s), was followed to its end: %s", j.Job, j.Who, j.RunID, ended))
	}
	if v.work != nil {
		line := v.work.String()
		if leftBehind(v.work) {
			line += ", and is no longer connected: apply follows it to its end"
		}
		said = append(said, line)
	}
	return strings.Join(said, "\n")
}
