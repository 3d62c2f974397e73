package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxFile bounds a file that is read, in bytes. It is far above what a person
// writes and far below what hurts.
const maxFile = 8 << 20

// settingsKinds are the settings blocks, which may stand at every level.
var settingsKinds = []kind{
	kindOf("ssh", sshSpec, nil, false),
	kindOf("sudo", sudoSpec, nil, false),
	kindOf("proxy", proxySpec, nil, true),
	kindOf("egress", egressSpec, nil, true),
	kindOf("nfs_mount", mountSpec, mountPath, true),
	kindOf("registry", registrySpec, registryName, true),
	kindOf("resources", resourcesSpec, nil, true),
	kindOf("nvidia_driver", driverSpec, nil, true),
	kindOf("squid", squidSpec, nil, true),
	kindOf("kubernetes", kubernetesSpec, nil, true),
	kindOf("container_toolkit", toolkitSpec, nil, true),
}

// levelAttributes stand at every level, beside its blocks.
var levelAttributes = []string{"ignore", "ignore_reason", "images"}

// levelSchema is the schema of a level: its own attributes and blocks, and the
// settings.
func levelSchema(attributes []string, kinds []kind) *hcl.BodySchema {
	s := attributeSchema(append([]string{"requirements"}, attributes...))
	for _, k := range kinds {
		b := hcl.BlockHeaderSchema{Type: k.name}
		if k.label != nil {
			b.LabelNames = []string{"name"}
		}
		s.Blocks = append(s.Blocks, b)
	}
	return s
}

// declarations are the blocks of an inventory, sorted by type.
type declarations struct {
	variables, locals, profiles, roles, groups, hosts hcl.Blocks
	top                                               *hcl.BodyContent // the settings of the top level
	end                                               hcl.Range        // where the last file ends
}

// read parses the files and sorts their blocks.
func (l *loader) read(path string) *declarations {
	d := &declarations{top: &hcl.BodyContent{Attributes: hcl.Attributes{}}}
	schema := levelSchema(levelAttributes, settingsKinds)
	for _, t := range []string{"variable", "requirements", "role", "group", "host"} {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: t, LabelNames: []string{"name"}})
	}
	schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: "locals"})
	for _, name := range l.inventoryFiles(path) {
		file := l.parse(name)
		if file == nil {
			continue
		}
		content := l.content(file.Body, schema)
		d.end = hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
		for n, a := range content.Attributes {
			if before, ok := d.top.Attributes[n]; ok {
				l.errorf(a.NameRange, "Duplicate "+n, "The attribute %s is set a second time; the first is at %s. Keep one.", n, place(before.NameRange))
				continue
			}
			d.top.Attributes[n] = a
		}
		for _, b := range content.Blocks {
			switch b.Type {
			case "variable":
				d.variables = append(d.variables, b)
			case "locals":
				d.locals = append(d.locals, b)
			case "requirements":
				d.profiles = append(d.profiles, b)
			case "role":
				d.roles = append(d.roles, b)
			case "group":
				d.groups = append(d.groups, b)
			case "host":
				d.hosts = append(d.hosts, b)
			default:
				d.top.Blocks = append(d.top.Blocks, b)
			}
		}
	}
	return d
}

// inventoryFiles are the files that an inventory consists of.
func (l *loader) inventoryFiles(path string) []string {
	info, err := os.Stat(path)
	if err != nil {
		l.unreadable(path, err)
		return nil
	}
	if !info.IsDir() {
		return []string{path}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		l.unreadable(path, err)
		return nil
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".hcl" && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		l.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "No inventory",
			Detail: fmt.Sprintf("The folder %q holds no .hcl file. Name the folder or file of the inventory. How one is written stands in docs/inventory.md; examples/ holds whole ones.", path)})
	}
	slices.Sort(names)
	return names
}

// unreadable reports a file that cannot be read; it has no source to point at.
func (l *loader) unreadable(path string, err error) {
	l.unparsed = true
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	l.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Cannot read file",
		Detail: fmt.Sprintf("%q cannot be read: %v. Look at the path and its permissions.", path, err)})
}

// parse reads one HCL file; it is nil when it has no usable body. What is
// assigned to attributes named in hidden is never shown.
func (l *loader) parse(name string, hidden ...string) *hcl.File {
	src, err := readFile(name)
	if err != nil {
		l.unreadable(name, err)
		return nil
	}
	file, diags := l.secrets.parse(src, name, hidden...)
	l.files[name] = file
	l.add(diags...)
	if diags.HasErrors() {
		l.unparsed = true
	}
	if file.Body == nil {
		return nil
	}
	return file
}

func (l *loader) source(name string) []byte {
	if f := l.files[name]; f != nil {
		return f.Bytes
	}
	return nil
}

// readFile reads a regular file of at most maxFile bytes. Anything else could
// go on for ever.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxFile {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return src, nil
}

// Parsing and evaluating recurse: as deep as brackets are nested, and as often
// as operators and indices follow each other within one expression. Far beyond
// what a person writes the stack would end, and the program with it.
const (
	maxDepth     = 500
	maxOperators = 50_000
)

// tooDeep finds the token at which a source goes beyond these bounds, or holds
// a number of more than a thousand digits.
func tooDeep(tokens hclsyntax.Tokens) (hcl.Range, bool) {
	type bracket struct {
		lines  bool // a newline inside ends an expression
		before int  // operators on the way to it
	}
	var open []bracket
	operators := 0 // on the way from the outermost expression to here
	enclosing := func() bracket {
		if len(open) == 0 {
			return bracket{lines: true}
		}
		return open[len(open)-1]
	}
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrack:
			operators++ // perhaps an index
			open = append(open, bracket{false, operators})
		case hclsyntax.TokenOBrace:
			open = append(open, bracket{true, operators})
		case hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote:
			open = append(open, bracket{false, operators})
		case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote:
			operators = enclosing().before
			open = open[:max(len(open)-1, 0)]
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			if b := enclosing(); b.lines && endsLine(t) {
				operators = b.before
			}
		case hclsyntax.TokenComma:
			operators = enclosing().before
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenQuestion, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
			hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenDot:
			operators++
		case hclsyntax.TokenNumberLit:
			if _, exponent, ok := bytes.Cut(bytes.ToLower(t.Bytes), []byte("e")); ok && len(bytes.TrimLeft(exponent, "+-0")) > 3 {
				return t.Range, true // its digits would fill the memory
			}
		}
		if len(open) > maxDepth || operators > maxOperators {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}
