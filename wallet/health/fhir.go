package health

import (
	"bytes"
	"strings"
)

// IsFHIR reports whether a file must be taken for FHIR in JSON. It does not believe that
// the file is well formed, so that what is not split is not taken for another kind of
// file, which would go by the category that its owner gave it: white space, control
// characters and marks of byte order may come before the first bracket, resourceType may
// stand anywhere, in any case, with escapes, and in two or four bytes a character. A file
// that is compressed with gzip is FHIR if its name ends like one.
func IsFHIR(name string, file []byte) bool {
	d := NewDetector(name)
	d.Write(file)
	return d.FHIR()
}

// Detector is [IsFHIR] for a file that comes in pieces.
type Detector struct {
	named bool   // as FHIR
	first []byte // two bytes of the file
	state int

	matched int  // bytes of resourcetype that were just met
	escape  int  // 0, or how many characters of \uXXXX were met
	code    rune // of them
	before  byte // the byte before
}

// States of a [Detector].
const (
	inFront = iota // no bracket yet
	inside
	found
	other
)

// NewDetector returns one for a file of this name.
func NewDetector(name string) *Detector {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return &Detector{named: strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".ndjson")}
}

// FHIR reports whether what came so far is FHIR.
func (d *Detector) FHIR() bool {
	return d.state == found || d.named && string(d.first) == gzipMagic
}

// Begun reports whether the first bracket came, and nothing before it that FHIR cannot
// begin with.
func (d *Detector) Begun() bool { return d.state == inside || d.state == found }

const gzipMagic = "\x1f\x8b"

// Write takes the next bytes. It never fails.
func (d *Detector) Write(p []byte) (int, error) {
	d.first = append(d.first, p[:min(len(p), 2-len(d.first))]...)
	for _, c := range p {
		switch {
		case d.state == inside:
			d.met(c)
		case d.state != inFront:
			return len(p), nil
		case c == '{' || c == '[':
			d.state = inside
		case c > ' ' && bytes.IndexByte([]byte("\xef\xbb\xbf\xfe\xff"), c) < 0:
			d.state = other
		}
	}
	return len(p), nil
}

// met takes a byte behind the first bracket.
func (d *Detector) met(c byte) {
	if c == 0 {
		return // of UTF-16
	}
	before := d.before
	d.before = c
	switch {
	case d.escape == 1 && c != 'u':
		d.escape = 0
		d.match(0)
	case d.escape > 0:
		if d.escape++; d.escape > 2 {
			digit := hexDigit(c)
			if digit < 0 {
				d.escape = 0
				d.match(0)
				return
			}
			if d.code = d.code<<4 | digit; d.escape == 6 {
				d.escape = 0
				d.match(d.code)
			}
		}
	case c == '\\':
		d.escape, d.code = 1, 0
	case c == 0xc5: // the first half of a long s
	case c == 0xbf && before == 0xc5:
		d.match('ſ')
	default:
		d.match(rune(c))
	}
}

// match takes the next character: programs that ignore case take the long s for an s too.
func (d *Detector) match(r rune) {
	const word = "resourcetype"
	c := byte(0)
	switch {
	case r == 'ſ':
		c = 's'
	case r < 0x80:
		c = lower(byte(r))
	}
	if d.matched == len("resour") && c != word[d.matched] {
		d.matched = len("r") // the only beginning of the word that ends another one
	}
	switch c {
	case word[d.matched]:
		d.matched++
	case word[0]:
		d.matched = 1
	default:
		d.matched = 0
	}
	if d.matched == len(word) {
		d.state = found
	}
}

// notFHIR says what a file is instead.
func notFHIR(file []byte) string {
	switch text := bytes.TrimLeft(file, "\xef\xbb\xbf \t\r\n"); {
	case len(file) == 0:
		return "it is empty"
	case bytes.HasPrefix(file, []byte(gzipMagic)):
		return "it is compressed"
	case bytes.HasPrefix(text, []byte("<")):
		return "it is XML or HTML, and FHIR is split as JSON only"
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return "no resourceType is in it, as in all FHIR"
	}
	return "it is no JSON"
}
