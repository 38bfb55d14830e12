package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// A list is as long as a life's consents, so a row of one costs little more than its
// characters: here at most 12 times what fmt takes for the same line, and 45 times
// in a script whose characters have to be looked for. It was 150 to 200 times.
func TestRowsCostLittle(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a := &session{app: &app{console: console{out: null}}}
	const rows, rounds = 200, 15
	for _, of := range []struct {
		name, title string
		most        float64
	}{{"Dr Smith", "Laboratory of November", 12}, {"Ελένη Παπαδοπούλου", "Εργαστήριο Νοεμβρίου", 45}, {"山田太郎", "血液検査", 45}} {
		records := []wallet.ConsentRecord{{Title: of.title, Version: 1}, {Title: of.title, Version: 2}}
		c := wallet.Consent{To: of.name, Seen: wallet.Seen{Records: records, Status: wallet.StatusActive, Until: 500_000, NotAfter: 500_000}, Openings: 3, LastOpened: 499_000}
		r := wallet.Received{From: of.name, Seen: wallet.Seen{Records: records, Status: wallet.StatusActive, Until: 500_000}, Fetched: 1, LastFetched: 499_000}
		e := wallet.Event{Who: of.name, Records: records, What: wallet.Opened, HasReason: true, Reason: of.title, Hour: 499_000, Verified: true}
		repeat := func(f func() error) time.Duration {
			start := time.Now()
			if err := f(); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		cells := []any{8, short(contract.ID{}), 20, of.name, 48, titles(records), 9, "(none)", 17, day(c.Until), 6, "active", 24, "3 times, last " + day(c.LastOpened)}
		format := strings.Repeat("%-*s  ", len(cells)/2) + "\n"
		line := func() error {
			for range rows {
				fmt.Fprintf(io.Discard, format, cells...)
			}
			return nil
		}
		for list, f := range map[string]func() error{
			"consents": func() error { return consents{a}.table(repeated(c, rows)) },
			"inbox":    func() error { return inbox{a}.table(repeated(r, rows)) },
			"audit":    func() error { return events{a}.table(repeated(e, rows)) },
		} {
			ours, theirs := time.Hour, time.Hour // the best of each: whatever else runs only slows
			for range rounds {
				ours, theirs = min(ours, repeat(f)), min(theirs, repeat(line))
			}
			ratio := float64(ours) / float64(theirs)
			t.Logf("%s of %s: %s a row, %.1f times", list, of.name, ours/rows, ratio)
			if ratio > of.most {
				t.Errorf("%s of %s: a row costs %.1f times as much as with fmt, at most %.0f", list, of.name, ratio, of.most)
			}
		}
	}
}

func repeated[A any](x A, n int) []A {
	out := make([]A, n)
	for i := range out {
		out[i] = x
	}
	return out
}
