package health

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
)

// SplitVersion is the number of the rules by which [Split] cuts (crypto/FORMAT.md, "The
// cut"). Other cuts make other leaves, so other rules get another number. By those of version
// 1 no narrative's part named its resource's; nobody was given a program that made them.
const SplitVersion = 2

// TooLarge is why a file of more than [MaxSplit] bytes is not split, nor read.
var TooLarge = fmt.Sprintf("it is larger than %d MiB", MaxSplit>>20)

// Bounds of what is split.
const (
	MaxSplit = 32 << 20 // bytes of a file: it is held in memory
	MaxEntry = 16 << 20 // bytes of an entry, its narrative included
	MaxParts = 65_000   // of a file
)

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
	rules     bool   // the Bundle names rules by which all in it is meant
}

// Part is one body or one narrative of a [Cut].
type Part struct {
	Entry int    // which entry it is of, counted from 0
	Text  bool   // a narrative, of the part before it
	Type  string // resourceType of the entry's resource: 1 to 64 letters and digits

	head, tail []byte // its bytes: around the narrative, where that was cut out; else tail is nil
	from, to   int    // the resource's place in them; 0, 0 of a narrative
	url        []byte // the literal of the entry's fullUrl, with its quotes; nil if none
	dated      []byte // the value of the first of its members in dates; nil if it has none
	contains   bool   // its resource has a member contained
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
	switch {
	case p.Text:
		return nil, nil
	case p.to <= len(p.head):
		return p.head[p.from:p.to], nil
	}
	return p.head[p.from:], p.tail[:p.to-len(p.head)]
}

// decode returns what the entry says: of a Bundle's entry its other members, nil
// otherwise, and the resource without its narrative. Of a narrative both are nil.
func (p *Part) decode() (entry, resource map[string]any, err error) { return p.decodeWith(new(nodes)) }

func (p *Part) decodeWith(ns *nodes) (entry, resource map[string]any, err error) {
	at, err := p.read(ns)
	if at < 0 {
		return nil, nil, err
	}
	all := ns.tree(0).(map[string]any)
	if at == 0 {
		return nil, all, nil
	}
	resource, _ = all["resource"].(map[string]any)
	delete(all, "resource")
	return all, resource, nil
}

// read reads a part that is no narrative, and returns where its resource is: 0 if that is
// all of it, else the entry is there; -1 if there is none.
func (p *Part) read(ns *nodes) (resource int32, err error) {
	if p.Text {
		return -1, nil
	}
	body := p.head
	if p.tail != nil {
		body = p.Append(make([]byte, 0, p.Len()))
	}
	if err := ns.read(body); err != nil {
		return -1, err
	}
	if p.from == 0 {
		return 0, nil
	}
	return ns.get(0, "resource"), nil
}

// Split cuts a file by the rules of [SplitVersion]; the parts point into it. It takes a
// tenth of a second for MaxSplit bytes. Its error is [ErrNotSplit] with the line that is at
// fault, and among these [ErrNotFHIR] exactly if the file is not FHIR whatever its name is.
func Split(file []byte) (*Cut, error) {
	switch {
	case !IsFHIR("", file):
		return nil, ErrNotFHIR.With("why", notFHIR(file))
	case len(file) > MaxSplit:
		return nil, ErrNotSplit.With("why", TooLarge)
	case notJSON(file) != "":
		return nil, ErrNotSplit.With("why", notJSON(file))
	case bytes.HasPrefix(file, []byte("\xef\xbb\xbf")):
		return nil, ErrNotSplit.With("why", "it begins with a byte order mark")
	case !utf8.Valid(file):
		return nil, ErrNotSplit.With("why", "it is not UTF-8")
	}
	c := cutter{scanner: scanner{in: file}, types: map[string]string{}}
	ok := false
	if isLines(file) {
		c.Form = FormLines
		ok = c.lines()
	} else {
		ok = c.single()
	}
	if !ok {
		return nil, c.err()
	}
	return &c.Cut, nil
}

// isLines reports whether a file is NDJSON and more than one line of it: no JSON text has
// an end of a line between } and {.
func isLines(file []byte) bool {
	first, rest, _ := bytes.Cut(bytes.TrimLeft(file, " \t\r\n"), []byte{'\n'})
	return bytes.HasSuffix(bytes.TrimRight(first, " \t\r"), []byte{'}'}) &&
		bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte{'{'})
}

// cutter reads a file and makes its cut.
type cutter struct {
	scanner
	Cut
	types map[string]string // of the resources so far: a name is kept once
}

// entry is where an entry lies in what is read, and what is cut in it.
type entry struct {
	from, to int // its bytes
	url      []byte
	resource
}

// resource is where a resource lies, and its narrative.
type resource struct {
	start, end         int
	kind               []byte // resourceType; nil if it has none
	dated              []byte // see Part
	contains           bool
	textFrom, textUpTo int // 0, 0 if there is none
}

// lines reads NDJSON.
func (c *cutter) lines() bool {
	whole := c.in
	for end := 0; ; {
		if c.space(); c.at == len(whole) {
			c.in = whole
			return true
		}
		end = len(whole)
		if i := bytes.IndexByte(whole[c.at:], '\n'); i >= 0 {
			end = c.at + i
		}
		c.in = whole[:end:len(whole)] // whole lies behind it: parts are pieces of the file
		r, ok := c.resource(nil)
		if ok = ok && c.isResource(r) && c.end() && c.put(entry{from: r.start, to: r.end, resource: r}); !ok {
			return false
		}
		c.in = whole
	}
}

// single reads a file that is one Bundle or another resource.
func (c *cutter) single() bool {
	entries, rules := -1, false // where they are; whether it names any
	c.space()
	r, ok := c.resource(func(m member, kind []byte) (taken, ok bool) {
		switch from := c.at; string(m.name) {
		case "entry":
			if entries = c.at; string(kind) == "Bundle" {
				return true, c.entries()
			}
		case "timestamp":
			ok = c.value()
			if raw := c.in[from:c.at]; ok && raw[0] == '"' {
				c.timestamp = unescape(raw[1:len(raw)-1], true)
			}
			return true, ok
		case "implicitRules":
			ok = c.value()
			raw := c.in[from:c.at]
			rules = ok && string(raw) != "null" && !(raw[0] == '"' && isBlank(unescape(raw[1:len(raw)-1], true)))
			return true, ok
		}
		return false, true
	})
	if !ok || !c.isResource(r) || !c.end() {
		return false
	}
	if string(r.kind) != "Bundle" {
		c.Form = FormResource
		return c.put(entry{from: r.start, to: r.end, resource: r})
	}
	c.rules = rules
	if c.Form = FormBundle; entries >= 0 && len(c.Parts) == 0 { // resourceType stands behind them
		c.at = entries
		ok = c.entries()
	}
	return ok && (len(c.Parts) > 0 || c.fail(r.start, "a Bundle without an entry"))
}

// entries reads a Bundle's entry.
func (c *cutter) entries() bool {
	if c.peek() != '[' {
		return c.fail(c.at, "entry is no array")
	}
	n := 0
	ok := c.array(func(i int) bool {
		n = i + 1
		e, ok := c.entry()
		return ok && c.put(e)
	})
	if !ok && n > 0 {
		c.flaw.why = fmt.Sprintf("entry %d: %s", n, c.flaw.why)
	}
	return ok
}

// put takes an entry into the cut.
func (c *cutter) put(e entry) bool {
	switch {
	case e.to-e.from > MaxEntry:
		return c.fail(e.from, fmt.Sprintf("it is larger than %d MiB", MaxEntry>>20))
	case e.start == e.from && c.deepest > maxDepth-3: // so that it can stand in a Bundle
		return c.fail(e.from, tooDeep)
	}
	kind, ok := c.types[string(e.kind)]
	if !ok {
		kind = string(e.kind)
		c.types[kind] = kind
	}
	p := Part{Type: kind, head: c.in[e.from:e.to], url: e.url, dated: e.dated, contains: e.contains, from: e.start - e.from, to: e.end - e.from}
	if n := len(c.Parts); n > 0 {
		p.Entry = c.Parts[n-1].Entry + 1
	}
	if e.textUpTo == 0 {
		c.Parts = append(c.Parts, p)
	} else {
		p.head, p.tail, p.to = c.in[e.from:e.textFrom], c.in[e.textUpTo:e.to], p.to-(e.textUpTo-e.textFrom)
		c.Parts = append(c.Parts, p, Part{Entry: p.Entry, Text: true, Type: kind, head: c.in[e.textFrom:e.textUpTo]})
	}
	return len(c.Parts) <= MaxParts || c.fail(e.from, fmt.Sprintf("it has more than %d parts", MaxParts))
}

// entry reads an element of a Bundle's entry.
func (s *scanner) entry() (e entry, ok bool) {
	if e.from = s.at; s.peek() != '{' {
		return e, s.fail(s.at, "it is no object")
	}
	found := false
	ok = s.object(func(m member) (ok bool) {
		from := s.at
		switch string(m.name) {
		case "resource":
			found = true
			e.resource, ok = s.resource(nil)
			return ok && s.isResource(e.resource)
		case "resourceType":
			return s.fail(m.at, "it is a resource itself")
		}
		ok = s.value()
		if raw := s.in[from:s.at]; ok && string(m.name) == "fullUrl" && raw[0] == '"' {
			e.url = raw
		}
		return ok
	})
	e.to = s.at
	return e, ok && (found || s.fail(e.from, "it has no resource"))
}

func (s *scanner) isResource(r resource) bool {
	return r.kind != nil || s.fail(r.start, "a resource has no resourceType")
}

// resource reads an object that should be a resource. other takes members if it likes to;
// kind is resourceType if that was met.
func (s *scanner) resource(other func(m member, kind []byte) (taken, ok bool)) (r resource, ok bool) {
	if r.start = s.at; s.peek() != '{' {
		return r, s.fail(s.at, "a resource is no object")
	}
	var text member
	valueEnd, next := 0, 0 // of the narrative's value, and the first quote behind it
	dated := len(dates)
	ok = s.object(func(m member) (ok bool) {
		if valueEnd > 0 && next == 0 {
			next = m.at
		}
		from := s.at
		if other != nil {
			if taken, ok := other(m, r.kind); taken || !ok {
				return ok
			}
		}
		ok = s.value()
		switch string(m.name) {
		case "text":
			text, valueEnd = m, s.at
		case "contained":
			r.contains = true
		case "resourceType":
			if ok {
				r.kind = kindOf(s.in[from:s.at])
				return r.kind != nil || s.fail(from, "resourceType is no name of a resource")
			}
		default:
			if at, is := datesAt()[string(m.name)]; is && at < dated {
				dated, r.dated = at, s.in[from:s.at]
			}
		}
		return ok
	})
	r.end = s.at
	switch {
	case next > 0:
		r.textFrom, r.textUpTo = text.at, next
	case valueEnd > 0 && text.comma >= 0:
		r.textFrom, r.textUpTo = text.comma, valueEnd
	}
	return r, ok
}

// kindOf returns a resourceType as it is meant; nil if it has other characters than
// ASCII's letters and digits, or not 1 to 64 of them.
func kindOf(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	kind := value[1 : len(value)-1]
	if bytes.IndexByte(kind, '\\') >= 0 {
		kind = []byte(unescape(kind, true))
	}
	for _, c := range kind {
		if c = lower(c); !isDigit(c) && (c < 'a' || c > 'z') {
			return nil
		}
	}
	if len(kind) < 1 || len(kind) > 64 {
		return nil
	}
	return kind
}
