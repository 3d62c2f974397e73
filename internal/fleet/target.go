package fleet

import (
	"context"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// Over returns a Connect that dials with d. What clusters say of the hosts is
// asked for all its connections together.
func Over(d *remote.Dialer) func(context.Context, inventory.Host) (Conn, error) {
	c := newClusters()
	return func(ctx context.Context, h inventory.Host) (Conn, error) {
		conn, err := d.Dial(ctx, Target(h))
		if err != nil {
			return nil, err // not conn: a nil *remote.Conn would be a Conn that is not nil
		}
		return &connection{Conn: conn, host: h, clusters: c}, nil
	}
}

// connection is a *remote.Conn as fleets see it.
type connection struct {
	*remote.Conn
	host     inventory.Host
	clusters *clusters
	probe    remote.Probe   // that has a cluster, of the last look
	seen     remote.Section // and what it and the cluster said

	restarted bool // since then
}

// Look gives the sections what their clusters say, which are asked meanwhile.
func (c *connection) Look(ctx context.Context, prelude string, probes []remote.Probe) ([]remote.Section, error) {
	for _, p := range probes {
		if p.Cluster != nil {
			c.clusters.of(*p.Cluster, c.host.Name)
		}
	}
	sections, err := c.Conn.Look(ctx, prelude, probes)
	if err != nil {
		return nil, err
	}
	err = c.clusters.tell(ctx, c.host, probes, sections)
	for i, p := range probes {
		if p.Cluster != nil {
			c.probe, c.seen = p, sections[i]
		}
	}
	return sections, err
}

// Do carries out a step, after which clusters are asked anew.
func (c *connection) Do(ctx context.Context, s remote.Step, said func(line string)) error {
	err := c.Conn.Do(ctx, s, said)
	c.restarted = c.restarted || s.Reboot != nil
	c.clusters.change(c.host.Name)
	return err
}

// Settle waits for the node of a host that was restarted.
func (c *connection) Settle(ctx context.Context, said func(line string)) {
	if c.restarted {
		c.clusters.awaitNode(ctx, c.host, c.probe, c.seen, said)
		c.clusters.change(c.host.Name)
	}
	c.restarted = false
}

func (c *connection) Lock(ctx context.Context, h remote.Holder, wait time.Duration, waiting func(remote.Work)) (io.Closer, error) {
	l, err := c.Conn.Lock(ctx, h, wait, waiting)
	if err != nil {
		return nil, err // not l: a nil *remote.Lock would be a Closer that is not nil
	}
	return l, nil
}

// Target is how remote reaches h.
func Target(h inventory.Host) remote.Target {
	t := remote.Target{
		Name:           h.Name,
		Host:           h.Address,
		Port:           h.SSH.Port,
		User:           h.SSH.User,
		IdentityFiles:  h.SSH.IdentityFiles,
		Password:       h.SSH.Password,
		KnownHosts:     h.SSH.KnownHosts,
		AcceptNew:      h.SSH.HostKey == "accept-new",
		HostKeySHA256:  h.SSH.HostKeySHA256,
		ConnectTimeout: h.SSH.ConnectTimeout,
		Keepalive:      h.SSH.Keepalive,
		Sudo:           remote.Sudo{Enabled: h.Sudo.Enabled, Password: h.Sudo.Password},
	}
	for _, b := range h.SSH.Bastions {
		t.Bastions = append(t.Bastions, remote.Hop{User: b.User, Host: b.Host, Port: b.Port})
	}
	return t
}

// wouldBe is the address of a host that was never reached.
func wouldBe(h inventory.Host) string {
	port := h.SSH.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(h.Address, strconv.Itoa(port))
}
