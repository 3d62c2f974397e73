package inventory_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// BenchmarkLoad10000Hosts loads ten thousand hosts from one pattern, with
// settings at every level, for the ways in which people write addresses. The
// aim is 150 ms and 60 MB on two cores.
func BenchmarkLoad10000Hosts(b *testing.B) {
	for name, host := range map[string]string{
		"index":    `host "gpu-[00001:10000]" { address = "gpu-${index}.example.com"`,
		"cidrhost": `host "gpu-[00001:10000]" { address = cidrhost("10.0.0.0/16", index)`,
		"indices":  `host "r[1:100]-n[1:100]" { address = "10.0.${indices[0]}.${indices[1]}"`,
		"division": `host "gpu-[00001:10000]" { address = "10.0.${floor(index / 250)}.${index % 250}"`,
	} {
		b.Run(name, func(b *testing.B) { benchmarkLoad(b, strings.Replace(host, "{ ", "{\n", 1)) })
	}
}

func benchmarkLoad(b *testing.B, host string) {
	path := filepath.Join(b.TempDir(), "inventory.hcl")
	err := os.WriteFile(path, []byte(`
variable "nas" { default = "nas.example.com" }
ssh { user = "ubuntu" }
resources { min_cpus = 4 }
nfs_mount "/mnt/data" {
  server = var.nas
  export = "/export/data"
}
role "gpu" {
  nvidia_driver { version = ">= 535.104, < 536" }
}
group "rack-a" {
  ssh { bastion = ["ops@jump-a"] }
}
`+host+`
  role    = "gpu"
  groups  = ["rack-a"]
  resources { min_disk = "50GiB" }
}
`), 0o600)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent := cpu()
	for b.Loop() {
		inv, diags := inventory.Load(path, inventory.Options{})
		if diags.HasErrors() || len(inv.Hosts) != 10_000 {
			b.Fatal(diags)
		}
		if inv.Hosts[0].Settings != inv.Hosts[9999].Settings {
			b.Fatal("alike hosts do not share their settings")
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/load")
	b.ReportMetric(float64(cpu()-spent)/1e6/float64(b.N), "cpu-ms/load")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1e6/float64(b.N), "MB/load")
}

// cpu is the time that this process has computed, in nanoseconds: what counts
// on a machine that has other work, too.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
