package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// bounds are the measures of the two large packages. A number here may only become
// smaller.
var bounds = []struct {
	dir     string
	back    int    // percent of the arrows between its files that run back up
	center  string // its largest type
	methods int    // of that one
}{
	{"cmd/carekey", 8, "app", 80},
	{"wallet", 10, "Wallet", 45},
}

// A package of many files reads from top to bottom if they can be put into an order in
// which each uses only what later ones declare. There is an arrow from one file to
// another if it uses a name of that one, however often: a type, a function, a method, a
// field, a variable, a constant. Counted are those that run back in an order in which the
// fewest names are used backwards; tests are left out.
func TestLayeringArrows(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	for _, wall := range bounds {
		pkg, uses := typed(t, filepath.Join(top(), filepath.FromSlash(wall.dir)))
		order := bestOrder(uses)
		all, back := 0, 0
		for from, tos := range uses {
			for to, names := range tos {
				if all++; slices.Index(order, to) < slices.Index(order, from) {
					back++
					t.Logf("%s → %s: %s", from, to, strings.Join(names, " "))
				}
			}
		}
		t.Logf("%s: %d files in the order %s", wall.dir, len(order), strings.Join(order, " "))
		t.Logf("%s: %d of %d arrows run back, %.1f %%", wall.dir, back, all, float64(100*back)/float64(all))
		if 100*back > wall.back*all {
			t.Errorf("%s: %d of %d arrows between files run back up, more than %d %%", wall.dir, back, all, wall.back)
		}
		n := methodsOf(pkg, wall.center)
		t.Logf("%s: %s has %d methods", wall.dir, wall.center, n)
		if n > wall.methods {
			t.Errorf("%s: %s has %d methods, more than %d: a new noun is a small type", wall.dir, wall.center, n, wall.methods)
		}
	}
}

// logFiles are those of the log of a ledger in a folder, with what lies below it. It knows
// nothing of the store and of the keeper beside it, which are in all the other files.
var logFiles = []string{
	"append.go", "checked.go", "checkpoint.go", "claim.go", "create.go", "durable.go", "errors.go", "files.go", "founding.go", "index.go", "keys.go",
	"layout.go", "log.go", "proofs.go", "recover.go", "replica.go", "spare.go", "state.go",
	"tables.go", "tree.go", "verify.go",
}

func TestLayeringFolder(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	_, uses := typed(t, filepath.Join(top(), "ledgerclient", "folder"))
	system := regexp.MustCompile(`^(lock|fs|exchange)_[a-z]+\.go$`)
	isLog := func(file string) bool { return slices.Contains(logFiles, file) || system.MatchString(file) }
	for _, file := range logFiles {
		if uses[file] == nil {
			t.Errorf("there is no %s", file)
		}
	}
	for from, tos := range uses {
		for to, names := range tos {
			if isLog(from) && !isLog(to) {
				t.Errorf("%s is of the log and uses of %s: %s", from, to, strings.Join(names, " "))
			}
		}
	}
}

// methodsOf counts those of a type, of what it embeds, and the functions that take it
// first, which are methods in all but form.
func methodsOf(pkg *types.Package, name string) int {
	pointer := types.NewPointer(pkg.Scope().Lookup(name).Type())
	n := types.NewMethodSet(pointer).Len()
	for _, of := range pkg.Scope().Names() {
		f, ok := pkg.Scope().Lookup(of).(*types.Func)
		if !ok {
			continue
		}
		for i, params := 0, f.Signature().Params(); i < min(2, params.Len()); i++ {
			p := params.At(i).Type()
			if types.Identical(p, pointer) {
				n++
			}
			if p.String() != "context.Context" { // which comes before what is first
				break
			}
		}
	}
	return n
}

// typed checks a package, and tells which names each file uses of each other one. What it
// imports is built for other tests too; it itself, without tests, is not, and need not be.
func typed(t *testing.T, dir string) (*types.Package, map[string]map[string][]string) {
	t.Helper()
	list := func(args ...string) *json.Decoder {
		t.Helper()
		list := exec.Command("go", append([]string{"list"}, args...)...)
		list.Dir, list.Stderr = dir, os.Stderr
		list.Env = append(os.Environ(), "GOPROXY=off")
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		return json.NewDecoder(bytes.NewReader(out))
	}
	var own struct{ GoFiles, Imports []string }
	if err := list("-json=GoFiles,Imports", ".").Decode(&own); err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for d := list(append([]string{"-export", "-deps", "-json=ImportPath,Export"}, own.Imports...)...); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
	}
	var files []*ast.File
	set := token.NewFileSet()
	for _, name := range own.GoFiles {
		f, err := parser.ParseFile(set, filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(set, "gc", open)}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := config.Check(dir, set, files, info)
	if err != nil {
		t.Fatal(err)
	}
	file := func(p token.Pos) string { return filepath.Base(set.Position(p).Filename) }
	uses := map[string]map[string][]string{}
	for _, f := range files {
		uses[file(f.Pos())] = map[string][]string{}
	}
	for id, of := range info.Uses {
		if of.Pkg() != pkg || of.Parent() != nil && of.Parent() != pkg.Scope() { // fields and methods have no parent
			continue
		}
		from, to := file(id.Pos()), file(of.Pos())
		if from != to && !slices.Contains(uses[from][to], of.Name()) {
			uses[from][to] = append(uses[from][to], of.Name())
		}
	}
	return pkg, uses
}

// bestOrder moves one file at a time to where the fewest names are used backwards,
// until that makes nothing better, from several beginnings.
func bestOrder(uses map[string]map[string][]string) (best []string) {
	files := slices.Sorted(maps.Keys(uses))
	names := make([][]int, len(files)) // how many each uses of each
	for i, from := range files {
		names[i] = make([]int, len(files))
		for j, to := range files {
			names[i][j] = len(uses[from][to])
		}
	}
	least := -1
	for turn := range files {
		order := make([]int, len(files))
		for i := range order {
			order[i] = (turn + i) % len(files)
		}
		for moved := true; moved; {
			moved = false
			for _, f := range slices.Clone(order) {
				i := slices.Index(order, f)
				to, most := i, 0
				for _, step := range []int{-1, 1} {
					gain := 0
					for j := i + step; j >= 0 && j < len(order); j += step {
						if gain -= step * (names[f][order[j]] - names[order[j]][f]); gain > most {
							to, most = j, gain
						}
					}
				}
				if most > 0 {
					order, moved = slices.Insert(slices.Delete(order, i, i+1), to, f), true
				}
			}
		}
		back := 0
		for i, from := range order {
			for _, to := range order[:i] {
				back += names[from][to]
			}
		}
		if least < 0 || back < least {
			best, least = nil, back
			for _, f := range order {
				best = append(best, files[f])
			}
		}
	}
	return best
}
