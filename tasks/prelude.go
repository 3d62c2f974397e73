package tasks

import (
	"slices"
	"strings"
)

// Prelude is put before all probes: the shell functions that they share. They
// print blocks, which parseBlocks reads:
//
//	@KIND REST     a block begins
//	|TEXT          a line of what was looked at, as it is
//	!WORDS         what else there is to say: absent, unreadable, irregular,
//	               unterminated (the last line has no newline), exit STATUS
//
// so that nothing that a file holds can be taken for the probe's own words.
// They are POSIX sh as dash, busybox, bash and the interpreter of the practice
// hosts understand it alike, start no process but the one that ran is asked
// for, and write no file: no here-documents, for which bash makes one.
var Prelude = `nl='
'
# began_up is how long the host had been up when the look began.
began_up=
if [ -r /proc/uptime ]; then read -r began_up began_idle </proc/uptime; fi
# seen FILE: is it a regular file to be read? Says why not.
seen() {
	if [ -f "$1" ]; then
		[ -r "$1" ] && return 0
		echo '!unreadable'
		return 1
	fi
	if [ -e "$1" ] || [ -L "$1" ]; then
		echo '!irregular'
		return 1
	fi
	# Below a folder that may not be searched everything looks absent.
	seen_dir=${1%/*}
	while [ -n "$seen_dir" ] && [ ! -d "$seen_dir" ]; do seen_dir=${seen_dir%/*}; done
	if [ -n "$seen_dir" ] && [ ! -x "$seen_dir" ]; then echo '!unreadable'; else echo '!absent'; fi
	return 1
}
# show FILE: exactly what it holds.
show() {
	printf '@file %s\n' "$1"
	seen "$1" || return 0
	{
		while IFS= read -r show_line; do printf '|%s\n' "$show_line"; done
		if [ -n "$show_line" ]; then printf '|%s\n!unterminated\n' "$show_line"; fi
	} <"$1" || echo '!unreadable'
}
# slurp FILE: what it holds, without the newlines at its end, into $slurped.
slurp() {
	slurped=
	[ -f "$1" ] && [ -r "$1" ] || return 1
	{
		while IFS= read -r slurp_line; do slurped=$slurped$slurp_line$nl; done
		slurped=$slurped$slurp_line
	} <"$1"
	while :; do
		case $slurped in
		*"$nl") slurped=${slurped%"$nl"} ;;
		*) return 0 ;;
		esac
	done
}
# matches FILE TEXT: does it hold TEXT, which only the host and we may know?
matches() {
	printf '@secret %s\n' "$1"
	seen "$1" || return 0
	slurp "$1"
	if [ "$slurped" = "$2" ]; then echo '!same'; else echo '!differs'; fi
}
# signed FILE: a file of ours whose first line has the sum of the others. Is it
# as we wrote it? Fails where it is not such a file.
signed() {
	[ -f "$1" ] && [ -r "$1" ] || return 1
	signed_sum=
	{
		IFS= read -r signed_first
		case $signed_first in *' runai-prep, sha256 '*) signed_sum=$(sha256sum) ;; esac
	} <"$1"
	[ -n "$signed_sum" ] || return 1
	printf '@signed %s\n' "$1"
	if [ "${signed_first##* }" = "${signed_sum%% *}" ]; then echo '!intact'; else echo '!changed'; fi
}
# bars TEXT: each of its lines. Cutting them off one by one takes time that
# grows with the square of the text, so that is done only where there are blank
# lines, which splitting into words loses.
bars() {
	case $1 in
	*"$nl$nl"* | "$nl"*) ;;
	*)
		bars_ifs=$IFS
		IFS=$nl
		set -f
		for bars_line in $1; do printf '|%s\n' "$bars_line"; done
		set +f
		IFS=$bars_ifs
		return 0
		;;
	esac
	bars_rest=$1
	while [ -n "$bars_rest" ]; do
		case $bars_rest in
		*"$nl"*)
			printf '|%s\n' "${bars_rest%%"$nl"*}"
			bars_rest=${bars_rest#*"$nl"}
			;;
		*)
			printf '|%s\n' "$bars_rest"
			bars_rest=
			;;
		esac
	done
}
# ran KIND COMMAND...: what one command prints (left in $ran_out) and how it ends.
ran() {
	printf '@%s\n' "$1"
	shift
	ran_out=$("$@")
	ran_exit=$?
	bars "$ran_out"
	if [ "$ran_exit" != 0 ]; then echo "!exit $ran_exit"; fi
}
# word KIND FILE: its first line.
word() {
	word_line=
	if [ -r "$2" ]; then read -r word_line <"$2"; fi
	printf '@%s %s\n' "$1" "$word_line"
}
# idle MOUNTPOINT: is the nearest mount on the way there an automount that is
# not in use? What lies at or below it must not be touched: that would mount.
# Needs the lines of mountinfo for the folders on the way in $mounts, and its
# argument as they spell it.
idle() {
	idle_at=$1
	idle_ifs=$IFS
	idle_top=
	IFS=$nl
	set -f
	while [ -n "$idle_at" ] && [ -z "$idle_top" ]; do
		idle_below=' ' # what has something mounted on it is not the top
		for idle_line in $mounts; do
			case ${idle_line#* * * * } in "$idle_at "*)
				idle_line=${idle_line#* }
				idle_below="$idle_below${idle_line%% *} "
				;;
			esac
		done
		for idle_line in $mounts; do
			case ${idle_line#* * * * } in "$idle_at "*)
				case $idle_below in *" ${idle_line%% *} "*) ;; *) idle_top=$idle_line ;; esac
				;;
			esac
		done
		idle_at=${idle_at%/*}
	done
	set +f
	IFS=$idle_ifs
	case $idle_top in *' - autofs '*) return 0 ;; esac
	return 1
}
# manager: what installs packages here, and what starts services.
manager() {
	manager_name=
	if [ -e /var/lib/dpkg/status ] && command -v apt-get >/dev/null; then
		manager_name=apt
	else
		for manager_try in zypper dnf yum; do
			if command -v "$manager_try" >/dev/null; then
				manager_name=$manager_try
				break
			fi
		done
	fi
	printf '@manager %s\n' "$manager_name"
	if [ -d /run/systemd/system ]; then echo '@init systemd'; else echo '@init other'; fi
}
# system: what kind of machine this is.
system() {
	if [ -e /etc/os-release ]; then show /etc/os-release; else show /usr/lib/os-release; fi
	word kernel /proc/sys/kernel/osrelease
	architecture
}
# architecture: of the kernel, and no process for it: kernels before 6.1 do not
# say it in a file, but the loader of their programs does.
architecture() {
	if [ -r /proc/sys/kernel/arch ]; then
		word arch /proc/sys/kernel/arch
	elif [ -e /lib64/ld-linux-x86-64.so.2 ] && [ ! -e /lib/ld-linux-aarch64.so.1 ]; then
		echo '@arch x86_64'
	elif [ -e /lib/ld-linux-aarch64.so.1 ] && [ ! -e /lib64/ld-linux-x86-64.so.2 ]; then
		echo '@arch aarch64'
	else
		echo "@arch $(uname -m)"
	fi
}
# hasUnit NAME: is there a service of that name, masked or not?
hasUnit() {
	for unit_dir in /etc /run /usr/local/lib /usr/lib /lib; do
		if [ -e "$unit_dir/systemd/system/$1.service" ]; then return 0; fi
	done
	return 1
}
# services KIND PROPERTY,... NAME...: a block of what systemd shows of services,
# each of which is there; left in $ran_out too. It is asked once in a look, about
# all that any probe asks for.
services_names=
services_said=
services_exit=
services() {
	printf '@%s\n' "$1"
	shift
	if [ -z "$services_names" ]; then
		services_for=$*
		set --
		for services_try in ` + strings.Join(services, " ") + `; do
			if hasUnit "$services_try"; then set -- "$@" "$services_try.service"; fi
		done
		services_names=$*
		services_said=$(TZ=UTC systemctl show -p ` + strings.Join(serviceProperties, ",") + ` "$@")
		services_exit=$?
		set -- $services_for
	fi
	ran_out= ran_exit=$services_exit
	services_rest=$services_said
	services_show=,$1,
	shift
	services_for=" $* "
	for services_try in $services_names; do
		services_one=${services_rest%%"$nl$nl"*}
		services_rest=${services_rest#*"$nl$nl"} # the last is left, and of no more use
		case $services_for in *" ${services_try%.service} "*) ;; *) continue ;; esac
		if [ -n "$ran_out" ]; then ran_out=$ran_out$nl; fi
		services_ifs=$IFS
		IFS=$nl
		set -f
		for services_line in $services_one; do
			case $services_show in *",${services_line%%=*},"*) ran_out=$ran_out$services_line$nl ;; esac
		done
		set +f
		IFS=$services_ifs
	done
	ran_out=${ran_out%"$nl"}
	bars "$ran_out"
	if [ "$ran_exit" != 0 ]; then echo "!exit $ran_exit"; fi
}
`

// services are all that any probe asks systemd about, each task's in its order.
var services = slices.Concat(runtimes, []string{"squid"}, driverUnits)

var serviceProperties = []string{
	"Id", "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "Environment", "EnvironmentFiles", "ExecStart", "MainPID",
	"ExecMainStartTimestamp", "StateChangeTimestamp",
}

// quote makes text one word of a shell script, whatever it holds: an inventory
// lets nothing with a newline or another control character get this far, but
// the content of a whole file does have lines.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quotedWords are texts as words of a script, a blank before each.
func quotedWords(texts []string) string {
	var words strings.Builder
	for _, t := range texts {
		words.WriteString(" " + quote(t))
	}
	return words.String()
}

// probeOnce are functions of probes that come by the same file more than once.
const probeOnce = `tab='	'
shown=
# once FILE: show, unless that was done.
once() {
	case $nl$shown$nl in *"$nl$1$nl"*) return 0 ;; esac
	shown=$shown$nl$1
	show "$1"
}
# each FILE...: what is there of a pattern.
each() {
	for each_file in "$@"; do
		if [ -f "$each_file" ]; then once "$each_file"; fi
	done
}
`
