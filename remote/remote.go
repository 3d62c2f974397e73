package remote

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// A Target says which host and how to reach it. Zero values are filled from
// ~/.ssh/config, then with OpenSSH's defaults.
type Target struct {
	Name          string // what messages call it
	Host          string // name or address
	Port          int
	User          string
	IdentityFiles []string
	// Password is tried after the keys. A bastion is offered it only where its
	// user is the target's, so that it can be the same account, and
	// IdentityFiles are none: who names a key is not to have a password told
	// to one machine more.
	Password       secret.Text
	KnownHosts     []string
	AcceptNew      bool          // a host that known_hosts does not know is added
	HostKeySHA256  string        // "SHA256:…": the only key accepted
	Bastions       []Hop         // nil: ProxyJump of ssh_config; empty: none
	ConnectTimeout time.Duration // 0: ten seconds; for each of connect and handshake
	Keepalive      time.Duration // 0: fifteen seconds; silent for three of these is lost
	Sudo           Sudo
}

// A Hop is a bastion; what is unset is as for the target.
type Hop struct {
	User string
	Host string
	Port int
}

// Sudo says how to become root where the user is not.
type Sudo struct {
	Enabled  bool
	Password secret.Text
}

// A Dialer opens connections. One serves a whole run: connections to bastions
// are shared and the dials through each are limited. The zero value is ready.
type Dialer struct {
	// ConfigFile is the ssh_config that is honoured; empty: ~/.ssh/config.
	// os.DevNull: none.
	ConfigFile string
	// Prompt asks a person for the passphrase of a key; nil: nobody is there.
	// Never called twice at once for one key.
	Prompt func(ctx context.Context, question string) (secret.Text, error)
	Log    *slog.Logger // nil: none

	configOnce sync.Once
	configRead *configFile
	keysMu     sync.Mutex
	keys       map[string]*keyFile // by path
	ring       keyring
	hops       hops
	images     imageStore
	beats      time.Duration // 0: beatEvery; shorter in tests
	patience   time.Duration // added to reachLimit and toolsLimit in tests, whose machine is busy with others
}

// A Stage is a part of the way to a host's answer.
type Stage string

// The stages, in the order they are passed.
const (
	Resolve        Stage = "resolve"
	Connect        Stage = "connect"
	Handshake      Stage = "handshake"
	HostKey        Stage = "host key"
	Authentication Stage = "authentication"
	SudoStage      Stage = "sudo"
	Session        Stage = "session" // an established connection was lost or refused a channel
)

// An Error says at which stage the way to a host ended.
type Error struct {
	Stage Stage
	Err   error
	Hint  string // what a person can do; may be empty
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Stage, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// A CommandError is a command that ran and failed.
type CommandError struct {
	Title  string
	Exit   int    // exit status; -1 when ended by a signal or a deadline
	Stderr string // bounded, safe to print
	Reason string // "exit status 2", "killed after 1m0s"
}

func (e *CommandError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %s", e.Title, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", e.Title, e.Reason, e.Stderr)
}

// A Conn is an authenticated connection to one host. Its methods may be called
// from several goroutines at once.
type Conn struct {
	dialer *Dialer
	target Target // with the user that was decided on
	route  route

	mu     sync.Mutex
	link   *link // another one after a reboot, and after a loss
	way    elevation
	noSFTP bool // the host's sftp-server was tried in vain

	noTimeout  bool // the host's timeout was tried in vain
	oneSession bool // the host allows one session at a time (MaxSessions 1)
	lock       *Lock
	closed     bool
}
