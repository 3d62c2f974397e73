package tasks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A driverWish is what is wanted of a host's driver.
type driverWish struct {
	inventory.Driver
	verify bool // nothing may be installed
	bounds version.Constraints
	// cluster has the host's node; its zero value is kubectl's own choice.
	cluster remote.Cluster
}

// wishedDriver is the wish for a host; false: there is none. Where no block
// nvidia_driver applies to a host with GPUs, the profile's requirement holds,
// and nobody has said that anything may be installed.
func wishedDriver(h inventory.Host) (driverWish, bool) {
	w := driverWish{cluster: kubectlsCluster(h)}
	switch {
	case h.Driver != nil:
		w.Driver = *h.Driver
		w.verify = w.Source == "none"
	case h.Role == "gpu" && h.Requirements != nil && h.Requirements.Driver.Constraint != "":
		r := h.Requirements.Driver
		w.Driver = inventory.Driver{Constraint: r.Constraint, Source: "none", Flavor: "auto", RequireGPU: true, Why: r.Why}
		w.verify = true
	default:
		return w, false
	}
	// An inventory lets no constraint get this far that cannot be read.
	w.bounds, _ = version.NewConstraint(w.Constraint)
	return w, true
}

// within reports whether a version is in the wished range.
func (w driverWish) within(v string) bool {
	parsed, err := version.NewVersion(v)
	return err == nil && w.bounds.Check(parsed)
}

// text is the range in as few words as say it: of the lower bounds, which the
// profile and the inventory both give, the highest one.
func (w driverWish) text() string {
	if v := w.exact(); v != "" && w.within(v) {
		return v
	}
	var lower, others []string
	for part := range strings.SplitSeq(w.Constraint, ",") {
		part = strings.TrimSpace(part)
		bound, isLower := strings.CutPrefix(part, ">=")
		switch {
		case part == "":
		case !isLower:
			others = append(others, part)
		case lower == nil:
			lower = []string{part}
		case compareVersions(strings.TrimSpace(bound), strings.TrimSpace(lower[0][2:])) > 0:
			lower[0] = part
		}
	}
	if all := append(lower, others...); len(all) > 0 {
		return strings.Join(all, ", ")
	}
	return "any version"
}

// exact is the one version that the range names; empty: it names none.
func (w driverWish) exact() string {
	for part := range strings.SplitSeq(w.Constraint, ",") {
		part = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(part), "="))
		if at := versionNumber.FindStringIndex(part); at != nil && at[0] == 0 && at[1] == len(part) && strings.Contains(part, ".") {
			return part
		}
	}
	return ""
}

// reaches reports whether the range has a version in a branch from first to
// last. A bound of the range is what decides, so those are tried, with the
// edges of the branches.
func (w driverWish) reaches(first, last int) bool {
	tries := []string{fmt.Sprint(first), fmt.Sprintf("%d.999.99", last)}
	for _, number := range versionNumber.FindAllString(w.Constraint, -1) {
		tries = append(tries, number, number+".1")
	}
	return slices.ContainsFunc(tries, func(v string) bool {
		return w.within(v) && branchOf(v) >= first && branchOf(v) <= last
	})
}

var versionNumber = regexp.MustCompile(`[0-9]+(\.[0-9]+)*`)

// driverVersion is NVIDIA's own part of a package's version: "535.261.03" of
// "535.261.03-1", "3:580.95.05-1.el9" and "580.126.09_k6.4.0_150600.21-1".
func driverVersion(packaged string) string {
	if _, after, ok := strings.Cut(packaged, ":"); ok {
		packaged = after
	}
	at := versionNumber.FindStringIndex(packaged)
	if at == nil || at[0] != 0 {
		return ""
	}
	return packaged[:at[1]]
}

// branchOf is the first number of a driver's version; 0: it has none.
func branchOf(v string) int {
	first, _, _ := strings.Cut(v, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// compareVersions compares two of NVIDIA's versions, number by number.
func compareVersions(a, b string) int {
	x, errX := version.NewVersion(a)
	y, errY := version.NewVersion(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

// A generation is which branches of the driver work with GPUs of one kind, and
// which of the two kinds of kernel module.
type generation struct {
	name        string
	first, last int  // branches; last 0: still supported
	open        bool // works with the open modules
	onlyOpen    bool // does not work with the proprietary ones
}

// generations are from NVIDIA's lists of supported products and its page on
// legacy GPUs. The open modules, from 515 on, need a GPU with a GSP: Turing and
// later. Data-center parts decide where a generation's parts differ: Ada and
// Hopper began with 520 and 525, Blackwell with 570.
var generations = []generation{
	{name: "Fermi", first: 256, last: 390},
	{name: "Kepler", first: 304, last: 470},
	{name: "Maxwell", first: 343, last: 580},
	{name: "Pascal", first: 367, last: 580},
	{name: "Volta", first: 384, last: 580},
	{name: "Turing", first: 410, open: true},
	{name: "Ampere", first: 450, open: true},
	{name: "Ada", first: 520, open: true},
	{name: "Hopper", first: 520, open: true},
	{name: "Blackwell", first: 570, open: true, onlyOpen: true},
}

const (
	firstOpen       = 515 // the branch that brought the open modules
	openByDefault   = 560 // from which NVIDIA's installers take the open ones
	lastProprietary = 615 // guide 620 says that they are gone
	newestBranch    = 9999
)

// generationOf is what is known of a GPU's generation; false: nothing.
func generationOf(g gpu) (generation, bool) {
	for _, known := range generations {
		if g.Generation == known.name || strings.HasPrefix(g.Generation, known.name+" ") {
			// Grace's GPUs are only driven by the open modules.
			if strings.HasPrefix(g.Name, "GH") || strings.HasPrefix(g.Name, "GB") {
				known.onlyOpen = true
			}
			if known.last == 0 {
				known.last = newestBranch
			}
			return known, true
		}
	}
	return generation{}, false
}

// A gpuNeed is what all GPUs of a host have in common, and why.
type gpuNeed struct {
	first, last         int
	firstWhy, lastWhy   string // "Hopper needs 520 or later"
	open, proprietary   bool   // only that kind of module drives all of them
	openWhy, closedWhy  string
	conflict, unknownOf string
}

func needOf(gpus []gpu) gpuNeed {
	n := gpuNeed{last: newestBranch}
	for _, g := range gpus {
		known, ok := generationOf(g)
		if !ok {
			n.unknownOf = g.label()
			continue
		}
		if known.first > n.first {
			n.first, n.firstWhy = known.first, fmt.Sprintf("%s needs branch %d or later", g.label(), known.first)
		}
		if known.last < n.last {
			n.last, n.lastWhy = known.last, fmt.Sprintf("the last branch for %s is %d", g.label(), known.last)
		}
		if known.onlyOpen {
			n.open, n.openWhy = true, g.label()+" works only with the open modules"
		}
		if !known.open {
			n.proprietary, n.closedWhy = true, g.label()+" works only with the proprietary modules"
		}
	}
	switch {
	case n.first > n.last:
		n.conflict = n.firstWhy + ", and " + n.lastWhy
	case n.open && n.proprietary:
		n.conflict = n.openWhy + ", and " + n.closedWhy
	}
	return n
}

// label is how a GPU is spoken of: "H100 SXM5 80GB (Hopper)".
func (g gpu) label() string {
	switch {
	case g.Name != "" && g.Generation != "":
		return g.Name + " (" + g.Generation + ")"
	case g.Name != "":
		return g.Name
	}
	return "the GPU with device id 10de:" + g.Device
}

// unservable is why no driver of the wished range and flavour can drive the
// host's GPUs, with what to do; empty: one may.
func (w driverWish) unservable(n gpuNeed) (why, hint string) {
	switch {
	case n.conflict != "":
		return n.conflict, "no one driver serves both: take one of them out, or leave it to another host"
	case w.Flavor == "open" && n.proprietary:
		return n.closedWhy, `wish flavor = "auto" or "proprietary"`
	case w.Flavor == "proprietary" && n.open:
		return n.openWhy, `wish flavor = "auto" or "open"`
	case !w.reaches(0, n.last):
		return n.lastWhy, "wish a version that the GPU is supported by"
	case !w.reaches(n.first, newestBranch):
		return n.firstWhy, "wish a version that the GPU is supported by"
	case (w.Flavor == "open" || n.open) && !w.reaches(firstOpen, newestBranch):
		return fmt.Sprintf("the open modules begin with branch %d", firstOpen), "wish a later version"
	case (w.Flavor == "proprietary" || n.proprietary) && !w.reaches(0, lastProprietary):
		return fmt.Sprintf("there are no proprietary modules after branch %d", lastProprietary), "wish an earlier version"
	}
	return "", ""
}

// flavors are the kinds of module that may be taken of a branch, open or not,
// the better one first. Empty: none drives the GPUs.
func (w driverWish) flavors(n gpuNeed, branch int) []bool {
	var may []bool
	for _, open := range []bool{branch >= openByDefault, branch < openByDefault} {
		switch {
		case branch < n.first || branch > n.last,
			open && (w.Flavor == "proprietary" || n.proprietary || branch < firstOpen),
			!open && (w.Flavor == "open" || n.open || branch > lastProprietary):
		default:
			may = append(may, open)
		}
	}
	return may
}

// cudaOf is the newest CUDA that each branch of the driver supports, from the
// table "CUDA Toolkit and Corresponding Driver Versions" of the release notes.
var cudaOf = []struct {
	branch int
	cuda   string
}{
	{384, "9.0"}, {387, "9.1"}, {396, "9.2"}, {410, "10.0"}, {418, "10.1"}, {440, "10.2"}, {450, "11.0"}, {455, "11.1"},
	{460, "11.2"}, {465, "11.3"}, {470, "11.4"}, {495, "11.5"}, {510, "11.6"}, {515, "11.7"}, {520, "11.8"}, {525, "12.0"},
	{530, "12.1"}, {535, "12.2"}, {545, "12.3"}, {550, "12.4"}, {555, "12.5"}, {560, "12.6"}, {565, "12.7"}, {570, "12.8"},
	{575, "12.9"}, {580, "13.0"}, {590, "13.1"},
}

// cudaFor is the newest CUDA that a driver of a version supports, or less.
func cudaFor(v string) string {
	cuda := ""
	for _, row := range cudaOf {
		if branchOf(v) >= row.branch {
			cuda = row.cuda
		}
	}
	return cuda
}

func flavorName(open bool) string {
	if open {
		return "open"
	}
	return "proprietary"
}
