package inventory

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/gocty"
)

var (
	prefixParam = function.Parameter{Name: "prefix", Type: cty.String}

	cidrHostFunc = function.New(&function.Spec{
		Params: []function.Parameter{prefixParam, {Name: "hostnum", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := parsePrefix(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			var n big.Int
			if err := gocty.FromCtyValue(args[1], &n); err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "a whole number is needed")
			}
			a, err := hostOf(p, &n)
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			return cty.StringVal(a.String()), nil
		},
	})

	cidrNetmaskFunc = function.New(&function.Spec{
		Params: []function.Parameter{prefixParam},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := parsePrefix(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			if !p.Addr().Is4() {
				return cty.NilVal, function.NewArgErrorf(0, "IPv6 networks have no netmask")
			}
			return cty.StringVal(net.IP(net.CIDRMask(p.Bits(), 32)).String()), nil
		},
	})

	cidrSubnetFunc = function.New(&function.Spec{
		Params: []function.Parameter{prefixParam, {Name: "newbits", Type: cty.Number}, {Name: "netnum", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := parsePrefix(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			var bits int
			if err := gocty.FromCtyValue(args[1], &bits); err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "a whole number is needed")
			}
			var n big.Int
			if err := gocty.FromCtyValue(args[2], &n); err != nil {
				return cty.NilVal, function.NewArgErrorf(2, "a whole number is needed")
			}
			sub, err := subnetOf(p, bits, &n)
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(sub.String()), nil
		},
	})

	cidrSubnetsFunc = function.New(&function.Spec{
		Params:   []function.Parameter{prefixParam},
		VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
		Type:     function.StaticReturnType(cty.List(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := parsePrefix(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			subnets := []cty.Value{}
			next := bigAddr(p.Addr()) // the first free address
			for i, a := range args[1:] {
				var bits int
				if err := gocty.FromCtyValue(a, &bits); err != nil || bits < 1 || p.Bits()+bits > p.Addr().BitLen() {
					return cty.NilVal, function.NewArgErrorf(i+1, "%s cannot be divided so", p)
				}
				length := p.Bits() + bits
				size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-length))
				// Up to the next multiple of the subnet's size.
				next.Add(next, new(big.Int).Sub(size, big.NewInt(1)))
				next.Sub(next, new(big.Int).Mod(next, size))
				addr, err := addrOf(next, p.Addr())
				if err != nil || !p.Contains(addr) {
					return cty.NilVal, function.NewArgErrorf(i+1, "%s has no room left for this subnet", p)
				}
				subnets = append(subnets, cty.StringVal(netip.PrefixFrom(addr, length).String()))
				next.Add(next, size)
			}
			if len(subnets) == 0 {
				return cty.ListValEmpty(cty.String), nil
			}
			return cty.ListVal(subnets), nil
		},
	})

	cidrContainsFunc = function.New(&function.Spec{
		Params: []function.Parameter{prefixParam, {Name: "address", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := parsePrefix(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			if a, err := netip.ParseAddr(args[1].AsString()); err == nil {
				return cty.BoolVal(p.Contains(a)), nil
			}
			q, err := netip.ParsePrefix(args[1].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "neither an address nor a network such as 10.0.0.0/8")
			}
			return cty.BoolVal(p.Bits() <= q.Bits() && p.Contains(q.Addr())), nil
		},
	})
)

func parsePrefix(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "not a network such as 10.0.0.0/8")
	}
	return p.Masked(), nil
}

// hostOf is address number n of the network, counted from its end when
// negative.
func hostOf(p netip.Prefix, n *big.Int) (netip.Addr, error) {
	size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	at := new(big.Int).Set(n)
	if at.Sign() < 0 {
		at.Add(at, size)
	}
	if at.Sign() < 0 || at.Cmp(size) >= 0 {
		return netip.Addr{}, fmt.Errorf("%s has %s addresses, none with this number", p, size)
	}
	return addrOf(at.Add(at, bigAddr(p.Addr())), p.Addr())
}

func subnetOf(p netip.Prefix, bits int, n *big.Int) (netip.Prefix, error) {
	length := p.Bits() + bits
	if bits < 0 || length > p.Addr().BitLen() {
		return p, function.NewArgErrorf(1, "%s cannot be extended by %d bits", p, bits)
	}
	count := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	if n.Sign() < 0 || n.Cmp(count) >= 0 {
		return p, function.NewArgErrorf(2, "%d bits number %s subnets, of which this is none", bits, count)
	}
	start := new(big.Int).Lsh(n, uint(p.Addr().BitLen()-length))
	addr, err := addrOf(start.Add(start, bigAddr(p.Addr())), p.Addr())
	return netip.PrefixFrom(addr, length), err
}

func bigAddr(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }

// addrOf is the address with the number n, of the family of like.
func addrOf(n *big.Int, like netip.Addr) (netip.Addr, error) {
	if n.BitLen() > like.BitLen() {
		return netip.Addr{}, errors.New("the address is beyond the last one")
	}
	a, _ := netip.AddrFromSlice(n.FillBytes(make([]byte, like.BitLen()/8)))
	return a, nil
}
