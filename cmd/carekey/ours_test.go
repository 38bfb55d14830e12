package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// What a line names as next acts on the wallet that the command acted on.
func TestCommandsThatAreNamedAreOurs(t *testing.T) {
	for _, test := range []struct{ profile, ledger, text, want string }{
		{"", "", "carekey audit", "carekey audit"},
		{"leo", "", "Next: carekey audit", "Next: carekey --profile leo audit"},
		{"leo o'neil", "", "carekey sync, carekey batch status", `carekey --profile 'leo o'\''neil' sync, carekey --profile 'leo o'\''neil' batch status`},
		{"", "far", "first: carekey words check, then: carekey backup DIR", "first: carekey --ledger far words check, then: carekey --ledger far backup DIR"},
		{"leo", "100% city", "see: carekey fetch --help", "see: carekey --profile leo --ledger '100% city' fetch --help"},
		{"leo", "far", "carekey ledger move --ledger 1234abcd --to far", "carekey --profile leo ledger move --ledger 1234abcd --to far"},
		{"leo", "far", "carekey --ledger 1234abcd COMMAND works on it; carekey ledger default 1234abcd", "carekey --profile leo --ledger 1234abcd COMMAND works on it; carekey --profile leo --ledger far ledger default 1234abcd"},
		{"leo", "", "for another one: carekey --profile NAME init ...", "for another one: carekey --profile NAME init ..."},
		{"leo", "", "every carekey command tries again; carekey-node status; use a newer carekey", "every carekey command tries again; carekey-node status; use a newer carekey"},
		{"leo", "", "She runs " + theirs + "fetch CODE. You see it with carekey audit", "She runs carekey fetch CODE. You see it with carekey --profile leo audit"},
		{"leo", "", "CAREKEY_KEYRING=file carekey ...\ncarekey sync", "CAREKEY_KEYRING=file carekey --profile leo ...\ncarekey --profile leo sync"},
	} {
		a := &app{console: console{flags: flags{profile: test.profile, ledger: test.ledger}}}
		if got := a.ours(test.text); got != test.want {
			t.Errorf("%q, %q: %s\nnot %s", test.profile, test.ledger, got, test.want)
		}
		if got := strings.ReplaceAll(a.oursFormat(test.text), "%%", "%"); got != test.want {
			t.Errorf("as a format: %s", got)
		}
	}
}

// All verbs are known where commands are found in texts.
func TestCommandsAreFound(t *testing.T) {
	for _, c := range newRoot(newApp()).Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if !commandNamed().MatchString("Next: carekey "+c.Name()) || commandNamed().MatchString("carekey "+c.Name()+"s") || commandNamed().MatchString("carekey-"+c.Name()) {
			t.Errorf("carekey %s is not found in a text, or more than it", c.Name())
		}
	}
}

// A command that is named in a value, which is not looked into, is made ours where it is put.
func TestCommandsInValuesAreOurs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	spoken, found := map[string]bool{"say": true, "print": true, "next": true, "Add": true}, 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		called := func(n ast.Node) (string, *ast.CallExpr) {
			if c, ok := n.(*ast.CallExpr); ok {
				if s, ok := c.Fun.(*ast.SelectorExpr); ok {
					return s.Sel.Name, c
				}
			}
			return "", nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			name, call := called(n)
			if !spoken[name] || len(call.Args) < 2 {
				return true
			}
			for _, value := range call.Args[1:] {
				ast.Inspect(value, func(n ast.Node) bool {
					if name, _ := called(n); name == "ours" || name == "asProfile" {
						found++
						return false
					}
					if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
						if text, err := strconv.Unquote(l.Value); err == nil && commandNamed().MatchString(text) {
							t.Errorf("%s: %s is not said as ours", set.Position(l.Pos()), l.Value)
						}
					}
					return true
				})
			}
			return true
		})
	}
	if found == 0 {
		t.Error("no value is looked at")
	}
}

// A screen keeps what it shows in rows and in texts for later: a command in one of these is
// made ours there.
func TestCommandsOnScreensAreOurs(t *testing.T) {
	files, err := filepath.Glob("screen*.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	made, found := map[string]bool{"ours": true, "asProfile": true, "say": true, "print": true, "next": true, "usage": true}, 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch fun := n.Fun.(type) {
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				case *ast.Ident:
					name = fun.Name
				}
				if name == "ours" {
					found++
				}
				return !made[name]
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && commandNamed().MatchString(text) {
					t.Errorf("%s: %s is not ours", set.Position(n.Pos()), n.Value)
				}
			}
			return true
		})
	}
	if found == 0 {
		t.Error("none is found")
	}
}

var printedCommand = regexp.MustCompile(`(?:^|[^-\w./])carekey ((?:--(?:profile|ledger) (?:'[^']*'|\S+) )*[a-z][^\n;,]*)`)

// otherPeoples are commands that somebody else is to run.
var otherPeoples = regexp.MustCompile(` finds it with carekey inbox|its owner sees it with: carekey address`)

// acts: acts COMMAND ARGS... runs a command, and then reads each command that it named on
// its two outputs as a shell would: it must mean the wallet, and the ledger if one was
// named, that the command itself was about. Fails if it named none.
func acts(ts *testscript.TestScript, neg bool, args []string) {
	_ = ts.Exec(args[0], args[1:]...) // what it ends with is for other stories
	said := otherPeoples.ReplaceAllString(ts.ReadFile("stdout")+"\n"+ts.ReadFile("stderr"), "")
	about := func(words []string) (place, bool) {
		a := newApp()
		a.lookup = func(name string) (string, bool) { v := ts.Getenv(name); return v, v != "" }
		root := newRoot(a)
		root.SetOut(io.Discard)
		c, rest, err := root.Find(words)
		if err != nil || c == root {
			return place{}, false
		}
		c.FParseErrWhitelist = cobra.FParseErrWhitelist{UnknownFlags: true}
		ts.Check(c.ParseFlags(rest))
		wd, err := os.Getwd()
		ts.Check(err)
		ts.Check(os.Chdir(ts.MkAbs(".")))
		p, err := a.place()
		ts.Check(os.Chdir(wd))
		ts.Check(err)
		return p, true
	}
	want, _ := about(args[1:])
	found := 0
	for _, m := range printedCommand.FindAllStringSubmatch(said, -1) {
		words := strings.Fields(strings.ReplaceAll(m[1], "'", ""))
		got, ok := about(words)
		if !ok {
			continue // prose
		}
		found++
		if got.dir != want.dir {
			ts.Fatalf("%q acts on the wallet in %s, and was said of the one in %s", m[1], got.dir, want.dir)
		}
		on, of := got.at.kept(got.home), want.at.kept(want.home)
		if !slices.Contains(words, "--to") && !slices.Contains(words, "restore") && (on != of || got.home != want.home) {
			ts.Fatalf("%q acts on the ledger in %s, and was said of the one in %s", m[1], on, of)
		}
	}
	if found == 0 {
		ts.Fatalf("no command is named in:\n%s", said)
	}
}
