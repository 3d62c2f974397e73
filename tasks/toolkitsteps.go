package tasks

import (
	"path"
	"strings"
	"time"

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
	base, key := strings.TrimSuffix(p.h.Toolkit.Repository, "/"), p.h.Toolkit.RepositoryKey
	if base == "" {
		base = toolkitRepository
	}
	if key == "" {
		key = toolkitKey
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
		content = toolkitRepo(base)
		fetch.Run = &remote.Command{Timeout: 30 * time.Minute, Detached: true, Script: rpmKeyScript(base+"/gpgkey", key, keyPath)}
	default:
		c.State, c.Hint = Unmet, "install "+toolkitPackage+" by hand: no package manager is known here"
		return false
	}
	if p.f.file(keyPath).Presence == Absent || p.f.file(listPath).content != content { // another repository has another key
		e := entry{"made", keyPath, base + "/gpgkey"}
		c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		c.Steps = append(c.Steps, fetch)
	}
	if !p.own(c, listPath, content) {
		return false
	}
	names := packagesOf(manager, p.h.Toolkit.Constraint)
	step := install(manager, toolkitPackage)
	step.Title = strings.TrimSuffix(step.Title, toolkitPackage) + strings.Join(names, " ")
	step.Install.Names, step.Install.Refresh = names, true
	c.Steps = append(c.Steps, step)
	return true
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
// signed, its lists are.
func toolkitRepo(base string) string {
	return `# Written by runai-prep: the NVIDIA Container Toolkit.
[runai-prep-nvidia-container-toolkit]
name=NVIDIA Container Toolkit
baseurl=` + base + `/stable/rpm/$basearch
repo_gpgcheck=1
gpgcheck=0
enabled=1
gpgkey=file://` + toolkitRPMKeyPath + `
`
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

// toolkitDropIns are where a runtime reads drop-ins. NVIDIA's tool has written
// them elsewhere in some of its versions, where the runtime never looked.
var toolkitDropIns = map[string]string{"containerd": "/etc/containerd/conf.d/99-nvidia.toml", "crio": "/etc/crio/crio.conf.d/99-nvidia.conf"}

// tellRuntime has NVIDIA's own tool configure a runtime, which then restarts.
func tellRuntime(program string) []remote.Step {
	name := map[string]string{"containerd": "containerd", "dockerd": "docker", "crio": "crio"}[program]
	script := "nvidia-ctk runtime configure --runtime=" + name + "\n"
	if at := toolkitDropIns[name]; at != "" {
		script = `set --
case $(nvidia-ctk runtime configure --help 2>&1) in
*--drop-in-config*) set -- --drop-in-config=` + at + ` ;;
esac
nvidia-ctk runtime configure --runtime=` + name + ` "$@"
`
	}
	return []remote.Step{{Title: "nvidia-ctk runtime configure --runtime=" + name, Run: &remote.Command{Script: script}}, restart(name)}
}
