// Package text makes one text of the forms in which people, keyboards, editors,
// spreadsheets, mail and messengers hand it on.
//
//   - A small file that a person made (words, a passphrase, rows of a batch) is read
//     through a [Reader]: UTF-8, with or without the mark before it, or UTF-16 with its
//     mark. Other encodings are named, never taken for another text.
//   - A name is kept composed (Unicode NFC) and looked up by [Name].
//   - An address, a fetch code, an invitation or an id is read through [Code].
//
// Nothing here decides what a text means: what is passed over is either invisible or no
// part of what is read, and a checksum guards codes.
package text

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/fault"
	"golang.org/x/text/unicode/norm"
)

// Invisible reports whether a character of a text shows nothing: format characters,
// such as a soft hyphen, a mark of the writing direction or the mark before a file, and
// letters that are blank. White space is not among them.
func Invisible(r rune) bool {
	return r > 0x7f && (unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r == '\u2800')
}

// Visible returns s without what is invisible.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if Invisible(r) {
			return -1
		}
		return r
	}, s)
}

// Name returns the form in which names are compared: composed, without outer spaces and
// what is invisible, every other space a plain one. Two names that look the same because
// they are the same letters have one form; see package wallet for look-alikes.
func Name(s string) string {
	return norm.NFC.String(strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case Invisible(r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)))
}

// MaxName is how many characters the longest name of a person has.
const MaxName = 64

// CheckName returns a name as it is kept: composed (Unicode NFC), without outer spaces, 1
// to MaxName characters, none of them a control or formatting character, and not beginning
// like a flag. Where it is none, why says so, as in "the name is ...".
func CheckName(name string) (kept, why string) {
	n := norm.NFC.String(strings.TrimSpace(name))
	switch {
	case n == "":
		why = "empty"
	case !utf8.ValidString(n):
		why = "not UTF-8"
	case utf8.RuneCountInString(n) > MaxName:
		why = fmt.Sprintf("longer than %d characters", MaxName)
	case strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' || Invisible(r) }):
		why = "has characters that cannot be seen"
	case n[0] == '-':
		why = "begins with a hyphen"
	}
	return n, why
}

// Fold returns the form in which what a person types is searched for: lower case, and
// one form for letters that are drawn in several (NFKC).
func Fold(s string) string { return strings.ToLower(norm.NFKC.String(Visible(s))) }

// sourced is what stands for white space where the source of a mail or of a page is
// copied. No code has any of it.
var sourced = strings.NewReplacer("=20", "", "&nbsp;", "", "<br>", "", "<br/>", "")

// Code returns a code without white space, what is invisible, and the punctuation and
// symbols that mail, messengers and people put around it and before its lines. Letters
// and digits that are drawn in several forms have one (NFKC), and so have hyphens, of
// which none is at an end.
func Code(s string) string {
	if !strings.ContainsFunc(s, notInCode) { // as it mostly comes
		return strings.Trim(s, "-")
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Pd, r):
			return '-'
		case r == '/', r == '+':
			return r
		case unicode.IsSpace(r), Invisible(r), unicode.Is(unicode.Variation_Selector, r), unicode.IsPunct(r), unicode.IsSymbol(r):
			return -1
		}
		return r
	}, norm.NFKC.String(sourced.Replace(s))), "-")
}

func notInCode(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '/' || r == '+')
}

// ErrEncoding: a file is not read as text. why is a sentence without its end, and names
// what to do.
const ErrEncoding fault.Code = "bad-encoding"

const saveAs = ": save it as UTF-8"

// Reader reads a text as UTF-8 without the mark before it. Its errors are those of the
// reader beneath and [ErrEncoding]. What it held is overwritten once it is handed out:
// the text may be a secret. It does not judge what was UTF-8 from the beginning.
type Reader struct {
	r     io.Reader
	begun bool
	order binary.ByteOrder // of UTF-16; nil: UTF-8
	held  int              // bytes at the beginning of buf that are not decoded
	buf   [1024]byte       // what was read
	text  [2048]byte       // where out lies; half as many units have room, of 3 bytes at most
	out   []byte           // decoded, and not handed out
	err   error            // what comes after out
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Read implements io.Reader.
func (t *Reader) Read(p []byte) (int, error) {
	for len(t.out) == 0 && len(p) > 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.out)
	clear(t.out[:n])
	t.out = t.out[n:]
	return n, nil
}

// fill reads and decodes some more.
func (t *Reader) fill() {
	least := 1
	if !t.begun {
		least = 4
	}
	n, err := io.ReadAtLeast(t.r, t.buf[t.held:], least)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	t.err = err
	raw := t.buf[:t.held+n]
	if !t.begun {
		t.begun = true
		raw = t.begin(raw)
	}
	t.out = t.text[:0]
	if t.order == nil {
		t.out, raw = append(t.out, raw...), nil
	}
	for len(raw) >= 2 {
		r, size := rune(t.order.Uint16(raw)), 2
		if utf16.IsSurrogate(r) {
			if len(raw) < 4 {
				break
			}
			r, size = utf16.DecodeRune(r, rune(t.order.Uint16(raw[2:]))), 4
			if r == utf8.RuneError {
				t.err, raw = ErrEncoding.With("why", "it is no UTF-16 beyond its mark"+saveAs), nil
				break
			}
		}
		t.out, raw = utf8.AppendRune(t.out, r), raw[size:]
	}
	if t.err == io.EOF && len(raw) > 0 {
		t.err = ErrEncoding.With("why", "it ends in the middle of a character: it was cut off, or is no UTF-16")
	}
	t.held = copy(t.buf[:], raw)
	clear(t.buf[t.held:])
}

// begin tells the encoding by the first bytes and returns what follows its mark.
func (t *Reader) begin(b []byte) []byte {
	has := func(mark string) bool { return bytes.HasPrefix(b, []byte(mark)) } // no copy of b: it may be a secret
	refuse := func(why string) []byte {
		t.err = ErrEncoding.With("why", why+saveAs)
		return nil
	}
	switch {
	case has("\xff\xfe\x00\x00"), has("\x00\x00\xfe\xff"):
		return refuse("it is UTF-32")
	case has("\xff\xfe"):
		t.order = binary.LittleEndian
		return b[2:]
	case has("\xfe\xff"):
		t.order = binary.BigEndian
		return b[2:]
	case has("\xef\xbb\xbf"):
		return b[3:]
	case len(b) >= 2 && (b[0] == 0) != (b[1] == 0):
		return refuse("it looks like UTF-16 without the mark that tells its order")
	}
	return b
}

// Read reads a whole small file of at most so many bytes as text. A file with NUL bytes
// or bytes that are no UTF-8 is an [ErrEncoding], and so is a longer one.
func Read(r io.Reader, most int) ([]byte, error) {
	b := make([]byte, most+1) // in one place, so that it can be wiped
	n, err := io.ReadFull(NewReader(r), b)
	switch {
	case err == nil:
		err = ErrEncoding.With("why", "it is longer than such a file can be")
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		err = Check(b[:n])
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b[:n], nil
}

// Check returns an [ErrEncoding] for bytes that are no text.
func Check(b []byte) error {
	switch {
	case slices.Contains(b, 0):
		return ErrEncoding.With("why", "it has a NUL byte: it is no text, or text in UTF-16 or UTF-32"+saveAs)
	case !utf8.Valid(b):
		return ErrEncoding.With("why", "it is not UTF-8"+saveAs)
	}
	return nil
}
