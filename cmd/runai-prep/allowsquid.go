package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/tasks"
)

// allowSquid are the rules that the squid task itself writes. Clients are those
// of the inventory's own proxies, or else the hosts.
func allowSquid(to io.Writer, inv *inventory.Inventory, hosts []inventory.Host) error {
	w := bufio.NewWriter(to)
	list := allowedBy(hosts, egressOf)
	fmt.Fprintf(w, "# Include this before all that squid.conf decides with http_access; its last line denies the rest.\n#\n")
	for _, x := range list {
		fmt.Fprintf(w, "# %s: %s; needed by %s; %s\n", x.Endpoint, x.Phase, x.roles(), x.Why)
	}
	var clients []string
	for _, h := range inv.Hosts {
		if h.Squid != nil {
			clients = append(clients, h.Squid.Clients...)
		}
	}
	if clients == nil {
		numbers, names := addressesOf(hosts)
		for _, a := range numbers {
			clients = append(clients, netip.PrefixFrom(a, a.BitLen()).String())
		}
		for _, name := range names {
			fmt.Fprintf(w, "#\n# The inventory has no number for %s: let it in with acl runai_prep_clients src ADDRESS\n", name)
		}
	}
	slices.Sort(clients)
	var endpoints []inventory.Endpoint
	for _, x := range list {
		endpoints = append(endpoints, inventory.Endpoint{Host: x.Host, Port: x.Port})
	}
	fmt.Fprintf(w, "#\n%s", tasks.SquidConf(slices.Compact(clients), endpoints))
	return w.Flush()
}

// addressesOf are the addresses of hosts, sorted, and those hosts that the
// inventory knows by name alone.
func addressesOf(hosts []inventory.Host) (numbers []netip.Addr, names []string) {
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h.Address); err == nil {
			numbers = append(numbers, a.Unmap().WithZone(""))
		} else {
			names = append(names, h.Name)
		}
	}
	slices.SortFunc(numbers, netip.Addr.Compare)
	return slices.Compact(numbers), names
}
