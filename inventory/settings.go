package inventory

import (
	"cmp"
	"slices"
)

// settings merges the levels of a host, low to high, over the profile. It is
// done once for all hosts to which the same levels apply.
func (l *loader) settings(p *Profile, role string, levels []*level) *Settings {
	s := &Settings{
		Requirements: p,
		Unfilled:     l.unfilled(p),
		Sudo:         Sudo{Enabled: true},
		Resources:    Resources{DiskPath: "/var/lib"},
	}
	s.Kubernetes = l.kubernetes(p, layersOf(levels, "kubernetes"))
	if r, ok := l.asksOf(p, role); ok {
		s.Resources.MinCPUs, s.Resources.MinMemory, s.Resources.MinDisk = r.MinCPUs, r.MinMemory, r.MinDisk
	}
	if la := layersOf(levels, "ssh"); len(la) > 0 {
		fold(sshSpec, la, &s.SSH)
		for _, list := range [][]string{s.SSH.IdentityFiles, s.SSH.KnownHosts} {
			for i, f := range list {
				list[i] = l.resolve(f)
			}
		}
	}
	if la := layersOf(levels, "sudo"); len(la) > 0 {
		fold(sudoSpec, la, &s.Sudo)
	}
	if la := layersOf(levels, "resources"); len(la) > 0 {
		if _, on := fold(resourcesSpec, la, &s.Resources); !on {
			s.Resources = Resources{DiskPath: s.Resources.DiskPath}
		}
	}
	if la := layersOf(levels, "proxy"); len(la) > 0 {
		var x Proxy
		if why, on := fold(proxySpec, la, &x); on {
			x.Why, s.Proxy = why, &x
			l.checkProxy(&x, la)
			for _, layer := range la {
				if at, ok := layer.attrs["no_proxy"]; ok {
					l.noProxyAt[&x] = at.expr.Range()
				}
			}
		}
	}
	if la := layersOf(levels, "squid"); len(la) > 0 {
		x := Squid{Port: 3128}
		if why, on := fold(squidSpec, la, &x); on {
			x.Why, s.Squid = why, &x
			if !said(la, "clients") {
				l.warnf(la[len(la)-1].rng, "Squid without clients", "Nobody but the host itself may use this proxy. Name the networks of the hosts: clients = [\"10.0.0.0/8\"].")
			}
		}
	}
	if la := layersOf(levels, "nvidia_driver"); len(la) > 0 {
		x := defaultDriver()
		if why, on := fold(driverSpec, la, &x); on {
			x.Why, s.Driver = why, &x
			x.Constraint = both(x.Constraint, p.Driver.Constraint)
			if x.FractionalGPU {
				x.Constraint = both(x.Constraint, p.Fractional.Driver)
				x.MinCUDA = p.Fractional.CUDA
			}
			x.Runfile = l.path(x.Runfile)
			l.checkDriver(x, la)
		}
	}
	if la := layersOf(levels, "container_toolkit"); len(la) > 0 {
		var x Toolkit
		if why, on := fold(toolkitSpec, la, &x); on {
			x.Why, s.Toolkit = why, &x
		}
	}
	labels, byLabel := labelled(levels, "nfs_mount")
	for _, path := range labels {
		m := Mount{Path: path}
		if why, on := fold(mountSpec, byLabel[path], &m); on {
			m.Why = why
			l.checkMount(m, byLabel[path])
			s.Mounts = append(s.Mounts, m)
		}
	}
	slices.SortFunc(s.Mounts, func(a, b Mount) int { return cmp.Compare(a.Path, b.Path) })
	labels, byLabel = labelled(levels, "registry")
	for _, n := range labels {
		r := Registry{Name: n}
		if why, on := fold(registrySpec, byLabel[n], &r); on {
			r.Why = why
			l.checkRegistry(r, byLabel[n])
			s.Registries = append(s.Registries, r)
		}
	}
	slices.SortFunc(s.Registries, func(a, b Registry) int { return cmp.Compare(a.Name, b.Name) })
	s.Ignore = mergeIgnored(levels)
	s.Images = imagesOf(levels, role)
	s.Egress = l.endpoints(p, role, layersOf(levels, "egress"), imageEndpoints(s.Images, s.Registries))
	return s
}

// kubernetes is what the profile asks for, and the blocks over it; nil where
// they take it away.
func (l *loader) kubernetes(p *Profile, layers []*layer) *Kubernetes {
	k := defaultKubernetes()
	on, blocks := true, ""
	if len(layers) > 0 {
		blocks, on = fold(kubernetesSpec, layers, &k)
		k.Kubeconfig = l.path(k.Kubeconfig)
		if asking := slices.DeleteFunc(slices.Clone(layers), namesCluster); len(asking) > 0 {
			k.Why, _ = fold(nil, asking, &k)
		}
	}
	if !on {
		return nil
	}
	k.Version = bothWishes(k.Version, Wish[string]{p.Kubernetes.Constraint, p.Kubernetes.Why})
	k.OpenShift = bothWishes(k.OpenShift, Wish[string]{p.OpenShift.Constraint, p.OpenShift.Why})
	k.Excluded, k.OpenShiftExcluded = p.Kubernetes.Excluded, p.OpenShift.Excluded
	k.Recommended, k.OpenShiftRecommended = p.Kubernetes.Recommended, p.OpenShift.Recommended
	k.Why = cmp.Or(k.Why, k.Version.Why, k.OpenShift.Why, blocks)
	return &k
}

// bothWishes demands what a wish and the profile demand.
func bothWishes(w, profile Wish[string]) Wish[string] {
	switch {
	case !w.IsSet():
		return profile
	case !profile.IsSet() || profile.Value == "":
		return w
	}
	return Wish[string]{both(w.Value, profile.Value), w.Why + ", " + profile.Why}
}
