package inventory

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var (
	// secretSources are functions whose values no message shows.
	secretSources = []string{"env", "command", "sops", "sensitive"}
	// secretPlaces are functions whose arguments name the place of a
	// secret, and are no secret themselves.
	secretPlaces = []string{"env", "command", "sops", "file"}
)

const (
	commandTimeout = 30 * time.Second
	maxOutput      = 1 << 20 // bytes of a command's output
)

// fileFunctions read files of this machine; relative paths start from the
// inventory's folder.
func (l *loader) fileFunctions(f map[string]function.Function) {
	f["abspath"] = textFunc(func(p string) (string, error) { return filepath.Abs(l.path(p)) })
	f["basename"] = textFunc(func(p string) (string, error) { return filepath.Base(p), nil })
	f["dirname"] = textFunc(func(p string) (string, error) { return filepath.Dir(p), nil })
	f["pathexpand"] = textFunc(func(p string) (string, error) { return expandHome(p), nil })
	f["file"] = textFunc(l.readText)
	f["filebase64"] = textFunc(func(p string) (string, error) {
		b, err := l.readRegular(p)
		if err != nil {
			return "", err
		}
		return base64.StdEncoding.EncodeToString(b), nil
	})
	f["fileexists"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			info, err := os.Stat(l.path(args[0].AsString()))
			return cty.BoolVal(err == nil && !info.IsDir()), nil
		},
	})
	f["fileset"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "folder", Type: cty.String}, {Name: "pattern", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Set(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			dir := l.path(args[0].AsString())
			found, err := filepath.Glob(filepath.Join(dir, args[1].AsString()))
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			var names []cty.Value
			for _, p := range found {
				if rel, err := filepath.Rel(dir, p); err == nil {
					names = append(names, cty.StringVal(filepath.ToSlash(rel)))
				}
			}
			if len(names) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			return cty.SetVal(names), nil
		},
	})
	f["templatefile"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return l.template(args[0].AsString(), args[1])
		},
	})
}

// template renders a template file. Templates cannot render others, so that
// none can render itself.
func (l *loader) template(p string, vars cty.Value) (cty.Value, error) {
	text, err := l.readText(p)
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() {
		return cty.NilVal, function.NewArgErrorf(1, "an object of variables is needed, not %s", article(ty))
	}
	name := l.path(p)
	tokens, _ := hclsyntax.LexTemplate([]byte(text), name, hcl.InitialPos)
	if _, deep := tooDeep(tokens); deep {
		return cty.NilVal, function.NewArgErrorf(0, "the template is nested too deeply")
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, diags)
	}
	ctx := &hcl.EvalContext{Variables: vars.AsValueMap(), Functions: map[string]function.Function{}}
	for n, f := range l.root.Functions {
		if n != "templatefile" {
			ctx.Functions[n] = f
		}
	}
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, diags)
	}
	return v, nil
}

// secretFunctions bring secrets from where they are kept.
func (l *loader) secretFunctions(f map[string]function.Function) {
	f["env"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			text, ok := l.options.LookupEnv(name)
			if !ok {
				return cty.NilVal, safef("the environment variable %q is not set; export it before the command is run", name)
			}
			return cty.StringVal(strings.ToValidUTF8(text, "\uFFFD")).Mark(private), nil
		},
	})
	outputs := map[string]cty.Value{} // a command is run once
	run := func(argv []string) (cty.Value, error) {
		key := strings.Join(argv, "\x00")
		if v, ok := outputs[key]; ok {
			return v, nil
		}
		text, err := l.command(argv)
		if err != nil {
			return cty.NilVal, err
		}
		v := cty.StringVal(text)
		l.secrets.learn(v)
		v = v.Mark(sensitive)
		outputs[key] = v
		return v, nil
	}
	f["command"] = function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "program", Type: cty.String}},
		VarParam: &function.Parameter{Name: "arguments", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			argv := make([]string, len(args))
			for i, a := range args {
				argv[i] = a.AsString()
			}
			return run(argv)
		},
	})
	f["sops"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return run([]string{"sops", "-d", l.path(args[0].AsString())})
		},
	})
	any := []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}}
	same := func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil }
	f["sensitive"] = function.New(&function.Spec{Params: any, Type: same, Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		l.secrets.learn(args[0])
		return args[0].Mark(sensitive), nil
	}})
	f["nonsensitive"] = function.New(&function.Spec{Params: any, Type: same, Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, _ := args[0].UnmarkDeep()
		return v, nil
	}})
	f["issensitive"] = function.New(&function.Spec{Params: any, Type: function.StaticReturnType(cty.Bool), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(args[0].HasMark(sensitive)), nil
	}})
}

// errNoCommands is Options.NoCommands.
var errNoCommands = errors.New("no program is run while the inventory is read in this way")

// command runs a program of this machine and returns its output without the
// final newline.
func (l *loader) command(argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := l.options.Run(ctx, argv)
	if errors.Is(err, errNoCommands) {
		return "", safef("%q: %v", argv[0], err)
	}
	if ctx.Err() != nil {
		return "", safef("%q did not end within %s; run it by hand to see what it waits for", argv[0], commandTimeout)
	}
	if err != nil {
		return "", safef("%q failed: %v; run it by hand to see why", argv[0], err)
	}
	if len(out) > maxOutput {
		return "", safef("%q printed more than %d bytes", argv[0], maxOutput)
	}
	if !utf8.Valid(out) {
		return "", safef("%q printed bytes that are not UTF-8 text", argv[0])
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(out), "\n"), "\r")
	if text == "" {
		return "", safef("%q printed nothing; run it by hand to see why", argv[0])
	}
	return text, nil
}

// runLocally runs argv without a shell. What it prints to standard error goes
// into the error: a secret is printed to standard output.
func runLocally(ctx context.Context, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // children that keep the pipes open
	var out, complaint boundedBuffer
	out.room, complaint.room = maxOutput+1, 2048
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(strings.ToValidUTF8(complaint.String(), "\uFFFD")); text != "" {
			return nil, fmt.Errorf("%w: %s", err, text)
		}
		return nil, err
	}
	return out.Bytes(), nil
}

// A boundedBuffer keeps the first room bytes and drops the rest, so that the
// writer is never blocked.
type boundedBuffer struct {
	bytes.Buffer
	room int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if left := b.room - b.Len(); left > 0 {
		b.Buffer.Write(p[:min(left, len(p))])
	}
	return len(p), nil
}

// ReadFrom hides bytes.Buffer's, which knows no bound.
func (b *boundedBuffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// path is a path of an expression as this machine opens it.
func (l *loader) path(p string) string { return expandHome(l.resolve(p)) }

func expandHome(p string) string {
	if p == "~" || strings.HasPrefix(p, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, p[1:])
		}
	}
	return p
}

func (l *loader) readText(p string) (string, error) {
	b, err := l.readRegular(p)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", safef("%q is not UTF-8 text; use filebase64", p)
	}
	return string(b), nil
}

// readRegular reads a file that an expression names. A pipe or a terminal
// would be waited for.
func (l *loader) readRegular(p string) ([]byte, error) {
	info, err := os.Stat(l.path(p))
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, notReadable(p, err)
	}
	b, err := readFile(l.path(p))
	if err != nil {
		return nil, notReadable(p, err)
	}
	return b, nil
}

func notReadable(p string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return safef("%q cannot be read: %v; relative paths start from the inventory's folder", p, err)
}
