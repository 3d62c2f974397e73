package tasks

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// This file is the language in which images say what they need of the machine
// below them, as NVIDIA's container toolkit reads it (libnvidia-container,
// src/cli/dsl.c and configure.c; nvidia-container-toolkit, internal/requirements):
// the variables NVIDIA_REQUIRE_* hold all together, each of them is alternatives
// with blanks between, and an alternative is conditions with commas between.
//
//	cuda>=12.2 brand=tesla,driver>=470,driver<471

// A requirement is one variable: alternatives, of which one has to hold.
type requirement struct {
	text         string
	alternatives [][]condition
}

// A condition is about the CUDA of the driver, the driver, the compute
// capability (arch) or the brand of a GPU.
type condition struct{ property, operator, value string }

// A gpuWorld is what a requirement is held against: one GPU and the driver. An
// arch or brand that is empty is that of no GPU, and every condition on it holds.
type gpuWorld struct{ driver, cuda, arch, brand string }

// imageRequirements are those of an image's variables. NVIDIA's toolkit takes
// an image that has CUDA_VERSION alone for one that requires as much.
func imageRequirements(env map[string]string) ([]requirement, error) {
	if off, err := strconv.ParseBool(env["NVIDIA_DISABLE_REQUIRE"]); err == nil && off {
		return nil, nil
	}
	var all []requirement
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, "NVIDIA_REQUIRE_") || strings.HasPrefix(name, "NVIDIA_REQUIRE_JETPACK") || strings.TrimSpace(env[name]) == "" {
			continue
		}
		r, err := parseRequirement(env[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	if cuda := majorMinor(env["CUDA_VERSION"]); cuda != "" && env["NVIDIA_REQUIRE_CUDA"] == "" {
		all = append(all, requirement{"cuda>=" + cuda, [][]condition{{{"cuda", ">=", cuda}}}})
	}
	return all, nil
}

// majorMinor is "12.3" of "12.3.2.001"; empty: it is no version.
func majorMinor(v string) string {
	if at := versionNumber.FindStringIndex(v); at == nil || at[0] != 0 {
		return ""
	}
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

func parseRequirement(text string) (requirement, error) {
	r := requirement{text: strings.Join(strings.Fields(text), " ")}
	for _, alternative := range strings.Fields(text) {
		var all []condition
		for part := range strings.SplitSeq(alternative, ",") {
			if part == "" {
				continue
			}
			c, err := parseCondition(part)
			if err != nil {
				return r, err
			}
			all = append(all, c)
		}
		r.alternatives = append(r.alternatives, all)
	}
	return r, nil
}

func parseCondition(text string) (condition, error) {
	none := fmt.Errorf("%q is no condition", clip(text, 80))
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return condition{}, none
	}
	rest := strings.TrimLeft(text[at:], "<>=!")
	c := condition{strings.ToLower(text[:at]), strings.TrimSuffix(text[at:], rest), rest}
	switch c.property {
	case "cuda", "driver", "arch":
		if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, c.operator) || rest == "" || versionNumber.FindString(rest) != rest {
			return c, none
		}
	case "brand":
		if c.operator != "=" && c.operator != "!=" || rest == "" {
			return c, none
		}
	default:
		return c, none
	}
	return c, nil
}

// driversNamed are the versions of the driver of which requirements speak.
func driversNamed(all []requirement) []string {
	var named []string
	for _, r := range all {
		for _, c := range slices.Concat(r.alternatives...) {
			if c.property == "driver" {
				named = append(named, c.value)
			}
		}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

func (r requirement) holds(w gpuWorld) bool {
	return slices.ContainsFunc(r.alternatives, func(all []condition) bool {
		return !slices.ContainsFunc(all, func(c condition) bool { return !c.holds(w) })
	})
}

func (c condition) holds(w gpuWorld) bool {
	if c.property == "brand" {
		return w.brand == "" || strings.EqualFold(w.brand, c.value) == (c.operator == "=")
	}
	has := map[string]string{"cuda": w.cuda, "driver": w.driver, "arch": w.arch}[c.property]
	if has == "" {
		return true
	}
	order := compareVersions(has, c.value)
	switch c.operator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// short is the first alternative, which is what the image was built for; the
// others are former drivers that it runs with all the same.
func (r requirement) short() string {
	first, rest, more := strings.Cut(r.text, " ")
	if more {
		first += fmt.Sprintf(" or one of %d alternatives", strings.Count(rest, " ")+1)
	}
	return clip(first, 120)
}

// A verdict is whether something holds.
type verdict int

const (
	no verdict = iota
	maybe
	yes
)

// judge holds requirements against GPUs and drivers of which not everything is
// known: they are met where they are in every possible world, and unmet where
// for one of the GPUs they are in none. Where nothing is required no driver is
// needed.
func judge(all []requirement, gpus []gpu, drivers []gpuWorld) verdict {
	switch {
	case len(all) == 0:
		return yes
	case len(drivers) == 0:
		return no
	}
	if len(gpus) == 0 {
		return judgeWorlds(all, drivers)
	}
	worst := yes
	for i, g := range gpus {
		if slices.ContainsFunc(gpus[:i], func(before gpu) bool { return before.Device == g.Device }) {
			continue // one of the same kind
		}
		var worlds []gpuWorld
		for _, w := range drivers {
			for _, w.arch = range g.capabilities() {
				for _, w.brand = range g.brands() {
					worlds = append(worlds, w)
				}
			}
		}
		worst = min(worst, judgeWorlds(all, worlds))
	}
	return worst
}

func judgeWorlds(all []requirement, worlds []gpuWorld) verdict {
	met, unmet := false, false
	for _, w := range worlds {
		if slices.ContainsFunc(all, func(r requirement) bool { return !r.holds(w) }) {
			unmet = true
		} else {
			met = true
		}
		if met && unmet {
			return maybe
		}
	}
	if met {
		return yes
	}
	return no
}

// driverWorlds is what is known of a driver of a version. NVIDIA's table of the
// CUDA that each branch supports has a beginning and an end.
func driverWorlds(v string) []gpuWorld {
	first, last := cudaOf[0], cudaOf[len(cudaOf)-1]
	switch branch := branchOf(v); {
	case branch < first.branch:
		return []gpuWorld{{driver: v, cuda: "1.0"}, {driver: v, cuda: "8.0"}}
	case branch > last.branch:
		return []gpuWorld{{driver: v, cuda: last.cuda}, {driver: v, cuda: "9999"}}
	}
	return []gpuWorld{{driver: v, cuda: cudaFor(v)}}
}
