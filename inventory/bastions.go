package inventory

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// resolveBastions replaces the names of hops that are hosts of the inventory
// by their addresses, and reports hosts whose way leads through themselves.
func (b *hostBuilder) resolveBastions() {
	// Hosts share settings: the ways are few where the hosts are many.
	ways := map[*Settings][]int{} // hops that are hosts, by name or address
	at := b.hopAddresses()
	for i := range b.hosts {
		s := b.hosts[i].Settings
		if _, done := ways[s]; done {
			continue
		}
		hops := []int{}
		for _, hop := range s.SSH.Bastions {
			if p, ok := b.named[hop.Host]; ok {
				hops = append(hops, p.index)
			} else if i, ok := at[keyOf(hop.Host, hop.Port)]; ok {
				hops = append(hops, i)
			}
		}
		ways[s] = hops
	}
	state := make([]int8, len(b.hosts)) // 1: on the path, 2: done
	var path []int
	var walk func(i int)
	walk = func(i int) {
		if state[i] == 2 {
			return
		}
		if state[i] == 1 {
			at := slices.Index(path, i)
			var names []string
			for _, j := range append(slices.Clone(path[at:]), i) {
				names = append(names, b.hosts[j].Name)
			}
			b.errorf(b.bastionRange(i), "Cycle of bastions", "The way to %q leads through itself: %s. Give it a way of its own: ssh { bastion = [] } in its host block.", b.hosts[i].Name, strings.Join(names, " → "))
			return
		}
		hops := ways[b.hosts[i].Settings]
		if len(hops) == 0 {
			state[i] = 2
			return
		}
		state[i] = 1
		path = append(path, i)
		for _, j := range hops {
			walk(j)
		}
		path = path[:len(path)-1]
		state[i] = 2
	}
	for i := range b.hosts {
		walk(i)
	}
	for s := range ways {
		for k := range s.SSH.Bastions {
			hop := &s.SSH.Bastions[k]
			p, ok := b.named[hop.Host]
			if !ok {
				continue
			}
			target := b.hosts[p.index]
			hop.Host = target.Address
			if hop.User == "" {
				hop.User = target.SSH.User
			}
			if hop.Port == 0 {
				hop.Port = target.SSH.Port
			}
		}
	}
}

// hopAddresses finds the hosts that hops name by address instead of by name.
// Where several share it, as in two networks, it is one that is reached
// directly, if any is.
func (b *hostBuilder) hopAddresses() map[endpointKey]int {
	wanted := map[endpointKey]bool{}
	seen := map[*Settings]bool{}
	for i := range b.hosts {
		s := b.hosts[i].Settings
		if seen[s] {
			continue
		}
		seen[s] = true
		for _, hop := range s.SSH.Bastions {
			if _, named := b.named[hop.Host]; !named {
				wanted[keyOf(hop.Host, hop.Port)] = true
			}
		}
	}
	found := map[endpointKey]int{}
	if len(wanted) == 0 {
		return found
	}
	for i := range b.hosts {
		h := &b.hosts[i]
		key := keyOf(h.Address, h.SSH.Port)
		if !wanted[key] {
			continue
		}
		if _, taken := found[key]; !taken || len(h.SSH.Bastions) == 0 {
			found[key] = i
		}
	}
	return found
}

// bastionRange is where the way to a host is said: in its own block, its
// groups, its role or at the top.
func (b *hostBuilder) bastionRange(i int) hcl.Range {
	h, block := &b.hosts[i], b.places[i]
	levels := []*level{b.top}
	if lv := b.roles[h.Role]; lv != nil {
		levels = append(levels, lv)
	}
	for _, g := range h.Groups {
		levels = append(levels, b.groups[g])
	}
	if block.shared != nil {
		levels = append(levels, block.shared)
	}
	for _, la := range slices.Backward(layersOf(levels, "ssh")) {
		if a, ok := la.attrs["bastion"]; ok {
			return a.expr.Range()
		}
	}
	return block.block.DefRange
}
