package tasks

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-version"

	"github.com/runai-prep/runai-prep/remote"
)

const (
	pinPath     = "/etc/apt/preferences.d/runai-prep-nvidia"
	nonFreePath = "/etc/apt/sources.list.d/runai-prep-non-free.list"
	cudaAptPath = "/etc/apt/sources.list.d/runai-prep-cuda.sources"
	cudaKeyPath = "/etc/apt/keyrings/runai-prep-cuda.asc"
	cudaDnfPath = "/etc/yum.repos.d/runai-prep-cuda.repo"
	cudaZypPath = "/etc/zypp/repos.d/runai-prep-cuda.repo"
	cudaRPMPath = "/etc/pki/rpm-gpg/runai-prep-cuda.pub"
)

// sourcesMissing says which repository is to be set up first; with a hint it
// is for a person to do.
func (p *driverPlan) sourcesMissing() (why, hint string) {
	switch {
	case p.w.Source == "distro" && p.f.ID == "debian" && !p.nonFree():
		if slices.ContainsFunc(p.candidates(packagingsOf(p.f, "distro")), func(c candidate) bool { return p.w.within(c.version) }) {
			return "", "" // a repository of the site's own has the driver, or one of another release
		}
		if len(p.debianSources()) == 0 && len(p.f.Offers) == 0 && len(p.f.Sources.repositories) > 0 {
			return "", "" // whether one has it shows when the lists are fetched
		}
		if !p.w.NonFree {
			return "the component non-free is not enabled", "wish non_free = true, or enable it"
		}
		if len(p.debianSources()) == 0 {
			return "the component non-free is not enabled, and no entry for " + p.suite() + " main was found to add it to", "enable it"
		}
		return "the component non-free is not enabled", ""
	case p.w.Source == "cuda-repo" && (p.f.Sources.CUDA == "" || p.mirrorMissing()):
		if _, _, fingerprint := p.cudaRepository(); fingerprint == "" {
			return "NVIDIA's repository is not set up", "its key for " + p.f.Name + " is not known here: set it up by hand once, by NVIDIA's driver installation guide"
		}
		return "NVIDIA's repository is not set up", ""
	}
	return "", ""
}

// firmwareMissing: from Debian 12 on the firmware is in a component of its own,
// which a host that has come from an older release may not have.
func (p *driverPlan) firmwareMissing() bool {
	const pkg = "firmware-nvidia-gsp"
	if p.f.ID != "debian" || p.w.Source != "distro" || !p.firmwareApart() || !p.nonFree() || len(p.debianSources()) == 0 ||
		p.offered(pkg) || p.installed(pkg) {
		return false
	}
	return !slices.ContainsFunc(p.f.Sources.repositories, func(r repository) bool {
		return !r.disabled && slices.Contains(r.parts, firmwareComponent)
	})
}

const firmwareComponent = "non-free-firmware"

func (p *driverPlan) firmwareApart() bool {
	v := p.f.System.Version
	return v != "10" && v != "11"
}

// mirrorMissing reports whether none of the host's repositories is at the wished
// address: the mirror has moved, or another one is in use.
func (p *driverPlan) mirrorMissing() bool {
	wished := strings.TrimSuffix(p.w.Repository, "/")
	return wished != "" && len(p.f.Sources.repositories) > 0 && !slices.ContainsFunc(p.f.Sources.repositories, func(r repository) bool {
		return !r.disabled && strings.TrimSuffix(r.uri, "/") == wished
	})
}

// nonFree reports whether the component is enabled for the host's own release.
func (p *driverPlan) nonFree() bool {
	if len(p.f.Sources.repositories) == 0 {
		return p.f.Sources.NonFree
	}
	return slices.ContainsFunc(p.f.Sources.repositories, func(r repository) bool {
		return !r.disabled && slices.Contains(r.parts, "non-free") && (slices.Contains([]string{p.suite(), "stable", "oldstable"}, r.suite) || strings.HasPrefix(r.suite, p.suite()+"-"))
	})
}

func (p *driverPlan) suite() string { return codenames[p.f.ID+" "+p.f.System.Version] }

// debianSources are the host's own entries for main, without the credentials
// that no file of ours may repeat for everybody to read.
func (p *driverPlan) debianSources() []repository {
	var all []repository
	for _, r := range p.f.Sources.repositories {
		own := r.suite == p.suite() || strings.HasPrefix(r.suite, p.suite()+"-") && !strings.HasSuffix(r.suite, "-backports")
		if !r.disabled && own && p.suite() != "" && slices.Contains(r.parts, "main") && !holdsCredentials(r.uri) {
			all = append(all, r)
		}
	}
	return all
}

// nonFreeContent repeats the host's entries for the components that the driver
// and its firmware are in.
func (p *driverPlan) nonFreeContent() string {
	parts := "contrib non-free"
	switch {
	case p.firmwareMissing():
		parts = firmwareComponent // what is configured twice is warned of at every update
	case p.firmwareApart():
		parts += " " + firmwareComponent
	}
	var b strings.Builder
	b.WriteString("# Written by runai-prep: where NVIDIA's driver and its firmware are.\n")
	for _, r := range p.debianSources() {
		options := ""
		if strings.HasPrefix(r.signedBy, "/") && !strings.ContainsAny(r.signedBy, " \n\t]") {
			options = "[signed-by=" + r.signedBy + "] "
		}
		fmt.Fprintf(&b, "deb %s%s %s %s\n", options, r.uri, r.suite, parts)
	}
	return b.String()
}

// cudaRepository is where NVIDIA's repository for the host is, the file there
// that its key is in, and the key's fingerprint. A mirror that signs anew has
// its own key in the place where NVIDIA's is, and named as that is.
func (p *driverPlan) cudaRepository() (address, key, fingerprint string) {
	for _, r := range repositories {
		if !slices.Contains(r.ids, p.f.ID) {
			continue
		}
		bounds, err1 := version.NewConstraint(r.versions)
		v, err2 := version.NewVersion(p.f.System.Version)
		if err1 != nil || err2 != nil || !bounds.Check(v) {
			continue
		}
		arch := map[string]string{"x86_64": "x86_64", "aarch64": "sbsa"}[p.f.Arch]
		if arch == "" {
			return "", "", ""
		}
		major, _, _ := strings.Cut(p.f.System.Version, ".")
		name := strings.NewReplacer("{M}", major, "{V}", strings.ReplaceAll(p.f.System.Version, ".", "")).Replace(r.name)
		address = cudaHome + name + "/" + arch
		if p.w.Repository != "" {
			address = strings.TrimSuffix(p.w.Repository, "/")
		}
		if own := p.w.RepositoryKey; own != "" {
			return address, own[len(own)-8:] + ".pub", own
		}
		return address, r.key, r.print
	}
	return "", "", ""
}

// sourceSteps set up the repository where it is missing. What it is signed
// with is known by its fingerprint: apt takes a list that is signed by another
// key for unsigned, whatever the file holds that was fetched; for rpm the
// fingerprint is compared before the key is trusted.
func (p *driverPlan) sourceSteps(c *change) {
	if p.firmwareMissing() {
		p.write(c, nonFreePath, p.nonFreeContent())
		return
	}
	if why, _ := p.sourcesMissing(); why == "" {
		return
	}
	if p.w.Source == "distro" {
		p.write(c, nonFreePath, p.nonFreeContent())
		return
	}
	address, key, fingerprint := p.cudaRepository()
	switch p.f.Manager {
	case "apt":
		c.Steps = append(c.Steps, remote.Step{Title: "fetch " + address + "/" + key, Run: &remote.Command{Timeout: 2 * time.Minute, Script: `umask 022
mkdir -p /etc/apt/keyrings
/usr/lib/apt/apt-helper download-file ` + quote(address+"/"+key) + ` ` + cudaKeyPath + `.new && mv ` + cudaKeyPath + `.new ` + cudaKeyPath + ` && chmod 644 ` + cudaKeyPath}})
		p.write(c, cudaAptPath, fmt.Sprintf("# Written by runai-prep. Only what this key has signed is taken.\nTypes: deb\nURIs: %s\nSuites: /\nSigned-By: %s %s\n", address+"/", cudaKeyPath, fingerprint))
	case "zypper", "dnf", "yum":
		path := cudaDnfPath
		if p.f.Manager == "zypper" {
			path = cudaZypPath
		}
		c.Steps = append(c.Steps, remote.Step{
			Title: "fetch and verify " + address + "/" + key,
			Run:   &remote.Command{Timeout: 30 * time.Minute, Detached: true, Script: rpmKeyScript(address+"/"+key, fingerprint, cudaRPMPath, "", pastTheProxy(p.h, address)) + rpmTrustScript(cudaRPMPath)},
		})
		p.write(c, path, fmt.Sprintf("# Written by runai-prep.\n[runai-prep-cuda]\nname=NVIDIA's repository\nbaseurl=%s\nenabled=1\ngpgcheck=1\ngpgkey=file://%s\n%s", address, cudaRPMPath, pastProxy(p.h, p.f.Manager, address)))
	}
}

// aptAlonePath is where apt's preferences are for our transactions alone.
const aptAlonePath = "/var/lib/runai-prep/apt/preferences.d"

// aptAlone makes apt take one version of all the driver's packages: what is
// named with a version brings its dependencies in the newest, and fails by
// that. It is told so in a place where nobody else's upgrade looks, for what is
// only going to be installed must not be what the next one installs.
func aptAlone(pin string) remote.Step {
	title, script := "tell apt, for this alone, of no version", ""
	if pin != "" {
		title = "tell apt, for this alone, of " + strings.TrimSuffix(pin, ".")
		script = "printf %s " + quote(pinContent(pin)) + ` >"$at/` + path.Base(pinPath) + `"` + "\n"
	}
	return remote.Step{Title: title, Run: &remote.Command{Script: `umask 022
at=` + aptAlonePath + `
rm -rf "$at" && mkdir -p "$at" || exit 1
for file in /etc/apt/preferences.d/*; do
	if [ ! -f "$file" ] || [ "$file" = ` + pinPath + ` ]; then continue; fi
	cp "$file" "$at/" || exit 1
done
` + script}}
}

// rpmKeyScript fetches a key into a file: that one alone, whatever else the file
// holds that was fetched, for rpm would take all of it, for all repositories. A
// list, in the shell's words, must be what this key has signed. The proxy is that
// of the host's environment, which neither a login's nor sudo's need be;
// straight says that it is fetched past it, for not every curl knows networks.
func rpmKeyScript(address, fingerprint, path, list string, straight bool) string {
	past := ""
	if u, err := url.Parse(address); err == nil && straight {
		past = "export no_proxy=" + u.Hostname() + "${no_proxy:+,$no_proxy}\n"
	}
	script := `umask 022
key=` + path + ` work=$(mktemp -d) || exit 1
mkdir -p "${key%/*}"
fails() {
	echo "$1" >&2
	rm -rf "$work"
	exit 1
}
if [ -r /etc/environment ]; then
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line#export }
		value=${line#*=}
		value=${value#[\"\']}
		value=${value%[\"\']}
		case $line in
		http_proxy=* | https_proxy=* | no_proxy=*) export "${line%%=*}=$value" ;;
		esac
	done </etc/environment
fi
` + past + `fetch() {
	if command -v curl >/dev/null; then
		curl -fsSL -o "$work/$1" "$2"
	else
		wget -q -O "$work/$1" "$2"
	fi || fails "$2 could not be fetched"
}
fetch new ` + quote(address) + `
mkdir -m 700 "$work/all" "$work/one"
gpg --homedir "$work/all" --batch --quiet --import "$work/new" 2>"$work/said"
gpg --homedir "$work/all" --batch --quiet --armor --export ` + fingerprint + ` >"$work/key" 2>>"$work/said"
[ -s "$work/key" ] || fails "the key that was fetched is not ` + fingerprint + `: $(cat "$work/said")"
`
	if list != "" {
		script += `fetch list ` + list + `
fetch list.asc ` + list + `.asc
gpg --homedir "$work/one" --batch --quiet --import "$work/key" 2>/dev/null
said=$(gpg --homedir "$work/one" --batch --verify "$work/list.asc" "$work/list" 2>&1) || fails "the repository is not signed with ` + fingerprint + `:
$said"
`
	}
	return script + `cp "$work/key" "$key.new" && chmod 644 "$key.new" && mv -f "$key.new" "$key" || fails "$key cannot be written"
rm -rf "$work"
`
}

// rpmTrustScript has rpm trust the key in a file, for all repositories: what it
// signs may be installed from any.
func rpmTrustScript(path string) string {
	return rpmPatiently + "patiently rpm --import " + path + "\n"
}

// rpmDistrustScript ends that, unless another file that is there for a repository
// holds the key, too. rpm calls a key by the end of its fingerprint.
func rpmDistrustScript(fingerprint, path string) string {
	name := "gpg-pubkey-" + strings.ToLower(fingerprint[len(fingerprint)-8:])
	return rpmPatiently + `key=` + path + ` work=$(mktemp -d) || exit 1
other=
for file in "${key%/*}"/*; do
	if [ "$file" = "$key" ] || [ ! -f "$file" ]; then continue; fi
	said=$(gpg --homedir "$work" --batch --with-colons --show-keys "$file" 2>/dev/null) || said=:` + fingerprint + `: # nobody knows
	case $said in *:` + fingerprint + `:*) other=$file ;; esac
done
rm -rf "$work"
if [ -n "$other" ]; then
	echo "rpm goes on trusting ` + fingerprint + `: $other has it, or may have it"
elif rpm -q ` + name + ` >/dev/null; then
	patiently rpm -e --allmatches ` + name + `
fi
`
}

// rpmPatiently is a function: rpm does not wait for another one at work, so it is
// asked again, and who that is is said.
const rpmPatiently = `patiently() {
	nl='
'
	told= waited=0
	while :; do
		out=$("$@" 2>&1) && return 0
		case $out in
		*'transaction lock'*) ;;
		*)
			echo "$out" >&2
			exit 1
			;;
		esac
		pid= by='another program'
		IFS=$nl
		for line in $(ls -ln /proc/[0-9]*/fd/ 2>/dev/null | grep -E -e '^/proc/[0-9]+/fd/:' -e ' -> .*/\.rpm\.lock$'); do
			case $line in
			/proc/*)
				pid=${line#/proc/}
				pid=${pid%%/*}
				;;
			*) if [ -r "/proc/$pid/cmdline" ]; then by="$(tr '\000' ' ' <"/proc/$pid/cmdline")(pid $pid)"; fi ;;
			esac
		done
		IFS=' 	'$nl
		if [ "$waited" -ge 1500 ]; then
			echo "waited in vain: the lock of rpm is held by $by" >&2
			exit 1
		fi
		if [ "$by" != "$told" ]; then echo "waiting: the lock of rpm is held by $by"; told=$by; fi
		sleep 5
		waited=$((waited + 5))
	done
}
`

// keepPinned tells everybody's apt of the version that there is now, so that no
// upgrade mixes it with another.
func (p *driverPlan) keepPinned(c *change) {
	if p.f.Manager != "apt" || p.w.verify {
		return
	}
	was := p.f.files[pinPath]
	steps := len(c.Steps)
	switch {
	case p.installing() && p.to.pin(p.w) != "":
		p.write(c, pinPath, pinContent(p.to.pin(p.w)))
	case !p.installing() && p.reason == "" && was.Presence == Present && p.f.ledger.has(fileEntry(pinPath, was.content)) && !pins(was.content, p.has.version):
		c.State = Pending
		c.Have += "; apt is told to take another version"
		p.write(c, pinPath, pinContent(p.has.version))
	}
	if len(c.Steps) > steps {
		c.Hint = ""
	}
}

// pins reports whether preferences of ours let a version in.
func pins(content, v string) bool {
	_, pinned, ok := strings.Cut(content, "\nPin: version ")
	pinned, _, _ = strings.Cut(pinned, "*")
	return ok && strings.HasPrefix(v, pinned)
}

// pin is how the version begins that apt is to take; empty: any may be.
func (t *driverTarget) pin(w driverWish) string {
	switch {
	case t.version != "":
		return t.version
	case w.exact() != "":
		return w.exact()
	case t.branch != 0:
		return fmt.Sprint(t.branch) + "."
	}
	return ""
}

func pinContent(v string) string {
	return "# Written by runai-prep: one version of the driver, so that all its packages agree.\n" +
		"Package: *nvidia* libcuda* libnv* cuda-drivers*\nPin: version " + v + "*\nPin-Priority: 1001\n"
}
