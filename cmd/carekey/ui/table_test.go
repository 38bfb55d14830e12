package ui

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
)

func written(t *testing.T, table *Table, width int) string {
	t.Helper()
	var b strings.Builder
	if err := table.Write(&b, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// consents is a table with all that a list has to show.
func consents() *Table {
	t := &Table{Columns: []Column{Key("consent"), Text("to"), Text("records"), Word("for"), Word("until"), Word("status"), Word("opened")}}
	t.Add("01234567", "Dr Smith", "Laboratory of November, X-ray of the left knee, 3 more", "treatment", "3 Dec", "active", "3 times, last 1 Dec")
	t.Add("89abcdef", "山田　太郎", "血液検査の結果と胸部レントゲンの所見", "treatment", "3 Dec 2027", "active", "no entry")
	t.Add("76543210", "נועה כהן", "e\u0301e\u0301e\u0301 of a\x1b[31mb\nc", "treatment", "3 Dec 14:00", "active", "")
	return t
}

// At a terminal every id, date and status is whole; what all rows share is said once.
func TestTable(t *testing.T) {
	for _, width := range []int{120, 80, 70, 60, 40} {
		golden(t, fmt.Sprintf("table_%d", width), written(t, consents(), width))
	}
	golden(t, "table_pipe", written(t, consents(), 0))
	few := consents()
	few.Rows = few.Rows[:1] // of one row nothing is said apart
	golden(t, "table_one", written(t, few, 80))
	below := &Table{Columns: []Column{Key("part"), Title("what"), Text("why")}, Below: map[int]string{0: "      because\n"}, Cap: 12}
	below.Add("1", "Form 17 of the laboratory", strings.Repeat("http://example.org/codes, ", 9))
	below.Add("2", "Glucose", "")
	golden(t, "table_below", written(t, below, 0)+"\n"+written(t, below, 80)+"\n"+written(t, below, 60))
}

// Threat: a title that all rows share passes for what is said of them: it stands behind its
// column's name, and whatever it holds, and however long it is, begins no line.
func TestTableAlikeIsNotImitated(t *testing.T) {
	for width := 40; width < 140; width++ {
		forged := "X-ray; status revoked" + strings.Repeat(" .", width/2) + " All alike: status revoked"
		forging := &Table{Columns: []Column{Key("consent"), Text("records"), Word("status")}}
		forging.Add("01234567", forged, "active")
		forging.Add("89abcdef", forged, "active")
		got := written(t, forging, width)
		if !strings.HasPrefix(got, "All alike: status active\n  records  X-ray; status revoked") || strings.Count(got, "\nAll alike") > 0 {
			t.Errorf("width %d:\n%s", width, got)
		}
	}
}

// Whatever the width, no line is wider, ids, dates and statuses are in it, and columns stand
// below each other.
func TestTableFitsWidth(t *testing.T) {
	for width := 30; width < 140; width++ {
		got := written(t, consents(), width)
		for _, whole := range []string{"01234567", "89abcdef", "76543210", "3 Dec 2027", "3 Dec 14:00", "3 times, last 1 Dec", "treatment", "active"} {
			if !strings.Contains(got, whole) {
				t.Errorf("width %d: %q is not there:\n%s", width, whole, got)
			}
		}
		at := -1
		for line := range strings.Lines(got) {
			if n := cli.Columns(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: line of %d columns: %q", width, n, line)
			}
			if i := strings.Index(line, "3 Dec"); i >= 0 && !strings.Contains(line, "consent") && width >= narrow {
				if at < 0 {
					at = cli.Columns(line[:i])
				}
				if n := cli.Columns(line[:i]); n != at {
					t.Errorf("width %d: a date in column %d, another in %d:\n%s", width, n, at, got)
				}
			}
		}
	}
	if got := written(t, &Table{}, 10); got != "" {
		t.Errorf("a table of nothing: %q", got)
	}
}

func TestWrap(t *testing.T) {
	text := "Let Dr Ruiz read 血液検査血液検査 until Christmas, averyverylongwordwithoutanyspace included"
	for width := 2; width < 100; width++ {
		lines := Wrap(text, width)
		for _, line := range lines {
			if cli.Columns(line) > width || line == "" {
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

// BenchmarkBudgetTable prints what a row costs at a terminal that it does not fit.
func BenchmarkBudgetTable(b *testing.B) {
	t := consents()
	for range 10 {
		t.Rows = append(t.Rows, t.Rows...)
	}
	for b.Loop() {
		if err := t.Write(io.Discard, 80); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(t.Rows)), "µs/row")
	b.ReportMetric(15, "budget-max")
}
