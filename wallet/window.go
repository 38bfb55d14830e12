package wallet

import (
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A consent has two ends. The exact one is what a person chose: the end of a day in her
// own time zone, or a number of hours from now; it is a full hour of UTC, never after the
// end of that day, stands in the terms, and the recipient's wallet keeps to it. The
// ledger's, to which ledger and keepers hold everybody, is the first 00:00 UTC at or after
// it, since everybody sees it: so neither the time zone nor the hour of signing shows. An
// end given in hours is the same on both, but of a link, whose node keeps to the exact one.
//
// When a day begins and ends is looked for in the time zone: there are days without
// midnight, with two, with 23 or 25 hours, and days that a zone left out.

// EndAfter reads a duration like 12h, 30d or 6w and returns the exact end: the first full
// hour at or after so many hours, or the end of the local day so many days from now.
func EndAfter(s string, now time.Time) (contract.Hour, error) {
	bad := func() (contract.Hour, error) {
		return 0, badInput("for", s, "not a duration like 12h, 30d or 6w")
	}
	t := cleanLength(s)
	if t == "" {
		return bad()
	}
	n, err := strconv.Atoi(t[:len(t)-1])
	if err != nil || n < 1 || n > 100_000 {
		return bad()
	}
	switch t[len(t)-1] {
	case 'h':
		return fullHour(now.Add(time.Duration(n)*time.Hour + time.Hour - 1))
	case 'w':
		n *= 7
	case 'd':
	default:
		return bad()
	}
	year, month, day := now.Date()
	_, end, _ := boundsOfDay(time.Date(year, month, day+n, 0, 0, 0, 0, time.UTC), now.Location())
	return fullHour(end)
}

// InHours reports whether what EndAfter reads is a number of hours: then the end on the
// ledger is the exact one.
func InHours(s string) bool { return strings.HasSuffix(cleanLength(s), "h") }

func cleanLength(s string) string { return text.Visible(strings.TrimSpace(s)) }

// EndOfDay reads a date like 2026-12-31 and returns the exact end: the last full hour
// that is not after the end of that day in the local time of now's location.
func EndOfDay(s string, now time.Time) (contract.Hour, error) {
	_, end, err := parseDay("until", s, now.Location())
	if err != nil {
		return 0, err
	}
	if !end.After(now) {
		return 0, badInput("until", s, "is in the past")
	}
	h, err := fullHour(end)
	if err == nil && !HourTime(h).After(now) {
		return 0, badInput("until", s, "has less than an hour left: choose a later day")
	}
	return h, err
}

// BeginningOfDay reads a date and returns the first full hour of that day in the local
// time of now's location. The day that it is now is 0: from the start.
func BeginningOfDay(s string, now time.Time) (contract.Hour, error) {
	begin, end, err := parseDay("from", s, now.Location())
	switch {
	case err != nil:
		return 0, err
	case !end.After(now):
		return 0, badInput("from", s, "has passed: leave it out for what begins at once")
	case !begin.After(now):
		return 0, nil
	}
	return fullHour(begin.Add(time.Hour - 1))
}

// LedgerEnd is where on the ledger a consent ends whose exact end is a day's.
func LedgerEnd(until contract.Hour) contract.Hour { return (until + 23) / 24 * 24 }

// parseDay reads a date and returns the first instant of that day and the first after it.
func parseDay(field, s string, in *time.Location) (begin, end time.Time, err error) {
	t := text.Visible(strings.TrimSpace(s))
	day, err := time.Parse("2006-01-02", t)
	if err != nil {
		why := "not a date like 2026-12-31"
		if len(t) == len("2006-01-02") && strings.Trim(t, "0123456789-") == "" && t[4] == '-' && t[7] == '-' {
			why = "not a date: there is no such day"
		}
		return begin, end, badInput(field, s, why)
	}
	begin, end, ok := boundsOfDay(day, in)
	if !ok {
		return begin, end, badInput(field, s, "not a date: your time zone left this day out")
	}
	return begin, end, nil
}

// boundsOfDay returns the first instant of the day that begins at day in UTC, and the
// first after its last, in a time zone. ok is false for a day that the zone left out:
// then both are where it would have been.
func boundsOfDay(day time.Time, in *time.Location) (begin, end time.Time, ok bool) {
	next := day.AddDate(0, 0, 1)
	for at := day.Add(-48 * time.Hour); at.Before(next.Add(48 * time.Hour)); {
		from, to := at.In(in).ZoneBounds() // how long there is one offset; zero: for ever
		_, offset := at.In(in).Zone()
		first, last := day.Add(-time.Duration(offset)*time.Second), next.Add(-time.Duration(offset)*time.Second)
		later := !last.After(from) // when that begins
		if first.Before(from) {
			first = from
		}
		if !to.IsZero() && to.Before(last) {
			last = to
		}
		if first.Before(last) { // here it is that day, perhaps once more
			if !ok {
				begin, ok = first, true
			}
			end = last
		} else if begin.IsZero() && later { // it never was that day
			begin, end = from, from
		}
		if to.IsZero() {
			break
		}
		at = to
	}
	return begin.In(in), end.In(in), ok
}

// fullHour is the last full hour not after t.
func fullHour(t time.Time) (contract.Hour, error) {
	h := t.Unix() / 3600
	if t.Unix() < 3600 || t.Year() > 9999 || h >= int64(^contract.Hour(0)) {
		return 0, badInput("until", t.Format("2006-01-02"), "out of range")
	}
	return contract.Hour(h), nil
}
