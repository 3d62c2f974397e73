package tasks

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/runai-prep/runai-prep/remote"
)

// afterDriver leaves the toolkit for the next apply where the driver is not
// loaded: it may need a reboot first.
func afterDriver() remote.Step {
	return remote.Step{Title: "see that the NVIDIA driver is loaded", Run: &remote.Command{Guard: true, Script: `[ -e /proc/driver/nvidia/version ] || {
	echo 'the NVIDIA driver is not loaded: the toolkit comes after it' >&2
	exit 1
}
`}}
}

// installToolkit sets up NVIDIA's repository, or a mirror of it, and installs
// from there. What it is signed with is known by its fingerprint, which is
// compared before anything is trusted.
func (p *kubernetesPlan) installToolkit(c *change) bool {
	base, key := strings.TrimSuffix(p.h.Toolkit.Repository, "/"), toolkitPrint(p.h)
	if base == "" {
		base = toolkitRepository
	}
	var keyPath, listPath, content string
	fetch := remote.Step{Title: "fetch " + base + "/gpgkey, and see that it is " + key}
	manager := p.f.Manager
	switch manager {
	case "apt":
		keyPath, listPath = toolkitKeyPath, toolkitAptPath
		content = toolkitSources(base) + keyPath + " " + key + "\n"
		fetch.Run = &remote.Command{Timeout: 3 * time.Minute, Script: aptKeyScript(base, key)}
	case "dnf", "yum", "zypper":
		keyPath, listPath = toolkitRPMKeyPath, toolkitYumPath
		if manager == "zypper" {
			listPath = toolkitZyppPath
		}
		content = toolkitRepo(base, key, pastProxy(p.h, p.f.Manager, base))
		list := quote(base+"/stable/rpm/") + `"$(uname -m)"/repodata/repomd.xml`
		fetch.Run = &remote.Command{Timeout: 3 * time.Minute, Script: rpmKeyScript(base+"/gpgkey", key, keyPath, list, pastTheProxy(p.h, base))}
	default:
		c.State, c.Hint = Unmet, "install "+toolkitPackage+" by hand: no package manager is known here"
		return false
	}
	if p.f.file(keyPath).Presence == Absent || p.f.file(listPath).content != content { // another repository has another key
		e := entry{"made", keyPath, base + "/gpgkey"}
		c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		c.Steps = append(c.Steps, fetch)
		if manager == "zypper" {
			p.trust(c, key, keyPath)
		}
	}
	if !p.own(c, listPath, content) {
		return false
	}
	slices.Reverse(c.adds) // they are taken away in this order: the repository before its key
	names := packagesOf(manager, p.h.Toolkit.Constraint)
	step := install(manager, toolkitPackage)
	step.Title = strings.TrimSuffix(step.Title, toolkitPackage) + strings.Join(names, " ")
	step.Install.Names, step.Install.Refresh = names, true
	c.Steps = append(c.Steps, step)
	return true
}

// trust has rpm trust the key, for zypper takes no list that another has signed.
// dnf and yum keep the key of lists apart, and nothing but lists is signed here: for
// them rpm is not told. A key that rpm trusts already is not ours to take away.
func (p *kubernetesPlan) trust(c *change, key, path string) {
	if p.f.Toolkit.trusts(key) {
		return
	}
	e := entry{"trusted", path, key}
	c.adds, p.kept = append(c.adds, e), append(p.kept, e)
	c.Steps = append(c.Steps, remote.Step{Title: "have rpm trust " + key, Run: &remote.Command{Timeout: 30 * time.Minute, Detached: true, Script: rpmTrustScript(path)}})
}

// toolkitSources is the repository as apt reads it. The file of the key follows,
// and its fingerprint, for the file may hold others.
func toolkitSources(base string) string {
	return `# Written by runai-prep: the NVIDIA Container Toolkit. Only what this key has signed is taken.
Types: deb
URIs: ` + base + `/stable/deb/$(ARCH)/
Suites: /
Signed-By: `
}

// toolkitRepo is the repository as dnf and zypper read it. Its packages are not
// signed, its lists are. Way is a line on the proxy.
func toolkitRepo(base, key, way string) string {
	return `# Written by runai-prep: the NVIDIA Container Toolkit, signed with ` + key + `.
[runai-prep-nvidia-container-toolkit]
name=NVIDIA Container Toolkit
baseurl=` + base + `/stable/rpm/$basearch
repo_gpgcheck=1
gpgcheck=0
enabled=1
gpgkey=file://` + toolkitRPMKeyPath + "\n" + way
}

// aptKeyScript brings the key of the repository, over the way that apt itself
// goes, and has apt, in a place of its own, fetch the lists with it: that
// refuses what another key has signed. No other program is there on every
// host that could tell. Only then is the key put in its place.
func aptKeyScript(base, key string) string {
	return `umask 022
work=$(mktemp -d) || exit 1
chmod 755 "$work"
ends() {
	if [ -n "$2" ]; then echo "$2" >&2; fi
	rm -rf "$work"
	exit "$1"
}
/usr/lib/apt/apt-helper download-file ` + quote(base+"/gpgkey") + ` "$work/key.asc" >/dev/null || ends 1
printf '%s%s %s\n' ` + quote(toolkitSources(base)) + ` "$work/key.asc" ` + key + ` >"$work/new.sources"
mkdir -p "$work/lists/partial"
said=$(apt-get -q -o Dir::Etc::SourceList="$work/new.sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= update 2>&1) || ends 1 "the repository is not signed with ` + key + `, or cannot be read:
$said"
set -- "$work"/lists/*Release
[ -e "$1" ] || ends 1 "the repository cannot be read:
$said"
mkdir -p ` + quote(path.Dir(toolkitKeyPath)) + ` && cp "$work/key.asc" ` + quote(toolkitKeyPath) + `.new && mv -f ` + quote(toolkitKeyPath) + `.new ` + quote(toolkitKeyPath) + ` || ends 1
ends 0
`
}

// toolkitDropIn is where containerd reads drop-ins. NVIDIA's tool has written
// them elsewhere in some of its versions, where containerd never looked.
const toolkitDropIn = "/etc/containerd/conf.d/99-nvidia.toml"

// tellRuntime has NVIDIA's own tool configure a runtime, which then restarts.
func (p *kubernetesPlan) tellRuntime(c *change, program string) bool {
	name := map[string]string{"containerd": "containerd", "dockerd": "docker", "crio": "crio"}[program]
	script := "nvidia-ctk runtime configure --runtime=" + name + "\n"
	switch name {
	case "containerd":
		script = `set --
case $(nvidia-ctk runtime configure --help 2>&1) in
*--drop-in-config*) set -- --drop-in-config=` + toolkitDropIn + ` ;;
esac
nvidia-ctk runtime configure --runtime=containerd "$@"
`
	case "crio":
		content, wrapped, err := p.f.crioDropIn()
		if err != nil {
			c.State, c.Steps, c.adds = Unmet, nil, nil
			c.Hint = err.Error() + ": tell CRI-O by hand, or mend it"
			return false
		}
		if path.IsAbs(wrapped) {
			c.Steps = append(c.Steps, wrapToo(wrapped))
		}
		c.Steps = append(c.Steps, rewrite(p.f.file(crioDropInPath), content, 0o644), restart(name))
		return true
	}
	c.Steps = append(c.Steps, remote.Step{Title: "nvidia-ctk runtime configure --runtime=" + name, Run: &remote.Command{Script: script}}, restart(name))
	return true
}

// wrapToo has NVIDIA's runtime find a program to wrap where CRI-O's packages have it,
// which is not in its PATH. It takes the first of its list that is there.
func wrapToo(program string) remote.Step {
	return remote.Step{Title: "nvidia-ctk config: wrap " + program + ", too", Run: &remote.Command{Script: `program=` + quote(program) + `
config=$(nvidia-ctk config) || exit 1
case $config in
*"\"$program\""*) ;;
*) nvidia-ctk config --in-place --set nvidia-container-runtime.runtimes="runc:crun:$program" ;;
esac
`}}
}

const crioDropInPath = "/etc/crio/crio.conf.d/99-nvidia.conf"

// crioDropIn tells CRI-O of NVIDIA's runtime, with all that is set for the one that
// it wraps: the default, runc or crun, in this order, as NVIDIA's tool has it. That
// tool only knows crio.conf, which the packages of today do not bring, and what it
// leaves out then, where conmon is, keeps CRI-O from starting again:
// https://github.com/NVIDIA/nvidia-container-toolkit/issues/681. The program that is
// wrapped comes with it; empty: it is not set.
func (f *kubernetesFacts) crioDropIn() (content, wrapped string, err error) {
	runtimes := map[string]any{}
	first := ""
	for _, has := range f.crioConfigs() {
		doc, err := parseTOML(has.content)
		if err != nil {
			return "", "", fmt.Errorf("%s cannot be read: %w", has.Path, err)
		}
		// A table of a later file takes the place of an earlier one's.
		maps.Copy(runtimes, tomlTable(doc, "crio", "runtime", "runtimes"))
		if name, ok := tomlAt(doc, "crio", "runtime", "default_runtime").(string); ok {
			first = name
		}
	}
	nvidia := map[string]any{}
	for _, name := range []string{first, "runc", "crun"} {
		if options, ok := runtimes[name].(map[string]any); ok {
			nvidia = maps.Clone(options)
			break
		}
	}
	wrapped, _ = nvidia["runtime_path"].(string)
	nvidia["runtime_path"], nvidia["runtime_type"] = cmp.Or(f.Toolkit.Runtime, "/usr/bin/nvidia-container-runtime"), "oci"
	table, err := toml.Marshal(map[string]any{"crio": map[string]any{"runtime": map[string]any{"runtimes": map[string]any{"nvidia": nvidia}}}})
	return "# Written by runai-prep: NVIDIA's runtime, as the one that it wraps is set.\n" + string(table), wrapped, err
}
