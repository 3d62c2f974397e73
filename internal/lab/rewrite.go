package lab

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// parse reads a piece of script that the shell itself runs, as eval does.
func (s *shell) parse(script string) (*syntax.File, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), s.name)
	if err != nil {
		return nil, err
	}
	_, err = s.rewrite(file)
	return file, err
}

// A notPOSIX is what dash does not take.
type notPOSIX struct {
	pos  syntax.Pos
	what string
}

func (e notPOSIX) Error() string { return e.what }

// syntaxError is err as dash words it.
func syntaxError(err error) string {
	if np, ok := errors.AsType[notPOSIX](err); ok {
		return fmt.Sprintf("%d: %s", np.pos.Line(), np.what)
	}
	if pe, ok := errors.AsType[syntax.ParseError](err); ok {
		return fmt.Sprintf("%d: Syntax error: %s", pe.Pos.Line(), pe.Text)
	}
	return fmt.Sprintf("0: %v", err)
}

// rewrite makes a parsed script one that the interpreter runs as dash would:
// what only bash knows is refused, the process ids of the real machine are
// those of the practice host, and background jobs get one each.
func (s *shell) rewrite(tree syntax.Node) (changed bool, err error) {
	var jobs []*syntax.Stmt
	refuse := func(n syntax.Node, what string) {
		if err == nil {
			err = notPOSIX{n.Pos(), what}
		}
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			if n.RsrvWord {
				refuse(n, `Syntax error: "function" is not POSIX`)
			} else if n.Name != nil {
				s.funcs[n.Name.Value] = true
			}
		case *syntax.Stmt:
			if n.Background {
				jobs = append(jobs, n)
			}
			if n.Coprocess || n.Disown {
				refuse(n, "Syntax error: \"&\" unexpected")
			}
		case *syntax.ParamExp:
			switch {
			case n.Slice != nil || n.Repl != nil || n.Index != nil || n.Excl:
				refuse(n, "Bad substitution")
			case n.Param != nil:
				changed = renameParam(n) || changed
			}
		case *syntax.Redirect:
			switch n.Op {
			case syntax.WordHdoc, syntax.RdrAll, syntax.AppAll:
				refuse(n, "Syntax error: redirection unexpected")
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.PipeAll {
				refuse(n, `Syntax error: "&" unexpected`)
			}
		case *syntax.ProcSubst:
			refuse(n, `Syntax error: "(" unexpected`)
		case *syntax.ArrayExpr:
			refuse(n, `Syntax error: "(" unexpected`)
		case *syntax.ExtGlob:
			refuse(n, `Syntax error: "(" unexpected`)
		case *syntax.TestClause:
			refuse(n, "[[: not found")
		case *syntax.LetClause:
			refuse(n, "let: not found")
		case *syntax.ArithmCmd:
			refuse(n, "((: not found")
		case *syntax.CStyleLoop:
			refuse(n, "Syntax error: Bad for loop variable")
		case *syntax.SglQuoted:
			if n.Dollar {
				refuse(n, "$'…' is not POSIX")
			}
		case *syntax.DeclClause:
			switch n.Variant.Value {
			case "export", "readonly", "local":
			default:
				refuse(n, n.Variant.Value+": not found")
			}
		}
		return err == nil
	})
	for _, job := range jobs {
		background(job)
	}
	return changed || len(jobs) > 0, err
}

func renameParam(n *syntax.ParamExp) bool {
	name := map[string]string{"$": pidVar, "PPID": ppidVar, "!": bangVar, "0": nameVar}[n.Param.Value]
	if name == "" {
		return false
	}
	n.Param.Value = name
	n.Short = false
	return true
}

// background turns `X &` into
//
//	{ __lab_fork; { __lab_child=$__lab_bang; ( X ); __lab_exit; } & }
func background(st *syntax.Stmt) {
	job := *st
	job.Background = false
	st.Redirs, st.Negated, st.Background = nil, false, false
	call := func(name string) *syntax.Stmt {
		w := &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{ValuePos: st.Pos(), Value: name}}}
		return &syntax.Stmt{Position: st.Pos(), Cmd: &syntax.CallExpr{Args: []*syntax.Word{w}}}
	}
	value := &syntax.Word{Parts: []syntax.WordPart{&syntax.ParamExp{Param: &syntax.Lit{Value: bangVar}}}}
	assign := &syntax.Stmt{Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{{
		Name: &syntax.Lit{Value: childVar}, Value: value,
	}}}}
	st.Cmd = &syntax.Block{Stmts: []*syntax.Stmt{
		call(forkCall),
		{Background: true, Redirs: []*syntax.Redirect{{Op: syntax.RdrIn, Word: &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: "/dev/null"}}}}}, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{
			assign,
			{Cmd: &syntax.Subshell{Stmts: []*syntax.Stmt{&job}}},
			call(exitCall),
		}}},
	}}
}
