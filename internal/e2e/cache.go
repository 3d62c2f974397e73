//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const suite = "bookworm"

// repoPackages are what the repository offers, each with what it depends on
// beyond the base system.
const repoPackages = "nfs-common nfs-kernel-server squid"

var (
	//go:embed recipes/base.sh
	baseRecipe string
	//go:embed recipes/layer.sh
	layerRecipe string
	//go:embed recipes/repo.sh
	repoRecipe string
	//go:embed recipes/kernel.sh
	kernelRecipe string
	//go:embed recipes/nfs-server.sh
	nfsServerRecipe string
	//go:embed recipes/image.sh
	imageRecipe string
	//go:embed recipes/boot.sh
	bootRecipe string
)

// cacheDir is where built parts and the scratch folders of runs are kept.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "runai-prep-e2e"), nil
}

// part is something built once, kept in a folder named after all it is made of.
type part struct {
	name   string
	recipe string // what its content depends on, beside the lower parts
	lower  []part
	build  func(ctx context.Context, l *Lab, out string) error
}

func (p part) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", suite, p.recipe)
	for _, low := range p.lower {
		fmt.Fprintf(h, "%s\x00", low.key())
	}
	return fmt.Sprintf("%s-%x", p.name, h.Sum(nil)[:6])
}

// path builds the part unless it is there. Two processes that want it at once
// build it once: the second waits.
func (p part) path(ctx context.Context, l *Lab) (string, error) {
	dir := filepath.Join(l.cache, p.key())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	lock, err := os.OpenFile(filepath.Join(l.cache, "."+p.key()+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := flock(lock, syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", p.key(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// We hold the lock, so a folder of that name is a dead builder's.
	half := filepath.Join(l.cache, "."+p.key()+".half")
	if out, err := exec.CommandContext(ctx, "rm", "-rf", "--one-file-system", half, half+".work", half+".merged").CombinedOutput(); err != nil {
		return "", fmt.Errorf("remove %s: %w: %s", half, err, out)
	}
	if err := os.Mkdir(half, 0o755); err != nil {
		return "", err
	}
	l.logf("building %s, once", p.key())
	if err := p.build(ctx, l, half); err != nil {
		return "", fmt.Errorf("build %s: %w", p.key(), err)
	}
	return dir, os.Rename(half, dir)
}

// paths are the folders of parts, built as needed, as overlayfs wants them:
// the topmost first.
func lowerdirs(ctx context.Context, l *Lab, parts ...part) (string, error) {
	var dirs []string
	for _, p := range parts {
		dir, err := p.path(ctx, l)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, dir)
	}
	return strings.Join(dirs, ":"), nil
}

// baseOf is the base system of a Debian.
func baseOf(name, suite string) part {
	return part{name: name, recipe: baseRecipe,
		build: func(ctx context.Context, l *Lab, out string) error {
			mirror, err := debianMirror(ctx)
			if err != nil {
				return err
			}
			return l.script(ctx, baseRecipe, out, mirror, suite)
		}}
}

var (
	base   = baseOf("base", suite)
	base13 = baseOf("base-13", "trixie")
)

var (
	kernel    = layer("kernel", kernelRecipe, base)
	nfsServer = layer("nfs-server", nfsServerRecipe, kernel, base)

	plainImage = image("image", kernel, base)
	nfsImage   = image("image-nfs-server", nfsServer, kernel, base)
)

// layer is what command changes on lower, the topmost first.
func layer(name, command string, lower ...part) part {
	return layerWith(name, command, part{}, lower...)
}

// layerWith is a layer whose command finds a part at /mnt.
func layerWith(name, command string, with part, lower ...part) part {
	made := lower
	if with.build != nil {
		made = append(slices.Clone(lower), with)
	}
	return part{name: name, recipe: layerRecipe + command, lower: made,
		build: func(ctx context.Context, l *Lab, out string) error {
			mirror, err := debianMirror(ctx)
			if err != nil {
				return err
			}
			dirs, err := lowerdirs(ctx, l, lower...)
			if err != nil {
				return err
			}
			args := []string{out, dirs, mirror, suite, command}
			if with.build != nil {
				folder, err := with.path(ctx, l)
				if err != nil {
					return err
				}
				args = append(args, folder)
			}
			return l.script(ctx, layerRecipe, args...)
		}}
}

func image(name string, lower ...part) part {
	return part{name: name, recipe: imageRecipe, lower: lower,
		build: func(ctx context.Context, l *Lab, out string) error {
			dirs, err := lowerdirs(ctx, l, lower...)
			if err != nil {
				return err
			}
			return l.script(ctx, imageRecipe, out, dirs, "4G")
		}}
}

// repository is the apt repository that every Lab starts with: www is what is
// served, gnupg the key.
var repository = part{name: "repository", recipe: repoRecipe + repoPackages, lower: []part{base},
	build: func(ctx context.Context, l *Lab, out string) error {
		mirror, err := debianMirror(ctx)
		if err != nil {
			return err
		}
		lower, err := base.path(ctx, l)
		if err != nil {
			return err
		}
		fetched := filepath.Join(out, "fetched")
		if err := os.Mkdir(fetched, 0o755); err != nil {
			return err
		}
		const fetch = "apt-get update -qq; apt-get install -y -qq --download-only --no-install-recommends "
		if err := l.script(ctx, layerRecipe, fetched, lower, mirror, suite, fetch+repoPackages); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(fetched, "var/cache/apt/archives/*.deb"))
		if err != nil || len(debs) == 0 {
			return fmt.Errorf("apt-get downloaded no package: %w", err)
		}
		if err := l.script(ctx, repoRecipe, append([]string{out}, debs...)...); err != nil {
			return err
		}
		return os.RemoveAll(fetched)
	}}

// debianMirror is the archive that apt on this machine uses.
func debianMirror(ctx context.Context) (string, error) {
	if m := os.Getenv("RUNAI_PREP_E2E_MIRROR"); m != "" {
		return m, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its mirror: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Debian" && f[1] == "Debian" {
			return f[2], nil
		}
	}
	return "", errors.New("apt on this machine has no Debian archive among its sources (apt-get update was never run?): set RUNAI_PREP_E2E_MIRROR to one")
}

// script runs a recipe with sh in a mount namespace of its own, so that its
// mounts end with it.
func (l *Lab) script(ctx context.Context, text string, args ...string) error {
	cmd := l.process(ctx, "build", append([]string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", text, "recipe"}, args...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(output.Bytes(), 4000))
	}
	return nil
}

// flock retries what a signal (the Go scheduler's own among them) interrupted.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
