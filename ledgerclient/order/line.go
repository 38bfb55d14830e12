package order

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// version is the protocol's, in the first line of both sides.
const version = "carekey-order/2"

// maxLine bounds one line of the program, in bytes with its newline. A read of
// MaxRead items without documents is below a third of it.
const maxLine = 1 << 20

// leastAppend is how many entries every program takes at once.
const leastAppend = 256

// hello is the first line, to the program.
type hello struct {
	Protocol string `json:"protocol"`
	URL      string `json:"url"`
}

// welcome is the program's answer to it.
type welcome struct {
	Protocol string `json:"protocol"`
	Name     string `json:"name"`
	// Append is how many entries it takes at once; left out: leastAppend.
	Append int `json:"append,omitzero"`
	// Ledger is the id of the only ledger whose order it keeps; left out: it keeps any.
	Ledger crypto.LedgerID `json:"ledger,omitzero"`
	State  bool            `json:"state,omitzero"` // it can be asked for its state
	Error  *denial         `json:"error,omitzero"`
}

// question is one request. ID counts from 1 in each run of the program.
type question struct {
	ID      uint64   `json:"id"`
	Do      string   `json:"do"` // "append", "configure", "read", "head", "state"
	Entries []string `json:"entries,omitempty"`
	// Document is that of the one entry of "configure".
	Document string  `json:"document,omitempty"`
	From     *uint64 `json:"from,omitempty"`
	Most     int     `json:"most,omitempty"`
}

// answer is what the program says to a question.
type answer struct {
	ID        uint64   `json:"id"`
	Positions []uint64 `json:"positions,omitzero"`
	Items     []item   `json:"items,omitzero"`
	Head      *uint64  `json:"head,omitzero"`
	State     *state   `json:"state,omitzero"`
	Error     *denial  `json:"error,omitzero"`
}

type item struct {
	Hour     uint32 `json:"hour"`
	Entry    string `json:"entry"`
	Document string `json:"document,omitempty"`
}

// state is a [State]. Waits is in seconds.
type state struct {
	Decides bool   `json:"decides"`
	Waits   uint32 `json:"waits"`
	Words   string `json:"words"`
}

// denial is why a program did not do what it was asked.
type denial struct {
	Code    string `json:"code"` // "failed", "quota": nothing was done. "unknown": it may have been
	Message string `json:"message"`
}

var errShape = errors.New("not an answer to the question")

func encodeEntry(e *contract.Entry) string {
	b := e.Marshal()
	return base64.StdEncoding.EncodeToString(b[:])
}

func decodeEntry(s string) (contract.Entry, error) {
	if len(s) != base64.StdEncoding.EncodedLen(contract.Size) {
		return contract.Entry{}, errShape
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return contract.Entry{}, errShape
	}
	return contract.ParseEntry(b)
}

// encodeDocument is "" where there is none.
func encodeDocument(document string) string {
	return base64.StdEncoding.EncodeToString([]byte(document))
}

func decodeDocument(s string) (string, error) {
	if len(s) > base64.StdEncoding.EncodedLen(MaxDocument) {
		return "", errShape
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || encodeDocument(string(b)) != s { // it passes over line ends
		return "", errShape
	}
	return string(b), nil
}

// parseAnswer reads one line as the answer to a question.
func parseAnswer(line []byte, q *question) (answer, error) {
	var a answer
	if err := decode(line, &a); err != nil {
		return a, err
	}
	if a.ID != q.ID {
		return a, errShape
	}
	if a.Error != nil {
		return a, nil
	}
	ok := false
	switch q.Do {
	case "append", "configure":
		ok = len(a.Positions) == len(q.Entries)
	case "read":
		ok = a.Items != nil && len(a.Items) <= q.Most
	case "head":
		ok = a.Head != nil
	case "state":
		ok = a.State != nil
	}
	if !ok {
		return a, errShape
	}
	return a, nil
}

// decode reads exactly one JSON object. Fields that it does not know are of later
// versions.
func decode(line []byte, into any) error {
	if json.Unmarshal(line, into) != nil {
		return errShape
	}
	return nil
}

func (a *answer) items() ([]Item, error) {
	items := make([]Item, len(a.Items))
	for i := range a.Items {
		e, err := decodeEntry(a.Items[i].Entry)
		if err != nil {
			return nil, err
		}
		document, err := decodeDocument(a.Items[i].Document)
		if err != nil {
			return nil, err
		}
		items[i] = Item{Hour: contract.Hour(a.Items[i].Hour), Entry: e, Document: document}
	}
	return items, nil
}
