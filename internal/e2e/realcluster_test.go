//go:build linux

package e2e

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed recipes/kube-apiserver.sh
var kubeServerRecipe string

var kubeServer = part{name: "kube-apiserver", recipe: kubeServerRecipe,
	build: func(ctx context.Context, l *Lab, out string) error { return l.script(ctx, kubeServerRecipe, out) }}

// A cluster is Kubernetes' own API server with its etcd. No controllers and no
// kubelets are there: what they would do the test does.
type cluster struct {
	t       *testing.T
	l       *Lab
	kubectl string
	config  string
}

func newCluster(t *testing.T, l *Lab) *cluster {
	t.Helper()
	programs, err := kubeServer.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubectl.path(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.Dir, "cluster")
	c := &cluster{t, l, filepath.Join(client, "kubectl/usr/bin/kubectl"), filepath.Join(dir, "kubeconfig")}
	for name, text := range map[string]string{
		"tokens": kubeToken + ",admin,admin,system:masters\n",
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: real
clusters: [{name: real, cluster: {server: "https://%s:6443", certificate-authority: %s/pki/apiserver.crt}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: real, context: {cluster: real, user: admin}}]
`, Controller, dir, kubeToken),
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), "openssl", "genrsa", "-out", filepath.Join(dir, "accounts.key"), "2048"); err != nil {
		t.Fatal(err)
	}
	// The ports are those of a network that is the test's alone.
	c.serve(filepath.Join(programs, "etcd"), "--data-dir="+filepath.Join(dir, "etcd"), "--log-level=error", "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380")
	c.serve(filepath.Join(programs, "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", "--bind-address="+Controller, "--advertise-address="+Controller,
		"--cert-dir="+filepath.Join(dir, "pki"), "--token-auth-file="+filepath.Join(dir, "tokens"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+filepath.Join(dir, "accounts.key"),
		"--service-account-signing-key-file="+filepath.Join(dir, "accounts.key"), "--service-cluster-ip-range=10.96.0.0/24",
		"--disable-admission-plugins=ServiceAccount")
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		if out, err := c.try("", "get", "--raw", "/readyz"); err == nil && out == "ok" {
			return c
		} else if time.Now().After(end) {
			t.Fatalf("the API server is not ready: %s, %v", out, err)
		}
	}
}

// serve runs a program until the test ends.
func (c *cluster) serve(program string, args ...string) {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.l.Dir, filepath.Base(program)+".log"))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := c.l.process(context.Background(), "cluster", append([]string{"ip", "netns", "exec", c.l.name, program}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && c.t.Failed() {
			c.t.Logf("the last words of %s:\n%s", filepath.Base(program), tail(text, 2000))
		}
	})
}

// try is what kubectl says, which reads input.
func (c *cluster) try(input string, args ...string) (string, error) {
	cmd := c.l.Command(context.Background(), c.kubectl, append([]string{"--kubeconfig=" + c.config}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cluster) do(input string, args ...string) string {
	c.t.Helper()
	out, err := c.try(input, args...)
	if err != nil {
		c.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return out
}

// status is what the kubelet of gpu-01 would tell.
func (c *cluster) status(h *Machine, ready, boot string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "gpu-01"},
		"status": map[string]any{
			"addresses":  []any{map[string]any{"type": "InternalIP", "address": h.IP}},
			"conditions": []any{map[string]any{"type": "Ready", "status": ready, "reason": "Kubelet", "message": "the test says so", "lastHeartbeatTime": now, "lastTransitionTime": now}},
			"nodeInfo": map[string]any{"kubeletVersion": "v1.34.2", "bootID": boot, "machineID": "", "systemUUID": "", "kernelVersion": "", "osImage": "",
				"containerRuntimeVersion": "", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"},
		},
	})
	if err != nil {
		return err
	}
	if out, err := c.try(string(text), "replace", "--raw", "/api/v1/nodes/gpu-01/status", "-f", "-"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// The node of a real cluster: asked about, waited for after a reboot, drained
// against a budget and without one, and given back. Kubernetes' API server, its
// etcd and kubectl are the real ones; the kubelet is the test's, and so is the
// kernel that the driver is for, see [gpuHost].
func TestRealCluster(t *testing.T) {
	slow(t)
	l := New(t)
	l.DebianArchive(t, R535, R550)
	c := newCluster(t, l)
	h := l.Host(t, "gpu-01", append(trixie, gpuHost(gpuWithTools))...)
	h.SSH(t, `sed -i 's/bookworm main$/bookworm main contrib non-free/' /etc/apt/sources.list; apt-get update -qq
mkdir /run/e2e/module/nouveau; echo 'nouveau 16384 1 - Live 0x0000000000000000' >>/run/e2e/modules`)
	d := newController(t, l, []*Machine{h}, "PATH="+filepath.Dir(c.kubectl)+":/usr/sbin:/usr/bin:/sbin:/bin")
	wish := func(more string) {
		d.write("inventory.hcl", driverInventory(h, "root", more)+"egress { enabled = false }\nkubernetes { kubeconfig = \"cluster/kubeconfig\" }\n")
	}
	do := func(code int, command string, args ...string) string {
		t.Helper()
		return d.run(code, append([]string{command, "inventory.hcl", "--task", "driver,kubernetes"}, args...)...)
	}
	node := func() string {
		t.Helper()
		return c.do("", "get", "node", "gpu-01", "-o", `jsonpath={.spec.unschedulable} {.metadata.labels.runai-prep/cordoned}`)
	}

	// Not joined; joined, and asked about.
	wish(`version = "535.261.03"`)
	contains(t, "before it joins", do(2, "plan", "-v"), "1. ")
	boot := h.BootID(t)
	c.do(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-01", "labels": {"kubernetes.io/hostname": "gpu-01"}}}`, "create", "-f", "-")
	if err := c.status(h, "False", boot); err != nil {
		t.Fatal(err)
	}
	contains(t, "a node that is not ready", do(3, "check"), "gpu-01 is not ready: Kubelet: the test says so")
	if err := c.status(h, "True", boot); err != nil {
		t.Fatal(err)
	}

	// Nouveau has the GPU: the driver takes a reboot, after which the kubelet
	// needs its time. Apply waits for that, and proves it.
	was := make(chan error, 1)
	go func() {
		for end := time.Now().Add(20 * time.Minute); ; time.Sleep(time.Second) {
			now, err := h.Run(context.Background(), "root", "cat /proc/sys/kernel/random/boot_id")
			if now = strings.TrimSpace(now); err == nil && now != "" && now != boot {
				boot = now
				break
			}
			if time.Now().After(end) {
				was <- fmt.Errorf("it did not reboot: %q, %w", now, err)
				return
			}
		}
		err := c.status(h, "False", boot)
		time.Sleep(15 * time.Second)
		if err == nil {
			err = c.status(h, "True", boot)
		}
		was <- err
	}()
	applied := do(0, "apply", "-y")
	select {
	case err := <-was:
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatal("apply ended before the node was ready")
	}
	contains(t, "the host", h.SSH(t, installed), "Kernel Module  535.261.03 ")
	contains(t, "apply", applied, "reboot")
	do(0, "check")

	// A pod of a replica set, under a budget that lets nothing go.
	c.do("", "create", "namespace", "train")
	c.do(`{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "train", "namespace": "train"}, "spec": {"replicas": 1,
"selector": {"matchLabels": {"app": "train"}}, "template": {"metadata": {"labels": {"app": "train"}}, "spec": {"containers": [{"name": "train", "image": "train"}]}}}}`, "create", "-f", "-")
	uid := c.do("", "-n", "train", "get", "rs", "train", "-o", "jsonpath={.metadata.uid}")
	c.do(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "train-1", "namespace": "train", "labels": {"app": "train"},
"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "train", "uid": %q, "controller": true}]},
"spec": {"nodeName": "gpu-01", "containers": [{"name": "train", "image": "train"}]}}`, uid), "create", "-f", "-")
	c.do(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "train-1", "namespace": "train", "labels": {"app": "train"}}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}`,
		"replace", "--raw", "/api/v1/namespaces/train/pods/train-1/status", "-f", "-")
	c.do(`{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "train", "namespace": "train"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "train"}}}}`,
		"create", "--raw", "/apis/policy/v1/namespaces/train/poddisruptionbudgets", "-f", "-")
	// What the controller of budgets would tell.
	version := c.do("", "-n", "train", "get", "--raw", "/apis/policy/v1/namespaces/train/poddisruptionbudgets/train")
	_, version, _ = strings.Cut(version, `"resourceVersion":"`)
	version, _, _ = strings.Cut(version, `"`)
	c.do(`{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "train", "namespace": "train", "resourceVersion": "`+version+`"},
"status": {"observedGeneration": 1, "expectedPods": 1, "desiredHealthy": 1, "currentHealthy": 1, "disruptionsAllowed": 0}}`,
		"replace", "--raw", "/apis/policy/v1/namespaces/train/poddisruptionbudgets/train/status", "-f", "-")
	wish("version = \">= 550, < 551\"\nbusy = \"drain=12s\"")
	contains(t, "plan", do(2, "plan"), "kubectl drain gpu-01", "afterwards: kubectl uncordon")
	contains(t, "apply against a budget", do(2, "apply", "-y"), "disruption budget", "it was given back as it was")
	if got := node(); got != " " {
		t.Errorf("after a drain in vain the node is %q", got)
	}
	contains(t, "the host", h.SSH(t, installed), "Kernel Module  535.261.03 ")

	// Without it the pod goes; its kubelet takes a moment.
	c.do("", "-n", "train", "delete", "pdb", "train")
	gone := make(chan error, 1)
	go func() {
		for end := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Second) {
			at, err := c.try("", "-n", "train", "get", "pod", "train-1", "-o", "jsonpath={.metadata.deletionTimestamp}")
			if err == nil && at != "" {
				_, err = c.try("", "-n", "train", "delete", "pod", "train-1", "--grace-period=0", "--force")
				gone <- err
				return
			}
			if time.Now().After(end) {
				gone <- fmt.Errorf("the pod was not evicted: %q, %w", at, err)
				return
			}
		}
	}()
	wish("version = \">= 550, < 551\"\nbusy = \"drain=60s\"")
	do(0, "apply", "-y")
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
	contains(t, "the host", h.SSH(t, installed), "Kernel Module  550.163.01 ", "nvidia-smi: 0")
	if got := node(); got != " " {
		t.Errorf("in the end the node is %q", got)
	}
	do(0, "check")
}
