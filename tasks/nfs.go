package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// NFS keeps each export mounted now and listed for the next boot.
//
// What is mounted is read from /proc/self/mountinfo, which never touches a
// server. A wished path itself is looked at only in a process that is killed
// after three seconds: that is how a dead server shows, or else by its port,
// while the kernel still answers for folders from memory. Where paths hang and
// thousands of processes may hold them, the look takes longer than others. What
// lies below an automount that is not in use is not looked at: that would mount
// it.
//
// What was there before is given back. A line of fstab that is replaced is
// remembered, and stands again when the wish has left the inventory. A mount
// that was there before its line came from here is then left mounted; so is
// one whose former line names the same source. Only a mount of another source
// than the former line's is unmounted, and not mounted from the old one: that
// server may be long gone, and the line does it at the next boot.
//
// Before a server is mounted from, it is knocked at from the host, and then
// mounted from where nobody sees it: what does not answer or is refused would
// be found out only when the old mount is gone.
var NFS = Task{Name: "nfs", Probe: probeNFS, Reach: reachNFS, Read: readNFS, Plan: planNFS, Timeout: 20 * time.Second, Independent: true}

const fstabPath = "/etc/fstab"

// nfsFacts are what is mounted from the network on a host, and what is listed
// for its next boot.
type nfsFacts struct {
	Services
	Kernel  string       `json:"kernel"`
	Support []string     `json:"support"` // nfs, nfs4: in the kernel; module: to be loaded; none: no NFS
	Helper  string       `json:"helper"`  // mount.nfs; empty: not installed
	Mounts  []mountInfo  `json:"mounts"`  // on, above and below the paths that are wished or ours
	Fstab   []fstabEntry `json:"fstab"`   // its NFS lines
	Shared  []mountInfo  `json:"shared"`  // what several machines see at once; null: not looked for

	ledger    ledger
	fstab     file
	paths     map[string]pathFacts
	holders   map[string][]string    // "1234 (python3)" by path; no entry: not looked at
	elsewhere map[string][]mountInfo // of filesystems of ours in other mount namespaces, by process; "self": in this one
	processes map[string]string      // names of those
	addresses map[string][]string    // by name of a server
	nameless  map[string]bool        // names of servers that could not be resolved
	reached   []remote.Reached       // the servers' ports; none: not asked
}

// pathFacts are how a wished path stands.
type pathFacts struct {
	absent, irregular, dangling bool
	unreadable                  bool
	idle                        bool   // at or below an automount that is not in use: not looked at
	filled                      bool   // a folder with something in it, and nothing mounted on it
	hung                        bool   // it did not answer within three seconds
	stale                       bool   // the server knows the mounted folder no more
	fault                       string // why it could not be looked at
	physical                    string // without symbolic links; of the nearest folder that exists
	nearest                     string // that folder, as it was wished
}

func readNFS(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	f := &nfsFacts{
		Services:  readServices(blocks),
		paths:     make(map[string]pathFacts),
		holders:   make(map[string][]string),
		elsewhere: make(map[string][]mountInfo),
		processes: make(map[string]string),
		addresses: make(map[string][]string),
		nameless:  make(map[string]bool),
	}
	if f.ledger, err = readLedger("nfs", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	if f.reached, err = readReached(s); err != nil {
		return nil, err
	}
	sawMounts := false
	for _, b := range blocks {
		switch b.kind {
		case "file":
			if b.rest == fstabPath {
				f.fstab = b.file()
				for _, e := range parseFstab(f.fstab.content) {
					if e.nfs() {
						f.Fstab = append(f.Fstab, e)
					}
				}
			}
		case "kernel":
			f.Kernel = b.rest
		case "support":
			f.Support = b.lines
		case "helper":
			f.Helper = b.rest
		case "mounts":
			sawMounts = true
			// grep: 1 is nothing found, more is a failure.
			if exit := b.exit(); exit > 1 || exit < 0 {
				return nil, fmt.Errorf("probe %s: grep in /proc/self/mountinfo: exit status %d%s", s.Name, exit, evidence(s.Err))
			}
			for _, line := range b.lines {
				m, err := parseMountInfo(line)
				if err != nil {
					return nil, fmt.Errorf("probe %s: %w", s.Name, err)
				}
				f.Mounts = append(f.Mounts, m)
			}
		case "shared":
			if f.Shared, err = readShared(s.Name, b); err != nil {
				return nil, err
			}
		case "look":
			if b.exit() != 0 {
				return nil, fmt.Errorf("probe %s: the paths were not looked at: exit status %d%s", s.Name, b.exit(), evidence(s.Err))
			}
		case "path":
			f.paths[b.rest] = readPath(b)
		case "holders":
			f.holders[b.rest] = nil
			for _, line := range b.lines {
				pid, name, _ := strings.Cut(line, " ")
				f.holders[b.rest] = append(f.holders[b.rest], pid+" ("+name+")")
			}
		case "elsewhere":
			// Processes end while they are looked at, and grep fails at theirs.
			for _, line := range b.lines {
				pid, line, _ := strings.Cut(strings.TrimPrefix(line, "/proc/"), "/mountinfo:")
				m, err := parseMountInfo(line)
				if err != nil {
					return nil, fmt.Errorf("probe %s: %w", s.Name, err)
				}
				f.elsewhere[pid] = append(f.elsewhere[pid], m)
			}
		case "process":
			pid, name, _ := strings.Cut(b.rest, " ")
			f.processes[pid] = name
		case "addresses":
			f.nameless[b.rest] = b.exit() != 0
			for _, line := range b.lines {
				if a, _, _ := strings.Cut(line, " "); !slices.Contains(f.addresses[b.rest], a) {
					f.addresses[b.rest] = append(f.addresses[b.rest], a)
				}
			}
		}
	}
	if f.fstab.Path != "" && !sawMounts {
		return nil, fmt.Errorf("probe %s: it says nothing of mounts", s.Name)
	}
	return f, nil
}

func readPath(b block) pathFacts {
	p := pathFacts{
		absent: b.noted("absent"), irregular: b.noted("irregular"), dangling: b.noted("dangling"),
		unreadable: b.noted("unreadable"), idle: b.noted("automount"), filled: b.noted("filled"),
		nearest: b.rest,
	}
	if len(b.lines) > 0 {
		p.physical = b.lines[0]
	}
	if len(b.lines) > 1 {
		p.nearest = b.lines[1]
	}
	for _, n := range b.notes {
		switch why, isError := strings.CutPrefix(n, "error "); {
		case !isError:
		case why == "Stale file handle" || why == "Stale NFS file handle": // the latter before glibc 2.19
			p.stale = true
		default:
			p.fault = "the path cannot be looked at: " + clip(why, 100)
		}
	}
	switch exit := b.exit(); exit {
	case 0:
	case 137, 124:
		p.hung = true
	default:
		p.fault = fmt.Sprintf("the path could not be looked at: exit status %d", exit)
	}
	return p
}
