package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// display-manager is among the units that are looked at, and is somebody's
// session: no service of the driver's.
func ownUnit(name string) bool {
	return name != "display-manager" && slices.Contains(driverUnits, name)
}

func (g gpuProcess) inPod() bool { return strings.HasPrefix(g.Container, "pod ") }

// String is a process as it is named to people: "4711 python3 (alice, docker 3f1c…)".
func (g gpuProcess) String() string {
	where := g.User
	switch {
	case g.Container != "":
		where += ", " + g.Container
	case g.Unit != "":
		where += ", " + g.Unit + ".service"
	}
	return fmt.Sprintf("%d %s (%s)", g.PID, g.Command, where)
}

// work are the processes on the GPUs that are not the driver's own services.
func (p *driverPlan) work() []gpuProcess {
	return slices.DeleteFunc(slices.Clone(p.f.Processes), func(g gpuProcess) bool { return ownUnit(g.Unit) && g.Container == "" })
}

// running are the services of the driver's that run.
func (p *driverPlan) running() []string {
	var names []string
	for _, u := range p.f.Units {
		if (u.Active || u.Begins) && ownUnit(u.Name) {
			names = append(names, u.Name)
		}
	}
	return names
}

// disturbs reports whether those who use the driver would notice the plan:
// it is taken away from them, or their libraries and services are replaced.
func (p *driverPlan) disturbs() bool {
	return p.route == reload || p.route == reboot || p.installing() && p.f.Loaded.Version != ""
}

// stopped are the services that stop for the plan. The fabric manager is
// replaced with the other packages, although the module stays.
func (p *driverPlan) stopped() []string {
	switch {
	case p.route == reload || p.route == reboot:
		return p.running()
	case p.disturbs():
		return slices.DeleteFunc(p.running(), func(name string) bool { return name != fabricManagerUnit })
	}
	return nil
}

func stoppedEntry(name string) entry { return entry{"stopped", "/", name} }

// processes are those that stand in the way. Where they are to be left alone,
// the question whether they still run comes before anything is changed.
func (p *driverPlan) processes() change {
	work := p.work()
	if len(work) == 0 || !p.disturbs() || p.no != "" && p.reason != "" || p.w.verify {
		return change{}
	}
	c := p.finding("gpu processes", "none while the driver is replaced")
	var all []string
	for _, g := range work {
		if len(all) == 12 {
			all = append(all, fmt.Sprintf("and %d more", len(work)-12))
			break
		}
		all = append(all, g.String())
	}
	c.Have = strings.Join(all, ", ")
	with := "nvidia driver"
	if !p.installing() {
		with = "nvidia module loaded"
	}
	switch p.w.Busy {
	case "wait":
		c.comesWith(with)
		c.Hint += fmt.Sprintf(": their end is waited for, %s at most", p.w.BusyWait)
	case "drain":
		c.comesWith(with)
		c.Hint += ": the node is drained"
	default:
		c.State = Pending
		c.Hint = `nothing is changed while they run: end them, or wish busy = "wait=30m" or "drain"`
		c.Steps = []remote.Step{p.guard()}
	}
	return c
}

// leadUp are the steps before the driver is taken away: those who use it are
// sent away or waited for, services are stopped, modules unloaded.
func (p *driverPlan) leadUp(c *change) {
	p.began = true
	if !p.disturbs() {
		return
	}
	if p.f.Loaded.Version != "" {
		if p.w.Busy == "drain" {
			p.drains = true
			c.adds = append(c.adds, cordonedEntry(p.nodeName()))
			c.Steps = append(c.Steps, p.drain()...)
		}
		c.Steps = append(c.Steps, p.guard())
	}
	names := p.stopped()
	for _, name := range names {
		c.adds = append(c.adds, stoppedEntry(name))
	}
	if len(names) > 0 && p.route != reboot {
		c.Steps = append(c.Steps, stopUnits(names))
	}
	if p.route == reload {
		c.Steps = append(c.Steps, p.unload(names))
	}
}

func unitWords(names []string) string {
	units := make([]string, len(names))
	for i, n := range names {
		units[i] = n + ".service"
	}
	return quotedWords(units)
}

func stopUnits(names []string) remote.Step {
	return remote.Step{
		Title: "stop " + strings.Join(names, ", "), Disrupts: "these services stop until the new driver is loaded",
		Run: &remote.Command{Script: "systemctl stop --" + unitWords(names), Timeout: 3 * time.Minute},
	}
}

func startUnits(names []string) remote.Step {
	return remote.Step{
		Title: "start " + strings.Join(names, ", "),
		Run:   &remote.Command{Script: "systemctl start --" + unitWords(names), Timeout: 5 * time.Minute},
	}
}

// stopOwn stops whichever of the driver's services run then.
func stopOwn() remote.Step {
	var words strings.Builder
	for _, name := range driverUnits {
		if ownUnit(name) {
			words.WriteString(" " + name)
		}
	}
	return remote.Step{
		Title: "stop what runs of the driver's services", Disrupts: "they stop until the driver is loaded again",
		Run: &remote.Command{Timeout: 3 * time.Minute, Script: "for unit in" + words.String() + `; do
	if systemctl is-active --quiet "$unit.service"; then systemctl stop "$unit.service" || exit 1; fi
done
`},
	}
}

// unload takes the modules out, those that use others first. When something
// holds them after all, it is named, and the services go on with the old driver.
func (p *driverPlan) unload(services []string) remote.Step {
	return remote.Step{
		Title: "unload nvidia " + p.f.Loaded.Version, Disrupts: "no GPU can be used until the new driver is loaded",
		Run: &remote.Command{Timeout: 2 * time.Minute, Script: p.unloadScript(services)},
	}
}

func (p *driverPlan) unloadScript(services []string) string {
	order := []string{"nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia_peermem", "nvidia"}
	for _, m := range p.f.Loaded.Modules {
		if !slices.Contains(order, m) {
			order = slices.Insert(order, 0, m)
		}
	}
	restart := ""
	if len(services) > 0 {
		restart = "	systemctl start --" + unitWords(services) + "\n"
	}
	return holdersScript("") + `for module in` + quotedWords(order) + `; do
	[ -d "/sys/module/$module" ] || continue
	if out=$(rmmod "$module" 2>&1); then continue; fi
	holders
	echo "$out${found:+; the GPUs are used by $found}" >&2
	modprobe nvidia 2>/dev/null
` + restart + `	exit 1
done
`
}

// guard asks whether the GPUs are free, and waits for that as long as the
// wish allows. It changes nothing.
func (p *driverPlan) guard() remote.Step {
	wait, but := time.Duration(0), ""
	title := "ask that no process uses the GPUs"
	switch p.w.Busy {
	case "wait":
		wait = p.w.BusyWait
		title = fmt.Sprintf("wait until no process uses the GPUs, %s at most", wait)
	case "drain":
		but = "kubepods"
		title = "ask that no process outside of pods uses the GPUs"
	}
	return remote.Step{Title: title, Run: &remote.Command{
		Guard: true, Timeout: wait + 2*time.Minute,
		Script: holdersScript(but) + fmt.Sprintf(`waited=0
while :; do
	holders
	[ -n "$found" ] || exit 0
	[ "$waited" -lt %d ] || break
	sleep 5
	waited=$((waited + 5))
done
echo "the GPUs are in use by $found" >&2
exit 1
`, int(wait.Seconds())),
	}}
}

// holdersScript is a function that finds the processes that have a GPU open,
// into $found, beside the driver's own services and those whose cgroup has the
// word but in it.
func holdersScript(but string) string {
	var own []string
	for _, u := range driverUnits {
		if ownUnit(u) {
			own = append(own, "*/"+u+".service*")
		}
	}
	if but != "" {
		own = append(own, "*"+but+"*")
	}
	return `nl='
'
holders() {
	found= seen=' ' pid=
	all=$(ls -ln /proc/[0-9]*/fd/ 2>/dev/null | grep -E -e '^/proc/[0-9]+/fd/:' -e ' -> /dev/nvidia')
	IFS=$nl
	set -f
	for line in $all; do
		case $line in
		/proc/*)
			pid=${line#/proc/}
			pid=${pid%%/*}
			continue
			;;
		esac
		case $seen in *" $pid "*) continue ;; esac
		seen="$seen$pid "
		whose= name= uid=
		if [ -r "/proc/$pid/cgroup" ]; then
			while IFS= read -r line; do whose="$whose$line/"; done <"/proc/$pid/cgroup"
		fi
		case $whose in ` + strings.Join(own, " | ") + `) continue ;; esac
		if [ -r "/proc/$pid/comm" ]; then IFS= read -r name <"/proc/$pid/comm"; fi
		if [ -r "/proc/$pid/status" ]; then
			while IFS= read -r line; do
				case $line in Uid:*)
					uid=${line#Uid:[!0-9]}
					uid=${uid%%[!0-9]*}
					;;
				esac
			done <"/proc/$pid/status"
		fi
		found="$found${found:+, }$pid $name (uid $uid)"
	done
	set +f
	IFS=' 	'$nl
}
`
}
