package inventory

import (
	"cmp"
	"slices"
)

// This file is the language that profiles are written in: its blocks, and how
// those of a chain of profiles lie over each other.

var (
	versionSpec = spec[Requirement]{
		{"version", func(r *Requirement, in input) { r.Constraint = in.version(constraint) }},
		{"recommended", func(r *Requirement, in input) { r.Recommended = in.version(versionText) }},
		{"title", func(r *Requirement, in input) { r.Title = in.text(nil) }},
		{"text", func(r *Requirement, in input) { r.Text = in.text(nil) }},
		{"source", func(r *Requirement, in input) { r.Source = in.text(nil) }},
	}
	// clusterSpec is of what has releases: 1.22 leaves out 1.22.3, too.
	clusterSpec = append(versionSpec[:len(versionSpec):len(versionSpec)], spec[Requirement]{
		{"excluded", func(r *Requirement, in input) { r.Excluded = in.texts(versionText) }},
	}...)
	fractionalSpec = spec[Fractional]{
		{"driver", func(f *Fractional, in input) { f.Driver = in.version(constraint) }},
		{"cuda", func(f *Fractional, in input) { f.CUDA = in.version(constraint) }},
		{"frameworks", func(f *Fractional, in input) { f.Frameworks = in.texts(nil) }},
		{"title", func(f *Fractional, in input) { f.Title = in.text(nil) }},
		{"text", func(f *Fractional, in input) { f.Text = in.text(nil) }},
		{"source", func(f *Fractional, in input) { f.Source = in.text(nil) }},
	}
	runtimeSpec = spec[Runtimes]{
		{"supported", func(r *Runtimes, in input) { r.Supported = in.texts(oneOf("containerd", "docker", "crio")) }},
		{"title", func(r *Runtimes, in input) { r.Title = in.text(nil) }},
		{"text", func(r *Runtimes, in input) { r.Text = in.text(nil) }},
		{"source", func(r *Runtimes, in input) { r.Source = in.text(nil) }},
	}
	storageSpec = spec[Storage]{
		{"title", func(s *Storage, in input) { s.Title = in.text(nil) }},
		{"text", func(s *Storage, in input) { s.Text = in.text(nil) }},
		{"source", func(s *Storage, in input) { s.Source = in.text(nil) }},
	}
	roleSpec = spec[RoleRequirement]{
		{"title", func(r *RoleRequirement, in input) { r.Title = in.text(nil) }},
		{"recommended", func(r *RoleRequirement, in input) { r.Recommended = in.boolean() }},
		{"stand_in", func(r *RoleRequirement, in input) { r.StandIn = in.text(name) }},
		{"min_cpus", func(r *RoleRequirement, in input) { r.MinCPUs = wish(in.number(1, 1_000_000), in) }},
		{"min_memory", func(r *RoleRequirement, in input) { r.MinMemory = wish(in.size(), in) }},
		{"min_disk", func(r *RoleRequirement, in input) { r.MinDisk = wish(in.size(), in) }},
		{"text", func(r *RoleRequirement, in input) { r.Text = in.text(nil) }},
		{"source", func(r *RoleRequirement, in input) { r.Source = in.text(nil) }},
	}
	endpointSpec = spec[Endpoint]{
		{"phase", func(e *Endpoint, in input) { e.Phase = in.choice("install", "run") }},
		{"roles", func(e *Endpoint, in input) { e.Roles = in.texts(name) }},
		{"title", func(e *Endpoint, in input) { e.Title = in.text(nil) }},
		{"text", func(e *Endpoint, in input) { e.Text = in.text(nil) }},
		{"source", func(e *Endpoint, in input) { e.Source = in.text(nil) }},
	}
	adviceSpec = spec[Advice]{
		{"title", func(a *Advice, in input) { a.Title = in.text(nil) }},
		{"text", func(a *Advice, in input) { a.Text = in.text(nil) }},
		{"source", func(a *Advice, in input) { a.Source = in.text(nil) }},
	}
)

// profileKinds are the blocks of a requirements block.
var profileKinds = []kind{
	kindOf("kubernetes", clusterSpec, nil, true),
	kindOf("openshift", clusterSpec, nil, true),
	kindOf("gpu_operator", versionSpec, nil, true),
	kindOf("nvidia_driver", versionSpec, nil, true),
	kindOf("fractional_gpu", fractionalSpec, nil, true),
	kindOf("runtimes", runtimeSpec, nil, true),
	kindOf("shared_storage", storageSpec, nil, true),
	kindOf("role", roleSpec, name, true),
	kindOf("endpoint", endpointSpec, endpointLabel, true),
	kindOf("advice", adviceSpec, name, true),
}

func endpointLabel(s string) error { _, err := parseEndpoint(s); return err }

// merged lays a chain of profiles over each other.
func merged(chain []*declaredProfile) *Profile {
	top := chain[len(chain)-1]
	p := &Profile{Name: top.name, Extends: top.extends, BuiltIn: top.builtIn}
	var levels []*level
	for _, d := range chain {
		levels = append(levels, d.level)
		if d.title != "" {
			p.Title = d.title
		}
		if d.source != "" {
			p.Source = d.source
		}
	}
	for kind, to := range map[string]*Requirement{"kubernetes": &p.Kubernetes, "openshift": &p.OpenShift, "gpu_operator": &p.GPUOperator, "nvidia_driver": &p.Driver} {
		if layers := layersOf(levels, kind); len(layers) > 0 {
			var r Requirement
			why, on := fold(clusterSpec, layers, &r) // a superset of versionSpec
			r.Text, r.Source = sentenceOf(layers)
			if r.Why = why; on {
				*to = r
			}
		}
	}
	if layers := layersOf(levels, "fractional_gpu"); len(layers) > 0 {
		var f Fractional
		why, on := fold(fractionalSpec, layers, &f)
		f.Text, f.Source = sentenceOf(layers)
		if f.Why = why; on {
			p.Fractional = f
		}
	}
	if layers := layersOf(levels, "runtimes"); len(layers) > 0 {
		var r Runtimes
		why, on := fold(runtimeSpec, layers, &r)
		r.Text, r.Source = sentenceOf(layers)
		if r.Why = why; on {
			p.Runtimes = r
		}
	}
	if layers := layersOf(levels, "shared_storage"); len(layers) > 0 {
		var r Storage
		why, on := fold(storageSpec, layers, &r)
		r.Text, r.Source = sentenceOf(layers)
		if r.Why = why; on {
			p.Storage = r
		}
	}
	labels, byLabel := labelled(levels, "role")
	for _, role := range labels {
		r := RoleRequirement{Role: role, Title: role}
		why, on := fold(roleSpec, byLabel[role], &r)
		r.Text, r.Source = sentenceOf(byLabel[role])
		if r.Why = why; on {
			p.Roles = append(p.Roles, r)
		}
	}
	labels, byLabel = labelled(levels, "endpoint")
	for _, label := range labels {
		e, err := parseEndpoint(label)
		if err != nil {
			continue // reported
		}
		if why, on := fold(endpointSpec, byLabel[label], &e); on {
			e.Why = why
			e.Text, e.Source = sentenceOf(byLabel[label])
			p.Endpoints = append(p.Endpoints, e)
		}
	}
	labels, byLabel = labelled(levels, "advice")
	for _, label := range labels {
		a := Advice{Name: label}
		if _, on := fold(adviceSpec, byLabel[label], &a); on {
			a.Text, a.Source = sentenceOf(byLabel[label])
			p.Advice = append(p.Advice, a)
		}
	}
	return p
}

// sentenceOf is what asks for the values of layers, and where it stands: that of
// the highest layer that has a say in them. A sentence of a profile below says
// nothing of a value that was changed above it.
func sentenceOf(layers []*layer) (text, source string) {
	for _, l := range slices.Backward(layers) {
		own := func(name string) string {
			at, ok := l.attrs[name]
			if !ok {
				return ""
			}
			return input{at, nil}.text(nil)
		}
		says := slices.ContainsFunc(sortedKeys(l.attrs), func(name string) bool { return name != "title" && name != "enabled" })
		if says || l == layers[0] {
			return own("text"), cmp.Or(own("source"), l.source)
		}
	}
	return "", ""
}
