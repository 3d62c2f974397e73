package tasks

import (
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
// from there.
func (p *kubernetesPlan) installToolkit(c *change) bool {
	manager := p.f.Manager
	base := strings.TrimSuffix(p.h.Toolkit.Repository, "/")
	if base == "" {
		base = toolkitRepository
	}
	switch manager {
	case "apt":
		if p.f.file(toolkitKeyPath).Presence == Absent {
			e := entry{"made", toolkitKeyPath, base + "/gpgkey"}
			c.adds, p.kept = append(c.adds, e), append(p.kept, e)
			c.Steps = append(c.Steps, fetchKey(base+"/gpgkey"))
		}
		if !p.own(c, toolkitListPath, "# Written by runai-prep: the NVIDIA Container Toolkit.\ndeb [signed-by="+toolkitKeyPath+"] "+base+"/stable/deb/$(ARCH) /\n") {
			return false
		}
	case "dnf", "yum":
		if !p.own(c, toolkitYumPath, toolkitRepo(base)) {
			return false
		}
	case "zypper":
		if !p.own(c, toolkitZyppPath, toolkitRepo(base)) {
			return false
		}
		c.Steps = append(c.Steps, remote.Step{Title: "trust the key of " + base, Run: &remote.Command{Timeout: 3 * time.Minute, Detached: true,
			Script: "zypper --non-interactive --gpg-auto-import-keys refresh runai-prep-nvidia-container-toolkit\n"}})
	default:
		c.State, c.Hint = Unmet, "install "+toolkitPackage+" by hand: no package manager is known here"
		return false
	}
	names := packagesOf(manager, p.h.Toolkit.Constraint)
	step := install(manager, toolkitPackage)
	step.Title = strings.TrimSuffix(step.Title, toolkitPackage) + strings.Join(names, " ")
	step.Install.Names, step.Install.Refresh = names, true
	c.Steps = append(c.Steps, step)
	return true
}

// toolkitRepo is a repository as dnf and zypper read it.
func toolkitRepo(base string) string {
	return `# Written by runai-prep: the NVIDIA Container Toolkit.
[runai-prep-nvidia-container-toolkit]
name=NVIDIA Container Toolkit
baseurl=` + base + `/stable/rpm/$basearch
repo_gpgcheck=1
gpgcheck=0
enabled=1
gpgkey=` + base + `/gpgkey
`
}

// fetchKey brings the key of the repository, over the way that apt itself goes.
func fetchKey(url string) remote.Step {
	return remote.Step{Title: "fetch " + url, Run: &remote.Command{Timeout: 2 * time.Minute, Script: `umask 022
mkdir -p ` + quote(strings.TrimSuffix(toolkitKeyPath, "/runai-prep-nvidia-container-toolkit.asc")) + `
new=` + quote(toolkitKeyPath) + `.new
/usr/lib/apt/apt-helper download-file ` + quote(url) + ` "$new" >/dev/null || { rm -f "$new"; exit 1; }
read -r first <"$new" || :
case $first in
'-----BEGIN PGP PUBLIC KEY BLOCK-----'*) mv -f "$new" ` + quote(toolkitKeyPath) + ` ;;
*)
	rm -f "$new"
	echo 'what came is no key' >&2
	exit 1
	;;
esac
`}}
}

// tellRuntime has NVIDIA's own tool configure a runtime, which then restarts.
func tellRuntime(program string) []remote.Step {
	name := map[string]string{"containerd": "containerd", "dockerd": "docker", "crio": "crio"}[program]
	return []remote.Step{
		{Title: "nvidia-ctk runtime configure --runtime=" + name, Run: &remote.Command{Script: "nvidia-ctk runtime configure --runtime=" + name + "\n"}},
		restart(name),
	}
}
