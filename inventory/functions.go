package inventory

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are what expressions may call: the functions of Terraform that
// need no provider, no clock and no randomness, and those that bring secrets.
func (l *loader) functions() map[string]function.Function {
	f := map[string]function.Function{
		// numbers
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc,
		"signum": stdlib.SignumFunc,
		// strings
		"chomp": stdlib.ChompFunc, "endswith": textTest(strings.HasSuffix), "format": bounded(stdlib.FormatFunc), "formatlist": bounded(stdlib.FormatListFunc),
		"indent": bounded(stdlib.IndentFunc), "join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc,
		"regexall": stdlib.RegexAllFunc, "replace": replaceFunc, "split": stdlib.SplitFunc, "startswith": textTest(strings.HasPrefix),
		"strcontains": textTest(strings.Contains), "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
		"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
		// collections
		"alltrue": allTrueFunc, "anytrue": anyTrueFunc, "chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc,
		"contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "index": stdlib.IndexFunc, "keys": stdlib.KeysFunc, "length": lengthFunc,
		"lookup": lookupFunc, "matchkeys": matchKeysFunc, "merge": stdlib.MergeFunc, "one": oneFunc, "range": stdlib.RangeFunc,
		"reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc, "setproduct": bounded(stdlib.SetProductFunc),
		"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc,
		"sort": stdlib.SortFunc, "sum": sumFunc, "transpose": transposeFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		// types
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc,
		"tobool": stdlib.MakeToFunc(cty.Bool), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), "tonumber": stdlib.MakeToFunc(cty.Number),
		"toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),
		// encodings
		"base64decode": textFunc(decodeBase64), "base64encode": textFunc(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64sha256": textFunc(func(s string) (string, error) {
			sum := sha256.Sum256([]byte(s))
			return base64.StdEncoding.EncodeToString(sum[:]), nil
		}),
		"csvdecode": stdlib.CSVDecodeFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"sha256": textFunc(func(s string) (string, error) {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		}),
		"sha512": textFunc(func(s string) (string, error) {
			sum := sha512.Sum512([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		}),
		"urlencode": textFunc(func(s string) (string, error) {
			return url.QueryEscape(s), nil
		}),
		// time
		"formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,
		// networks
		"cidrhost": cidrHostFunc, "cidrnetmask": cidrNetmaskFunc, "cidrsubnet": cidrSubnetFunc, "cidrsubnets": cidrSubnetsFunc,
		"cidrcontains": cidrContainsFunc,
	}
	l.fileFunctions(f)
	l.secretFunctions(f)
	return f
}

// textFunc makes a function from one string to another.
func textFunc(do func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "str", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := do(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

// textTest makes a predicate of two strings.
func textTest(test func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "str", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func decodeBase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", errors.New("not valid base64")
	}
	if !utf8.Valid(b) {
		return "", errors.New("the decoded bytes are not UTF-8 text")
	}
	return string(b), nil
}

var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}, {Name: "substr", Type: cty.String}, {Name: "replace", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		str, sub, with := args[0].AsString(), args[1].AsString(), args[2].AsString()
		// As in Terraform, /…/ is a regular expression.
		if len(sub) > 1 && strings.HasPrefix(sub, "/") && strings.HasSuffix(sub, "/") {
			re, err := regexp.Compile(sub[1 : len(sub)-1])
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			return boundedText(re.ReplaceAllString(str, with))
		}
		if n := strings.Count(str, sub); n*len(with) > maxFile {
			return cty.NilVal, errTooLong
		}
		return boundedText(strings.ReplaceAll(str, sub, with))
	},
})

var errTooLong = errors.New("the result is too long; build a shorter one")

func boundedText(s string) (cty.Value, error) {
	if len(s) > maxFile {
		return cty.NilVal, errTooLong
	}
	return cty.StringVal(s), nil
}

var (
	// widthRE finds the widths and precisions of format's verbs.
	widthRE = regexp.MustCompile(`%[^a-zA-Z%]*?[0-9]{5}`)
	// maxRepeat bounds what a number in an argument multiplies.
	maxRepeat = cty.NumberIntVal(10_000)
)

// bounded guards a function whose result grows with a number in its arguments,
// not with their length: format("%999999999d", 1), indent(999999999, …), and
// the product of sets.
func bounded(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			product := 1
			for _, a := range args {
				a, _ = a.UnmarkDeep()
				if !a.IsKnown() || a.IsNull() {
					continue
				}
				switch {
				case a.Type() == cty.Number && len(f.Params()) > 0 && f.Params()[0].Type == cty.Number && a.GreaterThan(maxRepeat).True():
					return cty.NilType, errTooLong
				case a.Type() == cty.String && widthRE.MatchString(a.AsString()):
					return cty.NilType, errTooLong
				case a.CanIterateElements():
					if product *= max(a.LengthInt(), 1); product > maxLeaves {
						return cty.NilType, errTooLong
					}
				}
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, marks := args[0].Unmark()
		switch ty := v.Type(); {
		case ty == cty.String:
			n, err := stdlib.Strlen(v)
			return n.WithMarks(marks), err
		case v.CanIterateElements() || ty.IsObjectType():
			return cty.NumberIntVal(int64(v.LengthInt())).WithMarks(marks), nil
		default:
			return cty.NilVal, function.NewArgErrorf(0, "a string, list, set, map or object is needed, not %s", article(ty))
		}
	},
})

// lookupFunc is Terraform's: the default may be left out.
var lookupFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "map", Type: cty.DynamicPseudoType, AllowMarked: true},
		{Name: "key", Type: cty.String, AllowMarked: true},
	},
	VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true},
	Type:     function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		m, marks := args[0].Unmark()
		key, keyMarks := args[1].Unmark()
		ty := m.Type()
		if !ty.IsMapType() && !ty.IsObjectType() {
			return cty.NilVal, function.NewArgErrorf(0, "a map is needed, not %s", article(ty))
		}
		if v, ok := m.AsValueMap()[key.AsString()]; ok {
			return v.WithMarks(marks, keyMarks), nil
		}
		if len(args) != 3 {
			return cty.NilVal, function.NewArgErrorf(1, "the map has no key %q, and there is no default; give it as a third argument", key.AsString())
		}
		return args[2].WithMarks(marks, keyMarks), nil
	},
})

var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType, AllowMarked: true}},
	Type:   function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		list, marks := args[0].Unmark()
		if !list.CanIterateElements() {
			return cty.NilVal, function.NewArgErrorf(0, "a list, set or tuple is needed, not %s", article(list.Type()))
		}
		switch list.LengthInt() {
		case 0:
			return cty.NullVal(cty.DynamicPseudoType).WithMarks(marks), nil
		case 1:
			it := list.ElementIterator()
			it.Next()
			_, v := it.Element()
			return v.WithMarks(marks), nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "the list has %d elements, not one or none", list.LengthInt())
	},
})

// truthFunc makes alltrue (start true) or anytrue.
func truthFunc(start bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, v := range args[0].AsValueSlice() {
				if !v.IsNull() && v.True() != start || v.IsNull() && start {
					return cty.BoolVal(!start), nil
				}
			}
			return cty.BoolVal(start), nil
		},
	})
}

var allTrueFunc, anyTrueFunc = truthFunc(true), truthFunc(false)

var sumFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		total := cty.Zero
		for _, v := range args[0].AsValueSlice() {
			if v.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "the list holds null")
			}
			total = total.Add(v)
		}
		return total, nil
	},
})

var matchKeysFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "values", Type: cty.List(cty.String)}, {Name: "keys", Type: cty.List(cty.String)}, {Name: "wanted", Type: cty.List(cty.String)},
	},
	Type: function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		values, keys := args[0].AsValueSlice(), args[1].AsValueSlice()
		if len(values) != len(keys) {
			return cty.NilVal, errors.New("values and keys have different lengths")
		}
		found := []cty.Value{}
		for i, k := range keys {
			for _, w := range args[2].AsValueSlice() {
				if k.RawEquals(w) {
					found = append(found, values[i])
					break
				}
			}
		}
		if len(found) == 0 {
			return cty.ListValEmpty(cty.String), nil
		}
		return cty.ListVal(found), nil
	},
})

var transposeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}},
	Type:   function.StaticReturnType(cty.Map(cty.List(cty.String))),
	Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
		lists := map[string][]cty.Value{}
		for it := args[0].ElementIterator(); it.Next(); {
			k, list := it.Element()
			if list.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "the map holds null")
			}
			for _, v := range list.AsValueSlice() {
				if v.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "a list holds null")
				}
				lists[v.AsString()] = append(lists[v.AsString()], k)
			}
		}
		if len(lists) == 0 {
			return cty.MapValEmpty(cty.List(cty.String)), nil
		}
		out := map[string]cty.Value{}
		for k, list := range lists {
			out[k] = cty.ListVal(list)
		}
		return cty.MapVal(out), nil
	},
})

// A safeError holds nothing but what the author of an inventory wrote, so that
// it may be shown beside secrets.
type safeError struct{ error }

func ownError(err error) bool {
	var own safeError
	return errors.As(err, &own)
}

func safef(format string, args ...any) error { return safeError{fmt.Errorf(format, args...)} }
