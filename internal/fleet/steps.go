package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// An outcome is how the steps of one finding went.
type outcome struct {
	done   int // steps that were carried out
	err    error
	shared bool // the findings after this one build on what failed
	begun  bool // a step was begun from which there may be a way back
	took   bool // a step of kubectl's was begun
	onHost bool // and after it one that does something on the host
	// Set by outcomes:
	own    bool  // there were steps of its own
	other  error // why steps of other findings, with which it may come, were not done
	goesOn bool  // the step that err is about goes on at the host
}

// notStarted is why no step of a finding was begun: it is as pending as before.
type notStarted struct{ because error }

func (n notStarted) Error() string {
	// The rest is told where it happened.
	line, _, _ := strings.Cut(n.because.Error(), "\n")
	if r := []rune(line); len(r) > 200 {
		line = string(r[:199]) + "…"
	}
	return "not started: " + line
}
func (n notStarted) Unwrap() error { return n.because }

// noReboot ends a finding whose next step is a reboot that is not allowed.
type noReboot struct{ by string }

func (n noReboot) Error() string { return "a reboot is needed and not allowed (" + n.by + ")" }

// held ends a finding whose guard does not let its steps be carried out.
type held struct{ why string }

func (h held) Error() string { return h.why }

// byChoice reports whether what err ended was left undone by somebody's choice,
// and so is as pending as before.
func byChoice(err error) bool {
	return errors.As(err, new(notStarted)) || errors.As(err, new(noReboot)) || errors.As(err, new(held))
}

// asks: the step only asks whether those after it may be carried out.
func asks(s remote.Step) bool {
	return s.Run != nil && s.Run.Guard || s.Kubectl != nil && s.Kubectl.Guard
}

// fetches: the step brings packages to the host, and changes none.
func fetches(s remote.Step) bool { return s.Install != nil && s.Install.DownloadOnly }

// outlives: an interruption had better wait for the step's end. A package
// manager that is cut off leaves half-configured packages, and of a host that
// restarts nobody would know how it came back.
func outlives(s remote.Step) bool {
	return s.Install != nil || s.Run != nil && s.Run.Detached || s.Reboot != nil
}

// changes: after this step there may be something to go back from. What is
// only fetched, uploaded or asked leaves the host as it was, and the nodes of a
// cluster have no packages.
func changes(s remote.Step) bool {
	switch {
	case s.Kubectl != nil, s.Upload != nil, asks(s), fetches(s):
		return false
	}
	return s.Install != nil || s.Disrupts != ""
}

// steps carries out the steps of one finding, or of the way back from it.
func (f *Fleet) steps(ctx context.Context, v *Visit, list []remote.Step, independent bool, o ApplyOptions) outcome {
	var out outcome
	anyChanges := slices.ContainsFunc(list, changes)
	for i, s := range list {
		if ctx.Err() != nil {
			out.err = notStarted{context.Cause(ctx)}
			if i > 0 {
				out.err, out.shared = held{fmt.Sprintf("interrupted before the step %q; apply carries on there", s.Title)}, true
			}
			return out
		}
		if s.Reboot != nil && (!o.Reboot || s.Reboot.Refused != "") {
			out.err, out.shared = noReboot{cmp.Or(s.Reboot.Refused, "--reboot never")}, !independent
			return out
		}
		out.begun = out.begun || changes(s) || !anyChanges
		out.onHost = out.onHost || out.took && s.Kubectl == nil && !asks(s)
		out.took = out.took || s.Kubectl != nil
		began := time.Now()
		goesOn, err := f.step(ctx, v, s, o)
		f.log().Info("step", "host", v.Host.Name, "step", s.Title,
			"elapsed", time.Since(began).Round(time.Millisecond), "error", err)
		var said *remote.CommandError
		switch {
		case err == nil:
			out.done++
			continue
		case asks(s) && errors.As(err, &said) && said.Exit > 0:
			out.err, out.shared = held{cmp.Or(said.Stderr, said.Reason)}, true
		default:
			out.err, out.goesOn = stepError(s, err), goesOn
			out.shared = !independent || s.Run == nil && s.Reboot == nil
		}
		return out
	}
	return out
}

// step carries out one step. goesOn says that it was left to itself: by an
// interruption that did not wait for its end, or by a connection that was lost
// and could not be made anew.
func (f *Fleet) step(ctx context.Context, v *Visit, s remote.Step, o ApplyOptions) (goesOn bool, err error) {
	f.event(v, s.Title)
	if outlives(s) && o.Hard != nil {
		ctx = o.Hard
	}
	if s.Kubectl != nil {
		err = kubectl(ctx, s, f.said(v, s.Title))
	} else {
		err = v.conn.Do(ctx, s, f.said(v, s.Title))
	}
	if err == nil {
		return false, nil
	}
	var at *remote.Error
	cut := ctx.Err() != nil || errors.As(err, &at) && at.Stage != remote.SudoStage
	return outlives(s) && cut, cause(ctx, err)
}

// stepError names the step, unless the error does already.
func stepError(s remote.Step, err error) error {
	if strings.HasPrefix(err.Error(), s.Title) {
		return err
	}
	return fmt.Errorf("%s: %w", s.Title, err)
}
