//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed recipes/nvidia-real.sh
var nvidiaRealRecipe string

// nvidiaReal are Debian's own packages of the driver, half a gigabyte.
var nvidiaReal = part{name: "nvidia-real", recipe: layerRecipe + nvidiaRealRecipe, lower: []part{base},
	build: func(ctx context.Context, l *Lab, out string) error {
		mirror, err := debianMirror(ctx)
		if err != nil {
			return err
		}
		security, err := securityMirror(ctx)
		if err != nil {
			return err
		}
		lower, err := base.path(ctx, l)
		if err != nil {
			return err
		}
		return l.script(ctx, layerRecipe, out, lower, mirror, suite, "MIRROR="+mirror+" SECURITY="+security+"\n"+nvidiaRealRecipe)
	}}

// securityMirror is the security archive that apt on this machine uses.
func securityMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its mirror: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Debian-Security" {
			return f[1], nil
		}
	}
	return "", errors.New("apt on this machine has no security archive of Debian's among its sources")
}

// RealArchive serves Debian's own packages of the driver, laid out as
// [Lab.DebianArchive] does; those of the kernel's headers where they are asked for.
func (l *Lab) RealArchive(t testing.TB, headers bool) {
	t.Helper()
	dir, err := nvidiaReal.path(t.Context(), l)
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	folders, _ := filepath.Glob(filepath.Join(dir, "nvidia/*/*/*"))
	for _, folder := range folders {
		debs, _ := filepath.Glob(filepath.Join(folder, "*.deb"))
		debs = slices.DeleteFunc(debs, func(deb string) bool {
			return !headers && strings.HasPrefix(filepath.Base(deb), "linux-headers-")
		})
		at := strings.Split(strings.TrimPrefix(folder, filepath.Join(dir, "nvidia")+"/"), "/")
		l.Archive(t, at[0], at[1], at[2], debs...)
	}
}
