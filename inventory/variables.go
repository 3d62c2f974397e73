package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// EnvPrefix begins the names of environment variables that set variables.
const EnvPrefix = "RUNAI_PREP_VAR_"

// maxLeaves bounds the parts of one value, so that locals that double each
// other cannot fill the memory.
const maxLeaves = 1 << 18

// maxBits bounds whole numbers; it has more than a thousand digits.
const maxBits = 4096

// A variable is one variable block.
type variable struct {
	name      string
	block     *hcl.Block
	ty        cty.Type
	defaults  *typeexpr.Defaults
	fallback  cty.Value // NilVal: required
	sensitive bool
	checks    hcl.Blocks
}

var (
	variableSchema = &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	}
	validationSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}}}
)

// variables declares the variables and gives them their values. It returns
// the names of those that are sensitive.
func (l *loader) variables(blocks hcl.Blocks) (sensitive []string) {
	byName := map[string]*variable{}
	var all []*variable
	for _, b := range blocks {
		name := b.Labels[0]
		if before := byName[name]; before != nil {
			l.errorf(b.LabelRanges[0], "Duplicate variable", "The variable %q is declared a second time; the first is at %s. Rename one.", name, place(before.block.DefRange))
			continue
		}
		if !hclsyntax.ValidIdentifier(name) {
			l.errorf(b.LabelRanges[0], "Invalid variable name", "%q cannot be written as var.NAME. Use letters, digits, '-' and '_', beginning with a letter.", name)
			continue
		}
		byName[name] = l.variable(b)
		all = append(all, byName[name])
	}
	given := l.givenValues(byName)
	values := map[string]cty.Value{}
	for _, v := range all {
		values[v.name] = l.variableValue(v, given[v.name])
		if v.sensitive {
			sensitive = append(sensitive, v.name)
		}
	}
	l.names["var"] = sortedKeys(byName)
	l.root.Variables = map[string]cty.Value{"var": cty.ObjectVal(values)}
	for _, v := range all {
		if values[v.name].IsWhollyKnown() {
			l.validate(v)
		}
	}
	return sensitive
}

// variable reads one block.
func (l *loader) variable(b *hcl.Block) *variable {
	v := &variable{name: b.Labels[0], block: b, ty: cty.DynamicPseudoType}
	content := l.content(b.Body, variableSchema)
	v.checks = content.Blocks
	if a := content.Attributes["type"]; a != nil {
		ty, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		l.add(diags...)
		if diags.HasErrors() {
			v.fallback = cty.DynamicVal // that it has no value either is no news
		} else {
			v.ty, v.defaults = ty, defaults
		}
	}
	if a := content.Attributes["sensitive"]; a != nil {
		l.checkNames(a.Expr, nil)
		if at, ok := l.attribute(a, l.root); ok {
			v.sensitive = input{at, &l.faults}.boolean()
		}
	}
	if a := content.Attributes["description"]; a != nil {
		l.checkNames(a.Expr, nil)
		if at, ok := l.attribute(a, l.root); ok {
			input{at, &l.faults}.text(func(string) error { return nil })
		}
	}
	if a := content.Attributes["default"]; a != nil {
		if v.sensitive {
			l.secrets.hide(a.Expr.Range())
		}
		l.checkNames(a.Expr, nil)
		v.fallback = cty.DynamicVal
		if value, ok := l.evaluate(a.Expr, l.root); ok {
			v.fallback = l.fit(v, value, a.Expr.Range(), "default")
		}
	}
	return v
}

// fit converts a value to a variable's type.
func (l *loader) fit(v *variable, value cty.Value, rng hcl.Range, what string) cty.Value {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	got, err := convert.Convert(value, v.ty)
	if err == nil && leaves(got) > maxLeaves {
		l.errorf(rng, "Value too large", "The %s of the variable %q is too large. Give a smaller one.", what, v.name)
		return cty.DynamicVal
	}
	if err != nil {
		l.errorf(rng, "Invalid value of variable", "The %s of the variable %q does not have the type %s: %v.", what, v.name, typeexpr.TypeString(v.ty), err)
		return cty.DynamicVal
	}
	return got
}

// A givenValue is a value that comes from outside the inventory.
type givenValue struct {
	value cty.Value
	rng   hcl.Range
}

// givenValues reads the values given from outside, the later over the earlier:
// environment, files, command line.
func (l *loader) givenValues(declared map[string]*variable) map[string]*givenValue {
	given := map[string]*givenValue{}
	for name, v := range declared {
		if text, ok := l.options.LookupEnv(EnvPrefix + name); ok {
			given[name] = l.parseGiven(v, text, "<"+EnvPrefix+name+">")
		}
	}
	for _, file := range l.options.VarFiles {
		l.varFile(file, declared, given)
	}
	for i, text := range l.options.Vars {
		name, value, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok {
			l.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Invalid --var", Detail: fmt.Sprintf("The --var number %d has no value. Write it as --var name=value.", i+1)})
			continue
		}
		v := declared[name]
		if v == nil {
			l.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown variable",
				Detail: fmt.Sprintf("--var names the variable %q, which the inventory does not declare.%s", name, didYouMean(name, sortedKeys(declared)))})
			continue
		}
		given[name] = l.parseGiven(v, value, "<--var "+name+">")
	}
	return given
}

// parseGiven reads a value given as text: as it stands where the variable is a
// string, a number or of any type, else as an expression.
func (l *loader) parseGiven(v *variable, text, from string) *givenValue {
	src := []byte(text)
	rng := hcl.Range{Filename: from, Start: hcl.InitialPos, End: hcl.Pos{Line: 1, Column: len(src) + 1, Byte: len(src)}}
	l.files[from] = &hcl.File{Bytes: src}
	l.secrets.hideCredentials(src, from)
	if v.sensitive {
		l.secrets.learn(cty.StringVal(text))
		l.secrets.hide(rng)
	}
	if v.ty.IsPrimitiveType() || v.ty == cty.DynamicPseudoType {
		return &givenValue{cty.StringVal(text), rng}
	}
	tokens, _ := hclsyntax.LexExpression(src, from, hcl.InitialPos)
	if _, deep := tooDeep(tokens); deep {
		l.errorf(rng, "Too deeply nested", "The value nests brackets or operators too deeply to be read. Write it in a file, in parts.")
		return &givenValue{cty.DynamicVal, rng}
	}
	expr, diags := hclsyntax.ParseExpression(src, from, hcl.InitialPos)
	l.add(diags...)
	if diags.HasErrors() {
		return &givenValue{cty.DynamicVal, rng}
	}
	return l.literal(v, expr)
}

// literal evaluates an expression that may refer to nothing.
func (l *loader) literal(v *variable, expr hcl.Expression) *givenValue {
	if v.sensitive {
		l.secrets.hide(expr.Range())
	}
	l.checkNames(expr, nil)
	value, ok := l.evaluate(expr, l.root)
	if !ok {
		value = cty.DynamicVal
	}
	return &givenValue{value, expr.Range()}
}

// varFile reads one file of name = value lines.
func (l *loader) varFile(name string, declared map[string]*variable, given map[string]*givenValue) {
	var hidden []string
	for n, v := range declared {
		if v.sensitive {
			hidden = append(hidden, n)
		}
	}
	file := l.parse(name, hidden...)
	if file == nil {
		return
	}
	attrs, diags := file.Body.JustAttributes()
	l.add(diags...)
	names := sortedKeys(attrs)
	slices.SortFunc(names, func(a, b string) int { return attrs[a].Range.Start.Byte - attrs[b].Range.Start.Byte })
	for _, n := range names {
		v := declared[n]
		if v == nil {
			// What cannot be placed may be a secret.
			l.secrets.hide(attrs[n].Expr.Range())
			l.errorf(attrs[n].NameRange, "Unknown variable", "The inventory does not declare the variable %q.%s", n, didYouMean(n, sortedKeys(declared)))
			continue
		}
		given[n] = l.literal(v, attrs[n].Expr)
	}
}

// variableValue is the value of a variable: the given one or the default. It
// is unknown after a fault.
func (l *loader) variableValue(v *variable, given *givenValue) cty.Value {
	value := v.fallback
	switch {
	case given != nil && !given.value.IsKnown():
		value = cty.DynamicVal
	case given != nil:
		value = l.fit(v, given.value, given.rng, "value")
	case value == cty.NilVal:
		l.errorf(v.block.DefRange, "Variable without value", "The variable %q has no default, and no value is given. Give it one: --var %s=…, a --var-file, or %s%s in the environment.", v.name, v.name, EnvPrefix, v.name)
		value = cty.DynamicVal
	}
	if v.sensitive && value.IsKnown() {
		l.secrets.learn(value)
		value = value.Mark(sensitive)
	}
	return value
}

// validate runs a variable's validation blocks.
func (l *loader) validate(v *variable) {
	for _, b := range v.checks {
		content := l.content(b.Body, validationSchema)
		condition, message := content.Attributes["condition"], content.Attributes["error_message"]
		if condition == nil || message == nil {
			continue // reported by content
		}
		l.checkNames(condition.Expr, nil)
		l.checkNames(message.Expr, nil)
		at, ok := l.attribute(condition, l.root)
		if !ok {
			continue
		}
		at.value, _ = at.value.UnmarkDeep()
		in := input{at, &l.faults}
		holds, _, ok := in.as(cty.Bool)
		if !ok || holds.True() {
			continue
		}
		text := "The value is refused by its validation, whose error_message cannot be shown."
		if m, ok := l.attribute(message, l.root); ok && !m.value.ContainsMarked() && m.value.Type() == cty.String {
			text = m.value.AsString()
		}
		l.errorf(condition.Expr.Range(), "Invalid value of variable "+fmt.Sprintf("%q", v.name), "%s", text)
	}
}

// locals evaluates the local values in the order in which they need each other.
func (l *loader) locals(blocks hcl.Blocks) {
	attrs := hcl.Attributes{}
	for _, b := range blocks {
		own, diags := b.Body.JustAttributes()
		l.add(diags...)
		for n, a := range own {
			if before := attrs[n]; before != nil {
				l.errorf(a.NameRange, "Duplicate local value", "The local value %q is set a second time; the first is at %s. Rename one.", n, place(before.NameRange))
				continue
			}
			attrs[n] = a
		}
	}
	l.names["local"] = sortedKeys(attrs)
	e := localEvaluation{l, attrs, map[string]cty.Value{}, nil}
	for _, n := range sortedKeys(attrs) {
		e.value(n)
	}
	l.root.Variables["local"] = cty.ObjectVal(e.values)
}

// A localEvaluation walks the local values depth first.
type localEvaluation struct {
	*loader
	attrs  hcl.Attributes
	values map[string]cty.Value // unknown after a fault
	path   []string             // under evaluation, outermost first
}

func (e *localEvaluation) value(name string) cty.Value {
	a := e.attrs[name]
	if v, done := e.values[name]; done || a == nil {
		return v
	}
	if i := slices.Index(e.path, name); i >= 0 {
		cycle := append(slices.Clone(e.path[i:]), name)
		e.errorf(a.NameRange, "Cycle of local values", "The local values need each other in a circle: %s. Break it with a value that needs none of them.", strings.Join(cycle, " → "))
		for _, n := range e.path[i:] {
			e.values[n] = cty.DynamicVal
		}
		return cty.DynamicVal
	}
	e.path = append(e.path, name)
	need := map[string]cty.Value{}
	for _, t := range a.Expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		if len(t) > 1 {
			if step, ok := t[1].(hcl.TraverseAttr); ok {
				if v := e.value(step.Name); v != cty.NilVal {
					need[step.Name] = v
				}
				continue
			}
		}
		// local as a whole, or local[…]: every one may be meant.
		for n := range e.attrs {
			if v := e.value(n); v != cty.NilVal {
				need[n] = v
			}
		}
	}
	e.path = e.path[:len(e.path)-1]
	if _, inCycle := e.values[name]; inCycle {
		return cty.DynamicVal
	}
	e.checkNames(a.Expr, nil)
	ctx := e.root.NewChild()
	ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(need)}
	v, ok := e.evaluate(a.Expr, ctx)
	if ok && leaves(v) > maxLeaves {
		e.errorf(a.NameRange, "Value too large", "The local value %q is too large. Build smaller ones.", name)
		ok = false
	}
	if !ok {
		v = cty.DynamicVal
	}
	e.values[name] = v
	return v
}

// leaves measures a value: its primitive parts, and its text in KiB.
func leaves(v cty.Value) int {
	n := 0
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, part cty.Value) (bool, error) {
		n++
		if !part.IsKnown() || part.IsNull() {
			return true, nil
		}
		switch part.Type() {
		case cty.String:
			n += len(part.AsString()) >> 10
		case cty.Number:
			// Written out as text, a number of this size fills the memory.
			if part.AsBigFloat().MantExp(nil) > maxBits {
				n += maxLeaves
			}
		}
		return n <= maxLeaves, nil
	})
	return n
}
