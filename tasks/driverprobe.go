package tasks

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-version"

	"github.com/runai-prep/runai-prep/inventory"
)

// The programs that the driver's probe may run, and when. All else is built-ins
// and reads of /proc, /sys and folders.
//
//	always     dpkg-query, or rpm                    which packages there are, and which are held
//	           systemctl show                        where a unit file of driverUnits is; one for all tasks
//	           modinfo FILE...                       where there is a module on disk
//	           uname -m                              where nothing else says the architecture
//	doubt      timeout nvidia-smi                    the module is loaded, and not every GPU has come up
//	           grep                                  no file with a telling name says that nouveau is kept out
//	unsettled  stat -f                               room in /usr, /boot, /var
//	           mokutil --test-key                    with Secure Boot, where DKMS has a key
//	           find                                  who has /dev/nvidia* open, where something has
//	           apt-cache, grep; timeout with dnf, yum or zypper
//	                                                 what the repositories have
//
// Unsettled is a host on which there is something to do: the five places do not
// agree on one version of the wished range, or a service that belongs to it is
// missing. What a settled host's repositories have is nobody's concern, and
// asking takes seconds there; so the shell compares the versions itself.
//
// A GPU that is sick can hold a process so that not even SIGKILL ends it. The
// controller's deadline then ends this section; nvidia-smi comes last, and is
// announced, so that it is known what hung.

// driverUnits are the services that use the driver or keep it. Those of dcgm
// and their like are NVIDIA's own, no GPU work.
var driverUnits = []string{
	"nvidia-persistenced", "nvidia-fabricmanager", "nvidia-imex", "nvidia-gridd", "nvidia-topologyd", "nvidia-powerd",
	"nvidia-dcgm", "dcgm", "nvidia-dcgm-exporter", "dcgm-exporter", "nvidia-mig-manager", "nvsm",
	"nvidia-vgpud", "nvidia-vgpu-mgr", "display-manager",
}

// driverShown are files that are shown whole where they are there.
var driverShown = []string{
	"/etc/modprobe.d/runai-prep-nouveau.conf", "/etc/apt/preferences.d/runai-prep-nvidia",
	"/etc/dnf/plugins/versionlock.list", "/etc/dnf/versionlock.toml", "/etc/yum/pluginconf.d/versionlock.list", "/etc/zypp/locks",
	"/run/reboot-required.pkgs", "/run/reboot-needed",
}

func probeDriver(h inventory.Host) string {
	if h.Driver == nil && h.Role != "gpu" {
		if len(h.Images) == 0 {
			return probeEnd
		}
		return "architecture\n" + probeEnd // which images are for
	}
	ask := "no"
	if h.Driver != nil && h.Driver.Source != "none" {
		ask = "yes"
	}
	var b strings.Builder
	b.WriteString(probeUser(h))
	b.WriteString(probeDriverTools)
	b.WriteString(wishedVersion(h.Driver))
	fmt.Fprintf(&b, "show %s\nfor file in %s; do if [ -e \"$file\" ]; then show \"$file\"; fi; done\n",
		ledgerPath("driver"), strings.Join(driverShown, " "))
	b.WriteString(probeGPUs + probeLoaded + probeUserSpace + probeKernels + probeModules + probeNouveau)
	fmt.Fprintf(&b, "units='%s'\n", strings.Join(driverUnits, " "))
	b.WriteString(probeDriverPackages)
	fmt.Fprintf(&b, "ask=%s\n", ask)
	if d := h.Driver; d != nil {
		fmt.Fprintf(&b, "source=%s flavor=%s need_gpu=%t\n", d.Source, d.Flavor, d.RequireGPU)
	} else {
		b.WriteString("source=none flavor=auto need_gpu=true\n")
	}
	b.WriteString(probeSettled + probeOffers + probeSMI + probeEnd)
	return b.String()
}

// wishedVersion makes the shell function that says whether a version is in the
// wished range. What it cannot say it takes for outside: then more is looked at.
func wishedVersion(d *inventory.Driver) string {
	tests := ""
	if d != nil {
		for _, part := range strings.Split(d.Constraint, ",") {
			tests += versionTest(strings.TrimSpace(part))
		}
	}
	return "wished() {\n\t[ -n \"$1\" ] || return 1\n" + tests + "}\n"
}

// versionTest is one condition of a constraint in shell.
func versionTest(condition string) string {
	at := strings.IndexFunc(condition, func(r rune) bool { return r >= '0' && r <= '9' })
	if at < 0 {
		return ""
	}
	op, v := strings.TrimSpace(condition[:at]), condition[at:]
	parsed, err := version.NewVersion(v)
	if err != nil {
		return "\treturn 1\n"
	}
	v = quote(v)
	switch op {
	case ">=":
		return "\tif older \"$1\" " + v + "; then return 1; fi\n"
	case "<":
		return "\tolder \"$1\" " + v + " || return 1\n"
	case ">":
		return "\tolder " + v + " \"$1\" || return 1\n"
	case "<=":
		return "\tif older " + v + " \"$1\"; then return 1; fi\n"
	case "!=":
		return "\tif same \"$1\" " + v + "; then return 1; fi\n"
	case "~>":
		// All numbers but the last must stay as they are.
		numbers := strings.Split(parsed.Original(), ".")
		if len(numbers) < 2 {
			return "\tif older \"$1\" " + v + "; then return 1; fi\n"
		}
		prefix := strings.Join(numbers[:len(numbers)-1], ".")
		return "\tif older \"$1\" " + v + "; then return 1; fi\n\tcase $1 in " + quote(prefix) + "|" + quote(prefix+".") + "*) ;; *) return 1 ;; esac\n"
	default:
		return "\tsame \"$1\" " + v + " || return 1\n"
	}
}

// versionTools compare versions number by number.
const versionTools = `# older A B: do the numbers in A come before those in B? What is missing is 0.
older() {
	older_a=$1 older_b=$2
	while [ -n "$older_a$older_b" ]; do
		older_a=${older_a#"${older_a%%[0-9]*}"}
		older_b=${older_b#"${older_b%%[0-9]*}"}
		older_x=${older_a%%[!0-9]*} older_y=${older_b%%[!0-9]*}
		older_a=${older_a#"$older_x"} older_b=${older_b#"$older_y"}
		# No shell counts beyond 18 digits.
		case $older_x$older_y in ???????????????????*) return 1 ;; esac
		if [ "${older_x:-0}" -lt "${older_y:-0}" ]; then return 0; fi
		if [ "${older_x:-0}" -gt "${older_y:-0}" ]; then return 1; fi
	done
	return 1
}
same() { if older "$1" "$2" || older "$2" "$1"; then return 1; fi; }
`

// probeDriverTools are functions, and what kind of machine this is.
const probeDriverTools = versionTools + `# line FILE: its first line, in $line.
line() {
	line=
	if [ -f "$1" ] && [ -r "$1" ]; then IFS= read -r line <"$1"; fi
	return 0
}
os_file=/etc/os-release
if [ ! -e "$os_file" ]; then os_file=/usr/lib/os-release; fi
show "$os_file"
os=
if [ -r "$os_file" ]; then
	while IFS='=' read -r key value; do
		case $key in ID) os=${value#[\"\']} os=${os%[\"\']} ;; esac
	done <"$os_file"
fi
word kernel /proc/sys/kernel/osrelease
running=$word_line
architecture
word hostname /proc/sys/kernel/hostname
manager
`

// probeGPUs looks at the bus. A GPU that the driver has brought up has a UUID;
// one that it could not bring up has question marks in its place.
const probeGPUs = `gpus=0 down=0 switches=0
for at in /sys/bus/pci/devices/*; do
	line "$at/vendor"
	[ "$line" = 0x10de ] || continue
	[ ! -e "$at/physfn" ] || continue # a part of another, for a virtual machine
	line "$at/class"
	case $line in
	0x0300* | 0x0302*) kind=gpu gpus=$((gpus + 1)) ;;
	0x0680*) kind=nvswitch switches=$((switches + 1)) ;;
	*) continue ;;
	esac
	line "$at/device"
	device=${line#0x}
	at=${at##*/} driver=
	for try in /sys/bus/pci/drivers/nvidia /sys/bus/pci/drivers/nouveau /sys/bus/pci/drivers/*; do
		if [ -e "$try/$at" ]; then
			driver=${try##*/}
			break
		fi
	done
	printf '@%s %s %s %s\n' "$kind" "$at" "$device" "$driver"
	[ "$kind" = gpu ] || continue
	up=
	if [ -r "/proc/driver/nvidia/gpus/$at/information" ]; then
		while read -r key value; do
			case "$key $value" in
			'GPU UUID: '*'?'*) ;;
			'GPU UUID: '*) up=yes ;;
			'GPU Excluded: Yes') echo '!excluded' ;;
			esac
		done <"/proc/driver/nvidia/gpus/$at/information"
	fi
	if [ -n "$up" ]; then echo '!up'; else down=$((down + 1)); fi
done
# An efivar is four bytes of attributes and then its value: 1 is on.
secure_on=
if [ -d /sys/firmware/efi ]; then
	secure=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
	if [ -r "$secure" ]; then
		line=
		IFS= read -r line <"$secure"
		case $line in *` + "\x01" + `*) secure_on=yes && echo '@secureboot on' ;; *) echo '@secureboot off' ;; esac
	else
		echo '@secureboot'
	fi
else
	echo '@secureboot none'
fi
owner=
if [ -e /run/nvidia/validations/.driver-ctr-ready ] || { [ -d /run/nvidia/driver/usr ] && [ ! /run/nvidia/driver -ef / ]; }; then
	owner=gpu-operator
elif [ -e /etc/dgx-release ]; then
	owner=dgx-os
elif [ -e /run/ostree-booted ]; then
	owner=ostree
fi
# Its pod is on the node also while it builds a driver, or fails to: then the
# files above are not there.
if [ -z "$owner" ] && [ ! -e /run/nvidia/validations/host-driver-ready ]; then
	for at in /var/log/pods/*_nvidia-driver-daemonset-* /var/log/pods/*_nvidia-gpu-driver-* /var/log/pods/*_nvidia-vgpu-*driver-*; do
		if [ -d "/var/lib/kubelet/pods/${at##*_}" ]; then owner=gpu-operator; fi
	done
fi
printf '@owner %s\n' "$owner"
`

// probeLoaded looks at what the kernel has in memory. $refs counts what holds
// its modules but themselves.
const probeLoaded = `loaded= open= refs=0
if [ -e /proc/driver/nvidia/version ]; then
	show /proc/driver/nvidia/version
	line /proc/driver/nvidia/version
	case $line in *' Open Kernel Module '*) open=yes ;; esac
	for try in $line; do
		case $try in [1-9]*.[0-9]*)
			loaded=$try
			break
			;;
		esac
	done
fi
for at in /sys/module/nvidia /sys/module/nvidia_*; do
	[ -e "$at/refcnt" ] || continue
	case $at in */nvidia_wmi_ec_backlight | */nvidia_fs) continue ;; esac
	line "$at/refcnt"
	count=$line
	line "$at/version"
	if [ "${at##*/}" = nvidia ] && [ -z "$loaded" ]; then loaded=$line; fi
	printf '@module %s %s %s\n' "${at##*/}" "$count" "$line"
	case $count in '' | *[!0-9]*) count=0 ;; esac
	for try in "$at"/holders/*; do
		[ -e "$try" ] || continue
		printf '|%s\n' "${try##*/}"
		case $try in */nvidia_fs) ;; */nvidia_*) count=$((count - 1)) ;; esac
	done
	refs=$((refs + count))
done
`

// probeUserSpace finds the version that programs are linked with: the file that
// libnvidia-ml.so.1, or else libcuda.so.1, leads to.
const probeUserSpace = `user= user_path=
for lib in libnvidia-ml libcuda; do
	for at in /usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/nvidia/current /usr/lib/aarch64-linux-gnu /usr/lib/aarch64-linux-gnu/nvidia/current \
		/usr/lib64 /usr/lib64/nvidia /usr/lib/x86_64-linux-gnu/nvidia /usr/lib/nvidia /usr/lib/nvidia-*; do
		for file in "$at/$lib".so.[1-9]*.[0-9]*; do
			if [ ! -e "$file" ]; then continue; fi
			if [ -n "$user_path" ] && [ ! "$file" -ef "$at/$lib.so.1" ]; then continue; fi
			user_path=$file
		done
		[ -z "$user_path" ] || break 2
	done
done
if [ -n "$user_path" ]; then
	user=${user_path##*.so.}
	printf '@userspace %s %s\n' "$user" "$user_path"
fi
runfile=
if [ -e /usr/bin/nvidia-uninstall ] || [ -e /usr/local/bin/nvidia-uninstall ]; then
	line /var/lib/nvidia/log
	runfile=${line:-$user}
	printf '@runfile %s\n' "$runfile"
fi
`

// probeNouveau finds what keeps nouveau out, and whether the initramfs of the
// next boot knows of it. Files with a telling name come first: then no process
// is started.
const probeNouveau = `if [ -d /sys/module/nouveau ]; then
	line /sys/module/nouveau/refcnt
	printf '@nouveau %s\n' "$line"
fi
keeps_out() {
	[ -f "$1" ] && [ -r "$1" ] || return 1
	while read -r first second third; do
		case "$first $second" in
		'blacklist nouveau' | 'alias nouveau') return 0 ;;
		'install nouveau') case $third in */true | */false | true | false) return 0 ;; esac ;;
		esac
	done <"$1"
	return 1
}
blacklist=
for file in /etc/modprobe.d/*nouveau*.conf /etc/modprobe.d/*nvidia*.conf /run/modprobe.d/*nvidia*.conf /lib/modprobe.d/*nouveau*.conf \
	/lib/modprobe.d/*nvidia*.conf /usr/lib/modprobe.d/*nouveau*.conf /usr/lib/modprobe.d/*nvidia*.conf; do
	if keeps_out "$file"; then
		blacklist=$file
		break
	fi
done
if [ -z "$blacklist" ] && [ -r /proc/cmdline ]; then
	line /proc/cmdline
	case " $line " in *' nouveau.blacklist=1 '* | *'driver.blacklist=nouveau'* | *'modprobe.blacklist=nouveau'* | *'module_blacklist=nouveau'*) blacklist=/proc/cmdline ;; esac
fi
if [ -z "$blacklist" ] && [ "$gpus" != 0 ]; then
	blacklist=$(grep -lsE '^[[:space:]]*((blacklist|alias)[[:space:]]+nouveau|install[[:space:]]+nouveau[[:space:]]+/bin/(true|false))' \
		/etc/modprobe.d/*.conf /run/modprobe.d/*.conf /lib/modprobe.d/*.conf 2>/dev/null)
	blacklist=${blacklist%%"$nl"*}
fi
fresh=
for file in "/boot/initrd.img-$next" "/boot/initramfs-$next.img" "/boot/initrd-$next"; do
	if [ -f "$file" ] && [ -f "$blacklist" ] && [ "$blacklist" != /proc/cmdline ]; then
		if [ "$blacklist" -nt "$file" ]; then fresh=stale; else fresh=fresh; fi
	fi
done
printf '@blacklist %s\n' "$blacklist"
if [ -n "$fresh" ]; then echo "!$fresh"; fi
`

// probeDriverPackages asks the package database, and systemd of the units whose
// files are there.
const probeDriverPackages = `installed= fabric=
case $manager_name in
apt)
	installed=$(dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n' '*nvidia*' 'libcuda*' 'libnvcuvid*' 'cuda-drivers*' cuda-keyring dkms 'linux-headers-*' 'linux-image-*' 2>/dev/null)
	database_exit=$?
	for file in /var/lib/dpkg/updates/[0-9]*; do
		if [ -e "$file" ]; then
			echo '@interrupted'
			break
		fi
	done
	;;
zypper | dnf | yum)
	installed=$(rpm -qa --qf 'ii \t%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n' '*nvidia*' 'cuda-drivers*' dkms 'kernel-devel*' 'kernel-*-devel' 'kernel-headers' 'kernel-modules-extra*' 'libnvidia*')
	database_exit=$?
	;;
*) database_exit= ;;
esac
# What is only known of, as dpkg knows what others recommend, is of no interest.
if [ -n "$database_exit" ]; then echo @packages; fi
IFS=$nl
set -f
for line in $installed; do
	case $line in un*) ;; *) printf '|%s\n' "$line" ;; esac
	case $line in
	?i*"	nvidia-fabric"*-dev*) ;;
	?i*"	nvidia-fabric"*)
		fabric=${line#*	*	}
		fabric=${fabric#*:}
		fabric=${fabric%%[!0-9.]*}
		;;
	esac
done
set +f
IFS=' 	'$nl
case $database_exit in '' | 0) ;; *) echo "!exit $database_exit" ;; esac
persistenced= fabric_unit=
set --
for unit in $units; do
	for at in /etc/systemd/system /run/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
		if [ -e "$at/$unit.service" ]; then
			set -- "$@" "$unit"
			case $unit in nvidia-persistenced) persistenced=yes ;; nvidia-fabricmanager) fabric_unit=yes ;; esac
			break
		fi
	done
done
if [ $# != 0 ] && [ -d /run/systemd/system ]; then
	services units Id,LoadState,ActiveState,UnitFileState,ExecStart "$@"
fi
if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ] || [ -e /run/reboot-needed ]; then echo '@reboot'; fi
`

// probeSettled decides whether there is something to do, from what is needed of
// the versions and services alone: $ask is then yes.
const probeSettled = `settled() {
	[ -z "$lacking" ] || return 1
	wished "$user" || return 1
	for try in $built; do [ "$try" = "$user" ] || return 1; done
	[ "$built" != ' ' ] || return 1
	if [ "$gpus" != 0 ] && [ "$loaded" != "$user" ]; then return 1; fi
	case $flavor in
	open) [ -n "$built_open" ] && { [ -z "$loaded" ] || [ -n "$open" ]; } || return 1 ;;
	proprietary) [ -z "$built_open$open" ] || return 1 ;;
	esac
	if [ "$source" = runfile ] && [ -z "$runfile" ]; then return 1; fi
	if [ "$source" != runfile ] && [ -n "$runfile" ]; then return 1; fi
	[ "$down" = 0 ] || return 1
	[ -n "$persistenced" ] || return 1
	[ "$switches" = 0 ] || { [ -n "$fabric_unit" ] && [ "$fabric" = "$user" ]; } || return 1
}
if [ "$ask" = yes ] && { settled || [ -n "$owner" ]; }; then ask=no; fi
if [ "$gpus" = 0 ] && [ "$need_gpu" = true ]; then ask=no; fi
`
