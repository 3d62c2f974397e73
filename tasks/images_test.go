package tasks

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// require124 is NVIDIA_REQUIRE_CUDA of nvidia/cuda:12.4.0 and of what is built on
// it, as docker inspect shows it of vllm/vllm-openai:v0.8.5, its brands in part.
const require124 = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 brand=nvidia,driver>=470,driver<471 " +
	"brand=tesla,driver>=525,driver<526 brand=unknown,driver>=525,driver<526 brand=nvidia,driver>=525,driver<526 brand=nvidia,driver>=535,driver<536"

// What images require is read as NVIDIA's container toolkit reads it, and held
// against what is known: where brand, capability or CUDA are not, the answer is
// only given where it is the same whatever they are.
func TestImageRequirements(t *testing.T) {
	h100, t4, geforce, unnamed, kepler, nobodys := gpu{Device: "2330"}, gpu{Device: "1eb8"}, gpu{Device: "1e07"}, gpu{Device: "2206"}, gpu{Device: "102d"}, gpu{Device: "3fff"}
	for _, c := range []struct {
		env    string
		driver string
		gpus   []gpu
		want   verdict
	}{
		{"NVIDIA_REQUIRE_CUDA=cuda>=9.0", "384.81", []gpu{t4}, yes},
		{"NVIDIA_REQUIRE_CUDA=cuda>=9.1", "384.81", []gpu{t4}, no},
		{"NVIDIA_REQUIRE_CUDA=CUDA>=12.2", "535.104.05", []gpu{h100}, yes},
		{"NVIDIA_REQUIRE_CUDA=cuda>12.2", "535.104.05", []gpu{h100}, no},
		{"NVIDIA_REQUIRE_CUDA=" + require124, "550.54.15", []gpu{h100}, yes},
		{"NVIDIA_REQUIRE_CUDA=" + require124, "525.60.13", []gpu{h100}, yes},
		{"NVIDIA_REQUIRE_CUDA=" + require124, "545.23.08", []gpu{h100}, no},
		{"NVIDIA_REQUIRE_CUDA=" + require124, "525.60.13", []gpu{h100, geforce}, no},     // for each GPU
		{"NVIDIA_REQUIRE_CUDA=" + require124, "535.104.05", []gpu{t4}, maybe},            // a Tesla, or plain NVIDIA
		{"NVIDIA_REQUIRE_CUDA=" + require124, "535.104.05", []gpu{unnamed}, maybe},       // of any brand
		{"NVIDIA_REQUIRE_CUDA=" + require124, "545.23.08", []gpu{unnamed, nobodys}, no},  // none of which helps
		{"NVIDIA_REQUIRE_CUDA=" + require124, "525.60.13", nil, yes},                     // no GPU: of each brand
		{"NVIDIA_REQUIRE_CUDA=cuda>=13.2", "610.10", []gpu{h100}, maybe},                 // beyond the table
		{"NVIDIA_REQUIRE_CUDA=cuda>=12.4", "610.10", []gpu{h100}, yes},                   // but as much as this it has
		{"NVIDIA_REQUIRE_CUDA=cuda>=9.0", "375.26", []gpu{h100}, no},                     // before its beginning
		{"NVIDIA_REQUIRE_CUDA=cuda>=8.0", "375.26", []gpu{h100}, maybe},                  //
		{"NVIDIA_REQUIRE_A=arch>=8.0,driver!=535.1", "535.104.05", []gpu{h100}, yes},     //
		{"NVIDIA_REQUIRE_A=arch>=8.0", "535.104.05", []gpu{h100, t4}, no},                //
		{"NVIDIA_REQUIRE_A=arch<3.7", "470.1", []gpu{kepler}, maybe},                     // GK110 and GK210 share its ids
		{"NVIDIA_REQUIRE_A=arch=7.5 arch=9.0", "470.1", []gpu{h100, t4}, yes},            //
		{"NVIDIA_REQUIRE_A=arch>=2.0", "535.1", []gpu{nobodys}, yes},                     //
		{"NVIDIA_REQUIRE_A=arch>=3.5", "535.1", []gpu{nobodys}, maybe},                   //
		{"NVIDIA_REQUIRE_B=brand=GeForce brand!=geforce", "535.1", []gpu{unnamed}, yes},  //
		{"NVIDIA_REQUIRE_A=cuda>=12.2;NVIDIA_REQUIRE_B=arch>=9", "535.1", []gpu{t4}, no}, // both
		{"NVIDIA_REQUIRE_CUDA=cuda>=12.2;NVIDIA_DISABLE_REQUIRE=true", "470.1", []gpu{h100}, yes},
		{"NVIDIA_REQUIRE_CUDA=cuda>=12.2;NVIDIA_DISABLE_REQUIRE=0", "470.1", []gpu{h100}, no},
		{"NVIDIA_REQUIRE_JETPACK=csv-mounts=all", "470.1", []gpu{h100}, yes},
		{"CUDA_VERSION=12.3.2.001", "535.1", []gpu{h100}, no}, // an image of before NVIDIA_REQUIRE_CUDA
		{"CUDA_VERSION=12.3.2.001;NVIDIA_REQUIRE_CUDA=cuda>=9.0", "535.1", []gpu{h100}, yes},
		{"NVIDIA_REQUIRE_CUDA= ,cuda>=12.2, ,,", "535.1", []gpu{h100}, yes},
	} {
		env := map[string]string{}
		for assignment := range strings.SplitSeq(c.env, ";") {
			name, value, _ := strings.Cut(assignment, "=")
			env[name] = value
		}
		required, err := imageRequirements(env)
		if got := judge(required, c.gpus, driverWorlds(c.driver)); err != nil || got != c.want {
			t.Errorf("%s with %s and %v: %d, want %d (%v)", c.env, c.driver, c.gpus, got, c.want, err)
		}
	}
	for _, bad := range []string{"cuda", "cuda>=", "cuda=>9", "cuda==9", "cuda>=9.x", "cuda>=.9", "cuda>=9.", ">=9.0", "os=linux", "brand>tesla", "brand=", "cuda>=12.0 $(CUDA)", "cuda>=9,driver"} {
		if required, err := imageRequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": bad}); err == nil {
			t.Errorf("%q is read as %v", bad, required)
		}
	}
	if judge(mustRequire(t, "cuda>=9.0"), []gpu{h100}, nil) != no || judge(nil, []gpu{h100}, nil) != yes {
		t.Error("without a driver nothing runs but what requires nothing")
	}
}

// Of a driver whose version is not known before its repository is there, nothing
// is said that would not hold for each that it may be.
func TestImagesBeforeAnUnknownDriver(t *testing.T) {
	for _, c := range []struct {
		wish, required string
		branch         int // of the target; 0: it may be any
		want           verdict
	}{
		{">= 535.104, < 536", "driver>=535.100", 535, yes},
		{">= 535.104, < 536", "driver>=535.200", 535, maybe},
		{">= 535.104, < 536", "driver>=536", 535, no},
		{">= 535.104, < 536", "driver!=535.183", 535, maybe},
		{">= 535.104, < 536", "driver<=535.183 driver>=535.216", 535, maybe}, // what is between them
		{">= 535.104, < 536", "driver<535.183 driver>535.183", 535, maybe},
		{">= 535.104, < 536", "driver<535.183 driver>=535.183", 535, yes},
		{">= 535.104, < 536", "driver>=535.104", 535, yes},
		{"> 535.104, < 536", "driver>535.104", 535, yes},
		{"= 535.183.06", "driver>=535.183", 535, yes},
		{">= 535.104, < 536", "cuda>=12.2", 535, yes},
		{">= 535", "cuda>=12.2", 0, yes},
		{">= 535", "cuda>=12.4", 0, maybe},
		{">= 535", "cuda>=12.4", 550, yes},
		{">= 535", "cuda>=99", 0, maybe},   // beyond the table
		{">= 600", "cuda>=13.1", 0, yes},   // likewise, but not less than its end
		{">= 600", "driver<700", 0, maybe}, //
		{">= 390, < 391", "cuda>=9.1", 0, yes},
		{">= 390, < 391", "cuda>=9.2", 0, no},
		{">= 535.104, < 536", "brand=tesla,driver>=535,driver<536", 535, yes},
	} {
		d := wishedFor(c.wish)
		d.Constraint = c.wish
		w, _ := wishedDriver(inventory.Host{Settings: &inventory.Settings{Driver: d}})
		p := &driverPlan{w: w, need: gpuNeed{last: newestBranch}, to: &driverTarget{branch: c.branch}}
		required := mustRequire(t, c.required)
		if got := judge(required, nil, p.afterwards(required)); got != c.want {
			t.Errorf("%s before a driver %s: %d, want %d", c.required, c.wish, got, c.want)
		}
	}
	// So the whole plan says, of a repository that is still to be set up.
	f, d := &driverFacts{}, wishedFor("")
	for _, part := range []part{debian12, cudaRepo, wish(">= 550, < 551")} {
		part(f, d)
	}
	h := inventory.Host{Name: "gpu-01", Role: "gpu", Settings: &inventory.Settings{Driver: d, Sudo: inventory.Sudo{Enabled: true}}}
	states := map[string]State{"cuda>=12.4": Pending, "driver>=550.200": Unknown, "driver>=551": Unmet}
	for required := range states {
		h.Images = append(h.Images, inventory.Image{Name: required})
		f.Images = append(f.Images, remote.Reached{Image: &remote.SeenImage{Name: required, Env: map[string]string{"NVIDIA_REQUIRE_X": required}}})
	}
	for _, g := range planDriver(h, f) {
		required, isImage := strings.CutPrefix(g.Subject, "image ")
		if isImage && (g.State != states[required] || g.Want != "to run with driver >= 550, < 551, as planned") {
			t.Errorf("%+v", g)
		}
		delete(states, required)
	}
	if len(states) > 0 {
		t.Errorf("not said: %v", states)
	}
	var many strings.Builder
	for i := range mostDriversNamed + 1 {
		fmt.Fprintf(&many, "driver>=535.%d ", i)
	}
	g := Finding{}
	imageJudge{image: remote.SeenImage{Env: map[string]string{"NVIDIA_REQUIRE_DRIVER": many.String()}}}.judge(&g)
	if g.State != Unknown || !strings.Contains(g.Have, "more than 100 versions") {
		t.Errorf("%+v", g)
	}
}

func mustRequire(t *testing.T, text string) []requirement {
	t.Helper()
	required, err := imageRequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": text})
	if err != nil {
		t.Fatal(err)
	}
	return required
}

func FuzzImageRequirements(f *testing.F) {
	f.Add(require124)
	f.Add("arch!=9.0,brand=tesla  cuda<=12")
	f.Fuzz(func(t *testing.T, text string) {
		required, err := imageRequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": text})
		if err != nil {
			return
		}
		// What the same words with other blanks require is the same.
		again, err := imageRequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": " " + strings.Join(strings.Fields(text), "   ")})
		if err != nil || len(required) != len(again) {
			t.Fatalf("%v, %v: %v", required, again, err)
		}
		judge(required, []gpu{{Device: "2330"}}, driverWorlds("535.1"))
	})
}

// Every chip of the table has a compute capability, and every part a brand.
func TestChipsOfGPUs(t *testing.T) {
	for line := range strings.Lines(gpuTable) {
		ids, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		device, _, isRange := strings.Cut(ids, "-")
		may := gpu{Device: device}.capabilities()
		if len(may) == 0 || len(may) > 2 {
			t.Errorf("%s %s: compute capability %v", ids, rest, may)
		}
		if brands := (gpu{Device: device}).brands(); !isRange && rest != "GB10" && len(brands) > 3 { // which is called by its chip
			t.Errorf("%s %s: brands %v", ids, rest, brands)
		}
	}
	for device, want := range map[string]string{"102d": "3.5 3.7", "1eb8": "7.5", "20b0": "8.0", "2236": "8.6", "26b9": "8.9", "2330": "9.0", "2901": "10.0", "2bb5": "12.0", "31c2": "10.3", "2e12": "12.1"} {
		if got := strings.Join(gpu{Device: device}.capabilities(), " "); got != want {
			t.Errorf("%s: %s, want %s", device, got, want)
		}
	}
}

// An image is asked for where a runtime would: at what mirrors its registry, and
// then there; with the certificates and past the proxy as is wished; for the
// architecture of the host.
func TestImageEndpoints(t *testing.T) {
	ca, err := os.ReadFile("../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	h := loadHost(t, `
images = ["nvcr.io/nvidia/pytorch:24.01-py3", "ubuntu", "mirror.corp.example:5000/ai/train:1", "quay.io/a/b"]
proxy {
  https_proxy = "http://proxy.corp.example:3128"
  no_proxy    = [".corp.example"]
}
registry "mirror.corp.example:5000" {
  mirror_of = ["hub.docker.com", "nvcr.io"]
  ca        = <<EOT
`+string(ca)+`EOT
}
registry "other.corp.example" {
  mirror_of = ["docker.io"]
  insecure  = true
}
host "localhost" {}
`)
	show := func(sections ...remote.Section) string {
		var b strings.Builder
		for _, e := range imageEndpoints(h, sections) {
			fmt.Fprintf(&b, "%s:", e.Image.Name)
			for _, at := range append([]remote.Endpoint{e}, e.Image.Else...) {
				fmt.Fprintf(&b, " %s:%d/%s:%s", at.Host, at.Port, at.Image.Repository, at.Image.Reference)
				if at.Image.Mirrored != "" {
					b.WriteString(" for " + at.Image.Mirrored)
				}
				if at.Proxy != nil {
					b.WriteString(" by " + at.Proxy.Host)
				}
				if len(at.Roots) > 0 {
					b.WriteString(" with a CA")
				}
				if at.Insecure {
					b.WriteString(" insecure")
				}
				b.WriteString(",")
			}
			b.WriteString(" " + e.Image.Architecture + "\n")
			if via := e.Image.Way("auth.docker.io", 443); via == nil || via.Port != 3128 || e.Image.Way("auth.corp.example", 443) != nil {
				t.Errorf("the way on is %v", via)
			}
		}
		return b.String()
	}
	want := `nvcr.io/nvidia/pytorch:24.01-py3: mirror.corp.example:5000/nvidia/pytorch:24.01-py3 for nvcr.io with a CA, nvcr.io:443/nvidia/pytorch:24.01-py3 by proxy.corp.example, amd64
ubuntu: mirror.corp.example:5000/library/ubuntu:latest for docker.io with a CA, other.corp.example:443/library/ubuntu:latest for docker.io insecure, registry-1.docker.io:443/library/ubuntu:latest by proxy.corp.example, amd64
mirror.corp.example:5000/ai/train:1: mirror.corp.example:5000/ai/train:1 with a CA, amd64
quay.io/a/b: quay.io:443/a/b:latest by proxy.corp.example, amd64
`
	if got := show(remote.Section{Name: "driver", Out: "@arch x86_64\n@end\n"}); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := show(remote.Section{Name: "driver", Out: "@kernel 6.8\n@arch aarch64\n"}); got != strings.ReplaceAll(want, "amd64", "arm64") {
		t.Error(got)
	}
	// Whose architecture is not told, or unknown, is asked for none.
	if got := show() + show(remote.Section{Out: "@arch ppc64le\n"}, remote.Section{Out: "@file /x\n|@arch x86_64\n"}); got != "" {
		t.Error(got)
	}
	if imageEndpoints(inventory.Host{Settings: &inventory.Settings{}}, nil) != nil {
		t.Error("something is asked for where no image is listed")
	}
}
