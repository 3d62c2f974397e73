package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeys is how many keys are offered where no identity is named: sshd closes
// the connection at the sixth failure, and a password may have to follow.
const maxKeys = 5

// personTimeout bounds what waits for a person: a passphrase, a touched token.
const personTimeout = 2 * time.Minute

// An authenticator proves to one server who we are.
type authenticator struct {
	ctx   context.Context
	d     *Dialer
	e     endpoint
	pause func(time.Duration) // sets the handshake's deadline anew; 0: as it was

	mu       sync.Mutex
	conn     net.Conn // to the agent
	agent    agent.ExtendedAgent
	closed   bool
	tried    []string
	notes    []string // why something was not tried, or failed
	accepted []string // what the server last said it takes
}

// close ends a signature that the agent still waits for.
func (a *authenticator) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.conn != nil {
		_ = a.conn.Close()
	}
}

func (a *authenticator) config() *ssh.ClientConfig {
	methods := []ssh.AuthMethod{ssh.PublicKeysCallback(a.signers)}
	if !a.e.password.IsZero() {
		methods = append(methods,
			ssh.PasswordCallback(func() (string, error) {
				a.try("password")
				return a.e.password.Reveal(), nil
			}),
			ssh.KeyboardInteractive(a.answer()))
	}
	return &ssh.ClientConfig{
		User:          a.e.user,
		Auth:          methods,
		ClientVersion: "SSH-2.0-runai-prep",
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			a.accepted = c.AllowedMethods
			return nil, nil // in the order of Auth
		},
	}
}

func (a *authenticator) try(method string) { a.tried = append(a.tried, method) }

func (a *authenticator) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// answer replies to the first hidden prompt with the password. It says it once
// only: where the server refused it as a password it is not offered again, so
// that an account is not locked by one mistake.
func (a *authenticator) answer() ssh.KeyboardInteractiveChallenge {
	said := false
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if slices.Contains(a.tried, "password") {
			return nil, errRefusedAlready
		}
		answers := make([]string, len(questions))
		for i, q := range questions {
			switch {
			case echos[i]:
				return nil, fmt.Errorf("the server asks %q, which a password does not answer", Safe(q))
			case said:
				return nil, fmt.Errorf("the server asks again: %q", Safe(q))
			}
			said = true
			a.try("keyboard-interactive")
			answers[i] = a.e.password.Reveal()
		}
		return answers, nil
	}
}

var errRefusedAlready = errors.New("the password was refused already")

// signers are the keys to offer, in order.
func (a *authenticator) signers() ([]ssh.Signer, error) {
	var signers []ssh.Signer
	var names []string
	offer := func(name string, s ssh.Signer) {
		signers = append(signers, s)
		names = append(names, name+" "+ssh.FingerprintSHA256(plainKey(s.PublicKey())))
	}
	var locked []*keyFile
	for _, path := range a.e.identities {
		k := a.d.key(path)
		if k.err != nil {
			if a.e.explicit || !errors.Is(k.err, os.ErrNotExist) {
				a.note("%v", k.err)
			}
			continue
		}
		signer := k.ready()
		if signer == nil && k.pub != nil {
			certified, plain := a.agentSigners(k.pub)
			for _, s := range certified {
				offer("agent's certificate", s)
			}
			signer = plain
		}
		if signer == nil {
			locked = append(locked, k)
			continue
		}
		a.withCertificate(k, signer, offer)
	}
	if !a.e.explicit {
		for _, key := range a.agentKeys() {
			if len(signers) >= maxKeys {
				a.note("of the agent's keys only the first were offered, for servers end a connection after %d failures", maxKeys+1)
				break
			}
			if !slices.ContainsFunc(signers, func(s ssh.Signer) bool { return samePublic(s.PublicKey(), key.PublicKey()) }) {
				offer("agent", key)
			}
		}
	}
	// Last what needs a passphrase: a failed signature ends the whole method.
	for _, k := range locked {
		a.offerLocked(k, offer)
	}
	if !a.e.explicit && len(signers) > maxKeys {
		signers, names = signers[:maxKeys], names[:maxKeys]
	}
	if len(names) > 0 {
		a.try("publickey (" + strings.Join(names, ", ") + ")")
	}
	return signers, nil
}

// withCertificate offers a key's certificate and then the key itself.
func (a *authenticator) withCertificate(k *keyFile, s ssh.Signer, offer func(string, ssh.Signer)) {
	name := filepath.Base(k.path)
	if k.cert != nil {
		certified, err := ssh.NewCertSigner(k.cert, s)
		switch {
		case err != nil:
			a.note("%s-cert.pub: %v", k.path, err)
		case k.cert.ValidBefore != ssh.CertTimeInfinity && uint64(time.Now().Unix()) >= k.cert.ValidBefore:
			a.note("%s-cert.pub has expired at %s", k.path, time.Unix(int64(k.cert.ValidBefore), 0).UTC().Format(time.RFC3339))
		default:
			offer(name+"-cert", certified)
		}
	}
	offer(name, s)
}

func (a *authenticator) offerLocked(k *keyFile, offer func(string, ssh.Signer)) {
	if k.pem == nil {
		a.note("%s holds no private key that can be used, and no agent holds it", k.path)
		return
	}
	open := func() (ssh.Signer, error) {
		a.pause(personTimeout)
		defer a.pause(0)
		s, err := k.unlock(a.ctx, a.d)
		if err != nil {
			a.note("%v", err)
		}
		return s, err
	}
	if k.pub != nil {
		a.withCertificate(k, &lazySigner{k.pub, open}, offer)
		return
	}
	// Which key it is only the passphrase tells.
	if s, err := open(); err == nil {
		a.withCertificate(k, s, offer)
	}
}

// agentKeys are all that the agent holds. Without an agent there are none.
func (a *authenticator) agentKeys() []ssh.Signer {
	client, err := a.dialAgent()
	if client == nil {
		if err != nil {
			a.note("%v", err)
		}
		return nil
	}
	keys, err := client.Signers()
	if err != nil {
		a.note("list the agent's keys: %v", err)
	}
	for i, key := range keys {
		keys[i] = &patientSigner{key, a}
	}
	return keys
}

// agentSigners are what the agent has for one key: certificates and itself.
func (a *authenticator) agentSigners(pub ssh.PublicKey) (certified []ssh.Signer, plain ssh.Signer) {
	for _, s := range a.agentKeys() {
		parsed, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		if err != nil || !samePublic(plainKey(parsed), pub) {
			continue
		}
		if _, ok := parsed.(*ssh.Certificate); ok {
			certified = append(certified, s)
		} else {
			plain = s
		}
	}
	return certified, plain
}

// A patientSigner gives a person time to touch a token or to confirm.
type patientSigner struct {
	ssh.Signer
	a *authenticator
}

func (s *patientSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.a.pause(personTimeout)
	defer s.a.pause(0)
	with, ok := s.Signer.(ssh.AlgorithmSigner)
	if !ok {
		return s.Sign(rand, data)
	}
	return with.SignWithAlgorithm(rand, data, algorithm)
}

// dialAgent is a connection to the agent for this login alone: one that waits
// for a person holds up no other host, and is ended with its own.
func (a *authenticator) dialAgent() (agent.ExtendedAgent, error) {
	if a.e.agent == "" {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.agent != nil || a.closed {
		return a.agent, nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(a.ctx, "unix", a.e.agent)
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	a.conn, a.agent = conn, agent.NewClient(conn)
	return a.agent, nil
}

// agentSocket is the agent to ask: IdentityAgent of ssh_config, else the
// environment's.
func agentSocket(conf string, expand func(string) (string, error)) (string, error) {
	switch {
	case conf == "", conf == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK"), nil
	case strings.EqualFold(conf, "none"):
		return "", nil
	case strings.HasPrefix(conf, "$"):
		return os.Getenv(strings.Trim(conf[1:], "{}")), nil
	}
	return expand(conf)
}

// refused is the error of a login that no method brought through.
func (a *authenticator) refused(err error) error {
	tried := "nothing to try"
	if len(a.tried) > 0 {
		tried = "tried " + strings.Join(a.tried, ", ")
	}
	text := fmt.Sprintf("permission denied for %s: %s", a.e.user, tried)
	if len(a.accepted) > 0 {
		text += "; the server takes " + Safe(strings.Join(a.accepted, ", "))
	}
	if a.e.withheld {
		a.note("the target's password is for bastions only where the user is the same and no key is named")
	}
	if len(a.notes) > 0 {
		text += "; " + strings.Join(slices.Compact(a.notes), "; ")
	}
	e := &Error{Stage: Authentication, Err: errors.New(text)}
	var encrypted *encryptedError
	switch {
	case errors.As(err, &encrypted):
		e.Hint = "ssh-add " + encrypted.path
	case len(a.tried) == 0:
		e.Hint = "name a key (ssh { identity_file = … }), or start an ssh-agent that holds one"
	case slices.Contains(a.tried, "password"), slices.Contains(a.tried, "keyboard-interactive"):
		e.Hint = "check the password; each way was tried once only, so that the account is not locked"
	default:
		e.Hint = "check that ~/.ssh/authorized_keys of " + a.e.user + " on the host has one of these keys"
	}
	if !strings.Contains(err.Error(), "unable to authenticate") && encrypted == nil && !errors.Is(err, errRefusedAlready) {
		e.Err = fmt.Errorf("%s: %w", text, saying(err))
	}
	return e
}
