package tasks

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// A certificate is one that hosts must trust: its PEM in the one form that
// there is for its bytes, and what to call it.
type certificate struct {
	pem  string
	name string // of the subject, for people
	id   string // of its content, for file names
}

// splitCertificates takes bundles apart: the stores want one certificate a
// file. What is no certificate was refused when the inventory was read.
func splitCertificates(bundles []string) []certificate {
	var found []certificate
	for _, bundle := range bundles {
		rest := []byte(bundle)
		for {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			if b.Type != "CERTIFICATE" {
				continue
			}
			c := certificate{
				pem: string(pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: b.Bytes})),
				id:  fmt.Sprintf("%x", sha256.Sum256(b.Bytes))[:12],
			}
			c.name = c.id
			if parsed, err := x509.ParseCertificate(b.Bytes); err == nil && parsed.Subject.CommonName != "" {
				c.name = parsed.Subject.CommonName
			}
			if !slices.ContainsFunc(found, func(d certificate) bool { return d.id == c.id }) {
				found = append(found, c)
			}
		}
	}
	return found
}

// line is the last full line of the PEM: of the signature, so in no other
// certificate, and the same in every bundle, which all encode alike.
func (c certificate) line() string {
	lines := strings.Split(strings.TrimSpace(c.pem), "\n")
	for _, l := range slices.Backward(lines) {
		if len(l) == 64 {
			return l
		}
	}
	return lines[0]
}

// A trustStore is where a family of distributions keeps certificates.
type trustStore struct {
	folder, suffix string
	bundle         string // what update makes of it
	update         string
	pkg            string // brings update
}

// trustStores by the word that the probe calls them.
var trustStores = map[string]trustStore{
	"debian": {"/usr/local/share/ca-certificates", ".crt", "/etc/ssl/certs/ca-certificates.crt", "update-ca-certificates", "ca-certificates"},
	"el":     {"/etc/pki/ca-trust/source/anchors", ".pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "update-ca-trust extract", "ca-certificates"},
	"suse":   {"/etc/pki/trust/anchors", ".pem", "/var/lib/ca-certificates/ca-bundle.pem", "update-ca-certificates", "ca-certificates"},
}

func (t trustStore) path(c certificate) string {
	return t.folder + "/runai-prep-" + c.id + t.suffix
}

// probeTrust asks the bundle, not the folder: a certificate counts as trusted
// when programs trust it, whoever put it there.
func probeTrust(wanted []certificate) string {
	const which = `trust=
case $manager_name in
apt) trust=debian ;;
zypper) trust=suse ;;
dnf | yum) trust=el ;;
esac
echo "@trust $trust"
if command -v update-ca-certificates >/dev/null || command -v update-ca-trust >/dev/null; then :; else echo '!no tool'; fi
`
	var b strings.Builder
	b.WriteString(which)
	if len(wanted) > 0 {
		b.WriteString("bundle=\ncase $trust in\n")
		for _, kind := range []string{"el", "suse"} {
			b.WriteString(kind + ") bundle=" + trustStores[kind].bundle + " ;;\n")
		}
		b.WriteString("esac\nif [ -r \"$bundle\" ]; then ran trusted grep -xF" + patterns(wanted) + " \"$bundle\"; fi\n")
	}
	// Those that we put there, now and earlier; and when, for those who may have
	// begun before.
	dated := ""
	if len(wanted) > 0 {
		dated = `
			if $pulls; then
				dated=true
				set -- "$@" "$file"
			fi`
	}
	b.WriteString(`dated=false
for dir in ` + trustStores["debian"].folder + ` ` + trustStores["el"].folder + ` ` + trustStores["suse"].folder + `; do
	for file in "$dir"/runai-prep-*; do
		if [ -e "$file" ]; then
			show "$file"` + dated + `
		fi
	done
done
if $dated && [ -r /proc/uptime ]; then
	times=true
	read -r up rest </proc/uptime
	echo "@uptime $up"
	set -- "$@" ` + ownProcess + `
fi
`)
	return b.String()
}

// aptTrust has the grep that looks at apt's files look at Debian's bundle too,
// which saves a process.
func aptTrust(wanted []certificate) string {
	if len(wanted) == 0 {
		return ""
	}
	bundle := trustStores["debian"].bundle
	return "if [ -r " + bundle + " ]; then set -- \"$@\" " + bundle + "; fi\n\t"
}

// patterns are grep's, for the lines by which certificates are known.
func patterns(wanted []certificate) string {
	var b strings.Builder
	for _, c := range wanted {
		b.WriteString(" -e " + quote(c.line()))
	}
	return b.String()
}

// updateTrust is the step that makes programs see the files. Debian's leaves
// dangling links to what is gone unless it makes all links afresh; for a moment
// there are none then, so that is only done when something was taken away.
// Either is never to be cut off half way.
func updateTrust(t trustStore, removed bool) remote.Step {
	script := t.update
	if removed && t.folder == trustStores["debian"].folder {
		script += " --fresh"
	}
	return remote.Step{Title: script, Run: &remote.Command{Script: script, Timeout: 10 * time.Minute}}
}
