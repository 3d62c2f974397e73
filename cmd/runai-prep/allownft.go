package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// directOf is where a host's own packets go: to what it needs, or to its proxy;
// and if it is the proxy, to what all hosts need.
func directOf(h inventory.Host) []inventory.Endpoint {
	direct := h.Egress
	if h.Proxy.HasURL() {
		direct = nil
		for _, raw := range []string{h.Proxy.HTTPProxy, h.Proxy.HTTPSProxy} {
			u, err := url.Parse(raw)
			if err != nil || u.Hostname() == "" {
				continue
			}
			port, err := strconv.Atoi(u.Port())
			if err != nil {
				port = map[string]int{"http": 80, "https": 443}[u.Scheme]
			}
			direct = append(direct, inventory.Endpoint{Host: u.Hostname(), Port: port, Why: h.Proxy.Why, Title: "the proxy"})
		}
	}
	if h.Squid != nil {
		direct = append(slices.Clone(direct), h.Squid.Allow...)
	}
	return direct
}

// An nftFile is a chain to jump to, and the sets that it needs. What hosts send
// to one another, to their DNS, clocks and disks is not in the list, so it drops
// nothing: the rules after the jump do.
type nftFile struct {
	list  []allowed
	hosts map[string][]inventory.Host // by role
	from  nftSets                     // by role
	to    nftSets                     // by name
}

func allowNFTables(to io.Writer, inv *inventory.Inventory, hosts []inventory.Host) error {
	f := nftFile{list: allowedBy(hosts, directOf), hosts: map[string][]inventory.Host{}, from: nftSets{}, to: nftSets{}}
	for _, x := range f.list {
		if _, err := netip.ParseAddr(x.Host); err != nil {
			f.to.add("runai_prep_to_", x.Host)
		}
	}
	for _, h := range hosts {
		f.hosts[h.Role] = append(f.hosts[h.Role], h)
	}
	for _, role := range slices.Sorted(maps.Keys(f.hosts)) {
		f.from.add("runai_prep_from_", role)
	}
	w := bufio.NewWriter(to)
	f.head(w, filepath.Base(inv.Path))
	fmt.Fprint(w, "table inet filter {\n")
	f.sets(w)
	f.chain(w)
	fmt.Fprint(w, "}\n")
	return w.Flush()
}

func (f nftFile) head(w io.Writer, inventory string) {
	fmt.Fprintf(w, `#!/usr/sbin/nft -f
# Where the hosts of %s send to by themselves: to what they need, or to the
# proxy that carries it. All else is left to the rules that come after
#
#	nft add rule inet filter forward jump runai_prep
#
# Loading this again replaces it.
`, comment(inventory))
	if len(f.to) > 0 {
		fmt.Fprint(w, `#
# A name has many addresses, and they change: its sets are empty until something
# fills them. dnsmasq 2.87 and later does, if the hosts ask it for names:
#
`)
		for _, host := range slices.Sorted(maps.Keys(f.to)) {
			fmt.Fprintf(w, "#	nftset=/%s/4#inet#filter#%s_v4,6#inet#filter#%[2]s_v6\n", strings.TrimPrefix(host, "*."), f.to[host])
		}
		if slices.ContainsFunc(f.list, func(x allowed) bool { return strings.HasPrefix(x.Host, "*.") }) {
			fmt.Fprint(w, "#\n# Nothing but that can fill the sets of names that begin with an asterisk: nftables\n# knows addresses alone, and dnsmasq takes a domain for all that is below it.\n")
		}
	}
	fmt.Fprint(w, "\nadd table inet filter\nadd chain inet filter runai_prep\nflush chain inet filter runai_prep\n")
	for _, role := range slices.Sorted(maps.Keys(f.from)) {
		for _, family := range f.families(role) {
			set := f.from[role] + "_" + family.short
			fmt.Fprintf(w, "add set inet filter %s { type %s; flags interval; auto-merge; }\nflush set inet filter %[1]s\n", set, family.kind)
		}
	}
	fmt.Fprintln(w)
}

func (f nftFile) sets(w io.Writer) {
	for _, role := range slices.Sorted(maps.Keys(f.from)) {
		numbers, names := addressesOf(f.hosts[role])
		if role == "" {
			fmt.Fprint(w, "\t# hosts without a role\n")
		} else {
			fmt.Fprintf(w, "\t# hosts with the role %s\n", role)
		}
		for _, name := range names {
			fmt.Fprintf(w, "\t# The inventory has no number for %s: add its address to the set.\n", name)
		}
		for _, family := range f.families(role) {
			fmt.Fprintf(w, "\tset %s_%s {\n\t\ttype %s\n\t\tflags interval\n\t\tauto-merge\n%s\t}\n",
				f.from[role], family.short, family.kind, elements(family.of(numbers)))
		}
	}
	for _, host := range slices.Sorted(maps.Keys(f.to)) {
		for _, family := range nftFamilies {
			fmt.Fprintf(w, "\tset %s_%s { type %s; }\n", f.to[host], family.short, family.kind)
		}
	}
}

func (f nftFile) chain(w io.Writer) {
	fmt.Fprint(w, "\n\tchain runai_prep {\n")
	for i, x := range f.list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "\t\t# %s: %s; %s\n", x.Endpoint, x.Phase, comment(x.Why))
		roles := slices.Clone(x.Roles)
		if x.others {
			roles = append(roles, "")
		}
		for _, role := range roles {
			for _, family := range f.families(role) {
				destination := "@" + f.to[x.Host] + "_" + family.short
				if number, err := netip.ParseAddr(x.Host); err == nil {
					if number.Unmap().Is4() != family.four {
						continue
					}
					destination = number.Unmap().String()
				}
				fmt.Fprintf(w, "\t\t%[1]s saddr @%[2]s_%[3]s %[1]s daddr %[4]s tcp dport %[5]d accept\n",
					family.word, f.from[role], family.short, destination, x.Port)
			}
		}
	}
	fmt.Fprint(w, "\t}\n")
}

// families are those of the addresses of a role's hosts: both, where they are
// not all known.
func (f nftFile) families(role string) []nftFamily {
	numbers, names := addressesOf(f.hosts[role])
	return slices.DeleteFunc(slices.Clone(nftFamilies), func(family nftFamily) bool {
		return names == nil && len(family.of(numbers)) == 0
	})
}

// An nftFamily is one of the two kinds of addresses.
type nftFamily struct {
	short, kind, word string
	four              bool
}

var nftFamilies = []nftFamily{{"v4", "ipv4_addr", "ip", true}, {"v6", "ipv6_addr", "ip6", false}}

func (f nftFamily) of(all []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is4() != f.four })
}

// elements writes sorted addresses, those in a row as a range.
func elements(sorted []netip.Addr) string {
	var parts []string
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end].Next() == sorted[end+1] {
			end++
		}
		part := sorted[i].String()
		if end > i {
			part += "-" + sorted[end].String()
		}
		parts, i = append(parts, part), end+1
	}
	if parts == nil {
		return ""
	}
	return "\t\telements = { " + strings.Join(parts, ",\n\t\t\t     ") + " }\n"
}

// nftSets are names of sets, without their family, by what they are for.
type nftSets map[string]string

// add makes a name that nft takes and no other set has.
func (s nftSets) add(prefix, key string) {
	if s[key] != "" {
		return
	}
	plain := prefix + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, cmp.Or(strings.TrimPrefix(key, "*."), "others"))
	taken := slices.Collect(maps.Values(s))
	name := plain
	for n := 2; slices.Contains(taken, name); n++ {
		name = plain + "_" + strconv.Itoa(n)
	}
	s[key] = name
}

// comment keeps a text on its line.
func comment(text string) string { return strings.Join(strings.Fields(text), " ") }
