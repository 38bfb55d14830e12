package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/lane"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Dr Ana Ruiz, 12:00", "Dr Ana Ruiz, 12:00"},
		{"empty", "", ""},
		{"scripts", "Ελένη Ünal 血液検査 محمد עדי สมชาย नमस्ते", "Ελένη Ünal 血液検査 محمد עדי สมชาย नमस्ते"},
		{"ideographic space", "山田　太郎", "山田　太郎"},
		{"emoji", "🩺", "🩺"},
		{"colour", "\x1b[31mred", `\x1b[31mred`},
		{"clipboard", "\x1b]52;c;cm0gLXJm\a", `\x1b]52;c;cm0gLXJm\x07`},
		{"C1 CSI", "\u009b2J", `\x9b2J`},
		{"line breaks", "a\nb\r\nc\u2028d\u2029e\u0085f", `a\nb\r\nc\u2028d\u2029e\x85f`},
		{"tab, backspace, delete, nul", "a\tb\bc\x7fd\x00", `a\tb\x08c\x7fd\x00`},
		{"bidi override", "fdp.\u202eexe", `fdp.\u202eexe`},
		{"bidi isolates and marks", "\u2066a\u2069\u200e\u200f\u061c", `\u2066a\u2069\u200e\u200f\u061c`},
		{"zero width", "a\u200bb\u200cc\u200dd\u2060e\ufeff", `a\u200bb\u200cc\u200dd\u2060e\ufeff`},
		{"soft hyphen", "a\u00adb", `a\xadb`},
		{"fillers", "\u115f\u3164\uffa0\u2800", `\u115f\u3164\uffa0\u2800`},
		{"variation selectors", "a\ufe0f\U000e0101", `a\ufe0f\U000e0101`},
		{"tags", "a\U000e0041", `a\U000e0041`},
		{"spaces", "a\u00a0b\u202fc\u2003d", `a b c\u2003d`},
		{"private and unassigned", "\ue000\U0010ffff\u0378", `\ue000\U0010ffff\u0378`},
		{"not UTF-8", "a\xff\xc3(\xe2\x82", `a\xff\xc3(\xe2\x82`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"replacement character itself", "\ufffd", "\ufffd"},
		{"marks", "e" + strings.Repeat("\u0301", 8) + " a" + strings.Repeat("\u0301", 10), "e" + strings.Repeat("\u0301", 8) + " a" + strings.Repeat("\u0301", 8) + `\u0301\u0301`},
		{"backslash", `C:\new`, `C:\new`},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
	if got := CleanText("a\n\tb\r\n\x1b"); got != "a\n b\\r\n\\x1b" {
		t.Errorf("CleanText gave %q", got)
	}
}

// Every code point by itself: what passes is a mark, a letter, a digit or a
// symbol, or one of the two spaces.
func TestCleanEveryCodePoint(t *testing.T) {
	lane.OneGoroutine(t)
	passed := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		in := string(r)
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		got := Clean(in)
		if got != in {
			for i := range len(got) {
				if got[i] < ' ' || got[i] > '~' {
					t.Fatalf("%U: escape %q is not ASCII", r, got)
				}
			}
			continue
		}
		passed++
		if r == ' ' || r == 0x3000 {
			continue
		}
		if unicode.Is(unicode.C, r) || unicode.Is(unicode.Z, r) || unicode.Is(unicode.Variation_Selector, r) ||
			unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Join_Control, r) ||
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			t.Errorf("%U passes", r)
		}
	}
	if passed < 100_000 {
		t.Errorf("only %d code points pass", passed)
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "Dr Ana", "\x1b[31m\u202e\n\t", "血液\xe8\xa1", "a\xffb\U000e0041", "\xf0\x9f\xa9\xba\xf0\x9f"} {
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, piece uint8) {
		one := Clean(s)
		if !utf8.ValidString(one) || strings.ContainsAny(one, "\n\r\t\x1b") {
			t.Errorf("Clean(%q) = %q", s, one)
		}
		if Clean(one) != one {
			t.Errorf("Clean(%q) is not clean: %q", s, one)
		}

		var out bytes.Buffer
		w := NewCleanWriter(&out)
		for rest := []byte(s); len(rest) > 0; {
			n := min(len(rest), int(piece%5)+1)
			if wrote, err := w.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != CleanText(s) {
			t.Errorf("writer gave %q, CleanText %q", out.String(), CleanText(s))
		}
	})
}
