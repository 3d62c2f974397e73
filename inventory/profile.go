package inventory

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DefaultProfile is used where an inventory names none.
const DefaultProfile = "runai-2020"

//go:embed profiles/*.hcl
var profileFiles embed.FS

// A Profile is a named set of requirements: what a machine needs to become
// part of a cluster that runs Run:ai of some release. What its source does not
// say is left zero.
type Profile struct {
	Name    string
	Extends string // the profile it is built on; may be empty
	Title   string
	Source  string // the document it was taken from
	BuiltIn bool

	Kubernetes  Requirement
	OpenShift   Requirement
	GPUOperator Requirement
	Driver      Requirement // of hosts with GPUs
	Fractional  Fractional
	Runtimes    Runtimes
	Storage     Storage // what every host that runs containers shares
	Roles       []RoleRequirement
	Endpoints   []Endpoint
	Advice      []Advice // what no task looks at, for people
}

// A Requirement bounds a version, below, above or both.
type Requirement struct {
	Constraint  string   // go-version syntax, such as ">= 1.23, < 1.29"; empty: not said
	Recommended string   // one version; may be empty
	Excluded    []string // releases within Constraint that are not supported, with all their patches; of Kubernetes and OpenShift
	Title       string   // "NVIDIA driver"
	Text        string   // the sentence of the source that asks for it
	Source      string   // the document of the sentence
	Why         string   // "runai-2020: NVIDIA driver"
}

// Fractional is what sharing a GPU between containers asks for on top.
type Fractional struct {
	Driver     string // constraint
	CUDA       string // constraint
	Frameworks []string
	Title      string
	Text       string
	Source     string
	Why        string
}

// Runtimes are the container runtimes that are supported. It is unset when Why
// is empty.
type Runtimes struct {
	Supported []string // containerd, docker, crio
	Title     string
	Text      string
	Source    string
	Why       string
}

// Storage is a volume that containers reach alike from every host. It is unset
// when Why is empty.
type Storage struct {
	Title  string
	Text   string
	Source string
	Why    string
}

// A RoleRequirement is what hosts of a role need.
type RoleRequirement struct {
	Role        string
	Title       string
	Recommended bool // such a host is recommended, not required
	// StandIn is the role whose hosts take the place of this one where no host
	// of the inventory has it; may be empty.
	StandIn   string
	MinCPUs   Wish[int]
	MinMemory Wish[Bytes]
	MinDisk   Wish[Bytes]
	Text      string
	Source    string
	Why       string
}

// Advice is a recommendation of a profile's source.
type Advice struct {
	Name   string
	Title  string
	Text   string
	Source string
}

// Role returns what the profile asks of hosts of a role.
func (p *Profile) Role(role string) (RoleRequirement, bool) {
	i := slices.IndexFunc(p.Roles, func(r RoleRequirement) bool { return r.Role == role })
	if i < 0 {
		return RoleRequirement{}, false
	}
	return p.Roles[i], true
}

func (p *Profile) endpointHosts() []string {
	var hosts []string
	for _, e := range p.Endpoints {
		hosts = append(hosts, e.Host)
	}
	return hosts
}

// Profiles returns the built-in profiles, by name.
func Profiles() []*Profile {
	l := newLoader(".", Options{LookupEnv: func(string) (string, bool) { return "", false }})
	l.profiles(nil)
	var all []*Profile
	for _, name := range builtIn() {
		if p := l.profile.find(l, name); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// ProfileSource returns the HCL of a built-in profile.
func ProfileSource(name string) ([]byte, error) {
	if !slices.Contains(builtIn(), name) {
		return nil, fmt.Errorf("there is no built-in profile %q; there are %s", name, strings.Join(builtIn(), ", "))
	}
	return profileFiles.ReadFile("profiles/" + name + ".hcl")
}

// builtIn lists the names of the built-in profiles.
func builtIn() []string {
	files, err := fs.Glob(profileFiles, "profiles/*.hcl")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".hcl")
	}
	return files
}

// A profileSet holds the profiles declared in an inventory, and those built in
// once they are asked for.
type profileSet struct {
	names    []string // of all
	declared map[string]*declaredProfile
	done     map[string]*Profile
}

// A declaredProfile is one requirements block, evaluated.
type declaredProfile struct {
	name, extends, title, source string
	extendsAt, rng               hcl.Range
	builtIn                      bool
	level                        *level
}

// profiles reads the requirements blocks and resolves each, so that the faults
// of unused ones show too.
func (l *loader) profiles(blocks hcl.Blocks) {
	l.profile = profileSet{builtIn(), map[string]*declaredProfile{}, map[string]*Profile{}}
	for _, b := range blocks {
		if !slices.Contains(l.profile.names, b.Labels[0]) {
			l.profile.names = append(l.profile.names, b.Labels[0])
		}
	}
	for _, b := range blocks {
		n := b.Labels[0]
		if err := name(n); err != nil {
			l.errorf(b.LabelRanges[0], "Invalid profile name", "%s", sentence(err))
		}
		if slices.Contains(builtIn(), n) {
			l.errorf(b.LabelRanges[0], "Duplicate profile", "The profile %q is built in. Choose another name, and say extends = %q to build on it.", n, n)
			continue
		}
		if before := l.profile.declared[n]; before != nil {
			l.errorf(b.LabelRanges[0], "Duplicate profile", "The profile %q is declared a second time; the first is at %s. Rename one.", n, place(before.rng))
			continue
		}
		l.profile.declared[n] = l.declareProfile(b, false)
	}
	l.profileCycles()
	for _, n := range sortedKeys(l.profile.declared) {
		l.profile.find(l, n)
	}
}

func (l *loader) declareProfile(b *hcl.Block, builtIn bool) *declaredProfile {
	d := &declaredProfile{name: b.Labels[0], rng: b.DefRange, builtIn: builtIn}
	schema := levelSchema([]string{"extends", "title", "source"}, profileKinds)
	schema.Attributes = schema.Attributes[1:] // a profile has no requirements
	content := l.content(b.Body, schema)
	d.level = l.evaluateLevel(l.readLevel(content, profileKinds), l.root)
	for name, to := range map[string]*string{"extends": &d.extends, "title": &d.title, "source": &d.source} {
		raw := content.Attributes[name]
		if raw == nil {
			continue
		}
		l.checkNames(raw.Expr, nil)
		if a, ok := l.attribute(raw, l.root); ok {
			check := plainText
			if name == "extends" {
				check, d.extendsAt = l.profile.check, raw.Expr.Range()
			}
			*to = input{a, &l.faults}.text(check)
		}
	}
	// Wishes of a profile say where they come from in its own words.
	for kind, layers := range d.level.blocks {
		for _, la := range layers {
			words := la.label
			if words == "" || kind == "role" {
				words = strings.TrimSpace(strings.ReplaceAll(kind, "_", " ") + " " + la.label)
			}
			if t, ok := la.attrs["title"]; ok {
				words = input{t, nil}.text(nil)
			}
			la.why = d.name + ": " + words
			la.source = cmp.Or(d.source, "the profile "+d.name+", at "+place(d.rng))
			if e, err := parseEndpoint(la.label); kind == "endpoint" && err == nil {
				la.label = fmt.Sprintf("%s:%d", e.Host, cmp.Or(e.Port, 443)) // quay.io is quay.io:443
			}
			for n, a := range la.attrs {
				a.why = la.why
				la.attrs[n] = a
			}
		}
	}
	return d
}

// profileCycles reports profiles that extend each other in a circle, and cuts
// the circle.
func (l *loader) profileCycles() {
	for _, n := range sortedKeys(l.profile.declared) {
		var path []string
		for d := l.profile.declared[n]; d != nil; d = l.profile.declared[d.extends] {
			if i := slices.Index(path, d.name); i >= 0 {
				first := l.profile.declared[path[i]]
				l.errorf(first.extendsAt, "Cycle of profiles", "The profiles extend each other in a circle: %s. Let one of them extend a built-in profile.", strings.Join(append(path[i:], d.name), " → "))
				first.extends = ""
				break
			}
			path = append(path, d.name)
		}
	}
}

// find returns the profile of a name with all that it extends, or nil.
func (s *profileSet) find(l *loader, name string) *Profile {
	if p, ok := s.done[name]; ok {
		return p
	}
	d := s.declared[name]
	if d == nil {
		if d = l.loadBuiltIn(name); d == nil {
			return nil
		}
	}
	var chain []*declaredProfile // low to high
	for at := d; ; {
		chain = append([]*declaredProfile{at}, chain...)
		if at.extends == "" {
			break
		}
		below := s.declared[at.extends]
		if below == nil {
			below = l.loadBuiltIn(at.extends)
		}
		if below == nil {
			break // reported
		}
		at = below
	}
	p := merged(chain)
	s.done[name] = p
	return p
}

// loadBuiltIn reads one built-in profile.
func (l *loader) loadBuiltIn(name string) *declaredProfile {
	if !slices.Contains(builtIn(), name) {
		return nil
	}
	file := "profiles/" + name + ".hcl"
	src, err := profileFiles.ReadFile(file)
	if err != nil {
		return nil
	}
	parsed, diags := hclsyntax.ParseConfig(src, file, hcl.InitialPos)
	l.add(diags...)
	content := l.content(parsed.Body, &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "requirements", LabelNames: []string{"name"}}}})
	for _, b := range content.Blocks {
		d := l.declareProfile(b, true)
		l.profile.declared[d.name] = d
		return d
	}
	return nil
}

// chosen is the profile that an attribute names; nil after a fault.
func (l *loader) chosen(in input) (p *Profile) {
	if name := in.text(l.profile.check); name != "" {
		p = l.profile.find(l, name)
	}
	return p
}

// check refuses the names of profiles that there are not.
func (s *profileSet) check(name string) error {
	if slices.Contains(s.names, name) {
		return nil
	}
	return fmt.Errorf("there is no profile %q.%s", name, didYouMean(name, s.names))
}
