package remote

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// explainSilence asks the host's resolver about the names whose endpoints did
// not answer: to a forwarding sshd a dead name server looks like a dead server,
// and while it waits for that one it goes nowhere else. So the rest is tried again,
// over a connection of its own; that is returned, for the first may still wait.
// nil: it was not needed. stuck says that some were not even sent.
func (c *Conn) explainSilence(ctx context.Context, endpoints []Endpoint, found []Reached, stuck bool) (spare *Conn) {
	var script strings.Builder
	script.WriteString("has() { command -v \"$1\" >/dev/null 2>&1; }\nhas getent && has timeout || exit 0\n")
	var asked []string
	for _, r := range found {
		if r.Barrier != Silence {
			continue
		}
		host, _, _ := net.SplitHostPort(r.hop())
		if net.ParseIP(host) == nil && !slices.Contains(asked, host) {
			fmt.Fprintf(&script, "{ timeout 1 getent ahosts %s >/dev/null; echo \"$? %d\"; } &\n", quoteScript(host), len(asked))
			asked = append(asked, host)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	script.WriteString("wait\n")
	asking := true
	defer func() {
		if !stuck || !asking && ctx.Err() == nil {
			return
		}
		// Nobody has kept silent whom nobody has asked.
		for i := range found {
			if found[i].Barrier == Silence {
				found[i].Barrier, found[i].Said = Lost, "the host's sshd waits for its name server, and the time was up"
			}
		}
	}()
	spare, err := c.again(ctx)
	if err != nil {
		return nil
	}
	out, err := spare.shell(ctx, "resolve names", script.String(), min(2*whyLimit, left(ctx)))
	if err != nil {
		return spare
	}
	asking = false
	waited := stuck
	for line := range strings.Lines(out) {
		exit, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if exit == "0" || err != nil || n < 0 || n >= len(asked) {
			continue
		}
		name := asked[n]
		for i := range found {
			if host, _, _ := net.SplitHostPort(found[i].hop()); host == name && found[i].Barrier == Silence {
				found[i].Barrier, found[i].Proxy = NoName, found[i].Through != ""
				found[i].Said = "the host finds no address for the name"
				if exit == "124" {
					waited = true
					found[i].Said = "the host's name server does not answer"
				}
			}
		}
	}
	if waited {
		spare.reachAll(ctx, whyLimit, endpoints, found, func(i int) bool { return found[i].Barrier == Silence })
	}
	return spare
}

// left is how much time there is.
func left(ctx context.Context) time.Duration {
	end, _ := ctx.Deadline()
	return time.Until(end)
}

// hop is what the host itself connects to.
func (r Reached) hop() string {
	if r.Through != "" {
		return r.Through
	}
	return r.Endpoint
}
