package tasks

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

// gpuTable says which GPU a PCI device id is; see the file itself.
//
//go:embed drivergpu.txt
var gpuTable string

// lookUpGPU tells name, generation and chip of a PCI device id of NVIDIA's, four
// lower-case hexadecimal digits. All are empty where the table does not have
// it; of a part without a name the chip is the name. A host has a handful of
// GPUs, so the text is searched as it is.
func lookUpGPU(device string) (name, generation, chip string) {
	id, err := strconv.ParseUint(device, 16, 16)
	if err != nil {
		return "", "", ""
	}
	for line := range strings.Lines(gpuTable) {
		line = strings.TrimSuffix(line, "\n")
		ids, rest, ok := strings.Cut(line, " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if ids == device {
			return rest, generation, chip // names stand below the ranges
		}
		first, last, isRange := strings.Cut(ids, "-")
		if !isRange || chip != "" {
			continue
		}
		from, err1 := strconv.ParseUint(first, 16, 16)
		to, err2 := strconv.ParseUint(last, 16, 16)
		if err1 == nil && err2 == nil && from <= id && id <= to {
			generation, chip, _ = strings.Cut(rest, " ")
		}
	}
	return chip, generation, chip
}

// capabilityOf is the compute capability of chips, by how their names begin;
// the longer beginning stands first. From NVIDIA's list of CUDA GPUs and the
// table of compute capabilities in its programming guide.
var capabilityOf = []struct{ chip, capability string }{
	{"GF100", "2.0"}, {"GF110", "2.0"}, {"GF", "2.1"}, {"GK110", "3.5"}, {"GK180", "3.5"}, {"GK208", "3.5"}, {"GK210", "3.7"}, {"GK", "3.0"},
	{"GM1", "5.0"}, {"GM2", "5.2"}, {"GP100", "6.0"}, {"GP", "6.1"}, {"GV", "7.0"}, {"TU", "7.5"}, {"GA100", "8.0"}, {"GA", "8.6"},
	{"AD", "8.9"}, {"GH", "9.0"}, {"GB100", "10.0"}, {"GB102", "10.0"}, {"GB11", "10.3"}, {"GB10", "12.1"}, {"GB20", "12.0"},
}

// capabilities are the compute capabilities that a GPU may have: those of the
// chips that share its block of ids, or any where the table does not have it.
func (g gpu) capabilities() []string {
	_, _, chips := lookUpGPU(g.Device)
	var may []string
	for chip := range strings.SplitSeq(chips, "/") {
		for _, row := range capabilityOf {
			if chips == "" || strings.HasPrefix(chip, row.chip) {
				may = append(may, row.capability)
				if chips != "" {
					break
				}
			}
		}
	}
	slices.Sort(may)
	return slices.Compact(may)
}

// brandOf is which brands NVML may report of a GPU, by how its name begins. It
// has several for one part: what was a Tesla, a Quadro or a GeForce for a driver
// of before 2021 is plain NVIDIA or an RTX for later ones.
var brandOf = []struct {
	name   string
	brands []string
}{
	{"Tesla", []string{"tesla", "nvidia"}}, {"GRID", []string{"grid", "tesla"}}, {"GeForce", []string{"geforce", "geforcertx"}},
	{"Quadro", []string{"quadro", "quadrortx"}}, {"TITAN", []string{"titan", "titanrtx"}}, {"RTX", []string{"nvidiartx", "quadrortx", "quadro"}},
	{"", []string{"nvidia", "tesla"}},
}

// brands are those that a GPU may have; one that has no name in the table may
// have any.
func (g gpu) brands() []string {
	if name, _, chip := lookUpGPU(g.Device); name != chip {
		for _, row := range brandOf {
			if strings.HasPrefix(name, row.name) {
				return row.brands
			}
		}
	}
	all := []string{"unknown", "nvs", "vapps", "vpc", "vcs", "vws", "cloudgaming"}
	for _, row := range brandOf {
		all = append(all, row.brands...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
