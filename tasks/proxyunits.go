package tasks

import (
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// restarts says what a restart of each runtime does to what runs.
var restarts = map[string]string{
	"containerd": "containerd restarts: running containers go on, nothing starts or stops meanwhile",
	"docker":     "docker restarts: its containers stop, unless live-restore is set",
	"crio":       "crio restarts: running containers go on, nothing starts or stops meanwhile",
	"kubelet":    "kubelet restarts: running pods go on, the node may be NotReady for a moment",
}

func restart(unit string) remote.Step {
	return remote.Step{
		Title:    "systemctl restart " + unit,
		Disrupts: restarts[unit],
		Run:      &remote.Command{Script: "systemctl restart " + unit + ".service", Timeout: 2 * time.Minute},
	}
}

func daemonReload() remote.Step {
	return remote.Step{Title: "systemctl daemon-reload", Run: &remote.Command{Script: "systemctl daemon-reload"}}
}

// unit brings the proxy into the environment of a service: into what systemd
// has loaded, and, if the service runs, into its process.
func (p *proxyPlan) unit(u *unitFacts) change {
	c := change{Finding: Finding{Subject: u.Name, State: OK, Want: p.wantSecretly(), Why: p.why}}
	path := dropInPath(u.Name)
	ours, content := p.f.files[path], p.w.dropIn()
	if ours.Path == "" {
		ours = file{Path: path, Presence: Absent}
	}
	add := p.ownFile(path, content)
	var addEnv entry
	if p.w.credentials() {
		addEnv = p.ownFile(proxyEnvPath, p.w.envFile())
	}
	if over := p.f.overrides(u, p.w); over != "" {
		c.State, c.Have = Unmet, over
		c.Hint = "that file is read after " + dropInName + ": take the proxy out of it"
		return c
	}
	for _, a := range p.f.assigns {
		if a.presence == Unreadable && (strings.Contains(a.path, "/"+u.Name+".service.d/") || slices.Contains(u.Files, a.path)) {
			c.State, c.Have, c.Hint = Unknown, a.path+" cannot be read without root", "enable sudo for this host"
			return c
		}
	}
	if why := notText(ours); why != "" {
		c.State, c.Have, c.Hint = Unmet, why, byHand
		return c
	}
	env := p.f.files[proxyEnvPath]
	if ours.Presence == Unreadable || p.w.credentials() && env.Presence == Unreadable || u.process == Unreadable {
		c.State, c.Have, c.Hint = Unknown, "the environment of "+u.Name+" can be seen by root alone", "enable sudo for this host"
		return c
	}
	loaded := p.loaded(u)
	inProcess := u.process == Absent || !u.other && u.count == len(p.w.assignments()) && !u.outdated()
	// A drop-in of somebody else that says the same is as good as ours.
	if ours.content != content && (ours.Presence == Present || !loaded || u.Stale) {
		c.Steps = append(c.Steps, p.writeOurs(ours, content, 0o644))
		c.adds = append(c.adds, add)
		loaded = false
	}
	envRight := !p.w.credentials() || p.added[proxyEnvPath] || env.Presence == Same && isRootOnly(p.f.modes[proxyEnvPath])
	if !envRight {
		p.added[proxyEnvPath] = true
		c.Steps = append([]remote.Step{p.write(env, proxyEnvPath, p.w.envFile(), 0o600)}, c.Steps...)
		c.adds = append(c.adds, addEnv)
	}
	if !loaded {
		c.Steps = append(c.Steps, daemonReload())
	}
	if !inProcess && c.Steps == nil && !p.added[proxyEnvPath] && p.f.startedSince(u) {
		c.State = Unmet
		c.Have = u.Name + " was started after it was set, and runs without it"
		c.Hint = "its ExecStart, or what that runs, changes its environment: see systemctl cat " + u.Name
		return c
	}
	if !inProcess {
		c.Steps = append(c.Steps, restart(u.Name))
	}
	c.Have = p.unitHas(u, loaded, inProcess)
	switch {
	case envRight || !loaded:
	case env.Presence == Same:
		c.Have = proxyEnvPath + " is not root's alone"
	case env.Presence == Absent:
		c.Have = proxyEnvPath + " is gone"
	default:
		c.Have = proxyEnvPath + " says something else"
	}
	if c.Steps != nil {
		c.State = Pending
	}
	return c
}

// loaded reports whether systemd would start the service with the proxy.
func (p *proxyPlan) loaded(u *unitFacts) bool {
	if p.w.credentials() {
		return slices.Contains(u.Files, proxyEnvPath)
	}
	want := p.w.assignments()
	for _, a := range want {
		if u.set[a.name] != a.value {
			return false
		}
	}
	return !slices.Contains(u.Files, proxyEnvPath)
}

func (p *proxyPlan) unitHas(u *unitFacts, loaded, inProcess bool) string {
	var has string
	switch {
	case loaded && inProcess && u.process == Absent:
		return "set; " + u.Name + " is " + u.Active
	case loaded && inProcess:
		return "set, and " + u.Name + " runs with it"
	case loaded:
		has = "set, but " + u.Name + " has run without it since before"
	case len(u.Set) == 0 && len(u.Files) == 0:
		has = "not set"
	case len(u.Set) == 0:
		has = "not set in " + u.Name + ".service"
	default:
		var sets []string
		for _, name := range proxyNames {
			if v, ok := u.Set[name]; ok && name == strings.ToUpper(name) {
				sets = append(sets, name+"="+v)
			}
		}
		if sets == nil {
			sets = []string{"other variables"}
		}
		has = strings.Join(sets, " ")
	}
	return has
}
