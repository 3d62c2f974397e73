package recording

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// said is a connection to a host that says what it is to say.
type said struct {
	fleet.Conn
	sections []remote.Section
}

func (s said) Address() string { return "10.1.2.3:22" }
func (s said) Look(context.Context, string, []remote.Probe) ([]remote.Section, error) {
	return s.sections, nil
}

func hostOf(name string) inventory.Host {
	return inventory.Host{Name: name, Address: "10.1.2.3", Settings: &inventory.Settings{
		SSH:    inventory.SSH{User: "ops", Password: secret.New("k4n4rie v0gel&")},
		Mounts: []inventory.Mount{{Server: "nas.corp.example", Path: "/mnt/data"}},
	}}
}

var probes = []remote.Probe{{Name: "nfs", Script: "look"}, {Name: "proxy", Script: "look"}}

// record writes a recording of one host and returns its folder.
func record(t *testing.T, sections []remote.Section, mask ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rec")
	h := hostOf("gpu-01")
	r, err := Create(dir, About{Inventory: "/home/alice/inventory.hcl"}, []inventory.Host{h}, mask)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := r.Over(func(context.Context, inventory.Host) (fleet.Conn, error) { return said{sections: sections}, nil })(t.Context(), h)
	if _, err := c.Look(t.Context(), "", probes); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close([]*fleet.Visit{{Host: h}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func replay(t *testing.T, dir string) ([]remote.Section, error) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		return nil, err
	}
	h := hostOf("gpu-01")
	r.Against([]inventory.Host{h})
	c, err := r.Connect(t.Context(), h)
	if err != nil {
		return nil, err
	}
	return c.Look(t.Context(), "", probes)
}

func text(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "hosts", "gpu-01.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What was printed comes back to the byte, whatever it was, and a file of it can
// be looked at in a terminal.
func TestWhatWasSaidComesBack(t *testing.T) {
	sections := []remote.Section{
		{Name: "nfs", Out: "@file /etc/fstab\n|\n|a\tb\n\n", Err: "sh: 1: x\u202e\u009b: not found\n", Cluster: "{\"version\":\"1.28.9\"}\n", Clock: time.Date(2026, 3, 1, 6, 0, 0, 12345, time.UTC)},
		{Name: "proxy", Failure: "no answer within 10s", Exit: -1},
	}
	dir := record(t, sections)
	got, err := replay(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sections, got); diff != "" {
		t.Error(diff)
	}
	if s := text(t, dir); strings.ContainsAny(s, "\u202e\u009b\t") {
		t.Errorf("it holds what a terminal obeys: %q", s)
	}
	for path, mode := range map[string]os.FileMode{"": 0o700, "hosts": 0o700, "record.json": 0o600, "hosts/gpu-01.json": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", path, info.Mode(), err)
		}
	}
	left, _ := os.ReadDir(filepath.Dir(dir))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// Secrets are never written, in no form; what else is masked is masked alike,
// and the table takes the masks off.
func TestMasks(t *testing.T) {
	out := strings.Join([]string{
		"|Acquire::http::Proxy \"http://ops:k4n4rie%20v0gel%26@10.1.2.3:3128\";",
		"|k4n4rie v0gel& and azRuNHJpZSB2MGdlbCY= and http://bob:hunter2@old:3128",
		"|NAS.corp.example:/export 10.1.2.3 10.1.2.30 10.1.2.3:22 fe80::1 aa:bb:cc:dd:ee:ff gpu-01.corp",
		"|nfs-common 1:2.6.2-4 1.2.3.4+5 1.2.3.4.5 12:34:56 127.0.0.1 ::1",
		"|6ba7b810-9dad-11d1-80b4-00c04fd430c8 0123456789abcdef0123456789abcdef",
	}, "\n")
	cluster := `{"nodes":[{"name":"gpu-01","message":"10.1.2.3 k4n4rie v0gel&"}]}`
	dir := record(t, []remote.Section{{Name: "nfs", Out: out, Cluster: cluster}}, Addresses, Names, Serials)
	masked, err := os.ReadFile(filepath.Join(dir, "hosts", "host-0001.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"k4n4rie", "azRu", "hunter2", "nas.corp", "NAS", "10.1.2.3", "fe80", "aa:bb", "gpu-01", "6ba7b810", "0123456789abcdef"} {
		if strings.Contains(string(masked), bad) {
			t.Errorf("%s is in the recording:\n%s", bad, masked)
		}
	}
	for _, kept := range []string{"2.6.2-4", "1.2.3.4+5", "1.2.3.4.5", "12:34:56", "127.0.0.1", "::1", `"198.18.0.1:22"`} {
		if !strings.Contains(string(masked), kept) {
			t.Errorf("%s is not in the recording:\n%s", kept, masked)
		}
	}
	got, err := replay(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, back := range []string{"10.1.2.3 10.1.2.30 10.1.2.3:22 fe80::1 aa:bb:cc:dd:ee:ff gpu-01.corp", "6ba7b810-9dad-11d1-80b4-00c04fd430c8 0123456789abcdef0123456789abcdef"} {
		if !strings.Contains(got[0].Out, back) {
			t.Errorf("%s does not come back:\n%s", back, got[0].Out)
		}
	}
	if !strings.Contains(got[0].Cluster, `"name":"gpu-01","message":"10.1.2.3 `) {
		t.Errorf("what the cluster said does not come back: %s", got[0].Cluster)
	}
	if strings.Contains(got[0].Out+got[0].Cluster, "k4n4rie") {
		t.Error("a secret comes back")
	}
}

// Of all that says whose hosts these are nothing is in the folder: what hosts
// tell, and what was told after a host's file was written. What agreed before
// agrees after; and with the table it is as it was.
func TestMaskedTellsNothing(t *testing.T) {
	const reached = `{"endpoint":"reg-3.zeta.lan:5000","by":"the SSH connection","image":{"name":"reg-3.zeta.lan:5000/team/model:1","at":"reg-3.zeta.lan:5000","digest":"sha256:0b","env":{"NVIDIA_REQUIRE_CUDA":"cuda>=12.1"}}}` + "\n" + `{"endpoint":"quay.io:443","through":"px.acme.test:3128","by":"the SSH connection","barrier":"not trusted","said":"x509: certificate is valid for box-7.acme.test, not quay.io; Acme Inspection CA 3, Via: 1.1 edge-9 (squid)","issuer":"Acme Inspection CA 3"}` + "\n"
	sections := map[string][]remote.Section{
		"gpu-01": {
			{Name: "work", Out: "lock 7f 1 \n20260301T060000Z-a1b2c3\nalice@jump-4.acme.test\n"},
			{Name: "nfs", Reached: reached, Err: "cat: /home/alice/.netrc: Permission denied\n", Out: strings.Join([]string{
				"@hostname late-01",
				"@machine-id 0123456789abcdef0123456789abcdef",
				"@uuid 4C4C4544-0042-3510-8051-C4C04F4D4B32",
				"@uuid 4c4c4544-0042-3510-8051-c4c04f4d4b32",
				"|filer:/export /mnt/old nfs defaults 0 0",
				"|//winfiles-2/share /mnt/win cifs x-of=/home/bob/.smb 0 0",
				"|/dev/disk/by-id/nvme-ACME_S64FNE0R /data ext4 defaults 0 1",
				"|NO_PROXY=localhost,.svc,.acme.test,store.zeta.lan,10.9.8.7",
				"|HTTPS_PROXY=http://px.acme.test:3128",
				"|deb https://mirror.customer-x.com/debian bookworm main",
				"|deb https://deb.debian.org/debian bookworm main",
				"|HWaddr AA:BB:CC:00:11:22 and aa:bb:cc:00:11:22",
				"@process 4711 carol python3",
			}, "\n")},
			{Name: "proxy", Out: "@canvas filers"}, // words that have a name in them
		},
		"gpu-02": {{Name: "nfs", Out: "|late-02.acme.test: see late-01\n|0123456789abcdef0123456789abcdef\n"}, {Name: "proxy", Out: "@hostname gpu-02\n", Cluster: "{\"nodes\":[{\"name\":\"node-a.zeta.lan\",\"by\":\"address\"}]}\n"}},
	}
	hosts := []inventory.Host{hostOf("gpu-02"), hostOf("gpu-01"), hostOf("gpu-03")}
	dir := filepath.Join(t.TempDir(), "rec")
	r, err := Create(dir, About{Inventory: "/home/alice/inventory.hcl"}, hosts, []string{Addresses, Names, Serials})
	if err != nil {
		t.Fatal(err)
	}
	var visits []*fleet.Visit
	for _, h := range hosts { // gpu-02 first: it speaks of late-01 before that does
		v := &fleet.Visit{Host: h}
		if s := sections[h.Name]; s != nil {
			c, _ := r.Over(func(context.Context, inventory.Host) (fleet.Conn, error) { return said{sections: s}, nil })(t.Context(), h)
			if _, err := c.Look(t.Context(), "", probes); err != nil {
				t.Fatal(err)
			}
		} else {
			v.Err = errors.New("the host presents SHA256:zN+eXzwlqyTn3Fh6FnUw5gXfQoPfMmkjLrmnNKkRE4M (/home/alice/.ssh/known_hosts:9), lookup gpu-03.acme.test: no such host")
		}
		visits = append(visits, v)
	}
	if _, err := r.Close(visits); err != nil {
		t.Fatal(err)
	}
	originals := []string{
		"acme", "gpu-0", "late-", "px.", "box-7", "edge-9", "jump-4", "filer:", "winfiles", "zeta", "store.", "mirror.", "customer", "node-a", "reg-3", "nas.corp",
		"alice", "bob", "carol", "0123456789abcdef", "4c4c4544", "s64fne0r", "aa:bb:cc", "10.9.8.7", "10.1.2.3", "zn+exzwl",
	}
	whole := ""
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		whole += path[len(dir):] + "\n" + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range originals {
		if strings.Contains(strings.ToLower(whole), bad) {
			t.Errorf("%s is in the recording", bad)
		}
	}
	for _, kept := range []string{"quay.io:443", "deb.debian.org", "@canvas filers", "localhost,.svc,.domain-", `"by\":\"the SSH connection`} {
		if !strings.Contains(whole, kept) {
			t.Errorf("%s is not in the recording any more", kept)
		}
	}
	if t.Failed() {
		t.Log(whole)
	}

	mask := func(value string) string {
		m := r.masks.of[value]
		if n := strings.Count(whole, m); m == "" || n == 0 {
			t.Errorf("%s has the mask %q, which is there %d times", value, m, n)
		}
		return m
	}
	if host, domain := mask("px.acme.test"), mask("acme.test"); !strings.HasSuffix(host, "."+domain) {
		t.Errorf("px.acme.test is in acme.test, and %s not in %s", host, domain)
	}
	if a, b := mask("4C4C4544-0042-3510-8051-C4C04F4D4B32"), mask("4c4c4544-0042-3510-8051-c4c04f4d4b32"); a == b || !strings.EqualFold(a, b) {
		t.Errorf("one UUID in two cases has the masks %s and %s", a, b)
	}
	if n := strings.Count(whole, mask("0123456789abcdef0123456789abcdef")); n != 2 {
		t.Errorf("the machine-id of two hosts is there %d times", n)
	}

	back, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	back.Against(hosts)
	for _, h := range hosts[:2] {
		c, err := back.Connect(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		var asked []remote.Probe
		for _, s := range sections[h.Name] {
			asked = append(asked, remote.Probe{Name: s.Name, Script: "look"})
		}
		got, err := c.Look(t.Context(), "", asked)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Reached = sections[h.Name][i].Reached // it is of other endpoints than are asked for now
		}
		if diff := cmp.Diff(sections[h.Name], got); diff != "" {
			t.Errorf("%s comes back otherwise:\n%s", h.Name, diff)
		}
	}
}

// What built-in profiles ask for, and where registries send on to, is everybody's
// and stays; what a site has below one of these names is its own.
func TestBuiltInEndpointsStay(t *testing.T) {
	m := newMasks([]string{Names}, []inventory.Host{{Name: "gpu-01", Settings: &inventory.Settings{Egress: []inventory.Endpoint{{Host: "storage.googleapis.com", Port: 443}, {Host: "*.pkg.dev", Port: 443}}}}})
	endpoints := inventory.BuiltInEndpoints()
	for _, host := range append(endpoints, "us-docker.pkg.dev", "pkg.dev") {
		said := "https://" + strings.TrimPrefix(host, "*.") + "/v2/"
		m.learn(section{Out: []string{said}, Reached: []string{`{"endpoint":"` + strings.TrimPrefix(host, "*.") + `:443"}`}})
		if got := m.text(said); got != said {
			t.Errorf("%s becomes %s", said, got)
		}
	}
	for _, host := range []string{"storage.googleapis.com", "*.pkg.dev", "quay.io", "pkg-containers.githubusercontent.com", "app.run.ai"} {
		if !slices.Contains(endpoints, host) {
			t.Errorf("%s is none of them", host)
		}
	}
	own := "https://acme-data.storage.googleapis.com/ https://pkg.dev.acme.test/"
	m.learnPlainly(own)
	if got := m.text(own); strings.Contains(got, "acme") {
		t.Errorf("%s becomes %s", own, got)
	}
}

// What no recorder has written is refused, and said to be.
func TestHostileRecordings(t *testing.T) {
	sections := []remote.Section{{Name: "nfs", Out: "@end\n"}, {Name: "proxy", Out: "@end\n"}}
	rewrite := func(file, old, new string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(b), old) {
				t.Fatalf("%v: %s", err, b)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// resum makes the sum right again: whoever changes one file can change both.
	resum := func(change func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			before := sum([]byte(text(t, dir)))
			change(t, dir)
			rewrite("record.json", before, sum([]byte(text(t, dir))))(t, dir)
		}
	}
	link := func(t *testing.T, dir string) {
		path := filepath.Join(dir, "hosts", "gpu-01.json")
		outside := filepath.Join(t.TempDir(), "x")
		if err := os.Rename(path, outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, path); err != nil {
			t.Fatal(err)
		}
	}
	const file = "hosts/gpu-01.json"
	for name, c := range map[string]struct {
		change func(*testing.T, string)
		want   string
	}{
		"a section changed":     {rewrite(file, "@end", "@ned"), "its sum is not the one"},
		"another host's":        {resum(rewrite(file, `"name": "gpu-01"`, `"name": "gpu-02"`)), `it is of a host "gpu-02"`},
		"a section twice":       {resum(rewrite(file, `"name": "proxy"`, `"name": "nfs"`)), `"nfs" is there twice`},
		"an impossible exit":    {resum(rewrite(file, `"exit": 0`, `"exit": 70000`)), "exit status 70000"},
		"a number for a text":   {resum(rewrite(file, `"name": "proxy"`, `"name": 7`)), "cannot unmarshal number"},
		"another schema":        {resum(rewrite(file, Schema, "runai-prep.recording/9")), "this program reads"},
		"more after it":         {resum(rewrite(file, "\n}\n", "\n}\n{}")), "there is more after the document"},
		"truncated":             {resum(func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, file)) }), "it ends in the middle"},
		"the table truncated":   {func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "record.json")) }, "it ends in the middle"},
		"a huge section":        {resum(rewrite(file, "@end", strings.Repeat("x", maxSection+1))), "larger than any that is recorded"},
		"a link that leads out": {link, "escapes from parent"},
		"a path for a name":     {rewrite("record.json", `"name": "gpu-01"`, `"name": "../gpu-01"`), `"../gpu-01" is no name of a host`},
		"terminal codes":        {rewrite("record.json", Schema, `\u001b[2J`), `its schema is "\\x1b[2J"`},
		"a host twice":          {rewrite("record.json", `"hosts": [`, `"hosts": [ {"name": "gpu-01"},`), `"gpu-01" is there twice`},
		"no such file": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := record(t, sections)
			c.change(t, dir)
			_, err := replay(t, dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A recording that was not completed leaves what was there.
func TestHalfARecordingIsNone(t *testing.T) {
	dir := record(t, []remote.Section{{Name: "nfs", Out: "@end\n"}})
	before := text(t, dir)
	r, err := Create(dir, About{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Abort()
	if text(t, dir) != before {
		t.Error("it was touched")
	}
	left, _ := os.ReadDir(filepath.Dir(dir))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A recording takes the place of a former one as a whole: nothing of that is left,
// neither its hosts nor the table of its masks.
func TestReplacedWhole(t *testing.T) {
	dir := record(t, []remote.Section{{Name: "nfs", Out: "old\n"}, {Name: "proxy"}}, Names)
	if _, err := os.Stat(tableOf(dir)); err != nil {
		t.Fatal(err)
	}
	h := hostOf("gpu-02")
	r, err := Create(dir, About{RunID: "second"}, []inventory.Host{h}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := r.Over(func(context.Context, inventory.Host) (fleet.Conn, error) {
		return said{sections: []remote.Section{{Name: "nfs", Out: "new\n"}}}, nil
	})(t.Context(), h)
	if _, err := c.Look(t.Context(), "", probes); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close([]*fleet.Visit{{Host: h}}); err != nil {
		t.Fatal(err)
	}
	var left []string
	err = filepath.WalkDir(filepath.Dir(dir), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if diff := cmp.Diff([]string{"/hosts/gpu-02.json", "/record.json"}, left); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzHostFile(f *testing.F) {
	f.Add([]byte(`{"schema":"` + Schema + `","name":"gpu-01","address":"10.0.0.1:22","sections":[{"name":"nfs","out":["@end",""],"exit":0}]}`))
	f.Add([]byte(`{"schema":"` + Schema + `","name":"gpu-01","error":"connect: no answer","hint":"x"}`))
	f.Add([]byte(`{"sections":[{},{"Section":{"name":"x"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Recording{masks: newMasks(nil, nil), other: map[string][]string{}}
		var h host
		if r.parse("x", "gpu-01", b, &h) != nil {
			return
		}
		c := &replayed{r, "gpu-01", h}
		sections, err := c.Look(t.Context(), "", probes)
		if err == nil && len(sections) != len(probes) {
			t.Errorf("%d sections for %d probes", len(sections), len(probes))
		}
		for _, s := range sections {
			if s.Failure == "" && len(s.Out) > maxSection {
				t.Error("a section beyond all bounds")
			}
		}
	})
}

func FuzzAbout(f *testing.F) {
	f.Add([]byte(`{"schema":"` + Schema + `","hosts":[{"name":"gpu-01","sha256":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, aboutFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			return
		}
		for name := range r.sums {
			if strings.ContainsAny(name, "/\\\x00") || strings.Contains(name, "..") && filepath.Clean(name) != name {
				t.Errorf("a name that leads elsewhere: %q", name)
			}
		}
	})
}

// A secret that is an ordinary word, or stands within a longer one, may be meant
// otherwise where a host prints it.
func TestDoubtful(t *testing.T) {
	for _, c := range []struct {
		secret, out string
		want        bool
	}{
		{"practice", "issuer=Example Corp practice CA", true},
		{"Practice", "issuer=Example Corp practice CA", false},
		{"gpu7", "host gpu7 is up", false},
		{"gpu7", "host gpu71 is up", true},
		{"gpu7", "Defaults passwd_gpu7", true},
		{"gpu7", "gpu8", false},
		{"pu", "gpu7", false}, // too short to be masked
	} {
		h := hostOf("gpu-01")
		h.Sudo.Password = secret.New(c.secret)
		m := newMasks(nil, []inventory.Host{h})
		if got := m.doubtful(section{Out: []string{"a line", c.out}}); got != c.want {
			t.Errorf("%q in %q: %v, want %v", c.secret, c.out, got, c.want)
		}
	}
}
