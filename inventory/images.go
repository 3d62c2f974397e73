package inventory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// An Image is a container image that is to run on a host.
type Image struct {
	Name       string // as it is written: "nvcr.io/nvidia/pytorch:24.01-py3"
	Registry   string // as images name it, host or host:port: "docker.io"
	Repository string // "nvidia/pytorch", "library/ubuntu"
	Reference  string // a tag, or a digest: "24.01-py3", "latest", "sha256:…"
	Why        string // "inventory.hcl:12"
}

// Server is where the registry of an image answers. That of Docker Hub has
// another name than its images.
func (i Image) Server() (host string, port int) {
	name := i.Registry
	if name == dockerHub {
		name = "registry-1.docker.io"
	}
	host, port, _ = hostPort(name) // checked when it was read
	if port == 0 {
		port = 443
	}
	return host, port
}

// same is alike for all ways to write an image.
func (i Image) same() string { return i.Registry + "/" + i.Repository + "@" + i.Reference }

const dockerHub = "docker.io"

// The grammar of references is that of github.com/distribution/reference.
var (
	repositoryRE = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagRE        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestRE     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// parseImage reads [REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST] as container
// runtimes do: without a registry it is Docker Hub's, and without a tag the
// latest. A digest says which image it is, whatever the tag.
func parseImage(s string) (Image, error) {
	i := Image{Name: s}
	if err := word(s); err != nil {
		return i, err
	}
	if strings.Contains(s, "://") {
		return i, fmt.Errorf("%q is a URL; write the image as container runtimes take it, such as nvcr.io/nvidia/pytorch:24.01-py3", s)
	}
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !digestRE.MatchString(digest) {
		if strings.Contains(digest, "/") {
			return i, credentialsError("the image holds a login, which plans and results would show; write it without: a registry is asked as anybody may ask it")
		}
		return i, fmt.Errorf("%q is not a digest; write sha256: and 64 digits of 0-9 and a-f", digest)
	}
	i.Registry = dockerHub
	if first, after, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(first, ".:[") || first == "localhost") {
		if _, _, err := hostPort(first); err != nil {
			return i, fmt.Errorf("the registry of %q: %w", s, err)
		}
		i.Registry, rest = strings.ToLower(first), after
	}
	i.Registry = ImageRegistry(i.Registry)
	i.Reference = "latest"
	if at := strings.LastIndexByte(rest, ':'); at >= 0 {
		rest, i.Reference = rest[:at], rest[at+1:]
		if !tagRE.MatchString(i.Reference) {
			return i, fmt.Errorf("%q is not a tag; use up to 128 letters, digits, '.', '-' and '_', beginning with a letter, a digit or '_'", i.Reference)
		}
	}
	if hasDigest {
		i.Reference = digest
	}
	if i.Registry == dockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	switch i.Repository = rest; {
	case len(i.Registry)+len(i.Repository) > 255:
		return i, errors.New("the name of the image is longer than 255 bytes; no registry has one like it")
	case !repositoryRE.MatchString(rest) && repositoryRE.MatchString(strings.ToLower(rest)):
		return i, fmt.Errorf("%q holds capitals, which names of images may not; write %q", s, strings.ToLower(rest))
	case !repositoryRE.MatchString(rest):
		return i, fmt.Errorf("%q is not an image; write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:…, such as nvcr.io/nvidia/pytorch:24.01-py3", s)
	}
	return i, nil
}

// images reads the attribute `images` of a level; nil: it says nothing.
func (l *loader) images(raw *hcl.Attribute, ctx *hcl.EvalContext) []Image {
	if raw == nil {
		return nil
	}
	a, ok := l.attribute(raw, ctx)
	if !ok {
		return nil
	}
	list := []Image{}
	input{a, &l.faults}.texts(func(s string) error {
		i, err := parseImage(s)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(o Image) bool { return o.same() == i.same() }); at >= 0 && list[at].Name != s {
			return fmt.Errorf("%q is the same image as %q, which stands in the list already; remove one", s, list[at].Name)
		}
		i.Why = a.why
		list = append(list, i)
		return nil
	})
	return list
}

// imagesOf are those of the highest level that says any: lists replace. A
// proxy runs no containers.
func imagesOf(levels []*level, role string) []Image {
	if role == "proxy" {
		return nil
	}
	for _, lv := range slices.Backward(levels) {
		if lv.images != nil {
			return lv.images
		}
	}
	return nil
}

// imageEndpoints are the registries outside that images come from. What a
// registry of the site holds or mirrors comes from there.
func imageEndpoints(images []Image, own []Registry) []Endpoint {
	var all []Endpoint
	for _, i := range images {
		if slices.ContainsFunc(own, func(r Registry) bool {
			return r.Name == i.Registry || slices.ContainsFunc(r.MirrorOf, func(m string) bool { return ImageRegistry(m) == i.Registry })
		}) {
			continue
		}
		host, port := i.Server()
		all = append(all, Endpoint{Host: host, Port: port, Title: "the registry of " + i.Name, Why: i.Why})
	}
	return all
}

// ImageRegistry is how images name a registry. Docker's has several names, of
// which images have one.
func ImageRegistry(name string) string {
	switch name {
	case "index.docker.io", "registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com":
		return dockerHub
	}
	return name
}
