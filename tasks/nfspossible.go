package tasks

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// possible reports whether steps can lead to the wish at all; where they
// cannot, the finding says why.
func (p *nfsPlan) possible(m inventory.Mount, now mounted, listed listing, c *change) bool {
	has, looked := p.f.paths[m.Path]
	var with, option string // another mount that decides an option
	if now.top != nil {
		with, option = p.shares(m, *now.top)
	}
	no := func(state State, have, hint string) bool {
		c.State, c.Have, c.Hint = state, have, hint
		return false
	}
	switch {
	case len(p.f.Support) == 0:
		return no(Unmet, fmt.Sprintf("the kernel (Linux %s) has no NFS support: neither built in nor as a module for it", p.f.Kernel),
			"install the kernel's modules, or boot a kernel that has them; a container cannot")
	case p.f.fstab.Presence == Unreadable || p.f.fstab.Presence == Irregular:
		return no(Unknown, fstabPath+" is "+string(p.f.fstab.Presence), "enable sudo for this host")
	case !looked && !p.under(m.Path):
		return no(Unknown, "the path was not looked at", "")
	case listed.problem != "" && notText(p.fstab) != "":
		return no(Unmet, notText(p.fstab), byHand)
	case has.fault != "" && !p.under(m.Path) && !p.gone[m.Path]:
		return no(Unknown, has.fault, "see what `ls -ld "+m.Path+"` says on the host, as root")
	case has.stale && now.top == nil && !p.under(m.Path) && !p.gone[m.Path]:
		return no(Unknown, "the path cannot be looked at: the handle of a mount above it is stale", "see /proc/self/mountinfo on the host")
	case now.unclear != "":
		return no(Unknown, now.unclear, "")
	case has.idle && len(now.stack) == 0 && !p.under(m.Path) && !p.gone[m.Path]:
		return no(Unknown, "it lies below an automount that is not in use: looking at it would mount that", "use what is above it, and look again")
	case has.unreadable:
		return no(Unknown, "the path cannot be looked at without root", "enable sudo for this host")
	case now.top == nil && has.hung && !p.gone[m.Path] && !p.under(m.Path):
		return no(Unknown, "the path does not answer within 3s: a mount above it may be dead", "see /proc/self/mountinfo on the host")
	case has.physical != "" && has.physical != has.nearest && now.top == nil && !p.under(m.Path):
		return no(Unmet, fmt.Sprintf("%s is reached through a symbolic link: it is %s", has.nearest, has.physical),
			"wish the mount at its real path")
	case (has.irregular || has.dangling) && now.top == nil && !p.under(m.Path):
		return no(Unmet, "there is something else than a folder at the path", "move it away")
	case now.local != nil:
		return no(Unmet, fmt.Sprintf("%s (%s) is mounted there", now.local.Source, now.local.Type), "unmount it, or wish another path")
	case slices.ContainsFunc(listed.entries, func(e fstabEntry) bool { return !e.nfs() }):
		return no(Unmet, fmt.Sprintf("%s lists another filesystem there: %s", fstabPath, listed.entries[0].line),
			"take that line out, or wish another path")
	case m.Automount && !p.f.Systemd:
		return no(Unmet, "mounting on first use needs systemd, which does not run here", "wish automount = false")
	case !p.helper && nfsPackage(p.f.Manager) == "":
		return no(Unmet, "mount.nfs is missing, and no known package manager is here to install it", "install the NFS client")
	case with != "":
		return no(Unmet, haveMount(now, listed)+"; its "+option+" is that of "+with+", which was mounted first",
			"unmount both, or wish the same "+option+" for all mounts of "+m.Server)
	case now.hung && now.problem == "" && now.top != nil:
		return no(Unmet, haveMount(now, listed), "see whether "+m.Server+" is up and reached from here")
	}
	if now.top == nil && has.filled {
		c.Hint = "the folder holds files that the mount will hide"
	}
	return true
}

// reachNFS are the ports that mounting needs: the server's own, and for NFS 3
// also the one that tells where its helpers listen. Ports that options name are
// those; over RDMA nothing can be knocked at.
func reachNFS(h inventory.Host) []remote.Endpoint {
	var all []remote.Endpoint
	for _, m := range h.Mounts {
		for _, port := range portsOf(m) {
			e := remote.Endpoint{Host: m.Server, Port: port, Plain: true}
			if !slices.ContainsFunc(all, func(o remote.Endpoint) bool { return o.Host == e.Host && o.Port == e.Port }) {
				all = append(all, e)
			}
		}
	}
	return all
}

func portsOf(m inventory.Mount) []int {
	port, helpers := 2049, 111
	for _, o := range m.Options {
		name, value, _ := strings.Cut(o, "=")
		switch {
		case name == "rdma" || (name == "proto" || name == "mountproto") && !strings.HasPrefix(value, "tcp"):
			return nil
		case name == "port":
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				port = n
			}
		case name == "mountport":
			helpers = 0
		}
	}
	if m.Version == "3" && helpers != 0 {
		return []int{port, helpers}
	}
	return []int{port}
}

// unreached reports whether a server that is to be mounted from does not let
// the host in at all; then nothing is touched. What is mounted already needs
// only the server's own port, and a folder that can be looked at does not say
// that it answers: the kernel remembers folders for a minute. Nor does an
// automount that waits for its first use.
func (p *nfsPlan) unreached(m inventory.Mount, fresh bool, c *change) bool {
	ports := portsOf(m)
	if !fresh && len(ports) > 1 {
		ports = ports[:1]
	}
	for _, port := range ports {
		at := net.JoinHostPort(m.Server, strconv.Itoa(port))
		for _, r := range p.f.reached {
			if r.Endpoint != at {
				continue
			}
			if state, have, hint := judgeReached(r); state == Unmet {
				c.State, c.Have, c.Hint = Unmet, c.Have+"; "+have, hint
				return true
			}
		}
	}
	return false
}

// shares is another mount that decides something of m's, and which. The kernel
// has one set of connections to a server for all its mounts of one version, and
// one filesystem for all mounts of one export that differ in nothing but their
// patience, and makes them for the first: mounting the wished one anew would
// change nothing.
func (p *nfsPlan) shares(m inventory.Mount, top mountInfo) (with, option string) {
	addr, _ := top.option("addr")
	vers, _ := top.option("vers")
	if m.Version != "" && !expectVersion(m.Version).holds(top) {
		return "", ""
	}
	for _, o := range m.Options {
		name, _, _ := strings.Cut(o, "=")
		wish, _ := expect(o)
		if !decidedElsewhere(o) || wish.holds(top) {
			continue
		}
		for _, other := range p.f.Mounts {
			a, _ := other.option("addr")
			v, _ := other.option("vers")
			same := a == addr && v == vers
			if name != "nconnect" {
				same = other.device == top.device
			}
			if same && other.nfs() && other.Path != m.Path && !p.gone[other.Path] && !wish.holds(other) {
				return other.Path, name
			}
		}
	}
	return "", ""
}

// decidedElsewhere reports whether another mount may decide an option.
func decidedElsewhere(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	return name == "nconnect" || name == "timeo" || name == "retrans"
}

// above is the nearest wished mount that the path lies in; empty: none.
func (p *nfsPlan) above(at string) string {
	for at != "/" {
		at = path.Dir(at)
		if _, wished := p.wished[at]; wished {
			return at
		}
	}
	return ""
}

// under reports whether a former finding mounts something above the path, so
// that what is seen of it now says nothing.
func (p *nfsPlan) under(at string) bool {
	return slices.ContainsFunc(p.covered, func(q string) bool { return strings.HasPrefix(at, q+"/") })
}
