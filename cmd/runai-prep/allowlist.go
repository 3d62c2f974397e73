package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
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
	Endpoint string   `json:"endpoint"` // host:port
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	Phase    string   `json:"phase"` // install, run, or empty for both
	Roles    []string `json:"roles"` // of the hosts that need it
	Why      string   `json:"why"`
}

func (a *app) allowlist() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "allowlist INVENTORY",
		Short: "Print the outbound endpoints that the hosts need, for whoever owns the firewall",
		Args:  oneInventory,
		RunE: func(_ *cobra.Command, args []string) error {
			write, ok := map[string]func([]allowed) error{
				"table": a.allowTable, "csv": a.allowCSV, "json": a.allowJSON,
			}[format]
			if !ok {
				return fmt.Errorf("--format %s: the formats are table, csv, json", format)
			}
			inv, err := a.load(args[0])
			if err != nil {
				return err
			}
			hosts, err := a.hosts(inv)
			if err != nil {
				return err
			}
			return write(allowedBy(hosts))
		},
	}
	a.inventoryFlags(c)
	c.Flags().StringVar(&format, "format", "table", "table, csv or json")
	return c
}

// allowedBy is the union of what the hosts need, by endpoint.
func allowedBy(hosts []inventory.Host) []allowed {
	found := map[string]*allowed{}
	for _, h := range hosts {
		for _, e := range h.Egress {
			address := net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
			x := found[address]
			if x == nil {
				x = &allowed{Endpoint: address, Host: e.Host, Port: e.Port, Phase: e.Phase, Why: e.Why, Roles: []string{}}
				found[address] = x
			}
			if h.Role != "" && !slices.Contains(x.Roles, h.Role) {
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

func (a *app) allowTable(list []allowed) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENDPOINT\tPHASE\tNEEDED BY\tWHY")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Endpoint, cmp.Or(x.Phase, "both"), cmp.Or(strings.Join(x.Roles, ", "), "all"), x.Why)
	}
	return w.Flush()
}

func (a *app) allowCSV(list []allowed) error {
	w := csv.NewWriter(a.stdout)
	_ = w.Write([]string{"endpoint", "host", "port", "phase", "roles", "why"}) // Error tells
	for _, x := range list {
		_ = w.Write([]string{x.Endpoint, x.Host, strconv.Itoa(x.Port), x.Phase, strings.Join(x.Roles, " "), x.Why})
	}
	w.Flush()
	return w.Error()
}

func (a *app) allowJSON(list []allowed) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}
