package inventory

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// TestFunctions: the functions that are our own, as Terraform documents them.
// Each expression is true.
func TestFunctions(t *testing.T) {
	l := newLoader(".", Options{})
	for _, src := range []string{
		`cidrhost("10.12.112.0/20", 16) == "10.12.112.16"`,
		`cidrhost("10.12.112.0/20", 268) == "10.12.113.12"`,
		`cidrhost("10.12.112.0/20", -1) == "10.12.127.255"`,
		`cidrhost("fd00:fd12:3456:7890:00a2::/72", 34) == "fd00:fd12:3456:7890::22"`,
		`cidrnetmask("172.16.0.0/12") == "255.240.0.0"`,
		`cidrsubnet("172.16.0.0/12", 4, 2) == "172.18.0.0/16"`,
		`cidrsubnet("10.1.2.0/24", 4, 15) == "10.1.2.240/28"`,
		`cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162) == "fd00:fd12:3456:7800:a200::/72"`,
		`cidrsubnets("10.1.0.0/16", 4, 4, 8, 4) == tolist(["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24", "10.1.48.0/20"])`,
		`cidrcontains("10.0.0.0/8", "10.1.2.3") && !cidrcontains("10.0.0.0/8", "11.0.0.0/9")`,
		`replace("hello world", "/w.*d/", "everybody") == "hello everybody"`,
		`replace("1 + 2 + 3", "+", "-") == "1 - 2 - 3"`,
		`lookup({ a = "ay" }, "a", "x") == "ay" && lookup({ a = "ay" }, "b", "x") == "x"`,
		`one([]) == null && one(["a"]) == "a"`,
		`alltrue([]) && !anytrue([]) && alltrue(["true", true]) && anytrue([false, true])`,
		`sum([1, 2.5]) == 3.5`,
		`matchkeys(["i-1", "i-2", "i-3"], ["a", "b", "a"], ["a"]) == tolist(["i-1", "i-3"])`,
		`transpose({ a = ["1", "2"], b = ["2"] })["2"] == tolist(["a", "b"])`,
		`length("äö") == 2 && length([1, 2]) == 2 && length({ a = 1 }) == 1`,
		`startswith("gpu-01", "gpu") && endswith("gpu-01", "01") && strcontains("gpu-01", "u-")`,
		`base64decode(base64encode("Run:ai")) == "Run:ai"`,
		`sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`,
		`try(jsondecode("{"), "x") == "x" && can(1 + 1) && !can(tonumber("x"))`,
		`format("%03d %s", 7, "x") == "007 x" && formatlist("%s-%d", ["a", "b"], 1) == tolist(["a-1", "b-1"])`,
		`indent(2, "a\nb") == "a\n  b" && setproduct(["a"], ["b"])[0][1] == "b"`,
		`issensitive(sensitive("x")) && !issensitive(nonsensitive(sensitive("x")))`,
		`fileexists("functions.go") && !fileexists("testdata") && contains(fileset(".", "function*.go"), "functions.go")`,
		`basename("/a/b") == "b" && dirname("/a/b") == "/a" && urlencode("a b/c") == "a+b%2Fc"`,
		`element(["a", "b"], 3) == "b" && merge({ a = 1 }, { b = 2 }).b == 2 && distinct(["a", "a"]) == tolist(["a"])`,
		`[for s in range(3) : s if s > 0] == [1, 2] && flatten([["a"], []]) == ["a"] && zipmap(["k"], ["v"]).k == "v"`,
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(src), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(src, diags)
		}
		v, diags := expr.Value(l.root)
		v, _ = v.UnmarkDeep()
		if diags.HasErrors() || !v.True() {
			t.Errorf("%s: %#v %v", src, v, diags)
		}
	}
}

// TestMarksSurviveFunctions: what is made from a secret is one.
func TestMarksSurviveFunctions(t *testing.T) {
	l := newLoader(".", Options{})
	for _, src := range []string{
		`lookup({ a = sensitive("x") }, "a")`, `lookup(sensitive({ a = "x" }), "a")`, `lookup({}, sensitive("a"), "b")`, `one([sensitive("x")])`,
		`one(sensitive(["x"]))`, `length(sensitive("abc"))`, `format("%s", sensitive("x"))`, `indent(1, sensitive("x"))`, `replace("x", "x", sensitive("y"))`,
		`base64encode(sensitive("x"))`, `sum([1, sensitive(2)])`, `cidrhost(sensitive("10.0.0.0/8"), 1)`, `templatefile("testdata/text.tmpl", { x = sensitive("y") })`,
		`alltrue([sensitive(true)])`, `[for s in sensitive(["a"]) : s][0]`, `"${sensitive("x")}"`, `sensitive(true) ? 1 : 2`, `jsondecode(jsonencode({ a = sensitive("x") })).a`,
		`join(",", [sensitive("a")])`, `merge({ a = sensitive("b") }, {}).a`, `element([sensitive("x")], 0)`, `try(sensitive("x"), "y")`,
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(src), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(src, diags)
		}
		if v, diags := expr.Value(l.root); diags.HasErrors() || !v.ContainsMarked() {
			t.Errorf("%s: not sensitive: %#v %v", src, v, diags)
		}
	}
}
