package recording

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
)

// BenchmarkNames masks what one host prints among 30 hosts and among 3,000, and
// says how many times as long the latter takes: each has a name, a domain in
// common and a name of its own that it tells.
func BenchmarkNames(b *testing.B) {
	fewer, more := masksOf(30), masksOf(3000)
	var took [2]time.Duration
	for b.Loop() {
		for i, m := range []*masks{fewer, more} {
			begun := time.Now()
			m.learnName("new-" + fmt.Sprint(b.N, m.changes()) + ".example.net")
			for line := range strings.Lines(printed) {
				m.names(line)
			}
			took[i] += time.Since(begun)
		}
	}
	b.ReportMetric(float64(took[1])/float64(took[0]), "×30-hosts")
	b.ReportMetric(float64(took[1].Microseconds())/float64(b.N), "µs/look")
}

// printed is of the size of what a host with a GPU prints.
var printed = strings.Repeat(`@file /etc/os-release
|PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
|HOME_URL="https://www.debian.org/"
@hostname gpu-0017
|gpu-0017.rack-7.site.example.net:/export /mnt/data nfs4 rw,relatime,vers=4.2,addr=10.0.0.17 0 0
|ii 	libnvidia-ptxjitcompiler1	535.309.01-0+deb12u1	amd64
|filename:       /lib/modules/6.1.0-56-cloud-amd64/updates/dkms/nvidia-current.ko
`, 60)

func masksOf(hosts int) *masks {
	var all []inventory.Host
	for i := range hosts {
		all = append(all, hostOf(fmt.Sprintf("gpu-%04d", i)))
	}
	m := newMasks([]string{Names}, all)
	for i := range hosts {
		m.learnName(fmt.Sprintf("gpu-%04d.rack-%d.site.example.net", i, i/20))
		m.learnName(fmt.Sprintf("bmc-%x", i*7919))
	}
	return m
}
