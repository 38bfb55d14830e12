package ui

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	table := Table{Header: []string{"NAME", "DETAIL", "UNTIL"}}
	table.Add("Ana", "laboratory", "2026-12-21")
	table.Add("山田　太郎", "a\x1b[31mb\nc", "")
	table.Add("Ελένη", "", "2027-01-01")
	var b strings.Builder
	if err := table.Write(&b, 0); err != nil {
		t.Fatal(err)
	}
	want := "NAME        DETAIL         UNTIL\n" +
		"Ana         laboratory     2026-12-21\n" +
		"山田　太郎  a\\x1b[31mb\\nc\n" +
		"Ελένη                      2027-01-01\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableFitsWidth(t *testing.T) {
	table := Table{}
	table.Add("ab12cd34", strings.Repeat("long title ", 20), "血液検査血液検査血液検査")
	table.Add("ef56gh78", "short", "x")
	for width := 28; width < 120; width++ {
		var b strings.Builder
		if err := table.Write(&b, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: line of %d columns: %q", width, n, line)
			}
		}
		if !strings.HasPrefix(b.String(), "ab12cd34  ") {
			t.Errorf("width %d: narrow column was cut: %q", width, b.String())
		}
	}
	if err := (&Table{}).Write(&strings.Builder{}, 10); err != nil {
		t.Error(err)
	}
}

func TestWrap(t *testing.T) {
	text := "Let Dr Ruiz read 血液検査血液検査 until Christmas, averyverylongwordwithoutanyspace included"
	for width := 2; width < 100; width++ {
		lines := Wrap(text, width)
		for _, line := range lines {
			if columns(line) > width || line == "" {
				t.Errorf("width %d: %q", width, line)
			}
		}
		got := strings.ReplaceAll(strings.Join(lines, ""), " ", "")
		if want := strings.ReplaceAll(text, " ", ""); got != want {
			t.Errorf("width %d: text changed: %q", width, got)
		}
	}
	if got := Wrap("", 10); len(got) != 1 || got[0] != "" {
		t.Errorf("wrap of nothing: %q", got)
	}
	Wrap("血", 1) // ends
}
