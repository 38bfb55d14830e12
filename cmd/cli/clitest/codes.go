package clitest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
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

// code is one that a package declares.
type code struct {
	fault.Code
	dir  string
	uses []use
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
	codes := codesBelow(t, top)
	met := func(c *code) bool {
		return slices.ContainsFunc(meets, func(m string) bool { return c.dir == m || strings.HasPrefix(c.dir, m+"/") })
	}
	named, declared, found := map[fault.Code]bool{}, map[fault.Code]string{}, 0
	for _, c := range codes {
		base, _, _ := strings.Cut(string(c.Code), "/")
		pattern := regexp.MustCompile("^" + placeholder.ReplaceAllString(string(c.Code), "[a-z-]+") + "$")
		for row := range rows {
			if row == c.Code || string(row) == base || slices.Contains(others, string(row)) || pattern.String() != "^[a-z-]+$" && pattern.MatchString(string(row)) {
				named[row] = true
			}
		}
		if !met(c) {
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
		if found++; row == nil && !slices.Contains(but, c.Code) {
			t.Errorf("%q of %s has no words: give it a row", c.Code, c.dir)
		}
		for _, m := range placeholder.FindAllStringSubmatch(optional.ReplaceAllString(strings.Join(row, ""), ""), -1) {
			for _, u := range c.uses {
				if !slices.Contains(u.values, m[1]) && !slices.Contains([]string{"why", "err", "hint", "filed"}, m[1]) {
					t.Errorf("%s: %s is told with a value %s, which is not given", u.at, c.Code, m[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d codes found", found)
	}
	for row, texts := range rows {
		if !named[row] || len(texts) > 1 {
			t.Errorf("%q has %d rows, and is a code: %t", row, len(texts), named[row])
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^\s*(?:const )?(\w+)\s+fault\.Code\s+=\s+"([^"]+)"`)

// codesBelow finds the codes that are declared in a folder, and where they are used.
func codesBelow(t *testing.T, top string) map[string]*code {
	codes := map[string]*code{} // by package and name
	of := func(pkg, name string) *code {
		key := pkg + "." + name
		if codes[key] == nil {
			codes[key] = &code{}
		}
		return codes[key]
	}
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
		pkg := filepath.Base(dir)
		for _, m := range declaration.FindAllSubmatch(src, -1) {
			c := of(pkg, string(m[1]))
			c.Code, c.dir = fault.Code(m[2]), filepath.ToSlash(dir)
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
			switch x := made.X.(type) {
			case *ast.Ident:
				c := of(pkg, x.Name)
				c.uses = append(c.uses, u)
			case *ast.SelectorExpr:
				c := of(fmt.Sprint(x.X), x.Sel.Name) // of an imported package
				c.uses = append(c.uses, u)
			}
			return true
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes
}
