package inventory

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
)

var resourcesSpec = spec[Resources]{
	{"min_cpus", func(r *Resources, in input) { r.MinCPUs = wish(in.number(1, 1_000_000), in) }},
	{"min_memory", func(r *Resources, in input) { r.MinMemory = wish(in.size(), in) }},
	{"min_disk", func(r *Resources, in input) { r.MinDisk = wish(in.size(), in) }},
	{"disk_path", func(r *Resources, in input) { r.DiskPath = in.text(cleanPath) }},
}

var driverSpec = spec[Driver]{
	{"version", func(d *Driver, in input) { d.Constraint = in.version(constraint) }},
	{"source", func(d *Driver, in input) { d.Source = in.choice("distro", "cuda-repo", "runfile", "none") }},
	{"flavor", func(d *Driver, in input) { d.Flavor = in.choice("auto", "open", "proprietary") }},
	{"repository", func(d *Driver, in input) { d.Repository = in.text(httpURL) }},
	{"repository_key", func(d *Driver, in input) { d.RepositoryKey = strings.ToUpper(in.text(keyPrint)) }},
	{"runfile", func(d *Driver, in input) { d.Runfile = in.text(nil) }},
	{"sha256", func(d *Driver, in input) { d.SHA256 = strings.ToLower(in.text(checksum)) }},
	{"reboot", func(d *Driver, in input) { d.Reboot = in.choice("when-needed", "never") }},
	{"hold", func(d *Driver, in input) { d.Hold = in.boolean() }},
	{"fractional_gpu", func(d *Driver, in input) { d.FractionalGPU = in.boolean() }},
	{"busy", func(d *Driver, in input) { d.Busy, d.BusyWait = in.busy() }},
	{"require_gpu", func(d *Driver, in input) { d.RequireGPU = in.boolean() }},
	{"rollback", func(d *Driver, in input) { d.Rollback = in.boolean() }},
	{"non_free", func(d *Driver, in input) { d.NonFree = in.boolean() }},
}

func defaultDriver() Driver {
	return Driver{Source: "distro", Flavor: "auto", Reboot: "when-needed", Hold: true, Busy: "refuse", RequireGPU: true, NonFree: true}
}

var kubernetesSpec = spec[Kubernetes]{
	{"version", func(k *Kubernetes, in input) { k.Version = wish(in.version(constraint), in) }},
	{"openshift", func(k *Kubernetes, in input) { k.OpenShift = wish(in.version(constraint), in) }},
	{"control_plane", func(k *Kubernetes, in input) { k.ControlPlane = in.boolean() }},
	{"swap", func(k *Kubernetes, in input) { k.Swap = wish(in.choice("off", "allowed"), in) }},
	{"cgroup_driver", func(k *Kubernetes, in input) { k.CgroupDriver = wish(in.choice("systemd", "cgroupfs"), in) }},
	{"time_skew", func(k *Kubernetes, in input) { k.TimeSkew = wish(in.duration(100*time.Millisecond, time.Hour), in) }},
	{"kubeconfig", func(k *Kubernetes, in input) { k.Kubeconfig, k.ClusterWhy = in.text(nil), in.why }},
	{"context", func(k *Kubernetes, in input) { k.Context, k.ClusterWhy = in.text(nil), cmp.Or(k.ClusterWhy, in.why) }},
}

func defaultKubernetes() Kubernetes {
	return Kubernetes{Swap: Wish[string]{Value: "off"}, TimeSkew: Wish[time.Duration]{Value: time.Second}}
}

// namesCluster: the layer says only where the cluster is, and nothing of what its
// hosts must be like.
func namesCluster(l *layer) bool {
	for name := range l.attrs {
		if name != "kubeconfig" && name != "context" {
			return false
		}
	}
	return len(l.attrs) > 0
}

var toolkitSpec = spec[Toolkit]{
	{"version", func(t *Toolkit, in input) { t.Constraint = in.version(constraint) }},
	{"repository", func(t *Toolkit, in input) { t.Repository = in.text(httpURL) }},
	{"repository_key", func(t *Toolkit, in input) { t.RepositoryKey = strings.ToUpper(in.text(keyPrint)) }},
}

func checksum(s string) error {
	if !hexRE.MatchString(s) {
		return fmt.Errorf("%q is not a SHA-256 checksum; write the 64 hexadecimal digits that sha256sum prints", s)
	}
	return nil
}

func keyPrint(s string) error {
	if !fingerprintRE.MatchString(s) {
		return fmt.Errorf("%q is not the fingerprint of a key; write the 40 hexadecimal digits that gpg --show-keys prints, without blanks", s)
	}
	return nil
}

// busy is refuse, drain, or one of wait and drain with a duration.
func (in input) busy() (mode string, wait time.Duration) {
	in.text(func(s string) (err error) {
		word, d, waits := strings.Cut(s, "=")
		if waits && (word == "wait" || word == "drain") {
			mode = word
			wait, err = parseDuration(d, time.Second, 24*time.Hour)
			return err
		}
		if s == "wait" {
			return fmt.Errorf("%q does not say how long; write one such as \"wait=30m\"", s)
		}
		mode = s
		return oneOf("refuse", "drain", "wait=30m")(s)
	})
	return mode, wait
}

// checkDriver finds what only the whole of a driver block shows.
func (l *loader) checkDriver(d Driver, layers []*layer) {
	rng := layers[len(layers)-1].rng
	switch {
	case d.Source == "runfile" && !said(layers, "runfile"):
		l.errorf(rng, "Driver without runfile", "With source = \"runfile\" the file is needed: runfile = \"NVIDIA-Linux-x86_64-….run\".")
	case d.Source == "runfile" && !said(layers, "sha256"):
		l.warnf(rng, "Runfile without checksum", "A runfile is run as root, and nothing says which one is meant: whatever lies there at that moment is taken. Add its checksum: sha256 = \"…\", as sha256sum prints it.")
	case d.Source != "runfile" && d.Runfile != "":
		l.warnf(rng, "Runfile without effect", "A runfile is given, but source is %q. Say source = \"runfile\" to install from it, or leave it out.", d.Source)
	case d.Repository != "" && !slices.Contains([]string{"distro", "cuda-repo"}, d.Source):
		l.warnf(rng, "Repository without effect", "A repository is given, but source is %q. Say source = \"cuda-repo\" or \"distro\" to install from it, or leave it out.", d.Source)
	case d.RepositoryKey != "" && d.Repository == "":
		l.warnf(rng, "Key without effect", "repository_key is the key of a mirror, and no mirror is given. NVIDIA's own is known. Add repository = \"…\", or leave it out.")
	}
	if d.Source == "runfile" && d.Runfile != "" {
		if info, err := os.Stat(d.Runfile); err != nil || !info.Mode().IsRegular() {
			l.warnf(rng, "Runfile not found", "There is no file at the path that runfile names. It is read on this machine when apply uploads it.")
		}
	}
	if !satisfiable(d.Constraint) {
		l.errorf(rng, "Impossible driver version", "No version fulfils %q, which includes the profile's minimum. Change version.", d.Constraint)
	}
}

// both joins constraints: all of them must hold.
func both(constraints ...string) string {
	var parts []string
	for _, c := range constraints {
		if c != "" && !slices.Contains(parts, c) {
			parts = append(parts, c)
		}
	}
	return strings.Join(parts, ", ")
}

// satisfiable reports whether some version fulfils c. The bounds named in it,
// and the versions next to them, are tried: where none of these fits, no
// other does.
func satisfiable(c string) bool {
	if c == "" {
		return true
	}
	parsed, err := version.NewConstraint(c)
	if err != nil {
		return true // reported where it was written
	}
	candidates := []string{"0", "999999"}
	for _, one := range parsed {
		v := strings.TrimLeft(one.String(), "=!<>~ ")
		candidates = append(candidates, v, v+".0.0.1", below(v))
	}
	return slices.ContainsFunc(candidates, func(s string) bool {
		v, err := version.NewVersion(s)
		return err == nil && parsed.Check(v)
	})
}

// below is a version shortly before v.
func below(v string) string {
	parsed, err := version.NewVersion(v)
	if err != nil {
		return v
	}
	numbers := parsed.Segments()
	for i := len(numbers) - 1; i >= 0; i-- {
		if numbers[i] > 0 {
			numbers[i]--
			for j := i + 1; j < len(numbers); j++ {
				numbers[j] = 999999
			}
			break
		}
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", "."), "[]") + ".999999"
}
