package tasks

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// Registry makes each container runtime trust on-premise registries, and pull
// through them what they mirror. Each runtime has files of its own for that,
// beside those of other people's, and one setting that says where they are.
//
// The probe reads files and asks each runtime once for what it makes of them;
// the registry itself is tried from the host, beside the probe.
var Registry = Task{Name: "registry", Probe: probeRegistry, Reach: reachRegistries, Read: readRegistry, Plan: planRegistry, Independent: true}

// Where things are on every host.
const (
	containerdPath = "/etc/containerd/config.toml"
	// containerdDropIn is read last of its folder, where config.toml imports it.
	containerdDropIn = "/etc/containerd/conf.d/zz-runai-prep.toml"
	containerdCerts  = "/etc/containerd/certs.d"
	dockerPath       = "/etc/docker/daemon.json"
	dockerCerts      = "/etc/docker/certs.d"
	registriesPath   = "/etc/containers/registries.conf" // of CRI-O and Podman
	registriesDropIn = "/etc/containers/registries.conf.d/runai-prep.conf"
	containersCerts  = "/etc/containers/certs.d"
	// caName is ours alone in a folder of which every .crt is trusted.
	caName = "runai-prep.crt"
)

// A registryWish is a registry as runtimes are told of it.
type registryWish struct {
	name     string   // as images are named: host, or host:port
	mirrorOf []string // as images are named
	certs    []certificate
	insecure bool
	why      string
}

func registryWishes(h inventory.Host) []registryWish {
	var wishes []registryWish
	for _, r := range h.Registries {
		w := registryWish{name: r.Name, insecure: r.Insecure, why: r.Why}
		for _, m := range r.MirrorOf {
			w.mirrorOf = append(w.mirrorOf, inventory.ImageRegistry(m))
		}
		if !r.Insecure {
			w.certs = splitCertificates([]string{r.CA})
		}
		wishes = append(wishes, w)
	}
	return wishes
}

// ca is the file of certificates; empty: none is needed.
func (w registryWish) ca() string {
	var b strings.Builder
	for _, c := range w.certs {
		b.WriteString(c.pem)
	}
	return b.String()
}

func (w registryWish) address() (host string, port int) { return registryAddress(w.name) }

// registryAddress is host and port, which a name need not have.
func registryAddress(name string) (host string, port int) {
	host, p, err := net.SplitHostPort(name)
	if err != nil {
		return strings.Trim(name, "[]"), 443
	}
	port, _ = strconv.Atoi(p) // checked by the inventory
	return host, port
}

// endpoint is the registry's address in words.
func (w registryWish) endpoint() string {
	host, port := w.address()
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func reachRegistries(h inventory.Host) []remote.Endpoint {
	var endpoints []remote.Endpoint
	for _, w := range registryWishes(h) {
		endpoints = append(endpoints, w.outside(h))
	}
	return endpoints
}

// outside is the registry as a host's runtimes reach it.
func (w registryWish) outside(h inventory.Host) remote.Endpoint {
	host, port := w.address()
	e := outside(h, host, port)
	e.Registry, e.Insecure, e.Roots = true, w.insecure, slices.Clone(e.Roots)
	for _, c := range w.certs {
		e.Roots = append(e.Roots, c.pem)
	}
	return e
}

func probeRegistry(h inventory.Host) string {
	wished := "false"
	if len(h.Registries) > 0 {
		wished = "true"
	}
	return "manager\n" + probeUser(h) + "show " + ledgerPath("registry") + `
if ` + wished + ` || [ -e ` + ledgerPath("registry") + ` ]; then
` + probeRuntimes + probeRanchers + `# What is remembered may be elsewhere by now.
if [ -f ` + ledgerPath("registry") + ` ] && [ -r ` + ledgerPath("registry") + ` ]; then
	while IFS=$tab read -r kind path rest; do
		case $kind in '#'* | '') ;; *) once "$path" ;; esac
	done <` + ledgerPath("registry") + `
fi
fi
` + probeEnd
}

// probeRuntimes looks at each runtime whose unit is there, and at Podman, which
// has none: how it is started, whether it runs, and whether it does so since
// before its files were last changed, which the time of its socket tells. No
// daemon is woken: docker's would be by the first question to its socket.
const probeRuntimes = probeOnce + `# runtime NAME PROGRAM SOCKET: fails where its unit is not there. Leaves the
# program's path in $program.
runtime() {
	program=
	for dir in /etc /run /usr/local/lib /usr/lib /lib; do
		file=$dir/systemd/system/$1.service
		if [ -e "$file" ]; then
			[ -f "$file" ] || return 1 # masked
			printf '@runtime %s\n' "$1"
			if [ -n "$3" ] && [ -S "$3" ]; then echo '!running'; fi
			for dir in /bin /usr/bin /usr/local/bin /usr/local/sbin /usr/sbin /opt/bin /opt/cni/bin; do
				if [ -x "$dir/$2" ]; then program=$dir/$2; fi
			done
			if [ -n "$program" ]; then printf '!program %s\n' "$program"; fi
			options "$1" "$file"
			return 0
		fi
	done
	return 1
}
# options NAME FILE: what it is started with that takes the place of a file.
options() {
	for file in "$2" /etc/systemd/system/"$1".service.d/*.conf /run/systemd/system/"$1".service.d/*.conf /usr/lib/systemd/system/"$1".service.d/*.conf /etc/default/"$1" /etc/sysconfig/"$1"; do
		[ -f "$file" ] && [ -r "$file" ] || continue
		while IFS= read -r line || [ -n "$line" ]; do
			case $line in '#'* | ' '*'#'*) continue ;; esac
			case $1,$line in
			containerd,*ExecStart=*containerd*' -c'[' =']* | *,*' --config'[' =']* | docker,*--config-file[' =']*) printf '!config %s\n' "$file" ;;
			k3s*,*--private-registry* | rke2*,*--private-registry*) printf '!option private-registry %s\n' "$file" ;;
			docker,*--registry-mirror*) printf '!option registry-mirrors %s\n' "$file" ;;
			docker,*--insecure-registry*) printf '!option insecure-registries %s\n' "$file" ;;
			esac
		done <"$file"
	done
}
# older SOCKET FILE...: files that were changed since it was made.
older() {
	older_than=$1
	shift
	for older_file in "$@"; do
		if [ -f "$older_file" ] && [ "$older_file" -nt "$older_than" ]; then printf '@newer %s\n' "$older_file"; fi
	done
}
if runtime containerd containerd /run/containerd/containerd.sock; then
	once ` + containerdPath + `
	each /etc/containerd/conf.d/*.toml /etc/containerd/config.d/*.toml
	root=
	if [ -n "$program" ]; then
		# Without its file containerd 1 has nothing to dump.
		if [ -e ` + containerdPath + ` ]; then
			ran containerd "$program" config dump
		else
			ran containerd "$program" config default
		fi
		section=
		old_ifs=$IFS
		IFS=$nl
		set -f
		for line in $ran_out; do
			line=${line#"${line%%[! ]*}"}
			case $section,$line in
			*,'['*'.v1.cri'?'.registry]' | *,'['*'.v1.images'?'.registry]') section=registry ;;
			*,'['*) section= ;;
			registry,'config_path = '*)
				root=${line#config_path = ?}
				root=${root%?}
				root=${root%%:*}
				;;
			esac
		done
		set +f
		IFS=$old_ifs
	fi
	case $root in /*) ;; *) root=` + containerdCerts + ` ;; esac
	for file in "$root"/*; do
		if [ -d "$file" ]; then printf '@folder %s\n' "$file"; fi
	done
	each "$root"/*/hosts.toml "$root"/*/*.crt
	older /run/containerd/containerd.sock ` + containerdPath + ` /etc/containerd/conf.d/*.toml /etc/containerd/config.d/*.toml
fi
if runtime docker docker ''; then
	once ` + dockerPath + `
	each ` + dockerCerts + `/*/*.crt
	pid=
	if [ -r /run/docker.pid ]; then read -r pid </run/docker.pid || :; fi
	if [ -n "$pid" ] && [ -d "/proc/$pid" ]; then
		if [ -n "$program" ]; then
			ran docker "$program" info --format '{{json .RegistryConfig}}'
		elif command -v curl >/dev/null; then
			ran docker curl -sS --max-time 5 --unix-socket /run/docker.sock http://docker/info
		else
			echo '@docker'
			echo '!no tool'
		fi
	fi
fi
containers=false
if runtime crio crio /run/crio/crio.sock; then
	containers=true
	older /run/crio/crio.sock ` + registriesPath + ` /etc/containers/registries.conf.d/*.conf
fi
if command -v podman >/dev/null; then
	echo '@runtime podman'
	containers=true
fi
if $containers; then
	once ` + registriesPath + `
	each /etc/containers/registries.conf.d/*.conf ` + containersCerts + `/*/*.crt
fi
`
