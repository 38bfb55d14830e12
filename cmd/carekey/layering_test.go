package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

var updateModules = flag.Bool("update-modules", false, "write the list of linked modules anew")

const (
	module    = "github.com/carekey/carekey"
	curve     = "github.com/decred/dcrd/dcrec/secp256k1/v4"
	goKeyring = "github.com/zalando/go-keyring"
	bubbleTea = "github.com/charmbracelet/bubbletea"
	cobraPkg  = "github.com/spf13/cobra"

	backend     = module + "/ledgerclient/folder"
	keyringPkg  = module + "/wallet/keyring"
	nodeServer  = module + "/ledgerclient/node/server"
	conformance = module + "/ledgerclient/ledgertest"
	fakeKeyring = keyringPkg + "/keyringtest"
	diskPkg     = module + "/ledgerclient/disk"
	liar        = module + "/ledgerclient/node/nodetest"
)

// sourceFile is a Go file of the project, for whatever system it is, but no test.
type sourceFile struct {
	path    string // from the top of the checkout, with slashes
	pkg     string // import path
	file    *ast.File
	set     *token.FileSet
	imports []string
}

func top() string { return filepath.Join(here, "..", "..") }

// sources are the Go files of the checkout, which nobody changes.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	all, err := readSources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files found", len(all))
	}
	return all
}

// readSources reads them once.
var readSources = sync.OnceValues(func() (all []sourceFile, err error) {
	err = filepath.WalkDir(top(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			n := d.Name()
			if path != top() && (strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") || n == "testdata" && path != filepath.Join(top(), n)) {
				return fs.SkipDir
			}
			// A module of its own is a program of its own: nothing of it can be imported here.
			if _, err := os.Stat(filepath.Join(path, "go.mod")); path != top() && err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top(), path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := rel[:max(0, strings.LastIndexByte(rel, '/'))]
		f := sourceFile{path: rel, pkg: module + "/" + dir, file: file, set: set}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		all = append(all, f)
		return nil
	})
	return all, err
})

// within tells whether an import path is a package or lies below it.
func within(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// layers from the bottom: a package imports only what is lower, or in its own.
// testdata holds files that are shipped with the program, and no logic.
var layers = []string{"testdata", "crypto", "ledgerclient", "wallet", "cmd"}

var topLayer = len(layers) - 1

func layer(path string) int {
	return slices.IndexFunc(layers, func(l string) bool { return within(path, module+"/"+l) })
}

// rules say which files may import a package: everybody else may not.
var rules = []struct {
	imported string
	only     func(f sourceFile) bool
	why      string
}{
	{curve, func(f sourceFile) bool { return f.pkg == module+"/crypto" }, "only crypto knows the curve"},
	{goKeyring, func(f sourceFile) bool { return f.pkg == module+"/wallet/keyring" }, "only wallet/keyring knows the system's keyring"},
	{bubbleTea, func(f sourceFile) bool { return within(f.pkg, module+"/cmd/carekey") }, "only the wallet has screens"},
	{module + "/cmd/carekey", func(f sourceFile) bool { return within(f.pkg, module+"/cmd/carekey") }, "a node has no screens: what both programs need is in cmd/cli"},
	{cobraPkg, func(f sourceFile) bool { return within(f.pkg, module+"/cmd") }, "only cmd knows flags"},
	{"flag", func(f sourceFile) bool { return within(f.pkg, module+"/cmd") }, "only cmd knows flags"},
	// With log/slog, which lies below it.
	{"log", func(f sourceFile) bool { return within(f.pkg, module+"/cmd") || f.pkg == nodeServer }, "libraries do not print; a node's server writes to the log it is given"},
	{module + "/testdata", func(f sourceFile) bool { return f.pkg == module+"/cmd/carekey" }, "only try uses what is shipped"},
	{backend, func(f sourceFile) bool {
		return within(f.pkg, module+"/cmd/carekey") || within(f.pkg, module+"/cmd/carekey-node") || within(f.pkg, backend) || f.pkg == nodeServer || f.pkg == conformance || f.pkg == liar
	}, "only the program chooses a backend"},
	{nodeServer, func(f sourceFile) bool { return within(f.pkg, module+"/cmd/carekey-node") || f.pkg == liar }, "the wallet serves nobody"},
	{liar, func(f sourceFile) bool { return false }, "it lies: it is for tests"},
	{module + "/crypto/lane", func(f sourceFile) bool { return false }, "it is for tests"},
	{conformance, func(f sourceFile) bool { return within(f.pkg, module+"/cmd/carekey-node") }, "the suite is for tests and for operators"},
	{module + "/ledgerclient/keeper", func(f sourceFile) bool { return within(f.pkg, module+"/ledgerclient") }, "keepers are behind a backend"},
	{module + "/wallet/batch", func(f sourceFile) bool { return within(f.pkg, module+"/cmd/carekey") }, "a wallet knows nothing of files of rows: they use what any program can"},
	{keyringPkg, func(f sourceFile) bool {
		return within(f.pkg, module+"/cmd/carekey") || within(f.pkg, module+"/wallet")
	}, "only the program chooses a keyring"},
}

// walls are packages of the project that may import only these others of it.
var walls = map[string][]string{
	module + "/wallet/payload": {module + "/crypto", module + "/crypto/fault", module + "/ledgerclient/contract"}, // bytes in, values out
	module + "/wallet/home":    {module + "/crypto", module + "/crypto/fault", diskPkg, module + "/wallet/atomicfile"},
	// It is asked, and knows no verb and nothing on its way.
	module + "/wallet/view":   {module + "/crypto", module + "/crypto/codec", module + "/crypto/fault", module + "/ledgerclient", module + "/ledgerclient/contract", diskPkg, module + "/wallet/home", module + "/wallet/payload"},
	module + "/wallet/health": {module + "/crypto", module + "/crypto/fault", module + "/wallet/payload"},
	module + "/wallet/shlink": {module + "/crypto/fault"}, // links of others: it knows no wallet and no ledger
	// It carries what it does not know: no noun, and no wallet.
	module + "/wallet/outbox": {module + "/crypto", module + "/crypto/codec", module + "/crypto/crash", module + "/crypto/fault", module + "/ledgerclient", module + "/ledgerclient/contract", diskPkg, module + "/wallet/home"},
}

// pure packages turn bytes into values and values into bytes: they see no file, no
// network and no process.
var pure = []string{module + "/wallet/health", module + "/wallet/payload", module + "/ledgerclient/contract"}

var outside = []string{"os", "net", "syscall", "io/fs", "path/filepath", "golang.org/x/sys"}

// chains are engines that the wallet's binary must not contain.
var chains = []string{
	"github.com/cometbft", "github.com/tendermint", "github.com/cosmos", "github.com/ethereum", "github.com/hyperledger", "github.com/btcsuite",
}

// Arrows point only from cmd by way of wallet and ledgerclient to crypto.
func TestLayeringImports(t *testing.T) {
	for _, f := range sources(t) {
		own := layer(f.pkg)
		if own < 0 {
			t.Errorf("%s lies outside the layers", f.path)
		}
		for _, i := range f.imports {
			if within(i, module) && layer(i) > own {
				t.Errorf("%s imports %s: arrows point the other way", f.path, i)
			}
			if layer(i) == topLayer && strings.HasPrefix(f.pkg, i+"/") {
				t.Errorf("%s imports %s, which lies above it", f.path, i)
			}
			if lets, ok := walls[f.pkg]; ok && within(i, module) && !slices.Contains(lets, i) {
				t.Errorf("%s imports %s, which lies behind a wall", f.path, i)
			}
			if slices.Contains(pure, f.pkg) && slices.ContainsFunc(outside, func(o string) bool { return within(i, o) }) {
				t.Errorf("%s imports %s: its package sees nothing but what it is given", f.path, i)
			}
			for _, r := range rules {
				if within(i, r.imported) && !r.only(f) {
					t.Errorf("%s imports %s: %s", f.path, i, r.why)
				}
			}
		}
	}
}

// Each goroutine reports its own panic: what Go prints of one may have a secret in it.
// What is started is a function in its place whose first statement is the deferred
// report.
func TestLayeringCrash(t *testing.T) {
	for _, f := range sources(t) {
		if f.pkg == conformance || f.pkg == fakeKeyring || within(f.pkg, liar) {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			var started ast.Expr
			switch n := n.(type) {
			case *ast.GoStmt:
				started = n.Call.Fun
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" && len(n.Args) == 1 {
					started = n.Args[0]
				}
			}
			if started == nil {
				return true
			}
			reports := false
			if lit, ok := started.(*ast.FuncLit); ok && len(lit.Body.List) > 0 {
				if d, ok := lit.Body.List[0].(*ast.DeferStmt); ok {
					s, ok := d.Call.Fun.(*ast.SelectorExpr)
					if ok {
						x, ok := s.X.(*ast.Ident)
						reports = ok && x.Name == "crash" && s.Sel.Name == "Report"
					}
				}
			}
			if !reports {
				t.Errorf("%s: a goroutine does not begin with defer crash.Report()", f.set.Position(n.Pos()))
			}
			return true
		})
	}
}

// openers are the files of the programs that open a ledger or a keyring. The others may
// name their errors and constants, to put them into words.
var openers = []string{"cmd/carekey/open.go", "cmd/carekey/keys.go", "cmd/carekey-node/app.go"}

func TestLayeringOpeners(t *testing.T) {
	for _, f := range sources(t) {
		if !within(f.pkg, module+"/cmd") || slices.Contains(openers, f.path) {
			continue
		}
		local := map[string]bool{} // names of the two packages in this file
		for i, path := range f.imports {
			if path == backend || path == keyringPkg {
				name := path[strings.LastIndexByte(path, '/')+1:]
				if n := f.file.Imports[i].Name; n != nil {
					name = n.Name
				}
				local[name] = true
			}
		}
		if len(local) == 0 {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			var used ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				used = n.Fun
			case *ast.CompositeLit:
				used = n.Type
			}
			if s, ok := used.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil && local[x.Name] {
					t.Errorf("%s:%d: %s.%s is for %v", f.path, f.set.Position(n.Pos()).Line, x.Name, s.Sel.Name, openers)
				}
			}
			return true
		})
	}
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
	Module     *struct {
		Path, Version string
		Main          bool
		Replace       *struct{ Path, Version string }
	}
}

// goList lists packages as they are built for an operating system, without cgo.
// Tests must not reach out to the network: where a module is not on this machine
// the error says so.
func goList(t *testing.T, goos string, args ...string) ([]listed, error) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Imports,Module"}, args...)...)
	cmd.Dir = top()
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOPROXY=off", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

func missing(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v", what, err)
}

// A new dependency, or a new version of one, is a decision: the modules that are
// linked into the wallet are listed in testdata/modules.txt, with the systems
// they are linked on where that is not all three. After a decision:
//
//	go test ./cmd/carekey -run TestLayeringModules -update-modules
func TestLayeringModules(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	systems := []string{"darwin", "linux", "windows"}
	linked := map[string][]string{}
	for _, goos := range systems {
		pkgs, err := goList(t, goos, "-deps", "./cmd/carekey")
		if err != nil {
			missing(t, "modules for "+goos+" are not on this machine (go mod download)", err)
		}
		for _, p := range pkgs {
			// Who else knows the curve would know it by way of a dependency.
			if p.Module != nil && !p.Module.Main && !within(p.ImportPath, curve) {
				for _, i := range p.Imports {
					if within(i, curve) {
						t.Errorf("%s imports %s", p.ImportPath, i)
					}
				}
			}
			if p.Module == nil || p.Module.Main {
				continue
			}
			for _, c := range chains {
				if within(p.ImportPath, c) {
					t.Errorf("%s is linked: engines belong into modules of their own", p.ImportPath)
				}
			}
			name := p.Module.Path + " " + p.Module.Version
			if r := p.Module.Replace; r != nil {
				name += " => " + r.Path + " " + r.Version
			}
			if !slices.Contains(linked[name], goos) {
				linked[name] = append(linked[name], goos)
			}
		}
	}
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		got.WriteString(name)
		if len(linked[name]) < len(systems) {
			fmt.Fprintf(&got, " (%s)", strings.Join(linked[name], " "))
		}
		got.WriteByte('\n')
	}
	golden := filepath.Join(top(), "testdata", "modules.txt")
	if *updateModules {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("linked modules are not those of testdata/modules.txt; they are\n%s", &got)
	}
}

// Every package says what it is for.
func TestLayeringPackageComments(t *testing.T) {
	doc := map[string]bool{}
	for _, f := range sources(t) {
		text := ""
		if f.file.Doc != nil {
			text = f.file.Doc.Text()
		}
		begin := "Package " + f.file.Name.Name + " "
		if f.file.Name.Name == "main" {
			begin = "Command " // as go doc has it
		}
		if text != "" && f.file.Name.Name != "main" && !strings.HasPrefix(text, begin) {
			t.Errorf("%s: the package comment does not begin with %q", f.path, begin)
		}
		doc[f.pkg] = doc[f.pkg] || text != ""
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "base", "misc"}, f.file.Name.Name) {
			t.Errorf("%s: package %s is named for nothing", f.path, f.file.Name.Name)
		}
	}
	for pkg, ok := range doc {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// Nothing happens before main begins, and only main ends the program; libraries
// print nothing and read no environment.
func TestLayeringProgram(t *testing.T) {
	for _, f := range sources(t) {
		at := func(n ast.Node) string {
			return fmt.Sprintf("%s:%d", f.path, f.set.Position(n.Pos()).Line)
		}
		library := layer(f.pkg) < topLayer
		for _, d := range f.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			isMain := ok && fn.Recv == nil && fn.Name.Name == "main" && f.file.Name.Name == "main"
			if ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init", at(fn))
			}
			if isMain {
				if lines := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1; lines > 15 {
					t.Errorf("%s: main has %d lines, more than 15", at(fn), lines)
				}
			}
			ast.Inspect(d, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := s.X.(*ast.Ident)
				if !ok {
					return true
				}
				switch name := x.Name + "." + s.Sel.Name; name {
				case "os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "syscall.Exit":
					if !isMain {
						t.Errorf("%s: %s outside main", at(n), name)
					}
				case "fmt.Print", "fmt.Printf", "fmt.Println", "os.Stdout", "os.Stderr", "os.Stdin":
					if library {
						t.Errorf("%s: %s in a library", at(n), name)
					}
				}
				return true
			})
		}
	}
}

// What lies in folders that others can write is opened by package disk alone, which
// follows no link, waits for no pipe and reads no more than it was told to; and only
// there are folders synced. Commands open what a person names for themselves.
func TestLayeringFiles(t *testing.T) {
	calls := 0
	for _, f := range sources(t) {
		if f.pkg == diskPkg || f.pkg == fakeKeyring || f.pkg == liar {
			continue
		}
		if layer(f.pkg) == topLayer && !strings.HasSuffix(f.path, "/backup.go") {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			switch name := x.Name + "." + s.Sel.Name; name {
			case "os.Open", "os.OpenFile", "os.ReadFile", "os.ReadDir", "os.Create", "os.WriteFile", "os.DirFS", "os.CopyFS",
				"ioutil.ReadFile", "ioutil.ReadDir", "syscall.Open", "unix.Open", "unix.Openat", "filepath.Walk", "filepath.WalkDir":
				t.Errorf("%s: %s is for package disk", f.set.Position(n.Pos()), name)
			case "disk.Open", "disk.ReadFile", "disk.ReadDir":
				calls++
			}
			return true
		})
	}
	if calls < 20 {
		t.Errorf("package disk is called in %d places: is it still the one?", calls)
	}
}

// At the top lie only the names that were agreed upon.
func TestLayeringTopLevel(t *testing.T) {
	out, err := exec.Command("git", "-C", top(), "-c", "safe.directory=*", "ls-files", "-z").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		missing(t, "not a git checkout", err)
	}
	allowed := []string{"cmd", "wallet", "crypto", "ledgerclient", "testdata", "go.mod", "go.sum", "README.md", "LICENSE"}
	seen := map[string]bool{}
	for _, path := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		first, _, _ := strings.Cut(path, "/")
		if !seen[first] && !slices.Contains(allowed, first) && !strings.HasPrefix(first, ".") {
			t.Errorf("%s at the top level", first)
		}
		seen[first] = true
	}
	for _, name := range allowed {
		if !seen[name] {
			t.Errorf("%s is not there", name)
		}
	}
}
