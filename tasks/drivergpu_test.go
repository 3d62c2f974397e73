package tasks

import (
	"strconv"
	"strings"
	"testing"
)

// The parts that data centers have, by what NVIDIA says of them.
func TestLookUpGPU(t *testing.T) {
	for device, want := range map[string]string{
		"06d2": "Fermi Tesla M2070", "102d": "Kepler Tesla K80", "13f2": "Maxwell Tesla M60", "17fd": "Maxwell Tesla M40",
		"15f9": "Pascal Tesla P100 SXM2 16GB", "1b38": "Pascal Tesla P40", "1bb3": "Pascal Tesla P4", "1db6": "Volta Tesla V100 PCIe 32GB",
		"1eb8": "Turing Tesla T4", "20b0": "Ampere A100 SXM4 40GB", "20b2": "Ampere A100 SXM4 80GB", "20b7": "Ampere A30",
		"2236": "Ampere A10", "2237": "Ampere A10G", "2235": "Ampere A40", "25b6": "Ampere A2/A16", "27b8": "Ada L4",
		"26b5": "Ada L40", "26b9": "Ada L40S", "2330": "Hopper H100 SXM5 80GB", "2331": "Hopper H100 PCIe", "2321": "Hopper H100 NVL",
		"2335": "Hopper H200 SXM", "233b": "Hopper H200 NVL", "2342": "Hopper GH200", "2901": "Blackwell B200", "2941": "Blackwell GB200",
		"2bb5": "Blackwell RTX PRO 6000 Blackwell Server", "3182": "Blackwell B300 SXM6", "31c2": "Blackwell GB300",
		// Not in a data center: the chip will do.
		"2206": "Ampere GA102", "1c82": "Pascal GP107", "128b": "Kepler GK208",
		// Nobody knows.
		"0041": " ", "3fff": " ", "22a3": " ", "x330": " ", "": " ",
	} {
		name, generation, _ := lookUpGPU(device)
		if got := generation + " " + name; got != want {
			t.Errorf("%s is %q, want %q", device, got, want)
		}
	}
}

// The table is whole: its ranges stand in order and apart from each other, and
// whatever has a name has a generation.
func TestGPUTable(t *testing.T) {
	generations := " Fermi Kepler Maxwell Pascal Volta Turing Ampere Ada Hopper Blackwell "
	last := uint64(0)
	for line := range strings.Lines(gpuTable) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		ids, rest, _ := strings.Cut(line, " ")
		first, end, isRange := strings.Cut(ids, "-")
		if !isRange {
			if name, generation, _ := lookUpGPU(ids); name != rest || generation == "" {
				t.Errorf("%q is found as %q of %q", line, name, generation)
			}
			continue
		}
		from, err1 := strconv.ParseUint(first, 16, 16)
		to, err2 := strconv.ParseUint(end, 16, 16)
		generation, chip, _ := strings.Cut(rest, " ")
		if err1 != nil || err2 != nil || from > to || from <= last || !strings.Contains(generations, " "+generation+" ") || chip == "" {
			t.Errorf("%q is no range above %04x", line, last)
		}
		last = to
	}
}
