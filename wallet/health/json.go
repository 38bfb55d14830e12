package health

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// What is read of JSON, so that no bytes cost more than their length does.
const (
	maxDepth   = 64  // arrays and objects that are open at once
	maxMembers = 256 // of one object; FHIR's largest have about 120

	// maxValues bounds what is noted of one part: a value of two bytes takes 32 in memory. The
	// largest resources, lists of codes, have a tenth of it.
	maxValues = 1 << 19
)

const tooDeep = "too many arrays and objects are in each other"

// scanner reads JSON (RFC 8259) and is stricter than it, so that no two programs read
// two things of what it takes: no key stands twice in an object, keys are printable ASCII
// (as all of FHIR's are) and differ by more than their case, and each surrogate has its
// other half. Its input must be UTF-8 already.
//
// Its methods begin at the first byte of what they read and end behind it. They report
// whether it is well formed; if not, flaw says why.
type scanner struct {
	in    []byte
	at    int
	notes *nodes // values are noted there; nil if none are
	keys  []key  // of the objects that are open
	flaw  flaw

	depth, deepest int // how many arrays and objects are open, and ever were
}

// flaw is why bytes were not taken.
type flaw struct {
	at  int
	why string
}

// key is a member's name, and the hash of it in lower case.
type key struct {
	hash uint64
	name []byte
}

// member is a member of an object, whose value is next to be read.
type member struct {
	name  []byte // decoded
	at    int    // of its first quote
	comma int    // of the comma before it; -1 if it is the first
}

// decode reads one object, which must be all that there is: maps, slices, strings,
// bools, nil and json.Number. Keys are as they stand there. Its error is [ErrNotSplit],
// also of an object with more than maxValues values in it, which [Split] takes.
func decode(object []byte) (map[string]any, error) {
	if !utf8.Valid(object) {
		return nil, ErrNotSplit.With("why", "it is not UTF-8")
	}
	var ns nodes
	if err := ns.read(object); err != nil {
		return nil, err
	}
	return ns.tree(0).(map[string]any), nil
}

func (s *scanner) err() error {
	return ErrNotSplit.With("why", fmt.Sprintf("line %d: %s", 1+bytes.Count(s.in[:s.flaw.at], []byte{'\n'}), s.flaw.why))
}

func (s *scanner) fail(at int, why string) bool {
	s.flaw = flaw{min(at, len(s.in)), why}
	return false
}

// peek is the next byte, and 0 at the end, where none is expected.
func (s *scanner) peek() byte {
	if s.at < len(s.in) {
		return s.in[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.in) && isSpace(s.in[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// end reports whether nothing but white space is left.
func (s *scanner) end() bool {
	if s.space(); s.at < len(s.in) {
		return s.fail(s.at, "more follows where it should end")
	}
	return true
}

func (s *scanner) value() bool {
	at, from := 0, s.at
	if s.notes != nil {
		if at = len(s.notes.all); at == maxValues {
			return s.fail(s.at, "it has more values than are read")
		}
		s.notes.all = append(s.notes.all, node{of: s.notes.next})
		s.notes.next = noMember
	}
	kind, text, ok := nullNode, "", false
	switch c := s.peek(); c {
	case '{':
		kind, ok = objectNode, s.object(nil)
	case '[':
		kind, ok = listNode, s.array(func(int) bool { return s.value() })
	case '"':
		var raw []byte
		var escaped bool
		if raw, escaped, ok = s.text(); ok && s.notes != nil {
			if text = s.notes.text[from+1 : from+1+len(raw)]; escaped {
				text = unescape(raw, true)
			}
		}
		kind = textNode
	case 't':
		kind, ok = trueNode, s.literal("true")
	case 'f':
		kind, ok = falseNode, s.literal("false")
	case 'n':
		ok = s.literal("null")
	default:
		if c != '-' && !isDigit(c) {
			return s.fail(s.at, "a value is missing")
		}
		if ok = s.number(); ok && s.notes != nil {
			text = s.notes.text[from:s.at]
		}
		kind = numberNode
	}
	if s.notes != nil {
		n := &s.notes.all[at]
		n.kind, n.text, n.end = kind, text, int32(len(s.notes.all))
	}
	return ok
}

func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.in[s.at:], []byte(word)) {
		return s.fail(s.at, "a value is missing")
	}
	s.at += len(word)
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number() bool {
	digits := func() bool {
		from := s.at
		for isDigit(s.peek()) {
			s.at++
		}
		return s.at > from || s.fail(s.at, "a number lacks a digit")
	}
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !digits() {
		return false
	}
	if s.peek() == '.' {
		if s.at++; !digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		return digits()
	}
	return true
}

// array reads an array; each reads the element with this index.
func (s *scanner) array(each func(i int) bool) bool {
	if !s.enter() {
		return false
	}
	if s.peek() != ']' {
		for i := 0; ; i++ {
			if !each(i) {
				return false
			}
			s.space()
			if s.peek() != ',' {
				break
			}
			s.at++
			s.space()
		}
	}
	return s.leave(']')
}

// object reads an object. each reads the value of a member, if it is not nil.
func (s *scanner) object(each func(member) bool) bool {
	if !s.enter() {
		return false
	}
	if s.peek() != '}' {
		for m, open := (member{comma: -1}), len(s.keys); ; {
			m.at = s.at
			if m.name = s.key(open); m.name == nil {
				return false
			}
			if s.space(); s.peek() != ':' {
				return s.fail(s.at, "a colon is missing")
			}
			s.at++
			s.space()
			if s.notes != nil {
				s.notes.next = s.notes.member(s.keys[len(s.keys)-1])
			}
			if each == nil && !s.value() || each != nil && !each(m) {
				return false
			}
			s.space()
			if s.peek() != ',' {
				s.keys = s.keys[:open]
				break
			}
			m.comma = s.at
			s.at++
			s.space()
		}
	}
	return s.leave('}')
}

func (s *scanner) enter() bool {
	s.depth++
	if s.deepest = max(s.deepest, s.depth); s.depth > maxDepth {
		return s.fail(s.at, tooDeep)
	}
	s.at++
	s.space()
	return true
}

func (s *scanner) leave(close byte) bool {
	if s.peek() != close {
		return s.fail(s.at, fmt.Sprintf("a comma or %q is missing", close))
	}
	s.at++
	s.depth--
	return true
}

// seed keeps it from whoever writes a file which keys have one hash. Nothing that is
// returned depends on it.
var seed = rand.Uint64()

// key reads the name of a member of the object whose other names are keys[open:]. It
// returns nil if it is not well formed.
func (s *scanner) key(open int) []byte {
	from := s.at
	bad := func(why string) []byte { s.fail(from, why); return nil }
	if s.peek() != '"' {
		return bad("a name is missing")
	}
	name, escaped, ok := s.text()
	if !ok {
		return nil
	}
	if escaped {
		name = []byte(unescape(name, true))
	}
	k := key{seed, name[:len(name):len(name)]}
	others := escaped && bytes.ContainsFunc(name, func(r rune) bool { return r < ' ' }) // unescaped there are none
	for rest := name; len(rest) > 0; {
		// Eight bytes at once, each as if it were small: among those that are printed that makes
		// one of a few that are not the same letter too, and names are compared.
		var w uint64
		if len(rest) >= 8 {
			w, rest = binary.LittleEndian.Uint64(rest), rest[8:]
		} else {
			for i, c := range rest {
				w |= uint64(c) << (8 * i)
			}
			rest = nil
		}
		others = others || (w|(w+ones))&(ones*0x80) != 0
		high, low := bits.Mul64(k.hash^(w|ones*0x20), 0x9e3779b97f4a7c15)
		k.hash = high ^ low
	}
	if others {
		return bad("a name has a character that names in FHIR never have")
	}
	for _, other := range s.keys[open:] {
		if k.hash == other.hash && bytes.EqualFold(k.name, other.name) {
			return bad("the name " + strconv.Quote(string(name)) + " stands twice in one object")
		}
	}
	if len(s.keys)-open == maxMembers {
		return bad(fmt.Sprintf("an object has more than %d members", maxMembers))
	}
	s.keys = append(s.keys, k)
	return k.name
}

// ones is eight bytes of 1.
const ones = 0x0101010101010101

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// text reads a string: what is between its quotes, and whether that has escapes.
func (s *scanner) text() (raw []byte, escaped, ok bool) {
	s.at++
	for from := s.at; ; {
		// Eight bytes at once, as long as none of them is a quote, a backslash or a control
		// character. A borrow can only spoil bytes above the first that is one.
		for s.at+8 <= len(s.in) {
			w := binary.LittleEndian.Uint64(s.in[s.at:])
			if stop := ((w - ones*' ') | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) &^ w & (ones * 0x80); stop != 0 {
				s.at += bits.TrailingZeros64(stop) / 8
				break
			}
			s.at += 8
		}
		switch c := s.peek(); {
		case c == '"':
			s.at++
			return s.in[from : s.at-1], escaped, true
		case c == '\\':
			if escaped = true; !s.escape() {
				return nil, true, false
			}
		case c < ' ':
			return nil, escaped, s.fail(s.at, "a string does not end, or has a control character in it")
		default:
			s.at++
		}
	}
}

// escape reads one character that is written with a backslash.
func (s *scanner) escape() bool {
	if s.at+1 >= len(s.in) {
		return s.fail(s.at, "a string does not end")
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), s.in[s.at+1]) >= 0 {
		s.at += 2
		return true
	}
	r := hex4(s.in[s.at:])
	if utf16.IsSurrogate(r) && utf16.DecodeRune(r, hex4(s.in[s.at+6:])) != utf8.RuneError {
		s.at += 12
		return true
	}
	if r < 0 || utf16.IsSurrogate(r) {
		return s.fail(s.at, "what follows a backslash is no character")
	}
	s.at += 6
	return true
}

// hex4 reads \uXXXX, and is -1 if b does not begin with that.
func hex4(b []byte) (r rune) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	for _, c := range b[2:6] {
		d := hexDigit(c)
		if d < 0 {
			return -1
		}
		r = r<<4 | d
	}
	return r
}

func hexDigit(c byte) rune {
	switch c = lower(c); {
	case isDigit(c):
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	}
	return -1
}

// unescape decodes what text read.
func unescape(raw []byte, escaped bool) string {
	if !escaped {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			break
		}
		out = append(out, raw[:i]...)
		raw = raw[i:]
		if raw[1] != 'u' {
			c := raw[1]
			if j := bytes.IndexByte([]byte("bfnrt"), c); j >= 0 {
				c = "\b\f\n\r\t"[j]
			}
			out, raw = append(out, c), raw[2:]
			continue
		}
		r := hex4(raw)
		raw = raw[6:]
		if utf16.IsSurrogate(r) {
			r = utf16.DecodeRune(r, hex4(raw))
			raw = raw[6:]
		}
		out = utf8.AppendRune(out, r)
	}
	return string(append(out, raw...))
}
