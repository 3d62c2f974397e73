package inventory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

// load writes the files of an inventory and loads them; name, content, name,
// content.
func load(t *testing.T, o inventory.Options, files ...string) *inventory.Inventory {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if o.LookupEnv == nil {
		o.LookupEnv = func(string) (string, bool) { return "", false }
	}
	inv, diags := inventory.Load(dir, o)
	if diags.HasErrors() {
		var out bytes.Buffer
		if err := inventory.WriteDiagnostics(&out, inv.Files, diags, 0, false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("load:\n%s", out.String())
	}
	return inv
}

// host finds a host by its name.
func host(t *testing.T, inv *inventory.Inventory, name string) inventory.Host {
	t.Helper()
	for _, h := range inv.Hosts {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("there is no host %q", name)
	return inventory.Host{}
}

// TestWholeLanguage loads an inventory that uses every block and nearly every
// attribute.
func TestWholeLanguage(t *testing.T) {
	pem, err := os.ReadFile("testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile("testdata/whole.hcl")
	if err != nil {
		t.Fatal(err)
	}
	inv := load(t, inventory.Options{LookupEnv: func(n string) (string, bool) { return "secret of " + n, strings.HasSuffix(n, "_PASSWORD") }},
		"inventory.hcl", string(src), "corp-ca.pem", string(pem), "registry-ca.pem", string(pem))
	if len(inv.Hosts) != 18 {
		t.Fatalf("%d hosts", len(inv.Hosts))
	}
	gpu, cpu, proxy := inv.Hosts[6], host(t, inv, "cpu-01"), host(t, inv, "proxy")
	if gpu.Name != "gpu-07" || gpu.Address != "10.0.1.7" || gpu.SSH.Bastions[0] != (inventory.Bastion{User: "ops", Host: "jump-a"}) {
		t.Errorf("%+v", gpu)
	}
	if gpu.SSH.Password.Reveal() != "secret of SSH_PASSWORD" || gpu.SSH.Keepalive != 15*time.Second || gpu.SSH.HostKey != "strict" {
		t.Errorf("%+v", gpu.SSH)
	}
	if diff := cmp.Diff(&inventory.Driver{
		Constraint: ">= 535.104, < 536, >= 384.81, >= 410.104", Source: "runfile", Flavor: "auto", Repository: "http://mirror.corp/cuda/ubuntu2204",
		RepositoryKey: "0123456789ABCDEF0123456789ABCDEF01234567",
		Runfile:       filepath.Join(inv.Path, "NVIDIA-Linux-x86_64-535.104.05.run"), SHA256: strings.Repeat("0", 64), Reboot: "when-needed", Hold: true,
		FractionalGPU: true, MinCUDA: ">= 9.0", Busy: "wait", BusyWait: 30 * time.Minute, RequireGPU: true, NonFree: true, Why: "inventory.hcl:64",
	}, gpu.Driver); diff != "" {
		t.Errorf("driver (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]inventory.Mount{{
		Path: "/mnt/data", Server: "nas.example.com", Export: "/export/data", Version: "4.1", Options: []string{"hard", "noatime"}, Why: "inventory.hcl:43",
	}}, cpu.Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if cpu.Driver != nil || cpu.Resources.MinDisk.Value != 50<<30 || cpu.Resources.MinCPUs != (inventory.Wish[int]{Value: 4, Why: "inventory.hcl:57"}) {
		t.Errorf("%+v", cpu.Settings)
	}
	if !cmp.Equal(cpu.Proxy.NoProxy, []string{"10.0.0.0/8", "10.244.0.0/16"}) || cpu.Proxy.Password.IsZero() || cpu.Proxy.CACertificates[0] != string(pem) || len(cpu.Proxy.Targets) != 8 {
		t.Errorf("%+v", cpu.Proxy)
	}
	if proxy.Squid == nil || cpu.Squid != nil || len(proxy.Squid.Allow) != 12 {
		t.Errorf("%+v", proxy.Squid)
	}
}

// TestPrecedence: profile, top level, role, groups in the host's order, host;
// attribute by attribute; lists replace; every value knows its place.
func TestPrecedence(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `
ssh {
  user    = "top"
  port    = 2200
  bastion = ["one", "two"]
}
resources {
  min_cpus  = 8
  disk_path = "/srv"
}
nfs_mount "/mnt/a" {
  server  = "top"
  export  = "/a"
  options = ["hard", "noatime"]
}
nfs_mount "/mnt/b" {
  server = "top"
  export = "/b"
}
registry "r:5000" { mirror_of = ["docker.io"] }
proxy { http_proxy = "http://top:1" }
role "cpu" {
  ssh { user = "role" }
  resources { min_memory = "8GiB" }
  nfs_mount "/mnt/a" { options = ["ro"] }
  nfs_mount "/mnt/c" {
    server = "role"
    export = "/c"
  }
}
group "g1" {
  ssh {
    user = "g1"
    port = 2201
  }
  nfs_mount "/mnt/b" { enabled = false }
  proxy { enabled = false }
}
group "g2" {
  ssh { user = "g2" }
}
host "plain" {}
host "full" {
  role   = "cpu"
  groups = ["g1", "g2"]
  ssh { bastion = ["three"] }
  resources { min_disk = "50GiB" }
  nfs_mount "/mnt/a" { server = "own" }
  registry "r:5000" { enabled = false }
}
host "swapped" { groups = ["g2", "g1"] }
host "again" {
  groups = ["g1"]
  nfs_mount "/mnt/b" { enabled = true }
}
`)
	plain, full := host(t, inv, "plain"), host(t, inv, "full")

	if got, want := full.SSH, (inventory.SSH{User: "g2", Port: 2201, Bastions: []inventory.Bastion{{Host: "three"}}}); !cmp.Equal(got, want) {
		t.Errorf("ssh: got %+v, want %+v", got, want)
	}
	if got := host(t, inv, "swapped").SSH.User; got != "g1" {
		t.Errorf("groups in another order: user %q, want that of the last, g1", got)
	}
	wantResources := inventory.Resources{
		MinCPUs:   inventory.Wish[int]{Value: 8, Why: "i.hcl:8"},
		MinMemory: inventory.Wish[inventory.Bytes]{Value: 8 << 30, Why: "i.hcl:24"},
		MinDisk:   inventory.Wish[inventory.Bytes]{Value: 50 << 30, Why: "i.hcl:47"},
		DiskPath:  "/srv",
	}
	if diff := cmp.Diff(wantResources, full.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	wantMounts := []inventory.Mount{
		{Path: "/mnt/a", Server: "own", Export: "/a", Options: []string{"ro"}, Why: "i.hcl:11, i.hcl:25, i.hcl:48"},
		{Path: "/mnt/c", Server: "role", Export: "/c", Why: "i.hcl:26"},
	}
	if diff := cmp.Diff(wantMounts, full.Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if len(full.Registries) != 0 || full.Proxy != nil {
		t.Errorf("enabled = false took nothing away: %+v %+v", full.Registries, full.Proxy)
	}
	if len(plain.Mounts) != 2 || len(plain.Registries) != 1 || plain.Proxy == nil || plain.Proxy.Why != "i.hcl:21" {
		t.Errorf("what other levels say reached a host without them: %+v", plain.Settings)
	}
	if len(host(t, inv, "again").Mounts) != 2 {
		t.Error("enabled = true did not bring the mount back")
	}
	if plain.Resources.MinDisk.IsSet() {
		t.Error("a minimum that nobody wished")
	}
}

// TestProfile: the profile is the lowest level, by role; a declared one builds
// on another; the driver's minimum always applies.
func TestProfile(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `
requirements = "site"
requirements "site" {
  extends = "base"
  nvidia_driver {
    title   = "our driver"
    version = ">= 470"
  }
  endpoint "quay.io" { enabled = false }
  endpoint "nvcr.io" { roles = ["gpu"] }
}
requirements "base" {
  extends = "runai-2020"
  role "cpu" { min_disk = "80GB" }
}
egress {
  allow = ["gcr.io/run-ai-prod", "registry:5000"]
  skip  = ["hub.docker.com"]
}
role "gpu" {
  nvidia_driver {
    version        = "< 536"
    fractional_gpu = true
  }
}
host "gpu" { role = "gpu" }
host "cpu" {
  role = "cpu"
  resources { min_cpus = 2 }
}
host "old" {
  role         = "cpu"
  requirements = "runai-2020"
  egress { enabled = false }
  kubernetes {
    version    = "< 1.20"
    kubeconfig = "prod.conf"
  }
}
`)
	if inv.Requirements.Name != "site" {
		t.Errorf("the fleet's profile is %q", inv.Requirements.Name)
	}
	gpu, cpu, old := host(t, inv, "gpu"), host(t, inv, "cpu"), host(t, inv, "old")
	if got, want := gpu.Driver.Constraint, "< 536, >= 470, >= 410.104"; got != want || gpu.Driver.MinCUDA != ">= 9.0" {
		t.Errorf("driver constraint %q and CUDA %q, want %q", got, gpu.Driver.MinCUDA, want)
	}
	r := cpu.Resources
	if r.MinCPUs != (inventory.Wish[int]{Value: 2, Why: "i.hcl:29"}) ||
		r.MinMemory != (inventory.Wish[inventory.Bytes]{Value: 4e9, Why: "runai-2020: dedicated CPU-only worker"}) ||
		r.MinDisk != (inventory.Wish[inventory.Bytes]{Value: 80e9, Why: "base: role cpu"}) {
		t.Errorf("resources of a CPU worker: %+v", r)
	}
	endpoints := func(h inventory.Host) string {
		var list []string
		for _, e := range h.Egress {
			list = append(list, fmt.Sprintf("%s:%d %s", e.Host, e.Port, e.Why))
		}
		return strings.Join(list, "\n")
	}
	common := `runai-charts.storage.googleapis.com:443 runai-2020: Run:AI Repository
gcr.io:443 runai-2020: Docker Images Repository
storage.googleapis.com:443 runai-2020: gcr.io sends to it for image layers
*.pkg.dev:443 runai-2020: gcr.io sends to it for image layers
prometheus-us-central1.grafana.net:443 runai-2020: Grafana
app.run.ai:443 runai-2020: Run:AI
`
	if diff := cmp.Diff(common+"nvcr.io:443 site: nvcr.io\nlayers.nvcr.io:443 site: nvcr.io sends to it for image layers\n"+
		"authn.nvidia.com:443 site: nvcr.io sends to it for tokens\napi.ngc.nvidia.com:443 site: nvcr.io sends to it for tokens\nregistry:5000 i.hcl:17", endpoints(gpu)); diff != "" {
		t.Errorf("egress of a GPU host (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(common+"registry:5000 i.hcl:17", endpoints(cpu)); diff != "" {
		t.Errorf("egress of a CPU host (-want +got):\n%s", diff)
	}
	if old.Requirements.Name != "runai-2020" || old.Resources.MinDisk.Value != 20e9 || old.Egress != nil {
		t.Errorf("a host with a profile of its own: %+v", old.Settings)
	}
	if got := old.Kubernetes.Version; got.Value != "< 1.20, >= 1.15" || got.Why != "i.hcl:36, runai-2020: Kubernetes 1.15 or above" {
		t.Errorf("kubernetes: %+v", got)
	}
	if got := old.Kubernetes.Kubeconfig; filepath.Base(got) != "prod.conf" || !filepath.IsAbs(got) || gpu.Kubernetes.Kubeconfig != "" {
		t.Errorf("kubeconfig: %q, and of another host %q", got, gpu.Kubernetes.Kubeconfig)
	}
}

// What nodes must be like is wished by who sets it, and else by who asks for
// Kubernetes: a block that says where the cluster is asks for nothing else.
func TestWhyOfKubernetes(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `kubernetes {
  time_skew = "2s"
  swap      = "allowed"
}
role "gpu" {
  kubernetes { kubeconfig = "prod.conf" }
}
host "gpu-01" { role = "gpu" }
host "gpu-02" {
  role = "gpu"
  kubernetes { cgroup_driver = "systemd" }
}
`)
	for i, want := range []inventory.Kubernetes{
		{Why: "i.hcl:1", ClusterWhy: "i.hcl:6", TimeSkew: inventory.Wish[time.Duration]{Value: 2 * time.Second, Why: "i.hcl:2"}},
		{Why: "i.hcl:1, i.hcl:11", ClusterWhy: "i.hcl:6", CgroupDriver: inventory.Wish[string]{Value: "systemd", Why: "i.hcl:11"}},
	} {
		got := inv.Hosts[i].Kubernetes
		if got.Why != want.Why || got.ClusterWhy != want.ClusterWhy || want.TimeSkew.Why != "" && got.TimeSkew != want.TimeSkew || got.CgroupDriver != want.CgroupDriver || got.Swap.Why != "i.hcl:3" {
			t.Errorf("%s: %+v", inv.Hosts[i].Name, got)
		}
	}
	// Alone it leaves that to the profile; where that asks for nothing, it is all that does.
	inv = load(t, inventory.Options{}, "i.hcl", `kubernetes { context = "prod" }
requirements "none" {}
host "a" {}
host "b" { requirements = "none" }
`)
	if a, b := inv.Hosts[0].Kubernetes, inv.Hosts[1].Kubernetes; a.Why != "runai-2020: Kubernetes 1.15 or above" || b.Why != "i.hcl:1" || a.TimeSkew.Why != "" || a.ClusterWhy != "i.hcl:1" {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// TestBuiltInProfiles: the seed's every row is there, with its sentence.
func TestBuiltInProfiles(t *testing.T) {
	profiles := inventory.Profiles()
	i := -1
	for k, p := range profiles {
		if p.Name == inventory.DefaultProfile {
			i = k
		}
		if !p.BuiltIn || p.Title == "" || p.Source == "" {
			t.Errorf("%s: no title or source", p.Name)
		}
		for _, e := range p.Endpoints {
			if e.Port == 0 || e.Why == "" {
				t.Errorf("%s: endpoint %+v", p.Name, e)
			}
		}
	}
	if i < 0 {
		t.Fatal("the default profile is missing")
	}
	p := profiles[i]
	for name, r := range map[string]inventory.Requirement{">= 1.15": p.Kubernetes, ">= 4.3": p.OpenShift, ">= 384.81": p.Driver} {
		if r.Constraint != name || r.Text == "" || r.Source == "" || r.Why == "" {
			t.Errorf("want %s with sentence and source, got %+v", name, r)
		}
	}
	if p.Kubernetes.Recommended != "1.17" || p.Fractional.Driver != ">= 410.104" || p.Fractional.CUDA != ">= 9.0" ||
		!cmp.Equal(p.Fractional.Frameworks, []string{"TensorFlow", "Keras", "PyTorch"}) || p.Fractional.Text == "" {
		t.Errorf("fractional or recommended: %+v %+v", p.Kubernetes, p.Fractional)
	}
	cpu, ok := p.Role("cpu")
	if !ok || cpu.MinCPUs.Value != 4 || cpu.MinMemory.Value != 4e9 || cpu.MinDisk.Value != 20e9 || !cpu.Recommended || cpu.Text == "" {
		t.Errorf("the CPU-only worker: %+v", cpu)
	}
	phases := map[string]string{}
	for _, e := range p.Endpoints {
		phases[fmt.Sprintf("%s:%d", e.Host, e.Port)] = e.Phase
	}
	if diff := cmp.Diff(map[string]string{
		"runai-charts.storage.googleapis.com:443": "install", "hub.docker.com:443": "install", "gcr.io:443": "install", "quay.io:443": "install",
		"prometheus-us-central1.grafana.net:443": "run", "app.run.ai:443": "run",
	}, phases); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if len(p.Advice) != 3 || p.Storage.Why == "" || p.Storage.Text == "" {
		t.Errorf("advice: %+v, shared data volume: %+v", p.Advice, p.Storage)
	}
}

// TestVariables: environment, files in order, command line in order; types,
// defaults of optional attributes; files of a folder are read as one.
func TestVariables(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.tfvars"), filepath.Join(dir, "two.tfvars")
	for f, text := range map[string]string{one: "file = \"one\"\nlast = \"one\"\nmounts = [{ server = \"s\" }]\n", two: "file = \"two\"\n"} {
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := inventory.Options{
		VarFiles: []string{one, two},
		Vars:     []string{"last=x", "last=cli", "number=7", `map={ a = "b" }`},
		LookupEnv: func(n string) (string, bool) {
			v, ok := map[string]string{"RUNAI_PREP_VAR_env": "env", "RUNAI_PREP_VAR_file": "env", "RUNAI_PREP_VAR_other": "ignored"}[n]
			return v, ok
		},
	}
	inv := load(t, o, "a.hcl", `
host "a" { address = join("-", [var.env, var.file, var.last, var.default, var.map.a, local.sum]) }
locals {
  sum   = local.other + var.number
  other = length(var.mounts[0].options)
}
`, "b.hcl", `
variable "env" {}
variable "file" { type = string }
variable "last" { type = string }
variable "default" { default = "default" }
variable "number" { type = number }
variable "map" { type = map(string) }
variable "mounts" {
  type = list(object({ server = string, options = optional(list(string), ["hard", "ro"]) }))
}
`, ".hidden.hcl", "not read", "notes.txt", "not read")
	if got, want := inv.Hosts[0].Address, "env-two-cli-default-b-9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSecrets: what is secret arrives, from each of its sources.
func TestSecrets(t *testing.T) {
	var ran [][]string
	o := inventory.Options{
		LookupEnv: func(n string) (string, bool) { return "from-env", n == "PASSWORD" },
		Vars:      []string{"token=from-var"},
		Run: func(ctx context.Context, argv []string) ([]byte, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("a command without a deadline")
			}
			ran = append(ran, argv)
			return []byte("from-command\n"), nil
		},
	}
	inv := load(t, o, "i.hcl", `
variable "token" { sensitive = true }
ssh {
  user     = env("PASSWORD")
  password = env("PASSWORD")
}
sudo { password = command("pass", "show", "sudo") }
proxy {
  http_proxy = "http://proxy:3128"
  username   = "u"
  password   = "${var.token}!"
}
host "a" {}
host "b" {
  ssh { password = sops("secrets.yaml") }
  sudo { password = command("pass", "show", "sudo") }
}
`)
	a, b := host(t, inv, "a"), host(t, inv, "b")
	for want, got := range map[string]string{"from-env": a.SSH.Password.Reveal(), "from-command": a.Sudo.Password.Reveal(), "from-var!": a.Proxy.Password.Reveal()} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if a.SSH.User != "from-env" || b.SSH.Password.Reveal() != "from-command" {
		t.Errorf("user %q, password by sops %q", a.SSH.User, b.SSH.Password.Reveal())
	}
	if len(ran) != 2 || ran[1][0] != "sops" || !filepath.IsAbs(ran[1][2]) {
		t.Errorf("each command runs once, sops on a file of the inventory's folder: %q", ran)
	}
}

// TestCommand: a real program, without a shell; its failures say why.
func TestCommand(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `host "a" { address = nonsensitive(command("echo", "a; echo b | tr -d ' '", "x")) == "a; echo b | tr -d ' ' x" ? "yes" : "no" }`)
	if inv.Hosts[0].Address != "yes" {
		t.Error("the arguments reached a shell, or the newline stayed")
	}
	path := filepath.Join(t.TempDir(), "i.hcl")
	if err := os.WriteFile(path, []byte(`host "a" { address = command("sh", "-c", "echo no such entry >&2; exit 3") }`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, diags := inventory.Load(path, inventory.Options{})
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "exit status 3: no such entry") {
		t.Errorf("got %v, want the exit status and what the command said", diags)
	}
	_, diags = inventory.Load(path, inventory.Options{Run: func(context.Context, []string) ([]byte, error) { return nil, errors.New("boom") }})
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "boom") {
		t.Errorf("got %v", diags)
	}
}

// TestHosts: what patterns give their hosts, sharing, bastions, squid.
func TestHosts(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `
ssh { bastion = ["jump", "ops@[2001:db8::1]:2222"] }
group "odd" {}
group "even" {}
host "jump" {
  address = "10.9.9.9"
  ssh {
    bastion = []
    user    = "gate"
    port    = 2200
  }
}
host "r[1:2]-[a,b,07:08]" {
  address = "10.0.${indices[0]}.${indices[1] + 10 * index}"
  groups  = [index % 2 == 0 ? "even" : "odd"]
}
host "own-[1:3]" {
  resources { min_cpus = index }
}
host "plain-[1:3]" {}
host "proxy" {
  squid { clients = ["10.0.0.0/8", "192.0.2.7"] }
  egress { allow = ["nvcr.io"] }
}
`)
	var lines []string
	for _, h := range inv.Hosts {
		lines = append(lines, fmt.Sprintf("%s %s %v %d", h.Name, h.Address, h.Groups, h.Resources.MinCPUs.Value))
	}
	want := `jump 10.9.9.9 [] 0
r1-a 10.0.1.11 [odd] 0
r1-b 10.0.1.12 [odd] 0
r1-07 10.0.1.17 [odd] 0
r1-08 10.0.1.18 [odd] 0
r2-a 10.0.2.25 [even] 0
r2-b 10.0.2.26 [even] 0
r2-07 10.0.2.27 [even] 0
r2-08 10.0.2.28 [even] 0
own-1 own-1 [] 1
own-2 own-2 [] 2
own-3 own-3 [] 3
plain-1 plain-1 [] 0
plain-2 plain-2 [] 0
plain-3 plain-3 [] 0
proxy proxy [] 0`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if host(t, inv, "plain-1").Settings != host(t, inv, "plain-3").Settings || host(t, inv, "r1-a").Settings != host(t, inv, "r1-08").Settings {
		t.Error("alike hosts do not share their settings")
	}
	if host(t, inv, "own-1").Settings == host(t, inv, "own-2").Settings || host(t, inv, "r1-a").Settings == host(t, inv, "r2-a").Settings {
		t.Error("hosts that differ share their settings")
	}
	if diff := cmp.Diff([]inventory.Bastion{{User: "gate", Host: "10.9.9.9", Port: 2200}, {User: "ops", Host: "2001:db8::1", Port: 2222}}, host(t, inv, "r1-a").SSH.Bastions); diff != "" {
		t.Errorf("bastions (-want +got):\n%s", diff)
	}
	squid := host(t, inv, "proxy").Squid
	if squid.Port != 3128 || !cmp.Equal(squid.Clients, []string{"10.0.0.0/8", "192.0.2.7/32"}) || len(squid.Allow) != 21 {
		t.Errorf("squid: %+v", squid)
	}
}

// TestFilesOfTheInventory: relative paths start from its folder.
func TestFilesOfTheInventory(t *testing.T) {
	pem, err := os.ReadFile("testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	inv := load(t, inventory.Options{Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}, "i.hcl", `
ssh {
  identity_file = ["keys/id", "~/.ssh/id", "/etc/id"]
  known_hosts   = "known_hosts"
}
registry "r:5000" { ca = file("ca.pem") }
host "a" {
  address = templatefile("name.tmpl", { n = 7 })
  nvidia_driver {
    source  = "runfile"
    runfile = "driver.run"
    sha256  = "`+strings.Repeat("AB", 32)+`"
  }
}
`, "ca.pem", string(pem), "name.tmpl", "node-${n}")
	h := inv.Hosts[0]
	if h.SSH.IdentityFiles[0] != filepath.Join(inv.Path, "keys/id") || h.SSH.IdentityFiles[1] != "~/.ssh/id" || h.SSH.KnownHosts[0] != filepath.Join(inv.Path, "known_hosts") {
		t.Errorf("ssh files: %+v", h.SSH)
	}
	if h.Address != "node-7" || h.Driver.Runfile != filepath.Join(inv.Path, "driver.run") || h.Driver.SHA256 != strings.Repeat("ab", 32) {
		t.Errorf("address %q, driver %+v", h.Address, h.Driver)
	}
	if h.Registries[0].CA != string(pem) {
		t.Errorf("the CA changed on its way: %q", h.Registries[0].CA)
	}
}
