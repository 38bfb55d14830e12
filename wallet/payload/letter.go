package payload

import (
	"fmt"
	"strings"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// Letter is what one person says to another in the terms of a grant: whoever it is for
// reads it without an access.
type Letter struct {
	Kind string `json:"kind"` // LetterAsk, LetterDeny, or that of a newer program
	Body string `json:"body"` // of these kinds JSON in its one encoding
}

// MaxLetter is the most bytes of a letter as JSON.
const MaxLetter = 4096

// Kinds of letters.
const (
	LetterAsk      = "ask"      // an [Ask]: what its sender would like to be given
	LetterDeny     = "deny"     // a [Denial]: the letter that the terms' request names is not granted, or not taken
	LetterDeliver  = "deliver"  // a [Notice]: a file is in the envelope
	LetterWithdraw = "withdraw" // a [Denial]: its sender stands no more by the delivery that the terms' request names
)

// Ask is what is asked for. What it is for is the purpose of the terms.
type Ask struct {
	Scope  Scope         `json:"scope"`           // a reader treats the role's name as hostile; nothing is beyond it
	For    string        `json:"for,omitempty"`   // how long, counted from the answer: 12h, 30d, 6w
	Until  contract.Hour `json:"until,omitempty"` // else until when: the exact end
	Reason string        `json:"reason"`          // in the sender's words, which are hostile
}

// Denial says no, or takes back.
type Denial struct {
	Reason string `json:"reason"` // in the sender's words, which are hostile; may be empty
}

// Notice is what is said of a file that is delivered to whoever has not opened it.
type Notice struct {
	Title    string      `json:"title"`             // hostile
	Size     int64       `json:"size"`              // of the file, bytes
	Corrects contract.ID `json:"corrects,omitzero"` // the delivery in whose place its sender wants it
	Reason   string      `json:"reason"`            // in the sender's words, which are hostile; may be empty
}

// fits reports whether a letter keeps to its bounds, in terms with so many records.
func (l *Letter) fits(records int) bool {
	known := l.Kind == LetterAsk || l.Kind == LetterDeny || l.Kind == LetterDeliver || l.Kind == LetterWithdraw
	return l.Kind != "" && isWord(l.Kind) && (!known || records == 0) && len(Marshal(l)) <= MaxLetter
}

// Fits reports whether a letter of one's own keeps to its bound.
func (l *Letter) Fits() bool { return l.fits(0) }

// NewLetter is a letter with an [Ask], a [Denial] or a [Notice].
func NewLetter[T Ask | Denial | Notice](kind string, body T) *Letter {
	return &Letter{Kind: kind, Body: string(Marshal(body))}
}

// Ask reads what a letter asks for.
func (l *Letter) Ask() (*Ask, error) {
	a, err := bodyOf[Ask](l, LetterAsk)
	if err != nil {
		return nil, err
	}
	s := &a.Scope
	if s.Beyond || len(s.Categories) == 0 || !s.inRange() || (a.For == "") == (a.Until == 0) || a.For != "" && !isLength(a.For) || !ReasonFits(a.Reason) {
		return nil, fmt.Errorf("request out of range")
	}
	return a, nil
}

// Denial reads how a letter says no.
func (l *Letter) Denial() (*Denial, error) { return l.denial(LetterDeny) }

// Withdrawal reads how a letter takes a delivery back.
func (l *Letter) Withdrawal() (*Denial, error) { return l.denial(LetterWithdraw) }

// Notice reads what a letter says of a file.
func (l *Letter) Notice() (*Notice, error) {
	n, err := bodyOf[Notice](l, LetterDeliver)
	if err == nil && (!TitleFits(n.Title) || n.Size < 0 || n.Size > MaxDelivery || !ReasonFits(n.Reason)) {
		err = fmt.Errorf("notice out of range")
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (l *Letter) denial(kind string) (*Denial, error) {
	d, err := bodyOf[Denial](l, kind)
	if err == nil && !ReasonFits(d.Reason) {
		err = fmt.Errorf("denial out of range")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func bodyOf[T any](l *Letter, kind string) (*T, error) {
	if l.Kind != kind {
		return nil, fmt.Errorf("not a letter of kind %s", kind)
	}
	return strict[T]([]byte(l.Body))
}

// isLength reports whether a text is a number of hours, days or weeks as it is written in a
// request: without zeros before it, and not more than 100,000.
func isLength(s string) bool {
	n := len(s) - 1
	return n >= 1 && n <= 5 && strings.Trim(s[:n], "0123456789") == "" && s[0] != '0' && strings.IndexByte("hdw", s[n]) >= 0
}
