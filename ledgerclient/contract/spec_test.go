package contract

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
)

func readSpec(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// table returns the cells of the rows of the table whose header line begins so.
func table(t *testing.T, spec, header string) [][]string {
	t.Helper()
	_, rest, ok := strings.Cut(spec, "\n"+header)
	if !ok {
		t.Fatalf("SPEC.md has no table %q", header)
	}
	var rows [][]string
	for _, line := range strings.Split(rest, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestSpecListsTheRules(t *testing.T) {
	var want [][]string
	for _, r := range Rules() {
		want = append(want, []string{"`" + string(r.Rule) + "`", string(r.Step), r.Sentence})
	}
	got := table(t, readSpec(t), "| rule | step |")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || !slices.Equal(got[i], want[i]) {
			t.Errorf("row %d differs:\nSPEC.md %q\ncode    %q", i, at(got, i), at(want, i))
		}
	}
}

func at(rows [][]string, i int) []string {
	if i < len(rows) {
		return rows[i]
	}
	return nil
}

func TestSpecListsTheTags(t *testing.T) {
	want := []crypto.Tag{
		crypto.TagLedger, crypto.TagEntry, crypto.TagChain, crypto.TagConfig, crypto.TagConfigApprove,
		crypto.TagGrantPackage, crypto.TagRecordPackage, crypto.TagAccessPackage,
	}
	var got []crypto.Tag
	for _, row := range table(t, readSpec(t), "| value | computed as |") {
		got = append(got, crypto.Tag(strings.Trim(row[2], "`")))
	}
	if !slices.Equal(got, want) {
		t.Errorf("SPEC.md %q\ncode    %q", got, want)
	}
}

// The table of the entry's bytes covers 222 bytes without a gap.
func TestSpecLayout(t *testing.T) {
	next := 0
	for _, row := range table(t, readSpec(t), "| offset | size | field | meaning |") {
		offset, _ := strconv.Atoi(row[0])
		size, _ := strconv.Atoi(row[1])
		if offset != next {
			t.Errorf("%s begins at %d, want %d", row[2], offset, next)
		}
		if row[2] == "signature" && offset != UnsignedSize {
			t.Errorf("the signature begins at %d, want %d", offset, UnsignedSize)
		}
		next = offset + size
	}
	if next != Size {
		t.Errorf("the fields are %d bytes, want %d", next, Size)
	}
}

// The table of kinds is what CheckShape does: each row's entry is accepted, and
// refused once a field is not what the row says.
func TestSpecKinds(t *testing.T) {
	point := testKey(t, "clinic").Public()
	rows := table(t, readSpec(t), "| kind | number |")
	if len(rows) != 8 {
		t.Fatalf("%d kinds", len(rows))
	}
	for _, row := range rows {
		t.Run(row[0], func(t *testing.T) {
			number, _ := strconv.Atoi(row[1])
			flags, _ := strconv.Atoi(row[2])
			e := Entry{Version: 1, Kind: Kind(number), Flags: uint8(flags), Commitment: testHash("c")}
			if !strings.HasPrefix(row[0], e.Kind.String()) {
				t.Errorf("kind %d is %v", number, e.Kind)
			}
			if row[5] != "0" {
				e.Counterparty = point
			}
			if row[6] != "0" {
				e.Subject = testHash("s")
			}
			var wrong [][2]Hour
			switch row[7] {
			case "0, 0":
				wrong = [][2]Hour{{0, 1}, {1, 0}, {1, 2}}
			case "0, 0xffffffff":
				e.NotAfter = Forever
				wrong = [][2]Hour{{0, 0}, {1, Forever}, {0, Forever - 1}}
			case "acceptance":
				e.NotBefore, e.NotAfter = 999, 1071
				wrong = [][2]Hour{{0, 0}, {999, 1072}, {999, 999}, {999, 998}, {0, Forever}}
			case "the window":
				e.NotBefore, e.NotAfter = 0, 100000
				wrong = [][2]Hour{{0, 0}, {5, 5}, {5, 4}}
			default:
				t.Fatalf("hours %q", row[7])
			}
			if err := CheckShape(&e); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			for _, w := range wrong {
				bad := with(e, func(e *Entry) { e.NotBefore, e.NotAfter = w[0], w[1] })
				if CheckShape(&bad) == nil {
					t.Errorf("hours %v are accepted", w)
				}
			}
			for f := range 256 {
				flagged := with(e, func(e *Entry) { e.Flags = uint8(f) })
				fits := f == flags || f == FlagWithdrawn && row[0] == "record, next version" ||
					f == 0 && row[0] == "record, withdrawal"
				if (CheckShape(&flagged) == nil) != fits {
					t.Errorf("flags %d: fits %v", f, fits)
				}
			}
			other := with(e, func(e *Entry) {
				if e.Counterparty = point; row[5] != "0" {
					e.Counterparty = crypto.PubKey{}
				}
			})
			if CheckShape(&other) == nil {
				t.Error("the other counterparty is accepted")
			}
		})
	}
}

func TestSpecNames(t *testing.T) {
	_, list, ok := strings.Cut(readSpec(t), "in hexadecimal: ")
	if !ok {
		t.Fatal("SPEC.md does not list what a name must not hold")
	}
	list, _, _ = strings.Cut(list, ". The list")
	var want []string
	for _, pair := range invisible {
		want = append(want, fmt.Sprintf("%x–%x", pair[0], pair[1]))
		if pair[0] == pair[1] {
			want[len(want)-1] = fmt.Sprintf("%x", pair[0])
		}
	}
	if got := regexp.MustCompile(`,\s+`).Split(list, -1); !slices.Equal(got, want) {
		t.Errorf("SPEC.md %q\ncode    %q", got, want)
	}
}

func TestKindNames(t *testing.T) {
	for k, want := range map[Kind]string{
		0: "kind(0)", KindConfig: "config", KindAccess: "access", 6: "kind(6)", 11: "kind(11)", 255: "kind(255)",
	} {
		if got := k.String(); got != want {
			t.Errorf("%d: %s, want %s", k, got, want)
		}
	}
}
