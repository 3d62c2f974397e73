//go:build linux

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// realRuntimes are Debian's containerd, docker and Podman, over the base.
var realRuntimes = layer("container-runtimes", `apt-get update -qq
apt-get install -y -qq --no-install-recommends containerd docker.io podman
apt-get clean`, base)

// A registry is an image registry on the controller's side, as small as one can
// be: it holds one image, library/hello:1.
type registry struct {
	content map[string]blob // by path below /v2/

	mu       sync.Mutex
	requests []string
}

type blob struct {
	kind string
	data []byte
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	const docker = "application/vnd.docker."
	var files, layer bytes.Buffer
	w := tar.NewWriter(&files)
	text := []byte("hello from the registry\n")
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	z := gzip.NewWriter(&layer)
	_, _ = z.Write(files.Bytes())
	_ = z.Close()
	digest := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Cmd":["/hello"]},"history":[{"created_by":"e2e"}],"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digest(files.Bytes()))
	part := func(kind string, b []byte) string {
		return fmt.Sprintf(`{"mediaType":"%s","size":%d,"digest":"%s"}`, docker+kind, len(b), digest(b))
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}`,
		docker+"distribution.manifest.v2+json", part("container.image.v1+json", config), part("image.rootfs.diff.tar.gzip", layer.Bytes()))
	r := &registry{content: map[string]blob{"": {"application/json", []byte("{}")}}}
	for _, tag := range []string{"1", digest(manifest)} {
		r.content["library/hello/manifests/"+tag] = blob{docker + "distribution.manifest.v2+json", manifest}
	}
	for _, b := range [][]byte{config, layer.Bytes()} {
		r.content["library/hello/blobs/"+digest(b)] = blob{"application/octet-stream", b}
	}
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, q.Method+" "+q.URL.String()+" "+q.UserAgent())
	r.mu.Unlock()
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	b, ok := r.content[strings.TrimPrefix(q.URL.Path, "/v2/")]
	if !ok {
		http.NotFound(w, q)
		return
	}
	w.Header().Set("Content-Type", b.kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(b.data)))
	w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(b.data)))
	if q.Method != http.MethodHead {
		_, _ = w.Write(b.data)
	}
}

// seen are the requests since the last call.
func (r *registry) seen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.requests, "\n")
	r.requests = nil
	return all
}

// serve answers at an address until the returned function is called.
func (r *registry) serve(t *testing.T, l *Lab, address string, certificate tls.Certificate) (stop func()) {
	t.Helper()
	listener, err := l.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	stop = func() { _ = server.Close() }
	t.Cleanup(stop)
	return stop
}

// authority makes a certificate authority of this name, and has it issue a
// certificate for a host.
func authority(t *testing.T, name, host string) (ca string, issued tls.Certificate) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, hostKey := key(), key()
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &hostKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})), tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: hostKey}
}

// Real runtimes pull real images from a registry that they are told of: by its
// own name, and as a mirror of docker.io, to which there is no other way here.
func TestRegistry(t *testing.T) {
	RequireLong(t)
	l := New(t)
	const name = "registry.corp.example"
	ca, certificate := authority(t, "Corp Registry CA", name)
	_, intercepting := authority(t, "Corp Inspection", name)
	r := newRegistry(t)
	stop := r.serve(t, l, Controller+":5000", certificate)

	m := l.Host(t, "gpu-01", func(o *options) { o.layers = append(o.layers, realRuntimes) },
		File("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gpu-01\n"+Controller+" "+name+"\n", 0o644),
		// Where /proc/sys is not to be written, docker cannot make a bridge.
		File("/etc/systemd/system/docker.service.d/e2e.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --bridge=none --iptables=false --ip-forward=false\n", 0o644))
	m.SSH(t, "systemctl start docker.service && docker info >/dev/null || { journalctl -u docker --no-pager | tail -20; exit 1; }")
	c := newController(t, l, []*Machine{m})
	head := `
ssh {
  user          = "ops"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
host "gpu-01" {
  address = "` + m.IP + `"
  role    = "gpu"
}
requirements "none" {}
requirements = "none"
`
	c.write("ca.pem", ca)
	c.write("inventory.hcl", head+`
registry "`+name+`:5000" {
  mirror_of = ["docker.io"]
  ca        = file("ca.pem")
}
`)
	configuration := m.SSH(t, "cat /etc/containerd/config.toml")
	before := m.SSH(t, tree)
	contains(t, "plan", c.run(2, "plan", "inventory.hcl"), "systemctl reload docker", "disruptive: containerd restarts")
	if after := m.SSH(t, tree); after != before {
		t.Error("a plan changed the host")
	}
	contains(t, "the way there", c.run(2, "plan", "inventory.hcl", "-o", "json"), "reached, certificate by ")
	c.run(0, "apply", "-y", "inventory.hcl")
	contains(t, "config.toml", m.SSH(t, "cat /etc/containerd/config.toml"), configuration)

	r.seen()
	for what, command := range map[string]string{
		"containerd, by name":   "ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d --snapshotter native " + name + ":5000/library/hello:1",
		"containerd, by mirror": "ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d --snapshotter native docker.io/library/hello:1",
		"docker, by name":       "docker pull " + name + ":5000/library/hello:1",
		"docker, by mirror":     "docker pull hello:1",
		"podman, by name":       "podman --root /var/lib/e2e --storage-driver vfs pull " + name + ":5000/library/hello:1",
		"podman, by mirror":     "podman --root /var/lib/e2e --storage-driver vfs pull docker.io/library/hello:1",
	} {
		if out, err := m.Run(t.Context(), "root", command+" 2>&1"); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		contains(t, what, r.seen(), "/v2/library/hello/")
	}

	// A second apply does nothing, and restarts nothing.
	started := m.SSH(t, "systemctl show -p ExecMainStartTimestampMonotonic containerd docker")
	if got := findings(c.result(0, "apply", "-y", "inventory.hcl")); len(got) > 0 {
		t.Errorf("a second apply: %q", got)
	}
	// Nor does what containerd and docker read at every pull.
	m.SSH(t, "sed -i 's/5000/5001/' /etc/containerd/certs.d/docker.io/hosts.toml; rm -r /etc/docker/certs.d /etc/docker/daemon.json; systemctl reload docker")
	drift := strings.Join(findings(c.result(2, "check", "inventory.hcl")), "\n")
	contains(t, "drift", drift, "registry containerd pending", "registry docker pending")
	c.run(0, "apply", "-y", "inventory.hcl")
	c.run(0, "check", "inventory.hcl")
	if now := m.SSH(t, "systemctl show -p ExecMainStartTimestampMonotonic containerd docker"); now != started {
		t.Errorf("a runtime was restarted: %s, was %s", now, started)
	}
	m.SSH(t, "docker rmi hello:1 && docker pull hello:1")

	// The registry is found to be not what it was, and away.
	stop()
	contains(t, "away", c.run(3, "check", "inventory.hcl", "-o", "json"), name+":5000 refused the connection")
	stop = r.serve(t, l, Controller+":5000", intercepting)
	contains(t, "intercepted", c.run(3, "check", "inventory.hcl", "-o", "json"), "its certificate is not trusted, issued by Corp Inspection")
	stop()
	r.serve(t, l, Controller+":5000", certificate)

	// What it left is as it was, and containerd was not restarted for it.
	c.write("inventory.hcl", head)
	c.run(0, "apply", "-y", "inventory.hcl")
	if got := m.SSH(t, "cat /etc/containerd/config.toml"); got != configuration {
		t.Errorf("config.toml is %q, was %q", got, configuration)
	}
	contains(t, "docker", m.SSH(t, "docker info --format '{{json .RegistryConfig.Mirrors}}'"), "[]")
	left := m.SSH(t, "find /etc/containerd /etc/docker /etc/containers /var/lib/runai-prep -type f ! -path '*/backup/*' | xargs -r grep -l 5000 || true; ls /etc/docker/daemon.json 2>/dev/null || true")
	if strings.TrimSpace(left) != "" {
		t.Errorf("it left %s", left)
	}
	if now := m.SSH(t, "systemctl show -p ExecMainStartTimestampMonotonic containerd docker"); now != started {
		t.Errorf("a runtime was restarted: %s, was %s", now, started)
	}
	c.run(0, "check", "inventory.hcl")
}
