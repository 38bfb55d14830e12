package batch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

// Row is one row of a file.
type Row struct {
	Line  int // in the file; names the row in errors and results
	Place Place
	Do    Do
	To    string // a contact's name; "" in a revocation that names a consent
	Chosen
	Purpose   wallet.Purpose // "" = the first one of Role
	NotBefore contract.Hour  // 0 = from the start
	Until     contract.Hour  // the exact end, of a day
	Consent   string         // of a revocation: id or its beginning
	Bad       bool           // something is wrong with it: what it names is looked up, so that all is said at once
}

// Chosen is what a row gives, as the flags of a single grant say it.
type Chosen struct {
	Records    []string          `json:"records,omitempty"` // ids or their beginnings
	Categories []wallet.Category `json:"categories,omitempty"`
	All        bool              `json:"all,omitempty"`
	Role       string            `json:"role,omitempty"`
	With       []string          `json:"with,omitempty"`
	Without    []string          `json:"without,omitempty"`
	Dated      string            `json:"dated,omitempty"`
	Whole      bool              `json:"whole,omitempty"`
}

// request is the same for the wallet.
func (c *Chosen) request() (r wallet.GrantRequest, err error) {
	r = wallet.GrantRequest{Records: c.Records, All: c.All, Select: health.Selection{Role: c.Role, Categories: c.Categories, With: c.With, Without: c.Without, Whole: c.Whole}}
	r.Select.Since, r.Select.Until, err = wallet.ParseDates(c.Dated)
	return r, err
}

// Place is in which column of its line, from 1, a row says what.
type Place struct{ To, Records, Categories, Role, With, Without, Dated, Whole, Consent int }

// of is the place of what the wallet calls by that name.
func (p *Place) of(field string) (column int, name string) {
	switch field {
	case "role":
		return p.Role, field
	case "with":
		return p.With, field
	case "without":
		return p.Without, field
	case "dated":
		return p.Dated, field
	case "whole":
		return p.Whole, field
	case "category":
		return p.Categories, "categories"
	}
	return p.Records, "records"
}

// Do is what a row asks for, or an item of a plan does.
type Do string

const (
	State  Do = "state" // of a row alone
	Grant  Do = "grant"
	Revoke Do = "revoke"
	Ask    Do = "ask" // of an item: a request
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File   string `json:"file"` // as it was named; "" if nobody said
	Line   int    `json:"line"` // from 1, as the column, which is one of characters
	Column int    `json:"column"`
	Field  string `json:"field,omitempty"` // "" if no single one is meant
	Value  string `json:"value,omitempty"` // what stands there, shortened
	Why    string `json:"why"`
}

// MaxProblems is how many problems of a file are kept.
const MaxProblems = 100

// LinesError is all that is wrong with a file.
type LinesError struct {
	Problems []Problem // the first MaxProblems, in the order of the file
	Total    int
	Contacts bool // the file is one of contacts
}

// Add notes a problem.
func (e *LinesError) Add(p Problem) {
	if e.Total++; len(e.Problems) < MaxProblems {
		e.Problems = append(e.Problems, p)
	}
}

// inOrder sorts what is wrong by where it stands; nil if nothing is.
func (e *LinesError) inOrder() error {
	if e.Total == 0 {
		return nil
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

func (e *LinesError) Error() string {
	if len(e.Problems) == 0 {
		return "nothing is wrong"
	}
	return fmt.Sprintf("line %d and %d more problems", e.Problems[0].Line, e.Total-1)
}

// ErrLines is that of a [LinesError]. problems, how many of them; file; first, those that
// were kept
const (
	ErrLines        fault.Code = "bad-file"
	ErrContactLines fault.Code = "bad-file/contacts" // the file is one of contacts
)

// Coded is the error as a code: see package fault.
func (e *LinesError) Coded() error {
	file := ""
	if len(e.Problems) > 0 {
		file = e.Problems[0].File
	}
	code := ErrLines
	if e.Contacts {
		code = ErrContactLines
	}
	return code.With("problems", e.Total, "file", file, "first", e.Problems)
}
