package tasks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A certificate that is missing goes into the store of the family, and each
// runtime that runs is started anew once, be it for that or for the proxy too.
func TestCertificates(t *testing.T) {
	pem, err := os.ReadFile("../inventory/testdata/faults/ca/valid.pem")
	if err != nil {
		t.Fatal(err)
	}
	certificates := "\n  ca_certificates = [<<EOT\n" + string(pem) + "EOT\n  ]\n"
	h := loadHost(t, "host \"localhost\" {}\nproxy {\n  https_proxy = \"http://proxy.example.com:3128\""+certificates+"}\n")
	ignoring := h
	ignoring.Settings = &inventory.Settings{}
	*ignoring.Settings = *h.Settings
	ignoring.Ignore = []inventory.Ignored{{Finding: "proxy/docker", Reason: "it has its own"}}
	w := wishOf(h)
	for manager, want := range map[string]struct{ folder, update string }{
		"apt":    {"/usr/local/share/ca-certificates/", "update-ca-certificates"},
		"dnf":    {"/etc/pki/ca-trust/source/anchors/", "update-ca-trust extract"},
		"yum":    {"/etc/pki/ca-trust/source/anchors/", "update-ca-trust extract"},
		"zypper": {"/etc/pki/trust/anchors/", "update-ca-certificates"},
	} {
		for _, state := range []string{"the proxy is set", "the proxy is not set", "the proxy is not set, and docker is ignored", "no proxy is wished"} {
			h := h
			switch state {
			case "the proxy is not set, and docker is ignored":
				h = ignoring
			case "no proxy is wished":
				h = loadHost(t, "host \"localhost\" {}\nproxy { "+certificates+" }\n")
			}
			var set []string
			if state == "the proxy is set" {
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
				if _, ignored := h.Ignores("proxy", f.Subject); !ignored {
					steps = append(steps, f.Steps...)
				}
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
			kubelet := map[string]int{"the proxy is not set": 1, "the proxy is not set, and docker is ignored": 1}[state] // it pulls no images
			if restarts["containerd"] != 1 || restarts["docker"] != 1 || restarts["kubelet"] != kubelet {
				t.Errorf("%s, %s: restarts %v", manager, state, restarts)
			}
			if state == "no proxy is wished" && len(steps) != 5 { // the ledger, the certificate, its store, two runtimes
				t.Errorf("%s, %s: %d steps", manager, state, len(steps))
			}
		}
	}
}

// A runtime is restarted for a certificate that it began before, and for no
// other: not for one that was there before the boot, whatever the clock said
// when the runtime began, nor for one from the future.
func TestBeganBefore(t *testing.T) {
	const noon = 1795521600 // Tue 2026-11-24 12:00:00 UTC
	for name, c := range map[string]struct {
		began   string
		written int64
		uptime  int64
		want    bool
	}{
		"before":                   {"Tue 2026-11-24 11:00:00 UTC", noon - 60, 86400, true},
		"after":                    {"Tue 2026-11-24 11:59:30 UTC", noon - 60, 86400, false},
		"in the same second":       {"Tue 2026-11-24 11:59:00 UTC", noon - 60, 86400, false},
		"just now":                 {"Tue 2026-11-24 11:00:00 UTC", noon, 86400, true},
		"before the clock was set": {"Wed 2020-01-01 00:00:10 UTC", noon - 7200, 3600, false},
		"before the clock was set, the file after it": {"Wed 2020-01-01 00:00:10 UTC", noon - 1800, 3600, true},
		"from the future":     {"Tue 2026-11-24 11:00:00 UTC", noon + 60, 86400, false},
		"nobody knows when":   {"n/a", noon - 60, 86400, false},
		"no time of the file": {"Tue 2026-11-24 11:00:00 UTC", 0, 86400, false},
	} {
		const file = "/usr/local/share/ca-certificates/runai-prep-0.crt"
		facts, err := readProxy(remote.Section{Name: "proxy", Out: "@manager apt\n@init systemd\n@root\n@file /var/lib/runai-prep/proxy.ledger\n!absent\n" +
			"@units\n|ExecMainStartTimestamp=" + c.began + "\n|MainPID=7\n|Environment=\n|Id=containerd.service\n|LoadState=loaded\n|ActiveState=active\n|NeedDaemonReload=no\n" +
			"@environ containerd.service\n!count 0\n@uptime " + fmt.Sprint(c.uptime) + ".25\n@modes\n|644 0 " + file + " " + fmt.Sprint(c.written) + "\n|555 0 /proc/self/. " + fmt.Sprint(noon) + "\n@end\n"})
		if err != nil {
			t.Fatal(err)
		}
		f := facts.(*proxyFacts)
		if got := f.beganBefore(f.unit("containerd"), []string{"/etc/ssl/certs/ca-certificates.crt", file}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
