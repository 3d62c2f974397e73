package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/lockedfile"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// A keyring is what the known_hosts files of a run say, read once, and again
// when one of them has changed.
type keyring struct {
	mu   sync.Mutex
	dbs  map[string]*knownDB
	adds sync.Mutex // one addition at a time; other processes are kept out by the file's lock
}

type knownDB struct {
	*knownhosts.HostKeyDB
	stamp string
	// origin is the file that a copy without its broken lines was made from.
	origin map[string]string
	// added are the keys that we wrote since, by host: ten thousand new hosts
	// must not read the file ten thousand times.
	added map[string][]ssh.PublicKey
}

// db is the state of the files that exist.
func (r *keyring) db(files []string) (*knownDB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh(files)
}

func (r *keyring) fresh(files []string) (*knownDB, error) {
	name := strings.Join(files, "\x00")
	there, stamp := present(files)
	if db := r.dbs[name]; db != nil && db.stamp == stamp {
		return db, nil
	}
	parsed, origin, err := parseKnownHosts(there)
	if err != nil {
		return nil, err
	}
	db := &knownDB{parsed, stamp, origin, make(map[string][]ssh.PublicKey)}
	if r.dbs == nil {
		r.dbs = make(map[string]*knownDB)
	}
	r.dbs[name] = db
	return db, nil
}

func present(files []string) (there []string, stamp string) {
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.IsDir() || !readable(f) {
			continue
		}
		there = append(there, f)
		stamp += fmt.Sprintf("%s %d %d\n", f, info.Size(), info.ModTime().UnixNano())
	}
	return there, stamp
}

var brokenLine = regexp.MustCompile(`^knownhosts: (.*):(\d+): `)

// parseKnownHosts reads the files as OpenSSH does, which passes over a line
// that it does not understand: a key of a new type must not keep a whole fleet
// from being reached. Only a broken @revoked line stays an error.
func parseKnownHosts(files []string) (db *knownhosts.HostKeyDB, origin map[string]string, err error) {
	if db, err = knownhosts.NewDB(files...); err == nil {
		return db, nil, nil
	}
	dir, errDir := os.MkdirTemp("", "runai-prep-known-")
	if errDir != nil {
		return nil, nil, fmt.Errorf("read known_hosts: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	origin = make(map[string]string)
	lines := make(map[string][]string)
	var copies []string
	for i, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, nil, fmt.Errorf("read known_hosts: %w", err)
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		copies, origin[name], lines[name] = append(copies, name), f, strings.Split(string(data), "\n")
	}
	const maxBroken = 100
	for range maxBroken {
		for _, name := range copies {
			if err := os.WriteFile(name, []byte(strings.Join(lines[name], "\n")), 0o600); err != nil {
				return nil, nil, fmt.Errorf("read known_hosts: %w", err)
			}
		}
		if db, err = knownhosts.NewDB(copies...); err == nil {
			return db, origin, nil
		}
		at := brokenLine.FindStringSubmatch(err.Error())
		if at == nil || origin[at[1]] == "" {
			break
		}
		n, _ := strconv.Atoi(at[2])
		if n < 1 || n > len(lines[at[1]]) || strings.HasPrefix(strings.TrimSpace(lines[at[1]][n-1]), "@revoked") {
			err = errors.New(strings.ReplaceAll(err.Error(), at[1], origin[at[1]]))
			break
		}
		lines[at[1]][n-1] = "" // the numbers of the others stay
	}
	return nil, nil, fmt.Errorf("read known_hosts: %w", err)
}

// place is a line of known_hosts as people find it.
func (db *knownDB) place(k xknownhosts.KnownKey) string {
	return fmt.Sprintf("%s:%d", orElse(db.origin[k.Filename], k.Filename), k.Line)
}

// readable tells a device like /dev/null, which is nothing to read but no
// fault, from a file.
func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// check is nil when the key is the host's by these files.
func (db *knownDB) check(host string, remote net.Addr, key ssh.PublicKey) error {
	err := db.HostKeyCallback()(host, remote, key)
	if err != nil && knownhosts.IsHostUnknown(err) && len(db.added[host]) > 0 {
		if slices.ContainsFunc(db.added[host], func(k ssh.PublicKey) bool { return samePublic(k, key) }) {
			return nil
		}
	}
	return err
}

// keysOf leaves out of a mismatch the keys of authorities: a host that shows no
// certificate is unknown to them, not changed.
func (db *knownDB) keysOf(host string, want []xknownhosts.KnownKey) []xknownhosts.KnownKey {
	var authorities []ssh.PublicKey
	for _, k := range db.HostKeys(host) {
		if k.Cert {
			authorities = append(authorities, k.PublicKey)
		}
	}
	return slices.DeleteFunc(slices.Clone(want), func(w xknownhosts.KnownKey) bool {
		return slices.ContainsFunc(authorities, func(a ssh.PublicKey) bool { return samePublic(a, w.Key) })
	})
}

// A hostKeyCheck verifies one server's key, and remembers how that went.
type hostKeyCheck struct {
	ring *keyring
	e    endpoint
	only bool // to see the key and end there

	verified  bool
	err       *Error
	presented ssh.PublicKey // without a certificate around it
	unpinned  bool          // refused only because another key is pinned
}

// algorithms are the host key algorithms to ask for: first those of which
// known_hosts has a key, so that a server with several shows one we know.
func (h *hostKeyCheck) algorithms() ([]string, error) {
	db, err := h.ring.db(h.e.knownHosts)
	if err != nil {
		return nil, &Error{Stage: HostKey, Err: err, Hint: "mend or remove that line"}
	}
	var algorithms []string
	if h.e.pin == "" {
		// Where an authority is known, certificates come first, of whatever type
		// the host's own key is.
		for _, k := range db.HostKeys(h.e.hostKeyName) {
			if k.Cert {
				algorithms = slices.Clone(certAlgorithms)
			}
		}
		for _, a := range db.HostKeyAlgorithms(h.e.hostKeyName) {
			if !slices.Contains(certAlgorithms, a) && slices.Contains(plainAlgorithms, a) {
				algorithms = append(algorithms, a)
			}
		}
	} else {
		for _, k := range db.HostKeys(h.e.hostKeyName) {
			if ssh.FingerprintSHA256(k.PublicKey) == h.e.pin {
				algorithms = append(algorithms, keyAlgorithms(k.Type())...)
			}
		}
	}
	for _, a := range plainAlgorithms {
		if !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	return algorithms, nil
}

// plainAlgorithms are all that we take, the best first.
var plainAlgorithms = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

var certAlgorithms = []string{
	ssh.CertAlgoED25519v01,
	ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
}

// keyAlgorithms are the algorithms that a key of the given type signs with.
func keyAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// verify is the ssh.HostKeyCallback.
func (h *hostKeyCheck) verify(host string, remote net.Addr, key ssh.PublicKey) error {
	h.presented = plainKey(key)
	if h.only {
		return errSeen
	}
	h.err = h.judge(host, remote, key)
	h.verified = h.err == nil
	if h.err != nil {
		return h.err
	}
	return nil
}

var errSeen = errors.New("the key was seen")

func (h *hostKeyCheck) judge(host string, remote net.Addr, key ssh.PublicKey) *Error {
	db, err := h.ring.db(h.e.knownHosts)
	if err != nil {
		return &Error{Stage: HostKey, Err: err}
	}
	if !isTCP(remote) {
		remote = &net.TCPAddr{IP: net.IPv4zero} // through a hop; the name decides
	}
	plain := h.presented
	plainErr := db.check(host, remote, plain)
	var revoked *xknownhosts.RevokedError
	if errors.As(plainErr, &revoked) {
		return &Error{Stage: HostKey, Err: fmt.Errorf("the host presents %s, which is revoked in %s",
			describe(plain), db.place(revoked.Revoked))}
	}
	if h.e.pin != "" {
		if ssh.FingerprintSHA256(plain) == h.e.pin {
			return nil
		}
		h.unpinned = true
		return pinMissed(h.e, plain)
	}
	if plainErr == nil {
		return nil
	}
	if _, ok := key.(*ssh.Certificate); ok {
		err := db.check(host, remote, key)
		if err == nil {
			return nil
		}
		return &Error{Stage: HostKey, Err: fmt.Errorf("the host's certificate for %s is not accepted: %w", describe(plain), err)}
	}
	var mismatch *xknownhosts.KeyError
	if !errors.As(plainErr, &mismatch) {
		return &Error{Stage: HostKey, Err: plainErr}
	}
	want := db.keysOf(host, mismatch.Want)
	switch {
	case len(want) > 0:
		return db.changed(plain, want)
	case len(db.added[host]) > 0:
		return &Error{Stage: HostKey, Err: fmt.Errorf("the host presents %s now, and %s a moment ago", describe(plain), describe(db.added[host][0]))}
	case h.e.acceptNew:
		return h.ring.add(h.e, plain)
	}
	return &Error{Stage: HostKey, Err: fmt.Errorf("unknown host %s: it presents %s", knownhosts.Normalize(host), describe(plain)),
		Hint: "compare the fingerprint, then: runai-prep trust INVENTORY --limit " + Safe(h.e.target)}
}

func pinMissed(e endpoint, presented ...ssh.PublicKey) *Error {
	var all []string
	for _, key := range presented {
		all = append(all, describe(key))
	}
	return &Error{Stage: HostKey, Err: fmt.Errorf("the host presents %s, but the inventory pins %s", strings.Join(all, ", "), e.pin),
		Hint: "if the host was installed anew, compare the fingerprint at its console and change host_key_sha256"}
}

func isTCP(a net.Addr) bool {
	_, ok := a.(*net.TCPAddr)
	return ok
}

func describe(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

func (db *knownDB) changed(key ssh.PublicKey, want []xknownhosts.KnownKey) *Error {
	var known, places []string
	for _, w := range want {
		known = append(known, fmt.Sprintf("%s (%s)", describe(w.Key), db.place(w)))
		places = append(places, db.place(w))
	}
	return &Error{Stage: HostKey,
		Err: fmt.Errorf("the host key has changed: the host presents %s, known is %s", describe(key), strings.Join(known, ", ")),
		Hint: "someone may be in between. If the host was installed anew, compare the fingerprint at its console, remove " +
			strings.Join(places, ", ") + " and run runai-prep trust"}
}

// add appends a new host's key. Under the file's lock it looks again, for two
// runs may meet the same host at once.
func (r *keyring) add(e endpoint, key ssh.PublicKey) *Error {
	r.adds.Lock()
	defer r.adds.Unlock()
	if err := r.append(e, key); err != nil {
		var known *Error
		if errors.As(err, &known) {
			return known
		}
		return &Error{Stage: HostKey, Err: fmt.Errorf("add %s to known_hosts: %w", e.hostKeyName, err)}
	}
	return nil
}

func (r *keyring) append(e endpoint, key ssh.PublicKey) error {
	if len(e.knownHosts) == 0 {
		return errors.New("no file is named")
	}
	path := e.knownHosts[0]
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := lockedfile.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()

	r.mu.Lock()
	defer r.mu.Unlock()
	db, err := r.fresh(e.knownHosts)
	if err != nil {
		return err
	}
	err = db.check(e.hostKeyName, &net.TCPAddr{IP: net.IPv4zero}, key)
	var mismatch *xknownhosts.KeyError
	switch {
	case err == nil:
		return nil // another was faster
	case !errors.As(err, &mismatch):
		return err
	}
	want := db.keysOf(e.hostKeyName, mismatch.Want)
	if slices.ContainsFunc(want, func(w xknownhosts.KnownKey) bool { return w.Key.Type() == key.Type() }) {
		return db.changed(key, want)
	}
	name := knownhosts.Normalize(e.hostKeyName)
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune(",*?!|#@", r) }) {
		return fmt.Errorf("%q is no name for a line of known_hosts", name)
	}
	if e.hashNew {
		name = xknownhosts.HashHostname(name)
	}
	line := name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + "\n"
	if unfinished(f) {
		line = "\n" + line
	}
	if _, err := io.WriteString(f, line); err != nil {
		return err
	}
	db.added[e.hostKeyName] = append(db.added[e.hostKeyName], key)
	_, db.stamp = present(e.knownHosts)
	return f.Sync()
}

// unfinished reports whether a file's last line lacks its newline.
func unfinished(f *lockedfile.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}
