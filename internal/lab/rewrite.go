package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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
	quoted := 0 // how many of the nodes above are "…"
	var above []syntax.Node
	bodies := map[*syntax.Word]bool{} // of here-documents
	syntax.Walk(tree, func(n syntax.Node) bool {
		if n == nil {
			if _, ok := above[len(above)-1].(*syntax.DblQuoted); ok {
				quoted--
			}
			above = above[:len(above)-1]
			return true
		}
		above = append(above, n)
		switch n := n.(type) {
		case *syntax.DblQuoted:
			quoted++
		case *syntax.Word:
			if quoted == 0 && !bodies[n] && unescape(n) {
				changed = true
			}
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
			case syntax.Hdoc, syntax.DashHdoc:
				bodies[n.Word], bodies[n.Hdoc] = true, true
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
		if err != nil {
			above = above[:len(above)-1] // its end is not told then
		}
		return err == nil
	})
	for _, job := range jobs {
		background(job)
	}
	return changed || len(jobs) > 0, err
}

// unescape makes \x in a word 'x': where the interpreter takes a word as one
// field, as in an assignment, it leaves backslashes in.
func unescape(w *syntax.Word) bool {
	if !slices.ContainsFunc(w.Parts, func(part syntax.WordPart) bool {
		lit, ok := part.(*syntax.Lit)
		return ok && strings.Contains(lit.Value, `\`)
	}) {
		return false
	}
	var parts []syntax.WordPart
	for _, part := range w.Parts {
		lit, ok := part.(*syntax.Lit)
		if !ok {
			parts = append(parts, part)
			continue
		}
		rest := lit.Value
		for rest != "" {
			plain, escaped, found := strings.Cut(rest, `\`)
			if plain != "" {
				parts = append(parts, &syntax.Lit{ValuePos: lit.ValuePos, Value: plain})
			}
			if !found {
				break
			}
			_, size := utf8.DecodeRuneInString(escaped)
			if char := escaped[:size]; char == "'" { // which no '…' can hold, were the tree to be printed
				parts = append(parts, &syntax.DblQuoted{Left: lit.ValuePos, Parts: []syntax.WordPart{&syntax.Lit{ValuePos: lit.ValuePos, Value: char}}})
			} else {
				parts = append(parts, &syntax.SglQuoted{Left: lit.ValuePos, Value: char})
			}
			rest = escaped[size:]
		}
	}
	w.Parts = parts
	return true
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
