//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A kubeAPI is as much of a cluster's API server as kubectl needs to label,
// cordon, drain and uncordon one node: its kinds, nodes, pods and their eviction.
// kubectl is the real one; this server is the test's, and knows no budgets,
// schedulers and kubelets but by what the test says.
type kubeAPI struct {
	url  string
	root []byte // PEM

	mu     sync.Mutex
	node   map[string]any
	lists  int      // how often the nodes were listed
	closed string   // why they may not be listed; empty: they may
	pods   []string // in the namespace train, each of a replica set
	budget bool     // forbids every eviction
	did    []string // cordon, evict NAME, uncordon, …

	evicted func(pod string)
	// lost is asked before the node is changed: whether whoever wants that is
	// gone meanwhile.
	lost func(did string) bool
}

func newKubeAPI(t *testing.T, l *Lab, node string, pods ...string) *kubeAPI {
	t.Helper()
	a := &kubeAPI{pods: pods, node: map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": node, "uid": "node-1", "resourceVersion": "1", "labels": map[string]any{"kubernetes.io/hostname": node}},
		"spec":     map[string]any{}, "status": map[string]any{},
	}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.ParseIP(Controller)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a.root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	listener, err := l.Listen("tcp", Controller+":0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "https://" + listener.Addr().String()
	server := &http.Server{Handler: a, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return a
}

const (
	kubeToken   = "e2e-token"
	kubeVersion = "v1.28.9"
)

// config writes a kubeconfig for it.
func (a *kubeAPI) config(t *testing.T, path string) {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: e2e
clusters: [{name: e2e, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: e2e, user: {token: %s}}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
`, a.url, base64.StdEncoding.EncodeToString(a.root), kubeToken)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// state is whether the node takes pods, and its labels of ours.
func (a *kubeAPI) state() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := "takes pods"
	if a.unschedulable() {
		text = "cordoned"
	}
	if labels, ok := a.node["metadata"].(map[string]any)["labels"].(map[string]any); ok {
		for name, value := range labels {
			if strings.HasPrefix(name, "runai-prep/") {
				text += fmt.Sprintf(", %s=%v", name, value)
			}
		}
	}
	return text
}

// events are what was done since the last time, folded.
func (a *kubeAPI) events() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	did := slices.Compact(a.did)
	a.did = nil
	return strings.Join(did, "; ")
}

func (a *kubeAPI) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *kubeAPI) unschedulable() bool {
	return a.node["spec"].(map[string]any)["unschedulable"] == true
}

func (a *kubeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(code int, reason, message string) {
		answer(code, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
	}
	if r.Header.Get("Authorization") != "Bearer "+kubeToken {
		refuse(http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return
	}
	a.mu.Lock()
	name := a.node["metadata"].(map[string]any)["name"].(string)
	a.mu.Unlock()
	path := r.URL.Path
	switch {
	case path == "/api":
		answer(200, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}})
	case path == "/apis":
		group := func(name, version string) map[string]any {
			v := map[string]any{"groupVersion": name + "/" + version, "version": version}
			return map[string]any{"name": name, "versions": []any{v}, "preferredVersion": v}
		}
		answer(200, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{group("apps", "v1"), group("policy", "v1beta1")}})
	case path == "/api/v1":
		resource := func(name, kind string, namespaced bool, verbs ...string) map[string]any {
			return map[string]any{"name": name, "kind": kind, "namespaced": namespaced, "verbs": verbs}
		}
		eviction := resource("pods/eviction", "Eviction", true, "create")
		eviction["group"], eviction["version"] = "policy", "v1beta1"
		answer(200, map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
			resource("nodes", "Node", false, "get", "list", "patch", "update"), resource("pods", "Pod", true, "get", "list", "delete"), eviction,
		}})
	case path == "/apis/apps/v1":
		answer(200, map[string]any{"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []any{
			map[string]any{"name": "replicasets", "kind": "ReplicaSet", "namespaced": true, "verbs": []string{"get"}},
		}})
	case path == "/apis/policy/v1beta1":
		answer(200, map[string]any{"kind": "APIResourceList", "groupVersion": "policy/v1beta1", "resources": []any{}})
	case path == "/version":
		answer(200, map[string]any{"major": "1", "minor": "28", "gitVersion": kubeVersion, "platform": "linux/amd64"})
	case path == "/api/v1/nodes" && r.Method == http.MethodGet:
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.lists++; a.closed != "" {
			refuse(http.StatusForbidden, "Forbidden", a.closed)
			return
		}
		items := []any{}
		if a.selected(r.URL.Query().Get("fieldSelector"), r.URL.Query().Get("labelSelector")) {
			items = append(items, a.node)
		}
		answer(200, map[string]any{"kind": "NodeList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
	case path == "/api/v1/nodes/"+name && r.Method == http.MethodGet:
		a.mu.Lock()
		defer a.mu.Unlock()
		answer(200, a.node)
	case path == "/api/v1/nodes/"+name && r.Method == http.MethodPatch:
		var patch map[string]any
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			refuse(http.StatusBadRequest, "BadRequest", err.Error())
			return
		}
		did := describePatch(patch)
		if a.lost != nil && a.lost(did) {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.did = append(a.did, did)
		merge(a.node, patch)
		answer(200, a.node)
	case path == "/api/v1/pods":
		a.mu.Lock()
		defer a.mu.Unlock()
		items := []any{}
		for _, pod := range a.pods {
			items = append(items, a.pod(pod))
		}
		answer(200, map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
	case strings.HasPrefix(path, "/api/v1/namespaces/train/pods/"):
		pod, action, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/namespaces/train/pods/"), "/")
		a.mu.Lock()
		there, budget := slices.Contains(a.pods, pod), a.budget
		a.mu.Unlock()
		switch {
		case !there:
			refuse(http.StatusNotFound, "NotFound", fmt.Sprintf("pods %q not found", pod))
		case action == "":
			answer(200, a.pod(pod))
		case budget:
			a.set(func() { a.did = append(a.did, "refuse "+pod) })
			refuse(http.StatusTooManyRequests, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
		default:
			if a.evicted != nil {
				a.evicted(pod)
			}
			a.set(func() {
				a.did = append(a.did, "evict "+pod)
				a.pods = slices.DeleteFunc(a.pods, func(p string) bool { return p == pod })
			})
			answer(201, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Success"})
		}
	default:
		refuse(http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	}
}

func (a *kubeAPI) pod(name string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": "train", "uid": "uid-" + name,
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "train", "uid": "rs", "controller": true}}},
		"spec":   map[string]any{"nodeName": a.node["metadata"].(map[string]any)["name"], "containers": []any{}},
		"status": map[string]any{"phase": "Running"},
	}
}

// selected reports whether selectors of the forms that are asked for let the
// node in.
func (a *kubeAPI) selected(fields, labels string) bool {
	has := a.node["metadata"].(map[string]any)["labels"].(map[string]any)
	for part := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "":
		case "metadata.name":
			if value != a.node["metadata"].(map[string]any)["name"] {
				return false
			}
		case "spec.unschedulable":
			if value != fmt.Sprint(a.unschedulable()) {
				return false
			}
		default:
			return false
		}
	}
	for part := range strings.SplitSeq(labels, ",") {
		if name, value, _ := strings.Cut(part, "="); name != "" && has[name] != value {
			return false
		}
	}
	return true
}

func describePatch(patch map[string]any) string {
	if spec, ok := patch["spec"].(map[string]any); ok {
		if spec["unschedulable"] == true {
			return "cordon"
		}
		return "uncordon"
	}
	if meta, ok := patch["metadata"].(map[string]any); ok {
		if labels, ok := meta["labels"].(map[string]any); ok {
			for _, value := range labels {
				if value == nil {
					return "unlabel"
				}
			}
			return "label"
		}
	}
	return fmt.Sprint(patch)
}

// merge is RFC 7386, which for what kubectl changes here is the same as the
// strategic kind.
func merge(into, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			delete(into, name)
			continue
		}
		inner, isMap := value.(map[string]any)
		has, hasMap := into[name].(map[string]any)
		switch {
		case isMap && hasMap:
			merge(has, inner)
		case isMap:
			fresh := map[string]any{}
			merge(fresh, inner)
			into[name] = fresh
		default:
			into[name] = value
		}
	}
}
