package cli

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text string
		columns    int
		want       string
	}{
		{"nothing", "", 10, ""},
		{"no terminal", strings.Repeat("word ", 50), 0, strings.Repeat("word ", 50)},
		{"prose", "The ledger is a folder and says so.", 20, "The ledger is a\nfolder and says so."},
		{"lines stay", "One.\n\nTwo, which is longer than the line.", 20, "One.\n\nTwo, which is longer\nthan the line."},
		{"behind a label", "hint:  name a record or a category, or take all", 24, "hint:  name a record or\n       a category, or\n       take all"},
		{"in the second column", "  may open  Blood test of November, X-ray of the left knee", 32, "  may open  Blood test of\n            November, X-ray of\n            the left knee"},
		{"in the last column", "  2  yes, give      carekey cannot tell what is sensitive in it", 40, "  2  yes, give      carekey cannot tell\n                    what is sensitive in\n                    it"},
		{"in the last that leaves room", "  to  name of a contact    categories  labs allergies, or all", 50, "  to  name of a contact    categories  labs\n                           allergies, or all"},
		{"behind a number", "12. a line that is longer", 16, "12. a line that\n    is longer"},
		{"a sentence's end is no label", "Look. It is longer than it is", 16, "Look. It is\nlonger than it\nis"},
		{"as far in as the line", "    a line that is longer than it may be", 20, "    a line that is\n    longer than it\n    may be"},
		{"a code is not cut", "code: carekey-fetch1abcdefghijklmnop and more", 20, "code:\ncarekey-fetch1abcdefghijklmnop\nand more"},
		{"a code that just fits stands on its own", "hint:  see carekey-node1abcdef", 20, "hint:  see\n carekey-node1abcdef"},
		{"a command stays whole", "Next: compare the check words by voice: carekey contact verify 'Dr Smith'", 60, "Next: compare the check words by voice:\n      carekey contact verify 'Dr Smith'"},
		{"and moves left before it is broken", "hint:  it ends so: carekey revoke 0123abcd --yes --no-input", 42, "hint:  it ends so:\n  carekey revoke 0123abcd --yes --no-input"},
		{"and goes over the end", "Next: carekey grant --to 'Dr Smith' --record 0123abcd --for 30d", 30, "Next:\ncarekey grant --to 'Dr Smith' --record 0123abcd --for 30d"},
		{"what follows it wraps", "Write it down (carekey consent show 0123abcd), and tell everybody.", 46, "Write it down (carekey consent show 0123abcd),\nand tell everybody."},
		{"how a command goes is not pasted", "  carekey contact add NAME (ADDRESS | @FILE) [--ref REF]", 40, "  carekey contact add NAME (ADDRESS |\n  @FILE) [--ref REF]"},
		{"a quoted path", "error: cannot read '/tmp/my records/scan of the knee.pdf' now", 30, "error: cannot read\n'/tmp/my records/scan of the knee.pdf'\n       now"},
		{"an apostrophe quotes nothing", "Dr Smith's carekey keeps Dr Smith's end to it", 20, "Dr Smith's\ncarekey keeps Dr\nSmith's end to it"},
		{"wide characters", "血液検査の結果を田中先生に渡す", 12, "血液検査の結\n果を田中先生\nに渡す"},
		{"marks take no column", "e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301 e\u0301", 7, "e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301\ne\u0301"},
	} {
		if got := Wrap(c.text, c.columns); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// Wrapping changes nothing but spaces, breaks no word, and is the end of it: what fits is
// left as it is.
func FuzzWrap(f *testing.F) {
	for _, text := range []string{"error: no record '0123 abc'\nhint:  see: carekey record list --json", "  a  b\n\n   c", "血液 検査血 a", "''' ' 'a b'", "carekey", "$ carekey  a"} {
		f.Add(text, uint8(20))
	}
	f.Fuzz(func(t *testing.T, text string, columns uint8) {
		text = CleanText(text)
		got := Wrap(text, int(columns))
		words := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if words(got) != words(text) {
			t.Fatalf("%q became %q", text, got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if n := Columns(line); columns > 0 && n > int(columns) && len(chunks(line)) > 1 {
				t.Fatalf("a line of %d columns in %d: %q", n, columns, line)
			}
		}
	})
}

func TestColumns(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "Ελένη": 5, "山田　太郎": 10, "e\u0301": 1, "نور": 3, "שלום": 4, "한국": 4, "\u1112\u1161\u11ab": 2, "🩺": 2, "ก็": 1} {
		if got := Columns(s); got != want {
			t.Errorf("%q takes %d columns, not %d", s, got, want)
		}
	}
}

func TestParagraphs(t *testing.T) {
	const long = "a line of the source that is as long as lines of a source are, here"
	for text, want := range map[string]string{
		long + "\nand more of it":             long + " and more of it",
		"  " + long + "\n  --all, and more":   "  " + long + " --all, and more",
		"  " + long + "\n  " + long + "\n  x": "  " + long + " " + long + " x",
		long + "\n  indented":                 long + "\n  indented",
		long + "\n\nanother":                  long + "\n\nanother",
		"short\nand another":                  "short\nand another",
		"  " + long + "\n  carekey audit":     "  " + long + "\n  carekey audit",
		long + "\ncarekey says so":            long + " carekey says so",
		"carekey is " + long + "\nand more":   "carekey is " + long + " and more",
		"  -q    " + long + "\n  --all   all": "  -q    " + long + "\n  --all   all",
	} {
		if got := paragraphs(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
