package batch

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
)

// vCards, of version 3 (RFC 2426) or 4 (RFC 6350): of each the name in FN, X-CAREKEY-REF,
// and an address of carekey wherever programs for contacts let people put one are read.
// All else is passed over.

const cardBegin = "BEGIN:VCARD"

// addressHolders are the properties in which an address may stand: the first alone, in
// the others between other words.
var addressHolders = []string{"X-CAREKEY-ADDRESS", "NOTE", "URL", "IMPP"}

// handedWord is an address or a card between other words.
var handedWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\bcarekey(-card)?1[a-z2-7]{8,}`) })

// property is one line of a vCard, unfolded.
type property struct {
	name  string // in upper case, without its group
	value string
	at    spot // of the value
	why   string
}

// vCard is one that is being read.
type vCard struct {
	row       ContactRow
	begun     int // its first line
	named     bool
	versioned bool     // it says which version it is of, one that is read here
	bad       bool     // something in it cannot be read, and was said
	addresses []string // different ones
}

// cards reads vCards.
func (c *contactReader) cards() error {
	var card *vCard
	problem := func(line int, why string) { c.bad.Add(Problem{Line: line, Column: 1, Why: why}) }
	noEnd := func() {
		if card != nil {
			problem(card.begun, "this vCard has no end: the file may have been cut off")
		}
	}
	err := c.properties(func(p property) {
		isCard := strings.EqualFold(strings.TrimSpace(p.value), "VCARD")
		switch {
		case p.name == "BEGIN" && isCard:
			noEnd()
			card = &vCard{begun: p.at.line}
		case card == nil:
			problem(p.at.line, "stands in no vCard")
		case p.name == "END" && isCard:
			c.end(card)
			card = nil
		case p.why != "":
			card.bad = true
			c.bad.Add(Problem{Line: p.at.line, Column: p.at.column, Field: strings.ToLower(p.name), Why: p.why})
		default:
			card.take(p)
		}
	})
	if err == nil {
		noEnd()
	}
	return err
}

// take notes what a property says.
func (card *vCard) take(p property) {
	value := strings.TrimSpace(p.value)
	found := handedWord().FindAllString(value, -1)
	switch {
	case p.name == "VERSION":
		card.versioned = true
		return
	case p.name == "FN":
		if !card.named { // of several the first is the preferred one
			card.named, card.row.Name, card.row.Line, card.row.Column = true, value, p.at.line, p.at.column
		}
		return
	case p.name == "X-CAREKEY-REF":
		card.row.Ref, card.row.ref = value, p.at
		return
	case p.name == addressHolders[0]:
		found = []string{value}
	}
	for _, a := range found {
		if a = strings.ToLower(a); !slices.Contains(card.addresses, a) {
			card.addresses, card.row.at = append(card.addresses, a), p.at
		}
	}
}

// end takes a vCard whose end was read.
func (c *contactReader) end(card *vCard) {
	switch r := &card.row; {
	case card.bad:
	case !card.versioned: // how it is to be read is not known
		c.bad.Add(Problem{Line: card.begun, Column: 1, Field: "version", Why: "this vCard does not say of which version it is: export it as one of 3.0 or 4.0"})
	case len(card.addresses) == 0:
		c.file.Passed++
	case len(card.addresses) > 1:
		c.bad.Add(Problem{Line: r.at.line, Column: r.at.column, Field: "address", Value: shorten(card.addresses[len(card.addresses)-1]), Why: "a second address in one vCard"})
	case !card.named:
		c.bad.Add(Problem{Line: card.begun, Column: 1, Field: "fn", Why: "this vCard has no name"})
	default:
		r.address = card.addresses[0]
		c.add(*r)
	}
}

// properties puts together what was folded into several lines and hands properties on.
func (c *contactReader) properties(take func(property)) error {
	var whole []byte // nil: no line was read
	var begun int
	long := false
	flush := func() {
		if len(bytes.TrimSpace(whole)) > 0 {
			take(propertyOf(whole, begun, long))
		}
	}
	for {
		line, tooLong, err := c.l.next()
		if bad, ok := fault.As(err, text.ErrEncoding); ok {
			c.l.n++
			c.problem(nil, 0, "", "", fault.Get[string](bad, "why"))
			return nil
		}
		if err != nil {
			flush()
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && whole != nil; folded {
			line = line[1:]
		} else {
			flush()
			whole, begun, long = []byte{}, c.l.n, false
		}
		room := MaxLine - len(whole)
		long = long || tooLong || len(line) > room
		whole = append(whole, line[:min(len(line), room)]...)
	}
}

// unescape takes the escapes of a value back.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\:`, ":")

// propertyOf reads a line; why says why one whose value matters cannot be read. A long one
// is cut.
func propertyOf(line []byte, number int, long bool) property {
	quoted := false
	colon := bytes.IndexFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ':' && !quoted
	})
	if colon < 0 {
		return property{at: spot{number, 1}}
	}
	params := strings.Split(strings.ToUpper(string(line[:colon])), ";")
	name := params[0][strings.LastIndexByte(params[0], '.')+1:]
	p := property{name: strings.TrimSpace(name), at: spot{number, column(line, colon+1)}}
	switch p.name {
	case "BEGIN", "END", "VERSION", "FN", "X-CAREKEY-REF":
	default:
		if !slices.Contains(addressHolders, p.name) {
			return p
		}
	}
	for _, param := range params[1:] {
		key, value, _ := strings.Cut(param, "=")
		value = strings.Trim(value, `"`)
		if key == "CHARSET" && value != "UTF-8" || key == "ENCODING" && value != "8BIT" {
			p.why = "its characters are encoded in another way (" + strings.ToLower(value) + "): export it as a vCard of version 4.0, or of 3.0 in UTF-8"
		}
	}
	value := line[colon+1:]
	if at, why := badByte(value); at >= 0 {
		p.at.column, p.why = column(line, colon+1+at), why
	}
	if long {
		p.why = fmt.Sprintf("longer than %d bytes", MaxLine)
	}
	p.value = unescape.Replace(string(value))
	if v := strings.TrimSpace(p.value); p.name == "VERSION" && v != "3.0" && v != "4.0" {
		p.why = "not a vCard of version 3.0 or 4.0: export it as one of these"
	}
	return p
}
