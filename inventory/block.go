package inventory

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A spec says which attributes a block has and how each sets its part of a T.
// Schema, checks and merging all come from this one table.
type spec[T any] []struct {
	name string
	set  func(*T, input)
}

func (s spec[T]) names() []string {
	var names []string
	for _, a := range s {
		names = append(names, a.name)
	}
	return names
}

// A kind is a type of settings block: ssh, nfs_mount and so on.
type kind struct {
	name       string
	label      func(string) error // checks the label; nil: the block has none
	switchable bool               // `enabled = false` takes it away
	attributes []string
	check      func(*layer, *faults)
}

// kindOf makes the kind of block that fills a T.
func kindOf[T any](name string, s spec[T], label func(string) error, switchable bool) kind {
	k := kind{name: name, label: label, switchable: switchable, attributes: s.names()}
	if switchable {
		k.attributes = append(k.attributes, "enabled")
	}
	k.check = func(l *layer, f *faults) {
		var t T
		for _, a := range s {
			if at, ok := l.attrs[a.name]; ok {
				a.set(&t, input{at, f})
			}
		}
	}
	return k
}

func (k kind) schema() *hcl.BodySchema { return attributeSchema(k.attributes) }

func attributeSchema(names []string) *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, n := range names {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: n})
	}
	return s
}

// An attr is one attribute of one block, evaluated.
type attr struct {
	name  string
	value cty.Value
	expr  hcl.Expression
	why   string
	now   time.Time // when it was read
}

// A layer is one settings block, evaluated. Layers of the same kind and label
// lie over each other, attribute by attribute.
type layer struct {
	label   string
	rng     hcl.Range // of the header
	why     string
	attrs   map[string]attr
	broken  []string // attributes whose expressions have no value; reported
	enabled *bool    // nil: not said
	source  string   // of a profile: the document that it was taken from
}

// place renders where something stands as results and plans show it.
func place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d", filepath.Base(r.Filename), r.Start.Line)
}

// fold lays layers over each other, low to high, into t. It returns the places
// of the blocks that had a say, and whether the last word was not `enabled =
// false`.
func fold[T any](s spec[T], layers []*layer, t *T) (why string, enabled bool) {
	enabled = true
	var said []string
	for i, l := range layers {
		if l.enabled != nil {
			enabled = *l.enabled
		}
		for name := range l.attrs {
			if name != "enabled" && !overridden(layers[i+1:], name) {
				said = append(said, l.why)
				break
			}
		}
	}
	if len(said) == 0 {
		said = append(said, layers[len(layers)-1].why)
	}
	for _, a := range s {
		for _, l := range slices.Backward(layers) {
			if at, ok := l.attrs[a.name]; ok {
				a.set(t, input{at, nil})
				break
			}
		}
	}
	return strings.Join(slices.Compact(said), ", "), enabled
}

func overridden(above []*layer, name string) bool {
	return slices.ContainsFunc(above, func(l *layer) bool { _, ok := l.attrs[name]; return ok })
}

// A level is everything that is said in one place of the precedence: the
// profile, the top level, a role, a group, a host.
type level struct {
	requirements *Profile            // nil: as on the level below
	ignored      []Ignored           // without a reason: not ignored, whatever the levels below say
	images       []Image             // nil: as on the level below
	blocks       map[string][]*layer // by kind
}

// layersOf returns the layers of an unlabelled kind, low to high.
func layersOf(levels []*level, kind string) []*layer {
	var found []*layer
	for _, l := range levels {
		found = append(found, l.blocks[kind]...)
	}
	return found
}

// labelled returns the layers of a labelled kind by label, and the labels in
// the order they first appear.
func labelled(levels []*level, kind string) (labels []string, byLabel map[string][]*layer) {
	byLabel = map[string][]*layer{}
	for _, la := range layersOf(levels, kind) {
		if byLabel[la.label] == nil {
			labels = append(labels, la.label)
		}
		byLabel[la.label] = append(byLabel[la.label], la)
	}
	return labels, byLabel
}

// A rawLevel is a level that has not been evaluated yet. A host's is evaluated
// once for each name of its pattern, but only when it refers to that name.
type rawLevel struct {
	requirements *hcl.Attribute
	// ignore and ignoreReason are nil where the level has none.
	ignore, ignoreReason *hcl.Attribute
	images               *hcl.Attribute // nil: the level has none
	blocks               []rawBlock
	uses                 []string // index, name and the like that expressions refer to
}

type rawBlock struct {
	kind  kind
	label string
	block *hcl.Block
	attrs hcl.Attributes
}

// readLevel takes the settings blocks out of content and checks what can be
// checked before evaluation: names, labels, duplicates.
func (l *loader) readLevel(content *hcl.BodyContent, kinds []kind, own ...string) *rawLevel {
	raw := &rawLevel{requirements: content.Attributes["requirements"], ignore: content.Attributes["ignore"], ignoreReason: content.Attributes["ignore_reason"], images: content.Attributes["images"]}
	if raw.requirements != nil {
		raw.uses = l.checkNames(raw.requirements.Expr, own)
	}
	for _, a := range []*hcl.Attribute{raw.ignore, raw.ignoreReason, raw.images} {
		if a != nil {
			raw.uses = append(raw.uses, l.checkNames(a.Expr, own)...)
		}
	}
	first := map[string]hcl.Range{}
	for _, b := range content.Blocks {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == b.Type })
		if i < 0 {
			continue // variable, host and the like: not settings
		}
		rb := rawBlock{kind: kinds[i], block: b}
		what := rb.kind.name
		if rb.kind.label != nil {
			rb.label = b.Labels[0]
			what += fmt.Sprintf(" %q", rb.label)
			if err := rb.kind.label(rb.label); err != nil {
				l.refuse(b.LabelRanges[0], "Invalid "+rb.kind.name, rb.label, err)
			}
		}
		if before, ok := first[what]; ok {
			l.errorf(b.DefRange, "Duplicate "+rb.kind.name+" block", "The block %s stands here a second time; the first is at %s. Put both into one.", what, place(before))
			continue
		}
		first[what] = b.DefRange
		rb.attrs = l.content(b.Body, rb.kind.schema()).Attributes
		for _, a := range rb.attrs {
			raw.uses = append(raw.uses, l.checkNames(a.Expr, own)...)
		}
		raw.blocks = append(raw.blocks, rb)
	}
	return raw
}

// evaluateLevel evaluates raw and checks each value on its own.
func (l *loader) evaluateLevel(raw *rawLevel, ctx *hcl.EvalContext) *level {
	lv := &level{blocks: map[string][]*layer{}}
	if raw.requirements != nil {
		if a, ok := l.attribute(raw.requirements, ctx); ok {
			lv.requirements = l.chosen(input{a, &l.faults})
		}
	}
	lv.ignored = l.ignored(raw.ignore, raw.ignoreReason, ctx)
	lv.images = l.images(raw.images, ctx)
	for _, rb := range raw.blocks {
		la := l.evaluateBlock(rb, ctx)
		lv.blocks[rb.kind.name] = append(lv.blocks[rb.kind.name], la)
	}
	return lv
}

func (l *loader) evaluateBlock(rb rawBlock, ctx *hcl.EvalContext) *layer {
	la := &layer{label: rb.label, rng: rb.block.DefRange, why: place(rb.block.DefRange), attrs: map[string]attr{}}
	for name, raw := range rb.attrs {
		a, ok := l.attribute(raw, ctx)
		if !ok {
			if a.name != "" {
				la.broken = append(la.broken, name)
			}
			continue
		}
		if name == "enabled" && rb.kind.switchable {
			on := input{a, &l.faults}.boolean()
			la.enabled = &on
		}
		if name == "password" {
			l.secrets.learn(a.value)
		}
		la.attrs[name] = a
	}
	rb.kind.check(la, &l.faults)
	return la
}

// attribute evaluates one attribute. It is false for a fault, which has been
// reported, and for null, which is as good as absent: then there is no name.
func (l *loader) attribute(raw *hcl.Attribute, ctx *hcl.EvalContext) (attr, bool) {
	v, ok := l.evaluate(raw.Expr, ctx)
	if ok && v.IsNull() {
		return attr{}, false
	}
	return attr{raw.Name, v, raw.Expr, place(raw.NameRange), l.now}, ok
}

// content reads a body by its schema; unknown names get the nearest known one.
func (l *loader) content(body hcl.Body, schema *hcl.BodySchema) *hcl.BodyContent {
	content, diags := body.Content(schema)
	for _, d := range diags {
		var known []string
		switch d.Summary {
		case "Unsupported argument":
			for _, a := range schema.Attributes {
				known = append(known, a.Name)
			}
		case "Unsupported block type":
			for _, b := range schema.Blocks {
				known = append(known, b.Type)
			}
		}
		if len(known) > 0 && !strings.Contains(d.Detail, "Did you mean") && d.Subject != nil {
			d.Detail += didYouMean(string(d.Subject.SliceBytes(l.source(d.Subject.Filename))), known)
		}
		if strings.HasPrefix(d.Summary, "Missing name for ") {
			d.Detail = fmt.Sprintf("The block needs a name. Write it as %s \"NAME\" { … }.", strings.TrimPrefix(d.Summary, "Missing name for "))
		}
		l.add(d)
	}
	return content
}
