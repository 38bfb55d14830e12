package main

import (
	"bytes"
	"encoding/base64"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

const someLink = "https://ledger.example/view#shlink:/eyJ1cmwiOiJodHRwczovL2V4YW1wbGUub3JnL3MvQSIsImtleSI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYR0JrYUd4d2RIaDgifQ"

// Promise: what is said of a link before it is signed, in its help and on paper is no more
// than what holds: whoever has it opens it, and its node can go on giving what is in it.
func TestLinkWords(t *testing.T) {
	p := &wallet.GrantPlan{Records: []wallet.RecordPlan{{Record: wallet.Record{Title: "Labs", Version: 1, Category: "labs"}, Whole: true}},
		Purpose: payload.Treatment, Until: 479_990, NotAfter: 480_000, Gate: ledgerclient.Enforced}
	for _, columns := range []int{40, 80, 120} {
		text := previewGrant(p, &wallet.LinkPlan{GrantPlan: p, Openings: 3, Passcode: true}, &health.Role{}, ground{Properties: ledgerclient.Properties{Gate: p.Gate}}, columns)
		if cli.Wrap(text, columns) != text {
			t.Errorf("more than %d columns:\n%s", columns, text)
		}
		for _, want := range []string{"WHOEVER HAS THE LINK and its passcode: ", "Whoever has the link and its passcode can open it", "is not checked", "3 times", "with a passcode", "as far as it keeps the rules", "without an entry", "after a revocation", "follows no change of a record", "You can revoke it", "its node keeps to it; the ledger shows"} {
			if !strings.Contains(plain(text), want) {
				t.Errorf("%d columns: %q is not in\n%s", columns, want, text)
			}
		}
		if strings.Contains(text, "NOT VERIFIED") || strings.Contains(text, "carekey keeps to it") || strings.Contains(text, "keepers end it") {
			t.Errorf("words of a consent for somebody:\n%s", text)
		}
	}
	if help := plain(linking{newApp()}.newCreate().Long); !strings.Contains(help, linkHolds) || !strings.Contains(help, "takes a private window") {
		t.Errorf("not in the help: %s", help)
	}
	for _, text := range []string{linkHolds, linkOpens{10, true, false}.emergency(), linkOpens{1, true, true}.emergency(), linkOpens{1, true, true}.holds()} {
		if m := unfounded.FindString(text); m != "" {
			t.Errorf("%q promises: %s", m, text)
		}
	}
}

// Of a link that is over before the ledger shows it no keeper is said to end it later.
func TestExplainLinkThatIsOver(t *testing.T) {
	c := wallet.Consent{Link: true, Over: true, Seen: wallet.Seen{Until: 479_990, NotAfter: 480_000, Status: wallet.StatusActive}}
	if text := checkText(wallet.Check{Name: "ended", Hour: 479_990}, &c); strings.Contains(text, "keepers") || !strings.Contains(text, "it has ended") {
		t.Error(text)
	}
	if text := statusText(c, dates{}); text != "over" {
		t.Error(text)
	}
	c.Over, c.Unsaid = false, ledgerclient.ErrNewerAnswer.With("version", 3)
	if text := statusText(c, dates{}); text != "not known: its node is of a newer carekey" {
		t.Error(text)
	}
	c.Over, c.Unsaid = true, nil
	if c.Link = false; !strings.Contains(checkText(wallet.Check{Name: "ended", Hour: 479_990}, &c), "keepers end it") {
		t.Error("of a consent for somebody they do")
	}
}

// Of a link the ledger has an entry an hour, which is no count of openings.
func TestOpeningsOfLink(t *testing.T) {
	c := wallet.Consent{Link: true, Openings: 1}
	if text := openingsText(c, "today"); strings.Contains(text, "once, today") || !strings.Contains(text, "in 1 hour at least once, last today") {
		t.Error(text)
	}
	if c.Openings = 0; !strings.Contains(openingsText(c, ""), "as far as is known") {
		t.Error("of none it is said for sure")
	}
	if c.Link, c.Openings = false, 1; openingsText(c, "today") != "once, today" {
		t.Error("of a consent for somebody it is a count")
	}
}

// A sheet is whole: its picture is the link, nothing in it is loaded or run, and what is put
// into it is text.
func TestLinkSheet(t *testing.T) {
	s := wallet.Shown{}
	s.Granted, s.Until = 480_000, 480_000+180*24
	b, err := linkSheet(someLink, s, linkOpens{openings: 3}, `<b onload="x">`, "City & <ledger>")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	m := regexp.MustCompile(`src="data:image/png;base64,([^"]+)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatal("no picture")
	}
	picture, err := base64.StdEncoding.DecodeString(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := qr.Read(bytes.NewReader(picture)); err != nil || len(got) != 1 || got[0] != someLink {
		t.Errorf("%q, %v", got, err)
	}
	if strings.Contains(page, "<b onload") || strings.Contains(page, "<ledger>") {
		t.Error("what is put in is no text")
	}
	if other := regexp.MustCompile(`(?i)<script|<link|<iframe|<form|@import|url\(|(src|href)="(http|//|data:text)`).FindString(page); other != "" {
		t.Errorf("it holds %q", other)
	}
	said := html.UnescapeString(page)
	for _, want := range []string{someLink, "as far as it keeps the rules", "after a revocation", "Whoever finds this sheet", "in a private window", "as it was on 2024-10-04, and does not show what changed since", "made 2024-10-04"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not on it", want)
		}
	}
	if b, err := linkSheet(someLink[strings.Index(someLink, "shlink"):], s, linkOpens{openings: 3}, "", "City"); err != nil || !bytes.Contains(b, []byte("a viewer of SMART Health Links")) || bytes.Contains(b, []byte("private window")) {
		t.Errorf("%s, %v", b, err)
	}
}

// Promise: the words promise no more than is enforced. A sheet, and the question before it is
// made, say what a link is: counted in all or by the day, with a passcode or without, whatever
// its length.
func TestLinkSheetSaysWhatItIs(t *testing.T) {
	finds, coded, daily, code := "Whoever finds this sheet", "and the passcode can open it", "promises less than a consent", "passcode is not on this sheet"
	for _, c := range []struct {
		opens     linkOpens
		often     string
		says, not []string
	}{
		{linkOpens{openings: 3}, "opened 3 times in all, until", []string{finds}, []string{"passcode", daily, "a day"}},
		{linkOpens{openings: 1}, "opened 1 time in all, until", []string{finds}, []string{"passcode", daily, "a day"}},
		{linkOpens{openings: 3, passcode: true}, "opened 3 times in all, until", []string{coded, code, "the link and its passcode can open"}, []string{finds, daily, "a day"}},
		{linkOpens{openings: 10, daily: true}, "opened up to 10 times a day (UTC), until", []string{finds, daily}, []string{"passcode", "in all", "each day"}},
		{linkOpens{openings: 10, daily: true, passcode: true}, "opened up to 10 times a day (UTC), until", []string{coded, code, daily}, []string{finds, "in all"}},
		{linkOpens{passcode: true}, "as often as was chosen", []string{coded, code}, []string{finds, "0 times"}},
	} {
		var last string
		for _, days := range []wallet.Hour{1, 40, 180} {
			s := wallet.Shown{}
			s.Granted, s.Until = 480_000, 480_000+days*24
			b, err := linkSheet(someLink, s, c.opens, "", "City")
			if err != nil {
				t.Fatal(err)
			}
			said := html.UnescapeString(regexp.MustCompile(`src="[^"]*"`).ReplaceAllString(string(b), ""))
			for _, want := range append(c.says, c.often) {
				if !strings.Contains(said, want) {
					t.Errorf("%+v, %d days: %q is not on\n%s", c.opens, days, want, said)
				}
			}
			for _, not := range c.not {
				if strings.Contains(said, not) {
					t.Errorf("%+v, %d days: %q is on\n%s", c.opens, days, not, said)
				}
			}
			said = strings.ReplaceAll(said, html.EscapeString(cli.Clean(both(s.Until))), "")
			if last != "" && said != last {
				t.Errorf("%+v: %d days say something else:\n%s\n%s", c.opens, days, said, last)
			}
			last = said
		}
	}
	if text := (linkOpens{10, true, true}).emergency(); !strings.Contains(text, "and has its passcode, reads") || strings.Contains(text, "months") {
		t.Error(text)
	}
}

// Promise: nothing half-done. A link that was made and could not be written is named, with how
// to have it again.
func TestLinkNotWritten(t *testing.T) {
	dir := t.TempDir()
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	a := newApp()
	a.err = said
	x := &links{grants: grants{app: a}, file: filepath.Join(dir, "card.html")}
	err = x.handOut(&wallet.LinkPlan{GrantPlan: &wallet.GrantPlan{}}, func() (s wallet.Shown, ledger string, err error) {
		// Somebody else's file is there meanwhile.
		s.ID, s.Text, s.Viewer = contract.ID{0xab, 0xcd, 0xef}, someLink[strings.Index(someLink, "shlink"):], "https://ledger.example/view"
		return s, "City", os.WriteFile(x.file, []byte("other"), 0o600)
	})
	if _, there := fault.As(err, wallet.ErrFileExists); !there {
		t.Error(err)
	}
	text, err := os.ReadFile(said.Name())
	if want := "Made: consent abcdef00. It was not written: carekey link show abcdef00 -o FILE\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v", text, err)
	}
	if b, err := os.ReadFile(x.file); err != nil || string(b) != "other" {
		t.Errorf("%q, %v", b, err)
	}
}
