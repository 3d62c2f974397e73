package tasks

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

// A node is cordoned and drained by the controller's kubectl before its driver
// is replaced, and uncordoned once the driver is proved. Whose cordon it is
// shows in two places. The node has a label of ours only if nobody had cordoned
// it before, and only by that label it is given back: one that somebody else
// has set aside stays so. And the host's ledger remembers the node from before
// the first step on, so that whoever comes next, from whatever controller,
// finds it there, though the one who cordoned it was killed right before the end.

const (
	cordonLabel = "runai-prep/cordoned"
	drainLimit  = 30 * time.Minute
)

// nodeName is the host's name in its cluster, as kubelet takes it.
func (p *driverPlan) nodeName() string { return strings.ToLower(p.f.Hostname) }

func cordonedEntry(node string) entry { return entry{"cordoned", "/", node} }

// kubectl is run on the controller, for the host's cluster.
func (p *driverPlan) kubectl(limit time.Duration, args ...string) remote.Step {
	args = append(args, p.w.cluster.Flags()...)
	return remote.Step{Title: "kubectl " + strings.Join(args, " "), Kubectl: &remote.Kubectl{Args: args, Timeout: limit}}
}

// drain sends pods away. Where they do not all go in time, for a budget of
// theirs forbids it, nothing is changed.
func (p *driverPlan) drain() []remote.Step {
	node, limit := p.nodeName(), cmp.Or(p.w.BusyWait, drainLimit)
	drain := p.kubectl(limit+2*time.Minute, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+briefly(limit))
	drain.Kubectl.Guard = true
	drain.Disrupts = "the pods of the node are moved to others"
	return []remote.Step{
		p.kubectl(time.Minute, "label", "nodes", "--field-selector", "metadata.name="+node+",spec.unschedulable=false", cordonLabel+"="+labelValue(node), "--overwrite"),
		p.kubectl(time.Minute, "cordon", node),
		drain,
	}
}

func (p *driverPlan) uncordon(node string) []remote.Step {
	selector := cordonLabel + "=" + labelValue(node)
	return []remote.Step{
		p.kubectl(time.Minute, "uncordon", "-l", selector),
		p.kubectl(time.Minute, "label", "nodes", "-l", selector, cordonLabel+"-"),
	}
}

// node is given back after the proof, or at once where it could not be drained.
// One that was cordoned by an apply that was cut off may have half a driver: it
// has to wait for the proof.
func (p *driverPlan) node() change {
	before := p.f.ledger.of("cordoned")
	if !p.drains && len(before) == 0 {
		return change{}
	}
	c := p.finding("kubernetes node", "takes pods")
	c.State = Pending
	node := p.nodeName()
	if len(before) > 0 {
		node = before[len(before)-1].text
		c.Have = "cordoned for a driver, and not given back yet"
		c.Hint = "it is given back once the driver is proved; by hand: kubectl uncordon " + node
		c.ends = before
	} else {
		c.Have = "in use"
		c.Hint = fmt.Sprintf("it is given back once the driver is proved, and at once where it cannot be drained within %s", briefly(cmp.Or(p.w.BusyWait, drainLimit)))
		c.Undo = p.uncordon(node)
		c.ends = []entry{cordonedEntry(node)}
	}
	c.After = p.uncordon(node)
	return c
}

// briefly is "30m" of "30m0s".
func briefly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

// labelValue makes a node's name fit a label's value, which is shorter.
func labelValue(node string) string {
	if len(node) > 63 {
		node = node[:63]
	}
	return strings.Trim(node, ".-_")
}
