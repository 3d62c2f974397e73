package tasks

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy:3128":                        "http://proxy:3128",
		"http://u:p@proxy:3128/":                   "http://(sensitive)@proxy:3128/",
		"http_proxy=user:pw@old:3128":              "http_proxy=(sensitive)@old:3128",
		`export http_proxy="us:er:p@w@old:3128" x`: `export http_proxy="(sensitive)@old:3128" x`,
		"http_proxy=user:p'w,=@old:3128":           "http_proxy=(sensitive)@old:3128",
		"a:b@h,http://c:d@i":                       "(sensitive)@i",
		"nas:/export@2 and ops@example.com":        "nas:/export@2 and ops@example.com",
		"localhost,::1,10.0.0.0/8":                 "localhost,::1,10.0.0.0/8",
		"getty@tty1.service: started":              "getty@tty1.service: started",
	} {
		got := masked(text)
		if got != want || masked(got) != got {
			t.Errorf("%s became %s, and that %s; want %s", text, got, masked(got), want)
		}
	}
	for value, want := range map[string]string{
		"http://u:p w@old:3128": "http://(sensitive)@old:3128",
		"token@old:3128":        "(sensitive)@old:3128",
		`u:p"w'@old`:            "(sensitive)@old",
		"http://old:3128":       "http://old:3128",
	} {
		if got := maskedAddress(value); got != want {
			t.Errorf("%s became %s, want %s", value, got, want)
		}
	}
}

// In the cases of this task every secret, whoever's it is, has hunter2 in it.
// None is in the facts, nor in anything of a plan but secret contents. What is
// ours alone is not kept when it is replaced; what is not, is.
func TestProxyShowsNoSecrets(t *testing.T) {
	paths, _ := filepath.Glob("testdata/proxy/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parts := make(map[string]string)
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
		}
		facts, err := Proxy.Read(remote.Section{Name: "proxy", Out: parts["probe"]})
		if err != nil {
			continue // TestCases knows whether that is as it should be
		}
		all, err := json.Marshal(facts)
		if err != nil {
			t.Fatal(err)
		}
		shown := string(all)
		for _, f := range Proxy.Plan(loadHost(t, parts["inventory.hcl"]), facts) {
			shown += f.Have + f.Want + f.Hint
			for _, s := range f.Steps {
				shown += s.Title
				where, ours := "", false
				switch {
				case s.Run != nil:
					shown += s.Run.Script
				case s.Write != nil:
					shown += s.Write.Data + s.Write.Verify
					if s.Write.Old != nil {
						shown += *s.Write.Old
					}
					where, ours = s.Write.Path, s.Write.Ours
				case s.Remove != nil:
					if s.Remove.Old != nil {
						shown += *s.Remove.Old
					}
					where, ours = s.Remove.Path, s.Remove.Ours
				}
				has := facts.(*proxyFacts).files[where]
				changed := has.Presence == Present && strings.Contains(has.content, "by hand")
				if where != "" && ours != (strings.Contains(where, "runai-prep") && !changed || s.Remove != nil) {
					t.Errorf("%s: %s: ours is %v", path, s.Title, ours)
				}
			}
		}
		if strings.Contains(shown, "hunter2") {
			t.Errorf("%s: a secret is shown:\n%s", path, shown)
		}
	}
}

// A host with docker, made of a folder and a systemctl that says what it should:
// every shell sees the process, the times, and the drop-in of a runtime that is
// not there any more.
func TestProbeOfUnits(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	away, own := "/etc/systemd/system/crio.service.d/"+dropInName, "/etc/systemd/system/docker.service.d/"+dropInName
	write(away, "[Service]\n")
	write(own, "[Service]\nEnvironment=A=b\n")
	write("/etc/systemd/system/docker.service.d/zz last.conf", "[Service]\nEnvironment=A=b\n")
	write("/usr/lib/systemd/system/docker.service", "[Service]\n")
	write("/run/systemd/system/.keep", "")
	write("/bin/systemctl", "#!/bin/sh\necho 'MainPID="+strconv.Itoa(os.Getpid())+"\nEnvironment=\nId=docker.service\nLoadState=loaded\nActiveState=active\nNeedDaemonReload=no'\n[ \"$TZ\" != UTC ] || echo 'ExecMainStartTimestamp=Tue 2026-11-24 12:32:42 UTC'\n")
	pem, err := os.ReadFile("../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	h := everything()
	h.Proxy.CACertificates = []string{string(pem)}
	certificate := trustStores["debian"].path(splitCertificates(h.Proxy.CACertificates)[0])
	write(certificate, string(pem))
	task := Task{Name: "proxy", Probe: func(inventory.Host) string {
		script := "PATH=" + root + "/bin:$PATH\nhasUnit() { [ -e /usr/lib/systemd/system/$1.service ]; }\n" + Proxy.Probe(h)
		for _, folder := range []string{"/etc/systemd/system", "/run/systemd", "/usr/lib/systemd/system", trustStores["debian"].folder} {
			script = strings.ReplaceAll(script, folder, root+folder)
		}
		return strings.ReplaceAll(script, "dir in /etc /run", "dir in "+root+"/etc /run/nothing "+root+"/usr/lib /run/nothing")
	}}
	for _, shell := range append(testShells, []string{"mvdan"}) {
		if _, err := exec.LookPath(shell[0]); err != nil && shell[0] != "mvdan" {
			continue
		}
		s := run(t, shell, task, h)
		s.Out = strings.ReplaceAll(s.Out, root, "")
		facts, err := Proxy.Read(s)
		if err != nil || s.Err != "" {
			t.Errorf("%v: %v\n%s\n%s", shell, err, s.Out, s.Err)
			continue
		}
		f := facts.(*proxyFacts)
		if f.files[away].content != "[Service]\n" || f.files[own].content == "" {
			t.Errorf("%v: a drop-in was not seen:\n%s", shell, s.Out)
		}
		if u := f.unit("docker"); u == nil || u.process != Present || u.began.Unix() != 1795523562 {
			t.Errorf("%v: the process was not seen:\n%s", shell, s.Out)
		}
		if age := time.Now().Unix() - f.written[ownProcess]; age < -60 || age > 600 || f.uptime == 0 {
			t.Errorf("%v: the host's clock is %d s behind, and it is up for %d s:\n%s", shell, age, f.uptime, s.Out)
		}
		for _, name := range []string{away, own, certificate, "/etc/systemd/system/docker.service.d/zz last.conf"} {
			if f.written[name] == 0 {
				t.Errorf("%v: %s has no time:\n%s", shell, name, s.Out)
			}
		}
		if f.rootless != (os.Geteuid() != 0) {
			t.Errorf("%v: rootless is %v:\n%s", shell, f.rootless, s.Out)
		}
	}
}

// apt does not know networks and domains, so the mirrors that lie in one are
// named to it; those that do not go through the proxy as anything does.
func TestMirrorsGoStraight(t *testing.T) {
	h := loadHost(t, `proxy {
  http_proxy = "http://proxy.example.com:3128"
  no_proxy   = [".corp.example", "10.0.0.0/8"]
}
nvidia_driver {
  source         = "cuda-repo"
  repository     = "http://mirror.corp.example:8081/cuda/debian12/x86_64"
}
container_toolkit { repository = "http://10.1.2.3/libnvidia-container" }
host "localhost" { role = "gpu" }
`)
	conf := wishOf(h).aptConf()
	for _, want := range []string{`Acquire::http::Proxy::mirror.corp.example "DIRECT";`, `Acquire::http::Proxy::10.1.2.3 "DIRECT";`} {
		if strings.Count(conf, want) != 1 {
			t.Errorf("want one %s in\n%s", want, conf)
		}
	}
	for _, c := range []struct{ manager, repository, want string }{
		{"dnf", h.Driver.Repository, "proxy=_none_\n"}, {"yum", h.Toolkit.Repository, "proxy=_none_\n"},
		{"zypper", h.Toolkit.Repository, ""}, {"dnf", toolkitRepository, ""},
	} {
		if got := pastProxy(h, c.manager, c.repository); got != c.want {
			t.Errorf("%s goes to %s with %q, want %q", c.manager, c.repository, got, c.want)
		}
	}
	h.Driver.Repository, h.Toolkit = "http://mirror.example.org/cuda", nil
	if conf := wishOf(h).aptConf(); strings.Contains(conf, "mirror.example.org") || strings.Contains(conf, "10.1.2.3") {
		t.Errorf("outside of no_proxy, and straight:\n%s", conf)
	}
}
