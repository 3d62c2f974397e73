package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// Bounds of what a cluster is asked.
const (
	clusterTimeout  = 15 * time.Second
	clusterPatience = "--request-timeout=10s" // so that kubectl has the time to say why
	maxCluster      = 128 << 20               // 5000 nodes, with the images of each

	nodeLimit = 5 * time.Minute // for a node to be ready again after a reboot
)

// clusters are those of one run. Each is asked once for all hosts, and only for
// what is read; and once more for those that were changed since, as many as
// there are together.
type clusters struct {
	mu      sync.Mutex
	asked   map[remote.Cluster]*answer // the last of each
	changed map[string]time.Time       // when a step ended on a host, by its name
	pause   time.Duration              // from one question for a node to the next
}

func newClusters() *clusters {
	return &clusters{asked: map[remote.Cluster]*answer{}, changed: map[string]time.Time{}, pause: 5 * time.Second}
}

// An answer is there when its channel is closed.
type answer struct {
	began   time.Time // zero: it will be asked for when the one before is there
	there   chan struct{}
	cluster tasks.Cluster
}

// of is what a cluster answers after the last change of a host, which is asked
// for if nobody has.
func (c *clusters) of(which remote.Cluster, host string) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.asked[which]
	if last != nil && (last.began.IsZero() || !last.began.Before(c.changed[host])) {
		return last
	}
	a := &answer{there: make(chan struct{})}
	c.asked[which] = a
	go func() {
		defer close(a.there)
		if last != nil {
			<-last.there // one question at a time, whose answer is for all who came meanwhile
		}
		c.mu.Lock()
		a.began = time.Now()
		c.mu.Unlock()
		// Not with the context of one host: all wait for it, and it ends by itself.
		ask(context.Background(), which, &a.cluster)
	}()
	return a
}

// change notes that what clusters have said of a host may be so no more.
func (c *clusters) change(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed[host] = time.Now()
}

// tell gives the sections of a host what their clusters say. One that has said
// nothing when the host's time is up is no reason to forget what was seen there.
func (c *clusters) tell(ctx context.Context, h inventory.Host, probes []remote.Probe, sections []remote.Section) error {
	for i, p := range probes {
		if p.Cluster == nil {
			continue
		}
		a := c.of(*p.Cluster, h.Name)
		said := &a.cluster
		select {
		case <-a.there:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			late := errors.New("the cluster has not answered within the time for one look (--timeout)")
			said = &tasks.Cluster{}
			said.ReadNodes(nil, late)
			said.ReadVersion(nil, late)
		}
		sections[i].Cluster = said.OfHost(h, sections[i])
	}
	return nil
}

// awaitNode waits until the node of a host that was restarted is ready again, if
// it was before. A kubelet needs some seconds for that, and for as long its
// cluster believes what was before. One that does not come is no fault of the
// reboot: the second look has it.
func (c *clusters) awaitNode(ctx context.Context, h inventory.Host, p remote.Probe, before remote.Section, said func(string)) {
	name, boot := tasks.ReadyNode(before.Cluster)
	if p.Cluster == nil || name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, nodeLimit)
	defer cancel()
	for told := false; ; told = true {
		text, err := get(ctx, *p.Cluster, "get", "nodes", "--field-selector=metadata.name="+name, "-o", "json")
		var now tasks.Cluster
		now.ReadNodes(text, err)
		if again, of := tasks.ReadyNode(now.OfHost(h, before)); again != "" && (of == "" || of != boot) {
			return
		}
		if !told && said != nil {
			said("the host is back; its node " + name + " is not ready yet")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.pause):
		}
	}
}

// ask asks a cluster for its nodes and its version, and whether it is OpenShift.
func ask(ctx context.Context, which remote.Cluster, c *tasks.Cluster) {
	var wg sync.WaitGroup
	var nodes, version []byte
	var noNodes, noVersion error
	wg.Go(func() { nodes, noNodes = get(ctx, which, "get", "nodes", "-o", "json") })
	wg.Go(func() { version, noVersion = get(ctx, which, "version", "-o", "json") })
	wg.Wait()
	c.ReadNodes(nodes, noNodes)
	c.ReadVersion(version, noVersion)
	if c.IsOpenShift() {
		if text, err := get(ctx, which, "get", "clusterversions.config.openshift.io", "version", "-o", "json"); err == nil {
			c.ReadClusterVersion(text)
		}
	}
}

// get is what kubectl prints; an error has its own words.
func get(ctx context.Context, which remote.Cluster, args ...string) ([]byte, error) {
	title := "kubectl " + strings.Join(args, " ")
	k := remote.Kubectl{Args: append(append(args, clusterPatience), which.Flags()...), Timeout: clusterTimeout}
	out, errs := &kept{}, &output{}
	err := runKubectl(ctx, title, k, out, errs)
	var failed *remote.CommandError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("kubectl is not installed here, where runai-prep runs")
	case errors.As(err, &failed) && failed.Stderr != "":
		// What it said last: before that it may have tried five times, and said so each time.
		lines := strings.Split(failed.Stderr, "\n")
		return nil, fmt.Errorf("%s: %s", title, lines[len(lines)-1])
	case err != nil:
		return nil, err
	case out.over:
		return nil, fmt.Errorf("%s: it printed more than %d MiB", title, maxCluster>>20)
	}
	return out.Bytes(), nil
}

// kept is what a program prints, up to maxCluster.
type kept struct {
	bytes.Buffer
	over bool
}

func (k *kept) Write(b []byte) (int, error) {
	if k.over = k.over || k.Len()+len(b) > maxCluster; !k.over {
		return k.Buffer.Write(b)
	}
	return len(b), nil
}
