package lab

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A patient is a practice host before it is started: what is wrong with it,
// and the comment of the inventory that says so.
type patient struct {
	name, illness string
	role          string
	groups        []string
	spec          spec
	infect        func(*Machine)
	unplugged     bool // nobody listens at its port
	impostor      bool // known_hosts has another key for it

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
	noProxy   = "10.77.0.0/16,.example.com"
	password  = "practice"
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
			nasName: "10.77.0.5", "proxy.example.com": "10.77.0.3", "old-proxy.example.com": "10.77.0.2",
			"deb.debian.org": "10.77.0.4", "security.debian.org": "10.77.0.4", "archive.ubuntu.com": "10.77.0.4", "security.ubuntu.com": "10.77.0.4",
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

func withRuntime(m *Machine) { m.install("containerd") }

// fromImage is a host that somebody has put a driver on, and nothing else.
func fromImage(m *Machine) {
	withRuntime(m)
	m.withDriver("535.261.03")
}

// withDriver installs a driver as its packages do, held, for the kernels that
// there are.
func (m *Machine) withDriver(version string) {
	kernels := m.kernels()
	var names []string
	switch m.spec.distro.name {
	case "debian-12":
		revision := map[string]string{"535.183.01": "-1~deb12u1", "535.261.03": "-1", "535.309.01": "-0+deb12u1"}[version]
		for _, k := range kernels {
			names = append(names, "linux-headers-"+k)
		}
		m.install(append(names, "linux-headers-amd64", "dkms")...)
		names = []string{"nvidia-kernel-dkms", "nvidia-smi", "libcuda1", "nvidia-kernel-support", "nvidia-alternative", "libnvidia-ml1", "libnvidia-cfg1"}
		for i, name := range names {
			names[i] = name + "=" + version + revision
		}
		m.install(append(names, "nvidia-persistenced")...)
		m.hold("nvidia-kernel-dkms", "nvidia-smi", "libcuda1")
	case "ubuntu-22.04":
		b := branch(version)
		names = []string{"nvidia-headless-no-dkms-" + b + "-server", "nvidia-utils-" + b + "-server", "nvidia-compute-utils-" + b + "-server", "nvidia-kernel-common-" + b + "-server"}
		for i, name := range names {
			names[i] = name + "=" + version + "-0ubuntu0.22.04.1"
		}
		for _, k := range kernels {
			names = append(names, "linux-modules-nvidia-"+b+"-server-"+k)
		}
		m.install(names...)
	}
}

func (m *Machine) hold(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		m.held[name] = true
	}
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
		{name: "gpu-04", role: "gpu", groups: []string{"rack-a"}, spec: machineSpec(ubuntu, 4),
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
		{name: "cpu-01", role: "cpu", spec: machineSpec(ubuntu, 10),
			illness: "too little memory", infect: noMount},
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
		}
	}
	return list
}

// readyByHand is a host on which somebody did by hand what the inventory
// wishes.
func readyByHand(m *Machine) {
	withRuntime(m)
	if len(m.spec.gpus) > 0 {
		m.withDriver("535.261.03")
	}
	m.install("nfs-common")
	fstab, _ := m.ReadFile("/etc/fstab")
	m.put("/etc/fstab", fstab+nasName+":"+nasExport+" "+mountPath+" nfs rw,hard,noatime,vers=4.2,_netdev,nofail 0 0\n")
	var environment, dropIn strings.Builder
	dropIn.WriteString("[Service]\n")
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		value := proxyURL
		if name == "no_proxy" {
			value = noProxy + ",localhost,127.0.0.1,::1,.svc,.cluster.local"
		}
		for _, name := range []string{strings.ToUpper(name), name} {
			fmt.Fprintf(&environment, "%s=%s\n", name, value)
			fmt.Fprintf(&dropIn, "Environment=\"%s=%s\"\n", name, value)
		}
	}
	m.put("/etc/environment", environment.String())
	m.put("/etc/systemd/system/containerd.service.d/http-proxy.conf", dropIn.String())
	m.put("/etc/apt/apt.conf.d/80proxy", fmt.Sprintf("Acquire::http::Proxy %q;\nAcquire::https::Proxy %[1]q;\n", proxyURL))
}

func noMount(m *Machine) {
	fstab, _ := m.ReadFile("/etc/fstab")
	readyByHand(m)
	m.put("/etc/fstab", fstab)
	m.uninstall("nfs-common")
}

func wrongProxy(m *Machine) {
	readyByHand(m)
	m.put("/etc/environment", "# by hand, for the trial in May\nhttp_proxy="+oldProxy+"\nhttps_proxy="+oldProxy+"\n")
	m.put("/etc/systemd/system/containerd.service.d/http-proxy.conf",
		"[Service]\nEnvironment=\"HTTP_PROXY="+oldProxy+"\" \"HTTPS_PROXY="+oldProxy+"\"\nEnvironment=NO_PROXY=localhost\n")
	m.put("/etc/apt/apt.conf.d/80proxy", fmt.Sprintf("Acquire::http::Proxy %q;\n", oldProxy))
}

func oldDriver(m *Machine) {
	readyByHand(m)
	m.withDriver("470.256.02")
}

func staleMount(m *Machine) {
	fstab, _ := m.ReadFile("/etc/fstab")
	readyByHand(m)
	m.put("/etc/fstab", fstab+"# data for training, ticket 4711\n"+oldNAS+":/data "+mountPath+" nfs defaults,_netdev 0 0\n")
}
