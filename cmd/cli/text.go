package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text that somebody else wrote fit to be shown within one line. It
// escapes whatever could act on the terminal, reorder the line, or be there
// without being seen: control characters (line breaks and tabs among them),
// bidirectional controls, zero-width, format and filler characters, variation
// selectors, unusual spaces, private and unassigned code points, and bytes that
// are not UTF-8. So is what stands on a character that has eight marks already, which no
// script needs: it would take no columns and could cover the lines around. Escapes look like \x1b, \u202e, \U000e0041. No-break spaces
// become spaces. All other text, of any script, is unchanged.
//
// Clean is for showing. Its result identifies nothing: a text may well contain
// what looks like an escape.
func Clean(s string) string { return clean(s, false) }

// CleanText is Clean for text of several lines: line feeds stay, and tabs
// become spaces.
func CleanText(s string) string { return clean(s, true) }

func clean(s string, lines bool) string {
	marks := 0 // one behind the other
	piles := func(r rune) bool {
		if r < 0x300 || runeColumns(r) > 0 {
			marks = 0
		} else {
			marks++
		}
		return marks > maxMarks
	}
	unsafe := func(r rune) bool {
		return piles(r) || r == utf8.RuneError || r != ' ' && !Visible(r) && !(lines && r == '\n')
	}
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	marks = 0
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if piles(r) {
			escape(&b, r)
		} else {
			cleanRune(&b, r, s[:n], lines)
		}
		s = s[n:]
	}
	return b.String()
}

// maxMarks is how many marks may stand on one character.
const maxMarks = 8

// cleanRune writes one character, raw being its bytes.
func cleanRune(b *strings.Builder, r rune, raw string, lines bool) {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case r == ' ' || r == 0xa0 || r == 0x202f || lines && r == '\t':
		b.WriteByte(' ')
	case Visible(r) || lines && r == '\n':
		b.WriteString(raw)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\r':
		b.WriteString(`\r`)
	default:
		escape(b, r)
	}
}

func escape(b *strings.Builder, r rune) {
	switch {
	case r < 0x100:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// Visible reports whether r leaves a mark on the terminal where it stands.
// unicode.IsPrint is letters, marks, numbers, punctuation and symbols; it leaves
// out controls, formats, spaces, private and unassigned code points.
func Visible(r rune) bool {
	switch {
	case r > ' ' && r < 0x7f, r == 0x3000: // the latter is the space of Chinese and Japanese text, two columns wide
		return true
	}
	return unicode.IsPrint(r) && r != ' ' && !unicode.Is(invisible, r)
}

// invisible are the letters, marks and symbols that show nothing.
var invisible = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x034f, Hi: 0x034f, Stride: 1}, // combining grapheme joiner
		{Lo: 0x115f, Hi: 0x1160, Stride: 1}, // Hangul fillers
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, // Khmer inherent vowels
		{Lo: 0x180b, Hi: 0x180f, Stride: 1}, // Mongolian variation selectors
		{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille blank
		{Lo: 0x3164, Hi: 0x3164, Stride: 1}, // Hangul filler
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, // variation selectors
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1}, // half-width Hangul filler
		{Lo: 0xfffc, Hi: 0xfffc, Stride: 1}, // object replacement
	},
	R32: []unicode.Range32{
		{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // musical null notehead
		{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}, // variation selectors
	},
}

// CleanWriter passes text on as CleanText would, whatever pieces it arrives in.
type CleanWriter struct {
	w    io.Writer
	rest []byte // the beginning of a character, at most 3 bytes
}

// NewCleanWriter returns a CleanWriter that writes to w. Flush it at the end.
func NewCleanWriter(w io.Writer) *CleanWriter { return &CleanWriter{w: w} }

// Write implements io.Writer. A character that is not complete waits for the
// next Write.
func (c *CleanWriter) Write(p []byte) (int, error) {
	b := append(c.rest, p...)
	end := len(b)
	for i := max(0, len(b)-utf8.UTFMax+1); i < len(b); i++ {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) {
			end = i
			break
		}
	}
	c.rest = append([]byte(nil), b[end:]...)
	if _, err := io.WriteString(c.w, CleanText(string(b[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what is left of an incomplete character.
func (c *CleanWriter) Flush() error {
	b := c.rest
	c.rest = nil
	_, err := io.WriteString(c.w, CleanText(string(b)))
	return err
}
