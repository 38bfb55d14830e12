package payload

import (
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

func sampleAsk() Ask {
	return Ask{Scope: Scope{Categories: []Category{"labs"}}, For: "30d", Reason: "why <you> \"ask\"\n\u2028"}
}

// FuzzLetter: whatever a stranger writes into a letter is refused, or is within the bounds
// and has that one encoding.
func FuzzLetter(f *testing.F) {
	ask := sampleAsk()
	f.Add(LetterAsk, string(Marshal(&ask)))
	f.Add(LetterDeny, `{"reason":"no"}`)
	f.Add(LetterAsk, `{"scope":{"role":"x","beyond":true,"categories":["labs"],"sensitive":[]},"until":500000,"reason":""}`)
	f.Add("recall", "")
	f.Fuzz(func(t *testing.T, kind, body string) {
		l := &Letter{kind, body}
		if a, err := l.Ask(); err == nil {
			if kind != LetterAsk || string(Marshal(a)) != body || len(a.Scope.Categories) == 0 || !ReasonFits(a.Reason) || (a.For == "") == (a.Until == 0) {
				t.Errorf("%q", body)
			}
		}
		if d, err := l.Denial(); err == nil && (kind != LetterDeny || string(Marshal(d)) != body || !ReasonFits(d.Reason)) {
			t.Errorf("%q", body)
		}
		_, tr, _, _ := samplePayloads(t)
		tr.Records, tr.Letter = []TermsRecord{}, l
		if read, err := ParseTerms(Marshal(&tr)); err == nil && (len(Marshal(read.Letter)) > MaxLetter || !isWord(read.Letter.Kind)) {
			t.Errorf("%q %q", kind, body)
		}
	})
}

// A letter keeps to its bound to the byte, stands where no record is, and is told from one
// of a newer program.
func TestLettersAreBounded(t *testing.T) {
	_, tr, _, _ := samplePayloads(t)
	records := tr.Records
	for name, x := range map[string]struct {
		letter  *Letter
		records []TermsRecord
		ok      bool
	}{
		"the longest":           {&Letter{LetterAsk, strings.Repeat("b", MaxLetter-len(`{"kind":"ask","body":""}`))}, []TermsRecord{}, true},
		"longer by one":         {&Letter{LetterAsk, strings.Repeat("b", MaxLetter-len(`{"kind":"ask","body":""}`)+1)}, []TermsRecord{}, false},
		"longer by its escapes": {&Letter{LetterAsk, strings.Repeat(`"`, MaxLetter/2)}, []TermsRecord{}, false},
		"no kind":               {&Letter{"", "b"}, []TermsRecord{}, false},
		"no word":               {&Letter{"ask\x1b[2J", "b"}, []TermsRecord{}, false},
		"asks and gives":        {&Letter{LetterAsk, "b"}, records, false},
		"denies and gives":      {&Letter{LetterDeny, "b"}, records, false},
		"a newer kind":          {&Letter{"recall", "b"}, records, true},
		"neither":               {nil, []TermsRecord{}, false},
	} {
		tr.Records, tr.Letter = x.records, x.letter
		if _, err := ParseTerms(Marshal(&tr)); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Ask){
		"nothing":          func(a *Ask) { a.Scope.Categories = nil },
		"unsorted":         func(a *Ask) { a.Scope.Categories = []Category{"vitals", "labs"} },
		"twice":            func(a *Ask) { a.Scope.Categories = []Category{"labs", "labs"} },
		"no day":           func(a *Ask) { a.Scope.Since = "2024-02-30" },
		"backwards":        func(a *Ask) { a.Scope.Since, a.Scope.Until = "2024-02-02", "2024-02-01" },
		"a role's bounds":  func(a *Ask) { a.Scope.Role, a.Scope.Beyond = "nurse", true },
		"no end":           func(a *Ask) { a.For = "" },
		"two ends":         func(a *Ask) { a.Until = 500000 },
		"zeros":            func(a *Ask) { a.For = "030d" },
		"no unit":          func(a *Ask) { a.For = "30" },
		"no number":        func(a *Ask) { a.For = "d" },
		"a sign":           func(a *Ask) { a.For = "+3d" },
		"years":            func(a *Ask) { a.For = "3y" },
		"too long":         func(a *Ask) { a.For = "100000d" },
		"a reason too big": func(a *Ask) { a.Reason = strings.Repeat("a", MaxReason+1) },
	} {
		a := sampleAsk()
		if _, err := NewLetter(LetterAsk, a).Ask(); err != nil {
			t.Fatal(err)
		}
		change(&a)
		if _, err := NewLetter(LetterAsk, a).Ask(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	newer := &Letter{LetterDeny, `{"reason":"","until":1}`}
	if _, err := newer.Denial(); err == nil {
		t.Error("an unknown field is taken")
	} else if e, _ := fault.As(err, ErrVersion); fault.Get[string](e, "age") != "newer" {
		t.Errorf("an unknown field: %v", err)
	}
}
