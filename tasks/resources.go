package tasks

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// Resources compares what a machine has with the least it needs. Nothing here
// can be fixed over SSH, so its findings are ok, unmet or unknown, and there is
// none of what nobody wished.
//
// CPUs are the logical ones that the kernel runs work on, as kubelet counts
// them: /sys/devices/system/cpu/online, not /proc/cpuinfo, which is half a
// megabyte on a large machine. Memory is MemTotal. The disk is the filesystem
// that holds a path, or will hold it once it is made. A path of the inventory's
// may lie on a mount whose server is dead, so all that touches it runs under
// timeout; what lies below an automount that is not in use is not touched, which would mount it.
var Resources = Task{Name: "resources", Probe: probeResources, Read: readResources, Plan: planResources}

const defaultDiskPath = "/var/lib"

func diskPath(h inventory.Host) string {
	if h.Resources.DiskPath == "" {
		return defaultDiskPath
	}
	return h.Resources.DiskPath
}

func probeResources(h inventory.Host) string {
	path := diskPath(h)
	disk := "p=" + path + "\n{\n" + statDisk("stat") + "} || echo \"!exit $?\"\ncd /\n"
	// The system itself keeps /var/lib in use, and every task reads below it: only
	// another path can lie below an automount that is idle, or on a dead server.
	if path != defaultDiskPath {
		disk = "mounts=$(grep -F -e ' / rw'"
		for _, p := range mountPatterns(path)[1:] { // on the way there, not below
			disk += " -e " + quote(p)
		}
		disk += " /proc/self/mountinfo)\nif idle " + quote(escapeMount(path)) + `; then echo '!automount'; else timeout -s KILL 3 sh -c '
p=$1
` + statDisk("exec stat") + `' sh ` + quote(path) + ` || echo "!exit $?"
fi
`
	}
	return `system
if [ -r /sys/devices/system/cpu/online ]; then
	word online /sys/devices/system/cpu/online
	word present /sys/devices/system/cpu/present
else
	ran counted grep -c '^processor' /proc/cpuinfo
fi
if [ -r /proc/meminfo ]; then
	while read -r key value unit; do
		case $key in MemTotal:) echo "@memory $value $unit"; break ;; esac
	done </proc/meminfo
fi
echo '@disk'
` + disk + probeEnd
}

// statDisk looks at the filesystem that holds $p, or will hold it.
func statDisk(stat string) string {
	return `while [ -n "$p" ] && [ ! -d "$p" ]; do p=${p%/*}; done
if cd "${p:-/}" 2>/dev/null && [ -x . ]; then
	printf "|%s\n|" "${p:-/}"
	pwd -P
	printf "|"
	` + stat + ` -f -c "%S %b %a %T" .
else
	echo "!unreadable"
fi
`
}

// resourceFacts are what a machine has. Each part may be missing for a reason
// of its own, which makes its finding unknown and no other.
type resourceFacts struct {
	System System     `json:"system"`
	CPUs   cpuFacts   `json:"cpus"`
	Memory byteFacts  `json:"memory"`
	Disk   *diskFacts `json:"disk"`
}

type cpuFacts struct {
	Online  int    `json:"online"`
	Present int    `json:"present"` // offline ones too; 0: not known
	Fault   string `json:"fault,omitempty"`
}

type byteFacts struct {
	Bytes inventory.Bytes `json:"bytes"`
	Fault string          `json:"fault,omitempty"`
}

type diskFacts struct {
	Path       string          `json:"path"` // the nearest that exists
	Physical   string          `json:"physical,omitempty"`
	Size       inventory.Bytes `json:"size"`
	Free       inventory.Bytes `json:"free"` // for users other than root
	Filesystem string          `json:"filesystem"`
	Fault      string          `json:"fault,omitempty"`
}

func readResources(s remote.Section) (Facts, error) {
	blocks, err := readBlocks(s)
	if err != nil {
		return nil, err
	}
	system, err := readSystem(blocks)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", s.Name, err)
	}
	f := resourceFacts{
		System: system,
		CPUs:   cpuFacts{Fault: "neither /sys nor /proc/cpuinfo counts the CPUs"},
		Memory: byteFacts{Fault: "/proc/meminfo has no MemTotal"},
		Disk:   &diskFacts{Fault: "the filesystem was not looked at"},
	}
	for _, b := range blocks {
		switch b.kind {
		case "online":
			f.CPUs = cpuFacts{}
			if f.CPUs.Online, err = parseCPUList(b.rest); err != nil {
				f.CPUs.Fault = "CPUs online: " + err.Error()
			}
		case "present":
			f.CPUs.Present, _ = parseCPUList(b.rest) // only ever an addition
		case "counted":
			f.CPUs = cpuFacts{}
			if n, err := strconv.Atoi(strings.Join(b.lines, "")); err == nil && n > 0 && n <= maxCPUs {
				f.CPUs.Online = n
			} else {
				f.CPUs.Fault = fmt.Sprintf("/proc/cpuinfo lists %q processors", clip(strings.Join(b.lines, " "), 40))
			}
		case "memory":
			f.Memory = byteFacts{}
			if f.Memory.Bytes, err = parseKiB(b.rest); err != nil {
				f.Memory.Fault = "MemTotal: " + err.Error()
			}
		case "disk":
			f.Disk = readDisk(b)
		}
	}
	return &f, nil
}

func readDisk(b block) *diskFacts {
	var d diskFacts
	if len(b.lines) > 0 {
		d.Path = b.lines[0]
	}
	switch exit := b.exit(); {
	case b.noted("automount"):
		d.Fault = "the path lies at or below an automount that is not in use: looking would mount it"
		return &d
	case b.noted("unreadable"):
		d.Fault = "the path cannot be entered without root"
		return &d
	case exit == 137:
		d.Fault = "the filesystem did not answer within 3s"
		return &d
	case exit != 0:
		d.Fault = fmt.Sprintf("stat -f failed with exit status %d", exit)
		return &d
	case len(b.lines) != 3:
		d.Fault = fmt.Sprintf("unexpected output %q", clip(strings.Join(b.lines, " "), 80))
		return &d
	}
	if b.lines[1] != d.Path {
		d.Physical = b.lines[1]
	}
	fields := strings.Fields(b.lines[2])
	var n [3]int64
	var err error
	for i := range n {
		if len(fields) < 4 {
			err = strconv.ErrSyntax
		} else if err == nil {
			n[i], err = strconv.ParseInt(fields[i], 10, 64)
		}
	}
	unit, blocks, free := n[0], n[1], n[2]
	if err != nil || unit <= 0 || blocks < 0 || free < 0 || blocks > math.MaxInt64/unit || free > blocks {
		d.Fault = fmt.Sprintf("stat -f says %q", clip(b.lines[2], 80))
		return &d
	}
	d.Size, d.Free = inventory.Bytes(unit*blocks), inventory.Bytes(unit*free)
	d.Filesystem = strings.Join(fields[3:], " ")
	if d.Filesystem == "ext2/ext3" { // one magic number for all three
		d.Filesystem = "ext4"
	}
	return &d
}

// maxCPUs is beyond what Linux can be built for.
const maxCPUs = 1 << 16

// parseCPUList counts the CPUs of a list as /sys prints it: "0-3,8".
func parseCPUList(list string) (int, error) {
	n := 0
	for item := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		low, high, isRange := strings.Cut(item, "-")
		a, err := strconv.ParseUint(low, 10, 31)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(high, 10, 31)
		}
		if err != nil || b < a || b >= maxCPUs {
			return 0, fmt.Errorf("%q is not a list of CPUs", clip(list, 40))
		}
		n += int(b-a) + 1
	}
	if n > maxCPUs {
		return 0, fmt.Errorf("%q counts CPUs twice", clip(list, 40))
	}
	return n, nil
}

// parseKiB reads an amount as /proc/meminfo prints it: "16309284 kB", where kB
// has always meant 1024 bytes.
func parseKiB(text string) (inventory.Bytes, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit != "kB" || n <= 0 || n > math.MaxInt64>>10 {
		return 0, fmt.Errorf("%q is not an amount of memory", clip(text, 40))
	}
	return inventory.Bytes(n << 10), nil
}

func planResources(h inventory.Host, facts Facts) []Finding {
	f, want := facts.(*resourceFacts), h.Resources
	var found []Finding
	if want.MinCPUs.IsSet() {
		found = append(found, cpusFinding(want.MinCPUs, f))
	}
	if want.MinMemory.IsSet() {
		found = append(found, memoryFinding(want.MinMemory, f.Memory))
	}
	if want.MinDisk.IsSet() {
		found = append(found, diskFinding(want.MinDisk, diskPath(h), f.Disk))
	}
	return found
}

func cpusFinding(want inventory.Wish[int], f *resourceFacts) Finding {
	found := Finding{
		Subject: "cpus",
		Want:    fmt.Sprintf("%d or more", want.Value),
		Why:     want.Why,
		State:   OK,
		Have:    strconv.Itoa(f.CPUs.Online),
	}
	if f.CPUs.Present > f.CPUs.Online {
		found.Have += fmt.Sprintf(" online of %d", f.CPUs.Present)
		found.Hint = "CPUs are offline: see /sys/devices/system/cpu/offline"
	}
	found.Have += fmt.Sprintf(" (%s, %s, Linux %s)", f.System.Arch, f.System.Name, f.System.Kernel)
	switch {
	case f.CPUs.Fault != "":
		found.State, found.Have, found.Hint = Unknown, f.CPUs.Fault, ""
	case f.CPUs.Online < want.Value:
		found.State = Unmet
	default:
		found.Hint = ""
	}
	if f.System.Arch != "x86_64" && f.System.Arch != "aarch64" {
		found.Hint = "images and drivers for GPU clusters are built for x86_64 and aarch64 only"
	}
	return found
}

func memoryFinding(want inventory.Wish[inventory.Bytes], has byteFacts) Finding {
	found := Finding{
		Subject: "memory",
		Want:    fmt.Sprintf("%v or more", want.Value),
		Why:     want.Why,
		State:   OK,
		Have:    size(has.Bytes, 1<<30), // memory is binary whatever the wish says
	}
	switch {
	case has.Fault != "":
		found.State, found.Have = Unknown, has.Fault
	case has.Bytes >= asSold(want.Value):
	case has.Bytes >= leastMemTotal(want.Value):
		found.Have += fmt.Sprintf(" seen by the kernel, counts as %v", want.Value)
	default:
		found.State = Unmet
	}
	return found
}

// leastMemTotal is the MemTotal from which on a machine counts as one with so
// much memory.
//
// Memory is made and sold in powers of two, whatever the label says: 4GB is
// taken for 4GiB. Of it firmware and kernel keep a part that MemTotal does not
// show: one 64th for the table of pages, some for graphics, the kernel's image
// and, where it is set up, the crash kernel. So a part is allowed for: 512MiB
// and one 32nd of the whole, but never more than one eighth. Machines of 4GiB
// were seen with 3.6 to 3.9GiB (3.5 is asked for), of 64GiB with 62.5 (61.5),
// of 512GiB with 503 (495.5); the next smaller machine that is sold stays
// below each.
func leastMemTotal(wish inventory.Bytes) inventory.Bytes {
	sold := asSold(wish)
	return sold - min(512<<20+sold/32, sold/8)
}

// asSold takes 4GB of memory for 4GiB.
func asSold(wish inventory.Bytes) inventory.Bytes {
	if wish%1e9 == 0 {
		return wish / 1e9 << 30
	}
	return wish
}

func diskFinding(want inventory.Wish[inventory.Bytes], path string, has *diskFacts) Finding {
	found := Finding{
		Subject: "disk",
		Want:    fmt.Sprintf("%v or more at %s", want.Value, path),
		Why:     want.Why,
		State:   OK,
	}
	if has.Fault != "" {
		found.State, found.Have = Unknown, has.Fault
		return found
	}
	found.Have = fmt.Sprintf("%s of %s", size(has.Size, want.Value), has.Filesystem)
	if has.Path != path {
		found.Have += fmt.Sprintf(" at %s, as %s is not there yet", has.Path, path)
	}
	if has.Physical != "" {
		found.Have += fmt.Sprintf(", which is %s", has.Physical)
	}
	found.Have += fmt.Sprintf(", %s free", size(has.Free, want.Value))
	switch {
	case has.Size >= want.Value:
	case has.Size >= want.Value-want.Value/10:
		// What the filesystem keeps for itself and a small partition beside it
		// (boot, EFI) are part of what was sold.
		found.Have += fmt.Sprintf(", counts as %v", want.Value)
	default:
		found.State = Unmet
		found.Hint = "grow the filesystem, or name another place with resources { disk_path = … }"
	}
	return found
}

// size shows an amount in the kind of units that it is compared with, rounded
// down, for what falls short must not look as if it did not.
func size(n, like inventory.Bytes) string {
	unit, name := inventory.Bytes(1<<30), "GiB"
	if like%1e9 == 0 {
		unit, name = 1e9, "GB"
	}
	return fmt.Sprintf("%d.%d%s", n/unit, n%unit*10/unit, name)
}
