package payload

import (
	"crypto/sha256"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Delivery is a file in an envelope. Title and Size are those of the letter in the terms.
type Delivery struct {
	Title   string      `json:"title"` // hostile
	File    string      `json:"file"`  // base name, hostile
	Size    int64       `json:"size"`  // bytes
	SHA256  crypto.Hash `json:"sha256"`
	Body    []byte      `json:"body"`
	Vouched *Vouched    `json:"vouched,omitempty"` // what its issuer signed of it, with the salts if it has parts
}

// MaxDelivery is the most bytes of a file that is delivered: in base64, with what stands
// beside it, it fills the largest payload that can be sealed.
const MaxDelivery = 48<<20 - 64<<10

// inRange reports whether a delivery is what it says, in an envelope with so many records.
func (d *Delivery) inRange(records int) bool {
	if d == nil {
		return true
	}
	v := d.Vouched
	return records == 0 && TitleFits(d.Title) && utf8.ValidString(d.File) && len(d.File) <= MaxFile && d.Size <= MaxDelivery &&
		d.Size == int64(len(d.Body)) && d.SHA256 == sha256.Sum256(d.Body) && v.ForWhole().inRange(true)
}

// Announces reports whether a file is in an envelope if and only if the letter of the terms
// says so, and is the one that it says. The letter may be nil, and so may be the file.
func (l *Letter) Announces(d *Delivery) bool {
	if l == nil || l.Kind != LetterDeliver {
		return d == nil
	}
	n, err := l.Notice()
	return err == nil && d != nil && d.Title == n.Title && d.Size == n.Size
}

// Source is where a version of a record came from, if it was delivered.
type Source struct {
	Delivery contract.ID    `json:"delivery"`
	From     crypto.Address `json:"from"`
	Sent     contract.Hour  `json:"sent"` // when it came onto the ledger
}
