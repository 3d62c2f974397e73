package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runai-prep/runai-prep/internal/wildcard"
)

// This file asks registries for images, along the way that a host's container
// runtime takes: the manifest and the configuration, a few kilobytes, and none
// of the layers. It asks as anybody may, with a token that the registry gives to
// whoever asks for one, and with no login.
//
// As containerd does, it asks by HEAD what a tag stands for, which registries do
// not count as a pull. What has been read once in a run is not asked for again: a
// digest says which bytes it is, from wherever they come.

// An Image is what a registry is asked for beside /v2/.
type Image struct {
	Name         string // as findings call it
	Repository   string // "nvidia/pytorch"
	Reference    string // a tag, or a digest
	Architecture string // as Go and registries call it: "amd64"
	// Mirrored is the registry that this one stands in for, as images name it;
	// empty: none.
	Mirrored string
	// Else are further places that have the image, in the order in which they
	// are asked when this one does not give it.
	Else []Endpoint
	// Tells are the names of the variables and labels that are kept, with the
	// globs * and ?. Others may hold secrets of whoever built the image.
	Tells []string
	// Way is the proxy on the way to where a registry sends on to, for tokens and
	// for blobs; nil: straight.
	Way func(host string, port int) *HTTPProxy
}

// SeenImage is what is known of an image.
type SeenImage struct {
	Name string `json:"name"`
	// At is where it was found, or where the way ended, as host:port: the
	// registry, or somebody to whom it sends.
	At        string            `json:"at,omitempty"`
	Digest    string            `json:"digest,omitempty"`    // of what its name stands for, an image or an index of several; empty: it was not seen
	Platforms []string          `json:"platforms,omitempty"` // that it is for, where the one that was asked for is none of them
	Env       map[string]string `json:"env,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Untold is why nothing is in Env and Labels though the image tells something:
	// it is too much. A part of it might require less than the whole.
	Untold string `json:"untold,omitempty"`
}

// Bounds of what a registry may say.
const (
	maxManifest = 4 << 20 // as the distribution specification has it
	maxToken    = 64 << 10
	maxTelling  = 16 << 10 // variables and labels that are kept, with their names
	maxTold     = 32       // how many these are; images of NVIDIA have seven
)

const (
	typeIndex        = "application/vnd.oci.image.index.v1+json"
	typeManifest     = "application/vnd.oci.image.manifest.v1+json"
	typeManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeManifestV2   = "application/vnd.docker.distribution.manifest.v2+json"
)

// reachImage asks for an image at one place after the other, each within its
// share of the time.
func (c *Conn) reachImage(ctx context.Context, e Endpoint) Reached {
	places := append([]Endpoint{e}, e.Image.Else...)
	var without []Reached
	for i, place := range places {
		within, cancel := context.WithTimeout(ctx, left(ctx)/time.Duration(len(places)-i))
		r := c.askImage(within, place)
		cancel()
		if r.Barrier == "" || r.Barrier == Lost || r.Barrier == Forbidden {
			return r.as(e)
		}
		without = append(without, r)
	}
	// What one place does not tell outweighs that others have it not.
	for _, r := range without {
		if r.Barrier == Login || r.Barrier == TooMany {
			return r.as(e)
		}
	}
	return without[0].as(e)
}

// as names the endpoint that was asked for, wherever the answer came from.
func (r Reached) as(e Endpoint) Reached {
	named := e.triedBy(r.By)
	r.Endpoint, r.Through = named.Endpoint, named.Through
	return r
}

// An asker asks one registry, on connections that it keeps for a moment.
type asker struct {
	c     *Conn
	ctx   context.Context
	e     Endpoint
	http  http.Client
	base  string // "https://registry.example.com:5000"
	token string

	mu    sync.Mutex
	conns []net.Conn
	shown *certified // by the registry itself
}

// An end is where an asking ended, as an error.
type end struct {
	Barrier
	at     string // host:port
	status int
	said   string
	way    *Reached // of one that was not even open; nil: it was
}

func (e *end) Error() string { return string(e.Barrier) + ": " + e.said }

func (c *Conn) askImage(ctx context.Context, e Endpoint) Reached {
	inside, cancel := context.WithCancel(ctx)
	a := &asker{c: c, ctx: inside, e: e, base: "https://" + e.address()}
	transport := &http.Transport{
		DialContext:    func(_ context.Context, _, to string) (net.Conn, error) { return a.dial(to, false) },
		DialTLSContext: func(_ context.Context, _, to string) (net.Conn, error) { return a.dial(to, true) },
	}
	a.http = http.Client{Transport: transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		if len(before) > 4 {
			return errors.New("it sends on and on")
		}
		if next.URL.Scheme != "https" && !e.Insecure {
			return fmt.Errorf("it sends on to %s without TLS", next.URL.Host)
		}
		return nil
	}}
	// The ways end with the asking: nothing stays open on the host.
	defer a.close()
	defer cancel()
	defer context.AfterFunc(ctx, a.close)()

	r := e.triedBy(bySSH)
	err := a.ask(&r)
	var at *end
	if e.Insecure && errors.As(err, &at) && at.Barrier == NoTLS && ctx.Err() == nil {
		r.Plain, a.base = true, "http://"+e.address()
		err = a.ask(&r)
	}
	a.mu.Lock() // what was dialled when the time was up may still be at it
	shown := a.shown
	a.mu.Unlock()
	if shown != nil {
		r.Issuer = shown.issuer()
		if !e.Insecure {
			r.shown = shown
		}
	}
	switch {
	case err == nil:
	case !errors.As(err, &at):
		var asking *url.Error
		if errors.As(err, &asking) {
			err = asking.Err // without the URL: one that was sent on to may be signed
		}
		r = r.ended(ctx, Answer, err)
	case at.way != nil:
		r.Barrier, r.Proxy, r.Status, r.Said, r.Image.At = at.Barrier, at.way.Proxy, at.way.Status, at.way.Said, at.at
	default:
		r = r.ended(ctx, at.Barrier, errors.New(at.said))
		r.Status, r.Image.At = at.status, at.at
	}
	return r
}

// dial opens the way to the registry, or to whom it sends.
func (a *asker) dial(to string, secure bool) (net.Conn, error) {
	host, p, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return nil, err
	}
	e := Endpoint{Host: host, Port: port, Roots: a.e.Roots}
	own := e.address() == a.e.address()
	if own {
		e.Proxy, e.Insecure = a.e.Proxy, a.e.Insecure
	} else if a.e.Image.Way != nil {
		e.Proxy = a.e.Image.Way(host, port)
	}
	conn, r := a.c.wayTo(a.ctx, e)
	if conn == nil {
		return nil, &end{Barrier: r.Barrier, at: to, way: &r}
	}
	a.keep(conn)
	if !secure {
		return conn, nil
	}
	secured, shown, err := handshake(a.ctx, conn, e)
	if shown != nil && own {
		a.mu.Lock()
		a.shown = shown
		a.mu.Unlock()
	}
	if err != nil {
		barrier := NoTLS
		if shown != nil {
			barrier = NotTrusted
			err = fmt.Errorf("%w, issued by %s", err, shown.issuer())
		}
		return nil, &end{Barrier: barrier, at: to, said: err.Error()}
	}
	return secured, nil
}

func (a *asker) keep(conn net.Conn) {
	a.mu.Lock()
	a.conns = append(a.conns, conn)
	a.mu.Unlock()
	if a.ctx.Err() != nil {
		_ = conn.Close()
	}
}

func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, conn := range a.conns {
		_ = conn.Close()
	}
}

// ask fills in what is known of the image.
func (a *asker) ask(r *Reached) error {
	image := a.e.Image
	r.Image.At = a.e.address()
	digest, err := a.resolve(r)
	if err != nil {
		return err
	}
	read := func() (*imageConfig, error) { return a.read(digest, r) }
	found, err := a.c.dialer.images.once(a.ctx, digest+" "+image.Architecture, read)
	if err != nil {
		return err
	}
	if found.config == nil {
		r.Image.Platforms = found.platforms
		return &end{Barrier: NoImage, at: a.e.address(), said: "it has none for linux/" + image.Architecture + ", but for " + strings.Join(found.platforms, ", ")}
	}
	r.Image.Digest = digest
	r.Image.Env, r.Image.Labels, r.Image.Untold = found.config.telling(image.Tells)
	return nil
}

// resolve asks what the reference stands for. A registry that does not say so
// when it is asked by HEAD has to send the manifest.
func (a *asker) resolve(r *Reached) (digest string, err error) {
	response, err := a.do(http.MethodHead, a.path("manifests", a.e.Image.Reference), r)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	digest = response.Header.Get("Docker-Content-Digest")
	switch {
	case response.StatusCode == http.StatusOK && isDigest(digest):
		return digest, nil
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusMethodNotAllowed:
		return "", a.refused(response)
	}
	text, err := a.get(a.path("manifests", a.e.Image.Reference), "", r)
	if err != nil {
		return "", err
	}
	return sumOf(text), nil
}

func isDigest(s string) bool {
	sum, ok := strings.CutPrefix(s, "sha256:")
	_, err := hex.DecodeString(sum)
	return ok && err == nil && len(sum) == 64
}

// An imageConfig is what was read of an image for one architecture.
type imageConfig struct {
	config    *ociConfig // nil: there is none for the architecture
	platforms []string   // for which there is one, where it is not this one
}

// ociConfig is the part of an image's configuration that matters here.
type ociConfig struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Config       struct {
		Env    []string          `json:"Env"`
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

// telling are the variables and the labels of these names: all of them whole, or
// why there are none. Of what an image requires a part would be another wish.
func (c *ociConfig) telling(names []string) (env, labels map[string]string, untold string) {
	env, labels = map[string]string{}, map[string]string{}
	size := 0
	keep := func(to map[string]string, name, value string) {
		if !slices.ContainsFunc(names, func(pattern string) bool { return wildcard.Match(pattern, name) }) {
			return
		}
		if size += len(name) + len(value); size > maxTelling {
			untold = fmt.Sprintf("it says more than %d KiB of that", maxTelling>>10)
			return
		}
		to[Safe(name)] = Safe(strings.ToValidUTF8(value, ""))
	}
	for _, assignment := range c.Config.Env {
		if name, value, ok := strings.Cut(assignment, "="); ok {
			keep(env, name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Config.Labels)) {
		keep(labels, name, c.Config.Labels[name])
	}
	if untold == "" && len(env)+len(labels) > maxTold {
		untold = fmt.Sprintf("it has more than %d variables and labels about that", maxTold)
	}
	if untold != "" {
		return nil, nil, untold
	}
	return env, labels, ""
}

// A descriptor is how manifests name other documents.
type descriptor struct {
	Digest   string `json:"digest"`
	Platform *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// A manifest is an index, or an image's.
type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
}

// read fetches the manifest, through an index where there is one, and the
// configuration.
func (a *asker) read(digest string, r *Reached) (*imageConfig, error) {
	m, err := a.getManifest(digest, r)
	if err != nil {
		return nil, err
	}
	found := &imageConfig{}
	if m.Manifests != nil {
		var of string
		for _, d := range m.Manifests {
			if d.Platform == nil || d.Platform.OS == "unknown" { // what vouches for an image is no image
				continue
			}
			platform := Safe(tail(d.Platform.OS+"/"+d.Platform.Architecture, 60))
			if !slices.Contains(found.platforms, platform) && len(found.platforms) < 20 {
				found.platforms = append(found.platforms, platform)
			}
			if of == "" && d.Platform.OS == "linux" && d.Platform.Architecture == a.e.Image.Architecture {
				of = d.Digest
			}
		}
		if of == "" {
			return found, nil
		}
		if !isDigest(of) {
			return nil, a.wrong("its index names no digest")
		}
		if m, err = a.getManifest(of, r); err != nil {
			return nil, err
		}
	}
	if !isDigest(m.Config.Digest) {
		return nil, a.wrong("its manifest names no configuration: images of before 2017 are not read")
	}
	text, err := a.get(a.path("blobs", m.Config.Digest), m.Config.Digest, r)
	if err != nil {
		return nil, err
	}
	config := &ociConfig{}
	if err := json.Unmarshal(text, config); err != nil {
		return nil, a.wrong("its configuration is not one of an image: " + err.Error())
	}
	if found.platforms == nil && (config.OS != "linux" || config.Architecture != a.e.Image.Architecture) {
		found.platforms = []string{Safe(tail(config.OS+"/"+config.Architecture, 60))}
		return found, nil
	}
	found.config = config
	return found, nil
}

func (a *asker) getManifest(digest string, r *Reached) (*manifest, error) {
	text, err := a.get(a.path("manifests", digest), digest, r)
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, a.wrong("its manifest is none: " + err.Error())
	}
	return m, nil
}

func (a *asker) wrong(said string) error {
	return &end{Barrier: Answer, at: a.e.address(), said: said}
}

// path is the URL of something of the image. A mirror is told whose image it is.
func (a *asker) path(kind, of string) string {
	u := a.base + "/v2/" + a.e.Image.Repository + "/" + kind + "/" + of
	if a.e.Image.Mirrored != "" {
		u += "?ns=" + url.QueryEscape(a.e.Image.Mirrored)
	}
	return u
}

// get fetches a document and holds it against its digest; empty: none is known.
func (a *asker) get(from, digest string, r *Reached) ([]byte, error) {
	response, err := a.do(http.MethodGet, from, r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, a.refused(response)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxManifest:
		return nil, a.wrong("it sends more than 4 MiB where a few kilobytes are due")
	case digest != "" && sumOf(text) != digest:
		return nil, a.wrong("what it sends has not the digest " + digest)
	}
	return text, nil
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
