package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// The cluster itself knows whether a host has joined, whether it is ready, and
// what version its kubelet runs, which need not be the one that is installed.
// It is asked once for all hosts, and each host's section is given what the
// cluster says of that host alone: so a recording of it is whole.

// clusterOf is the cluster that is asked for a host; nil: none is given.
func clusterOf(h inventory.Host) *remote.Cluster {
	if in := kubectlsCluster(h); kubernetesWished(h) && in != (remote.Cluster{}) {
		return &in
	}
	return nil
}

// kubectlsCluster is the cluster of a host as kubectl finds it.
func kubectlsCluster(h inventory.Host) remote.Cluster {
	if h.Kubernetes == nil {
		return remote.Cluster{}
	}
	return remote.Cluster{Kubeconfig: h.Kubernetes.Kubeconfig, Context: h.Kubernetes.Context}
}

// A Cluster is what kubectl says of one.
type Cluster struct {
	clusterFacts
	nodes []clusterNode
}

// clusterFacts are what a host's plan needs of it.
type clusterFacts struct {
	Fault        string      `json:"fault,omitempty"`         // why its nodes are not known
	Version      string      `json:"version,omitempty"`       // of the API server: "1.28.9"
	VersionFault string      `json:"version_fault,omitempty"` // why that is not known
	OpenShift    string      `json:"openshift,omitempty"`     // "4.14.8"; empty: it is none, or does not say
	Nodes        []nodeFacts `json:"nodes,omitempty"`         // that the host may be; none: it has not joined
}

// nodeFacts are those of a node that a host may be.
type nodeFacts struct {
	Name     string `json:"name"`
	By       string `json:"by"`      // what they have in common: hostname, address, name
	Kubelet  string `json:"kubelet"` // "1.28.9"; empty: it does not say
	Ready    string `json:"ready"`   // True, False, Unknown; empty: it does not say
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
	Cordoned bool   `json:"cordoned"`
	Ours     bool   `json:"ours,omitempty"` // the cordon is, see driverdrain.go
	Boot     string `json:"boot,omitempty"` // of the host, when the kubelet began to speak: its boot_id
}

// A clusterNode is one of a list in the API's words (core/v1), as far as it matters here.
type clusterNode struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
		NodeInfo struct {
			KubeletVersion string `json:"kubeletVersion"`
			BootID         string `json:"bootID"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

// ReadNodes takes in `kubectl get nodes -o json`, or why it was not to be had.
func (c *Cluster) ReadNodes(text []byte, err error) {
	var list struct {
		Kind  string        `json:"kind"`
		Items []clusterNode `json:"items"`
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && list.Kind != "List" && list.Kind != "NodeList" {
		err = fmt.Errorf("kubectl printed no list of nodes, but a %q", clip(list.Kind, 40))
	}
	if err != nil {
		c.Fault = err.Error()
		return
	}
	c.nodes = list.Items
}

// ReadVersion takes in `kubectl version -o json`, or why it was not to be had.
func (c *Cluster) ReadVersion(text []byte, err error) {
	var said struct {
		Server *struct {
			GitVersion string `json:"gitVersion"`
		} `json:"serverVersion"`
	}
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err == nil && said.Server == nil {
		err = errors.New("kubectl printed no version of the server")
	}
	if err == nil {
		if c.Version = coreVersion(said.Server.GitVersion); c.Version == "" {
			err = fmt.Errorf("the server says the version %q", clip(said.Server.GitVersion, 40))
		}
	}
	if err != nil {
		c.VersionFault = err.Error()
	}
}

// IsOpenShift reports whether nodes have the labels of one.
func (c *Cluster) IsOpenShift() bool {
	return slices.ContainsFunc(c.nodes, func(n clusterNode) bool { return n.Metadata.Labels["node.openshift.io/os_id"] != "" })
}

// ReadClusterVersion takes in `kubectl get clusterversion version -o json` of an
// OpenShift: the last update that was completed.
func (c *Cluster) ReadClusterVersion(text []byte) {
	var said struct {
		Status struct {
			History []struct { // newest first
				State   string `json:"state"`
				Version string `json:"version"`
			} `json:"history"`
		} `json:"status"`
	}
	if json.Unmarshal(text, &said) != nil {
		return
	}
	for _, h := range said.Status.History {
		if h.State == "Completed" {
			c.OpenShift = coreVersion(h.Version)
			return
		}
	}
}

// OfHost is what of the cluster a host's section is given: the nodes that it may
// be, by the name and the address of both.
func (c *Cluster) OfHost(h inventory.Host, s remote.Section) string {
	of := c.clusterFacts
	hostname := ""
	if blocks, err := readBlocks(s); err == nil {
		for _, b := range blocks {
			if b.kind == "hostname" {
				hostname = strings.ToLower(b.rest)
			}
		}
	}
	var named []nodeFacts // only by what the inventory calls the host
	for _, n := range c.nodes {
		switch {
		case hostname != "" && (n.Metadata.Name == hostname || n.Metadata.Labels["kubernetes.io/hostname"] == hostname):
			of.Nodes = append(of.Nodes, n.facts("hostname"))
		case n.hasAddress(h.Address):
			of.Nodes = append(of.Nodes, n.facts("address"))
		case n.Metadata.Name == strings.ToLower(h.Name):
			named = append(named, n.facts("name"))
		}
	}
	if of.Nodes == nil {
		of.Nodes = named
	}
	text, err := json.Marshal(of)
	if err != nil {
		panic(fmt.Sprintf("facts are data, and encode: %v", err))
	}
	return string(text) + "\n"
}

func (n clusterNode) hasAddress(address string) bool {
	for _, a := range n.Status.Addresses {
		if a.Address == address && (a.Type == "InternalIP" || a.Type == "Hostname") {
			return true
		}
	}
	return false
}

func (n clusterNode) facts(by string) nodeFacts {
	f := nodeFacts{
		Name: clip(remote.Safe(n.Metadata.Name), 253), By: by, Cordoned: n.Spec.Unschedulable,
		Kubelet: coreVersion(n.Status.NodeInfo.KubeletVersion),
		Ours:    n.Spec.Unschedulable && n.Metadata.Labels[cordonLabel] != "",
		Boot:    clip(remote.Safe(n.Status.NodeInfo.BootID), 64),
	}
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			f.Ready, f.Reason, f.Message = clip(remote.Safe(c.Status), 40), clip(remote.Safe(c.Reason), 80), clip(remote.Safe(c.Message), 300)
		}
	}
	return f
}

// ReadyNode is the node that a host is, and its boot, of what OfHost has told;
// empty: which one it is is not known, or it is not ready.
func ReadyNode(told string) (name, boot string) {
	f, err := readOfHost(told)
	if err != nil || f == nil || len(f.Nodes) != 1 || f.Nodes[0].Ready != "True" {
		return "", ""
	}
	return f.Nodes[0].Name, f.Nodes[0].Boot
}

// readOfHost reads what OfHost has written; nil: no cluster was asked.
func readOfHost(text string) (*clusterFacts, error) {
	if text == "" {
		return nil, nil
	}
	f := &clusterFacts{}
	return f, json.Unmarshal([]byte(text), f)
}

// cluster is what the cluster says, if one is asked now.
func (p *kubernetesPlan) cluster() clusterFacts {
	switch {
	case clusterOf(p.h) == nil:
		return clusterFacts{}
	case p.f.Cluster == nil:
		const why = "the cluster was not asked"
		return clusterFacts{Fault: why, VersionFault: why}
	}
	return *p.f.Cluster
}

// apiServer is the version of the API server: the one on this host, else what
// the cluster says; empty: not known.
func (p *kubernetesPlan) apiServer() string {
	if p.f.APIServer != "" {
		return p.f.APIServer
	}
	return p.cluster().Version
}

// node is the host as its cluster has it. Not there is how a host is before it
// joins, and no fault.
func (p *kubernetesPlan) node() []change {
	in := clusterOf(p.h)
	if in == nil {
		return nil
	}
	has := p.cluster()
	c := p.finding("node", "ready once it has joined").because(p.k.ClusterWhy)
	byHand := strings.Join(append([]string{"kubectl get nodes"}, in.Flags()...), " ")
	switch {
	case has.Fault != "":
		c.State, c.Have, c.Hint = Unknown, has.Fault, byHand
		return []change{c}
	case len(has.Nodes) == 0:
		c.Have = "not joined yet"
		if slices.ContainsFunc(p.f.Running, func(name string) bool { return slices.Contains(componentNames, name) }) {
			c.warn("Kubernetes runs here, and no node of this cluster has the host's name or address")
			c.Hint = "is it another cluster's? " + byHand
		}
		return []change{c}
	case len(has.Nodes) > 1:
		var words []string
		for _, n := range has.Nodes {
			words = append(words, n.Name+" (by its "+n.By+")")
		}
		c.State, c.Have = Unknown, "it may be any of "+strings.Join(words, ", ")
		c.Hint = "give the host a name, and its node an address, that no other has"
		return []change{c}
	}
	n := has.Nodes[0]
	describe := strings.Join(append([]string{"kubectl describe node " + n.Name}, in.Flags()...), " ") + "; on the host: journalctl -u kubelet"
	switch {
	case n.Ready == "True" && n.Boot != "" && p.f.bootID != "" && n.Boot != p.f.bootID:
		c.State, c.Have = Unknown, n.Name+" was ready before the host's last boot; its kubelet has not been heard of since"
		c.Hint = describe
	case n.Ready == "True":
		c.Have = n.Name + " is ready"
	case n.Ready == "":
		c.State, c.Have = Unknown, n.Name+" does not say whether it is ready"
	default:
		c.State, c.Have = Unmet, n.Name+" is not ready: "+n.Reason+": "+strings.TrimSuffix(n.Message, ".")
		c.Hint = describe
	}
	switch {
	case n.Ours:
		c.Have += "; it is cordoned by runai-prep until its driver is proved"
	case n.Cordoned:
		c.warn("it is cordoned (SchedulingDisabled): no pods are sent there; kubectl uncordon %s", n.Name)
	}
	return []change{c, p.nodeVersion(n)}
}

// nodeVersion is that of the kubelet that runs, as it has told the cluster.
func (p *kubernetesPlan) nodeVersion(n nodeFacts) change {
	has := p.cluster()
	c := p.ranged("node version", p.k.Version)
	c.Have = n.Kubelet
	if here := p.f.node(); here != nil && here.Version != "" && n.Kubelet != "" && here.Version != n.Kubelet {
		c.warn("%s is installed, and does not run: restart it", here.Version)
	}
	openshift := p.f.OpenShift != "" || has.OpenShift != ""
	if openshift {
		c.Want = "as OpenShift brings it"
	}
	switch {
	case n.Kubelet == "":
		c.State, c.Have = Unknown, n.Name+" does not say the version of its kubelet"
	case !openshift && !p.supported(&c, n.Kubelet):
		c.Hint = "upgrade the cluster, and then this node: one minor version after the other"
	case has.VersionFault != "":
		c.State, c.Have = Unknown, n.Kubelet+"; that of the API server is not known: "+has.VersionFault
	case !p.fitsAPI(&c, n.Kubelet):
	default:
		c.Have += ", and the API server " + has.Version
	}
	return c
}
