package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WriteMetrics writes the result to path for the textfile collector of
// node_exporter, atomically.
//
// Alert on the time of the check as well: a check that no longer runs leaves
// the good news of yesterday in the file.
func WriteMetrics(path string, r Result) error {
	registry := prometheus.NewRegistry()
	vec := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		registry.MustRegister(g)
		return g
	}
	gauge := func(name, help string) prometheus.Gauge { return vec(name, help).WithLabelValues() }

	status := vec("runai_prep_host_status",
		"1 for the status that the host is in, 0 for the others: failed, unreachable, unknown, unmet, pending, settled.",
		"host", "role", "status")
	findings := vec("runai_prep_findings",
		"Number of things looked at on the host, by task and state: ok, pending, fixed, unmet, unknown, failed, ignored.",
		"host", "task", "state")
	fresh := vec("runai_prep_new_findings",
		"Number of things wrong on the host that were not wrong at the last check.", "host")
	reboot := vec("runai_prep_host_reboot_pending", "1 when the host waits for a reboot.", "host")
	ready := vec("runai_prep_host_ready", "1 when the host may join: all is as wanted or ignored, and nothing of the fleet speaks against it.", "host", "role")
	warnings := vec("runai_prep_warnings", "Number of things on the host that fall short of a recommendation.", "host")
	across := vec("runai_prep_fleet_findings",
		"Number of things that hosts show together, by task and state: ok, pending, unmet, unknown, ignored.", "task", "state")
	for _, f := range r.Fleet {
		across.WithLabelValues(safe(f.Task), f.shown()).Inc()
	}
	for _, h := range r.Hosts {
		host := safe(h.Name)
		for _, s := range statuses {
			status.WithLabelValues(host, safe(h.Role), s).Set(float64(btoi(h.Status == s)))
		}
		for _, f := range h.Findings {
			findings.WithLabelValues(host, safe(f.Task), f.shown()).Inc()
		}
		fresh.WithLabelValues(host).Set(float64(h.fresh()))
		ready.WithLabelValues(host, safe(h.Role)).Set(float64(btoi(h.Ready)))
		var noted Summary
		for _, f := range h.Findings {
			noted.note(f)
		}
		warnings.WithLabelValues(host).Set(float64(noted.Warnings))
		reboot.WithLabelValues(host).Set(float64(btoi(h.RebootPending)))
	}
	vec("runai_prep_info", "Always 1; what was run.", "version", "command", "inventory", "requirements").
		WithLabelValues(safe(r.Version), safe(r.Command), safe(r.Inventory), safe(r.Requirements)).Set(1)
	gauge("runai_prep_hosts", "Number of hosts that the run was about.").Set(float64(len(r.Hosts)))
	gauge("runai_prep_exit_code",
		"Exit code of the run: 0 as wanted, 2 pending or drift, 3 unmet, 4 unreachable or unknown, 5 failed, 130 interrupted.").
		Set(float64(r.ExitCode))
	gauge("runai_prep_run_duration_seconds", "How long the run took, in seconds.").Set(r.ElapsedSeconds)
	if started, err := time.Parse(time.RFC3339, r.Started); err == nil {
		gauge("runai_prep_check_timestamp_seconds", "When the run ended, in seconds since 1970.").
			Set(float64(started.Unix()) + r.ElapsedSeconds)
	}
	return prometheus.WriteToTextfile(path, registry)
}
