package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/inventory"
)

// An allowed endpoint, and who needs it why.
type allowed struct {
	Endpoint    string   `json:"endpoint"` // host:port
	Host        string   `json:"host"`
	Port        int      `json:"port"`
	Phase       string   `json:"phase"`       // install, run or both
	Roles       []string `json:"roles"`       // of the hosts that need it
	Why         string   `json:"why"`         // where it comes from: a profile's requirement, a place in the inventory
	Requirement string   `json:"requirement"` // the sentence that asks for it; may be empty

	others bool // hosts without a role need it too
}

// both is the phase of what is needed to install and to run.
const both = "both"

// allowFormats are how the list can be written.
var allowFormats = map[string]func(io.Writer, *inventory.Inventory, []inventory.Host) error{
	"table":    allowTable,
	"csv":      allowCSV,
	"json":     allowJSON,
	"squid":    allowSquid,
	"nftables": allowNFTables,
}

func (a *app) allowlist() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "allowlist INVENTORY",
		Short: "Print the outbound endpoints that the hosts need, for whoever owns the firewall",
		Args:  oneInventory,
		RunE: func(_ *cobra.Command, args []string) error {
			write, ok := allowFormats[format]
			if !ok {
				return fmt.Errorf("--format %s: the formats are table, csv, json, squid, nftables", format)
			}
			inv, err := a.load(args[0])
			if err != nil {
				return err
			}
			hosts, err := a.hosts(inv)
			if err != nil {
				return err
			}
			return write(a.stdout, inv, hosts)
		},
	}
	a.inventoryFlags(c)
	c.Flags().StringVar(&format, "format", "table", "table, csv, json, squid or nftables")
	return c
}

// allowedBy is the union of what the hosts need, by endpoint.
func allowedBy(hosts []inventory.Host, needs func(inventory.Host) []inventory.Endpoint) []allowed {
	found := map[string]*allowed{}
	for _, h := range hosts {
		for _, e := range needs(h) {
			address := net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
			phase := cmp.Or(e.Phase, both)
			x := found[address]
			if x == nil {
				x = &allowed{Endpoint: address, Host: e.Host, Port: e.Port, Phase: phase, Why: e.Why, Roles: []string{}}
				found[address] = x
			}
			if x.Phase != phase {
				x.Phase = both // to one host for this, to another for that
			}
			if !slices.Contains(strings.Split(x.Why, ", "), e.Why) {
				x.Why += ", " + e.Why
			}
			x.Requirement = cmp.Or(x.Requirement, e.Text, e.Title)
			switch {
			case h.Role == "":
				x.others = true
			case !slices.Contains(x.Roles, h.Role):
				x.Roles = append(x.Roles, h.Role)
			}
		}
	}
	list := make([]allowed, 0, len(found))
	for _, x := range found {
		slices.Sort(x.Roles)
		list = append(list, *x)
	}
	slices.SortFunc(list, func(x, y allowed) int { return cmp.Compare(x.Endpoint, y.Endpoint) })
	return list
}

// egressOf is what a host needs, whoever carries it there.
func egressOf(h inventory.Host) []inventory.Endpoint { return h.Egress }

func (x allowed) roles() string {
	switch {
	case len(x.Roles) == 0:
		return "all"
	case x.others:
		return strings.Join(x.Roles, ", ") + ", others"
	}
	return strings.Join(x.Roles, ", ")
}

func allowTable(to io.Writer, _ *inventory.Inventory, hosts []inventory.Host) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENDPOINT\tPHASE\tNEEDED BY\tWHY")
	for _, x := range allowedBy(hosts, egressOf) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Endpoint, x.Phase, x.roles(), x.Why)
	}
	return w.Flush()
}

func allowCSV(to io.Writer, _ *inventory.Inventory, hosts []inventory.Host) error {
	w := csv.NewWriter(to)
	_ = w.Write([]string{"endpoint", "host", "port", "phase", "roles", "why", "requirement"}) // Error tells
	for _, x := range allowedBy(hosts, egressOf) {
		_ = w.Write([]string{x.Endpoint, x.Host, strconv.Itoa(x.Port), x.Phase, strings.Join(x.Roles, " "), x.Why, x.Requirement})
	}
	w.Flush()
	return w.Error()
}

func allowJSON(to io.Writer, _ *inventory.Inventory, hosts []inventory.Host) error {
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	return enc.Encode(allowedBy(hosts, egressOf))
}
