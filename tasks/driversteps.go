package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// Building the module takes ten minutes for each kernel on two cores.
const (
	installLimit = time.Hour
	buildLimit   = 40 * time.Minute
)

// transaction are the steps that replace the driver. All that can fail for
// want of something comes before the first that running work notices: sources,
// lists, headers, the download, and a look at what apt would do.
func (p *driverPlan) transaction(c *change) {
	t := p.to
	if t.runfile {
		p.runfileSteps(c)
		c.Back = p.asItWas()
		return
	}
	p.sourceSteps(c)
	if names, optional := p.headersWanted(); len(names) > 0 {
		c.Steps = append(c.Steps, p.install(remote.Packages{Names: names, Optional: optional, Refresh: true}))
	}
	if p.f.Manager == "apt" {
		c.Steps = append(c.Steps, aptAlone(t.pin(p.w)))
	}
	fetch := p.packageStep()
	fetch.DownloadOnly, fetch.Refresh = true, true
	c.Steps = append(c.Steps, p.install(fetch))
	switch {
	case p.f.Manager == "apt":
		c.Steps = append(c.Steps, p.wouldInstall(fetch))
	case t.version == "":
		c.Steps = append(c.Steps, p.newestIsWished())
	}
	p.fetchFormer(c)
	p.leadUp(c)
	if p.f.Runfile != "" {
		c.Steps = append(c.Steps, remote.Step{
			Title:    "nvidia-uninstall (" + p.f.Runfile + ")",
			Disrupts: "no GPU can be used until the new driver is loaded",
			Run:      &remote.Command{Script: "nvidia-uninstall --silent", Timeout: 10 * time.Minute, Detached: true},
		})
	}
	put := p.install(p.packageStep())
	if t.release != "" {
		put.Disrupts = "libraries of " + t.release + " come along, libc6 among them, and services that need them restart"
	}
	if p.route == reboot && p.f.Loaded.Version != "" {
		put.Disrupts = "GPU programs that start before the reboot fail: the module that is loaded is still the old one"
	}
	c.Steps = append(c.Steps, put)
	if c.Back = p.goingBack(); c.Back == nil {
		c.Back = p.asItWas()
	}
}

// packageStep is the transaction itself.
func (p *driverPlan) packageStep() remote.Packages {
	t := p.to
	packages := remote.Packages{
		Names: t.names, Optional: t.optional, Remove: t.remove, Release: t.release,
		Replaces:  len(t.remove) > 0 || p.has.version != "" && branchOf(p.has.version) != t.branch,
		Downgrade: p.downgrades() || len(p.newer()) > 0,
		Held:      slices.ContainsFunc(p.f.Packages, func(i driverPackage) bool { return i.Held && p.f.ours(i.Name) }),
	}
	if p.f.Manager == "apt" {
		packages.Preferences = aptAlonePath
	}
	if t.module != "" && p.enabledStream() != t.module {
		packages.Stream = streamOf(t.module)
	}
	return packages
}

// install is a step for the host's manager, its title the command in short.
func (p *driverPlan) install(packages remote.Packages) remote.Step {
	packages.Manager = p.f.Manager
	packages.Timeout = installLimit // headers alone too: whatever DKMS has is built for them
	command := map[string]string{"apt": "apt-get install", "dnf": "dnf install", "yum": "yum install", "zypper": "zypper install"}[p.f.Manager]
	if packages.DownloadOnly {
		command += " --download-only"
	}
	if packages.Release != "" {
		command += " -t " + packages.Release
	}
	if packages.Stream != "" {
		command = "dnf module enable " + packages.Stream + ", " + command
	}
	names := packages.Names
	if most := 4; len(names) > most {
		names = append(slices.Clone(names[:most-1]), fmt.Sprintf("… (%d packages)", len(packages.Names)))
	}
	title := command + " " + strings.Join(names, " ")
	if len(packages.Remove) > 0 && !packages.DownloadOnly {
		gone := packages.Remove
		if most := 3; len(gone) > most {
			gone = append(slices.Clone(gone[:most-1]), fmt.Sprintf("… (%d)", len(packages.Remove)))
		}
		title += ", without " + strings.Join(gone, " ")
	}
	return remote.Step{Title: title, Install: &packages}
}

// headersWanted are the packages that DKMS needs for the kernels, and where it
// is known, the one that brings the headers of coming kernels along.
func (p *driverPlan) headersWanted() (names, optional []string) {
	add := func(name string) {
		if !slices.Contains(names, name) && !p.installed(name) {
			names = append(names, name)
		}
	}
	for _, k := range p.f.Kernels {
		if k.Headers {
			continue
		}
		for _, pattern := range p.to.headers {
			add(fill(pattern, p.to.branch, k.Release))
		}
	}
	if meta := p.to.meta; meta != "" && p.f.ID == "debian" {
		for _, k := range p.f.Kernels {
			if name := fill(meta, 0, k.Release); k.Next && kernelFlavor(k.Release) != "" && (len(p.f.Offers) == 0 || p.offered(name)) {
				add(name)
				optional = append(optional, name)
			}
		}
	}
	return names, optional
}

// streamOf is a stream of NVIDIA's repository as dnf names it.
func streamOf(name string) string { return "nvidia-driver:" + name }

// wouldInstall asks apt what it would do, and refuses drivers of two branches:
// Ubuntu turns packages of a branch that it has given up into ones that bring
// the next, and a preference of somebody else's can undo ours.
func (p *driverPlan) wouldInstall(packages remote.Packages) remote.Step {
	args := "set -- --no-install-recommends --allow-downgrades --allow-change-held-packages -o Dir::Etc::PreferencesParts=" + aptAlonePath
	if packages.Release != "" {
		args += " -t " + quote(packages.Release)
	}
	for _, n := range packages.Names {
		if !slices.Contains(packages.Optional, n) {
			args += " " + quote(n)
		}
	}
	for _, n := range packages.Remove {
		args += " " + quote(n+"-")
	}
	for _, n := range packages.Optional {
		args += "\nif apt-cache show " + quote(n) + " >/dev/null 2>&1; then set -- \"$@\" " + quote(n) + "; fi"
	}
	branch := ""
	if p.to.branch != 0 {
		branch = fmt.Sprint(p.to.branch)
	}
	title := "see that apt takes " + p.w.text() + " and nothing of another branch"
	if p.to.version != "" {
		title = "see that apt takes " + p.to.version + " and nothing of another branch"
	}
	return remote.Step{Title: title, Run: &remote.Command{Timeout: 3 * time.Minute, Script: versionTools + wishedVersion(&p.w.Driver) + `branch=` + quote(branch) + ` version=` + quote(p.to.version) + `
nl='
'
` + args + `
out=$(apt-get -s -q install "$@" 2>&1) || {
	printf '%s\n' "$out" >&2
	exit 1
}
wrong=
IFS=$nl
set -f
for line in $out; do
	case $line in "Inst "*nvidia* | "Inst libcuda"* | "Inst cuda-drivers"*) ;; *) continue ;; esac
	name=${line#Inst }
	name=${name%% *}
	v=${line#*\(}
	v=${v%% *}
	v=${v#*:}
	case $name in nvidia-modprobe | nvidia-persistenced | nvidia-settings | nvidia-xconfig | nvidia-container-* | libnvidia-container*) continue ;; esac
	case $v in [1-9][0-9][0-9].*) ;; *) continue ;; esac
	branch=${branch:-${v%%.*}}
	case $v in
	"$branch".*) if [ -n "$version" ] || wished "${v%%[!0-9.]*}"; then continue; fi ;;
	esac
	wrong="$wrong $name $v;"
done
if [ -n "$wrong" ]; then
	echo "apt would install$wrong that is not what was wished" >&2
	exit 1
fi
`}}
}

// newestIsWished is for a repository that was not known when the plan was made:
// the manager takes the newest, and that has to be in the range. Once its lists
// are on the host, another plan can name an older one.
func (p *driverPlan) newestIsWished() remote.Step {
	key, among := p.to.bare[0], "[1-9][0-9][0-9]"
	dnf := "dnf -C -q repoquery "
	if p.to.module != "" { // which is not enabled yet
		dnf += "--disable-modular-filtering "
		if p.to.branch != 0 {
			among = fmt.Sprint(p.to.branch)
		}
	}
	list := map[string]string{
		"dnf":    dnf + `--qf '%{name}	%{epoch}:%{version}-%{release}	%{repoid}\n' `,
		"yum":    `yum -C -q list available --showduplicates `,
		"zypper": `zypper --no-refresh -n -q search -s -t package --match-exact `,
	}[p.f.Manager] + quote(key)
	return remote.Step{
		Title: "see that the newest " + key + " is " + p.w.text(),
		Run: &remote.Command{Timeout: 3 * time.Minute, Script: versionTools + wishedVersion(&p.w.Driver) + `out=$(` + list + ` 2>&1) || {
	printf '%s\n' "$out" >&2
	exit 1
}
newest=
set -f
for word in $out; do
	word=${word#*:}
	case $word in ` + among + `.[0-9]*) ;; *) continue ;; esac
	word=${word%%[!0-9.]*}
	if [ -z "$newest" ] || older "$newest" "$word"; then newest=$word; fi
done
if ! wished "$newest"; then
	echo "the newest ` + key + ` is ${newest:-nowhere}; now that the lists are here, plan again: an older one may be in the range" >&2
	exit 1
fi
`},
	}
}

// fetchFormer keeps the packages that the way back needs: once they have been
// replaced, apt has them only in its cache.
func (p *driverPlan) fetchFormer(c *change) {
	if !p.w.Rollback || p.f.Manager != "apt" || p.goingBack() == nil {
		return
	}
	var former []string
	for _, i := range p.formerPackages() {
		former = append(former, i.Name+"="+i.Version)
	}
	c.Steps = append(c.Steps, remote.Step{
		Title: "apt-get download the former " + p.has.version + ", for the way back",
		Run: &remote.Command{
			Script:  "cd /var/cache/apt/archives && apt-get -q download" + quotedWords(former),
			Timeout: 15 * time.Minute, Detached: true,
		},
	})
}

// buildSteps build the module for a kernel, and fail where there is none then:
// apt and DKMS end with status 0 without headers, and without a module.
func (p *driverPlan) buildSteps(c *change, k driverKernel) {
	if p.to == nil && p.has.dkms && !k.Headers {
		names := p.dkmsHeaders(k)
		if len(names) > 0 {
			if why, hint := p.headersGoneOf(k, names[0]); why != "" {
				c.unmet(why + ": " + hint)
				return
			}
		}
		if names = slices.DeleteFunc(names, p.installed); len(names) > 0 {
			c.Steps = append(c.Steps, p.install(remote.Packages{Names: names, Refresh: true}))
		}
	}
	builds := p.to != nil && (p.to.headers != nil || p.to.runfile) || p.to == nil && p.has.dkms
	c.Steps = append(c.Steps, moduleStep(k.Release, p.want(), builds))
}

// dkmsHeaders are the packages that DKMS needs to build the installed driver for
// a kernel.
func (p *driverPlan) dkmsHeaders(k driverKernel) []string {
	for _, row := range append(packagingsOf(p.f, p.w.Source), packagingsOf(p.f, "distro")...) {
		var names []string
		for _, pattern := range row.headers {
			names = append(names, fill(pattern, branchOf(p.has.version), k.Release))
		}
		if names != nil {
			return names
		}
	}
	return nil
}

// moduleStep sees to it that a kernel has the module of a version; empty: of
// whichever version has been installed.
func moduleStep(kernel, v string, builds bool) remote.Step {
	title, build := "see that "+kernel+" has the module", ""
	if builds {
		title = "dkms autoinstall -k " + kernel
		build = "dkms autoinstall -k \"$kernel\" || echo \"dkms autoinstall ends with status $?\"\n"
	}
	return remote.Step{Title: title, Run: &remote.Command{Timeout: buildLimit, Detached: true, Script: `kernel=` + quote(kernel) + ` version=` + quote(v) + `
` + build + `depmod "$kernel"
has=
for name in nvidia nvidia-current nvidia-current-open; do
	v=$(modinfo -k "$kernel" -F version "$name" 2>/dev/null) || continue
	if [ -n "$v" ]; then
		has=$v
		if [ -z "$version" ] || [ "$v" = "$version" ]; then
			echo "$kernel has the module $v"
			exit 0
		fi
	fi
done
echo "no NVIDIA module ${version:+of $version }has been built for $kernel${has:+; there is $has}" >&2
if [ ! -e "/lib/modules/$kernel/build/Makefile" ]; then echo "its headers are not installed" >&2; fi
for log in /var/lib/dkms/nvidia*/${version:-*}/build/make.log; do
	if [ -r "$log" ]; then
		echo "$log:" >&2
		grep -i -E 'error|fatal|not found' "$log" | tail -n 15 >&2
	fi
done
exit 1
`}}
}

// loadSteps bring the wished module into the kernel. Whoever has begun to use
// the old one since it was asked, an hour of installing ago, is not to be ended
// by a reboot.
func (p *driverPlan) loadSteps(c *change) {
	switch {
	case !p.began:
		p.leadUp(c)
	case p.route == reboot && p.f.Loaded.Version != "":
		c.Steps = append(c.Steps, p.guard())
	}
	if p.route == reboot {
		c.Steps = append(c.Steps, p.rebootStep())
	}
	c.Steps = append(c.Steps, loadStep(p.want()))
}

func (p *driverPlan) rebootStep() remote.Step {
	step := remote.Step{Title: "reboot", Disrupts: "the host restarts: everything that runs on it ends", Reboot: &remote.Reboot{}}
	if p.w.Reboot == "never" {
		step.Reboot.Refused = p.w.Why
	}
	return step
}

// loadStep loads the module and sees that it is the one; what the kernel says
// of NVRM is all that tells why it is not.
func loadStep(v string) remote.Step {
	return remote.Step{Title: "modprobe nvidia", Run: &remote.Command{Timeout: 5 * time.Minute, Script: `version=` + quote(v) + `
failed() {
	echo "$1" >&2
	dmesg 2>/dev/null | grep -E 'NVRM|nvidia' | tail -n 8 >&2
	exit 1
}
out=$(modprobe nvidia 2>&1) || failed "modprobe nvidia: $out"
modprobe nvidia-uvm 2>/dev/null || true
has=
if [ -r /proc/driver/nvidia/version ]; then IFS= read -r has </proc/driver/nvidia/version; fi
case "$has " in
*" ${version:-Module} "*) ;;
*) failed "the module that is loaded is another one: ${has:-none}" ;;
esac
`}}
}

// nouveau is what keeps NVIDIA's driver from the GPUs.
func (p *driverPlan) nouveau() change {
	n := p.f.Nouveau
	c := p.finding("nouveau", "not loaded, and kept out of the next boot")
	switch {
	case n.Loaded && n.Blacklisted == "":
		c.Have = "loaded, and nothing keeps it out of the next boot"
	case n.Loaded:
		c.Have = "loaded, and kept out of the next boot by " + n.Blacklisted
	case n.Blacklisted == "":
		c.Have = "not loaded, and nothing keeps it out of the next boot"
	default:
		c.Have = "kept out by " + n.Blacklisted
	}
	if n.Initramfs == "stale" {
		c.Have += ", of which the initramfs does not know"
	}
	ok := !n.Loaded && n.Blacklisted != "" && n.Initramfs != "stale"
	switch {
	case ok:
		return c
	case p.no != "":
		if !n.Loaded {
			return change{}
		}
		c.unmet("see nvidia driver")
		return c
	case p.w.verify:
		c.unmet("blacklist it, rebuild the initramfs and reboot")
		return c
	}
	c.State = Pending
	if n.Blacklisted == "" {
		p.write(&c, nouveauPath, nouveauContent)
	}
	if n.Blacklisted == "" || n.Initramfs == "stale" {
		if p.f.initramfs == "" {
			c.unmet("nothing was found that rebuilds an initramfs: blacklist nouveau by hand")
			c.Steps, c.adds = nil, nil
			return c
		}
		for _, k := range p.f.Kernels {
			c.Steps = append(c.Steps, rebuildInitramfs(p.f.initramfs, k.Release))
		}
	}
	switch {
	case !n.Loaded:
	case n.InUse && p.nouveauFirst():
		c.Hint = "needs a reboot: NVIDIA's installer does not begin while nouveau is loaded"
		c.Steps = append(c.Steps, p.rebootStep())
	case n.InUse:
		c.Hint = "it goes with the reboot of nvidia module loaded"
	default:
		c.Steps = append(c.Steps, remote.Step{
			Title: "unload nouveau", Disrupts: "what is shown on a display of the GPU freezes",
			Run: &remote.Command{Script: "rmmod nouveau"},
		})
	}
	if len(c.Steps) == 0 {
		c.comesWith("nvidia module loaded")
	}
	return c
}

const (
	nouveauPath    = "/etc/modprobe.d/runai-prep-nouveau.conf"
	nouveauContent = "# Written by runai-prep: NVIDIA's driver needs the GPU for itself.\nblacklist nouveau\noptions nouveau modeset=0\n"
)

func rebuildInitramfs(program, kernel string) remote.Step {
	k := quote(kernel)
	step := remote.Step{Run: &remote.Command{Timeout: 15 * time.Minute, Detached: true}}
	switch program {
	case "update-initramfs":
		step.Title, step.Run.Script = "update-initramfs -u -k "+kernel, "update-initramfs -u -k "+k
	case "dracut":
		step.Title, step.Run.Script = "dracut -f --kver "+kernel, "dracut -f --kver "+k
	default:
		step.Title, step.Run.Script = "mkinitrd", "mkinitrd"
	}
	return step
}

// write plans a file that is ours alone.
func (p *driverPlan) write(c *change, path, content string) {
	f, shown := p.f.files[path]
	if !shown {
		f = file{Path: path, Presence: Absent}
	}
	if f.Presence == Present && f.content == content {
		return
	}
	step := rewrite(f, content, 0o644)
	step.Write.Ours = f.Presence != Present || p.f.ledger.has(fileEntry(path, f.content))
	c.Steps = append(c.Steps, step)
	c.adds = append(c.adds, fileEntry(path, content))
}

func configureAll() remote.Step {
	return remote.Step{Title: "dpkg --configure -a", Run: &remote.Command{
		Script:  "DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a",
		Timeout: installLimit, Detached: true,
	}}
}
