package fleet

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A cluster is asked once, however many hosts it has, and each learns of its own
// node alone; what kubectl cannot say is told in its words.
func TestClusters(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	log := filepath.Join(dir, "log")
	script := `#!/bin/sh
echo "$*" >>` + log + `
case "$*" in
*--context=closed*)
	echo 'E1130 memcache.go:265 couldn'"'"'t get current server API group list' >&2
	printf 'error: You must be logged in to the server (Unauthorized)\033[2J\n' >&2
	exit 1
	;;
'get nodes'*) echo '{"kind": "List", "items": [` +
		`{"metadata": {"name": "gpu-01", "labels": {"node.openshift.io/os_id": "rhcos"}}}, {"metadata": {"name": "gpu-02"}}]}' ;;
'get clusterversions'*) echo '{"status": {"history": [{"state": "Completed", "version": "4.14.18"}]}}' ;;
version*) echo '{"serverVersion": {"gitVersion": "v1.27.11+749fe1d"}}' ;;
esac
`
	section := remote.Section{Name: "kubernetes", Out: "@hostname GPU-02\n@end\n"}
	of := func(c *clusters, context string) string {
		a := c.of(remote.Cluster{Kubeconfig: "/k", Context: context})
		<-a.there
		return a.cluster.OfHost(inventory.Host{Name: "two", Address: "10.0.0.2"}, section)
	}

	if got := of(&clusters{asked: map[remote.Cluster]*answer{}}, ""); !strings.Contains(got, "kubectl is not installed here") {
		t.Errorf("without kubectl: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &clusters{asked: map[remote.Cluster]*answer{}}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got := of(c, "")
			if want := `{"version":"1.27.11","openshift":"4.14.18","nodes":[{"name":"gpu-02","by":"hostname",`; !strings.HasPrefix(got, want) || strings.Contains(got, "gpu-01") {
				t.Errorf("got %s, want %s…", got, want)
			}
		})
	}
	wg.Wait()
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Split(strings.TrimSpace(string(said)), "\n")
	slices.Sort(asked)
	const how = " -o json --request-timeout=10s --kubeconfig=/k"
	if want := []string{"get clusterversions.config.openshift.io version" + how, "get nodes" + how, "version" + how}; !slices.Equal(asked, want) {
		t.Errorf("kubectl was asked %q, want %q", asked, want)
	}

	got := of(c, "closed")
	if !strings.HasPrefix(got, `{"fault":"kubectl get nodes -o json: error: You must be logged in to the server (Unauthorized)`) || strings.ContainsAny(got, "\x1b") || strings.Contains(got, "memcache") {
		t.Errorf("of a cluster that lets nobody in: %q", got)
	}
}

// A cluster that says nothing makes its own task unknown; what was seen of the
// host stays.
func TestClusterIsLate(t *testing.T) {
	which := remote.Cluster{Kubeconfig: "/k"}
	c := &clusters{asked: map[remote.Cluster]*answer{which: {there: make(chan struct{})}}}
	probes := []remote.Probe{{Name: "nfs"}, {Name: "kubernetes", Cluster: &which}}
	sections := []remote.Section{{Name: "nfs", Out: "@end\n"}, {Name: "kubernetes", Out: "@hostname one\n@end\n"}}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := c.tell(ctx, inventory.Host{Name: "one"}, probes, sections); err != nil {
		t.Fatalf("the look is lost: %v", err)
	}
	if got := sections[1].Cluster; !strings.HasPrefix(got, `{"fault":"the cluster has not answered`) || !strings.Contains(got, `"version_fault":"the cluster has not answered`) || sections[0].Cluster != "" {
		t.Errorf("the sections are told %q and %q", sections[0].Cluster, got)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := c.tell(interrupted, inventory.Host{Name: "one"}, probes, sections); err == nil {
		t.Error("an interrupted look is taken for one")
	}
}
