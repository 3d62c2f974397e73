//go:build linux

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/internal/report"
)

// withoutForwarding asks once more where sshd forwards nothing, with ever fewer
// programs on the host: each tells less, and what it cannot tell is not ok.
func withoutForwarding(t *testing.T, m *Machine, c *controller) {
	// People whose shell is bash could not log in any more.
	m.SSH(t, `sed -i 's#/bin/bash#/bin/sh#' /etc/passwd
echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/forward.conf; systemctl reload ssh`)
	defer m.SSH(t, "rm /etc/ssh/sshd_config.d/forward.conf; systemctl reload ssh")
	const by = "tried with curl on the host, for its sshd forwards nothing"
	want := map[string]said{
		"fine.example:443":       says("ok", "reached", by),
		"nosuch.example:443":     says("unmet", "no address for nosuch.example", by),
		"closed.example:443":     says("unmet", "closed.example:443 refused the connection", by),
		"prohibited.example:443": says("unmet", "no way to prohibited.example:443", by),
		"dropped.example:443":    says("unmet", "no answer from dropped.example:443", by),
		"box.example:443":        says("unmet", "its certificate is not trusted, issued by Blue Box Inspection CA", by),
		"misnamed.example:443":   says("unmet", "its certificate is not trusted, issued by Public Root", by),
		"plain.example:443":      says("unmet", "no TLS with plain.example:443", by),
		"cut.example:443":        says("unmet", "no TLS with cut.example:443", by),
		"nvcr.io:443":            says("ok", "reached", by),
		"ghcr.io:443":            says("unmet", "404", by),
		"eu.gcr.io:443":          says("unmet", "text/html", by),
		"runai.jfrog.io:443":     says("unmet", "302", "login.corp.example", by),
	}
	// In parts, for a busy host has not the time for many programs at once.
	ask := func(name string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			for part := range slices.Chunk(slices.Sorted(maps.Keys(want)), 7) {
				code, endpoints, wanted := 0, []string{}, map[string]said{}
				for _, e := range part {
					endpoints, wanted[e] = append(endpoints, strings.TrimSuffix(e, ":443")), want[e]
					code = max(code, map[string]int{"unmet": 3, "unknown": 4}[want[e].state])
				}
				c.write("inventory.hcl", egressInventory(endpoints, "", m))
				found := egressOf(c.result(code, "check", "inventory.hcl"), m.Name)
				maps.DeleteFunc(found, func(e string, _ report.Finding) bool { _, ok := wanted[e]; return !ok }) // where registries send on to
				holds(t, found, wanted)
			}
		})
	}
	ask("curl")

	m.SSH(t, "rm $(command -v curl)")
	delete(want, "dropped.example:443") // it takes its time
	for e, s := range want {
		want[e] = says(s.state, append(slices.Clone(s.words[:len(s.words)-1]), "tried with openssl on the host")...)
	}
	ask("openssl")

	// bash knows no TLS.
	m.SSH(t, "rm $(command -v openssl)")
	listens := says("unknown", "it listens", "tried with bash on the host", "install curl")
	for e, s := range want {
		switch e {
		case "nosuch.example:443", "closed.example:443", "prohibited.example:443":
			want[e] = says(s.state, s.words[0], "tried with bash on the host")
		default:
			want[e] = listens
		}
	}
	ask("bash")

	m.SSH(t, "rm $(command -v bash)")
	for e := range want {
		want[e] = says("unknown", "it could not be tried", "AllowTcpForwarding", "install curl")
	}
	ask("nothing")
}
