package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/ledgerclient"
)

// Threat: the wallet says that nothing is hidden, or that nobody opened something, where
// an operator or a recipient who reads a folder could have done it without an entry.

// grounds are all that a sentence can stand on.
func grounds() (out []ground) {
	for _, gate := range []ledgerclient.Gate{ledgerclient.Advisory, ledgerclient.Enforced, "newer"} {
		for _, n := range []int{0, 1, 2, 7} {
			for _, clock := range []string{"node", "order"} {
				for _, fresh := range []time.Duration{0, time.Minute} {
					p := ledgerclient.Properties{Gate: gate, Operators: n, Clock: clock, Freshness: fresh}
					out = append(out, ground{Properties: p}, ground{Properties: p, away: true}, ground{Properties: p, away: true, since: time.Unix(1e9, 0)})
				}
			}
		}
	}
	return out
}

// A page of a ledger that answers and shows what is old is not one of a ledger out of reach.
func TestPageOfAnOldHead(t *testing.T) {
	at := ground{away: true, since: time.Unix(1e9, 0)}
	old := at
	old.stale = true
	for want, g := range map[string]ground{"": {}, "out of reach, as it was " + at.when(): at, "as it was " + at.when(): old} {
		if got := asOf([]ground{g}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestClaimsRestOnTheirGround(t *testing.T) {
	for _, g := range grounds() {
		s := plain(g.says(eachOpening))
		wants := []string{"gate: " + string(g.Gate)}
		switch {
		case g.Gate == ledgerclient.Advisory:
			wants = append(wants, "The ledger is a folder", "without leaving an entry", "honest software")
		case g.Gate != ledgerclient.Enforced:
			wants = append(wants, "does not know")
		case g.Operators > 1:
			wants = append(wants, number(g.Operators)+" of them and a recipient together could open", "without leaving an entry", "a copy that lacks one")
		case g.Clock == "order":
			wants = append(wants, "one operator", "without leaving an entry", "needs who keeps the order")
		default:
			wants = append(wants, "one operator. It and a recipient together could open", "without leaving an entry", "a copy that lacks one")
		}
		for _, want := range wants {
			if !strings.Contains(s, want) {
				t.Errorf("%+v: %q is not in %q", g, want, s)
			}
		}
		for _, c := range []claim{allShown, noneOpen} {
			if s := g.says(c); g.away != (strings.Contains(s, " at ") || strings.Contains(s, "before it was out of reach")) || g.away != strings.Contains(strings.ReplaceAll(s, "was open", "showed"), "showed") {
				t.Errorf("%+v: %q", g, s)
			}
		}
		for _, c := range []claim{eachOpening, allShown, noneOpen, noOpening, inShort, erased} {
			s := g.says(c)
			if c == inShort {
				s = g.gateLine()
				hides := g.Gate == ledgerclient.Enforced && (g.Operators > 1 || g.Clock != "order")
				if !regexp.MustCompile(`without (leaving )?an entry|do not count on entries`).MatchString(s) || strings.Contains(s, "or hide one") != hides {
					t.Errorf("%+v: %q", g, s)
				}
			}
			if s == "" || strings.Contains(s, "\n") || c == inShort && utf8.RuneCountInString(s) > 80 {
				t.Errorf("%+v: %d columns: %q", g, utf8.RuneCountInString(s), s) // who prints it breaks it, where it has to be
			}
			if c != eachOpening && unfounded.MatchString(s) {
				t.Errorf("%+v promises: %q", g, s)
			}
		}
	}
}

// unfounded is what no sentence may say without its clause.
var unfounded = regexp.MustCompile(`(?i)nothing[^.]* hidden|(can(not|'t)?|could) be hidden|hides? nothing|nobody (can|could) (open|see|read)|never (been )?opened|was not opened|without a trace|no trace|opens? no more|(each|every|any|the first) (opening|access)[^.]* leaves|openings leave|proven complete|verified and complete|nothing that is asked for`)

// clause is what makes such a sentence true.
var clause = regexp.MustCompile(`(?i)folder|operator|honest|keepers? breaks?|advisory`)

func plain(s string) string { return strings.Join(strings.Fields(s), " ") }

// No other text of the programs makes such a claim, nor does a story expect one.
func TestNoClaimElsewhere(t *testing.T) {
	files := 0
	for _, pattern := range []string{"*.go", "../cli/*.go", "../carekey-node/*.go", "ui/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || name == "claims.go" {
				continue
			}
			files++
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if m := unfounded.FindString(plain(s)); m != "" {
					t.Errorf("%s says %q: such a sentence is made in claims.go", name, m)
				}
				return true
			})
		}
	}
	stories, err := filepath.Glob(filepath.Join(top(), "testdata", "script", "*.txtar"))
	if err != nil || len(stories) < 40 || files < 40 {
		t.Fatal(len(stories), files, err)
	}
	for _, name := range stories {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(line, "std") && unfounded.MatchString(line) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// The README and the guides say the same as the screen, and make no claim without its clause.
func TestReadmeClaims(t *testing.T) {
	all, found := "", 0
	for _, file := range clitest.Documents(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += plain(strings.ReplaceAll(string(b), "**", "")) + "\n"
		for _, paragraph := range regexp.MustCompile(`\n\n|\n- |\n\d\. |\n\|`).Split(string(b), -1) {
			p := plain(strings.ReplaceAll(paragraph, "**", ""))
			if m := unfounded.FindString(p); m != "" {
				found++
				if !clause.MatchString(p) {
					t.Errorf("%s says %q without a clause: %s", filepath.Base(file), m, p)
				}
			}
		}
	}
	for _, p := range []ledgerclient.Properties{{Gate: ledgerclient.Advisory}, {Gate: ledgerclient.Enforced, Operators: 1}, {Gate: ledgerclient.Enforced, Operators: 1, Clock: "order"}} {
		if s := plain(ground{Properties: p}.says(eachOpening)); !strings.Contains(all, s) {
			t.Errorf("neither the README nor a guide says: %s", s)
		}
	}
	if found < 5 {
		t.Errorf("only %d claims were found", found)
	}
}

// The help, which knows no ledger, says all that may be the case.
func TestHelpOfAuditSaysWhatItRestsOn(t *testing.T) {
	c, _, err := newRoot(newApp()).Find([]string{"audit"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []ledgerclient.Properties{{Gate: ledgerclient.Advisory}, {Gate: ledgerclient.Enforced, Operators: 1}} {
		if says := cli.Wrap(ground{Properties: p}.says(eachOpening), 80); !strings.Contains(c.Long, "\n"+says) {
			t.Errorf("not in the help:\n%s\n%s", says, c.Long)
		}
	}
}
