package tasks

import (
	"fmt"
	"path"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func nfsPackage(manager string) string {
	return map[string]string{"apt": "nfs-common", "dnf": "nfs-utils", "yum": "nfs-utils", "zypper": "nfs-client"}[manager]
}

// makeFolder makes the folder for a mount; above is the wished mount that it
// lies in. Were that not mounted when the step runs, the folder, and then the
// mount, would be on the disk below, and nobody would see that later.
func makeFolder(at, above string) remote.Step {
	script := "umask 022; mkdir -p -- " + quote(at)
	if above != "" {
		script = "mountpoint -q -- " + quote(above) + " || { echo " + quote(above+" is not mounted") + " >&2; exit 1; }\n" + script
	}
	return remote.Step{Title: "mkdir " + at, Run: &remote.Command{Script: script}}
}

// mountStep has a minute, as every step: mount itself would try for two.
func mountStep(m inventory.Mount) remote.Step {
	return remote.Step{Title: "mount " + m.Path, Run: &remote.Command{Script: "mount -- " + quote(m.Path)}}
}

// unmount with the option -f aborts requests to a server that does not answer,
// and is not used on a mount that works. A stale handle needs no option: the
// kernel finds the mount without asking the server. -l is never used: it takes
// a mount away from work that has files open there.
func unmount(at, option, because string) remote.Step {
	// Without an option the kernel refuses while anything uses the mount.
	disrupts := at + " goes away"
	if option == "-f " {
		disrupts = "requests to the server that does not answer fail"
	}
	return remote.Step{
		Title: "umount " + option + at + because, Disrupts: disrupts,
		Run: &remote.Command{Script: "umount " + option + "-- " + quote(at)},
	}
}

// unmountAny is unmount for a mount of which it is not known that its server
// answers. It may have died since, or a minute before the look, when folders are
// still answered for from memory; umount then waits for it, and -f does not.
func (p *nfsPlan) unmountAny(at string) remote.Step {
	s := unmount(at, "", "")
	if p.f.twin(at) == "" { // -f ends the requests of all mounts of one filesystem
		s.Run.Script = "timeout -k 1 20 " + s.Run.Script + " || { [ $? -ge 124 ] && umount -f -- " + quote(at) + "; }"
	}
	return s
}

// unitOf is the name that systemd gives to a path.
func unitOf(at, suffix string) string {
	var b strings.Builder
	trimmed := strings.Trim(path.Clean(at), "/")
	for i := range len(trimmed) {
		switch c := trimmed[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i > 0, c == ':', c == '_',
			'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + suffix
}

func startAutomount(m inventory.Mount) remote.Step {
	unit := unitOf(m.Path, ".automount")
	return remote.Step{Title: "systemctl start " + unit, Run: &remote.Command{Script: "systemctl start -- " + quote(unit)}}
}

func stopAutomount(at string) remote.Step {
	unit := unitOf(at, ".automount")
	return remote.Step{
		Title: "systemctl stop " + unit, Disrupts: "what uses files below " + at + " loses them",
		Run: &remote.Command{Script: "systemctl stop -- " + quote(unit)},
	}
}
