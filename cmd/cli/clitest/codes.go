package clitest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

var (
	placeholder = regexp.MustCompile(`\{([a-z]+)[^}]*\}`)
	optional    = regexp.MustCompile(`\[[^]]*\]`)
)

// use is a place that returns an error of a code.
type use struct {
	at   string
	args []string // names; nil: they are not written there
}

// Codes compares the codes that the packages below top declare with the texts of a table's rows: those of the
// folders in meets have a row each but for some, every row is for a code, no two packages
// have the same code, and the values that a row's texts name are given wherever an error
// of its code is made. named reports whether a row is for a code that has another source.
func Codes(t *testing.T, top string, rows map[fault.Code]string, meets []string, named func(row string) bool, but ...fault.Code) {
	t.Helper()
	codes, uses := map[fault.Code]string{}, map[string][]use{} // by folder and name
	values := map[string]fault.Code{}
	set := token.NewFileSet()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if n := d.Name(); d.IsDir() && path != top && (strings.HasPrefix(n, ".") || n == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		imports := map[string]string{}
		for _, i := range f.Imports {
			if p, err := strconv.Unquote(i.Path.Value); err == nil {
				_, below, _ := strings.Cut(p, "/carekey/carekey/")
				imports[p[strings.LastIndexByte(p, '/')+1:]] = below
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				of, ok := n.Type.(*ast.SelectorExpr)
				if !ok || of.Sel.Name != "Code" || len(n.Values) != 1 {
					return true
				}
				lit, ok := n.Values[0].(*ast.BasicLit)
				if pkg, is := of.X.(*ast.Ident); !ok || !is || pkg.Name != "fault" {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if other, twice := codes[fault.Code(text)]; twice && reached(dir, meets) == reached(other, meets) {
					t.Errorf("%s is a code of %s and of %s", text, other, dir)
				}
				codes[fault.Code(text)], values[dir+"."+n.Names[0].Name] = dir, fault.Code(text)
			case *ast.CallExpr:
				call, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || call.Sel.Name != "With" && call.Sel.Name != "Of" {
					return true
				}
				key := ""
				switch x := call.X.(type) {
				case *ast.Ident:
					key = dir + "." + x.Name
				case *ast.SelectorExpr:
					if pkg, ok := x.X.(*ast.Ident); ok {
						key = imports[pkg.Name] + "." + x.Sel.Name
					}
				}
				args := n.Args
				if call.Sel.Name == "Of" && len(args) > 0 {
					args = args[1:]
				}
				u := use{at: set.Position(n.Pos()).String(), args: []string{}}
				for i := 0; i < len(args); i += 2 {
					lit, ok := args[i].(*ast.BasicLit)
					if !ok || i+1 == len(args) {
						u.args = nil
						break
					}
					name, _ := strconv.Unquote(lit.Value)
					u.args = append(u.args, name)
				}
				uses[key] = append(uses[key], u)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	row := func(c fault.Code) (texts string, ok bool) {
		if texts, ok = rows[c]; !ok {
			base, _, _ := strings.Cut(string(c), "/")
			texts, ok = rows[fault.Code(base)]
		}
		return texts, ok
	}
	found := 0
	for c, dir := range codes {
		if !reached(dir, meets) || slices.Contains(but, c) {
			continue
		}
		found++
		if _, ok := row(c); !ok {
			t.Errorf("%q of %s has no words: give it a row", c, dir)
		}
	}
	if found < 20 {
		t.Errorf("only %d codes found", found)
	}
	for c := range rows {
		if !named(string(c)) && !slices.ContainsFunc(slices.Collect(maps.Keys(codes)), func(of fault.Code) bool { return instance(of, c) }) {
			t.Errorf("the row %q is for no code", c)
		}
	}
	for name, c := range values {
		if r, ok := row(c); ok && reached(codes[c], meets) {
			for _, u := range uses[name] {
				for _, m := range placeholder.FindAllStringSubmatch(optional.ReplaceAllString(r, ""), -1) {
					if u.args != nil && !slices.Contains(u.args, m[1]) && !slices.Contains([]string{"why", "err", "hint", "filed"}, m[1]) {
						t.Errorf("%s: %s is told with a value %s, which is not given", u.at, c, m[1])
					}
				}
			}
		}
	}
}

// reached reports whether a folder is one of those, or below one.
func reached(dir string, meets []string) bool {
	return slices.ContainsFunc(meets, func(m string) bool { return dir == m || strings.HasPrefix(dir, m+"/") })
}

// instance reports whether a row's key is what a code is, with values in it, its base or
// the code itself. What is nothing but a value fits everything.
func instance(of, row fault.Code) bool {
	base, _, _ := strings.Cut(string(of), "/")
	pattern := regexp.MustCompile("^" + placeholder.ReplaceAllString(string(of), "[a-z-]+") + "$")
	return row == of || string(row) == base || !strings.HasPrefix(string(of), "{rule") && pattern.MatchString(string(row))
}
