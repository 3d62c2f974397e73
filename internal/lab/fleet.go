package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Config says what fleet to start.
type Config struct {
	// Dir is where inventory.hcl, id_ed25519, known_hosts, the authority of
	// the box behind the proxy and, for looking around with ssh -F, ssh_config
	// are written; it is made where it is not there.
	Dir string
	// Hosts is how many healthy hosts to start. 0: the clinic, some twelve
	// hosts of which each has an illness of its own.
	Hosts int
	// Fresh makes those hosts freshly installed ones, on which everything that
	// the inventory wishes is still to be done.
	Fresh bool
	// Latency delays everything that the hosts send.
	Latency time.Duration
	// Seed makes the keys of two fleets alike. 0: nobody knows them.
	Seed uint64
}

// A Fleet is a set of running practice hosts.
type Fleet struct {
	// Hosts are the machines in the order of the inventory. A host that
	// nobody can reach is there too: it is just not on the network.
	Hosts []*Machine

	byName  map[string]*Machine
	servers map[string]*server
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	done    chan struct{}
	once    sync.Once
}

// Start starts a fleet on loopback and writes the inventory for it. The fleet
// ends with ctx, or with Close.
func Start(ctx context.Context, config Config) (*Fleet, error) {
	if config.Seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("start lab: %w", err)
		}
		config.Seed = binary.NativeEndian.Uint64(b[:])
	}
	w, all, err := newWorld()
	if err != nil {
		return nil, err
	}
	patients := clinic(all)
	if config.Hosts > 0 {
		patients = alike(all, config.Hosts, config.Fresh)
	}
	client, err := config.signer("the client")
	if err != nil {
		return nil, err
	}
	f := &Fleet{byName: map[string]*Machine{}, servers: map[string]*server{}, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(ctx)
	for i := range patients {
		if err := f.add(&patients[i], w, config, client.PublicKey()); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := f.write(config, patients, w.outside.CA); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	context.AfterFunc(f.ctx, func() { _ = f.Close() }) // also runs after a Close, which does no harm
	return f, nil
}

func (f *Fleet) add(p *patient, w *world, config Config, client ssh.PublicKey) error {
	p.spec.latency = max(p.spec.latency, config.Latency)
	m := newMachine(p.name, p.illness, p.spec, w)
	if p.infect != nil {
		p.infect(m)
	}
	f.Hosts = append(f.Hosts, m)
	f.byName[p.name] = m
	host, err := config.signer("host " + p.name)
	if err != nil {
		return err
	}
	s := &server{machine: m, host: host, client: client, conns: map[net.Conn]bool{}, forward: f.has}
	f.servers[p.name] = s
	m.restart = func() { f.reboot(s) }
	m.boot()
	if p.later != nil {
		p.later(m)
	}
	if err := s.listen(); err != nil {
		return err
	}
	p.port, p.key = s.port, host.PublicKey()
	if p.unplugged {
		s.hangUp()
	}
	return nil
}

func (f *Fleet) has(port int) bool {
	for _, s := range f.servers {
		if s.port == port {
			return true
		}
	}
	return false
}

// reboot restarts a machine, a moment from now: whoever asked for it is told
// first that it will.
func (f *Fleet) reboot(s *server) {
	f.work.Go(func() {
		t := time.NewTimer(20 * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
			_ = s.restart(f.ctx)
		case <-f.ctx.Done():
		}
	})
}

// Machine finds a machine by its name; nil if there is none.
func (f *Fleet) Machine(name string) *Machine { return f.byName[name] }

// Address is where a machine listens, as host:port.
func (f *Fleet) Address(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(f.servers[name].port))
}

// Reboot restarts a machine and returns when it answers again.
func (f *Fleet) Reboot(name string) error {
	s := f.servers[name]
	if s == nil {
		return fmt.Errorf("reboot %s: no such machine", name)
	}
	return s.restart(f.ctx)
}

// Unplug takes a machine off the network, as a pulled cable does; it runs on.
func (f *Fleet) Unplug(name string) { f.servers[name].hangUp() }

// Plug is the opposite of Unplug.
func (f *Fleet) Plug(name string) error { return f.servers[name].listen() }

// Close stops all machines, and returns when nothing of them runs any more.
func (f *Fleet) Close() error {
	f.once.Do(func() {
		f.cancel()
		var closing sync.WaitGroup
		for _, s := range f.servers {
			closing.Go(s.close)
		}
		closing.Wait()
		f.work.Wait()
		close(f.done)
	})
	<-f.done
	return nil
}

// Wait returns when the fleet is closed.
func (f *Fleet) Wait() { <-f.done }

// signer derives a key from the seed.
func (c Config) signer(of string) (ssh.Signer, error) {
	return ssh.NewSignerFromKey(c.key(of))
}

func (c Config) key(of string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(strconv.FormatUint(c.Seed, 10) + " " + of))
	return ed25519.NewKeyFromSeed(seed[:])
}

// marker begins every inventory that a lab wrote.
const marker = "# A practice fleet of runai-prep lab"

// mayWrite refuses a folder that holds files of these names which no lab wrote:
// a person's own key or inventory is not to be lost to a practice.
func mayWrite(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "inventory.hcl"))
	if err == nil && strings.HasPrefix(string(text), marker) {
		return nil
	}
	for _, name := range []string{"inventory.hcl", "id_ed25519", "known_hosts", "ssh_config", authorityFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("start lab: %s is there already, and no lab wrote it; name another folder", filepath.Join(dir, name))
		}
	}
	return nil
}

func (f *Fleet) write(config Config, patients []patient, authority string) error {
	if err := mayWrite(config.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return fmt.Errorf("start lab: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(config.key("the client"), "runai-prep lab")
	if err != nil {
		return fmt.Errorf("start lab: %w", err)
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return fmt.Errorf("start lab: %w", err)
	}
	var known, way strings.Builder
	for _, p := range patients {
		key := p.key
		if p.impostor {
			other, err := config.signer("another " + p.name)
			if err != nil {
				return err
			}
			key = other.PublicKey()
		}
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s", p.port, ssh.MarshalAuthorizedKey(key))
		fmt.Fprintf(&way, "Host %s\n  HostName 127.0.0.1\n  Port %d\n", p.name, p.port)
	}
	fmt.Fprintf(&way, "Host *\n  User ops\n  IdentityFile \"%s\"\n  IdentitiesOnly yes\n  UserKnownHostsFile \"%s\"\n  StrictHostKeyChecking yes\n",
		filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "known_hosts"))
	for _, file := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"id_ed25519", pem.EncodeToMemory(block), 0o600},
		{"known_hosts", []byte(known.String()), 0o644},
		{"ssh_config", []byte(way.String()), 0o644},
		{authorityFile, []byte(authority), 0o644},
		{"inventory.hcl", []byte(inventoryFor(dir, patients)), 0o644},
	} {
		name := filepath.Join(dir, file.name)
		_ = os.Remove(name) // a key of a former fleet may be read-only
		if err := os.WriteFile(name, file.data, file.mode); err != nil {
			return fmt.Errorf("start lab: %w", err)
		}
	}
	return nil
}
