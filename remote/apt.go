package remote

// aptScript installs without a question, and without what nobody asked for:
// recommendations would bring daemons onto machines that somebody else keeps,
// removals would break them, and needrestart would restart running work.
//
// The first try is made from the package lists as they are, unless they are to
// be fetched. They are fetched anew only when it fails for want of a package,
// and an interrupted dpkg is finished first where it says that it was
// interrupted. Before anything is changed apt simulates it, for --no-remove
// would also forbid what is to be removed, and a name that apt does not know
// it takes for a pattern.
//
// dpkg runs without a terminal of its own, so that it is in the job's session
// and what it says is in the log as it is.
const aptScript = `
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none
locks="/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock"
# holder finds who holds one of the locks: $by. The kernel names those who hold
# a lock on any file; which file it is, their open files tell, for a lock's
# inode is not the file's on an overlay.
holder() {
	by= pids=
	[ -r /proc/locks ] || return 1
	while read -r x kind x mode pid x; do
		case $kind-$mode-$pid in POSIX-WRITE-[1-9]*) pids="$pids $pid" ;; esac
	done </proc/locks
	for f in $locks; do
		for pid in $pids; do
			set +f
			set -- "/proc/$pid/fd/"*
			set -f
			for fd; do
				if [ "$fd" -ef "$f" ]; then
					command=
					if [ -r "/proc/$pid/cmdline" ]; then command=$(tr '\000' ' ' <"/proc/$pid/cmdline"); fi
					command=${command% }
					by="$f is held by ${command:-a process} (pid $pid)"
					return 0
				fi
			done
		done
	done
	return 1
}
# unlocked waits until nobody holds a lock of apt's or dpkg's.
unlocked() {
	told=
	while holder; do
		left
		if [ "$left" -lt 10 ]; then printf 'waited in vain: %s\n' "$by"; exit 1; fi
		if [ "$by" != "$told" ]; then printf 'waiting: %s\n' "$by"; told=$by; fi
		sleep 2
	done
}
options="-y -q -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o APT::Cmd::Pattern-Only=true --no-install-recommends"
[ -z "$release" ] || options="$options -t $release"
[ -z "$preferences" ] || options="$options -o Dir::Etc::PreferencesParts=$preferences"
[ -z "$downgrade" ] || options="$options --allow-downgrades"
[ -z "$held" ] || options="$options --allow-change-held-packages"
# aim sets $goals, without what is optional and nowhere to be had.
aim() {
	goals=
	for g in $names; do
		case " $optional " in *" $g "*)
			quietly apt-cache show "$g" || { printf 'no repository has %s: it is left out\n' "$g"; continue; } ;;
		esac
		goals="$goals $g"
	done
	for g in $gone; do goals="$goals $g-"; done
}
aim
# changing runs a program that takes the locks; what loses a race for one is
# tried again.
changing() {
	while :; do
		unlocked
		run "$@" && return 0
		left
		case $out in
		*"Could not get lock"*|*"Unable to acquire the dpkg frontend lock"*|*"Unable to lock directory"*|*"is locked by another process"*)
			[ "$left" -ge 15 ] || return 1 ;;
		*) return 1 ;;
		esac
		sleep 5
	done
}
lists() {
	left
	changing apt-get -q -o DPkg::Lock::Timeout=$left update || echo 'the package lists are not all up to date'
	fresh=yes
	aim
}
# safe simulates, and ends where it shows what must not be.
safe() {
	quietly apt-get -s $options "$@" || return 1
	bad= removals=
	while read -r verb name x; do
		case $verb in
		Remv)
			removals=yes
			# Debian 13 has libraries under new names: libssl3t64 is libssl3.
			case $out in *"Inst ${name%%:*}t64 "*) continue ;; esac
			may "$name" || may "${name%%:*}" || bad="$bad $name" ;;
		Note,) case "$name $x" in *" for regex "*|*" for glob "*) printf '%s\n' "$out"; echo 'not done: a name is no package, and apt takes it for a pattern'; exit 1 ;; esac ;;
		esac
	done <<END
$out
END
	[ -z "$bad" ] || refuse apt-get "$bad"
}
try() {
	safe "$@" || return 1
	no=--no-remove
	[ -z "$removals" ] || no=
	left
	[ "$left" -gt 5 ] || left=5
	changing apt-get $options -o DPkg::Lock::Timeout=$left $no ${download:+--download-only} "$@"
}
# kept sets holds again: apt takes them off what it may change.
kept() {
	[ -n "$held" ] || return 0
	quietly apt-mark showhold
	for n in $holds; do
		case " $(printf '%s' "$out" | tr '\n' ' ') " in *" $n "*) continue ;; esac
		case $(dpkg-query -W -f '${Status}' "$n" 2>/dev/null) in *" installed") apt-mark hold "$n" ;; esac
	done
}
finish() { kept; exit 0; }
# consulted shows what went wrong in a build, of which DKMS names the log alone.
consulted() {
	case $out in *"Consult /"*/make.log*) ;; *) return 0 ;; esac
	log=${out##*"Consult /"}
	log=/${log%%/make.log*}/make.log
	[ -r "$log" ] || return 0
	printf '%s:\n' "$log"
	grep -i -E 'error|fatal|not found' "$log" | tail -n 15
}
holds=
if [ -n "$held" ]; then quietly apt-mark showhold; holds=$out; fi
fresh=
[ -z "$refresh" ] || lists
[ -n "$goals" ] || finish
try install $goals && finish
case $out in *"dpkg was interrupted"*)
	echo 'dpkg was interrupted: finishing what it had begun'
	changing dpkg --force-confdef --force-confold --configure -a
	try install $goals && finish ;;
esac
case $out in *"fix-broken"*|*"-f install"*)
	echo 'packages are half installed: mending them'
	if ( gone= replaces=; try -f install ) && try install $goals; then finish; fi ;;
esac
if [ -z "$fresh" ]; then
	case $out in *"nable to locate package"*|*"no installation candidate"*|*"nable to fetch"*|*"ailed to fetch"*|*"404 "*|*"is not available"*|*"was not found"*|*"unmet dependencies"*|*"ash Sum mismatch"*)
		lists
		try install $goals && finish ;;
	esac
fi
[ -n "$shown" ] || printf '%s\n' "$out"
e=$s built=$out
kept >/dev/null # the failure has the last word
out=$built
consulted
exit $e
`
