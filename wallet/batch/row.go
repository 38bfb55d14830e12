package batch

import (
	"fmt"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Row is one row of a file.
type Row struct {
	Line       int // in the file; names the row in errors and results
	Place      Place
	Do         Do
	To         string // a contact's name; "" in a revocation that names a consent
	Records    []string
	Categories []wallet.Category
	All        bool
	Purpose    wallet.Purpose
	NotBefore  contract.Hour // 0 = from the start
	Until      contract.Hour // the exact end, of a day
	Consent    string        // of a revocation: id or its beginning
	Bad        bool          // something is wrong with it: what it names is looked up, so that all is said at once
}

// Place is in which column of its line, from 1, a row says what.
type Place struct{ To, Records, Consent int }

// Do is what a row asks for, or an item of a plan does.
type Do string

const (
	State  Do = "state" // of a row alone
	Grant  Do = "grant"
	Revoke Do = "revoke"
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
}

// Add notes a problem.
func (e *LinesError) Add(p Problem) {
	if e.Total++; len(e.Problems) < MaxProblems {
		e.Problems = append(e.Problems, p)
	}
}

func (e *LinesError) Error() string {
	if len(e.Problems) == 0 {
		return "nothing is wrong"
	}
	return fmt.Sprintf("line %d and %d more problems", e.Problems[0].Line, e.Total-1)
}

// ErrLines is that of a [LinesError]. problems, how many of them; file; first, those that
// were kept
const ErrLines fault.Code = "bad-file"

// Coded is the error as a code: see package fault.
func (e *LinesError) Coded() error {
	file := ""
	if len(e.Problems) > 0 {
		file = e.Problems[0].File
	}
	return ErrLines.With("problems", e.Total, "file", file, "first", e.Problems)
}
