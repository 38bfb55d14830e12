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
// characters. Judged are allocations, which no load changes; how long a row takes is a
// benchmark.
func TestRowsCostLittle(t *testing.T) {
	for _, l := range longLists(t) {
		write := func() {
			if err := l.write(); err != nil {
				t.Fatal(err)
			}
		}
		a := testing.AllocsPerRun(3, write) / longList
		t.Logf("%s: %.1f allocations a row", l.name, a)
		if a > 30 {
			t.Errorf("%s: %.1f allocations a row, at most 30", l.name, a)
		}
	}
}

// BenchmarkBudgetRow prints how long a row of each list takes, and how many times what fmt
// takes for the same line of ASCII. It was 63 to 81 µs, 150 to 200 times.
func BenchmarkBudgetRow(b *testing.B) {
	cells := []any{8, short(contract.ID{}), 20, "Dr Smith", 48, "Laboratory of November, Laboratory of November (version 2)", 9, "(none)", 17, day(contract.Hour(500_000)), 6, "active", 24, "3 times, last " + day(contract.Hour(499_000))}
	format := strings.Repeat("%-*s  ", len(cells)/2) + "\n"
	plain := func() error {
		for range longList {
			fmt.Fprintf(io.Discard, format, cells...)
		}
		return nil
	}
	best := func(f func() error) time.Duration { // whatever else runs only slows
		d := time.Hour
		for range 15 {
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			d = min(d, time.Since(start))
		}
		return d
	}
	for _, l := range longLists(b) {
		b.Run(l.name, func(b *testing.B) {
			for range b.N {
				ours := best(l.write)
				b.ReportMetric(float64(ours.Nanoseconds())/1000/longList, "µs/row")
				b.ReportMetric(float64(ours)/float64(best(plain)), "times-fmt")
			}
		})
	}
}

const longList = 200 // rows

type written struct {
	name  string
	write func() error
}

// longLists are the lists of people and titles in several scripts.
func longLists(t testing.TB) (all []written) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	a := &session{app: &app{console: console{out: null}}}
	for _, of := range []struct{ name, title string }{{"Dr Smith", "Laboratory of November"}, {"Ελένη Παπαδοπούλου", "Εργαστήριο Νοεμβρίου"}, {"山田太郎", "血液検査"}} {
		records := []wallet.ConsentRecord{{Title: of.title, Version: 1}, {Title: of.title, Version: 2}}
		c := wallet.Consent{To: of.name, Seen: wallet.Seen{Records: records, Status: wallet.StatusActive, Until: 500_000, NotAfter: 500_000}, Openings: 3, LastOpened: 499_000}
		r := wallet.Received{From: of.name, Seen: wallet.Seen{Records: records, Status: wallet.StatusActive, Until: 500_000}, Fetched: 1, LastFetched: 499_000}
		e := wallet.Event{Who: of.name, Records: records, What: wallet.Opened, HasReason: true, Reason: of.title, Hour: 499_000, Verified: true}
		all = append(all,
			written{"consents of " + of.name, func() error { return consents{a}.table(repeated(c, longList)) }},
			written{"inbox of " + of.name, func() error { return inbox{a}.table(repeated(r, longList)) }},
			written{"audit of " + of.name, func() error { return events{a}.table(repeated(e, longList)) }})
	}
	return all
}

func repeated[A any](x A, n int) []A {
	out := make([]A, n)
	for i := range out {
		out[i] = x
	}
	return out
}
