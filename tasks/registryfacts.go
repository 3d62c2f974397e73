package tasks

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/remote"
)

// registryFacts are what was found of registries on a host. Files may hold
// other people's passwords, so none is shown whole.
type registryFacts struct {
	Services
	Runtimes   []string            `json:"runtimes"` // whose unit is there, and podman
	Files      map[string]Presence `json:"files"`
	Containerd *containerdFacts    `json:"containerd,omitempty"`
	Docker     *dockerFacts        `json:"docker,omitempty"`
	Reached    []remote.Reached    `json:"reached"`

	ledger  ledger
	files   map[string]file
	folders []string
	newer   []string // files that changed since the runtime that reads them was started
	starts  map[string][]string
}

// containerdFacts are what containerd itself says of its configuration: all
// files read, what is not set filled in.
type containerdFacts struct {
	Version    int    `json:"config_version"` // of the dump, which a file need not have
	ConfigPath string `json:"config_path"`
	// Old are registries configured in the deprecated way, which excludes ConfigPath.
	Old     []string `json:"deprecated,omitempty"`
	NoCRI   bool     `json:"cri_disabled"`
	Running bool     `json:"running"`

	failed  int // exit status, when it could not say
	said    string
	garbled error
}

// dockerFacts are what the running daemon says.
type dockerFacts struct {
	Mirrors  []string `json:"mirrors"`
	Insecure []string `json:"insecure"`

	noTool bool
	failed int
}

func readRegistry(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &registryFacts{
		Services: readServices(blocks),
		Files:    map[string]Presence{},
		files:    map[string]file{},
		starts:   map[string][]string{},
	}
	if f.ledger, err = readLedger("registry", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	for _, b := range blocks {
		switch b.kind {
		case "file":
			f.files[b.rest] = b.file()
			f.Files[b.rest] = f.files[b.rest].Presence
		case "runtime":
			f.Runtimes = append(f.Runtimes, b.rest)
			f.starts[b.rest] = b.notes
		case "folder":
			f.folders = append(f.folders, b.rest)
		case "newer":
			f.newer = append(f.newer, b.rest)
		case "containerd":
			f.Containerd = readContainerd(b)
			f.Containerd.said = lastWords(s.Err, f.Containerd.failed)
			f.Containerd.Running = slices.Contains(f.starts["containerd"], "running")
		case "docker":
			if f.Docker, err = readDocker(b); err != nil {
				return nil, fmt.Errorf("probe %s: docker info: %w", s.Name, err)
			}
		}
	}
	if f.Reached, err = readReached(s); err != nil {
		return nil, err
	}
	return f, nil
}

// The names under which containerd has known what pulls images: as a plugin of
// a configuration of version 1, 2, and 3 or later.
var criPlugins = []string{"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"}

// criPlugin is the one for a version.
func criPlugin(version int) string { return criPlugins[min(max(version, 1), 3)-1] }

func readContainerd(b block) *containerdFacts {
	c := &containerdFacts{failed: b.exit()}
	if c.failed != 0 {
		return c
	}
	doc, err := parseTOML(strings.Join(b.lines, "\n") + "\n")
	if err != nil {
		c.garbled = err
		return c
	}
	version, _ := doc["version"].(int64)
	c.Version = int(version)
	disabled, _ := doc["disabled_plugins"].([]any)
	for _, name := range append(criPlugins, "io.containerd.grpc.v1.cri") {
		c.NoCRI = c.NoCRI || slices.Contains(disabled, any(name))
	}
	registry := tomlTable(doc, "plugins", criPlugin(c.Version), "registry")
	c.ConfigPath, _ = registry["config_path"].(string)
	mirrors, _ := registry["mirrors"].(map[string]any)
	for name := range mirrors {
		c.Old = append(c.Old, "mirrors of "+name)
	}
	configs, _ := registry["configs"].(map[string]any)
	for name, config := range configs {
		if table, ok := config.(map[string]any); ok && len(tomlTable(table, "tls")) > 0 {
			c.Old = append(c.Old, "tls of "+name)
		}
	}
	slices.Sort(c.Old)
	// From this version on, nothing set means this, and a dump does not say so.
	if c.ConfigPath == "" && c.Version >= 4 && len(c.Old) == 0 {
		c.ConfigPath = containerdCerts + ":" + dockerCerts
	}
	return c
}

// lastWords are what a program said before it ended.
func lastWords(stderr string, exit int) string {
	stderr = strings.TrimSpace(stderr)
	if stderr == "" {
		return fmt.Sprintf("exit status %d", exit)
	}
	return clip(masked(stderr[strings.LastIndexByte(stderr, '\n')+1:]), 200)
}

// root is the folder with a folder for each registry.
func (c *containerdFacts) root() string {
	first, _, _ := strings.Cut(c.ConfigPath, ":")
	if !path.IsAbs(first) {
		return containerdCerts
	}
	return path.Clean(first)
}

func readDocker(b block) (*dockerFacts, error) {
	d := &dockerFacts{noTool: b.noted("no tool"), failed: b.exit()}
	if d.noTool || d.failed != 0 {
		return d, nil
	}
	type config struct {
		Mirrors      []string
		IndexConfigs map[string]struct{ Secure bool }
	}
	var answer struct {
		config
		RegistryConfig *config // where the whole of info was asked for
	}
	if err := json.Unmarshal([]byte(strings.Join(b.lines, "\n")), &answer); err != nil {
		return nil, err
	}
	c := answer.config
	if answer.RegistryConfig != nil {
		c = *answer.RegistryConfig
	}
	if c.IndexConfigs == nil {
		return nil, fmt.Errorf("it says nothing of registries")
	}
	for _, m := range c.Mirrors {
		d.Mirrors = append(d.Mirrors, strings.TrimSuffix(m, "/"))
	}
	for name, index := range c.IndexConfigs {
		if !index.Secure {
			d.Insecure = append(d.Insecure, name)
		}
	}
	slices.Sort(d.Insecure)
	return d, nil
}

func (f *registryFacts) has(runtime string) bool { return slices.Contains(f.Runtimes, runtime) }

// file is one that the probe looked at, or would have, had it been there.
func (f *registryFacts) file(path string) file {
	if has, ok := f.files[path]; ok {
		return has
	}
	return file{Path: path, Presence: Absent}
}

// started are the notes of how a runtime is started, those that begin with a word.
func (f *registryFacts) started(runtime, word string) []string {
	var found []string
	for _, n := range f.starts[runtime] {
		if rest, ok := strings.CutPrefix(n, word+" "); ok && !slices.Contains(found, rest) {
			found = append(found, rest)
		}
	}
	return found
}

// newerIn are the files below a folder that changed since the runtime that
// reads them was started.
func (f *registryFacts) newerIn(folder string) []string {
	return slices.DeleteFunc(slices.Clone(f.newer), func(name string) bool { return !strings.HasPrefix(name, folder+"/") })
}

// trusts reports whether a folder of which every .crt is trusted has these
// certificates, whoever put them there.
func (f *registryFacts) trusts(folder string, certs []certificate) bool {
	for _, c := range certs {
		if !slices.ContainsFunc(f.certificateFiles(folder), func(has file) bool { return strings.Contains(has.content, c.line()) }) {
			return false
		}
	}
	return true
}

func (f *registryFacts) certificateFiles(folder string) []file {
	var found []file
	for name, has := range f.files {
		if path.Dir(name) == folder && strings.HasSuffix(name, ".crt") {
			found = append(found, has)
		}
	}
	return found
}
