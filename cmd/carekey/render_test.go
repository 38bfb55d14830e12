package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
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
	text := previewGrant(p, ground{Properties: ledgerclient.Properties{Gate: p.Gate}})
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
	if text := previewGrant(p, ground{Properties: ledgerclient.Properties{Gate: p.Gate}}); strings.Contains(text, "NOT VERIFIED") {
		t.Error("a verified contact is shown as not verified")
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
