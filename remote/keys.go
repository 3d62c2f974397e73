package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A keyFile is an identity file, read once for a whole run.
type keyFile struct {
	path string
	pub  ssh.PublicKey    // nil: only the passphrase would tell
	cert *ssh.Certificate // PATH-cert.pub
	err  error            // why there is neither key nor public key

	pem    []byte     // encrypted
	asking sync.Mutex // one question at a time
	mu     sync.Mutex // of what follows, never held while a person thinks
	signer ssh.Signer // nil: encrypted, on a FIDO token, or only the public half is here
	failed error      // the passphrase was not to be had; nobody is asked again
}

// key reads an identity file. What cannot be read is remembered likewise.
func (d *Dialer) key(path string) *keyFile {
	d.keysMu.Lock()
	defer d.keysMu.Unlock()
	k, ok := d.keys[path]
	if !ok {
		k = readKey(path)
		if d.keys == nil {
			d.keys = make(map[string]*keyFile)
		}
		d.keys[path] = k
	}
	return k
}

func readKey(path string) *keyFile {
	k := &keyFile{path: path}
	k.err = k.read()
	if k.pub == nil && k.pem == nil {
		return k
	}
	k.err = nil
	if cert, ok := readPublic(path + "-cert.pub").(*ssh.Certificate); ok && k.pub != nil && samePublic(cert.Key, k.pub) {
		k.cert = cert
	}
	return k
}

func (k *keyFile) read() error {
	data, err := readPrivateFile(k.path)
	if err != nil {
		// The private half may be in the agent or on a token alone.
		if errors.Is(err, fs.ErrNotExist) {
			k.pub = plainKey(readPublic(k.path + ".pub"))
		}
		return err
	}
	if pub, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		k.pub = plainKey(pub)
		return nil
	}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		k.signer, k.pub = signer, signer.PublicKey()
		return nil
	case errors.As(err, &missing):
		k.pem, k.pub = data, missing.PublicKey
		if k.pub == nil {
			k.pub = plainKey(readPublic(k.path + ".pub"))
		}
		return nil
	default:
		// A FIDO key's file holds no secret that could sign; the agent does.
		k.pub = plainKey(readPublic(k.path + ".pub"))
		return fmt.Errorf("read %s: not a private key that can be used: %w", k.path, err)
	}
}

// readPrivateFile refuses what OpenSSH refuses: a key that others can read.
func readPrivateFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("read %s: not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, err
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return data, nil
	}
	if ownedByUs(info) && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read %s: its mode %04o lets others read it (chmod 600 %[1]s)", path, info.Mode().Perm())
	}
	return data, nil
}

func readPublic(path string) ssh.PublicKey {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return pub
}

// plainKey is the key itself, also of a certificate.
func plainKey(pub ssh.PublicKey) ssh.PublicKey {
	if cert, ok := pub.(*ssh.Certificate); ok {
		return cert.Key
	}
	return pub
}

func samePublic(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && string(a.Marshal()) == string(b.Marshal())
}

// ready is the signer where no passphrase is needed, or not any more.
func (k *keyFile) ready() ssh.Signer {
	signer, _ := k.state()
	return signer
}

func (k *keyFile) state() (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer, k.failed
}

// unlock asks a person for the passphrase, once in a run however many hosts
// want the key.
func (k *keyFile) unlock(ctx context.Context, d *Dialer) (ssh.Signer, error) {
	k.asking.Lock()
	defer k.asking.Unlock()
	if signer, err := k.state(); signer != nil || err != nil {
		return signer, err
	}
	signer, err := k.ask(ctx, d)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // the next host may ask
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signer, k.failed = signer, err
	return signer, err
}

func (k *keyFile) ask(ctx context.Context, d *Dialer) (ssh.Signer, error) {
	if d.Prompt == nil {
		return nil, &encryptedError{k.path}
	}
	const tries = 3
	question := "Passphrase of " + k.path + ": "
	for range tries {
		answer, err := d.Prompt(ctx, question)
		if err != nil {
			return nil, fmt.Errorf("unlock %s: %w", k.path, err)
		}
		if answer.IsZero() {
			break
		}
		if signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, []byte(answer.Reveal())); err == nil {
			return signer, nil
		}
		question = "Wrong. Passphrase of " + k.path + ": "
	}
	return nil, &encryptedError{k.path}
}

// An encryptedError is a key whose passphrase is not to be had.
type encryptedError struct{ path string }

func (e *encryptedError) Error() string {
	return e.path + " is encrypted, and no agent holds it"
}

// A lazySigner asks for the passphrase when the server has said that it would
// take the key, not before.
type lazySigner struct {
	pub  ssh.PublicKey
	open func() (ssh.Signer, error)
}

func (s *lazySigner) PublicKey() ssh.PublicKey { return s.pub }

func (s *lazySigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s *lazySigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := s.open()
	if err != nil {
		return nil, err
	}
	if with, ok := signer.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return with.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}
