package clitest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
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

// code is one that a package declares.
type code struct {
	fault.Code
	name string // with that of its package, as "folder.ErrDamaged"
	dir  string
}

// use is a place that returns an error of a code, and the names of its values.
type use struct {
	at     string
	values []string
}

// Codes compares the codes that the packages below top declare with the texts of a
// table's rows: those of the folders in meets have one row each but for some, every row is
// for a code or one of the others, no two packages have the same code, and the values that
// a row's texts name are given wherever an error of its code is made.
func Codes(t *testing.T, top string, rows map[fault.Code][]string, meets []string, others []string, but ...fault.Code) {
	t.Helper()
	codes, uses := codesBelow(t, top)
	within := regexp.MustCompile("^(" + strings.Join(meets, "|") + ")(/|$)")
	named, declared := map[fault.Code]bool{}, map[fault.Code]string{}
	shown := others // what codes with a value in them are shown as
	for _, c := range codes {
		base, _, _ := strings.Cut(string(c.Code), "/")
		named[c.Code], named[fault.Code(base)] = true, true
		if pattern := placeholder.ReplaceAllString(string(c.Code), "[a-z-]+"); pattern != "[a-z-]+" {
			shown = append(shown, pattern)
		}
		if !within.MatchString(c.dir) {
			continue
		}
		if other, twice := declared[c.Code]; twice {
			t.Errorf("%s is a code of %s and of %s", c.Code, other, c.dir)
		}
		declared[c.Code] = c.dir
		row := rows[c.Code]
		if row == nil {
			row = rows[fault.Code(base)]
		}
		if row == nil && !slices.Contains(but, c.Code) {
			t.Errorf("%q of %s has no words: give it a row", c.Code, c.dir)
		}
		for _, m := range placeholder.FindAllStringSubmatch(optional.ReplaceAllString(strings.Join(row, ""), ""), -1) {
			for _, u := range uses[c.name] {
				if !slices.Contains(u.values, m[1]) && !slices.Contains([]string{"why", "err", "hint", "filed"}, m[1]) {
					t.Errorf("%s: %s is told with a value %s, which is not given", u.at, c.Code, m[1])
				}
			}
		}
	}
	if len(declared) < 20 {
		t.Errorf("only %d codes found", len(declared))
	}
	known := regexp.MustCompile("^(" + strings.Join(shown, "|") + ")$")
	for row, texts := range rows {
		ok := named[row] || known.MatchString(string(row))
		if !ok || len(texts) > 1 {
			t.Errorf("%q has %d rows, and is a code: %t", row, len(texts), ok)
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^\s*(?:const )?(\w+)\s+fault\.Code\s+=\s+"([^"]+)"`)

// codesBelow finds the codes that are declared in a folder, and by their names where they
// are used.
func codesBelow(t *testing.T, top string) (codes []code, uses map[string][]use) {
	uses = map[string][]use{}
	set := token.NewFileSet()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if n := d.Name(); err == nil && d.IsDir() && path != top && (strings.HasPrefix(n, ".") || n == "testdata") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(top, filepath.Dir(path))
		pkg := filepath.Base(dir) + "."
		for _, m := range declaration.FindAllSubmatch(src, -1) {
			codes = append(codes, code{fault.Code(m[2]), pkg + string(m[1]), filepath.ToSlash(dir)})
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			made, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || made.Sel.Name != "With" && made.Sel.Name != "Of" {
				return true
			}
			u := use{at: set.Position(n.Pos()).String()}
			values := call.Args
			if made.Sel.Name == "Of" && len(values) > 0 { // the cause comes first
				values = values[1:]
			}
			for pair := range slices.Chunk(values, 2) {
				lit, ok := pair[0].(*ast.BasicLit)
				if !ok {
					return true // the values are not written here
				}
				name, _ := strconv.Unquote(lit.Value)
				u.values = append(u.values, name)
			}
			name := types.ExprString(made.X)
			if !strings.Contains(name, ".") { // of an imported package otherwise
				name = pkg + name
			}
			uses[name] = append(uses[name], u)
			return true
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes, uses
}

// Constants are the values of the constants of a type of text that its package declares
// with the type, as in "Active Status = "active"".
func Constants(t *testing.T, top string, typ reflect.Type) (values []string) {
	t.Helper()
	const module = "github.com/carekey/carekey/"
	dir := strings.TrimPrefix(typ.PkgPath(), module)
	if typ.PkgPath() == "main" || !strings.HasPrefix(typ.PkgPath(), module) {
		dir = "cmd/carekey"
	}
	files, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(dir), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	one := regexp.MustCompile(`(?m)^\s*(?:const )?\w+\s+` + typ.Name() + `\s+=\s+"([^"]*)"`)
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range one.FindAllSubmatch(src, -1) {
			values = append(values, string(m[1]))
		}
	}
	return values
}
