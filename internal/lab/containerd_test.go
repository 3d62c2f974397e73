package lab

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a practice host's containerd says of itself is what a real one, of which
// a task's case has the recording, says too.
func TestContainerdDefault(t *testing.T) {
	recorded, err := os.ReadFile(filepath.Join("..", "..", "tasks", "testdata", "registry", "containerd-no-config.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	probe := string(recorded[strings.Index(string(recorded), "\n-- probe --"):])
	_, said, _ := strings.Cut(probe[:strings.Index(probe, "\n@end")], "\n@containerd\n")
	real := map[string]bool{}
	for line := range strings.Lines(said) {
		real[strings.TrimPrefix(line, "|")] = true
	}
	m := start(t, Config{Hosts: 1, Fresh: true}).Hosts[0]
	out, exit := m.Run("containerd config default")
	if exit != 0 || !strings.Contains(out, `"io.containerd.grpc.v1.cri".registry]`) {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	for line := range strings.Lines(out) {
		if !real[line] {
			t.Errorf("containerd 1.6.20 does not say %q", line)
		}
	}
}

// A dump is the defaults and a file over them, the words of what cannot be read
// those of the real one.
func TestContainerdDump(t *testing.T) {
	m := start(t, Config{Hosts: 1, Fresh: true}).Hosts[0]
	for _, c := range []struct {
		config, want string
		exit         int
	}{
		{"version = 2\ndisabled_plugins = [\"cri\"]\n", `(?m)^disabled_plugins = \["cri"\]$`, 0},
		{"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://a\"]\n",
			`\n    \[plugins."io.containerd.grpc.v1.cri".registry\]\n      config_path = ""\n(?s:.*)registry.mirrors."docker.io"\]\n +endpoint = \["https://a"\]\n$`, 0},
		{"version = 2\n[plugins\n", `^containerd: failed to load TOML: /tmp/c.toml: \(2, \d+\): `, 1},
		{"version = 1\n", "the practice host knows no", 2},
	} {
		m.put("/tmp/c.toml", c.config)
		out, exit := m.Run("containerd --config /tmp/c.toml config dump")
		if exit != c.exit || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%q: exit %d\n%s", c.config, exit, out)
		}
	}
}
