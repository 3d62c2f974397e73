package tasks

import (
	"reflect"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/remote"
)

// Files of other people's get one value, and lose it again, without another
// byte becoming another.
func TestTOMLSet(t *testing.T) {
	table := []string{"plugins", "io.containerd.grpc.v1.cri", "registry"}
	for name, c := range map[string]struct{ content, want string }{
		"empty":        {"", "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"no table":     {"version = 2\n", "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"unterminated": {"version = 2", "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"a table, in quotes of the other kind": {
			"# x\n  [plugins.'io.containerd.grpc.v1.cri'.registry] # here\n    [plugins.'io.containerd.grpc.v1.cri'.registry.headers]\n      a = ['b']\n",
			"# x\n  [plugins.'io.containerd.grpc.v1.cri'.registry] # here\n    config_path = \"/c\"\n    [plugins.'io.containerd.grpc.v1.cri'.registry.headers]\n      a = ['b']\n",
		},
		"a table at the end": {"[plugins.\"io.containerd.grpc.v1.cri\".registry]", "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"a value": {
			"[plugins.\"io.containerd.grpc.v1.cri\".registry]\r\n\tconfig_path   =  ''  # none\r\n",
			"[plugins.\"io.containerd.grpc.v1.cri\".registry]\r\n\tconfig_path   =  \"/c\"  # none\r\n",
		},
		"a table below":           {"[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n", "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"dotted":                  {"[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry.config_path = \"\"\n", ""},
		"inline":                  {"[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = {config_path = \"\"}\n", ""},
		"in a string that is not": {"x = '''\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"\"\n'''\n", "x = '''\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"\"\n'''\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/c\"\n"},
		"no TOML":                 {"[plugins", ""},
	} {
		e, err := tomlSet(c.content, table, "config_path", "/c")
		if (err != nil) != (c.want == "") || e.content != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, e.content, err, c.want)
			continue
		}
		if err != nil {
			continue
		}
		if back := strings.Replace(e.content, e.inserted, "", 1); !e.replaced && back != c.content {
			t.Errorf("%s: without what was put in it is %q, and was %q", name, back, c.content)
		}
		if again, err := tomlSet(e.content, table, "config_path", "/c"); err != nil || again.content != e.content {
			t.Errorf("%s: set twice it is %q, %v", name, again.content, err)
		}
	}
}

func TestJSONSet(t *testing.T) {
	list := []string{"https://a:5000"}
	for name, c := range map[string]struct{ content, want, without string }{
		"empty":        {"", "{\n  \"m\": [\"https://a:5000\"]\n}\n", "{}\n"},
		"an object":    {"{}", "{\n  \"m\": [\"https://a:5000\"]\n}", "{}"},
		"a line":       {`{"a": {"m": ["x"]}}`, `{"a": {"m": ["x"]}, "m": ["https://a:5000"]}`, `{"a": {"m": ["x"]}}`},
		"lines":        {"{\n\t\"a\" : 1.50,\n\t\"b\": \"\\\"}\" }", "{\n\t\"a\" : 1.50,\n\t\"b\": \"\\\"}\",\n\t\"m\": [\"https://a:5000\"] }", "{\n\t\"a\" : 1.50,\n\t\"b\": \"\\\"}\" }"},
		"in its place": {"{ \"m\": [\n    \"x\",\n    \"y\"\n  ], \"b\": 12345678901234567890 }", "{ \"m\": [\n    \"https://a:5000\"\n  ], \"b\": 12345678901234567890 }", "{ \"b\": 12345678901234567890 }"},
		"in between":   {`{"a": 1, "m": [], "b": 2}`, `{"a": 1, "m": ["https://a:5000"], "b": 2}`, `{"a": 1, "b": 2}`},
		"twice":        {`{"m": [], "m": ["x"]}`, "", ""},
		"a list":       {`["m"]`, "", ""},
		"two":          {`{} {}`, "", ""},
	} {
		got, err := jsonSet(c.content, "m", list)
		if (err != nil) != (c.want == "") || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
			continue
		}
		if err != nil {
			continue
		}
		if got, err = jsonSet(got, "m", nil); err != nil || got != c.without {
			t.Errorf("%s: taken out again it is %q, %v; want %q", name, got, err, c.without)
		}
	}
}

func FuzzTOMLSet(f *testing.F) {
	f.Add("version = 2\n[plugins.x.registry]\nconfig_path = ''\n")
	f.Add("[a]\nb.c = {d = 1}\n[[e]]\n")
	f.Fuzz(func(t *testing.T, content string) {
		table := []string{"plugins", "x", "registry"}
		e, err := tomlSet(content, table, "config_path", "/etc/c d")
		if err != nil {
			return
		}
		doc, err := parseTOML(e.content)
		if err != nil || tomlAt(doc, "plugins", "x", "registry", "config_path") != "/etc/c d" {
			t.Fatalf("it became %q, %v", e.content, err)
		}
		if !e.replaced && strings.Replace(e.content, e.inserted, "", 1) != content && !strings.Contains(content, e.inserted) {
			t.Fatalf("%q cannot be taken out of %q again", e.inserted, e.content)
		}
	})
}

func FuzzJSONSet(f *testing.F) {
	f.Add(`{"a": [1, "x"], "m": ["y"]}`)
	f.Add("{\n\t\"a\": {},\n\t\"b\": null\n}\n")
	f.Fuzz(func(t *testing.T, content string) {
		before, _ := parseJSON(content)
		with, err := jsonSet(content, "m", []string{"https://a:5000"})
		if err != nil {
			return
		}
		without, err := jsonSet(with, "m", nil)
		if err != nil {
			t.Fatalf("%q: %v", with, err)
		}
		after, err := parseJSON(without)
		delete(before, "m")
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q, %v", content, without, err)
		}
	})
}

// Whatever a host prints, and whatever its files hold, is read or refused, and
// what can be read can be planned.
func FuzzReadRegistry(f *testing.F) {
	h := everything()
	f.Add("@manager apt\n@file /var/lib/runai-prep/registry.ledger\n!absent\n@runtime containerd\n!running\n!program /usr/bin/containerd\n@file /etc/containerd/config.toml\n|version = 2\n@containerd\n|version = 2\n@end\n",
		`{"endpoint":"registry.example.com:5000","by":"x","barrier":"tls"}`)
	f.Add("@manager apt\n@file /var/lib/runai-prep/registry.ledger\n|element\t/etc/docker/daemon.json\tregistry-mirrors x\n@runtime docker\n@file /etc/docker/daemon.json\n|{}\n@docker\n|{\"IndexConfigs\":{}}\n@runtime podman\n@file /etc/containers/registries.conf\n|[[registry]]\n|location = 'a'\n@end\n", "")
	f.Fuzz(func(t *testing.T, out, reached string) {
		facts, err := Registry.Read(remote.Section{Name: "registry", Out: out, Reached: reached})
		if err != nil {
			return
		}
		for _, finding := range Registry.Plan(h, facts) {
			if finding.Have == "" || finding.Want == "" {
				t.Fatalf("a finding leaves something unsaid: %+v", finding)
			}
		}
		bare := h
		settings := *h.Settings
		settings.Registries = nil
		bare.Settings = &settings
		Registry.Plan(bare, facts)
	})
}

// What people write into registries.yaml is found where it stands, and nothing
// is found that does not stand there.
func TestReadYAML(t *testing.T) {
	got := readYAML("---\n# no\nmirrors:\n  docker.io:\n    endpoint:\n    - \"https://a:5000\" # first\n    - https://b\n    rewrite:\n      \"^x/(.*)\": \"y/$1\"\n  \"c:5000\":\n    endpoint: [\"https://c:5000\"]\n\nconfigs:\n  'a:5000':\n    auth: {username: me}\n    tls:\n      ca_file: /ca.pem\n      insecure_skip_verify: true\n  b:\n    tls:\n")
	want := map[string][]string{
		"mirrors/docker.io/endpoint":              {"https://a:5000", "https://b"},
		"mirrors/docker.io/rewrite/^x/(.*)":       {"y/$1"},
		"mirrors/c:5000/endpoint":                 {`["https://c:5000"]`},
		"configs/a:5000/auth":                     {"{username: me}"},
		"configs/a:5000/tls/ca_file":              {"/ca.pem"},
		"configs/a:5000/tls/insecure_skip_verify": {"true"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzReadYAML(f *testing.F) {
	f.Add("mirrors:\n  a:\n    endpoint:\n      - b\n")
	f.Add("- \n\"\n'a\n: b\n")
	f.Fuzz(func(_ *testing.T, content string) { readYAML(content) })
}
