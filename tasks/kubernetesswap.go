package tasks

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

const noZram = "# Written by runai-prep: no swap for Kubernetes. An empty file is no zram device.\n"

// swap is off now, and stays off at the next boot, whatever would bring it back:
// fstab, a unit, zram.
func (p *kubernetesPlan) swap() change {
	c := p.finding("swap", "off, now and at the next boot").because(p.k.Swap.Why)
	fstab := p.f.file(fstabPath)
	isSwap := func(line string) bool {
		e, ok := parseFstabLine(line)
		return ok && e.Type == "swap" && !e.option("noauto")
	}
	next, lines := commentOut(fstab.content, isSwap)
	zram, zramFile := p.zram()
	var have []string
	for _, s := range p.f.Swaps {
		have = append(have, fmt.Sprintf("on: %s (%s, %s used)", s.Name, size(s.Size, 1<<30), size(s.Used, 1<<30)))
	}
	for _, line := range lines {
		e, _ := parseFstabLine(line)
		have = append(have, fstabPath+" lists "+e.Source)
	}
	for _, unit := range p.f.SwapUnits {
		have = append(have, path.Base(unit)+" starts at boot")
	}
	if zram {
		have = append(have, zramFile+" makes a zram device")
	}
	if have == nil {
		have = []string{"off"}
	}
	c.Have = strings.Join(have, "; ")
	if p.k.Swap.Value == "allowed" {
		c.Want = "allowed"
		return c
	}
	p.keepSwap()
	if stop, hint := p.swapStays(fstab, lines, zram, zramFile); stop != "" {
		c.State, c.Have, c.Hint = Unmet, stop, hint
		return c
	}
	if lines != nil {
		for _, line := range lines {
			e := entry{"off", fstabPath, line}
			c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		}
		c.Steps = append(c.Steps, p.rewriteShown(fstab, next)...)
	}
	if zram && !p.own(&c, zramPath, noZram) {
		return c
	}
	for _, unit := range p.f.SwapUnits {
		e := entry{"disabled", unit, path.Base(unit)}
		c.adds, p.kept = append(c.adds, e), append(p.kept, e)
		c.Steps = append(c.Steps, switchOff(unit))
	}
	if p.f.Container != "" {
		if len(p.f.Swaps) > 0 {
			c.warn("the swap in use is the machine's: %s", ofTheMachine)
		}
	} else {
		for _, s := range p.f.Swaps {
			c.Steps = append(c.Steps, swapOff(s))
		}
	}
	if c.Steps != nil {
		c.State = Pending
	}
	return c
}

// keepSwap keeps what we did against swap, and what we still have to do.
func (p *kubernetesPlan) keepSwap() {
	p.keep(fstabPath)
	p.keep(zramPath)
	p.kept = append(p.kept, p.f.ledger.of("disabled")...)
}

// swapStays says why swap cannot be switched off from here.
func (p *kubernetesPlan) swapStays(fstab file, lines []string, zram bool, zramFile string) (stop, hint string) {
	var used inventory.Bytes
	for _, s := range p.f.Swaps {
		used += s.Used
	}
	switch free := p.f.Available; {
	case fstab.Presence == Unreadable:
		return fstabPath + " cannot be read without root", "enable sudo for this host"
	case lines != nil && notText(fstab) != "":
		return notText(fstab), byHand
	case zram && zramFile == zramPath:
		return zramPath + " makes a zram device, and somebody wrote it", "empty it (systemd's zram-generator makes no device then), and swapoff the device"
	case p.f.Container != "" || used == 0:
	case free.Fault != "":
		return fmt.Sprintf("%s of swap are in use, and whether memory has room for them cannot be told: %s", size(used, 1<<30), free.Fault), ""
	case used > free.Bytes-free.Bytes/10:
		return fmt.Sprintf("%s of swap are in use, and %s of memory are free: there is no room for them", size(used, 1<<30), size(free.Bytes, 1<<30)),
			"end some of the work there, and apply again"
	}
	return "", ""
}

// zram reports whether systemd's zram-generator makes a device at boot, and by
// which file.
func (p *kubernetesPlan) zram() (makes bool, by string) {
	has := func(f file) bool {
		return slices.ContainsFunc(splitLines(f.content), func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "[zram") })
	}
	ours := p.f.file(zramPath)
	if ours.Presence != Absent { // it takes the place of the distribution's
		return has(ours), zramPath
	}
	for name, f := range p.f.files {
		if strings.HasSuffix(name, "/lib/systemd/zram-generator.conf") && has(f) {
			return true, name
		}
	}
	return false, ""
}

// swapOff moves what is in use back into memory, once it is seen that there is
// room: the kernel would begin to kill otherwise.
func swapOff(s swapFacts) remote.Step {
	step := remote.Step{Title: "swapoff " + s.Name}
	if s.Used > 0 {
		step.Disrupts = size(s.Used, 1<<30) + " of swap move back into memory: what runs may be slow meanwhile"
	}
	step.Run = &remote.Command{Timeout: 15 * time.Minute, Script: `device=` + quote(s.Name) + `
free=0 used=
while read -r key value unit; do
	case $key in MemAvailable:) free=$value ;; esac
done </proc/meminfo
while read -r name type size in_use priority; do
	case $name in ` + quote(escapeMount(s.Name)) + `) used=$in_use ;; esac
done </proc/swaps
[ -n "$used" ] || exit 0
[ "$used" -lt "$free" ] || { echo "$used kB of swap are in use, and $free kB of memory are free" >&2; exit 1; }
swapoff "$device"
`}
	return step
}

// isGenerated is a unit that a generator makes at every boot, as for a swap
// partition found by its type: it is masked, others are disabled.
func isGenerated(unit string) bool { return strings.HasPrefix(unit, "/run/") }

func switchOff(unit string) remote.Step {
	name := path.Base(unit)
	verb := "disable"
	if isGenerated(unit) {
		verb = "mask"
	}
	return remote.Step{Title: "systemctl " + verb + " " + name, Run: &remote.Command{Script: "systemctl " + verb + " -- " + quote(name)}}
}

func giveBackUnit(unit, name string) remote.Step {
	verb := "enable"
	if isGenerated(unit) {
		verb = "unmask"
	}
	return remote.Step{Title: "systemctl " + verb + " " + name, Run: &remote.Command{Script: "systemctl " + verb + " -- " + quote(name)}}
}
