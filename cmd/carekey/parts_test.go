package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

func TestPartNumbers(t *testing.T) {
	for _, good := range []struct {
		args string
		want []int
	}{{"3", []int{3}}, {"5 3 5", []int{3, 5}}, {"3-5,9 4", []int{3, 4, 5, 9}}, {"7-7", []int{7}}} {
		if got, err := partNumbers(strings.Fields(good.args)); err != nil || !slices.Equal(got, good.want) {
			t.Errorf("%q: %v, %v", good.args, got, err)
		}
	}
	for _, bad := range []string{"0", "-1", "5-3", "3-", "-3", "a", "1-99999999999999999999", "1-4000000000", "1.5", "3--5"} {
		if got, err := partNumbers([]string{bad}); !errors.Is(err, wallet.ErrInput) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// Threat: what a file says acts on the terminal, or passes for a line of the program's own.
// Whatever it says, a part and each of its reasons stand within the width.
func TestPartsStayInTheirLines(t *testing.T) {
	says := []string{"Asthma", strings.Repeat("long ", 40), "\x1b[31mred\n   9  Nothing  labs", strings.Repeat("血", 60), "\u202eevil", ""}
	var parts []wallet.PartInfo
	for i, s := range says {
		l := health.Label{Type: "Condition", Says: s, Category: "problems", Date: "2019-03-12",
			Sensitive: []health.Sensitivity{health.MentalHealth, health.HIV}, Unclassified: []string{"code system https://clinic.example/" + strings.Repeat("x", 20)},
			Why: []health.Reason{{Of: "mental-health", Because: s, Table: "words.csv: " + s}, {Of: "mental-health", Because: "again", Table: "icd.csv"},
				{Of: "hiv", Because: "hiv", Table: "yours"}, {Of: "problems", Because: "Condition", Table: "types.csv"}}}
		parts = append(parts, wallet.PartInfo{Number: i + 1, Entry: i + 1, Label: l})
	}
	parts = append(parts, wallet.PartInfo{Number: len(says) + 1, Of: len(says), Label: health.Label{Type: "Condition", Category: health.Documents}})
	for _, width := range []int{80, 100, 0} {
		for _, all := range []bool{false, true} {
			text := listOfParts(parts, all, width)
			if strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "\n   9  Nothing") {
				t.Errorf("width %d: %q", width, text)
			}
			for line := range strings.Lines(text) {
				if line = strings.TrimSuffix(line, "\n"); width > 0 && utf8.RuneCountInString(line)+strings.Count(line, "血") > width {
					t.Errorf("width %d: %q", width, line)
				}
			}
			for i := range parts {
				if !strings.Contains("\n"+text, fmt.Sprintf("\n%4d  ", i+1)) {
					t.Errorf("width %d: part %d is not there: %s", width, i+1, text)
				}
			}
			if got := strings.Count(text, "\n      mental-health:"); !all && got != len(says) || all && got != 2*len(says) {
				t.Errorf("width %d, all %t: %d reasons", width, all, got)
			}
			if strings.Count(text, "\n      hiv: you said so") != len(says) || strings.Contains(text, "\n      problems: ") != all || !strings.Contains(text, "text of part 6") {
				t.Errorf("width %d, all %t: %s", width, all, text)
			}
		}
	}
}
