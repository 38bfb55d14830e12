package wallet

import (
	"archive/zip"
	"go/build"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones below are there on every machine

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Ends are the days' of who chooses them, and on the ledger a midnight of UTC, which
// tells neither the time zone nor the hour of signing.
func TestWindowEnds(t *testing.T) {
	type read = func(string, time.Time) (contract.Hour, error)
	for _, tt := range []struct {
		zone, now   string
		read        read
		text        string
		want, onLog string // UTC; why there is none, if it is no time
	}{
		{"Europe/Athens", "2026-11-21T15:30", EndAfter, "12h", "2026-11-22T02:00", "2026-11-22T02:00"},
		{"Europe/Athens", "2026-11-21T15:30", EndAfter, " 12h\u200b", "2026-11-22T02:00", "2026-11-22T02:00"},
		{"Europe/Athens", "2026-11-21T15:00", EndAfter, "1h", "2026-11-21T14:00", "2026-11-21T14:00"},
		{"Europe/Athens", "2026-11-21T15:30", EndAfter, "30d", "2026-12-21T22:00", "2026-12-22T00:00"},
		{"Europe/Athens", "2026-11-21T15:30", EndAfter, "6w", "2027-01-02T22:00", "2027-01-03T00:00"},
		{"UTC", "2026-11-21T15:30", EndAfter, "1d", "2026-11-23T00:00", "2026-11-23T00:00"},
		{"UTC", "2026-11-21T15:30", EndAfter, "\u200e1d", "2026-11-23T00:00", "2026-11-23T00:00"},
		{"UTC", "2026-11-21T15:30", EndAfter, "0d", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "-1d", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "3m", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "d", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "100001w", "not a duration", ""},
		{"UTC", "2026-11-21T15:30", EndAfter, "100000d", "2300-09-07T00:00", "2300-09-07T00:00"},

		{"UTC", "2026-11-21T15:30", EndOfDay, "2026-12-31", "2027-01-01T00:00", "2027-01-01T00:00"},
		{"UTC", "2026-11-21T15:30", EndOfDay, " 2026-12-\u00ad31\u200e ", "2027-01-01T00:00", "2027-01-01T00:00"},
		{"Pacific/Apia", "2026-11-21T15:30", EndOfDay, "2026-12-31", "2026-12-31T11:00", "2027-01-01T00:00"},
		{"America/New_York", "2026-11-21T15:30", EndOfDay, "2026-12-24", "2026-12-25T05:00", "2026-12-26T00:00"},
		{"Asia/Kathmandu", "2026-11-21T15:30", EndOfDay, "2026-12-24", "2026-12-24T18:00", "2026-12-25T00:00"}, // 18:15
		{"Asia/Kathmandu", "2026-11-21T23:50", EndOfDay, "2026-11-21", "less than an hour left", ""},
		{"UTC", "2026-11-21T15:30", EndOfDay, "2026-11-21", "2026-11-22T00:00", "2026-11-22T00:00"},
		{"UTC", "2026-11-21T15:30", EndOfDay, "2026-11-20", "in the past", ""},
		{"UTC", "2026-11-21T15:30", EndOfDay, "31.12.2026", "not a date like", ""},
		{"UTC", "2026-11-21T15:30", EndOfDay, "2027-02-29", "no such day", ""},
		// A day that ends in the middle of the night, and days of 23 and 25 hours.
		{"Atlantic/Azores", "2026-11-21T15:30", EndOfDay, "2027-03-27", "2027-03-28T01:00", "2027-03-29T00:00"},
		{"America/Santiago", "2026-11-21T15:30", EndOfDay, "2027-09-04", "2027-09-05T04:00", "2027-09-06T00:00"},
		{"America/Santiago", "2026-11-21T15:30", EndOfDay, "2027-04-03", "2027-04-04T04:00", "2027-04-05T00:00"}, // its last hour comes twice
		{"Australia/Lord_Howe", "2026-11-21T15:30", EndOfDay, "2027-04-04", "2027-04-04T13:00", "2027-04-05T00:00"},
		{"Africa/Cairo", "2026-11-21T15:30", EndOfDay, "2027-04-29", "2027-04-29T22:00", "2027-04-30T00:00"},
		// 30 December 2011 was no day in Samoa.
		{"Pacific/Apia", "2011-12-01T12:00", EndOfDay, "2011-12-30", "left this day out", ""},
		{"Pacific/Apia", "2011-12-01T12:00", EndOfDay, "2011-12-29", "2011-12-30T10:00", "2011-12-31T00:00"},
		{"Pacific/Apia", "2011-12-01T12:00", EndAfter, "29d", "2011-12-30T10:00", "2011-12-31T00:00"},

		{"Europe/Athens", "2026-11-21T15:30", BeginningOfDay, "2026-12-01", "2026-11-30T22:00", ""},
		{"Europe/Athens", "2026-11-21T15:30", BeginningOfDay, "2026-11-21", "1970-01-01T00:00", ""},
		{"Europe/Athens", "2026-11-21T00:00", BeginningOfDay, "2026-11-21", "1970-01-01T00:00", ""},
		{"Europe/Athens", "2026-11-21T15:30", BeginningOfDay, "2026-11-20", "has passed", ""},
		{"Europe/Athens", "2026-11-21T15:30", BeginningOfDay, "2024-01-01", "has passed", ""},
		{"America/Santiago", "2026-11-21T15:30", BeginningOfDay, "2027-09-05", "2027-09-05T04:00", ""},
		{"Asia/Beirut", "2026-11-21T15:30", BeginningOfDay, "2027-03-28", "2027-03-27T22:00", ""},
		{"Asia/Kathmandu", "2026-11-21T15:30", BeginningOfDay, "2026-12-24", "2026-12-23T19:00", ""}, // 18:15
		{"Pacific/Apia", "2011-12-01T12:00", BeginningOfDay, "2011-12-30", "left this day out", ""},
		{"Pacific/Apia", "2011-12-01T12:00", BeginningOfDay, "2011-12-31", "2011-12-30T10:00", ""},
	} {
		now, err := time.ParseInLocation("2006-01-02T15:04", tt.now, zone(t, tt.zone))
		if err != nil {
			t.Fatal(err)
		}
		const layout = "2006-01-02T15:04"
		h, err := tt.read(tt.text, now)
		if _, none := time.Parse(layout, tt.want); none != nil {
			if input, _ := fault.As(err, ErrInput); !strings.Contains(fault.Get[string](input, "why"), tt.want) {
				t.Errorf("%s %s: %v, %v; want %s", tt.zone, tt.text, HourTime(h), err, tt.want)
			}
			continue
		}
		if err != nil || HourTime(h).Format(layout) != tt.want {
			t.Errorf("%s %s: %s, %v; want %s", tt.zone, tt.text, HourTime(h).Format(layout), err, tt.want)
		}
		end := LedgerEnd(h)
		if InHours(tt.text) {
			end = h
		}
		if got := HourTime(end).Format(layout); tt.onLog != "" && got != tt.onLog {
			t.Errorf("%s %s: %s on the ledger, want %s", tt.zone, tt.text, got, tt.onLog)
		}
	}
}

// zones are those of the time zone database that comes with Go, or, where that is not
// there, some with every peculiarity.
func zones(t *testing.T) []string {
	some := []string{"UTC", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "Atlantic/Azores", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
		"America/Havana", "America/St_Johns", "Antarctica/Troll", "Africa/Casablanca", "Pacific/Kwajalein", "America/Asuncion", "Asia/Tehran"}
	z, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Logf("%d zones: %v", len(some), err)
		return some
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") {
			some = append(some, f.Name)
		}
	}
	return some
}

// For every time zone and day: the first instant that a window lasts is the first
// instant of the day, and the last is its last, to the hour.
func TestDaysOfEveryZone(t *testing.T) {
	step := lane.Pick[time.Duration](1, 29, 61) // days, beside those around a change of the clocks
	days := 0
	for n, name := range zones(t) {
		in := zone(t, name)
		for _, year := range []int{1993, 1994, 1995, 2011, 2024, 2027} {
			at := map[time.Time]bool{}
			from := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
			for d := from.AddDate(0, 0, n%7); d.Year() == year; d = d.Add(step * 24 * time.Hour) {
				at[d] = true
			}
			// And the days around each change of the clocks.
			for x := from.In(in); x.Year() <= year; {
				_, next := x.ZoneBounds()
				if next.IsZero() || next.Year() > year+1 {
					break
				}
				for off := -1; off <= 1; off++ {
					y, m, d := next.In(in).AddDate(0, 0, off).Date()
					at[time.Date(y, m, d, 0, 0, 0, 0, time.UTC)] = true
				}
				x = next
			}
			for day := range at {
				days++
				begin, end, ok := boundsOfDay(day, in)
				checkDay(t, name, day, begin, end, ok)
			}
		}
	}
	t.Logf("%d days", days)
}

// checkDay compares with what a clock on the wall shows.
func checkDay(t *testing.T, zone string, day, begin, end time.Time, ok bool) {
	t.Helper()
	shows := func(x time.Time) int { // before, on or after the day
		y, m, d := x.In(begin.Location()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Compare(day)
	}
	why := ""
	switch {
	case !ok && (!begin.Equal(end) || shows(begin.Add(-1)) >= 0 || shows(begin) <= 0):
		why = "is said to be left out"
	case ok && (shows(begin) != 0 || shows(end.Add(-1)) != 0):
		why = "is not that day"
	case ok && (shows(begin.Add(-1)) >= 0 || shows(end) <= 0):
		why = "does not begin or end there"
	}
	// No instant of the day lies outside: a clock may go back over midnight.
	for x := time.Duration(1); x <= 30 && why == "" && ok; x++ {
		if d := x * 6 * time.Minute; shows(begin.Add(-d)) == 0 || shows(end.Add(d)) == 0 {
			why = "is longer"
		}
	}
	if why != "" {
		t.Errorf("%s, %s: %s to %s: %s", zone, day.Format("2006-01-02"), begin, end, why)
	}
}

// A file of a batch has two days a row: the end of one costs no more than its text read
// some times over.
func TestDaysAreCheap(t *testing.T) {
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, zone(t, "Europe/Athens"))
	best := func(f func() error) time.Duration {
		least := time.Duration(1 << 62)
		for range 50 {
			began := time.Now()
			for range 20 {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	text := best(func() error { _, err := time.Parse(time.DateOnly, "2030-12-31"); return err })
	day := best(func() error { _, err := EndOfDay("2030-12-31", now); return err })
	if ratio := day / text; ratio > 100 {
		t.Errorf("a day costs %d times its text", ratio)
	} else {
		t.Logf("a day costs %d times its text", ratio)
	}
}
