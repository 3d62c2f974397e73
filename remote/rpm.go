package remote

// rpmScript is what dnf and yum share: a table of what would be done, read
// before it is done. What is to be removed goes in the same transaction by the
// manager's own shell.
//
// It is the manager that waits for another one, and names it.
const rpmScript = `
[ -z "$held" ] || options="$options --disableplugin=versionlock"
[ -z "$download" ] || options="$options --downloadonly"
[ -z "$refresh" ] || run $manager -q clean expire-cache
set -- install $names
if [ -n "$gone" ]; then
	for g in $gone; do printf 'remove %s\n' "$g"; done >"$runai_prep_job/transaction"
	if [ -n "$names" ]; then printf 'install %s\n' "$names" >>"$runai_prep_job/transaction"; fi
	echo run >>"$runai_prep_job/transaction"
	set -- shell "$runai_prep_job/transaction"
fi
# table reads what would be done from $out, and ends where it must not be.
table() {
	section= bad= older=
	while IFS= read -r line; do
		case $line in
		"Removing"*:) section=remove ;;
		"Downgrading"*:) section=older ;;
		" "[!\ ]*)
			name=${line# }; name=${name%% *}
			case $section in
			remove) may "$name" || bad="$bad $name" ;;
			older) older="$older $name" ;;
			esac ;;
		" "*) ;; # a long line goes on
		*) section= ;;
		esac
	done <<END
$out
END
	[ -z "$bad" ] || refuse "$manager" "$bad"
	if [ -n "$older" ] && [ -z "$downgrade" ]; then
		printf 'not done: %s would put older versions in the place of%s\n' "$manager" "$older"
		exit 1
	fi
}
# foresee asks for the table where there may be something in it. The shell of
# the manager removes what it is to remove although it does not find what it is
# to install, so that is looked for before.
foresee() {
	if [ -n "$gone" ] && [ -n "$names" ]; then found; fi
	case "$replaces$gone-$names" in yes*|[!-]*|*-[0-9]*)
		quietly $manager $options --assumeno "$@"
		table ;;
	esac
}
# proved: the status of the manager's shell does not tell.
proved() {
	[ -n "$gone" ] && [ -z "$download" ] || return 0
	for n in $names; do
		case $n in @*|*/*) continue ;; esac
		quietly rpm -q "$n" || quietly rpm -q --whatprovides "$n" || { printf '%s is not installed\n' "$n"; exit 1; }
	done
	for n in $gone; do
		if quietly rpm -q "$n"; then printf '%s is still installed\n' "$n"; exit 1; fi
	done
}
`

// dnfScript lets packages go that conflict with others only where they may. It
// asks for the best version, as EL's own configuration does and others' not:
// without, what is installed would never become newer.
//
// A stream has no private place: it is switched, and switched back unless a
// transaction has been carried out, whatever ends this script. One that is
// enabled already has to be switched from, or the packages of both are mixed.
const dnfScript = `
manager=dnf options="--best --setopt=install_weak_deps=False"
if [ -n "$stream" ]; then
	state=/etc/dnf/modules.d/${stream%%:*}.module former=$runai_prep_job/stream stays=
	if [ -e "$state" ]; then cp "$state" "$former" || exit 1; fi
	back() {
		[ -z "$stays" ] || return 0
		if [ -e "$former" ]; then cp "$former" "$state"; else rm -f "$state"; fi
	}
	trap back EXIT
	trap 'exit 143' TERM 2>/dev/null # not every shell that reads this can
	run dnf -y -q module reset "${stream%%:*}" && run dnf -y -q module enable "$stream" || exit $s
fi
[ -z "$replaces" ] || options="$options --allowerasing"
found() {
	quietly dnf $options --allowerasing --assumeno install $names
	case $out in *"Operation aborted"*|*"Nothing to do"*) ;; *) printf '%s\n' "$out"; exit 1 ;; esac
}
` + rpmScript + `
foresee "$@"
run dnf -y $options "$@" || exit $s
proved
[ -n "$download" ] || stays=yes
exit 0
`

// yumScript is for EL 7, whose yum does not go back to an older version when
// it is told to install it.
const yumScript = `
manager=yum options=
found() {
	for n in $names; do
		quietly yum -q list "$n" || { printf '%s\nnot done: yum does not find %s\n' "$out" "$n"; exit 1; }
	done
}
` + rpmScript + `
foresee "$@"
if [ -n "$downgrade" ] && [ -n "$names" ] && [ -z "$gone" ]; then
	run yum -y $options downgrade $names
fi
run yum -y $options "$@" || exit $s
proved
exit 0
`

// zypperScript installs, and removes by zypper's sign for it. zypper's 102 and
// 103 say that a reboot or a restart is advisable, 106 that a repository was
// left out; 7 is another zypper's lock, which is waited for.
const zypperScript = `
export ZYPP_LOCK_TIMEOUT=5
options=--no-recommends
[ -z "$downgrade" ] || options="$options --oldpackage"
[ -z "$release" ] || options="$options --from $release"
[ -z "$replaces" ] || options="$options --force-resolution"
set -- $names
for g in $gone; do set -- "$@" "!$g"; done
patiently() {
	told=
	while :; do
		"$@"
		case $s in 102|103|106) s=0 ;; esac
		[ "$s" = 7 ] || return $s
		pid= by='another program'
		if [ -r /run/zypp.pid ]; then read -r pid </run/zypp.pid; fi
		if [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ]; then by="$(tr '\000' ' ' <"/proc/$pid/cmdline")(pid $pid)"; fi
		left
		if [ "$left" -lt 10 ]; then printf 'waited in vain: the lock of zypper is held by %s\n' "$by"; exit 1; fi
		if [ "$by" != "$told" ]; then printf 'waiting: the lock of zypper is held by %s\n' "$by"; told=$by; fi
		sleep 2
	done
}
if [ -n "$refresh" ]; then patiently run zypper --non-interactive refresh || echo 'the package lists are not all up to date'; fi
# Locks on packages that may change are taken off meanwhile.
locked=
if [ -n "$held" ]; then
	patiently quietly zypper --non-interactive locks
	for n in $names $gone; do
		n=${n%%[=<>]*}
		case $out in *"| $n "*) locked="$locked $n" ;; esac
	done
	[ -z "$locked" ] || patiently run zypper --non-interactive removelock $locked || exit $s
fi
locks() { [ -z "$locked" ] || patiently quietly zypper --non-interactive addlock $locked || printf 'the locks on%s could not be set again\n' "$locked"; }
foreseen=yes
if [ -n "$replaces$gone" ]; then
	if patiently quietly zypper --non-interactive install --dry-run $options -- "$@"; then
		section= bad=
		while IFS= read -r line; do
			case $line in
			*"going to be REMOVED:"*) section=remove ;;
			"  "*) if [ -n "$section" ]; then for n in $line; do may "$n" || bad="$bad $n"; done; fi ;;
			*) section= ;;
			esac
		done <<END
$out
END
		[ -z "$bad" ] || { locks; refuse zypper "$bad"; }
	else
		printf '%s\n' "$out"
		foreseen=
	fi
fi
[ -z "$foreseen" ] || patiently run zypper --non-interactive install $options ${download:+--download-only} -- "$@"
r=$s
locks
exit $r
`
