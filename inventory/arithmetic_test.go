package inventory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// TestArithmeticIsHCLs: what is compiled gives the text that HCL gives, for
// random expressions over the names of a host.
func TestArithmeticIsHCLs(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var number func(depth int) string
	number = func(depth int) string {
		if depth == 0 {
			return []string{"index", "indices[0]", "indices[1]", "256", "0", "7", "65536", "1.5", "-3"}[r.IntN(9)]
		}
		a, b := number(r.IntN(depth)), number(r.IntN(depth))
		return []string{
			"(" + a + " + " + b + ")", "(" + a + " - " + b + ")", "(" + a + " * " + b + ")", "(" + a + " % " + b + ")",
			"floor(" + a + " / " + b + ")", "floor(" + a + ")", "(" + a + " / " + b + ")",
		}[r.IntN(7)]
	}
	b := hostBuilder{loader: newLoader(".", Options{})}
	pattern, err := parsePattern("r[1:3]-[0250:0260,x]")
	if err != nil {
		t.Fatal(err)
	}
	compiled := 0
	for range 1000 {
		src := []string{"10.0.${%s}.${%s}", "${%s}%s", "${name}-${label}-${%s}${%s}"}[r.IntN(3)]
		src = fmt.Sprintf(`"`+src+`"`, number(r.IntN(4)), number(r.IntN(4)))
		expr, diags := hclsyntax.ParseExpression([]byte(src), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(src, diags)
		}
		quick := compileText(expr)
		if quick == nil {
			continue
		}
		position := 0
		for n := range pattern.names() {
			position++
			got, ok := quick(n, position)
			if !ok {
				continue
			}
			compiled++
			v, diags := expr.Value(hostContext(b.root, n, position, ownNames))
			if !diags.HasErrors() {
				v, err = convert.Convert(v, cty.String)
			}
			if diags.HasErrors() || err != nil || v.AsString() != got {
				t.Fatalf("%s of %s: got %q, HCL says %#v %v", src, n.name, got, v, diags)
			}
		}
	}
	if compiled < 2_000 {
		t.Errorf("only %d comparisons: the test shows little", compiled)
	}
}
