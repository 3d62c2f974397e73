package lab

import (
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// A patient is a practice host before it is started: what is wrong with it,
// and the comment of the inventory that says so.
type patient struct {
	name, illness string
	role          string
	groups        []string
	images        []string // that are to run on it
	spec          spec
	infect        func(*Machine) // before it is booted
	later         func(*Machine) // what has happened since
	unplugged     bool           // nobody listens at its port
	impostor      bool           // known_hosts has another key for it

	port int           // known when it is started
	key  ssh.PublicKey // its host key
}

// What the clinic's inventory wishes and its world has.
const (
	nasName   = "nas.example.com"
	nasExport = "/export/data"
	oldNAS    = "10.77.0.9"
	proxyURL  = "http://proxy.example.com:3128"
	oldProxy  = "http://old-proxy.example.com:8080"
	mountPath = "/mnt/data"
	// practiceRegistry is on the premises, and asks nobody who they are.
	practiceRegistry = "registry.example.com"
	noProxy          = "10.77.0.0/16,.example.com"
	// Not a word: recordings mask it wherever a host prints it.
	password = "0pen-s3same"

	authorityFile = "corp-ca.pem" // beside the inventory
)

// newWorld is what is around the machines, and the systems they can run.
func newWorld() (*world, map[string]distro, error) {
	w := &world{
		images: map[string]*image{},
		servers: map[string]map[string]bool{
			"10.77.0.5": {nasExport: true, "/export/scratch": true},
			oldNAS:      {"/data": true},
		},
		hosts: map[string]string{
			nasName: "10.77.0.5", practiceRegistry: "10.77.0.6", "proxy.example.com": "10.77.0.3", "old-proxy.example.com": "10.77.0.2",
			"deb.debian.org": "10.77.0.4", "security.debian.org": "10.77.0.4", "archive.ubuntu.com": "10.77.0.4", "security.ubuntu.com": "10.77.0.4",
			"dl.rockylinux.org": "10.77.0.4", "dl.fedoraproject.org": "10.77.0.4", "developer.download.nvidia.com": "10.77.0.4",
			"updates.suse.com": "10.77.0.4", "download.nvidia.com": "10.77.0.4",
		},
		proxies: map[string]bool{"proxy.example.com:3128": true},
	}
	var err error
	if w.outside, err = newOutside(); err != nil {
		return nil, nil, err
	}
	all := map[string]distro{}
	for _, d := range distros() {
		im, err := loadImage(&d)
		if err != nil {
			return nil, nil, err
		}
		w.images[d.name], all[d.name] = im, d
	}
	return w, all, nil
}

func machineSpec(d distro, n int) spec {
	return spec{distro: d, cpus: 16, memory: 67_108_864_000, disk: 500 << 30, user: "ops", address: fmt.Sprintf("10.77.1.%d", n%250+1),
		gpus: h100s(2), secureBoot: "off"}
}

// alike are n hosts of which none has anything of its own.
func alike(all map[string]distro, n int, fresh bool) []patient {
	width := max(2, len(fmt.Sprint(n)))
	illness, infect := "healthy", readyByHand
	if fresh {
		illness, infect = "freshly installed", withRuntime
	}
	var list []patient
	for i := range n {
		d := all["debian-12"]
		if i%2 == 1 {
			d = all["ubuntu-22.04"]
		}
		list = append(list, patient{name: fmt.Sprintf("gpu-%0*d", width, i+1), illness: illness, role: "gpu", spec: machineSpec(d, i), infect: infect})
	}
	return list
}

// clinic is the fleet to practise on: each host has an illness of its own.
func clinic(all map[string]distro) []patient {
	debian, ubuntu := all["debian-12"], all["ubuntu-22.04"]
	list := []patient{
		{name: "gpu-01", role: "gpu", groups: []string{"rack-a"}, spec: machineSpec(debian, 1),
			illness: "healthy", infect: readyByHand},
		{name: "gpu-02", role: "gpu", groups: []string{"rack-a"}, spec: machineSpec(ubuntu, 2),
			illness: "no NFS mount, and no NFS client", infect: noMount},
		{name: "gpu-03", role: "gpu", groups: []string{"rack-a"}, spec: machineSpec(debian, 3),
			illness: "wrong proxy in /etc/environment and in containerd's drop-in", infect: wrongProxy},
		{name: "gpu-04", role: "gpu", groups: []string{"rack-a"}, images: []string{practiceImage}, spec: machineSpec(ubuntu, 4),
			illness: "NVIDIA driver 470, of a branch that is given up", infect: oldDriver},
		{name: "gpu-05", role: "gpu", groups: []string{"rack-b"}, spec: machineSpec(debian, 5),
			illness: "mounts the old NAS, and fstab still names it", infect: staleMount},
		{name: "gpu-06", role: "gpu", groups: []string{"rack-b", "locked"}, spec: machineSpec(ubuntu, 6),
			illness: "freshly installed, and sudo asks for a password", infect: withRuntime},
		{name: "gpu-07", role: "gpu", groups: []string{"rack-b"}, spec: machineSpec(debian, 7),
			illness: "installed from an image, and slow: every answer is 80 ms late", infect: fromImage},
		{name: "gpu-08", role: "gpu", groups: []string{"rack-b"}, spec: machineSpec(debian, 8),
			illness: "unreachable: nobody listens at its port", unplugged: true},
		{name: "gpu-09", role: "gpu", groups: []string{"rack-b"}, spec: machineSpec(debian, 9),
			illness: "another host key than known_hosts has", impostor: true},
		{name: "gpu-10", role: "gpu", groups: []string{"rack-c"}, spec: machineSpec(debian, 10),
			illness: "driver/library mismatch: an unattended upgrade has replaced the driver under the one that is loaded", infect: readyByHand, later: unattendedUpgrade},
		{name: "gpu-11", role: "gpu", groups: []string{"rack-c"}, spec: machineSpec(ubuntu, 11),
			illness: "a driver that is too old, and a training in a container that uses the GPUs", infect: busyTraining},
		{name: "gpu-12", role: "gpu", groups: []string{"rack-c", "el"}, spec: machineSpec(all["rocky-9"], 12),
			illness: "Rocky Linux without a driver, where nouveau has the GPUs", infect: withoutDriver},
		{name: "gpu-13", role: "gpu", groups: []string{"rack-c", "suse"}, spec: machineSpec(all["sles-15"], 13),
			illness: "SUSE Linux with a driver of another branch", infect: otherBranch},
		{name: "gpu-14", role: "gpu", groups: []string{"rack-c"}, spec: machineSpec(debian, 14),
			illness: "the kernel of the next boot has no driver: its headers are not installed", infect: readyByHand, later: newKernel},
		{name: "cpu-01", role: "cpu", spec: machineSpec(ubuntu, 10),
			illness: "too little memory", infect: noMount},
		{name: "cpu-02", role: "cpu", spec: machineSpec(ubuntu, 15),
			illness: "the proxy does not let it through to quay.io", infect: readyByHand},
	}
	for i := range list {
		s := &list[i].spec
		switch list[i].name {
		case "gpu-06":
			s.sudo, s.secret = sudoPassword, password
		case "gpu-07":
			s.latency = 80 * time.Millisecond
		case "cpu-01":
			s.memory = 2_050_000 * 1024
			s.gpus = nil
			s.cpus = 8
		case "cpu-02":
			s.gpus = nil
			s.denied = []string{"quay.io"}
		}
	}
	return list
}
