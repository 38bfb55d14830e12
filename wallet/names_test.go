package wallet

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// Threat: a stranger's file name leads out of the folder, hides itself, or means
// something to the system.
func TestSafeName(t *testing.T) {
	id := contract.ID{0xab, 0xcd}
	for _, tt := range []struct{ name, want string }{
		{"report.pdf", "report.pdf"},
		{"Εξετάσεις αίματος 2026.pdf", "Εξετάσεις αίματος 2026.pdf"},
		{"../../.ssh/authorized_keys", "authorized_keys"},
		{`..\..\windows\system32\cmd.exe`, "cmd.exe"},
		{"/etc/passwd", "passwd"},
		{".bashrc", "bashrc"},
		{"-rf", "rf"},
		{"..", "record-abcd0000"},
		{"", "record-abcd0000"},
		{"   ", "record-abcd0000"},
		{"a\x00b", "a_b"},
		{"a\nb\x1b[2Jc", "a_b_[2Jc"},
		{"photo\u202Egpj.exe", "photo_gpj.exe"},
		{"zero\u200bwidth", "zero_width"},
		{"CON", "record-abcd0000-CON"},
		{"con.txt", "record-abcd0000-con.txt"},
		{"lpt1.tar.gz", "record-abcd0000-lpt1.tar.gz"},
		{"trailing. ", "trailing"},
		{"a:b*c?", "a_b_c_"},
		{"bad\xffutf8", "bad_utf8"},
		{"_" + strings.Repeat(" ", 110) + "_", "record-abcd0000-_"},
		{"CON." + strings.Repeat("a", 116), "record-abcd0000-CON." + strings.Repeat("a", 100)},
		{"re\u0301sume\u0301.pdf", "résumé.pdf"},
		{strings.Repeat("a", 300) + ".pdf", strings.Repeat("a", 116) + ".pdf"},
		{strings.Repeat("α", 300) + ".pdf", strings.Repeat("α", 58) + ".pdf"},
	} {
		got := SafeName(tt.name, id)
		if got != tt.want {
			t.Errorf("SafeName(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a.pdf", "../x", "..", "\x00", "CON.", strings.Repeat("ä.", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := SafeName(name, contract.ID{1})
		if got == "" || got == "." || got == ".." || len(got) > 120 || !utf8.ValidString(got) || strings.ContainsAny(got, "/\\\x00\n\r\x1b") ||
			got[0] == '.' || got[0] == '-' || filepath.Base(got) != got || !filepath.IsLocal(got) {
			t.Errorf("SafeName(%q) = %q", name, got)
		}
		if again := SafeName(got, contract.ID{1}); again != got {
			t.Errorf("SafeName is not stable: %q then %q", got, again)
		}
	})
}

// Threat: a stranger gets into the contacts under a name that looks like a
// doctor's.
func TestLookalikes(t *testing.T) {
	for _, pair := range [][2]string{
		{"Dr Smith", "dr smith"}, {"Dr Smith", "Dr. Smith"}, {"Dr Smith", "DrSmith"}, {"Dr Smith", "Dr Smіth"}, // Cyrillic і
		{"Dr Carol", "Dr Carοl"}, // Greek ο
		{"Dr Olson", "Dr 0lson"}, {"Marn", "Mam"},
		{"Dr Smith", "Dr \uff33mith"}, {"Dr Smith", "\U0001d403r Smith"}, {"Dr Smith", "Dr Sm\u0131th"}, {"Dr Smith", "Dr\u00a0Smith"},
		{"Dr Smith", "Dr \u24c8mith"}, {"Dr Fischer", "Dr \ufb01scher"}, {"Dr Smith", "Dr S\u200bmith"}, {"Dr Smith", "Dr Smith\u3164"},
		{"Dr José", "Dr Jose\u0301"}, {"Dr José", "Dr Jose"}, {"Dr Howe", "Dr \u04bbo\u051de"},
	} {
		if Skeleton(pair[0]) != Skeleton(pair[1]) {
			t.Errorf("%q and %q are told apart: %q %q", pair[0], pair[1], Skeleton(pair[0]), Skeleton(pair[1]))
		}
	}
	for _, pair := range [][2]string{{"Dr Smith", "Dr Smythe"}, {"Anna", "Anne"}, {"Clinic 1", "Clinic 2"}} {
		if Skeleton(pair[0]) == Skeleton(pair[1]) {
			t.Errorf("%q and %q are taken for the same", pair[0], pair[1])
		}
	}
}

func TestCodeLists(t *testing.T) {
	for _, s := range []string{"treatment", "TREAT", "treat", " Treatment "} {
		if p, err := ParsePurpose(s); err != nil || p != payload.Treatment {
			t.Errorf("%q: %v %v", s, p, err)
		}
	}
	for _, s := range []string{"ETREAT", "BTG", "emergency", "PATRQST", "TPO", ""} {
		if p, err := ParsePurpose(s); err == nil {
			t.Errorf("%q is taken for %v", s, p)
		}
	}
	if c, err := ParseCategory(" Labs"); err != nil || c != "labs" {
		t.Errorf("labs: %v %v", c, err)
	}
	if _, err := ParseCategory("everything"); err == nil {
		t.Error("an unknown category is accepted")
	}
	if cs := payload.Categories(); len(cs) != 12 || cs[len(cs)-1] != payload.Other {
		t.Errorf("categories: %v", cs)
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", "  ", strings.Repeat("x", 65), "a\nb", "a\x1b[31mb", "a\u202eb", "\xff", "a\u200bb", "a\u00a0b", "a\u3164b", "a\u034fb", "a\u2800b"} {
		if n, err := CheckName("name", bad); err == nil {
			t.Errorf("%q is accepted as %q", bad, n)
		}
	}
	for _, good := range []string{"Maria", "Δρ. Παπαδόπουλος", " Dr Smith "} {
		if n, err := CheckName("name", good); err != nil || n != strings.TrimSpace(good) {
			t.Errorf("%q: %q %v", good, n, err)
		}
	}
	if n, err := CheckName("name", "Jose\u0301"); err != nil || n != "José" {
		t.Errorf("not composed: %q %v", n, err)
	}
	if a, b := ProfileDir("home", "Jose\u0301"), ProfileDir("home", "José"); a != b {
		t.Error("two forms of one name are two profiles")
	}
}
