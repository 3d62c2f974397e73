package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

// An image is read as container runtimes read it.
func TestImageNames(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for name, want := range map[string]string{
		"nvcr.io/nvidia/pytorch:24.01-py3":              "nvcr.io nvidia/pytorch 24.01-py3 nvcr.io:443",
		"pytorch/pytorch":                               "docker.io pytorch/pytorch latest registry-1.docker.io:443",
		"ubuntu:24.04":                                  "docker.io library/ubuntu 24.04 registry-1.docker.io:443",
		"index.docker.io/library/ubuntu":                "docker.io library/ubuntu latest registry-1.docker.io:443",
		"Registry.corp.example:5000/ai/train_x__y--z:1": "registry.corp.example:5000 ai/train_x__y--z 1 registry.corp.example:5000",
		"localhost/a":                                   "localhost a latest localhost:443",
		"[fd00::1]:5000/a":                              "[fd00::1]:5000 a latest fd00::1:5000",
		"quay.io/a/b:1@" + digest:                       "quay.io a/b " + digest + " quay.io:443",
	} {
		inv := load(t, inventory.Options{}, "i.hcl", fmt.Sprintf("images = %q\nhost \"h\" {}\n", name))
		i := inv.Hosts[0].Images[0]
		host, port := i.Server()
		if got := fmt.Sprintf("%s %s %s %s:%d", i.Registry, i.Repository, i.Reference, host, port); got != want || i.Name != name || i.Why != "i.hcl:1" {
			t.Errorf("%s: %s (%s), want %s", name, got, i.Why, want)
		}
	}
}

// Lists replace, an empty one too; a proxy runs no containers. Their registries
// are among what the hosts need outside, with where these send on to, but for
// those that the site has itself.
func TestImagesOfHosts(t *testing.T) {
	inv := load(t, inventory.Options{}, "i.hcl", `
requirements = "none"
requirements "none" {}
images = ["nvcr.io/nvidia/pytorch:24.01-py3", "pytorch/pytorch"]
egress { skip = ["authn.nvidia.com", "layers.nvcr.io"] }
role "cpu" { images = ["ubuntu:${"24.04"}"] }
group "on-site" {
  images = ["registry.corp.example:5000/ai/train:1", "quay.io/a/b", "ubuntu"]
  registry "registry.corp.example:5000" { mirror_of = ["hub.docker.com"] }
}
group "none" { images = [] }
group "skips" {
  egress { skip = ["nvcr.io"] }
}
host "top" {}
host "cpu" { role = "cpu" }
host "both" {
  role   = "cpu"
  groups = ["on-site"]
}
host "none" { groups = ["none"] }
host "own" { images = ["gcr.io/p/${name}"] }
host "skips" { groups = ["skips"] }
host "proxy" {
  role = "proxy"
  squid { clients = ["10.0.0.0/8"] }
}
`)
	images, endpoints := map[string]string{}, map[string]string{}
	for _, h := range inv.Hosts {
		var names, hosts []string
		for _, i := range h.Images {
			names = append(names, i.Name)
		}
		for _, e := range h.Egress {
			if !e.Listed {
				hosts = append(hosts, e.Host)
			}
		}
		images[h.Name], endpoints[h.Name] = strings.Join(names, " "), strings.Join(hosts, " ")
	}
	if diff := cmp.Diff(map[string]string{
		"top": "nvcr.io/nvidia/pytorch:24.01-py3 pytorch/pytorch", "skips": "nvcr.io/nvidia/pytorch:24.01-py3 pytorch/pytorch",
		"cpu": "ubuntu:24.04", "both": "registry.corp.example:5000/ai/train:1 quay.io/a/b ubuntu", "none": "", "own": "gcr.io/p/own", "proxy": "",
	}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	hub, quay := "registry-1.docker.io auth.docker.io production.cloudflare.docker.com", "quay.io cdn.quay.io cdn01.quay.io cdn02.quay.io cdn03.quay.io"
	if diff := cmp.Diff(map[string]string{
		"top": "nvcr.io " + hub, "skips": hub, "cpu": hub, "both": quay, "none": "", "own": "gcr.io storage.googleapis.com", "proxy": "",
	}, endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	var allowed []string
	for _, e := range host(t, inv, "proxy").Squid.Allow {
		allowed = append(allowed, e.Host)
	}
	if list := strings.Join(allowed, " "); !strings.Contains(list, "nvcr.io") || !strings.Contains(list, "gcr.io") || !strings.Contains(list, "quay.io") {
		t.Errorf("the proxy lets through %s", list)
	}
	for _, e := range host(t, inv, "top").Egress {
		if e.Host == "nvcr.io" && (e.Why != "i.hcl:4" || e.Title != "the registry of nvcr.io/nvidia/pytorch:24.01-py3") {
			t.Errorf("%+v", e)
		}
	}
}
