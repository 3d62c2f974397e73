package remote

import (
	"context"
	"fmt"
	"time"
)

// Bounds of what one look may print.
const (
	maxSection = 1 << 20
	maxLook    = 8 << 20
	maxStderr  = 64 << 10 // the rest is dropped, it is for people
)

// A Probe is read-only POSIX sh that prints what it sees. It fails when it
// cannot look.
type Probe struct {
	Name    string
	Script  string
	Timeout time.Duration // 0: ten seconds
	// Inline saves the process of a subshell: the script runs in the shell of
	// the look itself. It relies on no variable that neither it nor the prelude
	// has set, and an exit or a syntax error of it costs an exec more.
	Inline bool
	// Endpoints are what a shell cannot look at well: they are tried through
	// the connection, after the exec.
	Endpoints []Endpoint
	// More are endpoints that only what was printed tells of; nil: none.
	More func([]Section) []Endpoint
	// Cluster is asked beside the probe, on the controller and so not by Look;
	// nil: none. What it says of the host is in Section.Cluster.
	Cluster *Cluster
}

// A Section is what one probe printed.
type Section struct {
	Name string `json:"name"`
	// Out is its standard output: bounded, valid UTF-8 or escaped. Its lines
	// are a stranger's words all the same.
	Out string `json:"out,omitempty"`
	Err string `json:"err,omitempty"` // its standard error, likewise
	// Exit is the probe's exit status.
	Exit int `json:"exit"`
	// Reached is how the way to the probe's endpoints went: a Reached in JSON a
	// line, in their order, More after Endpoints.
	Reached string `json:"reached,omitempty"`
	// Cluster is what the probe's cluster says of the host, as the task reads it;
	// empty: it was not asked.
	Cluster string `json:"cluster,omitempty"`
	// Failure says why there is no complete output ("no answer within 10s",
	// "output over 1 MiB", "connection lost"). Empty: the probe came to its end.
	Failure string `json:"failure,omitempty"`
	// Clock is the controller's when the last of the output had come: what a
	// host says its own is can be held against it, later too. Zero where there
	// is no complete output.
	Clock time.Time `json:"clock,omitzero"`
	// Began is the controller's clock before the host was asked for anything of
	// this: what it says was so between then and Clock.
	Began time.Time `json:"began,omitzero"`
}

// Look runs all probes in one exec. prelude is put before them: functions that
// they share. A probe that hangs or fails spoils its own section alone; an error
// means that there are no sections.
func (c *Conn) Look(ctx context.Context, prelude string, probes []Probe) ([]Section, error) {
	sections := make([]Section, len(probes))
	for i, p := range probes {
		sections[i].Name = p.Name
	}
	room := maxLook
	for next := 0; next < len(probes); {
		done, err := c.lookFrom(ctx, prelude, probes, sections, next, &room)
		next = done
		if err == nil && room < 0 {
			err = fmt.Errorf("output over %d MiB in all", maxLook>>20)
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil || next == 0 {
			return nil, err
		}
		// What was seen was seen.
		for i := next; i < len(sections); i++ {
			sections[i].Failure = "connection lost"
			if !c.isLost() {
				sections[i].Failure = Safe(err.Error())
			}
		}
		break
	}
	c.reachFor(ctx, probes, sections)
	return sections, nil
}

// reachFor tries the endpoints of all probes together.
func (c *Conn) reachFor(ctx context.Context, probes []Probe, sections []Section) {
	var endpoints []Endpoint
	ends := make([]int, len(probes))
	for i, p := range probes {
		endpoints = append(endpoints, p.Endpoints...)
		if p.More != nil {
			endpoints = append(endpoints, p.More(sections)...)
		}
		ends[i] = len(endpoints)
	}
	if len(endpoints) == 0 {
		return
	}
	found := c.reach(ctx, endpoints)
	begin := 0
	for i, end := range ends {
		sections[i].Reached, begin = reachedText(found[begin:end]), end
	}
}

// lookFrom runs the probes from the given one on, in one exec, and returns the
// first that is still to be run.
func (c *Conn) lookFrom(ctx context.Context, prelude string, probes []Probe, sections []Section, first int, room *int) (int, error) {
	var jobs []job
	for i := first; i < len(probes); i++ {
		jobs = append(jobs, job{script: probes[i].Script, timeout: orDefault(probes[i].Timeout, 10*time.Second), inline: probes[i].Inline})
	}
	b := &batch{prelude: prelude, jobs: jobs, room: room, limit: maxSection, spare: 10 * time.Second}
	began := time.Now().UTC().Round(0)
	err := b.run(ctx, c)
	for i := range b.results {
		r := &b.results[i]
		sections[first+i] = Section{Name: probes[first+i].Name, Out: text(r.out), Err: Safe(string(r.errs)), Exit: r.exit, Failure: r.failure, Clock: r.at.UTC().Round(0), Began: began}
	}
	return first + len(b.results), err
}
