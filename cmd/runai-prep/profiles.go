package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/inventory"
)

func (a *app) profiles() *cobra.Command {
	c := &cobra.Command{
		Use:   "profiles",
		Short: "List the built-in requirement profiles",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, p := range inventory.Profiles() {
				title := p.Title
				if p.Name == inventory.DefaultProfile {
					title += " (the default)"
				}
				fmt.Fprintf(w, "%s\t%s\n", p.Name, title)
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.profilesShow(), a.profilesDiff())
	return c
}

func (a *app) profilesShow() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "show NAME [INVENTORY]",
		Short: "Print a profile: a built-in one as HCL, one that an inventory declares with all that it extends",
		Args:  arguments(1, 2, "the name of a profile, and the inventory that declares it where one does"),
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains([]string{"", "hcl", "text", "json"}, output) {
				return fmt.Errorf("-o %s: profiles are shown as hcl, text or json", output)
			}
			all, err := a.knownProfiles(args[1:])
			if err != nil {
				return err
			}
			p, err := profileNamed(all, args[0])
			if err != nil {
				return err
			}
			switch output = cmp.Or(output, map[bool]string{true: "hcl", false: "text"}[p.BuiltIn]); output {
			case "json":
				return a.printJSON(map[string]any{"name": p.Name, "extends": p.Extends, "title": p.Title, "source": p.Source, "requirements": p.Rows()})
			case "text":
				writeProfile(a.stdout, p, a.width(a.stdout))
				return nil
			}
			source, err := inventory.ProfileSource(p.Name)
			if err != nil {
				return fmt.Errorf("%s is declared in the inventory and has no HCL of its own here: -o text or json", p.Name)
			}
			_, err = a.stdout.Write(source)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "hcl, text or json (default hcl for built-in ones, else text)")
	a.variableFlags(c.Flags())
	c.ValidArgsFunction = completeProfiles(1)
	return c
}

// knownProfiles are the built-in profiles, and those that the inventory
// declares, where one is named.
func (a *app) knownProfiles(inventories []string) ([]*inventory.Profile, error) {
	all := inventory.Profiles()
	if len(inventories) == 0 {
		return all, nil
	}
	inv, err := a.load(inventories[0])
	if err != nil {
		return nil, err
	}
	return append(all, inv.Declared...), nil
}

func profileNamed(all []*inventory.Profile, name string) (*inventory.Profile, error) {
	var names []string
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("there is no profile %q; there are %s. One of an inventory's own needs the inventory as the last argument", name, strings.Join(names, ", "))
}

// writeProfile prints a profile for people.
func writeProfile(w io.Writer, p *inventory.Profile, width int) {
	fmt.Fprintf(w, "%s: %s\n", p.Name, p.Title)
	if p.Extends != "" {
		fmt.Fprintf(w, "extends %s\n", p.Extends)
	}
	fill(w, "source: ", "  ", p.Source, width)
	said := ""
	for _, r := range p.Rows() {
		if said == "" || r.Text != said {
			fmt.Fprintln(w)
		}
		fill(w, r.Key+"  ", "    ", r.Value, width)
		if r.Text == said && said != "" {
			continue // a row of the same sentence
		}
		if said = r.Text; said != "" {
			fill(w, "    ", "    ", "“"+r.Text+"”", width)
		}
		if r.Source != p.Source && r.Source != "" {
			fill(w, "    source: ", "    ", r.Source, width)
		}
	}
}

// completeProfiles completes n names of built-in profiles, then an inventory.
func completeProfiles(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= n {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		}
		var names []string
		for _, p := range inventory.Profiles() {
			names = append(names, p.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
