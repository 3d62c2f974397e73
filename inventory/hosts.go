package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// ownNames are the names that exist in a host's own expressions alone.
var ownNames = []string{"index", "name", "label", "indices", "labels"}

// A hostBlock is one host block, read but for what depends on the single name.
type hostBlock struct {
	label   string
	block   *hcl.Block
	pattern hostPattern
	attrs   hcl.Attributes
	perHost map[string]bool // attributes that refer to ownNames
	uses    []string        // which of ownNames
	address hostText        // the address compiled, or nil
	raw     *rawLevel
	shared  *level // raw evaluated, unless it refers to ownNames
}

// hosts reads roles, groups and hosts, and fills the inventory.
func (l *loader) hosts(d *declarations, inv *Inventory) {
	b := hostBuilder{
		loader: l,
		top:    l.evaluateLevel(l.readLevel(d.top, settingsKinds), l.root),
		roles:  l.levels("role", d.roles), groups: l.levels("group", d.groups),
		merged: map[string]*Settings{}, named: map[string]hostPlace{},
	}
	if inv.Requirements = b.top.requirements; inv.Requirements == nil {
		inv.Requirements = l.profile.find(l, DefaultProfile)
	}
	if name := l.options.Requirements; name != "" {
		if inv.Requirements = l.profile.find(l, name); inv.Requirements == nil {
			l.errorf(d.end, "Unknown profile", "%s", sentence(l.profile.check(name)))
			inv.Requirements = l.profile.find(l, DefaultProfile)
		}
	}
	for _, n := range sortedKeys(l.profile.declared) {
		if p := l.profile.find(l, n); !p.BuiltIn {
			inv.Declared = append(inv.Declared, p)
		}
	}
	b.fleet = inv.Requirements
	var blocks []*hostBlock
	total := 0
	for _, hb := range d.hosts {
		h := b.read(hb)
		if h == nil {
			continue
		}
		if total += h.pattern.count; total > MaxHosts {
			l.errorf(hb.LabelRanges[0], "Too many hosts", "With %q the inventory has %d hosts, more than the %d that one may hold. Split the fleet into several inventories.", h.label, total, MaxHosts)
			break
		}
		blocks = append(blocks, h)
	}
	b.takeRoles(blocks)
	b.hosts = make([]Host, 0, min(total, MaxHosts))
	for _, h := range blocks {
		b.expand(h)
	}
	if len(d.hosts) == 0 && len(l.files) > 0 && !l.failed() {
		l.warnf(d.end, "No hosts", "The inventory declares no host, so there is nothing to do. Add host \"NAME\" { … }.")
	}
	b.checkAddresses()
	b.resolveBastions()
	b.fillSquids()
	b.fillNoProxy()
	inv.Hosts = b.hosts
}

// levels reads the role or the group blocks.
func (l *loader) levels(what string, blocks hcl.Blocks) map[string]*level {
	byName := map[string]*level{}
	first := map[string]hcl.Range{}
	for _, b := range blocks {
		n := b.Labels[0]
		if err := name(n); err != nil {
			l.errorf(b.LabelRanges[0], "Invalid "+what+" name", "%s", sentence(err))
		}
		lv := l.evaluateLevel(l.readLevel(l.content(b.Body, levelSchema(levelAttributes, settingsKinds)), settingsKinds), l.root)
		if before, ok := first[n]; ok {
			l.errorf(b.LabelRanges[0], "Duplicate "+what, "The %s %q is declared a second time; the first is at %s. Put both into one.", what, n, place(before))
			continue
		}
		first[n], byName[n] = b.DefRange, lv
	}
	return byName
}

// A hostBuilder makes hosts out of host blocks.
type hostBuilder struct {
	*loader
	top           *level
	roles, groups map[string]*level
	fleet         *Profile
	merged        map[string]*Settings // by what applies: role, groups, own block
	hosts         []Host
	places        []*hostBlock // of hosts, by their position
	named         map[string]hostPlace
}

type hostPlace struct {
	index int
	block *hostBlock
}

// read checks what is the same for all names of a host block.
func (b *hostBuilder) read(hb *hcl.Block) *hostBlock {
	h := &hostBlock{label: hb.Labels[0], block: hb, perHost: map[string]bool{}}
	content := b.content(hb.Body, levelSchema(append([]string{"address", "role", "groups"}, levelAttributes...), settingsKinds))
	h.attrs = content.Attributes
	var err error
	if h.pattern, err = parsePattern(h.label); err != nil {
		b.errorf(hb.LabelRanges[0], "Invalid host pattern", "%s", sentence(err))
		h.pattern.count = 0
	}
	own := ownNames
	if len(h.pattern.brackets()) == 0 {
		own = []string{"name"}
	}
	for n, a := range h.attrs {
		if n != "requirements" && !slices.Contains(levelAttributes, n) {
			uses := b.checkNames(a.Expr, own)
			h.perHost[n] = len(uses) > 0
			h.uses = append(h.uses, uses...)
		}
	}
	if h.perHost["address"] {
		h.address = compileText(h.attrs["address"].Expr)
	}
	h.raw = b.readLevel(content, settingsKinds, own...)
	h.uses = append(h.uses, h.raw.uses...)
	if len(h.raw.uses) == 0 {
		h.shared = b.evaluateLevel(h.raw, b.root)
	}
	if err != nil {
		return nil
	}
	return h
}

// brackets are the parts of a pattern that multiply.
func (p hostPattern) brackets() []patternPart {
	var found []patternPart
	for _, part := range p.parts {
		if part.items != nil {
			found = append(found, part)
		}
	}
	return found
}

// A hostHead is what a host's own attributes say.
type hostHead struct {
	address, role string
	groups        []string
	settings      *Settings
}

// expand makes the hosts of a block. What does not depend on the single name
// is evaluated and merged once for all of them.
func (b *hostBuilder) expand(h *hostBlock) {
	why := place(h.block.DefRange)
	var same hostHead
	b.head(h, b.root, &same, false)
	sameSettings := h.shared != nil && !h.perHost["role"] && !h.perHost["groups"]
	if sameSettings {
		same.settings = b.settingsFor(h, same, h.shared)
	}
	repeated := map[*hostBlock][]string{}
	position := 0
	for n := range h.pattern.names() {
		position++
		if err := name(n.name); err != nil {
			b.errorf(h.block.LabelRanges[0], "Invalid host name", "%s", sentence(err))
			return
		}
		if before, ok := b.named[n.name]; ok {
			repeated[before.block] = append(repeated[before.block], n.name)
			continue
		}
		head := same
		if !sameSettings || h.perHost["address"] && !b.quickAddress(h, n, position, &head) {
			ctx := hostContext(b.root, n, position, h.uses)
			b.head(h, ctx, &head, true)
			if !sameSettings {
				own := h.shared
				if own == nil {
					own = b.evaluateLevel(h.raw, ctx)
				}
				head.settings = b.settingsFor(h, head, own)
			}
		}
		if head.address == "" {
			head.address = n.name
			if err := address(n.name); err != nil && h.attrs["address"] == nil {
				b.errorf(h.block.LabelRanges[0], "Invalid address", "%s", sentence(fmt.Errorf("the name is the address, too, but %w; give the host an address = …", err)))
			}
		}
		b.named[n.name] = hostPlace{len(b.hosts), h}
		b.hosts = append(b.hosts, Host{Name: n.name, Address: head.address, Role: head.role, Groups: head.groups, Why: why, Settings: head.settings})
		b.places = append(b.places, h)
	}
	for before, names := range repeated {
		b.errorf(h.block.LabelRanges[0], "Duplicate host", "The block at %s declares %s already. Give each host one block.", place(before.block.DefRange), Compact(names))
	}
}

// quickAddress computes a compiled address. It is false when there is none, or
// when the address is wrong: then it is evaluated again and reported.
func (b *hostBuilder) quickAddress(h *hostBlock, n patternName, position int, head *hostHead) bool {
	if h.address == nil {
		return false
	}
	text, ok := h.address(n, position)
	if !ok || address(text) != nil || strings.Contains(text, ":") {
		return false
	}
	head.address = text
	return true
}

// head evaluates the attributes of a host that do, or do not, depend on its
// name.
func (b *hostBuilder) head(h *hostBlock, ctx *hcl.EvalContext, head *hostHead, perHost bool) {
	for _, n := range []string{"address", "role", "groups"} {
		raw := h.attrs[n]
		if raw == nil || h.perHost[n] != perHost {
			continue
		}
		a, ok := b.attribute(raw, ctx)
		if !ok {
			continue
		}
		in := input{a, &b.faults}
		switch n {
		case "address":
			if head.address = in.text(address); strings.Contains(head.address, ":") {
				if ip, err := netip.ParseAddr(head.address); err == nil {
					head.address = ip.Unmap().String()
				}
			}
		case "role":
			head.role = in.text(b.knownRole)
		case "groups":
			head.groups = in.texts(b.knownGroup)
		}
	}
}

func (b *hostBuilder) knownRole(s string) error {
	known := append(sortedKeys(b.roles), "gpu", "cpu", "system", "proxy")
	for _, r := range b.fleet.Roles {
		known = append(known, r.Role)
	}
	slices.Sort(known)
	if known = slices.Compact(known); slices.Contains(known, s) {
		return nil
	}
	return fmt.Errorf("there is no role %q; add role %q { … }, or use a known one.%s", s, s, didYouMean(s, known))
}

func (b *hostBuilder) knownGroup(s string) error {
	if b.groups[s] != nil {
		return nil
	}
	return fmt.Errorf("no block declares the group %q; add group %q { … }.%s", s, s, didYouMean(s, sortedKeys(b.groups)))
}

// hostContext holds those of a host's own names that its block uses.
func hostContext(root *hcl.EvalContext, n patternName, position int, uses []string) *hcl.EvalContext {
	ctx := root.NewChild()
	ctx.Variables = make(map[string]cty.Value, len(uses))
	for _, own := range uses {
		if _, done := ctx.Variables[own]; done {
			continue
		}
		var v cty.Value
		switch own {
		case "name":
			v = cty.StringVal(n.name)
		case "label":
			v = cty.StringVal(n.labels[0])
		case "index":
			v = cty.NumberIntVal(int64(n.number(0, position)))
		case "labels", "indices":
			list := make([]cty.Value, len(n.labels))
			for i, text := range n.labels {
				if list[i] = cty.StringVal(text); own == "indices" {
					list[i] = cty.NumberIntVal(int64(n.number(i, position)))
				}
			}
			v = cty.TupleVal(list)
		}
		ctx.Variables[own] = v
	}
	return ctx
}

// settingsFor merges all levels of a host, or finds them merged before.
func (b *hostBuilder) settingsFor(h *hostBlock, head hostHead, own *level) *Settings {
	key := ""
	if own == h.shared {
		block := ""
		if len(own.blocks) > 0 || own.requirements != nil || len(own.ignored) > 0 || own.images != nil {
			block = place(h.block.DefRange) + h.label
		}
		key = strings.Join(append([]string{block, head.role}, head.groups...), "\x00")
		if s := b.merged[key]; s != nil {
			return s
		}
	}
	levels := []*level{b.top}
	if lv := b.roles[head.role]; lv != nil {
		levels = append(levels, lv)
	}
	for _, g := range head.groups {
		levels = append(levels, b.groups[g])
	}
	levels = append(levels, own)
	p := b.fleet
	for _, lv := range levels {
		if lv.requirements != nil && b.options.Requirements == "" {
			p = lv.requirements
		}
	}
	s := b.settings(p, head.role, levels)
	if key != "" {
		b.merged[key] = s
	}
	return s
}

// An endpointKey is alike for all ways to write an address and SSH port.
type endpointKey struct {
	address string
	port    int
}

func keyOf(address string, port int) endpointKey {
	address = strings.ToLower(strings.TrimSuffix(address, "."))
	if strings.Contains(address, ":") {
		if ip, err := netip.ParseAddr(address); err == nil {
			address = ip.Unmap().String()
		}
	}
	return endpointKey{address, cmp.Or(port, 22)}
}

// checkAddresses reports hosts that are one machine.
func (b *hostBuilder) checkAddresses() {
	first := make(map[endpointKey]int, len(b.hosts))
	reported := map[[2]*hostBlock]bool{}
	for i := range b.hosts {
		h := &b.hosts[i]
		w := keyOf(h.Address, h.SSH.Port)
		j, taken := first[w]
		if !taken {
			first[w] = i
			continue
		}
		pair := [2]*hostBlock{b.places[j], b.places[i]}
		if reported[pair] {
			continue // the first of a pattern says it for all
		}
		reported[pair] = true
		rng := b.places[i].block.DefRange
		if a := b.places[i].attrs["address"]; a != nil {
			rng = a.Expr.Range()
		}
		other := &b.hosts[j]
		hint := "Correct one of them."
		if b.places[i].pattern.count > 1 && b.places[i] == b.places[j] {
			hint = "Use index, label or name in the address."
		}
		if !slices.Equal(h.SSH.Bastions, other.SSH.Bastions) {
			b.warnf(rng, "Two hosts at one address", "The hosts %q and %q (%s) both have the address %s, though behind different bastions. Make sure that these are two networks.", other.Name, h.Name, other.Why, h.Address)
			continue
		}
		b.errorf(rng, "Two hosts at one address", "The hosts %q and %q (%s) both have the address %s, port %d. %s", other.Name, h.Name, other.Why, h.Address, w.port, hint)
	}
}

// fillSquids tells each proxy host what all hosts need.
func (b *hostBuilder) fillSquids() {
	var squids []*Squid
	need := map[string]Endpoint{}
	seen := map[*Settings]bool{}
	for i := range b.hosts {
		s := b.hosts[i].Settings
		if seen[s] {
			continue
		}
		seen[s] = true
		if s.Squid != nil {
			squids = append(squids, s.Squid)
		}
		for _, e := range s.Egress {
			if key := fmt.Sprintf("%s %05d", e.Host, e.Port); need[key].Host == "" {
				need[key] = e
			}
		}
	}
	var all []Endpoint
	for _, k := range sortedKeys(need) {
		all = append(all, need[k])
	}
	for _, s := range squids {
		s.Allow = all
	}
}
