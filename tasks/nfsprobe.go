package tasks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

func probeNFS(h inventory.Host) string {
	wished := "false"
	var patterns, paths, wishes, names strings.Builder
	for _, m := range h.Mounts {
		wished = "true"
		for _, p := range mountPatterns(m.Path) {
			patterns.WriteString(" -e " + quote(p))
		}
		if slices.ContainsFunc(m.Options, decidedElsewhere) { // other mounts matter to this wish alone: a node of a cluster has hundreds
			patterns.WriteString(" -e ' - nfs'")
		}
		fmt.Fprintf(&paths, "at %s %s && set -- \"$@\" \"$at\"\n", quote(escapeMount(m.Path)), quote(m.Path))
		names.WriteString(quote(m.Path) + " | ")
		server := ""
		if _, err := netip.ParseAddr(m.Server); err != nil {
			server = m.Server
		}
		fmt.Fprintf(&wishes, "wish %s %s %s %s %s", quote(escapeMount(m.Path)), quote(m.Path), quote(escapeMount(sourceOf(m))), quote(server), quote(fstabLine(m)))
		for _, e := range expectations(m) {
			if e.quick != "" {
				wishes.WriteString(" " + quote(e.quick))
			}
		}
		wishes.WriteString("\n")
	}
	ledger := ledgerPath("nfs")
	return `manager
` + probeUser(h) + `show ` + ledger + `
if ` + wished + ` || [ -e ` + ledger + ` ]; then
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
# What is on, above and below the paths that are wished or were mounted by us.
set -- -e ' / rw' -e ' / ro'` + patterns.String() + `
former=
if [ -r ` + ledger + ` ]; then
	while IFS='	' read -r kind path text; do
		case $path in ` + names.String() + `'') continue ;; esac
		# Its line of fstab has the path as mountinfo spells it.
		text=${text#* }
		text=${text%% *}
		case $kind$text in mount/*) ;; *) continue ;; esac
		case $nl$former in *"$nl$text $path$nl"*) continue ;; esac
		former=$former$text' '$path$nl
		case $text in
		*"#"*) # whether it is escaped depends on the kernel
			text=${text%%"#"*}
			set -- "$@" -e " $text"
			text=${text%/*}
			;;
		*) set -- "$@" -e " $text/" ;;
		esac
		while [ -n "$text" ]; do
			set -- "$@" -e " $text "
			text=${text%/*}
		done
	done <` + ledger + `
fi
ran mounts grep -F "$@" /proc/self/mountinfo
mounts=$ran_out
` + probePaths + "set --\n" + paths.String() + `look_at "$@"
` + probeHolders + "slurp " + fstabPath + "\n" + wishes.String() + `
old_ifs=$IFS
IFS=$nl
set -f
for gone in $former; do
	case $mounts in *" ${gone%%[ #]*}"*) busy=$busy${gone#* }$nl ;; esac
done
set -- $busy
set +f
IFS=$old_ifs
holders "$@"
fi
` + probeShared(h) + probeEnd
}

// probePaths looks at the wished paths in a process that may hang. A path is
// announced before it is touched, so when the process is killed it is known
// which one it hung at; those after it are looked at all at once, for they may
// be on the same dead server. A folder is listed only where nothing is mounted:
// an export may hold millions of files. In front of a path stands what is
// known of it: "+" it is a mount, "^" there is one above it, "-" neither; only
// with the first two an error can be a server's, and is asked for by name.
const probePaths = `
at() {
	if idle "$1"; then
		printf '@path %s\n!automount\n' "$2"
		return 1
	fi
	at=-$2
	at_ifs=$IFS
	IFS=$nl
	set -f
	for at_line in $mounts; do
		at_line=${at_line#* * * * }
		at_line=${at_line%% *}
		case $1/ in
		"$at_line/")
			at=+$2
			break
			;;
		"$at_line"/*) at=^$2 ;;
		esac
	done
	set +f
	IFS=$at_ifs
}
look_script='
for p; do
	known=${p%"${p#?}"}
	p=${p#?}
	printf "@path %s\n" "$p"
	error=
	if [ -d "$p" ]; then
		if cd "$p" 2>/dev/null; then printf "|"; pwd -P; else echo "!closed"; fi
		if [ "$known" != + ]; then
			for f in "$p"/* "$p"/.[!.]*; do
				if [ -e "$f" ] || [ -L "$f" ]; then echo "!filled"; break; fi
			done
		fi
	else
		if [ "$known" != - ]; then
			error=$(ls -lnd -- "$p" 2>&1 >/dev/null)
			error=${error##*: }
		fi
		if [ "${error:-No such file or directory}" != "No such file or directory" ]; then
			printf "!error %s\n" "$error"
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
	fi
	cd /
done
'
looked=
look_at() {
	[ $# -gt 0 ] || return 0
	echo @look
	looked=$(timeout -s KILL 3 sh -c "$look_script" sh "$@")
	look_exit=$?
	if [ -n "$looked" ]; then printf '%s\n' "$looked"; fi
	[ "$look_exit" != 0 ] || return 0
	echo "!exit $look_exit"
	look_hung=${looked##*@path }
	look_hung=${look_hung%%"$nl"*}
	while [ $# -gt 0 ]; do
		look_this=${1#?}
		shift
		if [ "$look_this" = "$look_hung" ]; then break; fi
	done
	[ $# -gt 0 ] || return 0
	# A line is written whole to a pipe, several need not be.
	look_rest=$({
		for look_this; do
			{
				look_one=$(timeout -s KILL 2 sh -c "$look_script" sh "$look_this") ||
					look_one="@path ${look_this#?}$nl!exit $?"
				look_line=
				IFS=$nl
				set -f
				for look_word in $look_one; do look_line="$look_line$look_word	"; done
				printf '%s\n' "$look_line"
			} &
		done
		wait
	} | cat)
	looked=$looked$nl
	look_ifs=$IFS
	IFS="	$nl"
	set -f
	for look_word in $look_rest; do
		printf '%s\n' "$look_word"
		looked=$looked$look_word$nl
	done
	set +f
	IFS=$look_ifs
}
`

// probeHolders finds out more where a mount is not what was wished: who keeps
// it busy, in this mount namespace or in those of containers, and which
// addresses the wished server's name has. The links of /proc are only read:
// that touches nothing of what they point to, and -n asks nobody for names.
const probeHolders = `
busy=
# holders PATH...: who uses what is mounted there or below.
holders() {
	[ $# -gt 0 ] || return 0
	holders_paths=
	for holders_path; do
		holders_paths=$holders_paths$holders_path$nl
		shift
		set -- "$@" -e " -> $holders_path"
	done
	holders_all=$(ls -ln /proc/self/ns/mnt /proc/[0-9]*/ns/mnt /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/ 2>/dev/null |
		grep -F -e /fd/: -e ' -> mnt:[' "$@")
	holders_own=
	case $holders_all in *'/proc/self/ns/mnt -> '*) holders_own=${holders_all#*/proc/self/ns/mnt -> } ;; esac
	holders_own=${holders_own%%"$nl"*}
	holders_ifs=$IFS
	IFS=$nl
	set -f
	for holders_path in $holders_paths; do
		printf '@holders %s\n' "$holders_path"
		holders_pid= holders_seen=
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
			"$holders_path" | "$holders_path"/*)
				holders_it=$holders_pid
				case ${holders_line% -> *} in */proc/*) holders_it=${holders_line##* /proc/} holders_it=${holders_it%%/*} ;; esac
				case " $holders_seen " in *" $holders_it "*) continue ;; esac
				holders_seen="$holders_seen $holders_it"
				printf '|%s ' "$holders_it"
				holders_name "$holders_it"
				;;
			esac
		done
	done
	# One process of each other namespace, and what it has of our filesystems.
	set --
	holders_seen=
	for holders_line in $holders_all; do
		case $holders_line in *' -> mnt:['*) ;; *) continue ;; esac
		case ${holders_line##* -> } in "$holders_own") continue ;; esac
		case $holders_seen in *"${holders_line##* -> }"*) continue ;; esac
		holders_seen=$holders_seen${holders_line##* -> }
		holders_it=${holders_line##* /proc/}
		set -- "$@" "/proc/${holders_it%%/*}/mountinfo"
	done
	set -- /proc/self/mountinfo "$@"
	holders_devices=' '
	for holders_line in $mounts; do
		case $holders_line in *' - nfs'*) ;; *) continue ;; esac
		holders_at=${holders_line#* * * * }
		holders_at=${holders_at%% *}
		for holders_path in $holders_paths; do
			# Escaped or not: one too many does no harm.
			case $holders_at in "$holders_path" | "$holders_path"/* | *[\\]*)
				holders_it=${holders_line#* * }
				holders_it=${holders_it%% *}
				case $holders_devices in *" $holders_it "*) continue ;; esac
				holders_devices="$holders_devices$holders_it "
				set -- -e " $holders_it " "$@"
				;;
			esac
		done
	done
	# And what each mount of these filesystems is mounted in.
	for holders_line in $mounts; do
		holders_it=${holders_line#* * }
		case $holders_devices in *" ${holders_it%% *} "*) ;; *) continue ;; esac
		holders_it=${holders_line#* }
		for holders_parent in $mounts; do
			case $holders_parent in "${holders_it%% *} "*' shared:'*)
				holders_parent=${holders_parent#* shared:}
				set -- -e " shared:${holders_parent%% *} " -e " master:${holders_parent%% *} " "$@"
				;;
			esac
		done
	done
	holders_seen=
	case $1$holders_own in -e?*)
		{ ran elsewhere grep -F "$@" /dev/null; } 2>/dev/null
		set -f
		IFS=$nl
		for holders_line in $ran_out; do
			holders_it=${holders_line#/proc/}
			holders_it=${holders_it%%/*}
			case " $holders_seen " in *" $holders_it "*) continue ;; esac
			holders_seen="$holders_seen $holders_it"
			printf '@process %s ' "$holders_it"
			holders_name "$holders_it"
		done
		;;
	esac
	set +f
	IFS=$holders_ifs
}
holders_name() {
	holders_name=
	if [ -r "/proc/$1/comm" ]; then IFS= read -r holders_name <"/proc/$1/comm"; fi
	printf '%s\n' "$holders_name"
}
wish_names=' ' wish_deaf=
# wish MOUNTPOINT PATH SOURCE NAME LINE OPTION...: more of a mount that is not
# so, or whose line of fstab is not LINE. NAME is empty where the server is an
# address.
wish() {
	wish_line= wish_below=
	wish_ifs=$IFS
	IFS=$nl
	set -f
	for wish_try in $mounts; do
		case $wish_try in
		*" $1 "*' - nfs'*) wish_line=$wish_try ;;
		*" $1/"*' - nfs'*) wish_below=y ;;
		esac
	done
	set +f
	IFS=$wish_ifs
	if [ -z "$wish_line" ]; then
		if [ -n "$wish_below" ]; then busy=$busy$2$nl; fi
		return 0
	fi
	wish_path=$2 wish_name=$4 wish_export=${3##*:}
	wish_super=${wish_line#* - * }
	wish_flags=${wish_line% - *}
	wish_flags=${wish_flags#* * * * * }
	wish_good= wish_sure=y
	case $wish_super in "$3 "*) wish_good=same ;; esac
	case $nl$slurped$nl in *"$nl$5$nl"*) ;; *) wish_sure= ;; esac
	case $looked in *"@path $2$nl!error "*) wish_sure= ;; esac
	shift 5
	for wish_option; do
		case ",${wish_flags%% *},${wish_super##* }," in *,"$wish_option"*) ;; *) wish_sure= ;; esac
	done
	if [ "$wish_good$wish_sure" = samey ]; then return 0; fi
	busy=$busy$wish_path$nl
	# Another export is another mount, whatever the server's addresses are.
	wish_super=${wish_super%% *}
	wish_super=${wish_super##*:}
	if [ -n "$wish_good" ] || [ -z "$wish_name" ] || [ "${wish_super%/}" != "${wish_export%/}" ]; then return 0; fi
	case $wish_names in *" $wish_name "*) return 0 ;; esac
	wish_names="$wish_names$wish_name "
	if [ -n "$wish_deaf" ]; then
		printf '@addresses %s\n!exit 137\n' "$wish_name"
		return 0
	fi
	ran "addresses $wish_name" timeout -s KILL 2 getent ahosts "$wish_name"
	if [ "$ran_exit" -ge 124 ]; then wish_deaf=y; fi
}
`
