package health

import (
	"crypto/sha256"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
)

// SplitVersion is the number of the rules by which [Split] cuts (crypto/FORMAT.md, "The
// cut"). Other cuts make other leaves, so other rules get another number.
const SplitVersion = 1

// MaxSplit is the size of the largest file that is split, in bytes: it is held in memory.
const MaxSplit = 32 << 20

// ErrNotSplit: a file is FHIR, or a part of it, and not in the form that is cut. It can
// only be given whole. why
const ErrNotSplit fault.Code = "not-split"

// ErrNotFHIR is the [ErrNotSplit] of what is not FHIR in JSON at all, by [IsFHIR]. why
const ErrNotFHIR fault.Code = "not-split/not-fhir"

// Forms of a [Cut].
const (
	FormBundle   = "bundle"   // one Bundle: an entry is an element of its entry
	FormLines    = "lines"    // NDJSON: an entry is a line that is not blank
	FormResource = "resource" // one resource: it is the entry
)

// Cut is a file cut into parts: for each entry, in the order of the file, its body, then
// its narrative if it has one. It points into the file, which must not change.
type Cut struct {
	Form  string
	Parts []Part

	timestamp string // of the Bundle, as it stands there; "" if none
}

// Part is one body or one narrative of a [Cut].
type Part struct {
	Entry int    // which entry it is of, counted from 0
	Text  bool   // a narrative, of the part before it
	Type  string // resourceType of the entry's resource: 1 to 64 letters and digits

	head, tail []byte // its bytes: around the narrative, where that was cut out; else tail is nil
	from, to   int    // the resource's place in them; 0, 0 of a narrative
	url        []byte // the literal of the entry's fullUrl, with its quotes; nil if none
}

// Len returns the part's size in bytes.
func (p *Part) Len() int { return len(p.head) + len(p.tail) }

// Append appends the part's bytes.
func (p *Part) Append(dst []byte) []byte { return append(append(dst, p.head...), p.tail...) }

// Sum returns the SHA-256 of the part's bytes: what a correction of its label is kept by.
func (p *Part) Sum() (sum crypto.Hash) {
	h := sha256.New()
	h.Write(p.head)
	h.Write(p.tail)
	h.Sum(sum[:0])
	return sum
}

// Resource returns the bytes of the resource without its narrative: what stands before
// the cut and what stands behind it. Joined they are one JSON object. Where there was no
// narrative all is in before, and of a narrative both are nil.
func (p *Part) Resource() (before, after []byte) {
	if p.to <= len(p.head) {
		return p.head[p.from:p.to], nil
	}
	return p.head[p.from:], p.tail[:p.to-len(p.head)]
}

// Granted is a part as its recipient gets it.
type Granted struct {
	Body []byte // of the entry
	Text []byte // the narrative cut out of it; nil if it was not given
}

// Summary is what a file says of itself.
type Summary struct {
	Title   string   // "" if it has none
	Date    string   // YYYY-MM-DD; "" if it has none that is given to the day
	Persons []Person // whom it is about, each once; at most [MaxPersons]
}

// MaxPersons is how many persons of one file are told apart.
const MaxPersons = 100

// Person is somebody of whom there is a Patient.
type Person struct {
	Identifiers []Identifier
	Name        string // "" if not known
	Born        string // YYYY, YYYY-MM or YYYY-MM-DD; "" if not known
}
