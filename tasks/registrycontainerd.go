package tasks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// containerd reads a folder for each registry, certs.d/NAME, at every pull. It
// only has to be told once where these folders are.
func (p *registryPlan) containerd() change {
	c, d := p.newChange("containerd"), p.f.Containerd
	if s := p.f.started("containerd", "config"); s != nil {
		return c.stopped(Unmet, "it is started with a configuration of its own by "+s[0],
			"set config_path of its registries to "+containerdCerts+" there by hand, or let it read "+containerdPath)
	}
	if stopped, ok := p.unreadable(c, containerdPath); ok {
		return stopped
	}
	switch {
	case d == nil:
		return c.stopped(Unknown, "there is a containerd.service, and no program containerd to ask", "see what systemctl cat containerd starts")
	case d.failed != 0:
		return c.stopped(Unknown, "it does not say what its configuration is: "+d.said, "see what containerd config dump says on the host")
	case d.garbled != nil:
		return c.stopped(Unknown, "what containerd config dump says cannot be read: "+clip(d.garbled.Error(), 120), "see what containerd config dump says on the host")
	case d.NoCRI:
		c.Have = "its CRI plugin is disabled: nothing pulls images through it"
		return c
	case d.Old != nil:
		return c.stopped(Unmet, "registries are configured in the old way ("+strings.Join(d.Old, ", ")+"), beside which containerd refuses another",
			"move what the tables registry.mirrors and registry.configs say to "+containerdCerts+"/NAME/hosts.toml and take them out; runai-prep then adds its own")
	}
	var missing []string
	root := d.root()
	for _, w := range p.wishes {
		folder := root + "/" + w.name
		if other := shadow(folder); slices.Contains(p.f.folders, other) {
			return c.stopped(Unmet, other+" is read in the place of "+folder, "rename it to "+folder)
		}
		if p.trust(&c, folder, w) {
			missing = append(missing, w.name+" not trusted")
		}
	}
	names, mirrors := p.upstreams()
	for _, w := range p.wishes {
		if !slices.Contains(names, w.name) && (w.insecure || p.f.file(root+"/"+w.name+"/hosts.toml").Presence != Absent) {
			names = append(names, w.name)
		}
	}
	for _, name := range names {
		lacks, stop := p.hosts(&c, root, name, mirrors[name])
		if stop != "" {
			return c.stopped(Unmet, stop, "edit it by hand, or remove it, so that runai-prep writes it anew")
		}
		missing = append(missing, lacks...)
	}
	if d.ConfigPath == "" {
		lacks, stop := p.configPath(&c)
		if stop != "" {
			return c.stopped(Unmet, stop, "set config_path of its registries to "+containerdCerts+" by hand, and restart containerd")
		}
		missing = append(missing, lacks)
	} else {
		p.keepConfigPath()
	}
	if newer := p.f.newerIn("/etc/containerd"); d.Running && (d.ConfigPath == "" || len(newer) > 0) {
		if d.ConfigPath != "" {
			missing = append(missing, "containerd runs since before "+strings.Join(newer, ", ")+" changed")
		}
		c.Steps = append(c.Steps, restart("containerd"))
	}
	p.judged["containerd"] = true
	return c.settle(missing, "in "+root+", which containerd reads at every pull")
}

// shadow is the spelling of a folder that is read before it, where there is a
// port: NAME_PORT_. Without one it is the folder itself, which shadows nothing.
func shadow(folder string) string {
	dir, name := path.Split(folder)
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return ""
	}
	return dir + name[:i] + "_" + name[i+1:] + "_"
}

// A containerdHost is a table [host."URL"] of a hosts.toml.
type containerdHost struct {
	url          string
	capabilities []string
	ca           string
	skipVerify   bool
}

func (h containerdHost) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[host.%s]\n  capabilities = %s\n", tomlString(h.url), tomlStrings(h.capabilities))
	if h.ca != "" {
		fmt.Fprintf(&b, "  ca = %s\n", tomlString(h.ca))
	}
	if h.skipVerify {
		b.WriteString("  skip_verify = true\n")
	}
	return b.String()
}

// hosts looks after NAME/hosts.toml: where images of a registry come from. One
// that is not there, or is ours, becomes what is wished. To one of somebody
// else's the tables that it lacks are added, before its own, for the first that
// answers holds.
func (p *registryPlan) hosts(c *change, root, name string, mirrors []registryWish) (missing []string, stop string) {
	file := root + "/" + name + "/hosts.toml"
	if stopped, ok := p.unreadable(*c, file); ok {
		return nil, stopped.Have
	}
	var wanted []containerdHost
	for _, w := range mirrors {
		wanted = append(wanted, p.hostsOf(root, w, "pull", "resolve")...)
	}
	server := "https://" + name
	if name == "docker.io" {
		server = "https://registry-1.docker.io"
	}
	if i := slices.IndexFunc(p.wishes, func(w registryWish) bool { return w.name == name }); i >= 0 {
		own := p.hostsOf(root, p.wishes[i], "pull", "resolve", "push")
		if p.wishes[i].insecure {
			server = "http://" + name
			own = own[:1]
		}
		wanted = append(wanted, own...)
	}
	has := p.f.file(file)
	if has.Presence == Absent || p.isOurs(file) {
		p.own(c, file, hostsFile(name, server, wanted))
		if has.Presence == Present && has.content != hostsFile(name, server, wanted) {
			missing = append(missing, file+" says something else")
		} else if has.Presence == Absent {
			missing = append(missing, missingHosts(name, mirrors)...)
		}
		return missing, ""
	}
	return p.theirHosts(c, has, wanted)
}

func missingHosts(name string, mirrors []registryWish) []string {
	if mirrors == nil {
		return []string{name + " not known to be insecure"}
	}
	var names []string
	for _, w := range mirrors {
		names = append(names, w.name)
	}
	return []string{name + " not pulled from " + strings.Join(names, ", ")}
}

func hostsFile(name, server string, hosts []containerdHost) string {
	var b strings.Builder
	b.WriteString("# Written by runai-prep: where containerd gets images of " + name + " from.\nserver = " + tomlString(server) + "\n")
	for _, h := range hosts {
		b.WriteString("\n" + h.String())
	}
	return b.String()
}

// hostsOf are the tables for one registry. An insecure one may speak TLS or not.
func (p *registryPlan) hostsOf(root string, w registryWish, capabilities ...string) []containerdHost {
	h := containerdHost{url: "https://" + w.name, capabilities: capabilities}
	if w.insecure {
		h.skipVerify = true
		return []containerdHost{h, {url: "http://" + w.name, capabilities: capabilities}}
	}
	if len(w.certs) > 0 {
		h.ca = root + "/" + w.name + "/" + caName
		if !p.isOurs(h.ca) {
			// Somebody else's file serves as well.
			for _, has := range p.f.certificateFiles(root + "/" + w.name) {
				if !slices.ContainsFunc(w.certs, func(c certificate) bool { return !strings.Contains(has.content, c.line()) }) {
					h.ca = has.Path
				}
			}
		}
	}
	return []containerdHost{h}
}

// theirHosts adds to a hosts.toml of somebody else's the tables that it lacks.
func (p *registryPlan) theirHosts(c *change, has file, wanted []containerdHost) (missing []string, stop string) {
	doc, err := parseTOML(has.content)
	if err != nil {
		return nil, has.Path + " cannot be read: " + clip(err.Error(), 120)
	}
	var add strings.Builder
	for _, h := range wanted {
		there := tomlTable(doc, "host", h.url)
		if there == nil && tomlTable(doc, "host", h.url+"/") != nil {
			there = tomlTable(doc, "host", h.url+"/")
		}
		switch {
		case there == nil && doc["server"] == h.url && p.serves(doc, h):
		case there == nil:
			add.WriteString(h.String() + "\n")
			missing = append(missing, has.Path+" does not name "+h.url)
		case !p.serves(there, h):
			return nil, has.Path + ", which runai-prep did not write, says something else of " + h.url
		}
	}
	// What was put in before, to be remembered still.
	for _, e := range p.f.ledger.entries {
		if e.kind == "text" && e.path == has.Path {
			p.kept = append(p.kept, e)
		}
	}
	if add.Len() == 0 {
		return nil, ""
	}
	at := len(has.content)
	text := add.String()
	if i := firstHost(has.content); i >= 0 {
		at = i
	} else {
		text = "\n" + strings.TrimSuffix(text, "\n")
		if !strings.HasSuffix(has.content, "\n") {
			text = "\n" + text
		}
	}
	content := has.content[:at] + text + has.content[at:]
	after, err := parseTOML(content)
	if err != nil || len(tomlTable(after, "host")) != len(tomlTable(doc, "host"))+len(missing) {
		return nil, has.Path + " is written in a way that cannot be added to"
	}
	e := entry{"text", has.Path, fmt.Sprintf("%q", text)}
	p.kept = append(p.kept, e)
	c.adds = append(c.adds, e)
	c.Steps = append(c.Steps, rewrite(has, content, 0))
	return missing, ""
}

// serves reports whether a table of a hosts.toml does what is wanted of a host.
func (p *registryPlan) serves(table map[string]any, h containerdHost) bool {
	if given, ok := table["capabilities"].([]any); ok {
		for _, want := range h.capabilities {
			// Somebody may have decided that nothing is pushed from here.
			if want != "push" && !slices.Contains(given, any(want)) {
				return false
			}
		}
	}
	if skip, _ := table["skip_verify"].(bool); h.skipVerify && !skip {
		return false
	}
	if h.ca == "" {
		return true
	}
	var files []string
	switch ca := table["ca"].(type) {
	case string:
		files = []string{ca}
	case []any:
		for _, one := range ca {
			s, _ := one.(string)
			files = append(files, s)
		}
	}
	if slices.Contains(files, h.ca) {
		return true
	}
	for _, w := range p.wishes {
		if h.url != "https://"+w.name {
			continue
		}
		for _, name := range files {
			has := p.f.file(name)
			if !slices.ContainsFunc(w.certs, func(x certificate) bool { return !strings.Contains(has.content, x.line()) }) {
				return true
			}
		}
	}
	return false
}

// firstHost is where the first line begins that opens a table of hosts; -1: none.
func firstHost(content string) int {
	at := 0
	for line := range strings.Lines(content) {
		if head := strings.TrimLeft(line, " \t"); strings.HasPrefix(head, "[host.") || strings.HasPrefix(head, "[host]") {
			return at
		}
		at += len(line)
	}
	return -1
}

// takesConfigPath is a script that asks containerd itself whether it takes a
// configuration, with all that it imports, and where its registries then are.
func (p *registryPlan) takesConfigPath(option string) string {
	program := "containerd"
	if at := p.f.started("containerd", "program"); at != nil {
		program = at[0]
	}
	return quote(program) + option + ` config dump 2>/dev/null | grep -q "config_path *= *['\"]` + containerdCerts + `['\":]" || ` +
		"{ echo 'containerd does not take the new configuration' >&2; exit 1; }\n"
}

// configPath tells containerd where the folders are. Since version 2 it merges
// what it imports, so that a file of ours will do where files are imported;
// before, an imported file takes the place of all that is said of a plugin, so
// that the file whose word holds must be changed.
func (p *registryPlan) configPath(c *change) (missing, stop string) {
	main, version := p.f.file(containerdPath), p.f.Containerd.Version
	doc, err := parseTOML(main.content)
	if err != nil {
		return "", containerdPath + " cannot be read: " + clip(err.Error(), 120)
	}
	fileVersion, _ := doc["version"].(int64)
	switch {
	case main.Presence == Absent:
		p.own(c, containerdPath, configPathFile(version))
	case version >= 3 && fileVersion >= 3 && imports(doc, containerdDropIn):
		if p.f.file(containerdDropIn).Presence != Absent && !p.isOurs(containerdDropIn) {
			return "", containerdDropIn + " is there, and runai-prep did not write it"
		}
		p.own(c, containerdDropIn, configPathFile(int(fileVersion)))
	default:
		target := main
		for _, has := range p.imported(doc) {
			over, err := parseTOML(has.content)
			if err != nil {
				return "", has.Path + " cannot be read: " + clip(err.Error(), 120)
			}
			if v, _ := over["version"].(int64); version < 3 && tomlTable(over, "plugins", criPlugin(int(v))) != nil {
				target, fileVersion = has, v
			}
		}
		e, err := tomlSet(target.content, []string{"plugins", criPlugin(int(fileVersion)), "registry"}, "config_path", containerdCerts)
		if err != nil {
			return "", target.Path + " cannot be changed: " + clip(err.Error(), 120)
		}
		step := rewrite(target, e.content, 0)
		if target.Path == containerdPath {
			step.Write.Verify += p.takesConfigPath(` --config "$1"`)
		}
		add := entry{"text", target.Path, fmt.Sprintf("%q", e.inserted)}
		if e.replaced {
			add = entry{"config_path", target.Path, e.was}
		}
		p.kept, c.adds, c.Steps = append(p.kept, add), append(c.adds, add), append(c.Steps, step)
	}
	// Before it is restarted, so that what runs goes on whatever was written.
	c.Steps = append(c.Steps, remote.Step{Title: "containerd config dump", Run: &remote.Command{Script: p.takesConfigPath("")}})
	return "containerd looks for registries in no folder", ""
}

func configPathFile(version int) string {
	return fmt.Sprintf("# Written by runai-prep: where containerd finds what is known of registries.\nversion = %d\n\n[plugins.%s.registry]\n  config_path = %s\n",
		version, tomlString(criPlugin(version)), tomlString(containerdCerts))
}

// keepConfigPath keeps in mind what tells containerd where the folders are, for
// as long as any is wished.
func (p *registryPlan) keepConfigPath() {
	for _, e := range p.f.ledger.entries {
		if e.kind == "config_path" || e.kind == "text" && !strings.HasSuffix(e.path, "/hosts.toml") || e.kind == "file" && (e.path == containerdPath || e.path == containerdDropIn) {
			p.kept = append(p.kept, e)
		}
	}
}

// imported are the files that config.toml imports, of those that were looked
// at, in the order in which they are read.
func (p *registryPlan) imported(doc map[string]any) []file {
	var paths []string
	for name := range p.f.files {
		if name != containerdPath && strings.HasPrefix(name, "/etc/containerd/") && path.Ext(name) == ".toml" && path.Base(name) != "hosts.toml" && imports(doc, name) {
			paths = append(paths, name)
		}
	}
	slices.Sort(paths)
	var found []file
	for _, name := range paths {
		found = append(found, p.f.files[name])
	}
	return found
}

// imports reports whether a configuration imports a file.
func imports(doc map[string]any, name string) bool {
	patterns, _ := doc["imports"].([]any)
	return slices.ContainsFunc(patterns, func(x any) bool {
		pattern, _ := x.(string)
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(containerdPath), pattern)
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}
