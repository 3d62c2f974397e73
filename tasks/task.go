// Package tasks holds what is known of hosts: one task a subject, each with how
// to look (a probe in POSIX sh), what was seen (facts), what is wanted, and
// the steps between them. Everything but the text of a probe is pure.
//
// Where things are:
//
//	task.go       the vocabulary, and All: the order of work
//	prelude.go    shell functions that all probes share; blocks.go reads what they print
//	os.go         which system, package manager and init a host has
//	ledger.go     what was put on a host, remembered there, so that it can be taken away again
//	edit.go       single lines of files that belong to somebody else
//	reached.go    the way to what is outside, and what came of it
//	resources.go  CPUs, memory, disk
//	proxy.go      the outbound proxy: its probe; proxywish.go as files spell it,
//	              proxyfacts.go, proxyplan.go with proxyapt.go and proxyunits.go,
//	              proxygone.go what is taken away, trust.go certificates
//	squid.go      the host that is the proxy: its probe; squidconf.go the rules in
//	              squid's language, squidplan.go, squidsteps.go
//	registry.go   on-premise registries: its probe; registryfacts.go, registryplan.go,
//	              a file for each runtime, registryreach.go the way there,
//	              registrygone.go what is taken away; toml.go and jsonedit.go change
//	              single values of files that belong to somebody else
//	egress.go     the endpoints outside; egresstoday.go the way that runtimes take now
//	driver.go     the NVIDIA driver: its reader, with driverread.go and driveroffers.go;
//	              driverprobe.go, driverprobekernels.go and driverprobeask.go the probe,
//	              driverfacts.go, drivergpu.go which GPU it is; driverplan.go, and the files
//	              beside it, what is wanted and how it is done
//	kubernetes.go what a host must be like to join a cluster: kubernetesprobe.go,
//	              kubernetesread.go, kubernetesplan.go; kubernetesversions.go,
//	              kubernetesswap.go, kubernetessettings.go (modules, sysctls),
//	              kubernetesnode.go (ports, names, clock, security),
//	              kubernetesfirewall.go, kubernetescluster.go what the cluster says of the
//	              host; toolkit.go, toolkitsteps.go what shows GPUs
//	              to containers
//	images.go     container images that are to run: where they come from and what
//	              they ask of the driver; imagerequire.go in which language
//	acrossfleet.go what only the hosts together show
//	nfs.go        NFS mounts: facts; nfsprobe.go, nfsplan.go, nfspossible.go,
//	              nfsbusy.go who uses them, nfssteps.go, nfstry.go what the server says
//	              before anything is changed, nfsgone.go what is taken away;
//	              nfsshared.go the profile's shared volume;
//	              fstab.go, mounts.go and mountoptions.go what fstab and the kernel say
//
// A new task is a file with a Task value in All, and cases in testdata; see
// TestCases. Cases are recorded on real hosts.
package tasks

import (
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A Task knows one aspect of a host.
type Task struct {
	Name string
	// Probe is read-only POSIX sh that prints; it fails when it cannot look.
	// It may use the functions of Prelude. It may hold secrets (they travel
	// on stdin), so it is never logged.
	Probe func(inventory.Host) string
	// Reach names the endpoints outside that are to be tried from the host,
	// beside the probe; nil: none. The outcome is in Section.Reached.
	Reach func(inventory.Host) []remote.Endpoint
	// More names further endpoints, of which only what the probes printed tells;
	// nil: none. Their outcome follows those of Reach. Pure.
	More func(inventory.Host, []remote.Section) []remote.Endpoint
	// Cluster is the one that is asked for the host beside the probe; nil: none.
	// What it says is in Section.Cluster: see OfHost.
	Cluster func(inventory.Host) *remote.Cluster
	// Timeout is how long the probe may take; 0: ten seconds.
	Timeout time.Duration
	// Read turns what the probe printed into the task's own typed facts,
	// which encode to JSON for the command `facts`. Pure.
	Read func(remote.Section) (Facts, error)
	// Plan compares facts with wishes. Pure: no clock, no network, no
	// randomness. The steps of its findings run in order, and each finding
	// is planned as if the steps of those before it had been carried out.
	Plan func(inventory.Host, Facts) []Finding
	// Independent: the findings are wishes of their own, so that a command
	// that fails ends its finding alone, and one dead server does not keep
	// every other mount away. Without it a step that fails ends the task: what
	// comes later builds on it, and a host must not be rebooted for a driver
	// that could not be built.
	Independent bool
}

// Look is what the task wants to have looked at on a host.
func (t Task) Look(h inventory.Host) remote.Probe {
	p := remote.Probe{Name: t.Name, Script: t.Probe(h), Timeout: t.Timeout, Inline: true}
	if t.Reach != nil {
		p.Endpoints = t.Reach(h)
	}
	if t.Cluster != nil {
		p.Cluster = t.Cluster(h)
	}
	if t.More != nil {
		p.More = func(s []remote.Section) []remote.Endpoint { return t.More(h, s) }
	}
	return p
}

// Facts are a task's own struct, by pointer.
type Facts any

// All is the order of work, and the table of contents.
var All = []Task{Resources, Proxy, Squid, Registry, Egress, Driver, NFS, Kubernetes}

// A State is how a finding stands.
type State string

// The states. After apply a pending finding has become fixed or failed.
const (
	OK      State = "ok"
	Pending State = "pending"
	Fixed   State = "fixed"
	Unmet   State = "unmet"
	Unknown State = "unknown"
	Failed  State = "failed"
)

// A Finding is one thing looked at: what the host has, what was wanted and
// why, and the steps between them. A pending finding without steps of its own comes
// with those of another finding of its task; its hint says with which.
type Finding struct {
	Subject string
	Have    string
	Want    string
	Why     string // "inventory.hcl:31", or "runai-2020: dedicated CPU-only worker"
	State   State
	Hint    string // what a person can do, where there is a next step
	// Warning is what falls short of a recommendation, in words: "1.17 is
	// recommended". It never blocks: the state stands as it is.
	Warning string
	Steps   []remote.Step // none when only a person can fix it
	// Back is the way back: run when this finding, or a later one of its task,
	// has failed after a step of it that installs or disrupts was begun: what
	// was only fetched, asked or uploaded calls for no way back. The finding
	// stays failed.
	Back []remote.Step
	// Aside: nothing of its task builds on it. When one of its steps fails those
	// of later findings are carried out all the same, and nothing is gone back
	// from.
	Aside bool
	// After is run when the second look has shown every finding of the task to
	// be as wanted. A finding that has no other steps is settled by it.
	After []remote.Step
	// Undo gives back at once what steps of kubectl's have taken: run when the
	// task has ended before anything that followed them was begun on the host.
	Undo []remote.Step
}

// Disruptive reports whether running work would notice one of the steps.
func (f Finding) Disruptive() bool {
	for _, s := range f.Steps {
		if s.Disrupts != "" {
			return true
		}
	}
	return false
}
