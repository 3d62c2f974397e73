package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// This file is about container images that are to run on a host: whether they
// are there for it to pull, which framework they hold, and whether the driver is
// new enough for them. Registries are asked for manifest and configuration along
// the way that the host's runtime takes; see remote's image.go.

// A framework is how one shows in an image: in labels and variables, which those
// of NVIDIA and of PyTorch have, or in the name alone, as in tensorflow/tensorflow.
type framework struct {
	name   string
	told   []string // labels and variables that hold its version, the best first
	called string   // a word in the names of images that hold it
}

var frameworks = []framework{
	{"TensorFlow", []string{"com.nvidia.tensorflow.version", "TENSORFLOW_VERSION", "NVIDIA_TENSORFLOW_VERSION"}, "tensorflow"},
	{"Keras", []string{"KERAS_VERSION"}, "keras"},
	{"PyTorch", []string{"com.nvidia.pytorch.version", "PYTORCH_VERSION", "NVIDIA_PYTORCH_VERSION"}, "torch"},
}

// imageTells is what is kept of an image's variables and labels.
func imageTells() []string {
	names := []string{"NVIDIA_REQUIRE_*", "NVIDIA_DISABLE_REQUIRE", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VERSION"}
	for _, f := range frameworks {
		names = append(names, f.told...)
	}
	return names
}

// imageArchitectures are what images call the architectures, by what uname does.
// A driver is there for these alone.
var imageArchitectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// imageEndpoints are where images are asked for: what mirrors their registry, in
// order, and then that one itself, as container runtimes do. Which architecture
// it is for, only the host tells: where it does not, none is asked for, for
// another one's may ask for less.
func imageEndpoints(h inventory.Host, sections []remote.Section) []remote.Endpoint {
	architecture := ""
	for _, s := range sections {
		for told, name := range imageArchitectures {
			if strings.Contains("\n"+s.Out, "\n@arch "+told+"\n") {
				architecture = name
			}
		}
	}
	if architecture == "" {
		return nil
	}
	var all []remote.Endpoint
	for _, i := range h.Images {
		var places []remote.Endpoint
		add := func(e remote.Endpoint, mirrored string) {
			e.Image = &remote.Image{
				Name: i.Name, Repository: i.Repository, Reference: i.Reference, Architecture: architecture, Mirrored: mirrored, Tells: imageTells(),
				Way: func(host string, port int) *remote.HTTPProxy { return outside(h, host, port).Proxy },
			}
			places = append(places, e)
		}
		wishes := registryWishes(h)
		for _, w := range wishes {
			if w.name != i.Registry && slices.Contains(w.mirrorOf, i.Registry) {
				add(w.outside(h), i.Registry)
			}
		}
		if at := slices.IndexFunc(wishes, func(w registryWish) bool { return w.name == i.Registry }); at >= 0 {
			add(wishes[at].outside(h), "")
		} else {
			host, port := i.Server()
			add(outside(h, host, port), "")
		}
		places[0].Image.Else = places[1:]
		all = append(all, places[0])
	}
	return all
}

// imageFindings are one for each image. p is what is planned for the driver, nil
// where none is wished, and found its findings.
func imageFindings(h inventory.Host, f *driverFacts, p *driverPlan, found []Finding) []Finding {
	var all []Finding
	for _, i := range h.Images {
		g := Finding{Subject: "image " + i.Name, State: OK, Want: "to be pulled", Why: i.Why}
		at := slices.IndexFunc(f.Images, func(r remote.Reached) bool { return r.Image != nil && r.Image.Name == i.Name })
		switch {
		case at < 0 && imageArchitectures[f.System.Arch] == "":
			told := "the host does not tell its architecture"
			if f.System.Arch != "" {
				told = "no images are known for the architecture " + clip(f.System.Arch, 40)
			}
			g.State, g.Have, g.Hint = Unknown, "it was not asked for: "+told, "images are asked for where uname -m says x86_64 or aarch64"
		case at < 0:
			g.State, g.Have, g.Hint = Unknown, "it was not asked for", "look again"
		case f.Images[at].Barrier != "":
			g.State, g.Have, g.Hint = judgeNoImage(f.Images[at])
		default:
			j := imageJudge{h: h, image: *f.Images[at].Image, p: p, found: found}
			j.judge(&g)
		}
		all = append(all, g)
	}
	return all
}

// judgeNoImage says why an image was not seen.
func judgeNoImage(r remote.Reached) (state State, have, hint string) {
	at := r.Endpoint
	if r.Image.At != "" {
		at = r.Image.At
	}
	switch r.Barrier {
	case remote.Forbidden:
		return Unknown, "it could not be asked for: " + r.Said, "the host's sshd forwards no connection (AllowTcpForwarding, PermitOpen), and this alone is how images are asked for: allow it for this user"
	case remote.Login:
		return Unknown, at + " tells only those who log in: " + r.Said,
			"registries are asked as anybody may ask them, and many say the same of a name that they do not know: see whether it is right, and what the image asks for where you are logged in: docker buildx imagetools inspect --format '{{json .Image}}' " + r.Image.Name
	case remote.TooMany:
		return Unknown, at + " has been asked too often from where the host's way leads out: " + r.Said, "look again later, or let a registry of the site mirror it: registry { mirror_of = … }"
	case remote.NoImage:
		hint = "see whether its name and tag are right"
		if r.Image.Platforms != nil {
			hint = "choose an image that is built for the host's processors"
		}
		return Unmet, at + " does not have it: " + r.Said, hint
	}
	r.Endpoint = at
	return judgeReached(r)
}

// An imageJudge holds one image against one host.
type imageJudge struct {
	h     inventory.Host
	image remote.SeenImage
	p     *driverPlan // nil: no driver is wished
	found []Finding   // about the driver
}

// mostDriversNamed is more than images name: two for each branch.
const mostDriversNamed = 100

func (j imageJudge) judge(g *Finding) {
	required, err := imageRequirements(j.image.Env)
	untold := j.image.Untold
	if len(driversNamed(required)) > mostDriversNamed {
		untold = fmt.Sprintf("it speaks of more than %d versions of the driver", mostDriversNamed)
	}
	if untold != "" {
		g.State, g.Have = Unknown, "what it requires is not known: "+clip(untold, 120)+", from "+j.image.At
		g.Hint = "no image of NVIDIA's says so much: see what is in it: docker buildx imagetools inspect --format '{{json .Image}}' " + j.image.Name
		return
	}
	g.Have = j.describe(required)
	if err != nil {
		g.State, g.Have = Unknown, g.Have+"; what it requires cannot be read: "+err.Error()
		g.Hint = "NVIDIA's container toolkit does not start such an image either: set NVIDIA_DISABLE_REQUIRE=true for it where you know that it runs"
		return
	}
	if j.p == nil || len(j.p.f.GPUs) == 0 && j.p.f.Loaded.Version == "" && !j.p.installing() {
		return // it runs here without a GPU, or somebody has to see to that first
	}
	subject, today := j.pending(), j.p.today()
	then, planned := today, ""
	if subject != "" {
		then, planned = j.p.afterwards(required), ", as planned"
	}
	g.Want = "to run with driver " + j.p.nameOf(then) + planned
	switch met := judge(required, j.p.inUse(), then); {
	case j.tooOld() != "":
		g.State, g.Hint = Unmet, j.tooOld()
		return
	case met == no && len(then) == 0:
		g.State, g.Hint = Unmet, "see nvidia driver"
		return
	case met == no:
		g.State, g.Hint = Unmet, j.enough(required)
		return
	case met == maybe:
		g.State, g.Hint = Unknown, "whether the driver is enough for it hangs on what is not known of it or of the GPUs: "+short(required)
		return
	case judge(required, j.p.inUse(), today) != yes:
		g.State, g.Hint = Pending, "comes with "+subject
	}
	g.Warning = j.warning(required, then)
}

// describe is the image in a few words: what it holds and what it requires.
func (j imageJudge) describe(required []requirement) string {
	words := j.frameworks()
	if v := j.image.Env["CUDA_VERSION"]; v != "" {
		words = append(words, "CUDA "+clip(v, 40))
	}
	switch {
	case len(required) > 0:
		words = append(words, "requires "+short(required))
	case len(words) == 0:
		words = append(words, "it asks for no GPU")
	default:
		words = append(words, "requires nothing of the driver")
	}
	return strings.Join(words, ", ") + ", from " + j.image.At
}

func short(required []requirement) string {
	var texts []string
	for _, r := range required {
		texts = append(texts, r.short())
	}
	return strings.Join(texts, " and ")
}

// frameworks are those that the image shows, with their versions.
func (j imageJudge) frameworks() []string {
	var all []string
	for _, f := range frameworks {
		version := ""
		for _, name := range f.told {
			if version == "" {
				version = j.image.Labels[name] + j.image.Env[name]
			}
		}
		repository, _, _ := strings.Cut(j.image.Name, "@")
		switch {
		case version != "":
			all = append(all, f.name+" "+clip(version, 40))
		case strings.Contains(repository, f.called):
			all = append(all, f.name+" by its name")
		}
	}
	return all
}

// tooOld is why an image cannot share a GPU, by the profile; empty: it can.
func (j imageJudge) tooOld() string {
	cuda := majorMinor(j.image.Env["CUDA_VERSION"])
	if j.p.w.MinCUDA == "" || cuda == "" || (driverWish{bounds: constraintOf(j.p.w.MinCUDA)}).within(cuda) {
		return ""
	}
	return "sharing a GPU asks for CUDA " + j.p.w.MinCUDA + ": choose a later image"
}

// enough is which driver would be enough for the image.
func (j imageJudge) enough(required []requirement) string {
	for _, row := range cudaOf {
		if row.branch < j.p.need.first || row.branch > j.p.need.last || judge(required, j.p.inUse(), driverWish{}.worlds(required, row.branch, row.branch)) != yes {
			continue
		}
		return fmt.Sprintf(`wish a driver that is enough for it, as branch %d is: version = ">= %[1]d"; or choose an image for an earlier CUDA`, row.branch)
	}
	return "no driver that the GPUs work with is known to be enough for it: choose an image for an earlier CUDA"
}

// warning is in what an image that will run may fall short.
func (j imageJudge) warning(required []requirement, then []gpuWorld) string {
	var all []string
	if asked := j.h.Requirements; j.p.w.FractionalGPU && asked != nil && len(asked.Fractional.Frameworks) > 0 {
		has := strings.ToLower(strings.Join(j.frameworks(), " "))
		if !slices.ContainsFunc(asked.Fractional.Frameworks, func(name string) bool { return strings.Contains(has, strings.ToLower(name)) }) {
			all = append(all, "none of "+strings.Join(asked.Fractional.Frameworks, ", ")+" shows in its labels, variables or name, which does not mean that none is in it; sharing a GPU is tested with these ("+asked.Fractional.Why+")")
		}
	}
	if built, one := majorMinor(j.image.Env["CUDA_VERSION"]), !slices.ContainsFunc(then, func(w gpuWorld) bool { return w.cuda != then[0].cuda }); one && len(then) > 0 && built != "" && compareVersions(built, then[0].cuda) > 0 && !compatible(built, then[0].cuda) && !speaksOf(required, built) {
		all = append(all, "it was built with CUDA "+built+", and the driver has "+then[0].cuda+": its programs need the compatibility libraries of the image, which work on data-center GPUs alone")
	}
	if can, set := j.image.Env["NVIDIA_DRIVER_CAPABILITIES"]; set && can != "" && !slices.ContainsFunc(strings.Split(can, ","), func(c string) bool { return c == "all" || c == "compute" }) {
		all = append(all, "NVIDIA_DRIVER_CAPABILITIES = "+clip(can, 80)+" gives it no compute, and so no CUDA")
	}
	return strings.Join(all, "; ")
}

// compatible: from CUDA 11 on programs run with every driver of the same major
// version (CUDA Compatibility, minor version compatibility).
func compatible(built, has string) bool {
	return branchOf(built) == branchOf(has) && branchOf(built) >= 11
}

// speaksOf reports whether what is required is about the CUDA that an image was
// built with: then the image itself says with which drivers it runs.
func speaksOf(required []requirement, built string) bool {
	return slices.ContainsFunc(required, func(r requirement) bool {
		return slices.ContainsFunc(slices.Concat(r.alternatives...), func(c condition) bool {
			return c.property == "cuda" && branchOf(c.value) == branchOf(built)
		})
	})
}

// pending is which finding's steps change the driver; empty: nothing does.
func (j imageJudge) pending() string {
	for _, subject := range []string{"nvidia driver", "nvidia module loaded"} {
		if slices.ContainsFunc(j.found, func(f Finding) bool { return f.Subject == subject && f.State == Pending && len(f.Steps) > 0 }) {
			return subject
		}
	}
	return ""
}

// inUse are the GPUs that containers may be given: not those that are set aside.
func (p *driverPlan) inUse() []gpu {
	return slices.DeleteFunc(slices.Clone(p.f.GPUs), func(g gpu) bool {
		return g.Excluded || g.Driver != "" && g.Driver != "nvidia" && g.Driver != "nouveau"
	})
}

// today is the driver that containers would have now; empty: none.
func (p *driverPlan) today() []gpuWorld {
	v := p.f.Loaded.Version
	switch s := p.f.SMI; {
	case v == "":
		return nil
	case s != nil && s.CUDA != "" && s.Driver == v:
		return []gpuWorld{{driver: v, cuda: s.CUDA}}
	}
	return driverWorlds(v)
}

// afterwards is the driver that they will have once the plan has been carried
// out: one, or each that it may be as far as what is required tells them apart.
func (p *driverPlan) afterwards(required []requirement) []gpuWorld {
	if v := p.want(); v != "" {
		return driverWorlds(v)
	}
	first, last := p.need.first, p.need.last
	if p.installing() && p.to.branch != 0 {
		first, last = p.to.branch, p.to.branch
	}
	return p.w.worlds(required, first, last)
}

// worlds are the drivers of the wished range in the branches from first to last:
// those at the edges of branches, and at and just above each version of which the
// range or what is required speaks. Between two of these nothing changes.
func (w driverWish) worlds(required []requirement, first, last int) []gpuWorld {
	named := append(versionNumber.FindAllString(w.Constraint, -1), driversNamed(required)...)
	var tries []string
	branch := func(b int) { tries = append(tries, fmt.Sprint(b), fmt.Sprint(b, ".999")) }
	for _, row := range cudaOf {
		branch(row.branch)
	}
	branch(cudaOf[len(cudaOf)-1].branch + 1) // one of which the table does not tell
	for _, v := range named {
		branch(branchOf(v))
		tries = append(tries, v, v+".1")
	}
	slices.SortFunc(tries, compareVersions)
	var all []gpuWorld
	for _, v := range slices.CompactFunc(tries, func(a, b string) bool { return compareVersions(a, b) == 0 }) {
		if b := branchOf(v); b >= first && b <= last && b > 0 && w.within(v) {
			all = append(all, driverWorlds(v)...)
		}
	}
	return all
}

// nameOf is a driver in words: one, or what it may be.
func (p *driverPlan) nameOf(may []gpuWorld) string {
	switch {
	case len(may) == 0, slices.ContainsFunc(may, func(w gpuWorld) bool { return w.driver != may[0].driver }):
		return p.w.text()
	case len(may) > 1:
		return may[0].driver
	}
	return may[0].driver + " (CUDA " + may[0].cuda + ")"
}
