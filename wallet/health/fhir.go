package health

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
)

// IsFHIR reports whether a file must be taken for FHIR. It does not believe that the file
// is well formed, so that what is not split is not taken for another kind of file, which
// would go by the category that its owner gave it. In JSON, resourceType stands anywhere
// behind a bracket, in any case, with escapes, and in two or four bytes a character; in XML,
// the namespace of FHIR or of CDA, which holds as much, behind a <. If something other than
// white space, control characters and marks of byte order is before the first bracket, these
// stand within the first lookBytes, so that films and images are not searched. A file that
// is compressed with gzip is FHIR if its name ends like one, or if the beginning of what is
// in it is.
func IsFHIR(name string, file []byte) bool {
	d := NewDetector(name)
	d.Write(file)
	return d.FHIR()
}

// Detector is [IsFHIR] for a file that comes in pieces.
type Detector struct {
	named  bool   // as FHIR
	inside bool   // it is within a file that was compressed
	first  []byte // two bytes of the file; all that is looked at of one that is compressed
	state  int
	size   int // in state other

	bracket, tag bool     // there was a { or [, there was a <
	last         [32]byte // characters in lower case, the newest at now-1
	now          uint
	escape       int  // 0, or how many characters of \uXXXX were met
	code         rune // of them
	before       byte // the byte before
}

// States of a [Detector].
const (
	inFront = iota // nothing yet that can be shown
	begun          // with a bracket
	other          // with something else
	found
)

// Bounds of what is looked at, in bytes.
const (
	lookBytes  = 4 << 20  // of a file that does not begin with a bracket
	packed     = 64 << 10 // of one that is compressed
	unpackedTo = 1 << 20  // of what is in it
)

// NewDetector returns one for a file of this name.
func NewDetector(name string) *Detector {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return &Detector{named: strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".ndjson")}
}

// FHIR reports whether what came so far is FHIR.
func (d *Detector) FHIR() bool {
	return d.state == found || d.compressed() && (d.named || fhirWithin(d.first))
}

// Begun reports whether the first bracket came, and nothing before it that FHIR cannot
// begin with.
func (d *Detector) Begun() bool { return d.state == begun || d.state == found && d.size == 0 }

const gzipMagic = "\x1f\x8b"

func (d *Detector) compressed() bool {
	return !d.inside && bytes.HasPrefix(d.first, []byte(gzipMagic))
}

// fhirWithin reports whether what is compressed begins like FHIR.
func fhirWithin(file []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return false
	}
	z.Multistream(false)
	d := &Detector{inside: true}
	io.Copy(d, io.LimitReader(z, unpackedTo)) // what is torn is looked at as far as it goes
	return d.FHIR()
}

// Write takes the next bytes. It never fails.
func (d *Detector) Write(p []byte) (int, error) {
	most := 2
	if d.compressed() || len(d.first) < 2 && bytes.HasPrefix(append(bytes.Clone(d.first), p[:min(len(p), 2)]...), []byte(gzipMagic)) {
		most = packed
	}
	d.first = append(d.first, p[:min(len(p), max(0, most-len(d.first)))]...)
	if d.compressed() {
		return len(p), nil
	}
	for _, c := range p {
		if d.state == found || d.size > lookBytes {
			break
		}
		if d.state == inFront && c > ' ' && bytes.IndexByte([]byte("\xef\xbb\xbf\xfe\xff"), c) < 0 {
			d.state = other
			if c == '{' || c == '[' {
				d.state = begun
			}
		}
		if d.state == other { // of others all is looked at
			d.size++
		}
		if d.bracket || d.tag {
			d.met(c)
		}
		d.bracket = d.bracket || c == '{' || c == '['
		d.tag = d.tag || c == '<'
	}
	return len(p), nil
}

// met takes a byte behind the first bracket or tag.
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

// What FHIR in JSON has, and the namespaces of FHIR and of CDA in XML.
const (
	wordType = "resourcetype"
	spaceOf  = "http://hl7.org/fhir"
	spaceCDA = "urn:hl7-org:v3"
)

// match takes the next character: programs that ignore case take the long s for an s too.
func (d *Detector) match(r rune) {
	c := byte(0)
	switch {
	case r == 'ſ':
		c = 's'
	case r < 0x80:
		c = lower(byte(r))
	}
	d.last[d.now%uint(len(d.last))] = c
	d.now++
	switch c {
	case 'e':
		d.find(d.bracket, wordType)
	case 'r':
		d.find(d.tag, spaceOf)
	case '3':
		d.find(d.tag, spaceCDA)
	}
}

// find looks whether the last characters are these.
func (d *Detector) find(can bool, word string) {
	for i := range uint(len(word)) {
		if !can || d.last[(d.now-1-i)%uint(len(d.last))] != word[uint(len(word))-1-i] {
			return
		}
	}
	d.state = found
}

// notJSON says what FHIR is that is in a form that is not split; "" if it may be JSON.
func notJSON(file []byte) string {
	text := bytes.TrimLeft(file, "\xef\xbb\xbf\xfe\xff \t\r\n\x00")
	switch {
	case bytes.HasPrefix(file, []byte(gzipMagic)):
		return "it is compressed"
	case bytes.HasPrefix(text, []byte("<")):
		return "it is XML, and FHIR is split as JSON only"
	case !bytes.HasPrefix(text, []byte("{")) && !bytes.HasPrefix(text, []byte("[")):
		return NotBegun
	}
	return ""
}

// NotBegun is why a file of FHIR is not split that does not begin like one.
const NotBegun = "it does not begin with { or [, as FHIR in JSON does"

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
