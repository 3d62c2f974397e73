package tasks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/remote"
)

// A certificate that is missing goes into the store of the family, and each
// runtime that runs is started anew once, be it for that or for the proxy too.
func TestCertificates(t *testing.T) {
	pem, err := os.ReadFile("../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	h := loadHost(t, "host \"localhost\" {}\nproxy {\n  https_proxy = \"http://proxy.example.com:3128\"\n  ca_certificates = [<<EOT\n"+string(pem)+"EOT\n  ]\n}\n")
	w := wishOf(h.Proxy)
	for manager, want := range map[string]struct{ folder, update string }{
		"apt":    {"/usr/local/share/ca-certificates/", "update-ca-certificates"},
		"dnf":    {"/etc/pki/ca-trust/source/anchors/", "update-ca-trust extract"},
		"yum":    {"/etc/pki/ca-trust/source/anchors/", "update-ca-trust extract"},
		"zypper": {"/etc/pki/trust/anchors/", "update-ca-certificates"},
	} {
		for _, proxied := range []bool{true, false} {
			var set []string
			if proxied {
				for _, a := range w.assignments() {
					set = append(set, a.String())
				}
			}
			text := "@manager " + manager + "\n@init systemd\n@root\n@file /var/lib/runai-prep/proxy.ledger\n!absent\n@units\n"
			for i, unit := range []string{"containerd", "docker", "kubelet"} {
				if i > 0 {
					text += "|\n"
				}
				text += "|Id=" + unit + ".service\n|LoadState=loaded\n|ActiveState=active\n|NeedDaemonReload=no\n|MainPID=7\n|Environment=" + strings.Join(set, " ") + "\n"
			}
			for _, unit := range []string{"containerd", "docker", "kubelet"} {
				text += "@environ " + unit + ".service\n!count " + fmt.Sprint(len(set)) + "\n"
			}
			facts, err := readProxy(remote.Section{Name: "proxy", Out: text + "@trust\n@end\n"})
			if err != nil {
				t.Fatal(err)
			}
			var steps []remote.Step
			restarts := map[string]int{}
			for _, f := range planProxy(h, facts) {
				steps = append(steps, f.Steps...)
			}
			for _, s := range steps {
				if unit, ok := strings.CutPrefix(s.Title, "systemctl restart "); ok {
					restarts[unit]++
					if s.Disrupts == "" {
						t.Errorf("%s: %s is not said to disrupt anything", manager, s.Title)
					}
				}
			}
			at := func(title string) int {
				return slices.IndexFunc(steps, func(s remote.Step) bool { return strings.HasPrefix(s.Title, title) })
			}
			if write, update, first := at("write "+want.folder+"runai-prep-"), at(want.update), at("systemctl restart"); write < 0 || update < write || first < update {
				t.Errorf("%s: the certificate is written, trusted and read at %d, %d, %d", manager, write, update, first)
			}
			kubelet := map[bool]int{true: 0, false: 1}[proxied] // it pulls no images
			if restarts["containerd"] != 1 || restarts["docker"] != 1 || restarts["kubelet"] != kubelet {
				t.Errorf("%s, with the proxy set %v: restarts %v", manager, proxied, restarts)
			}
		}
	}
}
