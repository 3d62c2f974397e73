package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const (
	containerdConfig = "/etc/containerd/config.toml"
	containerdSocket = "/run/containerd/containerd.sock"
)

// containerdProgram says its version and its configuration; the service's own
// process is no program here.
func containerdProgram(p *process) int {
	set, args, unknown := options(p.args[1:], "-v --version", "-c --config")
	switch command := strings.Join(args, " "); {
	case unknown != "":
		return p.lacks(unknown)
	case isSet(set, "-v", "--version"):
		p.println("containerd github.com/containerd/containerd " + p.machine.containerdVersion())
	case command == "config default":
		p.print(dumpTOML(defaultContainerd()))
	case command == "config dump":
		return p.dumpContainerd(orElse(set["-c"]+set["--config"], containerdConfig))
	default:
		return p.lacks(command)
	}
	return 0
}

// containerdVersion is the upstream one and that of the package.
func (m *Machine) containerdVersion() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := ""
	for _, name := range []string{"containerd", "containerd.io"} {
		if has := m.packages[name]; has != nil {
			version = has.version
		}
	}
	upstream, _, _ := strings.Cut(version, "-")
	return upstream + " " + version
}

// dumpContainerd is config dump: the defaults, and over them a file of version 2
// that imports nothing.
func (p *process) dumpContainerd(file string) int {
	text, err := p.readFile(file)
	if err != nil {
		return p.lacks("config dump without " + file)
	}
	doc := map[string]any{}
	if err := toml.Unmarshal(text, &doc); err != nil {
		at := new(toml.DecodeError)
		if !errors.As(err, &at) {
			return p.fail(1, "failed to load TOML: %s: %s", file, err)
		}
		row, column := at.Position()
		return p.fail(1, "failed to load TOML: %s: (%d, %d): %s", file, row, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	if version, _ := doc["version"].(int64); version != 2 || doc["imports"] != nil {
		return p.lacks("config dump of another version than 2, or with imports")
	}
	config := defaultContainerd()
	overlay(config, doc)
	config["imports"] = []any{file}
	p.print(dumpTOML(config))
	return 0
}

// overlay lays a document over another, table by table.
func overlay(under, over map[string]any) {
	for name, value := range over {
		table, isTable := value.(map[string]any)
		below, wasTable := under[name].(map[string]any)
		if isTable && wasTable {
			overlay(below, table)
		} else {
			under[name] = value
		}
	}
}

// defaultContainerd is what containerd 1.6 and 1.7 print of themselves, as far as
// it is about images and registries.
func defaultContainerd() map[string]any {
	empty := func() map[string]any { return map[string]any{} }
	return map[string]any{
		"version": int64(2), "root": "/var/lib/containerd", "state": "/run/containerd", "temp": "", "plugin_dir": "", "oom_score": int64(0),
		"disabled_plugins": []any{}, "imports": []any{}, "required_plugins": []any{},
		"grpc": map[string]any{"address": containerdSocket, "gid": int64(0), "uid": int64(0)},
		"plugins": map[string]any{"io.containerd.grpc.v1.cri": map[string]any{
			"cni": map[string]any{"bin_dir": "/opt/cni/bin", "conf_dir": "/etc/cni/net.d"},
			"containerd": map[string]any{"default_runtime_name": "runc", "snapshotter": "overlayfs", "runtimes": map[string]any{
				"runc": map[string]any{"runtime_type": "io.containerd.runc.v2", "options": map[string]any{"BinaryName": "", "SystemdCgroup": false}},
			}},
			"registry": map[string]any{"config_path": "", "auths": empty(), "configs": empty(), "headers": empty(), "mirrors": empty()},
		}},
	}
}

// dumpTOML writes a document as containerd 1 does: sorted, values before tables,
// tables indented.
func dumpTOML(doc map[string]any) string {
	var b strings.Builder
	var write func(path []string, table map[string]any)
	write = func(path []string, table map[string]any) {
		indent := strings.Repeat("  ", len(path))
		names := slices.Sorted(maps.Keys(table))
		for _, name := range names {
			if _, isTable := table[name].(map[string]any); !isTable {
				fmt.Fprintf(&b, "%s%s = %s\n", indent, tomlKey(name), tomlValue(table[name]))
			}
		}
		for _, name := range names {
			if inner, isTable := table[name].(map[string]any); isTable {
				at := append(slices.Clone(path), tomlKey(name))
				fmt.Fprintf(&b, "\n%s[%s]\n", indent, strings.Join(at, "."))
				write(at, inner)
			}
		}
	}
	write(nil, doc)
	return b.String()
}

func tomlKey(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" && name != "" {
		return name
	}
	return strconv.Quote(name)
}

func tomlValue(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = tomlValue(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v)
}
