//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	//go:embed recipes/tools.sh
	toolsRecipe string
	//go:embed recipes/gpu-modules.sh
	gpuModulesRecipe string
	//go:embed recipes/gpu.sh
	gpuRecipe string
	//go:embed recipes/nvidia.sh
	nvidiaRecipe string
	//go:embed recipes/suite.sh
	suiteRecipe string
	//go:embed recipes/loaded.sh
	loadedRecipe string
)

// A Release is one version of the look-alikes of Debian's NVIDIA packages: see
// recipes/nvidia.sh.
type Release struct {
	Version  string // "535.261.03"
	Revision string // "1", "0+deb12u1"
	Kind     string // good, noload, nobuild, slow
	Suite    string // where Debian has it: bookworm, bookworm-security, trixie
}

// What Debian offers, and some that it does not.
var (
	R535    = Release{"535.261.03", "1", "good", "bookworm"}
	R535sec = Release{"535.309.01", "0+deb12u1", "good", "bookworm-security"}
	R550    = Release{"550.163.01", "2", "good", "trixie"}

	// Their installation waits in the middle for /run/e2e-go.
	R535slow  = Release{"535.274.02", "1", "slow", "bookworm"}
	R535slow2 = Release{"535.288.01", "1", "slow", "bookworm"}

	R550noload  = Release{"550.200.01", "1", "noload", "trixie"}
	R550nobuild = Release{"550.210.01", "1", "nobuild", "trixie"}
)

func (r Release) String() string { return r.Version + "-" + r.Revision }

func (r Release) archive() string {
	if strings.HasSuffix(r.Suite, "-security") {
		return "debian-security"
	}
	return "debian"
}

func (r Release) part() part {
	args := []string{r.Version, r.Revision, r.Kind}
	return part{name: "nvidia-" + r.Version, recipe: nvidiaRecipe + strings.Join(args, " "),
		build: func(ctx context.Context, l *Lab, out string) error {
			return l.script(ctx, nvidiaRecipe, append([]string{out}, args...)...)
		}}
}

var (
	// What a DKMS build needs, headers of kernel's included.
	tools = layer("tools", toolsRecipe, kernel, base)
	// A machine with GPUs: bare, with those tools, and with a driver.
	gpuModules = layer("gpu-modules", gpuModulesRecipe, tools, kernel, base)
	gpuBare    = layerWith("gpu-bare", gpuRecipe, gpuModules, kernel, base)
	gpuTools   = layerWith("gpu-tools", gpuRecipe, gpuModules, tools, kernel, base)
	gpu535     = layerWith("gpu-535", installRecipe, R535.part(), gpuTools, tools, kernel, base)

	gpuBareImage  = image("image-gpu-bare", gpuBare, kernel, base)
	gpuToolsImage = image("image-gpu-tools", gpuTools, tools, kernel, base)
	gpu535Image   = image("image-gpu-535", gpu535, gpuTools, tools, kernel, base)
)

// installRecipe installs a driver as its packages' author would by hand, nouveau
// kept away.
const installRecipe = `printf 'blacklist nouveau\noptions nouveau modeset=0\n' > /etc/modprobe.d/blacklist-nouveau.conf
rm -f /mnt/*/nvidia-open-kernel-* /mnt/*/nvidia-driver_*
apt-get update -qq
apt-get install -y -qq --no-install-recommends $(ls /mnt/*/*.deb | grep -Ev '/nvidia-open-kernel-|/nvidia-driver_')
apt-get clean
dkms status | grep installed
update-initramfs -u -k "$(ls /lib/modules)"
`

// toolsArchive are the real packages that an installation of a driver takes from
// Debian's main, as files.
var toolsArchive = part{name: "tools-debs", recipe: layerRecipe + toolsRecipe + "cloud", lower: []part{kernel, base},
	build: func(ctx context.Context, l *Lab, out string) error {
		mirror, err := debianMirror(ctx)
		if err != nil {
			return err
		}
		lower, err := base.path(ctx, l)
		if err != nil {
			return err
		}
		release, err := kernelRelease(ctx, l)
		if err != nil {
			return err
		}
		fetched := filepath.Join(out, "fetched")
		if err := os.Mkdir(fetched, 0o755); err != nil {
			return err
		}
		fetch := "apt-get update -qq; apt-get install -y -qq --download-only --no-install-recommends dkms linux-headers-cloud-amd64 linux-headers-" + release
		if err := l.script(ctx, layerRecipe, fetched, lower, mirror, suite, fetch); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(fetched, "var/cache/apt/archives/*.deb"))
		if err != nil || len(debs) == 0 {
			return fmt.Errorf("apt-get downloaded no package: %w", err)
		}
		for _, deb := range debs {
			if err := os.Rename(deb, filepath.Join(out, filepath.Base(deb))); err != nil {
				return err
			}
		}
		return os.RemoveAll(fetched)
	}}

// kernelRelease is what uname -r says on a VM.
func kernelRelease(ctx context.Context, l *Lab) (string, error) {
	dir, err := kernel.path(ctx, l)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("want one kernel in %s, have %q: %w", dir, found, err)
	}
	return filepath.Base(found[0]), nil
}

// DebianArchive serves http://10.77.0.1/debian with the suites bookworm and
// trixie, and debian-security with bookworm-security, their components named and
// their releases labelled as Debian's. In main are dkms and the headers of the
// VMs' kernel, really Debian's; contrib and non-free hold the look-alikes of
// these releases.
func (l *Lab) DebianArchive(t testing.TB, releases ...Release) {
	t.Helper()
	l.Archive(t, "debian", "bookworm", "main", l.toolDebs(t)...)
	for _, at := range [][2]string{{"debian", "trixie"}, {"debian-security", "bookworm-security"}} {
		l.Archive(t, at[0], at[1], "main")
	}
	l.PublishReleases(t, releases...)
}

// toolDebs are the packages of main that an installation of a driver takes.
func (l *Lab) toolDebs(t testing.TB) []string {
	t.Helper()
	dir, err := toolsArchive.path(t.Context(), l)
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	debs, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	return debs
}

// Archive adds packages to a component of a suite of http://10.77.0.1/ARCHIVE.
func (l *Lab) Archive(t testing.TB, archive, suite, component string, debs ...string) {
	t.Helper()
	if err := l.script(t.Context(), suiteRecipe, append([]string{l.apt.root, archive, suite, component}, debs...)...); err != nil {
		t.Fatalf("e2e: %s %s/%s: %v", archive, suite, component, err)
	}
}

// PublishReleases adds look-alikes to the suites where Debian has them.
func (l *Lab) PublishReleases(t testing.TB, releases ...Release) {
	t.Helper()
	type place struct{ archive, suite, component string }
	debs := map[place][]string{}
	for _, r := range releases {
		for _, component := range []string{"contrib", "non-free"} {
			at := place{r.archive(), r.Suite, component}
			debs[at] = append(debs[at], l.Debs(t, r, component)...)
		}
	}
	for at, debs := range debs {
		l.Archive(t, at.archive, at.suite, at.component, debs...)
	}
}

// Debs are the files of a release's packages in one component.
func (l *Lab) Debs(t testing.TB, r Release, component string) []string {
	t.Helper()
	dir, err := r.part().path(t.Context(), l)
	if err != nil {
		t.Fatalf("e2e: %v", err)
	}
	debs, _ := filepath.Glob(filepath.Join(dir, component, "*.deb"))
	return debs
}

// Sources makes these lines the sources.list of a machine, with the key of the
// archive: "debian bookworm main", "debian trixie main contrib non-free".
func Sources(lines ...string) Option {
	return func(o *options) {
		var list strings.Builder
		for _, line := range lines {
			fmt.Fprintf(&list, "deb [signed-by=/etc/apt/keyrings/e2e.asc] http://%s/%s\n", Controller, line)
		}
		o.files["/etc/apt/sources.list"] = file{data: list.String(), mode: 0o644}
	}
}

// How much of a driver a machine with GPUs has from the start.
type gpuStart string

const (
	gpuFromNothing gpuStart = "nothing"   // neither compiler nor headers; nouveau has the GPUs
	gpuWithTools   gpuStart = "tools"     // dkms, compiler, headers; nouveau has the GPUs
	gpuWith535     gpuStart = "driver535" // and R535, nouveau blacklisted
)

// gpuMachine gives a VM an H100 on its PCI bus: see recipes/gpu-modules.sh. Its
// kernel, modules and initramfs are real, and are Debian's.
func gpuMachine(start gpuStart) Option {
	return func(o *options) { o.gpu = start; o.memory = "1048576" }
}

// gpuHost gives a host what it takes to be a GPU machine in a container: the
// packages of a kernel (real ones: /boot, /lib/modules, update-initramfs) with or
// without tools, and stand-ins for what belongs to the kernel that a container
// has not got of its own, see recipes/loaded.sh.
func gpuHost(start gpuStart) Option {
	return func(o *options) {
		o.gpu = start
		o.files["/usr/local/sbin/e2e-loaded"] = file{data: loadedRecipe, mode: 0o755}
		o.files["/etc/systemd/system/e2e-loaded.service"] = file{mode: 0o644, data: `[Unit]
Description=The kernel that this container pretends to have
DefaultDependencies=no
After=local-fs.target
Before=ssh.service nvidia-persistenced.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/e2e-loaded boot
[Install]
WantedBy=multi-user.target
`}
		o.files["/etc/systemd/system/multi-user.target.wants/e2e-loaded.service"] = file{
			mode: fs.ModeSymlink, data: "/etc/systemd/system/e2e-loaded.service"}
	}
}
