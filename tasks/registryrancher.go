package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// K3s and RKE2 bring a containerd of their own and write its configuration
// whenever they start, from one file that is the administrator's:
// registries.yaml. It has no folder of parts beside it. So it is ours or it is
// somebody else's; theirs is not merged into, it is said what it lacks.

// A rancher is a distribution of Kubernetes with its units, of which a host has
// one.
type rancher struct {
	name   string
	folder string
	units  []string
}

var ranchers = []rancher{
	{"k3s", "/etc/rancher/k3s", []string{"k3s", "k3s-agent"}},
	{"rke2", "/etc/rancher/rke2", []string{"rke2-server", "rke2-agent"}},
}

// probeRanchers shows their files, and whether they changed since the
// configuration of containerd was last made from them.
const probeRanchers = `for each_pair in k3s:k3s:k3s k3s-agent:k3s:k3s rke2-server:rke2:rke2 rke2-agent:rke2:rke2; do
	rancher=${each_pair##*:}
	if runtime "${each_pair%%:*}" "$rancher" /run/k3s/containerd/containerd.sock; then
		once /etc/rancher/$rancher/registries.yaml
		each /etc/rancher/$rancher/runai-prep-*.crt
		if [ -e /var/lib/rancher/$rancher/agent/etc/containerd/config.toml ]; then
			older /var/lib/rancher/$rancher/agent/etc/containerd/config.toml /etc/rancher/$rancher/registries.yaml /etc/rancher/$rancher/runai-prep-*.crt
		fi
	fi
done
`

func (r rancher) path() string { return r.folder + "/registries.yaml" }

// ca is the file of certificates of one registry.
func (r rancher) ca(w registryWish) string {
	return r.folder + "/runai-prep-" + strings.NewReplacer(":", "_", "[", "", "]", "").Replace(w.name) + ".crt"
}

// rancher is the finding for the one of the two that a host has.
func (p *registryPlan) rancher(r rancher, unit string) change {
	c := p.newChange(r.name)
	if stopped, ok := p.unreadable(c, r.path()); ok {
		return stopped
	}
	if i := slices.IndexFunc(p.f.starts[unit], func(n string) bool { return strings.HasPrefix(n, "option private-registry ") }); i >= 0 {
		return c.stopped(Unmet, unit+" is started with --private-registry, in "+strings.TrimPrefix(p.f.starts[unit][i], "option private-registry "),
			"take the option out, so that "+r.path()+" is read")
	}
	has, content := p.f.file(r.path()), p.registriesYAML(r)
	if has.Presence == Present && has.content != content && !p.isOurs(r.path()) {
		lacks := p.lacksYAML(r, has.content)
		if lacks == nil {
			p.judged[r.name] = true
			return c.settle(nil, "in "+r.path()+", which is somebody's own")
		}
		return c.stopped(Unmet, r.path()+" is somebody's own, and "+strings.Join(lacks, "; "), "add that by hand, to its mirrors (endpoint) and configs (tls), and restart "+unit+"; or move the file away, and it is written anew")
	}
	var missing []string
	for _, w := range p.wishes {
		if len(w.certs) == 0 {
			continue
		}
		before := len(c.Steps)
		if p.own(&c, r.ca(w), w.ca()); len(c.Steps) > before {
			missing = append(missing, w.name+" not trusted")
		}
	}
	before := len(c.Steps)
	if p.own(&c, r.path(), content); len(c.Steps) > before {
		missing = append(missing, r.path()+map[bool]string{true: " says something else", false: " is not there"}[has.Presence == Present])
	}
	if slices.Contains(p.f.starts[unit], "running") {
		changed := p.f.newerIn(r.folder)
		if len(changed) > 0 && c.Steps == nil {
			missing = append(missing, unit+" runs since before "+strings.Join(changed, ", ")+" changed")
		}
		if len(changed) > 0 || c.Steps != nil {
			c.Steps = append(c.Steps, remote.Step{
				Title:    "systemctl restart " + unit,
				Disrupts: unit + " restarts: running pods go on, the node may be NotReady for a moment, and a server's API is away meanwhile",
				Run:      &remote.Command{Script: "systemctl restart " + unit + ".service", Timeout: 5 * time.Minute},
			})
		}
	}
	p.judged[r.name] = true
	return c.settle(missing, "set in "+r.path())
}

// registriesYAML is the whole file. Strings are quoted, so that no name is
// anything else in YAML.
func (p *registryPlan) registriesYAML(r rancher) string {
	var b strings.Builder
	b.WriteString("# Written by runai-prep: on-premise registries, and what they mirror.\n")
	names, mirrors := p.upstreams()
	for _, w := range p.wishes {
		if w.insecure && mirrors[w.name] == nil { // it may speak no TLS, which nobody tries unasked
			names, mirrors[w.name] = append(names, w.name), []registryWish{w}
		}
	}
	if len(names) > 0 {
		b.WriteString("mirrors:\n")
	}
	for _, name := range names {
		fmt.Fprintf(&b, "  %q:\n    endpoint:\n", name)
		for _, w := range mirrors[name] {
			fmt.Fprintf(&b, "      - %q\n", "https://"+w.name)
			if w.insecure {
				fmt.Fprintf(&b, "      - %q\n", "http://"+w.name)
			}
		}
	}
	configs := ""
	for _, w := range p.wishes {
		switch {
		case w.insecure:
			configs += fmt.Sprintf("  %q:\n    tls:\n      insecure_skip_verify: true\n", w.name)
		case len(w.certs) > 0:
			configs += fmt.Sprintf("  %q:\n    tls:\n      ca_file: %q\n", w.name, r.ca(w))
		}
	}
	if configs != "" {
		b.WriteString("configs:\n" + configs)
	}
	return b.String()
}

// lacksYAML is what a file of somebody else's does not say. It is read line by
// line, as far as people write such files; what is not found so is taken to be
// missing, never the other way round.
func (p *registryPlan) lacksYAML(r rancher, content string) []string {
	has := readYAML(content)
	var lacks []string
	names, mirrors := p.upstreams()
	for _, name := range names {
		for _, w := range mirrors[name] {
			if !slices.Contains(has["mirrors/"+name+"/endpoint"], "https://"+w.name) {
				lacks = append(lacks, name+" is not pulled from "+w.name)
			}
		}
	}
	for _, w := range p.wishes {
		at := "configs/" + w.name + "/tls/"
		switch {
		case w.insecure && !slices.Contains(has[at+"insecure_skip_verify"], "true"):
			lacks = append(lacks, w.name+" is not known to be insecure")
		case len(w.certs) > 0 && has[at+"ca_file"] == nil:
			lacks = append(lacks, w.name+" is not trusted")
		}
	}
	return lacks
}

// readYAML reads what block mappings assign and list, by path: "a/b" is what
// stands below b below a. Flow style, anchors and texts of several lines are
// left out.
func readYAML(content string) map[string][]string {
	found := map[string][]string{}
	type level struct {
		indent int
		key    string
	}
	var at []level
	for line := range strings.Lines(content) {
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || strings.HasPrefix(text, "---") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		item, isItem := strings.CutPrefix(text, "- ")
		for len(at) > 0 && (at[len(at)-1].indent > indent || at[len(at)-1].indent == indent && !isItem) {
			at = at[:len(at)-1]
		}
		var keys []string
		for _, l := range at {
			keys = append(keys, l.key)
		}
		if isItem {
			path := strings.Join(keys, "/")
			found[path] = append(found[path], scalarYAML(item))
			continue
		}
		key, value, ok := cutYAML(text)
		if !ok {
			continue
		}
		at = append(at, level{indent, key})
		if value != "" {
			found[strings.Join(append(keys, key), "/")] = []string{scalarYAML(value)}
		}
	}
	return found
}

// cutYAML takes key and value apart; a key may be quoted and hold colons.
func cutYAML(text string) (key, value string, ok bool) {
	if q := text[0]; q == '"' || q == '\'' {
		end := strings.IndexByte(text[1:], q)
		if end < 0 {
			return "", "", false
		}
		rest, colon := strings.CutPrefix(strings.TrimLeft(text[end+2:], " "), ":")
		return text[1 : end+1], strings.TrimSpace(rest), colon
	}
	if key, value, ok = strings.Cut(text, ": "); ok {
		return strings.TrimSpace(key), strings.TrimSpace(value), true
	}
	key, ok = strings.CutSuffix(text, ":")
	return key, "", ok
}

func scalarYAML(text string) string {
	text, _, _ = strings.Cut(text, " #")
	return strings.Trim(strings.TrimSpace(text), `"'`)
}
