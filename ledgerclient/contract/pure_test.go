package contract

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the contract may use. Everything here is a function of its arguments:
// no clock, no randomness, no files, no network, no log, no context.
var pureImports = []string{
	"bytes", "cmp", "encoding/binary", "encoding/hex", "errors", "math", "slices", "strconv", "strings", "unicode/utf8",
	"github.com/carekey/carekey/crypto", "github.com/carekey/carekey/crypto/codec", "github.com/carekey/carekey/crypto/fault",
}

// What the contract may use of package crypto, which as a whole does read
// randomness.
var pureCrypto = []string{
	"Hash", "LedgerID", "ParsePubKey", "PrivateKey", "PubKey", "SelfTag", "Signature", "TaggedHash",
	"TagAccessPackage", "TagChain", "TagConfig", "TagConfigApprove", "TagEntry", "TagGrantPackage", "TagLedger", "TagRecordPackage",
}

// Same input, same answer, on every host: the package can reach nothing but its
// arguments and does nothing whose result could differ from run to run.
func TestPure(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		checked++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		bad := func(n ast.Node, what string) { t.Errorf("%s: %s", set.Position(n.Pos()), what) }
		for _, i := range file.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains(pureImports, path) || i.Name != nil {
				bad(i, "import of "+path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
				bad(n, "concurrency")
			case *ast.MapType:
				bad(n, "a map, whose order is random")
			case *ast.Ident:
				if n.Name == "float32" || n.Name == "float64" || n.Name == "complex128" || n.Name == "recover" {
					bad(n, n.Name)
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					bad(n, "init")
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "crypto" && x.Obj == nil && !slices.Contains(pureCrypto, n.Sel.Name) {
					bad(n, "use of crypto."+n.Sel.Name)
				}
			}
			return true
		})
	}
	if checked < 8 {
		t.Errorf("%d files checked", checked)
	}
}
