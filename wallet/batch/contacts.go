package batch

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// MaxContacts is how many contacts a file may have: some 30 MB of the wallet's book, which
// is read as a whole.
const MaxContacts = 100_000

// ContactRow is one contact of a file, and where it stands there.
type ContactRow struct {
	wallet.Contact
	Line    int // from 1, as the columns, which are those of characters
	Column  int // of its name
	address string
	at, ref spot // of the address, and of the reference
}

// spot is where in a file a value is.
type spot struct{ line, column int }

// ContactFile is what a file says of contacts.
type ContactFile struct {
	Rows   []ContactRow
	Passed int // vCards in which no address of carekey stands
}

// contactFields are those of a row of contacts.
var contactFields = []string{"name", "address", "card", "ref"}

// ReadContacts reads contacts from CSV or JSON Lines, in the form in which rows of a batch
// are read, or from vCards of version 3 or 4. Names, addresses and references are checked.
// All that is wrong with the file is a [*LinesError]; any other error is of r.
func ReadContacts(r io.Reader) (ContactFile, error) {
	decoded := bufio.NewReaderSize(text.NewReader(r), 4096)
	begin, err := decoded.Peek(len(cardBegin) + 512)
	if _, coded := fault.As(err, text.ErrEncoding); err != nil && err != io.EOF && !coded {
		return ContactFile{}, err
	}
	c := &contactReader{}
	c.sheet = &sheet{bad: LinesError{Contacts: true}, columns: contactFields, l: newLines(decoded), row: c.row}
	if begin = bytes.TrimLeft(begin, " \t\r\n"); len(begin) >= len(cardBegin) && bytes.EqualFold(begin[:len(cardBegin)], []byte(cardBegin)) {
		err = c.cards()
	} else {
		err = c.read()
	}
	if err != nil {
		return ContactFile{}, err
	}
	c.check()
	return c.file, c.bad.inOrder()
}

type contactReader struct {
	*sheet
	file    ContactFile
	unnamed bool // it was said that no column has addresses
}

// row takes a row of a table: whose address it is says an address, or a card in either of
// the two columns, which has a name too.
func (c *contactReader) row(line []byte, f fields) {
	from := "address"
	if _, ok := f["card"]; ok {
		from = "card"
	}
	_, both := f["address"]
	switch handed := f[from]; {
	case handed.text == "" && c.head != nil && !slices.Contains(c.head, "address") && !slices.Contains(c.head, "card"):
		if !c.unnamed {
			c.unnamed = true
			c.problem(line, 0, "address", "", "there is no such column, and none of cards")
		}
	case handed.text == "":
		c.problem(line, 0, "address", "", "empty")
	case from == "card" && both:
		c.problem(line, handed.at, "card", handed.text, "an address and a card in one row")
	default:
		at := func(field string) spot { return spot{c.l.n, column(line, f[field].at)} }
		c.add(ContactRow{Contact: wallet.Contact{Name: f["name"].text, Ref: f["ref"].text}, Line: c.l.n, Column: at("name").column,
			address: handed.text, at: at(from), ref: at("ref")})
	}
}

// add takes a contact that is to be checked.
func (c *contactReader) add(r ContactRow) {
	if len(c.file.Rows) == MaxContacts {
		c.bad.Add(Problem{Line: r.Line, Column: r.Column, Why: fmt.Sprintf("more than %d contacts", MaxContacts)})
	}
	if len(c.file.Rows) <= MaxContacts {
		c.file.Rows = append(c.file.Rows, r)
	}
}

// check checks what the rows say: the signature in an address is what costs.
func (c *contactReader) check() {
	rows := c.file.Rows
	wrong := make([]error, len(rows))
	ledgerclient.Parallel(len(rows), func(i int) { wrong[i] = rows[i].parse() })
	type who struct {
		name    string
		address crypto.Address
	}
	first := map[who]*ContactRow{} // that has a reference
	for i := range rows {
		r := &rows[i]
		bad := func(at spot, field, value string, err error) {
			if in, ok := fault.As(err, wallet.ErrInput); ok {
				c.bad.Add(Problem{Line: at.line, Column: at.column, Field: field, Value: shorten(value), Why: fault.Get[string](in, "why")})
			}
		}
		name, err := wallet.CheckContact(r.Name)
		bad(spot{r.Line, r.Column}, "name", r.Name, err)
		ref, err := wallet.CheckRef(r.Ref)
		bad(r.ref, "ref", r.Ref, err)
		r.Name, r.Ref = name, ref
		if wrong[i] != nil {
			c.bad.Add(Problem{Line: r.at.line, Column: r.at.column, Field: "address", Value: shorten(r.address), Why: handedFault(wrong[i])})
			continue
		}
		switch before := first[who{name, r.Address}]; {
		case ref == "":
		case before == nil:
			first[who{name, r.Address}] = r
		case before.Ref != ref:
			c.bad.Add(Problem{Line: r.ref.line, Column: r.ref.column, Field: "ref", Value: shorten(ref), Why: fmt.Sprintf("the same contact has another one in line %d", before.Line)})
		}
	}
	if len(rows) == 0 && c.bad.Total == 0 {
		why := "there is no row in it"
		if c.file.Passed > 0 {
			why = "no address of carekey stands in it: a vCard has one in X-CAREKEY-ADDRESS, NOTE, URL or IMPP"
		}
		c.bad.Add(Problem{Line: max(1, c.l.n), Column: 1, Why: why})
	}
}

// parse reads the address, or the card.
func (r *ContactRow) parse() (err error) {
	if !crypto.IsCard(r.address) {
		r.Address, err = crypto.ParseAddress(r.address)
		return err
	}
	card, err := crypto.ParseCard(r.address)
	r.Address, r.Name = card.Address, cmp.Or(r.Name, card.Name)
	return err
}

// handedFault says what is wrong with an address or a card.
func handedFault(err error) string {
	if errors.Is(err, crypto.ErrCardForged) {
		return "a card that its owner has not signed so: do not use it"
	}
	what, wrong := "an address", crypto.ErrAddress
	if errors.Is(err, crypto.ErrCard) {
		what, wrong = "a card", crypto.ErrCard
	}
	f, _ := fault.As(err, wrong)
	switch fault.Get[crypto.Fault](f, "fault") {
	case crypto.FaultChecksum:
		return "has a typing mistake in it"
	case crypto.FaultVersion:
		return what + " of a newer carekey"
	case crypto.FaultMixed:
		return "was put together from two addresses: do not use it"
	}
	return "not " + what + ", or not all of it"
}

// Taken adds to what is wrong with a file the names that stand for another contact, by the
// places that [wallet.Contacts.Import] returns.
func (f *ContactFile) Taken(rows []int) error {
	bad := LinesError{Contacts: true}
	for _, i := range rows {
		r := &f.Rows[i]
		bad.Add(Problem{Line: r.Line, Column: r.Column, Field: "name", Value: shorten(r.Name), Why: "stands for another address, among your contacts or in a line before"})
	}
	return bad.inOrder()
}
