package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// inZone runs the rest of a test in another time zone.
func inZone(t *testing.T, name string) {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Skip("no time zones on this system")
	}
	was := time.Local
	time.Local = zone
	t.Cleanup(func() { time.Local = was })
}

func hourOf(t *testing.T, s string) contract.Hour {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return contract.Hour(at.Unix() / 3600)
}

func TestTimesForPeople(t *testing.T) {
	for _, c := range []struct{ zone, at, want string }{
		{"UTC", "2026-12-22T00:00:00Z", "Tue 22 Dec 2026 00:00 UTC"},
		{"Europe/Athens", "2026-12-22T00:00:00Z", "Tue 22 Dec 2026 02:00 EET (00:00 UTC)"},
		{"America/New_York", "2026-12-22T00:00:00Z", "Mon 21 Dec 2026 19:00 EST (22 Dec 2026 00:00 UTC)"},
		{"Asia/Kathmandu", "2026-12-22T00:00:00Z", "Tue 22 Dec 2026 05:45 +0545 (00:00 UTC)"},
	} {
		t.Run(c.zone, func(t *testing.T) {
			inZone(t, c.zone)
			if got := both(hourOf(t, c.at)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// No list in JSON is null, whatever is missing.
func TestJSONListsAreNeverNull(t *testing.T) {
	for _, v := range []any{
		list([]wallet.Record(nil), recordOf), consentOf(wallet.Consent{Seen: wallet.Seen{Missing: true}}), receivedOf(wallet.Received{Seen: wallet.Seen{Missing: true}}),
		eventOf(wallet.Event{}), revocationOf(wallet.Revocation{}), list([]wallet.Contact(nil), same), list([]wallet.Pending(nil), pendingOf),
	} {
		b, err := json.Marshal(v)
		if err != nil || bytes.Contains(b, []byte("null")) {
			t.Errorf("%T: %s, %v", v, b, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"abc": "abc", "Dr Smith": "'Dr Smith'", "": "''", "O'Hara": `'O'\''Hara'`, "$(rm)": "'$(rm)'", "-x": "-x", "Εξ": "'Εξ'", "a/b.txt": "a/b.txt",
	} {
		if got := cli.Quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// The preview names everything that is signed, and nothing a stranger wrote acts on
// the terminal.
func TestPreviewGrant(t *testing.T) {
	inZone(t, "UTC")
	address := crypto.NewEntropy().Root().Identity().Address()
	p := &wallet.GrantPlan{
		To:        wallet.Contact{Name: "Dr Smith", Address: address},
		Records:   []wallet.RecordPlan{{Record: wallet.Record{ID: contract.ID{0xab, 0xcd, 0xef, 0x01}, Title: "Blood \x1b[31mcount", Category: "labs", Date: "2026-05-04", Version: 2}, Whole: true}},
		Purpose:   wallet.Treatment,
		Until:     hourOf(t, "2026-12-21T22:00:00Z"),
		NotAfter:  hourOf(t, "2026-12-22T00:00:00Z"),
		Gate:      ledgerclient.Advisory,
		Warnings:  []wallet.Warning{{Kind: "unverified"}, {Kind: "self"}, {Kind: "long"}, {Kind: "overlap", Detail: strings.Repeat("ef", 32), Purpose: wallet.Treatment, Until: hourOf(t, "2026-11-24T00:00:00Z")}},
		NotBefore: hourOf(t, "2026-12-01T05:00:00Z"),
	}
	text := previewGrant(p, nil, &health.Role{}, ground{Properties: ledgerclient.Properties{Gate: p.Gate}}, 80)
	words := address.Words()
	for _, want := range []string{
		"give Dr Smith access to 1 record.", "NOT VERIFIED", strings.Join(words[:], " "), `Blood \x1b[31mcount, version 2 (labs, 2026-05-04)  abcdef01`,
		"treatment", "Tue 1 Dec 2026 05:00 UTC", "until     Mon 21 Dec 2026 22:00 UTC\n            Dr Smith's carekey keeps to it; whatever program is used,\n            keepers end it Tue 22 Dec 2026 00:00 UTC\n", "You can revoke it at any time", "gate: advisory",
		"carekey contact verify 'Dr Smith'", "your own address", "more than a year", "consent efefefef gives Dr Smith the same already,\n         for treatment until 24 Nov 2026 00:00",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("an escape sequence reaches the terminal")
	}
	for line := range strings.Lines(text) {
		if len(line) > 90 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	p.To.Verified = true
	if text := previewGrant(p, nil, &health.Role{}, ground{Properties: ledgerclient.Properties{Gate: p.Gate}}, 80); strings.Contains(text, "NOT VERIFIED") {
		t.Error("a verified contact is shown as not verified")
	}
}

// judged is a record of parts, of which those that stay have a reason.
func judged(title string, parts ...wallet.JudgedPart) wallet.RecordPlan {
	r := wallet.RecordPlan{Record: wallet.Record{ID: contract.ID{byte(len(parts))}, Title: title, Version: 1, Parts: len(parts)}, Judged: parts}
	for i := range parts {
		if parts[i].Stays == "" {
			r.Given = append(r.Given, i)
		}
	}
	return r
}

func entry(category payload.Category, says, stays string, sensitive ...health.Sensitivity) wallet.JudgedPart {
	return wallet.JudgedPart{Label: health.Label{Type: "Condition", Says: says, Category: category, Sensitive: sensitive}, Stays: stays}
}

// However much there is to say, a preview fits on a screen; what it has no room for is in
// the list, and nothing that a file says acts on the terminal.
func TestPreviewFits(t *testing.T) {
	inZone(t, "America/New_York")
	address := crypto.NewEntropy().Root().Identity().Address()
	role := health.BuiltInRoles()[3] // the longest
	unknown := entry("labs", "Form \x1b[2J17", health.WhyUnclassified)
	unknown.Unclassified = []string{"code system https://clinic.example/codes", "free text", "a kind of \x1b[0m its own"}
	text := entry("documents", "", health.WhyDocuments)
	text.Text = true
	kept := entry("documents", "", health.WhyUnclassified)
	kept.Text = true
	long := strings.Repeat("long \x1b[31mname ", 20)
	full := judged(long, entry("problems", "Asthma", ""), entry("medications", long, ""), entry("allergies", "", ""), entry("immunizations", "", ""), entry("labs", "", ""),
		entry("vitals", "", ""), entry("images", "", ""), entry("claims", "", ""), entry("demographics", "", ""), entry("other", "", "", health.Sensitivities()...),
		entry("problems", long, health.WhySensitive, health.Sensitivities()...), entry("documents", "", health.WhyDocuments), entry("labs", "", health.WhyDate),
		entry("labs", "", health.WhyWithout), entry("vitals", "", health.WhyCategory), unknown, text, kept)
	whole := wallet.RecordPlan{Record: wallet.Record{ID: contract.ID{9}, Title: long, Category: "labs", Version: 12, Whole: payload.WholeFile}, Whole: true}
	p := &wallet.GrantPlan{
		To: wallet.Contact{Name: strings.Repeat("W", 64), Address: address}, Purpose: wallet.Treatment, NotBefore: hourOf(t, "2026-12-01T05:00:00Z"),
		Until: hourOf(t, "2027-12-21T22:00:00Z"), NotAfter: hourOf(t, "2027-12-22T00:00:00Z"), Gate: ledgerclient.Advisory,
		Scope:  &payload.Scope{Role: role.Name, Beyond: true, Sensitive: []string{"hiv"}},
		Missed: []wallet.Missed{{Category: "allergies", Says: long, Why: health.WhySensitive}, {Category: "medications", Says: "lithium"}, {Category: "problems", Says: "B"}, {Category: "problems", Says: "C"}},
		Naming: &wallet.Naming{Resources: 52, Of: 59},
	}
	for _, why := range []string{wallet.WhyNotSplit, wallet.WhyEarlier, wallet.WhyMissing, health.WhyDate, health.WhyWithout, health.WhyCategory} {
		p.Left = append(p.Left, wallet.RecordPlan{Record: wallet.Record{ID: contract.ID{7}}, Why: why})
	}
	check := func(what string, most int) {
		t.Helper()
		text := cli.CleanText(previewGrant(p, nil, &role, ground{Properties: ledgerclient.Properties{Gate: p.Gate}}, 80))
		for _, columns := range []int{60, 70, 120} { // on a terminal it is broken once, where that one ends
			q := *p
			q.To.Name, q.Warnings = "Dr Smith", nil // what has no spaces goes over any end, and what is one line is broken at the end
			if narrow := previewGrant(&q, nil, &role, ground{}, columns); cli.Wrap(narrow, columns) != narrow {
				t.Errorf("%s, %d columns: broken twice:\n%s\n%s", what, columns, narrow, cli.Wrap(narrow, columns))
			}
		}
		lines := strings.Split(text, "\n")
		if len(lines) > most {
			t.Errorf("%s: %d lines:\n%s", what, len(lines), text)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 80 && !strings.Contains(line, p.To.Name) {
				t.Errorf("%s: %d columns: %s", what, utf8.RuneCountInString(line), line)
			}
		}
		for _, want := range []string{"BEYOND its bounds (at most 365 days, for treatment): ", "SENSITIVE: ", "This is not anonymous", "(here: in 52 of 59)", "are not in this grant", "NOT VERIFIED", "at any time", "18 sensitive"} {
			if want = strings.Replace(want, "18 ", fmt.Sprint(len(p.Records)-1)+" ", 1); !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				t.Errorf("%s: no %q in:\n%s", what, want, text)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Error("an escape sequence reaches the terminal")
		}
	}
	p.Records = []wallet.RecordPlan{full, whole}
	check("two records", 24)
	for range 20 {
		p.Records = append(p.Records, full)
	}
	check("many records", 24)
	p.Warnings = []wallet.Warning{{Kind: "unverified"}, {Kind: "long"}}
	check("with warnings", 24)
	// However short it is: each sensitivity that goes has its word, and a record of which
	// nobody knows what is in it is said to stay.
	p.Left = p.Left[:1]
	short := strings.Join(strings.Fields(space{80, 1, 1}.preview(p, nil, &role, ground{})), " ")
	for _, s := range health.Sensitivities() {
		if !strings.Contains(short[:strings.Index(short, "stays")], " 21 "+string(s)) {
			t.Errorf("%s goes, and is not named:\n%s", s, short)
		}
	}
	if !strings.Contains(short, "1 record of FHIR that was not") {
		t.Errorf("a record that stays is not named:\n%s", short)
	}
	all := sections(p, nil, 80)
	for _, want := range []string{"text of part 16", "  no: unclassified\n", "no: unclassified: ", "no: outside the dates", "no: left out", "no: other category", "  yes\n", "NOT ", "   1  Asthma"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in the list:\n%.3000s", want, all)
		}
	}
	for _, never := range []string{"0 of 0", ": " + wallet.WhyNotSplit, ": " + wallet.WhyEarlier, ": " + wallet.WhyMissing} {
		if strings.Contains(all, never) {
			t.Errorf("%q in the list:\n%.3000s", never, all)
		}
	}
}

// Where no key can be pressed for the rest, nothing is left out of a preview.
func TestPreviewIsWholeWithYes(t *testing.T) {
	inZone(t, "UTC")
	p := &wallet.GrantPlan{To: wallet.Contact{Name: "Dr Smith", Address: crypto.NewEntropy().Root().Identity().Address(), Verified: true}, Purpose: wallet.Treatment,
		Until: hourOf(t, "2026-12-22T00:00:00Z"), NotAfter: hourOf(t, "2026-12-22T00:00:00Z")}
	var want []string
	for i := range 30 {
		title := fmt.Sprintf("Record %02d of the ward", i)
		p.Records = append(p.Records, judged(title, entry("problems", "Asthma", "")))
		left := wallet.RecordPlan{Record: wallet.Record{ID: contract.ID{byte(100 + i)}}, Why: wallet.WhyNotSplit}
		p.Left = append(p.Left, left)
		p.Missed = append(p.Missed, wallet.Missed{Category: "medications", Says: fmt.Sprintf("medicine%02d", i)})
		want = append(want, title, short(left.ID), p.Missed[i].Says)
	}
	for _, yes := range []bool{true, false} {
		a := newApp()
		a.flags = flags{yes: yes, profile: "maria"}
		g := &grants{app: a}
		text, _ := g.asked(p, nil, &health.Role{}, ground{}, 80)
		if fits := strings.Count(text, "\n") < 24; fits == yes {
			t.Errorf("--yes %v:\n%s", yes, text)
		}
		for _, w := range want {
			if yes && !strings.Contains(text, w) {
				t.Errorf("no %q in:\n%s", w, text)
			}
		}
	}
}

// A plan in a few words: what goes, what stays and why, and what it costs.
func TestPreviewOfParts(t *testing.T) {
	inZone(t, "UTC")
	role := health.BuiltInRoles()[0]
	unknown := entry("labs", "Form 17", health.WhyUnclassified)
	unknown.Unclassified = []string{"code system https://clinic.example/codes"}
	p := &wallet.GrantPlan{
		To: wallet.Contact{Name: "Dr Smith", Address: crypto.NewEntropy().Root().Identity().Address(), Verified: true}, Purpose: wallet.Treatment,
		Until: hourOf(t, "2026-12-22T00:00:00Z"), NotAfter: hourOf(t, "2026-12-22T00:00:00Z"),
		Records: []wallet.RecordPlan{judged("Record", entry("problems", "Asthma", ""), entry("vitals", "Pulse", ""), entry("medications", "lithium", health.WhySensitive, health.MentalHealth), unknown)},
		Scope:   &payload.Scope{Role: "nurse"},
		Missed:  []wallet.Missed{{Category: "medications", Says: "lithium", Why: health.WhySensitive}},
	}
	text := cli.CleanText(previewGrant(p, nil, &role, ground{}, 80))
	for _, want := range []string{
		"You are about to give Dr Smith access to parts of 1 record.\n",
		"  role      nurse: allergies, immunizations, medications, problems, vitals;\n            nothing sensitive; at most 30 days, for treatment\n",
		"  may open  2 of 4 entries of Record, version 1  04000000\n            in it 1 problem, 1 vital sign\n",
		"  stays     1 sensitive (1 mental-health); 1 unclassified (1 whose code system\n            we do not know)\n",
		"\nwarning: lithium is not in this grant; Dr Smith cannot see its interactions",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	p.Records[0].Given, p.Records[0].Whole = nil, true
	for i := range p.Records[0].Judged {
		p.Records[0].Judged[i].Stays = ""
	}
	text = previewGrant(p, nil, &health.Role{}, ground{}, 80)
	for _, want := range []string{"access to 1 record.\n", "Record, version 1, WHOLE  04", "SENSITIVE: 1 mental-health\n", "NOT UNDERSTOOD: 1 whose code"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// Of many records that stay for one reason a plan has one warning, so that they hide no
// other.
func TestWarningsTogether(t *testing.T) {
	var ws []batch.Warning
	for i := range 2 * shownPeople {
		ws = append(ws, batch.Warning{Kind: wallet.WhyNotSplit, Other: fmt.Sprintf("%08x", i), Line: 2, Count: 2})
	}
	ws = append(ws, batch.Warning{Kind: wallet.WhyNotSplit, Other: "ffffffff", Line: 3, Count: 1}, batch.Warning{Kind: "unclassified", Other: "1", Line: 3, Count: 1},
		batch.Warning{Kind: "missed", Other: "lithium", Line: 3, Count: 1}, batch.Warning{Kind: "missed", Other: "insulin", Line: 3, Count: 1})
	text := batchPreview(&batch.Plan{Warnings: ws}, ground{})
	_, got, _ := strings.Cut(text, "warning: ")
	want := fmt.Sprintf(`kept back, since what was not split may hold anything: records 00000000, 00000001, 00000002 and %d more (line 2 and 1 more)
warning: kept back, since what was not split may hold anything: record ffffffff (line 3)
warning: kept back, since carekey does not understand all of it: 1 entry (line 3)
warning: not given, and may matter to who treats you: lithium (line 3)
warning: not given, and may matter to who treats you: insulin (line 3)`, 2*shownPeople-3)
	if got != want {
		t.Errorf("%s\nand not\n%s", got, want)
	}
}

// Two ends of a consent are two lines; on a narrow terminal the second breaks where it is full.
func TestUntilText(t *testing.T) {
	inZone(t, "UTC")
	own, ledger := hourOf(t, "2026-12-21T22:00:00Z"), hourOf(t, "2026-12-22T00:00:00Z")
	for columns, want := range map[int]string{
		80: "Mon 21 Dec 2026 22:00 UTC\nher carekey keeps to it; whatever program is used,\nkeepers end it Tue 22 Dec 2026 00:00 UTC",
		60: "Mon 21 Dec 2026 22:00 UTC\nher carekey keeps to it; whatever program is used, keepers end it Tue 22 Dec 2026 00:00 UTC",
	} {
		if got := untilText(own, ledger, "her carekey keeps to it", columns); got != want {
			t.Errorf("%d columns: %q", columns, got)
		}
		if got := untilText(own, own, "her carekey keeps to it", columns); got != "Mon 21 Dec 2026 22:00 UTC" {
			t.Errorf("%d columns, one end: %q", columns, got)
		}
	}
}

// Every kind of what the tables do not understand has a sentence for a person.
func TestUnknownText(t *testing.T) {
	for kind, want := range map[string]string{
		"code system urn:x": "whose code system we do not know", "LOINC code without a name": "with a code that no table knows, and no name", "free text": "with free text",
		"something new": "not understood (something new)", "extension https://x.example/a": "with an extension that we do not know",
	} {
		if got := unknownText(kind); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// Threat: a file with a reason of its own in each entry asks until a person says yes to all. A
// kind is asked about once, and the rarest kinds together; all of them are asked about.
func TestDoubtsAreFew(t *testing.T) {
	for kinds, want := range map[int]int{0: 0, 1: 1, mostAsked: mostAsked, mostAsked + 1: mostAsked, 300: mostAsked} {
		r := wallet.RecordPlan{}
		add := func(unknown ...string) {
			r.Judged = append(r.Judged, wallet.JudgedPart{Label: health.Label{Unclassified: unknown}, Stays: health.WhyUnclassified})
		}
		for i := range kinds {
			for range 300 - i {
				add(fmt.Sprintf("kind %d", i))
			}
			add(fmt.Sprintf("kind %d", i), "kind 0")
		}
		all := doubts(&wallet.GrantPlan{Records: []wallet.RecordPlan{r}})
		if len(all) != want {
			t.Errorf("%d kinds: %d questions", kinds, len(all))
		}
		for i := range r.Judged {
			if !slices.ContainsFunc(all, func(d doubt) bool { return d.holds(&r.Judged[i]) }) {
				t.Fatalf("%d kinds: nobody asks about %q", kinds, r.Judged[i].Unclassified)
			}
		}
		if kinds > mostAsked {
			n := 0
			for i := mostAsked - 1; i < kinds; i++ {
				n += 301 - i
			}
			if last := all[mostAsked-1]; last.number != n || last.text != fmt.Sprintf("not understood for %d other reasons", kinds-mostAsked+1) {
				t.Errorf("%d kinds: %d entries %s, not %d", kinds, last.number, last.text, n)
			}
		}
	}
	r := wallet.RecordPlan{Judged: []wallet.JudgedPart{{Label: health.Label{Unclassified: []string{"extension https://x.example/a", "extension https://x.example/b"}}, Stays: health.WhyUnclassified}}}
	if all := doubts(&wallet.GrantPlan{Records: []wallet.RecordPlan{r}}); len(all) != 1 || all[0].number != 1 {
		t.Errorf("extensions: %+v", all)
	}
}

func TestTextOnly(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
		err  error
	}{
		{"plain\n", "plain\n", nil},
		{"Αιμοσφαιρίνη", "Αιμοσφαιρίνη", nil},
		{"bell \x07", `bell \x07`, nil},
		{"\x89PNG\r\n", "", errBinary},
		{"zero \x00", "", errBinary},
	} {
		var b bytes.Buffer
		w := &textOnly{w: cli.NewCleanWriter(&b)}
		_, err := w.Write([]byte(c.in))
		if !errors.Is(err, c.err) || b.String() != c.want {
			t.Errorf("%q: %q, %v", c.in, b.String(), err)
		}
	}
	// A character that is cut in two by the reader's buffer is no reason to refuse.
	var b bytes.Buffer
	w := &textOnly{w: cli.NewCleanWriter(&b)}
	if _, err := w.Write([]byte("Α")[:1]); err == nil {
		t.Log("half a character alone is taken for text")
	}
	w = &textOnly{w: cli.NewCleanWriter(&b)}
	_, err1 := w.Write([]byte("xΑ")[:2])
	_, err2 := w.Write([]byte("xΑ")[2:])
	if err1 != nil || err2 != nil || b.String() != "xΑ" {
		t.Errorf("%q, %v, %v", b.String(), err1, err2)
	}
}

func TestProgressBar(t *testing.T) {
	var b bytes.Buffer
	p := &bar{out: &b, what: "encrypting", total: 200, at: -1}
	for _, n := range []int64{0, 1, 2, 100, 200, 250} {
		p.step(n)
	}
	p.end()
	if s := b.String(); strings.Count(s, "%") != 4 || !strings.Contains(s, "[###############---------------]  50%") || strings.Contains(s, "\n") {
		t.Errorf("%q", s)
	}
	a := &app{console: console{err: os.Stderr, flags: flags{quiet: true}}}
	if step, _ := a.progress("encrypting", 1<<30); step != nil {
		t.Error("a bar although it is to be quiet")
	}
}

// Threat: a sender writes lines of his own into what a recipient is told, by a title
// with a line break in it.
func TestQuotedStaysInItsLine(t *testing.T) {
	for _, s := range []string{"a\"\nVerified, and signed by St Mary.", "a\r\nb", "a\u2028b", "a\x1b[1A", "a\u0085b"} {
		if q := quoted(s); strings.ContainsAny(q, "\n\r\u2028\u0085\x1b") || !strings.HasPrefix(q, `"a`) || !strings.HasSuffix(q, `"`) {
			t.Errorf("%q", q)
		}
	}
}

// What a stranger calls himself never stands without the words that say so, and never
// says anything else than a name.
func TestStrangersSayTheirNames(t *testing.T) {
	address := crypto.NewEntropy().Root().Identity().Address()
	for says, want := range map[string]string{
		"Maria":                   "Maria",
		"  Maria \u00a0\t Rossi ": `Maria \t Rossi`,
		"Dr Smith" + strings.Repeat(" ", 200) + ".": "Dr Smith .",
		"\x1b[2K\u202eairaM\nVerified":              `\x1b[2K\u202eairaM\nVerified`,
		strings.Repeat("\U0001f9ea", 64):            strings.Repeat("\U0001f9ea", 40) + "...",
	} {
		got := sender(wallet.Received{Says: says, Seen: wallet.Seen{Address: address}})
		if got != want+" (says so; not verified)" {
			t.Errorf("%q is shown as %q", says, got)
		}
		if got := sender(wallet.Received{From: "Leo", Says: says, Seen: wallet.Seen{Address: address}}); got != "Leo" {
			t.Errorf("a contact that says %q is shown as %q", says, got)
		}
	}
	for _, says := range []string{"", " \u3000"} {
		if got := sender(wallet.Received{Says: says, Seen: wallet.Seen{Address: address}}); !strings.HasPrefix(got, "unknown carekey1") {
			t.Errorf("%q is shown as %q", says, got)
		}
	}
}

// What a restore says beforehand is rounded up, fits 80 columns, and leaves out what is
// over before it is read.
func TestReadingText(t *testing.T) {
	for _, test := range []struct {
		entries uint64
		most    time.Duration
		remote  bool
		want    string
	}{
		{1, time.Millisecond, false, ""},
		{6000, 1999 * time.Millisecond, true, ""},
		{60_800, 8100 * time.Millisecond, false, "The ledger has 60,800 entries to read: up to 9 seconds on this computer."},
		{1_000_000, 2 * time.Minute, false, "The ledger has 1,000,000 entries to read: up to 2 minutes on this computer."},
		{1_000_000, 2*time.Minute + 1, true, "The ledger has 1,000,000 entries to read: up to 3 minutes on this computer,\nand the time that the network takes to bring them."},
		{100_000_000, 4*time.Hour + 1, false, "The ledger has 100,000,000 entries to read: up to 5 hours on this computer."},
	} {
		got := readingText(test.entries, test.most, test.remote)
		if got != test.want {
			t.Errorf("%d entries in %v: %q", test.entries, test.most, got)
		}
		for line := range strings.Lines(got) {
			if len(line) > 80 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
	}
}
