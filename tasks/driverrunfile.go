package tasks

import (
	"fmt"
	"path"
	"regexp"

	"github.com/runai-prep/runai-prep/remote"
)

var runfileName = regexp.MustCompile(`^NVIDIA-Linux-(x86_64|aarch64)-([0-9]+(?:\.[0-9]+)+)[A-Za-z0-9._-]*\.run$`)

// byRunfile is NVIDIA's own installer as the target. It and packages overwrite
// each other's files, so a host that has the one is not given the other.
func (p *driverPlan) byRunfile() (t *driverTarget, why, hint string) {
	name := path.Base(p.w.Runfile)
	m := runfileName.FindStringSubmatch(name)
	switch {
	case m == nil:
		return nil, name + " does not say which version it is", "name it as NVIDIA does: NVIDIA-Linux-x86_64-535.104.05.run"
	case m[1] != p.f.Arch:
		return nil, name + " is for " + m[1] + ", and this host is " + p.f.Arch, "wish the runfile for " + p.f.Arch
	case !p.w.within(m[2]):
		return nil, "the runfile is of " + m[2], "wish a version that the runfile has, or another runfile"
	case len(p.has.names) > 0:
		return nil, "packages own the driver: " + p.has.list(), `take them away first, or wish source = "distro" or "cuda-repo"`
	}
	may := p.w.flavors(p.need, branchOf(m[2]))
	if len(may) == 0 {
		return nil, "the runfile is of " + m[2] + ", which does not drive these GPUs", "wish another runfile"
	}
	t = &driverTarget{runfile: true, open: may[0], version: m[2], branch: branchOf(m[2]), from: name}
	for _, source := range []string{"distro", "cuda-repo"} {
		for _, row := range packagingsOf(p.f, source) {
			if t.headers == nil {
				t.headers = row.headers
			}
		}
	}
	if p.f.Manager == "zypper" {
		t.headers = []string{"kernel-default-devel"}
	}
	return t, "", ""
}

func (p *driverPlan) runfileSteps(c *change) {
	t := p.to
	names, optional := p.headersWanted()
	for _, tool := range []string{"gcc", "make", "dkms"} {
		if !p.installed(tool) {
			names = append(names, tool)
		}
	}
	if len(names) > 0 {
		c.Steps = append(c.Steps, p.install(remote.Packages{Names: names, Optional: optional, Refresh: true}))
	}
	at := "/var/lib/runai-prep/" + t.from
	c.Steps = append(c.Steps, remote.Step{
		Title:  "upload " + t.from,
		Upload: &remote.Upload{From: p.w.Runfile, Path: at, Mode: 0o700, SHA256: p.w.SHA256},
	})
	p.leadUp(c)
	flavor := ""
	switch {
	case t.branch >= openByDefault:
		flavor = " --kernel-module-type=" + flavorName(t.open)
	case t.open:
		flavor = " -m=kernel-open"
	}
	// /tmp may be mounted noexec. What the installer says goes to a log of its own.
	c.Steps = append(c.Steps, remote.Step{
		Title: fmt.Sprintf("sh %s --silent --dkms --no-questions%s", t.from, flavor),
		Run: &remote.Command{Timeout: installLimit, Detached: true, Script: `mkdir -p /var/lib/runai-prep/tmp
TMPDIR=/var/lib/runai-prep/tmp
export TMPDIR
sh ` + quote(at) + ` --silent --dkms --no-questions` + flavor + ` || {
	s=$?
	grep -E 'ERROR|WARNING' /var/log/nvidia-installer.log | tail -n 15 >&2
	exit "$s"
}
rm -rf /var/lib/runai-prep/tmp ` + quote(at) + "\n"},
	})
}
