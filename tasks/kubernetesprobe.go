package tasks

import (
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// kubernetesPrograms are those whose versions are asked.
var kubernetesPrograms = []string{"kubelet", "kubeadm", "kubectl", "containerd", "dockerd", "crio", "k3s", "rke2", "oc"}

// bootSettings are the files that are read at boot, in the order of who has the
// word where two have the same name.
const bootSettings = "/etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /etc/sysctl.conf " +
	"/etc/modules-load.d/*.conf /run/modules-load.d/*.conf /usr/local/lib/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf /etc/modules"

// Lines of interest: of settings; and in /proc/net/tcp a listening socket (0A)
// on a port of Kubernetes: 6443, 2379, 2380, 10250, 10257, 10259.
const (
	settingWords = "^[^#;]*(ip_forward|bridge-nf-call-ip|conf.all.forwarding|br_netfilter|overlay)"
	listenWords  = ":(192B|094B|094C|280A|2811|2813) [0-9A-F]+:0000 0A "
)

func probeKubernetes(h inventory.Host) string {
	var b strings.Builder
	b.WriteString("manager\n" + probeUser(h) + "show " + ledgerPath("kubernetes") + "\n")
	b.WriteString(probeOnce + probeRunning)
	switch {
	case kubernetesWished(h):
		b.WriteString(probeIdentity + probeSwap + probeModuleSettings + probeRuntimeConfigs + probeGPUHost(h) + probeNetwork + probeSecurity + probeTimeService + probeVersions)
	case h.Toolkit != nil:
		b.WriteString(probeIdentity + probeRuntimeConfigs + probeGPUHost(h) + probeVersions)
	}
	b.WriteString(probeRemembered)
	if kubernetesWished(h) {
		b.WriteString(probeClock)
	}
	b.WriteString(probeEnd)
	return b.String()
}

// probeRunning are functions.
const probeRunning = `# running UNIT: has it processes? Its group is there as long as it has.
running() {
	for running_at in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		if [ -d "$running_at/system.slice/$1.service" ]; then
			printf '@running %s\n' "$1"
			return 0
		fi
	done
	return 1
}
# which NAME: where a program is; left in $which.
which_dirs='/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /opt/bin /var/lib/rancher/rke2/bin'
which() {
	for which_dir in $which_dirs; do
		which=$which_dir/$1
		if [ -f "$which" ] && [ -x "$which" ]; then return 0; fi
	done
	which=
	return 1
}
`

// probeIdentity: who this host is. A container shares the kernel, and so the
// modules, the swap and the clock, of a machine that somebody else keeps.
const probeIdentity = `if [ -e /etc/os-release ]; then show /etc/os-release; else show /usr/lib/os-release; fi
word kernel /proc/sys/kernel/osrelease
for file in /run/systemd/container /run/.containerenv /.dockerenv; do
	if [ -e "$file" ]; then
		printf '@container %s\n' "$file"
		break
	fi
done
word hostname /proc/sys/kernel/hostname
hostname=$word_line
word boot /proc/sys/kernel/random/boot_id
word machine-id /etc/machine-id
word uuid /sys/class/dmi/id/product_uuid
`

const probeSwap = `show /proc/swaps
once ` + fstabPath + `
if [ -r /proc/meminfo ]; then
	while read -r key value unit; do
		case $key in MemAvailable:) echo "@available $value $unit"; break ;; esac
	done </proc/meminfo
fi
for file in /run/systemd/generator.late/*.swap /etc/systemd/system/*.wants/*.swap \
	/etc/systemd/system/*.wants/zramswap.service /etc/systemd/system/*.wants/dphys-swapfile.service; do
	if [ -f "$file" ] && [ ! -L "/etc/systemd/system/${file##*/}" ]; then printf '@swapunit %s\n' "$file"; fi
done
for file in /usr/lib/systemd/zram-generator.conf /usr/local/lib/systemd/zram-generator.conf; do
	if [ -f "$file" ]; then once "$file"; fi
done
each /etc/systemd/zram-generator.conf.d/*.conf /usr/lib/systemd/zram-generator.conf.d/*.conf
if [ -e ` + zramPath + ` ] || [ -f /usr/lib/systemd/zram-generator.conf ] || [ -f /usr/local/lib/systemd/zram-generator.conf ]; then
	once ` + zramPath + `
fi
`

// probeModuleSettings: the kernel as it is now, and as the next boot makes it.
const probeModuleSettings = `for name in overlay br_netfilter; do
	printf '@module %s\n' "$name"
	if [ -d "/sys/module/$name" ]; then
		echo '!loaded'
	elif [ "$name" = br_netfilter ] && [ -d /proc/sys/net/bridge ]; then
		echo '!loaded'
	elif [ "$name" = overlay ] && [ -r /proc/filesystems ]; then
		while read -r one two; do
			if [ "$one" = overlay ] || [ "$two" = overlay ]; then
				echo '!loaded'
				break
			fi
		done </proc/filesystems
	fi
done
for name in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables; do
	file=$name
	before=
	while :; do
		case $file in
		*.*)
			before=$before${file%%.*}/
			file=${file#*.}
			;;
		*) break ;;
		esac
	done
	file=/proc/sys/$before$file
	if [ -r "$file" ]; then
		read -r value <"$file"
		printf '@sysctl %s %s\n' "$name" "$value"
		if [ ! -w "$file" ]; then echo '!fixed'; fi
	else
		printf '@sysctl %s\n!absent\n' "$name"
	fi
done
set -- ` + bootSettings + `
echo '@settings'
for file in "$@"; do
	if [ -e "$file" ] || [ -L "$file" ]; then printf '|%s\n' "$file"; fi
done
ran found grep -sHE '` + settingWords + `|` + listenWords + `' "$@" /proc/net/tcp /proc/net/tcp6
found=$ran_out
once ` + sysctlPath + `
once ` + modulesLoadPath + `
set -f
old_ifs=$IFS
IFS=$nl
for line in $found; do
	case $line in
	/etc/sysctl*) once "${line%%:*}" ;;
	esac
done
set +f
IFS=$old_ifs
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	echo '@cgroups v2'
elif [ -d /sys/fs/cgroup/unified ]; then
	echo '@cgroups hybrid'
else
	echo '@cgroups v1'
fi
`

// probeRuntimeConfigs: what kubelet and the runtimes are configured with. The
// runtimes' files may hold passwords, and are not among the facts that are shown.
const probeRuntimeConfigs = `for file in ` + kubeletConfigPath + ` ` + kubeletFlagsPath + `; do
	if [ -e "$file" ]; then once "$file"; fi
done
if [ -r ` + apiServerPath + ` ]; then
	while read -r one two three; do
		case $one,$two in image:,*/kube-apiserver:*) printf '@apiserver %s\n' "${two##*:}" ;; esac
	done <` + apiServerPath + `
fi
if which containerd; then
	once ` + containerdPath + `
	each /etc/containerd/conf.d/*.toml /etc/containerd/config.d/*.toml
fi
if which dockerd; then once ` + dockerPath + `; fi
if which crio; then each /etc/crio/crio.conf /usr/lib/crio/crio.conf.d/*.conf /etc/crio/crio.conf.d/*; fi
for name in kubelet k3s k3s-agent rke2-server rke2-agent containerd docker crio; do
	if running "$name"; then :; fi
done
`

// probeNetwork: the way out, and who listens where Kubernetes will. Which
// process does is asked only where no component of Kubernetes explains it.
const probeNetwork = `route=
if [ -r /proc/net/route ]; then
	while read -r interface destination gateway flags count use metric mask rest; do
		case $destination,$mask in 00000000,00000000) route=$interface; break ;; esac
	done </proc/net/route
fi
if [ -z "$route" ] && [ -r /proc/net/ipv6_route ]; then
	while read -r destination length source source_length gateway metric count use flags interface; do
		case $destination,$length,$interface in *,lo) ;; 00000000000000000000000000000000,00,*) route=$interface; break ;; esac
	done </proc/net/ipv6_route
fi
printf '@route %s\n' "$route"
if [ -n "$route" ]; then word mtu "/sys/class/net/$route/mtu"; fi
explained=
if [ -e ` + apiServerPath + ` ] || [ -d /sys/fs/cgroup/system.slice/k3s.service ] || [ -d /sys/fs/cgroup/system.slice/rke2-server.service ]; then
	explained='192B 094B 094C 280A 2811 2813'
elif [ -d /sys/fs/cgroup/system.slice/kubelet.service ] || [ -d /sys/fs/cgroup/systemd/system.slice/kubelet.service ] ||
	[ -d /sys/fs/cgroup/system.slice/k3s-agent.service ] || [ -d /sys/fs/cgroup/system.slice/rke2-agent.service ]; then
	explained=280A
fi
set -f
old_ifs=$IFS
IFS=$nl
inodes=
for line in $found; do
	case $line in /proc/net/tcp*) ;; *) continue ;; esac
	IFS=' '
	set -- ${line#*:}
	IFS=$nl
	case " $explained " in *" ${2##*:} "*) continue ;; esac
	inodes="$inodes ${10}"
done
IFS=$old_ifs
if [ -n "$inodes" ]; then
	set +f
	set -- /proc/[0-9]*/fd
	set -f
	tests=
	for inode in $inodes; do
		if [ -n "$tests" ]; then tests="$tests -o"; fi
		tests="$tests -lname socket:[[]$inode[]]"
	done
	ran holders timeout -s KILL 5 find "$@" '(' $tests ')' -printf '%p %l\n'
	for file in $ran_out; do
		pid=${file#/proc/}
		pid=${pid%%/*}
		comm=
		if [ -r "/proc/$pid/comm" ]; then read -r comm <"/proc/$pid/comm"; fi
		printf '@holder %s %s %s\n' "$pid" "${file##* }" "$comm"
	done
fi
set +f
names=
if [ -r /etc/hosts ]; then
	while read -r address words; do
		case $address in '#'* | '') continue ;; esac
		case " ${words%%#*} " in *" $hostname "* | *"$tab$hostname "* | *" $hostname$tab"* | *"$tab$hostname$tab"*) names=$address; break ;; esac
	done </etc/hosts
fi
if [ -n "$names" ]; then
	printf '@resolves hosts %s\n' "$names"
elif [ -n "$hostname" ] && command -v getent >/dev/null; then
	ran resolved timeout -s KILL 3 getent hosts "$hostname"
fi
`

const probeSecurity = `if [ -r /sys/fs/selinux/enforce ]; then
	word selinux /sys/fs/selinux/enforce
	for file in /var/lib/selinux/*/active/modules/*/container /usr/share/selinux/packages/container.pp.bz2; do
		if [ -e "$file" ]; then
			echo '!containers'
			break
		fi
	done
elif [ -e /etc/selinux/config ]; then
	echo '@selinux disabled'
fi
if [ -r /sys/module/apparmor/parameters/enabled ]; then
	word apparmor /sys/module/apparmor/parameters/enabled
	if which apparmor_parser; then echo '!parser'; fi
fi
if running firewalld; then
	echo '@firewalld'
	zone=public
	if [ -r /etc/firewalld/firewalld.conf ]; then
		while IFS= read -r line; do
			case $line in DefaultZone=*) zone=${line#DefaultZone=} ;; esac
		done </etc/firewalld/firewalld.conf
	fi
	printf '@zone %s\n' "$zone"
	each /etc/firewalld/zones/*.xml
	if [ ! -e "/etc/firewalld/zones/$zone.xml" ]; then each "/usr/lib/firewalld/zones/$zone.xml"; fi
fi
`

const probeTimeService = `keeper=
for name in chrony chronyd systemd-timesyncd ntp ntpd ntpsec openntpd; do
	if [ -z "$keeper" ] && running "$name"; then keeper=$name; fi
done
case $keeper in
systemd-timesyncd) if [ -e /run/systemd/timesync/synchronized ]; then echo '@synced yes'; else echo '@synced no'; fi ;;
chrony*) if which chronyc; then ran chronyc "$which" -n tracking; fi ;;
esac
`

// probeVersions asks each program that is there. One that hangs is ended with
// those after it.
var probeVersions = `set --
for name in ` + strings.Join(kubernetesPrograms, " ") + `; do
	if which "$name"; then set -- "$@" "$name" "$which"; fi
done
if [ -n "$toolkit" ]; then
	for name in nvidia-ctk nvidia-container-cli; do
		if which "$name"; then set -- "$@" "$name" "$which"; break; fi
	done
fi
if [ $# -gt 0 ]; then
	echo '@versions'
	timeout -s KILL 8 sh -c '
nl="
"
while [ $# -gt 1 ]; do
	echo "@program $1 $2"
	case $1 in
	kubeadm) out=$("$2" version -o short 2>&1) ;;
	kubectl | oc) out=$("$2" version --client 2>&1) ;;
	*) out=$("$2" --version 2>&1) ;;
	esac || echo "!exit $?"
	IFS=$nl
	set -f
	n=0
	for line in $out; do
		n=$((n + 1))
		if [ $n -le 4 ]; then printf "|%s\n" "$line"; fi
	done
	shift 2
done
' sh "$@" </dev/null || echo "!ended $?"
fi
`

// probeRemembered shows what the ledger names: it may be elsewhere by now.
var probeRemembered = `if [ -f ` + ledgerPath("kubernetes") + ` ] && [ -r ` + ledgerPath("kubernetes") + ` ]; then
	while IFS=$tab read -r kind path rest; do
		case $kind in '#'* | '') ;; *) once "$path" ;; esac
	done <` + ledgerPath("kubernetes") + `
fi
`

// probeClock comes last: what comes after it reaches the controller at once,
// whose clock at that moment is what it is compared with. How long the host has
// taken until then says how much of the controller's wait was the way.
const probeClock = `up=
if [ -r /proc/uptime ]; then read -r up up_idle </proc/uptime; fi
echo "@date $(date +%s.%N)"
if [ -n "$began_up" ] && [ -n "$up" ]; then echo "!up $began_up $up"; fi
`
