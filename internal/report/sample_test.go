package report

import (
	"fmt"
	"strings"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// The samples are results as a fleet of sixteen gives them.

func sample(command string, hosts ...Host) Result {
	r := Result{
		Command: command, Version: "0.1.0", RunID: "20260301T060000Z-a1b2c3", Started: "2026-03-01T06:00:00Z",
		ElapsedSeconds: 3.217, Inventory: "inventory.hcl", Requirements: "runai-2020", Hosts: hosts,
	}
	r.Finish()
	return r
}

func host(name, role string, n int, found ...Finding) Host {
	return Host{Name: name, Address: fmt.Sprintf("10.0.1.%d:22", n), Role: role, ElapsedSeconds: 0.4, Findings: found}
}

func cpus() Finding {
	return From("resources", tasks.Finding{
		Subject: "cpus", State: tasks.OK, Have: "64", Want: "at least 4", Why: "inventory.hcl:12"})
}

func memory(size string, state tasks.State) Finding {
	f := tasks.Finding{Subject: "memory", State: state, Have: size, Want: "at least 4 GiB",
		Why: "runai-2020: dedicated CPU-only worker"}
	if state == tasks.Unmet {
		f.Hint = "add memory to the machine, or give it another role"
	}
	return From("resources", f)
}

func fstab(uuid, entry string) string {
	return fmt.Sprintf("# <file system> <mount point> <type> <options> <dump> <pass>\nUUID=%s\t/\text4\terrors=remount-ro\t0 1\n"+
		"tmpfs /tmp tmpfs defaults 0 0\n%s", uuid, entry)
}

const nasEntry = "nas.example.com:/export/data /mnt/data nfs4 _netdev,nofail,hard,noatime,vers=4.1 0 0\n"

func mountPending(uuid, have, oldEntry string) Finding {
	old := fstab(uuid, oldEntry)
	return From("nfs", tasks.Finding{
		Subject: "/mnt/data", State: tasks.Pending, Have: have, Want: "nas.example.com:/export/data", Why: "inventory.hcl:31",
		Steps: []remote.Step{
			{Title: "apt-get install nfs-common", Install: &remote.Packages{Manager: "apt", Names: []string{"nfs-common"}}},
			{Title: "write /etc/fstab", Write: &remote.File{Path: "/etc/fstab", Old: &old, Data: fstab(uuid, nasEntry)}},
			{Title: "mount /mnt/data", Run: &remote.Command{Script: "mount /mnt/data"}},
		},
	})
}

func mountOK() Finding {
	return From("nfs", tasks.Finding{
		Subject: "/mnt/data", State: tasks.OK, Have: "nas.example.com:/export/data, vers=4.1", Want: "nas.example.com:/export/data",
		Why: "inventory.hcl:31"})
}

func proxyPending() Finding {
	old := "[Service]\nEnvironment=\"HTTPS_PROXY=http://bob:hunter2@old-proxy:3128\"\n"
	return From("proxy", tasks.Finding{
		Subject: "containerd", State: tasks.Pending, Have: "http://bob:hunter2@old-proxy:3128", Want: "http://proxy.example.com:3128",
		Why: "inventory.hcl:22",
		Steps: []remote.Step{
			{Title: "write /etc/systemd/system/containerd.service.d/runai-prep.conf", Write: &remote.File{
				Path: "/etc/systemd/system/containerd.service.d/runai-prep.conf", Mode: 0o600, Secret: secret.New("password=hunter2")}},
			{Title: "remove /etc/systemd/system/containerd.service.d/http-proxy.conf", Remove: &remote.Removal{
				Path: "/etc/systemd/system/containerd.service.d/http-proxy.conf", Old: &old}},
			{Title: "systemctl restart containerd", Run: &remote.Command{Script: "systemctl restart containerd"},
				Disrupts: "containerd restarts; running containers go on, image pulls under way start again"},
		},
	})
}

func endpoints(state tasks.State, have string) []Finding {
	var found []Finding
	for _, e := range []string{"gcr.io:443", "quay.io:443", "app.run.ai:443"} {
		f := tasks.Finding{Subject: e, State: state, Have: have, Want: "reachable", Why: "runai-2020: outbound access"}
		if state == tasks.Unmet {
			f.Hint = "allow it on the proxy: runai-prep allowlist inventory.hcl --format squid"
		}
		found = append(found, From("egress", f))
	}
	return found
}

func plan() Result {
	var hosts []Host
	for i := 1; i <= 14; i++ {
		found := []Finding{cpus(), memory(fmt.Sprintf("251.%d GiB", 5+i%2), tasks.OK)}
		switch {
		case i <= 3: // each host has disks of its own in fstab
			found = append(found, proxyPending(), mountPending(fmt.Sprintf("7f3a-%04d", i), "not mounted", ""))
		case i == 4:
			found = append(found, mountPending("7f3a-0004", "old-nas:/export/data", "old-nas:/export/data /mnt/data nfs defaults 0 0\n"))
		default:
			found = append(found, mountOK())
		}
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, found...))
	}
	hosts[8].Findings[2] = From("nfs", tasks.Finding{
		Subject: "/mnt/data", State: tasks.Unknown, Have: "no answer within 10s", Want: "nas.example.com:/export/data", Why: "inventory.hcl:31",
		Hint: "a mount of this host hangs; look with: findmnt -t nfs,nfs4"})
	hosts[9].RebootPending = true
	for _, i := range []int{5, 6} {
		h := &hosts[i]
		h.Findings, h.Status = nil, Unreachable
		h.Error = "connect: dial tcp " + h.Address + ": i/o timeout"
		h.Hint = "is the machine on? ssh ubuntu@" + strings.TrimSuffix(h.Address, ":22")
	}
	hosts[7].Findings, hosts[7].Status = nil, Unreachable
	hosts[7].Error = "host key: the key of gpu-08 has changed\n" +
		"known_hosts line 12: SHA256:2h3mY0dXn8vJ1m3qk9yW1o4t5u6v7w8x9y0zABCDEFG\n" +
		"it now shows:        SHA256:9z8y7x6w5v4u3t2s1r0qPONMLKJIHGFEDCBA0987654"
	hosts[7].Hint = "if the machine was installed anew: runai-prep trust inventory.hcl --limit gpu-08"
	hosts = append(hosts,
		host("cpu-01", "cpu", 21, append([]Finding{cpus(), memory("1.9 GiB", tasks.Unmet)}, endpoints(tasks.Unmet, "proxy answers 403")...)...),
		host("cpu-02", "cpu", 22, append([]Finding{cpus(), memory("2.9 GiB", tasks.Unmet)}, endpoints(tasks.Unmet, "proxy answers 403")...)...))
	return sample("plan", hosts...)
}

func settled(command string) Result {
	var hosts []Host
	for i := 1; i <= 16; i++ {
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, append(endpoints(tasks.OK, "TLS 1.3, issuer Google Trust Services"), cpus(), mountOK())...))
	}
	return sample(command, hosts...)
}

func fixed(f Finding) Finding {
	f.State, f.Have, f.Hint = string(tasks.Fixed), f.Want, ""
	return f
}

func apply() Result {
	var hosts []Host
	for i := 1; i <= 6; i++ {
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, cpus(),
			fixed(proxyPending()), fixed(mountPending(fmt.Sprint(i), "not mounted", ""))))
	}
	failed := mountPending("4", "not mounted", "")
	failed.State = string(tasks.Failed)
	failed.Error = "mount /mnt/data: exit status 32: mount.nfs: access denied by server while mounting nas.example.com:/export/data\nmount.nfs: Operation not permitted"
	failed.Hint = "the server's exports must name this host: showmount -e nas.example.com"
	hosts[3].Findings[2] = failed
	reboot := From("driver", tasks.Finding{
		Subject: "nvidia driver", State: tasks.Pending, Have: "535.261.03 installed, 470.256.02 loaded", Want: ">= 535.104, < 536", Why: "inventory.hcl:44",
		Hint:  "not rebooted, as --reboot never says; apply with --reboot allow",
		Steps: []remote.Step{{Title: "reboot", Reboot: &remote.Reboot{}, Disrupts: "the machine restarts"}}})
	hosts[4].Findings = append(hosts[4].Findings, reboot)
	hosts[4].RebootPending = true
	hosts[5].Findings = []Finding{cpus(), mountPending("6", "not mounted", "")}
	hosts[5].Error = "not started: 1 of the hosts before it failed (--max-failures)"
	for i := 7; i <= 12; i++ {
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, cpus(), mountOK()))
	}
	return sample("apply", hosts...)
}

// drivers are what apply leaves of hosts that are to have another driver: one is
// done, one computes, one may not be rebooted, one was taken back, and at one
// somebody else is at work.
func drivers(command string) Result {
	const why = "inventory.hcl:44"
	planned := func() []Finding {
		return []Finding{
			From("driver", tasks.Finding{Subject: "gpus", State: tasks.OK, Have: "8 × H100 SXM5 80GB", Want: "a GPU", Why: why}),
			From("driver", tasks.Finding{
				Subject: "nvidia driver", State: tasks.Pending, Have: "470.256.02", Want: ">= 535.104, < 536 (535.261.03 from bookworm/non-free)", Why: why,
				Steps: []remote.Step{
					{Title: "download nvidia-kernel-dkms=535.261.03-1 and 11 more", Install: &remote.Packages{DownloadOnly: true}},
					{Title: "no GPU processes", Run: &remote.Command{Guard: true}},
					{Title: "stop nvidia-persistenced and unload nvidia", Run: &remote.Command{}, Disrupts: "no GPU can be used until the new driver is loaded"},
					{Title: "install nvidia-kernel-dkms=535.261.03-1 and 11 more", Install: &remote.Packages{}},
				},
				Back:  []remote.Step{{Title: "install nvidia-kernel-dkms=470.256.02-2 and 11 more", Install: &remote.Packages{Downgrade: true}}},
				After: []remote.Step{{Title: "kubectl uncordon gpu-01", Kubectl: &remote.Kubectl{}}},
			}),
			From("driver", tasks.Finding{Subject: "nvidia packages", State: tasks.Pending, Have: "470.256.02-2", Want: "535.261.03-1", Why: why, Hint: "comes with nvidia driver"}),
			From("driver", tasks.Finding{Subject: "nvidia module loaded", State: tasks.Pending, Have: "470.256.02", Want: "535.261.03", Why: why,
				Steps: []remote.Step{{Title: "reboot", Reboot: &remote.Reboot{}, Disrupts: "the machine restarts"}}}),
		}
	}
	var hosts []Host
	for i := 1; i <= 5; i++ {
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, planned()...))
	}
	hosts[4].Hint = "bob@ctl runs install nvidia-kernel-dkms since 2026-03-01 05:58:12 (run 20260301T055800Z-0a1b2c)"
	if command != "apply" {
		return sample(command, hosts...)
	}
	pend := func(h *Host, i int, hint string, done int) {
		h.Findings[i].Hint, h.Findings[i].Done = hint, done
	}
	fail := func(h *Host, i int, said string) {
		h.Findings[i].State, h.Findings[i].Error, h.Findings[i].Hint = string(tasks.Failed), said, ""
	}
	for i := 1; i <= 3; i++ {
		hosts[0].Findings[i] = fixed(hosts[0].Findings[i])
	}
	const busy = "GPU processes run: python3 (pid 4711, alice, pod train-7)\ntrainer (pid 4712, bob)"
	pend(&hosts[1], 1, busy, 1)
	for i := 2; i <= 3; i++ {
		pend(&hosts[1], i, "not started: GPU processes run: python3 (pid 4711, alice, pod train-7)", 0)
	}
	hosts[2].Findings[1], hosts[2].Findings[2] = fixed(hosts[2].Findings[1]), fixed(hosts[2].Findings[2])
	pend(&hosts[2], 3, "a reboot is needed and not allowed (inventory.hcl:12)", 0)
	hosts[2].RebootPending = true
	const back = "\nwent back; the host now has: 470.256.02"
	fail(&hosts[3], 1, "it was done, and taken back with what failed"+back)
	fail(&hosts[3], 2, "it was done, and taken back with what failed"+back+"-2")
	fail(&hosts[3], 3, "load nvidia: exit status 1: modprobe: ERROR: could not insert 'nvidia': No such device\n"+
		"NVRM: The NVIDIA GPU 0000:17:00.0 is not supported by the open driver"+back)
	hosts[4].Hint = "not started: the host is locked: " + hosts[4].Hint + "\nto wait for that: --lock-wait 30m"
	return sample("apply", hosts...)
}

func check() Result {
	last := settled("check")
	moved := mountPending("7", "old-nas:/export/data", "old-nas:/export/data /mnt/data nfs defaults 0 0\n")
	last.Hosts[0].Findings = append(last.Hosts[0].Findings[:4:4], mountPending("1", "not mounted", ""))
	last.Hosts[1].Findings = append(last.Hosts[1].Findings[:4:4], mountPending("2", "not mounted", ""))
	last.Hosts[2].Findings, last.Hosts[2].Error = nil, "connect: dial tcp 10.0.1.3:22: connection refused"
	last.Finish()
	now := settled("check")
	now.Hosts[1] = last.Hosts[1]
	now.Hosts[6].Findings = append(now.Hosts[6].Findings[:4:4], moved)
	now.Hosts[11].Findings, now.Hosts[11].Error = nil, "connect: dial tcp 10.0.1.12:22: connection refused"
	now.Finish()
	Compare(&last, &now)
	return now
}

// verdicts are what a check says of hosts that are ready or not for reasons of
// every kind: recommendations, what somebody ignores, what the fleet shows.
func verdicts() Result {
	kubelet := From("kubernetes", tasks.Finding{Subject: "kubelet", State: tasks.OK, Have: "1.15.12", Want: ">= 1.15",
		Why: "runai-2020: Kubernetes", Warning: "1.17 is recommended"})
	swap := From("kubernetes", tasks.Finding{Subject: "swap", State: tasks.Pending, Have: "on", Want: "off", Why: "inventory.hcl:9", Steps: []remote.Step{{Title: "swapoff -a"}}})
	ignored := swap
	ignored.Hint = "swapoff -a" // which nobody is told: it is decided that swap stays
	ignored.Steps, ignored.Plan, ignored.Ignored = []string{}, nil, "batch nodes swap, OPS-4711 (inventory.hcl:3)"
	strict := kubelet
	strict.Strict()
	var hosts []Host
	for i := 1; i <= 6; i++ {
		hosts = append(hosts, host(fmt.Sprintf("gpu-%02d", i), "gpu", i, cpus(), kubelet))
	}
	hosts[1].Findings = []Finding{cpus(), kubelet, ignored}
	hosts[2].Findings = []Finding{cpus(), swap}
	hosts[5].Findings = []Finding{cpus(), strict}
	r := sample("check", hosts...)
	across := func(subject string, f tasks.Finding, names ...string) FleetFinding {
		f.Subject = subject
		return FleetFinding{Hosts: names, Finding: From("kubernetes", f)}
	}
	twice := across("machine-id", tasks.Finding{State: tasks.Unmet, Have: "the same on all of them: 6c1f…", Want: "one of its own for each host",
		Hint: "rm /etc/machine-id && systemd-machine-id-setup, and reboot"}, "gpu-03", "gpu-04", "gpu-05")
	twice.IgnoredBy = []string{"gpu-05"}
	r.Fleet = []FleetFinding{
		twice,
		across("driver", tasks.Finding{State: tasks.OK, Have: "535.261.03 and 550.163.01", Warning: "one version is recommended"}, "gpu-01", "gpu-02"),
		across("clock", tasks.Finding{State: tasks.OK, Have: "within 0.2 s", Want: "within 1 s"}, "gpu-01", "gpu-02"),
	}
	r.Notes = []string{"6 of the 16 hosts of the inventory were compared with each other (--limit)"}
	r.Finish()
	return r
}

// many are what a plan says of a fleet of three hundred: recommendations that
// most of them fall short of, whatever else is wrong with them; sizes and clocks
// that no two share; and for every endpoint one thing that stands in its way.
func many() Result {
	cgroup := From("kubernetes", tasks.Finding{Subject: "cgroup", State: tasks.OK, Have: "v2, containerd: cgroupfs", Want: "one driver",
		Why: "runai-2020: Kubernetes", Warning: "kubeadm sets kubelet to systemd, and containerd is set to cgroupfs"})
	toolkit := From("kubernetes", tasks.Finding{Subject: "toolkit", State: tasks.OK, Have: "not installed", Want: "installed",
		Why: "runai-2020: Kubernetes", Warning: "containers see no GPU here, unless the GPU Operator brings the toolkit"})
	blocked := func(have, hint func(endpoint string) string) (found []Finding) {
		for _, e := range []struct{ endpoint, phase, row string }{
			{"runai-charts.storage.googleapis.com:443", "install", "Helm repository"},
			{"gcr.io:443", "install", "Run:ai images"},
			{"quay.io:443", "install", "Docker images repository"},
			{"prometheus-us-central1.grafana.net:443", "run", "Metrics"},
			{"app.run.ai:443", "run", "Cloud"},
		} {
			found = append(found, From("egress", tasks.Finding{Subject: e.endpoint, State: tasks.Unmet, Have: have(e.endpoint), Want: "reached to " + e.phase,
				Why: "runai-2020: " + e.row, Hint: hint(e.endpoint)}))
		}
		return found
	}
	byProxy := func() []Finding {
		return blocked(
			func(string) string { return "the proxy proxy.example.com:3128 did not let it through: 403 Forbidden" },
			func(e string) string { return "the proxy has to allow CONNECT to " + e })
	}
	noName := func() []Finding {
		return blocked(
			func(e string) string { return "no address for " + strings.TrimSuffix(e, ":443") + ": no such host" },
			func(e string) string {
				return "the host's name server has to know " + strings.TrimSuffix(e, ":443")
			})
	}
	var hosts []Host
	for i := 1; i <= 300; i++ {
		clock := From("kubernetes", tasks.Finding{Subject: "time", State: tasks.OK, Have: fmt.Sprintf("within %d ms; no NTP service runs", 10+i), Want: "within 1 s",
			Why: "runai-2020: Kubernetes", Warning: "no NTP service runs: the clock will drift"})
		found := []Finding{cpus(), cgroup, clock}
		if i <= 280 {
			found = append(found, toolkit)
		}
		switch {
		case i%7 == 3:
			found = append(found, memory(fmt.Sprintf("3.%d GiB", i%10+i/100*10), tasks.Unmet))
		case i > 100 && i <= 140:
			found = append(found, byProxy()...)
		case i > 140 && i <= 143: // one endpoint has a cause of its own
			found = append(found, noName()...)
			found[len(found)-2] = byProxy()[3]
		case i > 200 && i <= 212:
			found = append(found, mountPending(fmt.Sprintf("7f3a-%04d", i), "not mounted", ""))
		default:
			found = append(found, mountOK())
		}
		hosts = append(hosts, host(fmt.Sprintf("gpu-%03d", i), "gpu", i%250+1, found...))
	}
	return sample("plan", hosts...)
}
