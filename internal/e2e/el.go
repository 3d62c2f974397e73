//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Hosts of the families that use rpm: the package managers, rpm, DKMS, dracut
// and the trust store are the real programs, in Debian's builds, on a root file
// system that is in nothing else Debian's: see recipes/el.sh and recipes/sles.sh.

var (
	//go:embed recipes/rpm-tools.sh
	rpmToolsRecipe string
	//go:embed recipes/rpms.sh
	rpmsRecipe string
	//go:embed recipes/el.sh
	elRecipe string
)

var (
	rpmTools = layer("rpm-tools", rpmToolsRecipe, tools, kernel, base)
	el       = layerWith("el", elRecipe, rpms, rpmTools, tools, kernel, base)
)

// rpms are the repositories of recipes/rpms.sh, as folders.
var rpms = part{name: "rpms", recipe: layerRecipe + rpmsRecipe, lower: []part{rpmTools, tools, kernel, base},
	build: func(ctx context.Context, l *Lab, out string) error {
		mirror, err := debianMirror(ctx)
		if err != nil {
			return err
		}
		lower, err := lowerdirs(ctx, l, rpmTools, tools, kernel, base)
		if err != nil {
			return err
		}
		made := filepath.Join(out, "made")
		if err := os.Mkdir(made, 0o755); err != nil {
			return err
		}
		if err := l.script(ctx, layerRecipe, made, lower, mirror, suite, rpmsRecipe); err != nil {
			return err
		}
		all, err := os.ReadDir(filepath.Join(made, "srv"))
		if err != nil {
			return err
		}
		for _, d := range all {
			if err := os.Rename(filepath.Join(made, "srv", d.Name()), filepath.Join(out, d.Name())); err != nil {
				return err
			}
		}
		return os.RemoveAll(made)
	}}

// rpmRepositories are the repositories of recipes/rpms.sh as a Lab serves them.
type rpmRepositories struct {
	url  string // what stands before /el9, /cuda/rhel9/x86_64
	root string // its folder here: hard links into the cache, never to be written in place
	key  string // fingerprint of the key that stands in for NVIDIA's
}

// RPMs serves the repositories for the hosts of elHost and slesHost.
func (l *Lab) RPMs(t testing.TB) rpmRepositories {
	t.Helper()
	dir, err := rpms.path(t.Context(), l)
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	root := filepath.Join(l.apt.root, "www/rpms")
	if err := run(t.Context(), "cp", "-al", dir, root); err != nil {
		t.Fatalf("e2e: %v", err)
	}
	print, err := os.ReadFile(filepath.Join(root, "fingerprint"))
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	return rpmRepositories{"http://" + Controller + "/rpms", root, strings.TrimSpace(string(print))}
}

// elHost makes a host one of Rocky 9's kind, with a GPU and what stands in for
// its kernel, see gpuHost.
func elHost() Option {
	return func(o *options) {
		gpuHost(gpuWithTools)(o)
		o.layers = append(o.layers, el, rpmTools)
		o.setup = append(o.setup, noApt)
	}
}

// noApt takes away what every machine of a Lab is given for apt.
func noApt(root string) error { return os.RemoveAll(filepath.Join(root, "etc/apt")) }
