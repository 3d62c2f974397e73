package tasks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// busy reports what would be torn from something that runs if the mounts at
// and below a path went away. OK: nothing, and then the kernel refuses what
// has come to use them since.
func (p *nfsPlan) busy(at string, hung bool) (State, string) {
	holders, looked := p.f.holders[at]
	holders = slices.Concat(holders, p.f.containers(at))
	switch {
	case len(holders) > 0:
		return Unmet, "busy: " + strings.Join(holders, ", ")
	case !looked:
		return Unknown, "who uses it was not looked at"
	case hung:
		// umount -f ends the requests of all mounts of one filesystem.
		if other := p.f.twin(at); other != "" {
			return Unmet, "the same is mounted at " + other
		}
	}
	return OK, ""
}

// containers are processes whose mount namespaces have mounts of ours that do
// not go away with them. A service that systemd gave a namespace sees all that
// the host mounts and unmounts; a container keeps the old mount, and with it
// the connection to the old server.
func (f *nfsFacts) containers(at string) []string {
	var found []string
	for _, pid := range slices.Sorted(maps.Keys(f.elsewhere)) {
		if pid != "self" && slices.ContainsFunc(f.elsewhere[pid], func(m mountInfo) bool { return f.keeps(pid, m, at) }) {
			found = append(found, fmt.Sprintf("%s (%s) in a container", pid, f.processes[pid]))
		}
	}
	return found
}

// keeps reports whether m of another namespace is one of the filesystems that
// are mounted at or below a path here, and stays when it goes here. It does not
// if it follows a mount of ours at the same place: it goes with that one or, where
// the same filesystem is mounted twice, is the other, which stays here too.
func (f *nfsFacts) keeps(pid string, m mountInfo, at string) bool {
	kept := false
	// Mounts has those that concern the wishes; somebody else's of the same
	// filesystem is only in the answer about all namespaces.
	for _, ours := range slices.Concat(f.Mounts, f.elsewhere["self"]) {
		if !ours.nfs() || ours.device != m.device {
			continue
		}
		if m.Path == ours.Path && follows(parent(f.elsewhere[pid], m), parent(f.Mounts, ours)) {
			return false
		}
		kept = kept || ours.Path == at || strings.HasPrefix(ours.Path, at+"/")
	}
	return kept
}

func parent(mounts []mountInfo, m mountInfo) mountInfo {
	i := slices.IndexFunc(mounts, func(p mountInfo) bool { return p.ID == m.Parent })
	if i < 0 {
		return mountInfo{}
	}
	return mounts[i]
}

// follows reports whether what is mounted and unmounted in a mount is so too in
// another: see mount_namespaces(7).
func follows(m, leader mountInfo) bool {
	return slices.ContainsFunc(leader.groups, func(g string) bool {
		group, shared := strings.CutPrefix(g, "shared:")
		return shared && (slices.Contains(m.groups, g) || slices.Contains(m.groups, "master:"+group))
	})
}

// twin is another place in this namespace where the same is mounted.
func (f *nfsFacts) twin(at string) string {
	for _, ours := range f.Mounts {
		if ours.Path != at || !ours.nfs() {
			continue
		}
		for _, other := range f.elsewhere["self"] {
			if other.nfs() && other.device == ours.device && other.Path != at {
				return other.Path
			}
		}
	}
	return ""
}
