package tasks

// probeOffers asks what takes processes and time, where there is something to
// do: for room, for those who use the GPUs, and for what the repositories have.
// Nothing is fetched and nothing is written: the managers are held to what they
// have in their caches, and apt's index is rebuilt in memory where there is none.
const probeOffers = `holders() {
	echo @holders
	holders_all=$(find /proc/[0-9]*/fd -lname '/dev/nvidia*' 2>/dev/null)
	holders_ls= holders_seen=' '
	if [ -z "$holders_all" ]; then # busybox's find knows no -lname
		holders_ls=$(ls -ln /proc/[0-9]*/fd/ 2>/dev/null | grep -E -e '^/proc/[0-9]+/fd/:' -e ' -> /dev/nvidia')
	fi
	IFS=$nl
	set -f
	for line in $holders_ls; do
		case $line in
		/proc/*/fd/:) holders_pid=$line ;;
		*) holders_all=$holders_all$nl$holders_pid ;;
		esac
	done
	for line in $holders_all; do
		holders_pid=${line#/proc/}
		holders_pid=${holders_pid%%/*}
		case $holders_seen in *" $holders_pid "*) continue ;; esac
		holders_seen="$holders_seen$holders_pid "
	done
	set +f
	IFS=' 	'$nl
	for try in $holders_seen; do
		line "/proc/$try/comm"
		holders_uid=
		if [ -r "/proc/$try/status" ]; then
			while read -r key value rest; do
				if [ "$key" = Uid: ]; then
					holders_uid=${rest%%[!0-9]*}
					break
				fi
			done <"/proc/$try/status"
		fi
		holders_name=
		if [ -n "$holders_uid" ] && [ -r /etc/passwd ]; then
			while IFS=: read -r key value rest; do
				case $rest in "$holders_uid:"*)
					holders_name=$key
					break
					;;
				esac
			done </etc/passwd
		fi
		printf '@process %s %s %s\n' "$try" "${holders_name:-$holders_uid}" "$line"
		if [ -r "/proc/$try/cgroup" ]; then
			while IFS= read -r line; do
				case $line in *:*docker* | *:*kubepods* | *:*libpod* | *:*crio* | *:*containerd* | *:*lxc* | 0:* | *:name=systemd:*) printf '|%s\n' "$line" ;; esac
			done <"/proc/$try/cgroup"
		fi
	done
}
# The cache is used as it is, or else made in memory: one that is older than the
# lists still has the names, and not what a policy is made of.
in_memory() { apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@" 2>/dev/null; }
# known PATTERN: the names that apt knows, in $names.
known() {
	names=$(apt-cache --no-generate pkgnames 2>/dev/null | grep -E "$1")
	if [ -z "$names" ]; then names=$(in_memory pkgnames | grep -E "$1"); fi
}
apt_policy() { apt-cache --no-generate policy "$@" 2>/dev/null || in_memory policy "$@"; }
# What may have a driver in it, and what builds one.
apt_names='nvidia-(open-kernel-dkms|kernel-dkms|kernel-open-dkms|kernel-source|kernel-common|kernel-support|driver|driver-cuda|driver-pinning|open|smi|persistenced|modprobe|fabricmanager|headless|headless-no-dkms|utils|compute-utils|dkms)(-[0-9]+)?(-server)?(-open)?
nvidia-driver-pinning-[0-9.]+
libnvidia-(ml1|cfg1|compute)(-[0-9]+)?(-server)?
cuda-drivers(-[0-9]+|-fabricmanager)?
firmware-nvidia-gsp
(cuda-keyring|libcuda1|dkms|gcc|make|linux-headers-(amd64|cloud-amd64|generic))'
offers() {
	case $manager_name in
	apt)
		for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
			if [ -e "$file" ]; then show "$file"; fi
		done
		set -- "linux-headers-$running"
		if [ "$next" != "$running" ]; then set -- "$@" "linux-headers-$next"; fi
		IFS=$nl
		set -f
		for line in $installed; do
			case $line in ?i*nvidia* | ?i*libcuda*)
				line=${line#*	}
				set -- "$@" "${line%%	*}"
				;;
			esac
		done
		try=
		for line in $apt_names; do try="$try|$line"; done
		known "^(${try#?}|linux-(modules|objects|signatures)-nvidia-[0-9]+(-server)?(-open)?-($running|$next|generic))\$"
		for line in $names; do
			case "$nl$*$nl" in *"$nl$line$nl"*) continue ;; esac # "$*" is joined by the newline of IFS
			set -- "$@" "$line"
		done
		set +f
		IFS=' 	'$nl
		ran policy apt_policy "$@"
		;;
	dnf | yum)
		for file in /etc/yum.repos.d/*.repo; do
			if [ -e "$file" ]; then show "$file"; fi
		done
		set -- 'nvidia-driver*' 'nvidia-open*' 'kmod-nvidia*' 'cuda-drivers*' 'nvidia-fabric*' nvidia-persistenced nvidia-modprobe \
			nvidia-kmod-common nvidia-settings nvidia-xconfig 'nvidia-libXNVCtrl*' 'libnvidia-*' dkms gcc make \
			"kernel-devel-$running" "kernel-devel-$next" kernel-headers "kernel-modules-extra-$running" "kernel-modules-extra-$next"
		if [ "$manager_name" = dnf ]; then
			# Streams that are not enabled hide their packages, unless asked so.
			{ ran rpms timeout -s KILL 40 dnf -C -q --setopt=logfilelevel=0 repoquery --disable-modular-filtering --qf '%{name}	%{epoch}:%{version}-%{release}	%{repoid}
' "$@"; } 2>/dev/null
			if [ "$ran_exit" = 0 ]; then { ran streams timeout -s KILL 40 dnf -C -q --setopt=logfilelevel=0 module list nvidia-driver; } 2>/dev/null; fi
		else
			{ ran yum timeout -s KILL 40 yum -C -q list available --showduplicates "$@"; } 2>/dev/null
		fi
		;;
	zypper)
		for file in /etc/zypp/repos.d/*.repo; do
			if [ -e "$file" ]; then show "$file"; fi
		done
		{ ran zypper timeout -s KILL 40 env ZYPP_READONLY_HACK=1 zypper --no-refresh -n -q search -s -t package 'nvidia*' 'libnvidia*' 'cuda-drivers*' dkms gcc make kernel-default-devel; } 2>/dev/null
		;;
	esac
}
if [ "$ask" = yes ]; then
	ran space stat -f -c '%f %S %n' /usr /boot /var
	if [ "$refs" -gt 0 ]; then holders; fi
	if [ -n "$secure_on" ] && command -v mokutil >/dev/null; then
		grub_value mok_certificate /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf
		if [ -z "$value" ]; then
			value=/var/lib/dkms/mok.pub
			if [ "$os" = ubuntu ]; then value=/var/lib/shim-signed/mok/MOK.der; fi
		fi
		if [ -r "$value" ]; then
			case $(mokutil --test-key "$value" 2>&1) in
			*' is already enrolled'* | *' is already in db'*) echo '@mok enrolled' ;;
			*' is already in the enrollment request'*) echo '@mok requested' ;;
			*) echo '@mok' ;;
			esac
		fi
	fi
	echo @asked
	offers
fi
`

// probeSMI is for what no file tells: whether a GPU that has not been brought
// up yet can be.
const probeSMI = `if [ -n "$loaded" ] && [ "$loaded" = "$user" ] && [ "$down" != 0 ] && command -v nvidia-smi >/dev/null; then
	echo @smi
	echo '!began'
	smi_out=$(timeout -s KILL 5 nvidia-smi 2>&1)
	smi_exit=$?
	bars "$smi_out"
	echo "!exit $smi_exit"
fi
`
