//go:build linux

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runai-prep/runai-prep/internal/report"
)

// The cluster is asked through the real kubectl, against an API server of the
// test (see kubeAPI): once for both hosts, of which one has joined. What it said
// is in the recording, which plays back without it. kubelet is a stub.
func TestKubernetesNode(t *testing.T) {
	l := New(t)
	dir, err := kubectl.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	hosts := l.Hosts(t, []string{"gpu-01", "gpu-02"}, File("/usr/bin/kubelet", strings.Replace(stubKubelet, "1.24.17", "1.28.9", 1), 0o755))
	c := newController(t, l, hosts, "PATH="+filepath.Join(dir, "kubectl/usr/bin")+":/usr/sbin:/usr/bin:/sbin:/bin")
	api := newKubeAPI(t, l, "gpu-01")
	api.config(t, filepath.Join(l.Dir, "clusters/prod.conf"))
	c.write("inventory.hcl", strings.NewReplacer("ONE", hosts[0].IP, "TWO", hosts[1].IP).Replace(`
ssh {
  user          = "root"
  identity_file = "id_ed25519"
  known_hosts   = "known_hosts"
}
kubernetes { kubeconfig = "clusters/prod.conf" }
egress { enabled = false }
host "gpu-01" { address = "ONE" }
host "gpu-02" { address = "TWO" }
`))
	// status is what the cluster says of the node, in the API's words (core/v1).
	status := func(kubelet, ready, reason, message string) {
		api.set(func() {
			api.node["status"] = map[string]any{
				"addresses":  []any{map[string]any{"type": "InternalIP", "address": hosts[0].IP}},
				"conditions": []any{map[string]any{"type": "Ready", "status": ready, "reason": reason, "message": message}},
				"nodeInfo":   map[string]any{"kubeletVersion": kubelet},
			}
		})
	}
	// The clocks, settings and modules of containers are no subject here.
	of := func(r report.Result, host, subject string) report.Finding {
		t.Helper()
		for _, h := range r.Hosts {
			for _, f := range h.Findings {
				if h.Name == host && f.Task == "kubernetes" && f.Subject == subject {
					return f
				}
			}
		}
		return report.Finding{}
	}
	says := func(f report.Finding, state, have, warning string) {
		t.Helper()
		if f.State != state || f.Have != have || f.Warning != warning {
			t.Errorf("%s: %s %q warning %q, want %s %q warning %q", f.Subject, f.State, f.Have, f.Warning, state, have, warning)
		}
	}
	plan := func(code int, args ...string) (r report.Result) {
		t.Helper()
		api.set(func() { api.lists = 0 })
		return c.result(code, append([]string{"plan", "inventory.hcl", "--task", "kubernetes"}, args...)...)
	}

	status(kubeVersion, "True", "KubeletReady", "kubelet is posting ready status")
	live := plan(2, "--record", "rec")
	says(of(live, "gpu-01", "node"), "ok", "gpu-01 is ready", "")
	says(of(live, "gpu-01", "node version"), "ok", "1.28.9, and the API server 1.28.9", "")
	says(of(live, "gpu-02", "node"), "ok", "not joined yet", "")
	if of(live, "gpu-02", "node version").State != "" {
		t.Error("a node that is none has a version")
	}
	if api.lists != 1 {
		t.Errorf("the nodes were listed %d times for two hosts", api.lists)
	}
	if api.events() != "" {
		t.Error("plan changed the cluster")
	}

	status("v1.29.0", "False", "KubeletNotReady", "container runtime is down")
	api.set(func() { api.node["spec"].(map[string]any)["unschedulable"] = true })
	r := plan(3)
	says(of(r, "gpu-01", "node"), "unmet", "gpu-01 is not ready: KubeletNotReady: container runtime is down",
		"it is cordoned (SchedulingDisabled): no pods are sent there; kubectl uncordon gpu-01")
	says(of(r, "gpu-01", "node version"), "unmet", "1.29.0: kubelet is newer than the API server, which is 1.28.9", "1.28.9 is installed, and does not run: restart it")
	contains(t, "explain", c.run(0, "explain", "kubernetes/node"), "kubectl", "cordoned")

	api.set(func() {
		api.closed = `nodes is forbidden: User "e2e" cannot list resource "nodes" in API group "" at the cluster scope`
	})
	r = plan(4)
	says(of(r, "gpu-02", "node"), "unknown", "kubectl get nodes -o json: Error from server (Forbidden): "+api.closed, "")

	c.write("clusters/prod.conf", "")
	f := of(plan(4), "gpu-01", "node")
	if f.State != "unknown" || !strings.Contains(f.Have, "kubectl get nodes -o json: ") {
		t.Errorf("with an empty kubeconfig: %+v", f)
	}

	// Of the recording alone.
	for _, h := range hosts {
		h.Stop(t)
	}
	again := plan(2, "--replay", "rec")
	if diff := cmp.Diff(live, again, cmpopts.IgnoreFields(report.Result{}, "RunID", "Started", "ElapsedSeconds"), cmpopts.IgnoreFields(report.Host{}, "ElapsedSeconds")); diff != "" {
		t.Errorf("live and replayed (-live +replayed):\n%s", diff)
	}
	var facts struct {
		Hosts []struct {
			Facts struct {
				Kubernetes struct {
					Cluster json.RawMessage `json:"cluster"`
				} `json:"kubernetes"`
			} `json:"facts"`
		} `json:"hosts"`
	}
	out := c.run(0, "facts", "inventory.hcl", "--task", "kubernetes", "--replay", "rec", "-o", "json")
	if err := json.Unmarshal([]byte(out), &facts); err != nil || len(facts.Hosts) != 2 {
		t.Fatalf("facts: %v\n%s", err, out)
	}
	contains(t, "facts", string(facts.Hosts[0].Facts.Kubernetes.Cluster), "KubeletReady", `"version"`)
}
