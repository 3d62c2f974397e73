package tasks

import (
	_ "embed"
	"strconv"
	"strings"
)

// gpuTable says which GPU a PCI device id is; see the file itself.
//
//go:embed drivergpu.txt
var gpuTable string

// lookUpGPU tells name and generation of a PCI device id of NVIDIA's, four
// lower-case hexadecimal digits. Both are empty where the table does not have
// it. A host has a handful of GPUs, so the text is searched as it is.
func lookUpGPU(device string) (name, generation string) {
	id, err := strconv.ParseUint(device, 16, 16)
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(gpuTable) {
		line = strings.TrimSuffix(line, "\n")
		ids, rest, ok := strings.Cut(line, " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if ids == device {
			return rest, generation // names stand below the ranges
		}
		first, last, isRange := strings.Cut(ids, "-")
		if !isRange || name != "" {
			continue
		}
		from, err1 := strconv.ParseUint(first, 16, 16)
		to, err2 := strconv.ParseUint(last, 16, 16)
		if err1 == nil && err2 == nil && from <= id && id <= to {
			generation, name, _ = strings.Cut(rest, " ")
		}
	}
	return name, generation
}
