package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// sharedTypes are filesystems that several machines see at once, as the kernel
// names them. Those of FUSE that are not known by name are not taken for one.
var sharedTypes = []string{
	"nfs", "nfs4", "cifs", "smb3", "lustre", "ceph", "fuse.ceph-fuse", "gpfs", "beegfs", "fuse.glusterfs",
	"wekafs", "panfs", "pvfs2", "ocfs2", "gfs2", "fuse.juicefs", "virtiofs", "9p",
}

// asksForShared reports whether the profile wants a shared volume on a host,
// and no nfs_mount answers that already. A proxy runs no containers.
func asksForShared(h inventory.Host) bool {
	return h.Requirements != nil && h.Requirements.Storage.Why != "" && len(h.Mounts) == 0 && h.Role != "proxy" && h.Squid == nil
}

// probeShared lists what is mounted of such filesystems: one grep, and only
// where somebody asks.
func probeShared(h inventory.Host) string {
	if !asksForShared(h) {
		return ""
	}
	var b strings.Builder
	b.WriteString("ran shared grep -F")
	for _, t := range sharedTypes {
		b.WriteString(" -e " + quote(" - "+t+" "))
	}
	b.WriteString(" /proc/self/mountinfo\n")
	return b.String()
}

// readShared reads what probeShared listed.
func readShared(name string, b block) ([]mountInfo, error) {
	if exit := b.exit(); exit > 1 || exit < 0 { // 1 is nothing found
		return nil, fmt.Errorf("probe %s: grep in /proc/self/mountinfo: exit status %d", name, exit)
	}
	shared := []mountInfo{}
	for _, line := range b.lines {
		m, err := parseMountInfo(line)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", name, err)
		}
		if slices.Contains(sharedTypes, m.Type) { // and not a path that looks like it
			shared = append(shared, m)
		}
	}
	return shared, nil
}

// sharedVolume says what the profile's shared volume stands on. Its absence is
// a warning and no more: a cluster that brings volumes itself, with a CSI
// driver, mounts them when the first container asks for one.
func (f *nfsFacts) sharedVolume(h inventory.Host) []Finding {
	if !asksForShared(h) {
		return nil
	}
	s := h.Requirements.Storage
	g := Finding{Subject: "shared data volume", State: OK, Want: "a volume that containers reach alike from every host", Why: s.Why}
	switch {
	case f.Shared == nil:
		g.State, g.Have = Unknown, "it was not looked for"
	case len(f.Shared) == 0:
		g.Have = "no shared filesystem is mounted"
		g.Warning = "a shared volume is asked for on every node that runs containers"
		g.Hint = "declare it with nfs_mount; where the cluster brings volumes itself, this may be ignored"
	default:
		var names []string
		for _, m := range f.Shared[:min(len(f.Shared), 3)] {
			names = append(names, fmt.Sprintf("%s (%s) at %s", m.Source, m.Type, m.Path))
		}
		if more := len(f.Shared) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		g.Have = strings.Join(names, ", ")
	}
	return []Finding{g}
}
