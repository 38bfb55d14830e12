package payload

import (
	"bytes"
	"crypto/sha256"
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
	f.Add(LetterDeliver, `{"title":"a","size":1,"corrects":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","reason":""}`)
	f.Add(LetterWithdraw, `{"reason":"no"}`)
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
		if d, err := l.Withdrawal(); err == nil && (kind != LetterWithdraw || string(Marshal(d)) != body || !ReasonFits(d.Reason)) {
			t.Errorf("%q", body)
		}
		if n, err := l.Notice(); err == nil && (kind != LetterDeliver || string(Marshal(n)) != body || !ReasonFits(n.Reason) || !TitleFits(n.Title) || n.Size < 0 || n.Size > MaxDelivery) {
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
		"delivers and gives":    {&Letter{LetterDeliver, "b"}, records, false},
		"takes back and gives":  {&Letter{LetterWithdraw, "b"}, records, false},
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

// FuzzDelivery: whatever is said of a file in an envelope, it is refused, or is the file that
// it says, within the bounds.
func FuzzDelivery(f *testing.F) {
	f.Add("Blood test", "a.json", int64(2), []byte("{}"), true, "")
	f.Add("\x1b[2J", "../x", int64(0), []byte{}, true, "{}")
	f.Add("t", "a", int64(3), []byte("ab"), false, "")
	f.Fuzz(func(t *testing.T, title, file string, size int64, body []byte, sum bool, statement string) {
		_, _, env, _ := samplePayloads(t)
		d := &Delivery{Title: title, File: file, Size: size, Body: body}
		if sum {
			d.SHA256 = sha256.Sum256(body)
		}
		if statement != "" {
			d.Vouched = &Vouched{Statement: statement}
		}
		env.Records, env.Delivery = []EnvelopeRecord{}, d
		read, err := ParseEnvelope(Marshal(&env))
		if err != nil {
			return
		}
		if got := read.Delivery; !sum || got.Size != int64(len(got.Body)) || !bytes.Equal(got.Body, body) || !TitleFits(got.Title) || len(got.File) > MaxFile || got.Vouched != nil {
			t.Errorf("%+v", got)
		}
	})
}
