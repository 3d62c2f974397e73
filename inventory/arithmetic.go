package inventory

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// HCL computes with floats of 512 bits, and takes longer to write one as text
// than to load all else about a host. Addresses are nearly always text and
// whole numbers: "10.0.${floor(index / 250)}.${index % 250}". These are
// compiled here to plain arithmetic, with the same results; whatever is not
// understood, or leaves the small natural numbers, is left to HCL.

// A hostText is text that depends on a host's name; false: ask HCL.
type hostText func(n patternName, position int) (string, bool)

// compileText compiles an expression; nil when it holds something else.
func compileText(expr hcl.Expression) hostText {
	switch e := expr.(type) {
	case *hclsyntax.TemplateExpr:
		parts := make([]hostText, len(e.Parts))
		for i, p := range e.Parts {
			if parts[i] = compileText(p); parts[i] == nil {
				return nil
			}
		}
		return func(n patternName, position int) (string, bool) {
			var b strings.Builder
			for _, part := range parts {
				s, ok := part(n, position)
				if !ok {
					return "", false
				}
				b.WriteString(s)
			}
			return b.String(), true
		}
	case *hclsyntax.LiteralValueExpr:
		if e.Val.Type() == cty.String && e.Val.IsKnown() && !e.Val.IsNull() {
			text := e.Val.AsString()
			return func(patternName, int) (string, bool) { return text, true }
		}
	case *hclsyntax.ScopeTraversalExpr:
		if len(e.Traversal) == 1 && e.Traversal.RootName() == "name" {
			return func(n patternName, _ int) (string, bool) { return n.name, true }
		}
		if len(e.Traversal) == 1 && e.Traversal.RootName() == "label" {
			return func(n patternName, _ int) (string, bool) {
				if len(n.labels) == 0 {
					return "", false
				}
				return n.labels[0], true
			}
		}
	}
	number := compileNumber(expr)
	if number == nil {
		return nil
	}
	return func(n patternName, position int) (string, bool) {
		v, ok := number(n, position)
		return strconv.FormatInt(v, 10), ok
	}
}

// A hostNumber is a natural number below 2³¹; false: ask HCL.
type hostNumber func(n patternName, position int) (int64, bool)

func compileNumber(expr hcl.Expression) hostNumber {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return compileNumber(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		if e.Val.Type() != cty.Number || !e.Val.IsKnown() || e.Val.IsNull() {
			return nil
		}
		v, accuracy := e.Val.AsBigFloat().Int64()
		return func(patternName, int) (int64, bool) { return small(v, accuracy == 0) }
	case *hclsyntax.ScopeTraversalExpr:
		return compileIndex(e.Traversal)
	case *hclsyntax.FunctionCallExpr:
		if e.Name != "floor" || len(e.Args) != 1 || e.ExpandFinal {
			return nil
		}
		if q, ok := e.Args[0].(*hclsyntax.BinaryOpExpr); ok && q.Op == hclsyntax.OpDivide {
			return compileOperation(q, func(a, b int64) (int64, bool) { return a / max(b, 1), b > 0 })
		}
		return compileNumber(e.Args[0])
	case *hclsyntax.BinaryOpExpr:
		switch e.Op {
		case hclsyntax.OpAdd:
			return compileOperation(e, func(a, b int64) (int64, bool) { return a + b, true })
		case hclsyntax.OpSubtract:
			return compileOperation(e, func(a, b int64) (int64, bool) { return a - b, true })
		case hclsyntax.OpMultiply:
			return compileOperation(e, func(a, b int64) (int64, bool) { return a * b, true })
		case hclsyntax.OpModulo:
			return compileOperation(e, func(a, b int64) (int64, bool) { return a % max(b, 1), b > 0 })
		}
	}
	return nil
}

func compileOperation(e *hclsyntax.BinaryOpExpr, do func(a, b int64) (int64, bool)) hostNumber {
	left, right := compileNumber(e.LHS), compileNumber(e.RHS)
	if left == nil || right == nil {
		return nil
	}
	return func(n patternName, position int) (int64, bool) {
		a, aok := left(n, position)
		b, bok := right(n, position)
		if !aok || !bok {
			return 0, false
		}
		return small(do(a, b))
	}
}

// compileIndex compiles index and indices[0].
func compileIndex(t hcl.Traversal) hostNumber {
	k := 0
	switch {
	case len(t) == 1 && t.RootName() == "index":
	case len(t) == 2 && t.RootName() == "indices":
		step, ok := t[1].(hcl.TraverseIndex)
		if !ok || step.Key.Type() != cty.Number {
			return nil
		}
		i, accuracy := step.Key.AsBigFloat().Int64()
		if accuracy != 0 || i < 0 || i > 100 {
			return nil
		}
		k = int(i)
	default:
		return nil
	}
	return func(n patternName, position int) (int64, bool) {
		if k >= len(n.labels) {
			return 0, false
		}
		return small(int64(n.number(k, position)), true)
	}
}

// number is what the bracket k of a name counts as: its number, or for a word
// the host's position in the pattern.
func (n patternName) number(k, position int) int {
	if i, err := strconv.Atoi(n.labels[k]); err == nil {
		return i
	}
	return position
}

func small(v int64, ok bool) (int64, bool) { return v, ok && v >= 0 && v < 1<<31 }
