package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// checkNames reports names in expr that nothing declares. It returns those of
// own, the names that exist in its place alone, that expr refers to.
func (l *loader) checkNames(expr hcl.Expression, own []string) (uses []string) {
	for _, t := range expr.Variables() {
		root := t.RootName()
		if slices.Contains(own, root) {
			uses = append(uses, root)
			continue
		}
		known, ok := l.names[root]
		if !ok {
			roots := append(sortedKeys(l.names), own...)
			l.errorf(t.SourceRange(), "Unknown name", "There is no %q here. Write var.NAME or local.NAME, or put text in quotes.%s", root, didYouMean(root, roots))
			continue
		}
		step, missing := missingStep(t, known)
		if !missing {
			continue
		}
		what := map[string]string{"var": "variable", "local": "local value"}[root]
		l.errorf(hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange()), "Unknown "+what, "No %s %q is declared.%s", what, step, didYouMean(step, known))
	}
	return uses
}

// missingStep is the name after var. or local. when it is not known.
func missingStep(t hcl.Traversal, known []string) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	step, ok := t[1].(hcl.TraverseAttr)
	return step.Name, ok && !slices.Contains(known, step.Name)
}

// evaluate evaluates expr and reports its faults. It is false when there is no
// value to go on with, which has been reported, here or where a name in expr
// got its value.
func (l *loader) evaluate(expr hcl.Expression, ctx *hcl.EvalContext) (v cty.Value, ok bool) {
	defer func() {
		// cty panics on operations that nobody has thought of. An
		// inventory must not end the program.
		if p := recover(); p != nil {
			l.errorf(expr.Range(), "Invalid expression", "The expression cannot be evaluated. Write it in another way.")
			v, ok = cty.DynamicVal, false
		}
	}()
	v, diags := expr.Value(ctx)
	if len(diags) == 0 {
		return v, v.IsWhollyKnown()
	}
	for _, t := range expr.Variables() {
		names, root := l.names[t.RootName()]
		if _, missing := missingStep(t, names); root && missing || !root && !known(ctx, t.RootName()) {
			return cty.DynamicVal, false // reported by checkNames
		}
	}
	if l.confidential(expr, ctx) {
		for _, d := range diags {
			if call, is := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); is && call.FunctionCallError() != nil && !ownError(call.FunctionCallError()) {
				d.Detail = fmt.Sprintf("The call of %q failed. The reason is not shown, because it may hold the sensitive value that the call was given.", call.CalledFunctionName())
			}
		}
	}
	for _, d := range diags {
		if call, is := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); is && !strings.Contains(d.Detail, "Did you mean") {
			d.Detail += didYouMean(call.CalledFunctionName(), sortedKeys(l.root.Functions))
		}
	}
	l.add(diags...)
	return v, !diags.HasErrors() && v.IsWhollyKnown()
}

func known(ctx *hcl.EvalContext, root string) bool {
	for ; ctx != nil; ctx = ctx.Parent() {
		if _, ok := ctx.Variables[root]; ok {
			return true
		}
	}
	return false
}

// confidential reports whether expr has to do with values that no message may
// show.
func (l *loader) confidential(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range expr.Variables() {
		if v, diags := t.TraverseAbs(ctx); diags.HasErrors() || v.ContainsMarked() {
			return true
		}
	}
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return true
	}
	found := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && slices.Contains(secretSources, call.Name) {
			found = true
		}
		return nil
	})
	return found
}
