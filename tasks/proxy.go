package tasks

import (
	"fmt"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// Proxy gives each program that reaches out the outbound proxy in the way that
// program reads it, and each store of certificates the proxy's own.
//
// The probe reads files and asks systemd once; a process's environment is
// compared on the host. Nothing here touches a path that can hang.
var Proxy = Task{Name: "proxy", Probe: probeProxy, Read: readProxy, Plan: planProxy, Independent: true}

// Where things are on every host.
const (
	environmentPath = "/etc/environment"
	aptConfPath     = "/etc/apt/apt.conf"
	aptPath         = "/etc/apt/apt.conf.d/zz-runai-prep-proxy" // read last but for apt.conf
	dnfPath         = "/etc/dnf/dnf.conf"
	yumPath         = "/etc/yum.conf"
	sysconfigPath   = "/etc/sysconfig/proxy"
	curlrcPath      = "/root/.curlrc"
	proxyEnvPath    = "/etc/runai-prep/proxy.env"
	// The name sorts after http-proxy.conf and proxy.conf, which is what
	// people call theirs, so that ours holds.
	dropInName = "runai-prep-proxy.conf"
)

// rootOnly are the files that hold the credentials where there are any.
var rootOnly = []string{proxyEnvPath, aptPath, dnfPath, yumPath, curlrcPath}

// runtimes are the units that read a proxy from their environment, in the
// order in which they are set.
var runtimes = []string{"containerd", "docker", "crio", "kubelet"}

func dropInPath(unit string) string {
	return "/etc/systemd/system/" + unit + ".service.d/" + dropInName
}

func probeProxy(h inventory.Host) string {
	wished := "false"
	w := proxyWish{}
	if h.Proxy != nil {
		wished, w = "true", wishOf(h)
	}
	var b strings.Builder
	b.WriteString("manager\n" + probeUser(h) + "show " + ledgerPath("proxy") + "\n")
	// With no wish and nothing remembered there is nothing to look at.
	b.WriteString("if " + wished + " || [ -e " + ledgerPath("proxy") + " ]; then\n")
	b.WriteString("show " + environmentPath + "\n")
	b.WriteString(`case $manager_name in
apt)
	` + secretFile(aptPath, w.credentials(), w.aptConf()) + `
	show ` + aptConfPath + `
	set --
	for file in /etc/apt/apt.conf.d/*; do
		if [ -f "$file" ]; then
			if [ -r "$file" ]; then set -- "$@" "$file"; else printf '@closed %s\n' "$file"; fi
		fi
	done
	` + aptTrust(w.certificates) + `if [ $# -gt 0 ]; then ran apt grep -isH -e proxy` + patterns(w.certificates) + ` "$@"; fi
	;;
dnf) show ` + dnfPath + ` ;;
yum) show ` + yumPath + ` ;;
zypper)
	show ` + sysconfigPath + `
	show ` + curlrcPath + `
	;;
esac
` + secretFile(proxyEnvPath, w.credentials(), w.envFile()) + "\n")
	fmt.Fprintf(&b, "wanted=%s\nwanted_count=%d\ntimes=%t\nset --\n",
		quote(strings.Join(w.secretAssignments(), "\n")), len(w.secretAssignments()), w.credentials())
	if w.credentials() {
		b.WriteString("for file in " + strings.Join(rootOnly, " ") + `; do
	if [ -e "$file" ]; then set -- "$@" "$file"; fi
done
`)
	}
	b.WriteString(probeUnits)
	b.WriteString(probeTrust(w.certificates))
	b.WriteString(probeTimes)
	b.WriteString("fi\n" + probeEnd)
	return b.String()
}

// secretFile looks at a file that is ours alone: compared on the host where it
// holds a password, shown where it does not. One that has become superfluous
// says by the sum in its first line whether it still is what we wrote.
func secretFile(path string, credentials bool, content string) string {
	if credentials {
		return "matches " + path + " " + quote(strings.TrimRight(content, "\n"))
	}
	return `if signed ` + path + `; then :; else show ` + path + `; fi`
}

// probeUnits asks systemd for the units that are there, and looks at what sets
// variables for each: drop-ins, environment files, the process itself. Drop-ins
// of ours are looked at whether their unit is there or not. It adds to the
// arguments the files of which one stat at the end tells modes and times; that
// is only needed for passwords, for processes that do not run as wished, and for
// certificates that they may have begun before.
const probeUnits = `
assigns() {
	printf '@assigns %s\n' "$1"
	seen "$1" || return 0
	while IFS= read -r assigns_line || [ -n "$assigns_line" ]; do
		case $assigns_line in *[Pp][Rr][Oo][Xx][Yy]* | *Environment*) printf '|%s\n' "$assigns_line" ;; esac
	done <"$1"
}
environ() {
	printf '@environ %s\n' "$1"
	if [ "$2" = 0 ]; then echo '!none'; return; fi
	if [ ! -r "/proc/$2/environ" ]; then echo '!unreadable'; return; fi
	environ_count=0
	environ_ifs=$IFS
	IFS=$nl
	set -f
	for environ_line in $(tr '\0' '\n' <"/proc/$2/environ"); do
		case $environ_line in
		HTTP_PROXY=* | http_proxy=* | HTTPS_PROXY=* | https_proxy=* | NO_PROXY=* | no_proxy=*)
			case $nl$wanted$nl in
			*"$nl$environ_line$nl"*) environ_count=$((environ_count + 1)) ;;
			*"$nl${environ_line%%=*}="*)
				times=true
				echo '!other'
				;;
			*)
				times=true
				echo "!extra ${environ_line%%=*}"
				;;
			esac
			;;
		esac
	done
	set +f
	IFS=$environ_ifs
	if [ $environ_count != $wanted_count ]; then times=true; fi
	echo "!count $environ_count"
}
units= pulls=false
for unit in containerd docker crio kubelet; do
	file=/etc/systemd/system/$unit.service.d/` + dropInName + `
	if [ -e "$file" ] || [ -L "$file" ]; then
		show "$file"
		set -- "$@" "$file"
	fi
	if hasUnit "$unit"; then units="$units $unit"; fi
done
if [ -n "$units" ] && [ -d /run/systemd/system ]; then
	for dir in /etc /run /usr/local/lib /usr/lib; do
		for file in "$dir/systemd/system/service.d"/*.conf; do
			if [ -e "$file" ]; then
				assigns "$file"
				set -- "$@" "$file"
			fi
		done
	done
	for unit in $units; do
		for dir in /etc /run /usr/local/lib /usr/lib; do
			for file in "$dir/systemd/system/$unit.service.d"/*.conf; do
				case $file in
				/etc/systemd/system/*/` + dropInName + `) ;;
				*)
					if [ -e "$file" ]; then
						assigns "$file"
						set -- "$@" "$file"
					fi
					;;
				esac
			done
		done
	done
	services units Id,LoadState,ActiveState,NeedDaemonReload,Environment,EnvironmentFiles,MainPID,ExecMainStartTimestamp $units
	pid= id= shown=
	old_ifs=$IFS
	IFS=$nl
	set -f
	for line in $ran_out; do
		IFS=$old_ifs
		set +f
		case $line in
		Id=*) id=${line#Id=} ;;
		MainPID=*) pid=${line#MainPID=} ;;
		EnvironmentFiles=/*)
			file=${line#EnvironmentFiles=}
			file=${file% (ignore_errors=*}
			case $nl$shown$nl in
			*"$nl$file$nl"*) ;;
			*)
				shown=$shown$nl$file
				if [ "$file" != ` + proxyEnvPath + ` ]; then
					assigns "$file"
					if [ -e "$file" ]; then set -- "$@" "$file"; fi
				fi
				;;
			esac
			;;
		esac
		if [ -n "$id" ] && [ -n "$pid" ]; then
			if [ "$id" != kubelet.service ] && [ "$pid" != 0 ]; then pulls=true; fi
			environ "$id" "$pid"
			id= pid=
		fi
	done
	IFS=$old_ifs
	set +f
fi
`

// ownProcess is where the probe reads the host's clock without another program:
// the folder of a process that has just begun is as old as the look.
const ownProcess = "/proc/self/."

const probeTimes = `if $times && [ $# -gt 0 ]; then ran modes stat -c '%a %u %n %Y' "$@"; fi
`
