package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// The members of daemon.json that are about registries.
const (
	dockerMirrors  = "registry-mirrors" // of docker.io: docker mirrors no other
	dockerInsecure = "insecure-registries"
)

// docker is told of registries by daemon.json, which a reload has it read again
// without anything that runs noticing, and by a folder of certificates for
// each, which it reads at every pull.
func (p *registryPlan) docker() change {
	c, d := p.newChange("docker"), p.f.Docker
	if stopped, ok := p.unreadable(c, dockerPath); ok {
		return stopped
	}
	if s := p.f.started("docker", "config"); s != nil {
		return c.stopped(Unmet, "it is started with a configuration of its own by "+s[0], "set its registries there by hand, or let it read "+dockerPath)
	}
	has := p.f.file(dockerPath)
	doc, err := parseJSON(has.content)
	if err != nil {
		return c.stopped(Unmet, dockerPath+" cannot be read: "+clip(err.Error(), 120), "mend it: dockerd would not start with it")
	}
	var missing []string
	var mirrors, insecure, beyond []string
	for _, w := range p.wishes {
		if p.trust(&c, dockerCerts+"/"+w.name, w) {
			missing = append(missing, w.name+" not trusted")
		}
		for _, m := range w.mirrorOf {
			if m == "docker.io" {
				mirrors = append(mirrors, "https://"+w.name)
			} else if !slices.Contains(beyond, m) {
				beyond = append(beyond, m)
			}
		}
		if w.insecure {
			insecure = append(insecure, w.name)
		}
	}
	content := has.content
	for _, of := range []struct {
		member string
		want   []string
		first  bool // the first that answers holds, so ours come before others
	}{{dockerMirrors, mirrors, true}, {dockerInsecure, insecure, false}} {
		list, ok := jsonStrings(doc, of.member)
		if !ok {
			return c.stopped(Unmet, of.member+" of "+dockerPath+" is no list of names", "mend it: dockerd would not start with it")
		}
		var add []string
		for _, name := range of.want {
			e := entry{"element", dockerPath, of.member + " " + name}
			if listed(list, name) {
				if p.f.ledger.has(e) {
					p.kept = append(p.kept, e)
				}
				continue
			}
			add = append(add, name)
			p.kept = append(p.kept, e)
			c.adds = append(c.adds, e)
		}
		if add == nil {
			continue
		}
		for _, o := range p.f.started("docker", "option") {
			if member, file, _ := strings.Cut(o, " "); member == of.member {
				return c.stopped(Unmet, of.member+" is an option of dockerd in "+file+", and dockerd does not start where "+dockerPath+" says it too",
					"move it from there to "+dockerPath)
			}
		}
		missing = append(missing, of.member+" without "+strings.Join(add, ", "))
		if of.first {
			list = slices.Concat(add, list)
		} else {
			list = slices.Concat(list, add)
		}
		if content, err = jsonSet(content, of.member, list); err != nil {
			return c.stopped(Unmet, dockerPath+" cannot be changed: "+clip(err.Error(), 120), "add "+strings.Join(add, ", ")+" to "+of.member+" by hand")
		}
	}
	c, missing = p.dockerLoaded(c, d, content, mirrors, insecure, missing)
	if c.State == Unknown {
		return c
	}
	p.judged["docker"] = true
	return p.beyondDocker(c.settle(missing, p.dockerSettled(d)), beyond)
}

func (p *registryPlan) dockerSettled(d *dockerFacts) string {
	if d == nil {
		return "set; dockerd does not run"
	}
	return "set, and dockerd runs with it"
}

// dockerLoaded writes daemon.json, where it is to become another, and has the
// daemon that runs read it, where that does not know what is wished.
func (p *registryPlan) dockerLoaded(c change, d *dockerFacts, content string, mirrors, insecure, missing []string) (change, []string) {
	has := p.f.file(dockerPath)
	if content != has.content {
		if has.Presence == Absent {
			e := entry{"made", dockerPath, ""}
			c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		}
		step := rewrite(has, content, 0)
		step.Write.Verify += verifyDaemonJSON
		c.Steps = append(c.Steps, step)
	}
	p.kept = append(p.kept, p.f.ledger.of("made")...)
	if d == nil || mirrors == nil && insecure == nil {
		return c, missing
	}
	var known bool
	switch {
	case d.noTool && content == has.content:
		return c.stopped(Unknown, "what dockerd runs with cannot be asked: there is neither docker nor curl", "install docker's command line (docker-cli)"), nil
	case d.failed != 0 && content == has.content:
		return c.stopped(Unknown, fmt.Sprintf("docker info ended with exit status %d", d.failed), "see what docker info says on the host"), nil
	case d.noTool || d.failed != 0:
	default:
		known = true
		for _, m := range mirrors {
			known = known && slices.Contains(d.Mirrors, m)
		}
		for _, name := range insecure {
			known = known && slices.Contains(d.Insecure, name)
		}
	}
	if !known || content != has.content {
		if content == has.content {
			missing = append(missing, "set in "+dockerPath+", which dockerd has not read since")
		}
		c.Steps = append(c.Steps, reloadDocker(slices.Concat(mirrors, insecure), nil))
	}
	return c, missing
}

// beyondDocker says which mirrors docker cannot use. Where another runtime
// pulls the cluster's images that is no fault.
func (p *registryPlan) beyondDocker(c change, beyond []string) change {
	if beyond == nil {
		return c
	}
	slices.Sort(beyond)
	text := "docker has mirrors of docker.io alone, and pulls from " + strings.Join(beyond, ", ") + " itself"
	cluster := p.f.has("crio") || p.f.has("containerd") && (p.f.Containerd == nil || !p.f.Containerd.NoCRI)
	switch {
	case cluster:
		c.Hint = text + "; the other runtime here does use them"
	case c.State == OK:
		c.State, c.Have = Unmet, text
		c.Hint = "name the images by their place in the registry, let containerd or CRI-O be the cluster's runtime, or take them out of mirror_of for this host"
	default:
		c.Hint = text
	}
	return c
}

// verifyDaemonJSON has dockerd itself check the file, where it can: since 23.0.
const verifyDaemonJSON = `if dockerd --help 2>/dev/null | grep -q -e --validate; then dockerd --validate --config-file "$1" >&2; fi
`

// reloadDocker has dockerd read its file again, and waits for it to say that it
// knows some names and others no more: the signal tells nothing, and what a
// reload refuses is only logged.
func reloadDocker(knows, forgets []string) remote.Step {
	var known strings.Builder
	for _, name := range knows {
		known.WriteString("\tcase $says in *" + quote(`"`+name) + "*) ;; *) known=false ;; esac\n")
	}
	for _, name := range forgets {
		known.WriteString("\tcase $says in *" + quote(`"`+name) + "*) known=false ;; esac\n")
	}
	script := `systemctl reload docker.service || exit 1
command -v docker >/dev/null || { sleep 2; exit 0; }
for try in 1 2 3 4 5 6 7 8 9 10; do
	says=$(docker info --format '{{json .RegistryConfig}}')
	known=true
` + known.String() + `	if $known; then exit 0; fi
	sleep 1
done
echo 'dockerd did not take the new settings: see journalctl -u docker' >&2
exit 1
`
	return remote.Step{Title: "systemctl reload docker", Run: &remote.Command{Script: script, Timeout: 2 * time.Minute}}
}

// listed reports whether a list of daemon.json has a name, or a URL with or
// without a slash at its end.
func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(has string) bool { return strings.TrimSuffix(has, "/") == name })
}
