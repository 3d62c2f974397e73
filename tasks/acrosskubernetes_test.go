package tasks

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

// fleetOf makes hosts that differ in nothing but their names and ids.
func fleetOf(n int) []HostFacts {
	settings := &inventory.Settings{Kubernetes: &inventory.Kubernetes{Why: "i.hcl:1", TimeSkew: inventory.Wish[time.Duration]{Value: time.Second}}}
	now := time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC)
	hosts := make([]HostFacts, 0, n)
	for i := range n {
		hosts = append(hosts, HostFacts{
			Host: inventory.Host{Name: fmt.Sprintf("gpu-%05d", i), Settings: settings},
			Facts: map[string]Facts{
				"kubernetes": &kubernetesFacts{
					asked: true, Hostname: fmt.Sprintf("gpu-%05d", i), MachineID: fmt.Sprintf("%032x", i+1), ProductUUID: fmt.Sprintf("uuid-%d", i),
					MTU: 1500, Clock: &clockFacts{Host: now, Controller: now}, Programs: []nodeProgram{{Name: "kubelet", Version: "1.28.9"}},
				},
				"driver": &driverFacts{Loaded: loadedDriver{Version: "550.54.15"}},
			},
		})
	}
	return hosts
}

func ofKubernetes(h HostFacts) *kubernetesFacts { return h.Facts["kubernetes"].(*kubernetesFacts) }

func TestAcrossFleet(t *testing.T) {
	show := func(found []FleetFinding) []string {
		var lines []string
		for _, f := range found {
			lines = append(lines, fmt.Sprintf("%s %s/%s: %s %v %s", f.State, f.Task, f.Subject, f.Have, f.Hosts, f.Warning))
		}
		return lines
	}
	for _, c := range []struct {
		name   string
		change func([]HostFacts)
		want   string // the findings that are not as in a fleet without fault
	}{
		{"cloned", func(h []HostFacts) { ofKubernetes(h[2]).MachineID = ofKubernetes(h[0]).MachineID },
			"unmet kubernetes/machine-id 00000000000000000000000000000001: 2 hosts have 00000000000000000000000000000001 [gpu-00000 gpu-00002] "},
		{"one firmware", func(h []HostFacts) { ofKubernetes(h[2]).ProductUUID = "uuid-1" },
			"unmet kubernetes/product_uuid uuid-1: 2 hosts have uuid-1 [gpu-00001 gpu-00002] "},
		{"one name, in capitals", func(h []HostFacts) { ofKubernetes(h[1]).Hostname = "GPU-00000" },
			"unmet kubernetes/hostname gpu-00000: 2 hosts have gpu-00000 [gpu-00000 gpu-00001] "},
		{"jumbo", func(h []HostFacts) { ofKubernetes(h[1]).MTU = 9000 },
			"unmet kubernetes/mtu: 1500 on 2, 9000 on 1 [gpu-00001] "},
		{"clocks", func(h []HostFacts) {
			c := ofKubernetes(h[1]).Clock
			c.Host = c.Host.Add(800 * time.Millisecond)
			c = ofKubernetes(h[2]).Clock
			c.Host = c.Host.Add(-700 * time.Millisecond)
		}, "unmet kubernetes/clocks: 1.5s apart: gpu-00002 behind gpu-00001 [gpu-00002 gpu-00001] "},
		{"clocks, and a slow answer", func(h []HostFacts) {
			c := ofKubernetes(h[1]).Clock
			c.Host = c.Host.Add(800 * time.Millisecond)
			c = ofKubernetes(h[2]).Clock
			c.Host, c.Delay = c.Host.Add(-3700*time.Millisecond), 3*time.Second
		}, "unmet kubernetes/clocks: 1.5s apart: gpu-00002 behind gpu-00001 [gpu-00002 gpu-00001] "},
		{"upgrade", func(h []HostFacts) { ofKubernetes(h[1]).Programs[0].Version = "1.29.3" },
			"ok kubernetes/kubelet versions: 1.28 on 2, 1.29 on 1 [] kubelets are of several minor versions"},
		{"drivers", func(h []HostFacts) { h[0].Facts["driver"].(*driverFacts).Loaded.Version = "535.161.08" },
			"ok driver/driver versions: 535.161.08 on 1, 550.54.15 on 2 [] hosts run several versions of the NVIDIA driver"},
	} {
		fine := show(AcrossFleet(fleetOf(3)))
		hosts := fleetOf(3)
		c.change(hosts)
		var got []string
		for _, line := range show(AcrossFleet(hosts)) {
			if !slices.Contains(fine, line) {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff([]string{c.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	for _, f := range AcrossFleet(fleetOf(3)) {
		if f.State != OK || f.Warning != "" || f.Why == "" || f.Want == "" || f.Have == "" {
			t.Errorf("a fleet without fault: %+v", f)
		}
	}
	// Hosts of one machine's containers share its UUID, and that is no fault.
	hosts := fleetOf(2)
	for _, h := range hosts {
		ofKubernetes(h).Container, ofKubernetes(h).ProductUUID = "/run/systemd/container", "uuid-0"
	}
	for _, f := range AcrossFleet(hosts) {
		if f.State != OK {
			t.Errorf("containers: %+v", f)
		}
	}
	// The API server of each cluster, once.
	hosts = fleetOf(3)
	for i, h := range hosts {
		k := *h.Host.Kubernetes
		k.Context, k.Version = []string{"new", "old", "old"}[i], inventory.Wish[string]{Value: ">= 1.28", Why: "site"}
		settings := *h.Host.Settings
		settings.Kubernetes = &k
		hosts[i].Host.Settings = &settings
		ofKubernetes(h).Cluster = &clusterFacts{Version: []string{"1.29.4", "1.27.3", "1.27.3"}[i]}
	}
	var servers []string
	for _, line := range show(AcrossFleet(hosts)) {
		if strings.Contains(line, "api server") {
			servers = append(servers, line)
		}
	}
	if diff := cmp.Diff([]string{"ok kubernetes/api server of new: 1.29.4 [] ", "unmet kubernetes/api server of old: 1.27.3 [] "}, servers); diff != "" {
		t.Errorf("API servers (-want +got):\n%s", diff)
	}
	start := time.Now()
	AcrossFleet(fleetOf(10_000))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("10,000 hosts took %v", took)
	}
}
