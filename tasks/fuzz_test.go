package tasks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/runai-prep/runai-prep/remote"
)

// seeds are the outputs of all cases of a task.
func seeds(f *testing.F, task Task) { seedsOf(f, task, "probe", "after") }

// seedsOf are the parts of these names of all cases of a task.
func seedsOf(f *testing.F, task Task, names ...string) {
	paths, err := filepath.Glob(filepath.Join("testdata", task.Name, "*.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if slices.Contains(names, part.Name) {
				f.Add(string(part.Data))
			}
		}
	}
}

// fuzzTask holds a task to this: whatever a host prints, Read errs or gives
// facts, Plan keeps to the vocabulary, and a file of somebody else loses no
// line that is not about us.
func fuzzTask(f *testing.F, task Task) {
	seeds(f, task)
	h := everything()
	f.Fuzz(func(t *testing.T, out string) {
		facts, err := task.Read(remote.Section{Name: task.Name, Out: out})
		if err != nil {
			return
		}
		found := task.Plan(h, facts)
		for _, finding := range found {
			if finding.Subject == "" || finding.State == "" || finding.Why == "" {
				t.Errorf("a finding leaves something unsaid: %+v", finding)
			}
			comes := strings.HasPrefix(finding.Hint, "comes with ")
			if finding.State == Pending && len(finding.Steps) == 0 && !comes || finding.State != Pending && len(finding.Steps) > 0 {
				t.Errorf("%s is %s with %d steps", finding.Subject, finding.State, len(finding.Steps))
			}
		}
	})
}

func FuzzResources(f *testing.F) { fuzzTask(f, Resources) }
func FuzzProxy(f *testing.F)     { fuzzTask(f, Proxy) }
func FuzzSquid(f *testing.F)     { fuzzTask(f, Squid) }
func FuzzNFS(f *testing.F)       { fuzzTask(f, NFS) }
func FuzzDriver(f *testing.F)    { fuzzTask(f, Driver) }

func FuzzKubernetes(f *testing.F) { fuzzTask(f, Kubernetes) }

func FuzzMountInfo(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue")
	f.Add(`40 35 0:45 / /mnt/with\040blank rw shared:1 - nfs4 [fd00::1]:/e rw,vers=4.2,addr=fd00::1`)
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parseMountInfo(line)
		if err == nil && (!strings.HasPrefix(m.Path, "/") || m.Type == "" && !strings.Contains(line, " -  ")) {
			t.Errorf("%q became %+v", line, m)
		}
		visible([]mountInfo{m, m}, m.Path)
	})
}

// Whatever stands in fstab: with our line in and out again it is as it was,
// but for the newline that a last line may have lacked.
func FuzzFstab(f *testing.F) {
	if old, err := os.ReadFile("/etc/fstab"); err == nil {
		f.Add(string(old))
	}
	f.Add("# x\n/dev/sda1 / ext4 defaults 0 1\r\n\t nas:/a /b nfs\tro\nlast")
	f.Add("nas:/export /mnt/data nfs _netdev,nofail 0 0")
	const line = "nas:/export /mnt/ours nfs _netdev,nofail 0 0"
	f.Fuzz(func(t *testing.T, content string) {
		parseFstab(content)
		if hasLine(content, line) {
			return
		}
		with := replaceLines(content, nil, line)
		if !hasLine(with, line) {
			t.Errorf("the line is not there: %q", with)
		}
		without := withoutLines(with, func(l string) bool { return l == line })
		if without != content && without != content+"\n" {
			t.Errorf("%q became %q", content, without)
		}
		for _, e := range parseFstab(content) {
			replaced := replaceLines(content, []string{e.line}, line)
			if got, want := len(splitLines(replaced)), len(splitLines(content)); got > want {
				t.Errorf("replacing %q added lines: %q", e.line, replaced)
			}
		}
	})
}

func FuzzUnits(f *testing.F) {
	f.Add("Environment=A=b \"C=d e\" $'F=g'\nId=containerd.service\nLoadState=loaded\nActiveState=active\n\nId=x.service\nLoadState=masked\nActiveState=inactive")
	f.Fuzz(func(t *testing.T, text string) {
		units, err := parseUnits(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		for _, u := range units {
			if u.Name == "" || u.Load == "" || u.Active == "" {
				t.Errorf("%q became %+v", text, u)
			}
		}
	})
}

func FuzzOSRelease(f *testing.F) {
	f.Add("NAME=\"Rocky Linux\"\nID='rocky'\n# x\nVERSION_ID=\"9.4\"\nPRETTY_NAME=a\\ b")
	f.Fuzz(func(t *testing.T, text string) { parseOSRelease(text) })
}

func FuzzAmounts(f *testing.F) {
	f.Add("24683620 kB")
	f.Add("0-3,8,10-11")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseKiB(text); err == nil && n <= 0 {
			t.Errorf("%q is %d bytes", text, n)
		}
		if n, err := parseCPUList(text); err == nil && (n <= 0 || n > maxCPUs) {
			t.Errorf("%q is %d CPUs", text, n)
		}
	})
}

// Whatever stands in a file of lines: set makes it assign what is wanted, once
// more changes nothing, and every line that assigns something else stays.
func FuzzLines(f *testing.F) {
	f.Add("PATH=\"/bin\"\r\n# http_proxy=x\nexport http_proxy='http://old'\nhttp_proxy=b\nlast")
	f.Add("[main]\ngpgcheck=1\n\n[other]\nproxy=x\n")
	want := []assignment{{"http_proxy", "http://proxy:3128"}, {"proxy", "http://proxy:3128"}}
	f.Fuzz(func(t *testing.T, content string) {
		for name, syntax := range map[string]lineSyntax{
			"environment": environmentSyntax, "sysconfig": sysconfigSyntax, "dnf": dnfSyntax, "curlrc": curlrcSyntax,
		} {
			once := syntax.set(content, want)
			if twice := syntax.set(once, want); twice != once {
				t.Errorf("%s: %q became %q and then %q", name, content, once, twice)
			}
			for _, line := range splitLines(content) {
				line = strings.TrimSuffix(line, "\n")
				a, ok := syntax.parse(line)
				if (!ok || a.name != "http_proxy" && a.name != "proxy") && !hasLine(once, line) {
					t.Errorf("%s: %q lost its line %q: %q", name, content, line, once)
				}
			}
		}
	})
}

// Whatever kubectl prints becomes facts that are read again as they were, short
// enough for a finding and without what a terminal obeys, and never a node of
// which nothing is known that is taken for a ready one.
func FuzzCluster(f *testing.F) {
	seedsOf(f, Kubernetes, "probe.nodes", "probe.version", "probe.clusterversion")
	h := everything()
	k := *h.Kubernetes
	k.Context = "prod"
	h.Settings.Kubernetes = &k
	f.Fuzz(func(t *testing.T, text string) {
		var c Cluster
		c.ReadNodes([]byte(text), nil)
		c.ReadVersion([]byte(text), nil)
		c.ReadClusterVersion([]byte(text))
		facts, err := readOfHost(c.OfHost(h, remote.Section{Name: "kubernetes", Out: "@hostname gpu-01\n@end\n"}))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		p := &kubernetesPlan{h: h, f: &kubernetesFacts{Cluster: facts}, k: k, why: k.Why}
		for _, found := range p.node() {
			if strings.ContainsAny(found.Have, "\x1b\u202e\x00") || len(found.Have) > 2000 && len(facts.Nodes) == 1 {
				t.Errorf("%q", found.Have)
			}
			if found.Subject == "node" && found.State == OK && found.Have != "not joined yet" && facts.Nodes[0].Ready != "True" {
				t.Errorf("ok of %+v", facts.Nodes)
			}
		}
	})
}

func FuzzLedger(f *testing.F) {
	f.Add(ledgerHead + "file\t/etc/x\tabc\nsecret\t/etc/y\t\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseLedger(text)
		if err != nil {
			return
		}
		l := ledger{task: "proxy"}
		if step := l.write(entries); step.Write != nil {
			again, err := parseLedger(step.Write.Data)
			if err != nil || len(again) != len(entries) {
				t.Errorf("%q became %q: %v", text, step.Write.Data, err)
			}
		}
	})
}
