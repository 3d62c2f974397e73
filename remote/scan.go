package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// A PresentedKey is a key that a host presented to HostKeys.
type PresentedKey struct {
	Host        string // as known_hosts has it
	Type        string // "ssh-ed25519"
	Fingerprint string // "SHA256:…"
	// Known says that known_hosts, or the inventory's pin, has this very key.
	Known bool
	// Conflict names the place where known_hosts has another key of this type
	// for the host, or revokes this one. Such a key is not added.
	Conflict string

	key ssh.PublicKey
	e   endpoint
}

// HostKeys asks a host which keys it has, one connection a type of key, without
// logging in. The order is that of preference, the best first. The bastions on
// the way are verified and logged into as always: the keys of the first that is
// not known are returned in the place of the host's, which can be seen only
// when that one is trusted.
func (d *Dialer) HostKeys(ctx context.Context, t Target) ([]PresentedKey, error) {
	way, err := d.route(t)
	if err != nil {
		return nil, err
	}
	for n := 1; n < len(way); n++ {
		if _, _, err := d.hops.connect(ctx, d, way[:n]); stageIs(err, HostKey) {
			return d.scan(ctx, way[:n])
		} else if err != nil {
			return nil, err
		}
	}
	return d.scan(ctx, way)
}

func (d *Dialer) scan(ctx context.Context, way route) ([]PresentedKey, error) {
	e := way[len(way)-1]
	var found []PresentedKey
	var last error
	for _, kind := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA} {
		key, err := d.presentedKey(ctx, way, keyAlgorithms(kind))
		switch {
		case key != nil:
			found = append(found, d.ring.judge(e, key))
		case stageIs(err, Handshake) && !errors.Is(err, errDropped):
			last = err // most likely it has none of this type
		default:
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, last
	}
	return found, nil
}

// presentedKey goes as far as the host's key and no further.
func (d *Dialer) presentedKey(ctx context.Context, way route, algorithms []string) (ssh.PublicKey, error) {
	e := way[len(way)-1]
	for try := 0; ; try++ {
		seen := &hostKeyCheck{ring: &d.ring, e: e, only: true}
		_, err := d.login(ctx, way, seen, algorithms)
		if seen.presented != nil {
			return seen.presented, nil
		}
		if !errors.Is(err, errDropped) || try == 3 {
			return nil, err
		}
	}
}

func (r *keyring) judge(e endpoint, key ssh.PublicKey) PresentedKey {
	k := PresentedKey{
		Host: xknownhosts.Normalize(e.hostKeyName), Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key),
		key: key, e: e,
	}
	db, err := r.db(e.knownHosts)
	if err != nil {
		k.Conflict = err.Error()
		return k
	}
	err = db.check(e.hostKeyName, &net.TCPAddr{IP: net.IPv4zero}, key)
	var mismatch *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case err == nil:
		k.Known = true
	case errors.As(err, &revoked):
		k.Conflict = db.place(revoked.Revoked) + " (revoked)"
	case errors.As(err, &mismatch):
		for _, w := range db.keysOf(e.hostKeyName, mismatch.Want) {
			if w.Key.Type() == key.Type() {
				k.Conflict = db.place(w) + " (" + ssh.FingerprintSHA256(w.Key) + ")"
			}
		}
	default:
		k.Conflict = err.Error()
	}
	k.Known = k.Known || e.pin != "" && e.pin == k.Fingerprint
	return k
}

// Trust adds keys to the first known_hosts file of their host, and returns the
// files that were written. What is known stays as it is; a key in conflict
// with a known one is an error, and the other keys are added all the same.
func (d *Dialer) Trust(keys []PresentedKey) (files []string, err error) {
	defer d.hops.forgive()
	var faults []string
	for _, k := range keys {
		if k.key == nil || k.Known {
			continue
		}
		if k.Conflict != "" {
			faults = append(faults, fmt.Sprintf("%s %s: conflicts with %s", k.Host, k.Type, k.Conflict))
			continue
		}
		if err := d.ring.add(k.e, k.key); err != nil {
			faults = append(faults, err.Err.Error())
			continue
		}
		if !slices.Contains(files, k.e.knownHosts[0]) {
			files = append(files, k.e.knownHosts[0])
		}
	}
	if len(faults) > 0 {
		return files, &Error{Stage: HostKey, Err: errors.New(strings.Join(faults, "; ")),
			Hint: "compare the fingerprints, and remove the lines that are no longer true"}
	}
	return files, nil
}
