package tasks

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// isThere reports whether something of the ledger is still on the host as it
// was put there, as far as can be seen.
func (p *registryPlan) isThere(e entry) bool {
	has := p.f.file(e.path)
	if has.Presence == Unreadable {
		return true
	}
	switch e.kind {
	case "file":
		return has.Presence == Present && fmt.Sprintf("%x", sha256.Sum256([]byte(has.content))) == e.text
	case "text":
		text, err := strconv.Unquote(e.text)
		return err == nil && text != "" && strings.Contains(has.content, text)
	case "config_path":
		return p.f.configPathIn(has) == containerdCerts
	case "element":
		member, name, _ := strings.Cut(e.text, " ")
		doc, err := parseJSON(has.content)
		list, _ := jsonStrings(doc, member)
		return err == nil && listed(list, name)
	}
	return has.Presence == Present
}

// configPathIn is what a file itself says.
func (f *registryFacts) configPathIn(has file) string {
	doc, err := parseTOML(has.content)
	if err != nil {
		return ""
	}
	version, _ := doc["version"].(int64)
	path, _ := tomlAt(doc, "plugins", criPlugin(int(version)), "registry", "config_path").(string)
	return path
}

// removals take away what the ledger knows and nobody wishes any longer. Only
// what still is as we wrote it; for the rest a finding says so, and it stays.
// Runtimes are not restarted for it: an empty folder of registries is as good
// as none. Where a runtime could not be judged, or is not there for now, nobody
// knows what is still wished, and all of its files stay.
func (p *registryPlan) removals() []change {
	var all []change
	at := map[string]int{}
	of := func(subject string) *change {
		if i, ok := at[subject]; ok {
			return &all[i]
		}
		at[subject] = len(all)
		all = append(all, change{Finding: Finding{Subject: subject, State: OK, Want: "absent", Why: noLonger}})
		return &all[len(all)-1]
	}
	seen := map[string]bool{}
	entries := slices.Clone(p.f.ledger.entries)
	// What names a certificate goes before it: a runtime that finds a file
	// named and not there pulls nothing.
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(depth(a.path), depth(b.path)) })
	for _, e := range entries {
		if len(p.wishes) > 0 && !p.judged[territory(e.path)] {
			continue
		}
		if slices.Contains(p.kept, e) || seen[e.path] || slices.ContainsFunc(p.kept, func(k entry) bool { return k.path == e.path && k.kind == "file" }) {
			continue
		}
		seen[e.path] = true
		p.removal(of(e.path), e.path)
	}
	return slices.DeleteFunc(all, func(c change) bool { return c.Have == "" })
}

func depth(name string) int {
	if path.Base(name) == caName {
		return 1
	}
	return 0
}

// territory is the runtime that a file is for.
func territory(name string) string {
	switch {
	case strings.HasPrefix(name, "/etc/docker/"):
		return "docker"
	case strings.HasPrefix(name, "/etc/containers/"):
		return "containers"
	case strings.HasPrefix(name, "/etc/rancher/k3s/"):
		return "k3s"
	case strings.HasPrefix(name, "/etc/rancher/rke2/"):
		return "rke2"
	}
	return "containerd"
}

// namedIn is a file that stays and names another; empty: there is none.
func (p *registryPlan) namedIn(name string) string {
	for _, other := range slices.Sorted(maps.Keys(p.f.files)) {
		has := p.f.files[other]
		e := entry{"file", other, fmt.Sprintf("%x", sha256.Sum256([]byte(has.content)))}
		goes := p.f.ledger.has(e) && !slices.Contains(p.kept, e)
		if other != ledgerPath("registry") && !goes && strings.Contains(has.content, tomlString(name)) {
			return other
		}
	}
	return ""
}

// removal takes back what the ledger has of one file.
func (p *registryPlan) removal(c *change, name string) {
	has := p.f.file(name)
	var gone []entry
	ours := false
	for _, e := range p.f.ledger.entries {
		if e.path == name && !slices.Contains(p.kept, e) {
			gone = append(gone, e)
			ours = ours || e.kind == "file" && p.isThere(e)
		}
	}
	whole := gone[0].kind == "file"
	switch {
	case has.Presence == Absent:
		return // somebody was faster
	case has.Presence == Unreadable:
		c.State, c.Have, c.Hint = Unknown, name+" cannot be read without root", "enable sudo for this host"
		return
	case whole && !ours:
		c.Have, c.Hint = "it was changed since runai-prep wrote it, and is left alone", "remove it by hand if nobody needs it"
		return
	case depth(name) == 1 && p.namedIn(name) != "":
		c.Have, c.Hint = "it stays: "+p.namedIn(name)+" names it", "remove both by hand if nobody needs them"
		return
	case (name == containerdPath || strings.HasPrefix(name, "/etc/containerd/conf")) && p.othersHosts():
		c.Have = "it stays: registries of others are configured in " + containerdCerts
		return
	case whole:
		c.State, c.Have, c.drops = Pending, "written by runai-prep", gone
		c.Steps = []remote.Step{{Title: "remove " + name, Remove: &remote.Removal{Path: name, Old: has.old(), Ours: true}}}
		p.tidy(c, name)
		return
	}
	content, err := p.withoutOurs(has, gone, false)
	if err != nil || notText(has) != "" {
		c.Have, c.Hint = "what runai-prep put into it cannot be told from the rest any more, and stays", "take it out by hand"
		return
	}
	if content == has.content {
		return
	}
	c.State, c.Have, c.Want, c.drops = Pending, "it holds what runai-prep put there", "as it would be without", gone
	if name == dockerPath && p.f.Docker != nil {
		// A member that is not there leaves dockerd with what it has: it must
		// read an empty list before the list goes.
		if empty, err := p.withoutOurs(has, gone, true); err == nil && empty != has.content {
			var forgets []string
			for _, e := range gone {
				if _, name, ok := strings.Cut(e.text, " "); ok {
					forgets = append(forgets, name)
				}
			}
			c.Steps = append(c.Steps, rewrite(has, empty, 0), reloadDocker(nil, forgets))
			has.content = empty
		}
	}
	switch {
	case slices.ContainsFunc(gone, func(e entry) bool { return e.kind == "made" }) && isEmptyJSON(content):
		c.Want = "absent"
		c.Steps = append(c.Steps, remote.Step{Title: "remove " + name, Remove: &remote.Removal{Path: name, Old: has.old(), Ours: true}})
	case content != has.content:
		c.Steps = append(c.Steps, rewrite(has, content, 0))
	}
}

// tidy takes away the folder of a registry that has become empty: containerd
// takes an empty one for a registry with nothing special, and so does everybody
// else, but nobody misses it.
func (p *registryPlan) tidy(c *change, name string) {
	folder := path.Dir(name)
	if base := path.Dir(folder); path.Base(base) == "certs.d" {
		c.Steps = append(c.Steps, remote.Step{
			Title: "remove " + folder + ", if it is empty",
			Run:   &remote.Command{Script: "rmdir " + quote(folder) + " 2>/dev/null || :\n"},
		})
	}
}

// othersHosts reports whether somebody else has configured registries in the
// folder that containerd reads because we told it to.
func (p *registryPlan) othersHosts() bool {
	for name := range p.f.files {
		if strings.HasPrefix(name, containerdCerts+"/") && !p.isOurs(name) {
			return true
		}
	}
	return false
}

// withoutOurs is a file without what the ledger says that we put into it. A list
// of which nothing is left goes too, unless it is to be kept.
func (p *registryPlan) withoutOurs(has file, gone []entry, keep bool) (string, error) {
	content := has.content
	for _, e := range gone {
		if !p.isThere(e) {
			continue
		}
		switch e.kind {
		case "text":
			text, err := strconv.Unquote(e.text)
			if err != nil {
				return "", err
			}
			content = strings.Replace(content, text, "", 1)
			if _, err := parseTOML(content); err != nil {
				return "", err
			}
		case "config_path":
			doc, err := parseTOML(content)
			if err != nil {
				return "", err
			}
			version, _ := doc["version"].(int64)
			edit, err := tomlSet(content, []string{"plugins", criPlugin(int(version)), "registry"}, "config_path", e.text)
			if err != nil {
				return "", err
			}
			content = edit.content
		case "element":
			member, name, _ := strings.Cut(e.text, " ")
			doc, err := parseJSON(content)
			if err != nil {
				return "", err
			}
			list, _ := jsonStrings(doc, member)
			list = slices.DeleteFunc(list, func(x string) bool { return strings.TrimSuffix(x, "/") == name })
			if len(list) == 0 && !keep {
				list = nil
			}
			if content, err = jsonSet(content, member, list); err != nil {
				return "", err
			}
		}
	}
	return content, nil
}

func isEmptyJSON(content string) bool {
	doc, err := parseJSON(content)
	return err == nil && len(doc) == 0
}
