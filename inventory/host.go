package inventory

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// An Inventory is what Load read: every host with everything that applies to
// it already merged, and the sources, for printing diagnostics.
type Inventory struct {
	Path         string     // as the user gave it: a file or a folder
	Requirements *Profile   // the profile of the whole fleet
	Declared     []*Profile // the profiles that the inventory declares, by name
	Hosts        []Host     // in the order declared, patterns expanded
	Files        map[string]*hcl.File
	Sensitive    []string // the names of the variables declared sensitive
}

// A Host is one machine of the inventory.
type Host struct {
	Name    string // unique
	Address string // host name or IP address, without a port; the name where none is given
	Role    string // gpu, cpu, proxy, or any name with a role block; may be empty
	Groups  []string
	Why     string // its host block, as "inventory.hcl:31"

	// Settings are shared by all hosts to which the same blocks apply in the
	// same way: ten thousand hosts from one pattern hold one. Read only.
	*Settings
}

// Settings are the wishes for a host, merged attribute by attribute from the
// profile, the top level, its role, its groups and its own block.
type Settings struct {
	Requirements *Profile
	Unfilled     []RoleRequirement // roles that the profile would have a host for, and no host of the inventory has
	SSH          SSH
	Sudo         Sudo
	Resources    Resources
	Proxy        *Proxy      // nil: no proxy wished
	Squid        *Squid      // nil: this host is not the proxy
	Registries   []Registry  // by label
	Egress       []Endpoint  // the profile's endpoints for the role less skip, plus allow and the registries of images, and where they send on to
	Driver       *Driver     // nil: no nvidia_driver block applies
	Mounts       []Mount     // by path, parents before children
	Kubernetes   *Kubernetes // nil: taken away with enabled = false
	Images       []Image     // that are to run on it, as listed
	Toolkit      *Toolkit    // nil: no container_toolkit block applies
	Ignore       []Ignored   // in the order in which they hold: the first that matches
}

// An Ignored is a finding that somebody takes responsibility for: it is shown
// as it is, does not count, and nothing is done about it.
type Ignored struct {
	Finding string // TASK/SUBJECT; the subject may hold the globs * and ?
	Reason  string // in the words of who ignores it; never empty
	Why     string // "inventory.hcl:12"
}

// A Wish is a wanted value and where the wish comes from. It is unset when Why
// is empty.
type Wish[T any] struct {
	Value T
	Why   string // "inventory.hcl:31", or "runai-2020: dedicated CPU-only worker"
}

// IsSet reports whether anyone wished anything.
func (w Wish[T]) IsSet() bool { return w.Why != "" }

// Bytes is a size in bytes.
type Bytes int64

// SSH is the way to a host. What is unset here (a zero value) may come from
// ~/.ssh/config, and then from OpenSSH's defaults.
type SSH struct {
	User           string
	Port           int
	IdentityFiles  []string // "~/" is expanded by remote
	Password       secret.Text
	KnownHosts     []string
	HostKey        string // "strict" (also when empty) or "accept-new"
	HostKeySHA256  string // "SHA256:…"; pins the key of one host
	Bastions       []Bastion
	ConnectTimeout time.Duration
	Keepalive      time.Duration
}

// A Bastion is one hop on the way to a host.
type Bastion struct {
	User string // empty: as for the host
	Host string
	Port int // 0: 22, or what ~/.ssh/config says
}

// Sudo is how to become root.
type Sudo struct {
	Enabled  bool // false: look without root
	Password secret.Text
}

// Resources are minima. Memory and disk sizes are the binary ones that the
// user wrote: "4GiB", and "4GB" as sold.
type Resources struct {
	MinCPUs   Wish[int]
	MinMemory Wish[Bytes]
	MinDisk   Wish[Bytes]
	DiskPath  string // whose filesystem MinDisk is about
}

// A Proxy is the outbound proxy that a host must use; or, without a URL, the
// authority of a box that looks into TLS on the way and is no proxy.
type Proxy struct {
	HTTPProxy      string // URL without credentials; may be empty
	HTTPSProxy     string
	Username       string
	Password       secret.Text
	NoProxy        []string       // as given
	Direct         []Wish[string] // NO_PROXY whole: NoProxy, what the inventory knows to be inside, and what always is
	CACertificates []string       // PEM
	Targets        []string       // nil: the default set
	Why            string
}

// HasURL reports whether there is a proxy to be asked. It is false of nil.
func (p *Proxy) HasURL() bool { return p != nil && (p.HTTPProxy != "" || p.HTTPSProxy != "") }

// Straight are the values of Direct.
func (p *Proxy) Straight() []string {
	entries := make([]string, len(p.Direct))
	for i, d := range p.Direct {
		entries[i] = d.Value
	}
	return entries
}

// A Squid makes the host itself the outbound proxy.
type Squid struct {
	Port    int
	Clients []string   // CIDRs; empty: nobody but the host itself
	Allow   []Endpoint // what all hosts of the inventory need, sorted
	Why     string
}

// A Registry is an on-premise image registry.
type Registry struct {
	Name     string // host:port
	MirrorOf []string
	CA       string // PEM; may be empty
	Insecure bool
	Why      string
}

// An Endpoint is something outside that a host must reach.
type Endpoint struct {
	Host  string // a name, an address, or a domain with all names below it: *.pkg.dev
	Port  int
	Phase string   // "install", "run", or empty for both
	Roles []string // whose hosts need it; empty: all
	Title string   // what it is, in the words of its source; may be empty
	Text  string   // the sentence of the source that asks for it; may be empty
	// Source is the document of the sentence; empty for an endpoint of the inventory.
	Source string
	// Listed: only in lists of what to allow; no single host can be asked whether
	// it is reached.
	Listed bool
	Why    string
}

// A Mount is an NFS export that must be mounted now and after every boot.
type Mount struct {
	Path      string // absolute and clean
	Server    string // name or address, IPv6 without brackets
	Export    string // absolute path on the server
	Version   string // "3", "4", "4.0", "4.1", "4.2"; empty: negotiate
	Options   []string
	Automount bool
	Why       string
}

// Kubernetes is what a host must be like to join a cluster. Both versions are
// constraints in go-version syntax, the profile's included; a host is measured
// by the one that fits what runs on it.
type Kubernetes struct {
	Version              Wish[string]
	Recommended          string // one version; may be empty
	OpenShift            Wish[string]
	OpenShiftRecommended string
	Excluded             []string // releases that Version admits and the profile does not support; see Excluded
	OpenShiftExcluded    []string
	ControlPlane         bool // the host also runs the API server and etcd, or will
	// These have no Why of their own where nobody has set them.
	Swap         Wish[string]        // off, allowed
	CgroupDriver Wish[string]        // systemd, cgroupfs; empty: the one that kubelet is set to
	TimeSkew     Wish[time.Duration] // from the controller's clock, at most
	// The cluster that the host is in, or will be, is asked by the controller's
	// kubectl where one of the two is given.
	Kubeconfig string // a file on the controller; empty: kubectl's own choice
	Context    string // in it; empty: its current one
	ClusterWhy string // where these two are given
	// Why is where Kubernetes is asked for: its block, else the profile's
	// requirement, else the block that names the cluster alone; empty: nobody asks
	// for it, and nothing is looked at.
	Why string
}

// A Toolkit is the wished NVIDIA Container Toolkit: packages, and the runtimes
// that are told of it.
type Toolkit struct {
	Constraint string // go-version syntax; empty: whichever the repository has
	Repository string // a mirror of NVIDIA's; empty: NVIDIA's own
	// RepositoryKey is the fingerprint of the key that a mirror is signed with
	// anew; empty: NVIDIA's.
	RepositoryKey string
	Why           string
}

// A Driver is the wished NVIDIA driver.
type Driver struct {
	Constraint    string // go-version syntax, the profile's minimum included
	Source        string // distro, cuda-repo, runfile, none
	Flavor        string // auto, open, proprietary
	Repository    string
	RepositoryKey string // fingerprint of the key that the mirror is signed with, 40 digits; empty: the vendor's
	Runfile       string
	SHA256        string
	Reboot        string // when-needed, never
	Hold          bool
	FractionalGPU bool
	MinCUDA       string // the profile's constraint, with FractionalGPU; go-version syntax
	Busy          string // refuse, wait, drain
	BusyWait      time.Duration
	RequireGPU    bool
	Rollback      bool
	NonFree       bool // Debian: the components contrib and non-free may be enabled for it
	Why           string
}
