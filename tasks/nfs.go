package tasks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// NFS keeps each export mounted now and listed for the next boot.
//
// What is mounted is read from /proc/self/mountinfo, which never touches a
// server. A wished path itself is looked at only in a process that is killed
// after three seconds: that is how a dead server shows.
var NFS = Task{Name: "nfs", Probe: probeNFS, Read: readNFS, Plan: planNFS}

const fstabPath = "/etc/fstab"

func probeNFS(h inventory.Host) string {
	wished := "false"
	var patterns, paths, wishes, names strings.Builder
	for _, m := range h.Mounts {
		wished = "true"
		for _, p := range mountPatterns(m.Path) {
			patterns.WriteString(" -e " + quote(p))
		}
		fmt.Fprintf(&paths, "at %s %s && set -- \"$@\" \"$at\"\n", quote(escapeMount(m.Path)), quote(m.Path))
		names.WriteString(quote(m.Path) + " | ")
		server := ""
		if _, err := netip.ParseAddr(m.Server); err != nil {
			server = m.Server
		}
		fmt.Fprintf(&wishes, "wish %s %s %s %s", quote(escapeMount(m.Path)), quote(m.Path), quote(escapeMount(sourceOf(m))), quote(server))
		for _, e := range expectations(m) {
			if e.quick != "" {
				wishes.WriteString(" " + quote(e.quick))
			}
		}
		wishes.WriteString("\n")
	}
	return `manager
show ` + ledgerPath("nfs") + `
if ` + wished + ` || [ -e ` + ledgerPath("nfs") + ` ]; then
show ` + fstabPath + `
word kernel /proc/sys/kernel/osrelease
echo '@support'
kernel=$word_line
while read -r nodev type; do
	case $nodev in nfs | nfs4) type=$nodev ;; esac
	case $type in nfs | nfs4) echo "|$type" ;; esac
done </proc/filesystems
for file in /lib/modules/"$kernel"/kernel/fs/nfs/nfs.ko*; do
	if [ -e "$file" ]; then echo '|module'; break; fi
done
for file in /sbin/mount.nfs /usr/sbin/mount.nfs; do
	if [ -x "$file" ]; then printf '@helper %s\n' "$file"; break; fi
done
# What is on, above and below the wished paths; NFS and automounts anywhere.
ran mounts grep -F -e ' - nfs' -e ' - autofs '` + patterns.String() + ` /proc/self/mountinfo
mounts=$ran_out
` + probePaths + "set --\n" + paths.String() + `look_at "$@"
` + probeHolders + wishes.String() + `
if [ -r ` + ledgerPath("nfs") + ` ]; then
	while IFS='	' read -r kind path text; do
		case $path in ` + names.String() + `'') continue ;; esac
		case $kind/$mounts in mount/*" $path "*) holders "$path" ;; esac
	done <` + ledgerPath("nfs") + `
fi
fi
` + probeEnd
}

// probePaths looks at the wished paths in a process that may hang. A path is
// announced before it is touched, so when the process is killed it is known
// which one it hung at, and the others are looked at in another. A folder is
// listed only where nothing is mounted: an export may hold millions of files.
//
// An automount point that is not in use is not touched at all: that would mount.
const probePaths = `
at() {
	at_line=${mounts##*" $1 "}
	at_line=${at_line%%"$nl"*}
	case $mounts in *" $1 "*) at=+$2 ;; *) at=-$2 at_line= ;; esac
	case $at_line in *' - autofs '*) printf '@path %s\n!automount\n' "$2"; return 1 ;; esac
}
look_wait=3
look_at() {
	[ $# -gt 0 ] || return 0
	echo @look
	look_out=$(timeout -s KILL "$look_wait" sh -c '
for p; do
	mounted=${p%"${p#?}"}
	p=${p#?}
	printf "@path %s\n" "$p"
	if [ -d "$p" ]; then
		if cd "$p" 2>/dev/null; then printf "|"; pwd -P; else echo "!closed"; fi
		if [ "$mounted" = - ]; then
			for f in "$p"/* "$p"/.[!.]*; do
				if [ -e "$f" ] || [ -L "$f" ]; then echo "!filled"; break; fi
			done
		fi
	elif [ -e "$p" ]; then
		echo "!irregular"
	elif [ -L "$p" ]; then
		echo "!dangling"
	else
		q=$p
		while [ -n "$q" ] && [ ! -d "$q" ]; do q=${q%/*}; done
		q=${q:-/}
		if cd "$q" 2>/dev/null; then printf "!absent\n|"; pwd -P; printf "|%s\n" "$q"; else echo "!unreadable"; fi
	fi
	cd /
done
' sh "$@")
	look_exit=$?
	if [ -n "$look_out" ]; then printf '%s\n' "$look_out"; fi
	[ "$look_exit" != 0 ] || return 0
	echo "!exit $look_exit"
	look_wait=1 # several paths of one dead server must not use up the time for all
	look_hung=${look_out##*@path }
	look_hung=${look_hung%%"$nl"*}
	while [ $# -gt 0 ]; do
		look_this=${1#?}
		shift
		if [ "$look_this" = "$look_hung" ]; then
			look_at "$@"
			return 0
		fi
	done
}
`

// probeHolders finds out more where a mount is not what was wished: who keeps
// it busy, and which addresses the wished server's name has. The links of
// /proc are only read: that touches nothing of what they point to.
const probeHolders = `
holders() {
	printf '@holders %s\n' "$1"
	holders_all=$(ls -l /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/ 2>/dev/null |
		grep -F -e /fd/: -e " -> $1")
	holders_pid= holders_seen=
	holders_ifs=$IFS
	IFS=$nl
	set -f
	for holders_line in $holders_all; do
		case $holders_line in
		*' -> '*) ;;
		/proc/*/fd/:)
			holders_pid=${holders_line#/proc/}
			holders_pid=${holders_pid%%/*}
			continue
			;;
		esac
		case ${holders_line##* -> } in
		"$1" | "$1"/*)
			holders_it=$holders_pid
			case ${holders_line% -> *} in */proc/*) holders_it=${holders_line##* /proc/} holders_it=${holders_it%%/*} ;; esac
			case " $holders_seen " in *" $holders_it "*) continue ;; esac
			holders_seen="$holders_seen $holders_it"
			holders_name=
			if [ -r "/proc/$holders_it/comm" ]; then IFS= read -r holders_name <"/proc/$holders_it/comm"; fi
			printf '|%s %s\n' "$holders_it" "$holders_name"
			;;
		esac
	done
	set +f
	IFS=$holders_ifs
}
# wish MOUNTPOINT PATH SOURCE NAME OPTION...: more of a mount that is not so.
# NAME is empty where the server is an address.
wish() {
	wish_line=
	wish_ifs=$IFS
	IFS=$nl
	set -f
	for wish_try in $mounts; do
		case $wish_try in *" $1 "*' - nfs'*) wish_line=$wish_try ;; esac
	done
	set +f
	IFS=$wish_ifs
	[ -n "$wish_line" ] || return 0
	wish_path=$2 wish_name=$4
	wish_super=${wish_line#* - * }
	wish_flags=${wish_line% - *}
	wish_flags=${wish_flags#* * * * * }
	wish_good=
	case $wish_super in "$3 "*) wish_good=same ;; esac
	shift 4
	for wish_option; do
		case ",${wish_flags%% *},${wish_super##* }," in *,"$wish_option"*) ;; *) wish_good=${wish_good:+options} ;; esac
	done
	if [ "$wish_good" = same ]; then return 0; fi
	holders "$wish_path"
	if [ -z "$wish_good" ] && [ -n "$wish_name" ]; then
		ran "addresses $wish_name" timeout -s KILL 3 getent ahosts "$wish_name"
	fi
}
`

// nfsFacts are what is mounted from the network on a host, and what is listed
// for its next boot.
type nfsFacts struct {
	Services
	Kernel  string       `json:"kernel"`
	Support []string     `json:"support"` // nfs, nfs4: in the kernel; module: to be loaded; none: no NFS
	Helper  string       `json:"helper"`  // mount.nfs; empty: not installed
	Mounts  []mountInfo  `json:"mounts"`  // on, above and below the wished paths, and NFS anywhere
	Fstab   []fstabEntry `json:"fstab"`   // its NFS lines

	ledger    ledger
	fstab     file
	paths     map[string]pathFacts
	holders   map[string][]string // "1234 (python3)" by path
	addresses map[string][]string // by name of a server
}

// pathFacts are how a wished path stands.
type pathFacts struct {
	absent, irregular, dangling bool
	unreadable                  bool
	filled                      bool   // a folder with something in it, and nothing mounted on it
	hung                        bool   // it did not answer within three seconds
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
		addresses: make(map[string][]string),
	}
	if f.ledger, err = readLedger("nfs", blocks); err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
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
		case "look":
			if b.exit() != 0 {
				return nil, fmt.Errorf("probe %s: the paths were not looked at: exit status %d%s", s.Name, b.exit(), evidence(s.Err))
			}
		case "path":
			f.paths[b.rest] = readPath(b)
		case "holders":
			for _, line := range b.lines {
				pid, name, _ := strings.Cut(line, " ")
				f.holders[b.rest] = append(f.holders[b.rest], pid+" ("+name+")")
			}
		case "addresses":
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
		unreadable: b.noted("unreadable"), filled: b.noted("filled"),
		nearest: b.rest,
	}
	if len(b.lines) > 0 {
		p.physical = b.lines[0]
	}
	if len(b.lines) > 1 {
		p.nearest = b.lines[1]
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
