package tasks

import (
	"encoding/xml"
	"strconv"
	"strings"
)

// firewalldServices are those of firewalld's own that let Kubernetes' ports in.
var firewalldServices = map[string][]string{
	"kubelet": {"10250/tcp"}, "kubelet-worker": {"10250/tcp", "30000-32767/tcp"}, "kube-worker": {"10250/tcp", "30000-32767/tcp"},
	"kube-api": {"6443/tcp"}, "kube-apiserver": {"6443/tcp"}, "etcd-client": {"2379/tcp"}, "etcd-server": {"2380/tcp"},
	"kube-controller-manager": {"10257/tcp"}, "kube-controller-manager-secure": {"10257/tcp"},
	"kube-scheduler": {"10259/tcp"}, "kube-scheduler-secure": {"10259/tcp"},
	"kube-control-plane":        {"2379-2380/tcp", "6443/tcp", "10250-10252/tcp"},
	"kube-control-plane-secure": {"2379-2380/tcp", "6443/tcp", "10257/tcp", "10259/tcp"},
}

// firewall reads the zone of the interface of the default route: the one that
// has it, else the default.
func (r *kubernetesReader) firewall() {
	fw := r.f.Firewall
	zones := map[string]zoneFile{}
	for name, has := range r.f.files {
		if zone, ok := strings.CutSuffix(name[strings.LastIndexByte(name, '/')+1:], ".xml"); ok && strings.Contains(name, "/firewalld/zones/") {
			var z zoneFile
			if xml.Unmarshal([]byte(has.content), &z) == nil {
				zones[zone] = z
			}
		}
	}
	for name, z := range zones {
		for _, i := range z.Interfaces {
			if i.Name == r.f.Interface && i.Name != "" {
				fw.Zone = name
			}
		}
	}
	z := zones[fw.Zone]
	fw.Open = z.Target == "ACCEPT" || fw.Zone == "trusted"
	for _, p := range z.Ports {
		fw.Ports = append(fw.Ports, p.Port+"/"+p.Protocol)
	}
	for _, s := range z.Services {
		fw.Ports = append(fw.Ports, firewalldServices[s.Name]...)
	}
}

type zoneFile struct {
	Target     string `xml:"target,attr"`
	Interfaces []struct {
		Name string `xml:"name,attr"`
	} `xml:"interface"`
	Ports []struct {
		Port     string `xml:"port,attr"`
		Protocol string `xml:"protocol,attr"`
	} `xml:"port"`
	Services []struct {
		Name string `xml:"name,attr"`
	} `xml:"service"`
}

// lets reports whether the zone lets a TCP port in.
func (fw *firewallFacts) lets(port int) bool {
	for _, p := range fw.Ports {
		bounds, ok := strings.CutSuffix(p, "/tcp")
		low, high, isRange := strings.Cut(bounds, "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if ok && err1 == nil && err2 == nil && a <= port && port <= b {
			return true
		}
	}
	return false
}
