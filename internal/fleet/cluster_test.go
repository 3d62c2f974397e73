package fleet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
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
		a := c.of(remote.Cluster{Kubeconfig: "/k", Context: context}, "two")
		<-a.there
		return a.cluster.OfHost(inventory.Host{Name: "two", Address: "10.0.0.2"}, section)
	}

	if got := of(newClusters(), ""); !strings.Contains(got, "kubectl is not installed here") {
		t.Errorf("without kubectl: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newClusters()
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
	c := newClusters()
	c.asked[which] = &answer{there: make(chan struct{})}
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

// Of hosts that were changed the cluster is asked anew, once for all who came
// while it answered; of the others what it has said is good.
func TestClustersAreAskedAnew(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	script := "#!/bin/sh\n[ $1 = get ] || exit 1\necho >>" + log + "\nuntil [ -e " + gate + " ]; do sleep 0.02; done\necho '{\"kind\": \"List\"}'\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	asked := func() int {
		said, _ := os.ReadFile(log)
		return len(said)
	}
	which := remote.Cluster{Kubeconfig: "/k"}
	c := newClusters()
	first := c.of(which, "one")
	eventually(t, "kubectl to be asked", func() bool { return asked() == 1 })
	// Steps end on two hosts while it thinks; a third is only looked at.
	c.change("one")
	c.change("two")
	later := c.of(which, "one")
	if later == first {
		t.Error("what was asked before the change is taken for what came of it")
	}
	if c.of(which, "two") != later {
		t.Error("each host asks for itself")
	}
	if c.of(which, "three") != later {
		t.Error("a host that is only looked at does not take the newest answer")
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	<-later.there
	if c.of(which, "one") != later || c.of(which, "four") != later || asked() != 2 {
		t.Errorf("the nodes were asked for %d times, want twice", asked())
	}
}

// After a reboot the node is waited for: until its kubelet has spoken in the new
// boot, for before that the cluster only repeats what was. A node that was not
// ready, or that nobody knows, keeps nobody waiting.
func TestAwaitNode(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	node := func(boot, ready string) string {
		return `{"kind": "List", "items": [{"metadata": {"name": "gpu-01"}, "status": {"nodeInfo": {"bootID": "` + boot + `"}, "conditions": [{"type": "Ready", "status": "` + ready + `"}]}}]}`
	}
	// The answers of one question after the other; the last one stays.
	answers := func(list ...string) {
		script := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>" + dir + "/log\nn=$(wc -l <" + dir + "/log)\ncase $n in\n"
		for i, a := range list {
			pattern := strconv.Itoa(i + 1)
			if i == len(list)-1 {
				pattern = "*"
			}
			script += pattern + ") echo '" + a + "' ;;\n"
		}
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script+"esac\n"), 0o755), os.RemoveAll(filepath.Join(dir, "log"))); err != nil {
			t.Fatal(err)
		}
	}
	log := func() string {
		said, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(said)
	}
	c := newClusters()
	c.pause = time.Millisecond

	h := inventory.Host{Name: "gpu-01", Address: "10.0.0.1"}
	p := remote.Probe{Name: "kubernetes", Cluster: &remote.Cluster{Kubeconfig: "/k"}}
	before := func(boot, ready string) remote.Section {
		var c tasks.Cluster
		c.ReadNodes([]byte(node(boot, ready)), nil)
		s := remote.Section{Name: "kubernetes", Out: "@hostname gpu-01\n@end\n"}
		s.Cluster = c.OfHost(h, s)
		return s
	}
	answers(node("a", "True"), node("a", "Unknown"), "no list", node("b", "False"), node("b", "True"))
	var said []string
	c.awaitNode(t.Context(), h, p, before("a", "True"), func(line string) { said = append(said, line) })
	one := "get nodes --field-selector=metadata.name=gpu-01 -o json --request-timeout=10s --kubeconfig=/k\n"
	if log() != strings.Repeat(one, 5) || len(said) != 1 || !strings.Contains(said[0], "gpu-01 is not ready yet") {
		t.Errorf("asked\n%s and said %q", log(), said)
	}
	answers(node("b", "False"))
	c.awaitNode(t.Context(), h, p, before("a", "False"), nil)
	c.awaitNode(t.Context(), h, p, remote.Section{}, nil)
	c.awaitNode(t.Context(), h, remote.Probe{}, remote.Section{}, nil)
	if log() != "" {
		t.Errorf("asked without a reason:\n%s", log())
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	c.awaitNode(ctx, h, p, before("a", "True"), nil) // it ends with its context
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
