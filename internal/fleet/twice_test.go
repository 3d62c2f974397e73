package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// echo is a host that prints what it is asked, and reaches what it is to reach.
type echo struct {
	Conn
	asked []string // "NAME: SCRIPT → ENDPOINTS"
}

func (e *echo) Address() string { return "192.0.2.1:22" }
func (e *echo) Close() error    { return nil }

func (e *echo) Look(_ context.Context, _ string, probes []remote.Probe) ([]remote.Section, error) {
	var sections []remote.Section
	for _, p := range probes {
		s := remote.Section{Name: p.Name, Out: p.Script}
		for _, to := range p.Endpoints {
			s.Reached += to.Host + " "
		}
		if p.More != nil {
			for _, to := range p.More(nil) {
				s.Reached += to.Host + " "
			}
		}
		if p.Name != workSection {
			e.asked = append(e.asked, p.Name+": "+s.Out+" → "+strings.TrimSpace(s.Reached))
		} else {
			s.Out = ""
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// Two profiles are held against each other by one look at each host: what both
// ask is asked once, endpoints of either are tried, and each plans by its own
// answers.
func TestLookTwice(t *testing.T) {
	to := func(names ...string) (all []remote.Endpoint) {
		for _, n := range names {
			all = append(all, remote.Endpoint{Host: n, Port: 443})
		}
		return all
	}
	type seen struct{ Out, Reached string }
	task := func(name string, probe func(inventory.Host) string, reach, more func(inventory.Host) []remote.Endpoint) tasks.Task {
		k := tasks.Task{Name: name, Probe: probe, Reach: reach,
			Read: func(s remote.Section) (tasks.Facts, error) { return &seen{s.Out, s.Reached}, nil },
			Plan: func(h inventory.Host, f tasks.Facts) []tasks.Finding {
				return []tasks.Finding{{Subject: name, State: tasks.OK, Have: f.(*seen).Out, Want: f.(*seen).Reached, Why: h.Role}}
			}}
		if more != nil {
			k.More = func(h inventory.Host, _ []remote.Section) []remote.Endpoint { return more(h) }
		}
		return k
	}
	same := func(inventory.Host) string { return "look" }
	own := func(h inventory.Host) string { return "look as " + h.Role }
	f := &Fleet{Parallel: 2, Timeout: time.Minute, Tasks: []tasks.Task{
		task("resources", own, nil, nil),
		task("egress", same,
			func(h inventory.Host) []remote.Endpoint {
				image := &remote.Image{Name: "both/image", Way: func(string, int) *remote.HTTPProxy { return nil }}
				return append(to("both", h.Role), remote.Endpoint{Host: "both", Port: 443, Image: image})
			},
			func(h inventory.Host) []remote.Endpoint { return to("more", "more-"+h.Role) }),
		task("registry", same, func(h inventory.Host) []remote.Endpoint {
			return []remote.Endpoint{{Host: "one", Port: 443, Registry: h.Role == "a"}} // two ways to one endpoint
		}, nil),
	}}
	hosts := func(role string) []inventory.Host {
		return []inventory.Host{{Name: "up", Role: role}, {Name: "down", Role: role}}
	}
	host, dials := &echo{}, 0
	f.Connect = func(_ context.Context, h inventory.Host) (Conn, error) {
		if h.Name == "down" {
			return nil, errors.New("no answer")
		}
		dials++
		return host, nil
	}
	one, other := f.LookTwice(t.Context(), hosts("a"), hosts("b"))
	want := []string{
		"resources: look as a → ",
		"resources again: look as b → ",
		"egress: look → both a both b more more-a more-b",
		"registry: look → one",
		"registry again: look → one",
	}
	if diff := cmp.Diff(want, host.asked); diff != "" || dials != 1 {
		t.Errorf("asked over %d connections (-want +got):\n%s", dials, diff)
	}
	for i, visits := range [][]*Visit{one, other} {
		role := []string{"a", "b"}[i]
		var got []string
		for _, l := range visits[0].Looks {
			for _, g := range l.Findings {
				got = append(got, g.Subject+": "+g.Have+" → "+strings.TrimSpace(g.Want)+" for "+g.Why)
			}
		}
		want := []string{
			"resources: look as " + role + " →  for " + role,
			"egress: look → both a both b more more-a more-b for " + role,
			"registry: look → one for " + role,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("planned for %s (-want +got):\n%s", role, diff)
		}
		if visits[1].Err == nil || visits[0].Address == "" {
			t.Errorf("%s: down has the error %v, up the address %q", role, visits[1].Err, visits[0].Address)
		}
	}
}
