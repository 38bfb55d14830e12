package text

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/carekey/carekey/crypto/fault"
)

// utf16Text is s as Notepad ("Unicode") and Windows PowerShell write it.
func utf16Text(s string, order binary.ByteOrder, mark bool) []byte {
	if mark {
		s = "\ufeff" + s
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return b
}

// One text is one text in every encoding that tells what it is, in whatever pieces it
// comes.
func TestEncodings(t *testing.T) {
	for _, want := range []string{"", "a", "ab", "abc", "ünïcode\r\n", "日本語 𝐃r 😀😀", strings.Repeat("x😀é", 5000)} {
		for name, b := range map[string][]byte{
			"UTF-8": []byte(want), "with a mark": []byte("\ufeff" + want),
			"UTF-16LE": utf16Text(want, binary.LittleEndian, true), "UTF-16BE": utf16Text(want, binary.BigEndian, true),
		} {
			for _, piece := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
				got, err := Read(piece(bytes.NewReader(b)), len(want)+1)
				if err != nil || string(got) != want {
					t.Errorf("%s of %.20q: %.20q, %v", name, want, got, err)
				}
				if got, err := io.ReadAll(iotest.OneByteReader(NewReader(bytes.NewReader(b)))); err != nil || string(got) != want {
					t.Errorf("%s of %.20q, a byte at a time: %.20q, %v", name, want, got, err)
				}
			}
		}
	}
}

// Threat: a file is taken for another text than its writer saw, and nobody says so.
func TestNoText(t *testing.T) {
	for name, b := range map[string][]byte{
		"UTF-32LE":       []byte("\xff\xfe\x00\x00a\x00\x00\x00"),
		"UTF-32BE":       []byte("\x00\x00\xfe\xff\x00\x00\x00a"),
		"no mark, LE":    utf16Text("words", binary.LittleEndian, false),
		"no mark, BE":    utf16Text("words", binary.BigEndian, false),
		"half a unit":    utf16Text("words", binary.LittleEndian, true)[:5],
		"a lone half":    {0xff, 0xfe, 'a', 0, 0x3d, 0xd8},
		"halves swapped": {0xff, 0xfe, 0x00, 0xde, 0x3d, 0xd8, 'a', 0},
		"NUL":            []byte("words\x00more"),
		"Latin-1":        []byte("Z\xfcrich"),
		"too long":       bytes.Repeat([]byte("x"), 65),
	} {
		got, err := Read(bytes.NewReader(b), 64)
		if bad, ok := fault.As(err, ErrEncoding); !ok || fault.Get[string](bad, "why") == "" || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe), 64); err != io.ErrClosedPipe {
		t.Errorf("the error of the file became %v", err)
	}
}

// What has been read of a secret is not kept.
func TestReaderForgets(t *testing.T) {
	for _, b := range [][]byte{[]byte("hunter2 hunter2"), utf16Text("hunter2 hunter2", binary.LittleEndian, true)} {
		r := NewReader(bytes.NewReader(b))
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if r.buf != [len(r.buf)]byte{} || r.text != [len(r.text)]byte{} {
			t.Error("a part of the text is still there")
		}
	}
}

// What is read is in no other memory than the reader's and the caller's.
func TestReadCopiesNothing(t *testing.T) {
	secret := strings.Repeat("word\n", 100)
	if n := testing.AllocsPerRun(10, func() { Read(strings.NewReader(secret), 4096) }); n > 3 {
		t.Errorf("%v values on the heap: a source, a reader and the text are three", n)
	}
}

func TestCode(t *testing.T) {
	const want = "carekey-node1abc234"
	for _, s := range []string{
		want, "<" + want + ">", "\u201c" + want + "\u201d", want + ".", "\ufeff" + want + "\r\n", "> carekey-\n> > node1abc\n| 234", "*" + want + "*",
		"carekey\u00ad-\u200bno\u2060de1\u200eabc234", "carekey\u2011node1abc234", "carekey-node1=\nabc234", "`" + want + "`",
		"carekey-=20\r\nnode1&nbsp;abc<br>\n234", "\uff43arekey\uff0dnode\uff11abc\uff12\uff13\uff14", "carekey-node1abc\U0001d7d0\U0001d7d1\U0001d7d2",
		"\u2022 " + want + "\u2026", "\u2014 " + want, "- " + want, "\u300c" + want + "\u300d\u3002", "\uff08" + want + "\uff09", want + "\ufe0f", want + " \U0001f44d",
	} {
		if got := Code(s); got != want {
			t.Errorf("%q became %q", s, got)
		}
	}
	// What could be part of another code stays: the checksum is to judge it.
	if got := Code("ab\u0430/0-1+"); got != "ab\u0430/0-1+" {
		t.Errorf("%q", got)
	}
}

func TestName(t *testing.T) {
	const want = "Dr José Núñez"
	for _, s := range []string{want, "Dr Jose\u0301 Nu\u0301n\u0303ez", " Dr\u00a0José\u202fNúñez\u200b ", "Dr Jos\u00adé Núñez\ufe0f"} {
		if got := Name(s); got != want {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"Dr Jose Nunez", "dr José Núñez", "Dr José  Núñez", "Dr\uff0dJosé"} {
		if Name(s) == want {
			t.Errorf("%q is taken for %q", s, want)
		}
	}
	if Fold("ＢＬＯＯＤ Test") != "blood test" || Fold("E\u0301tude") != Fold("étude") {
		t.Error("Fold")
	}
}
