package wallet

import (
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// Windows are whole hours of UTC. An end given in days, weeks or as a date is
// moved to the first 00:00 UTC at or after it, so that the hour at which a patient
// signed does not show in it; one given in hours to the next full hour.

// EndAfter reads a duration like 12h, 30d or 6w and returns the window's end.
func EndAfter(s string, now time.Time) (contract.Hour, error) {
	bad := func(why string) (contract.Hour, error) {
		return 0, &InputError{Field: "for", Value: s, Why: why}
	}
	t := strings.TrimSpace(s)
	if t == "" {
		return bad("not a duration like 12h, 30d or 6w")
	}
	n, err := strconv.Atoi(t[:len(t)-1])
	if err != nil || n < 1 || n > 100_000 {
		return bad("not a duration like 12h, 30d or 6w")
	}
	var end time.Time
	switch t[len(t)-1] {
	case 'h':
		return hourAtOrAfter(now.Add(time.Duration(n) * time.Hour))
	case 'd':
		end = now.AddDate(0, 0, n)
	case 'w':
		end = now.AddDate(0, 0, 7*n)
	default:
		return bad("not a duration like 12h, 30d or 6w")
	}
	return midnightAtOrAfter(end)
}

// EndOfDay reads a date like 2026-12-31 and returns the end of that day in the
// local time of now's location.
func EndOfDay(s string, now time.Time) (contract.Hour, error) {
	day, err := time.ParseInLocation("2006-01-02", strings.TrimSpace(s), now.Location())
	if err != nil {
		return 0, &InputError{Field: "until", Value: s, Why: "not a date like 2026-12-31"}
	}
	end := day.AddDate(0, 0, 1)
	if !end.After(now) {
		return 0, &InputError{Field: "until", Value: s, Why: "is in the past"}
	}
	return midnightAtOrAfter(end)
}

// BeginningOfDay reads a date and returns the hour at which that day begins in
// the local time of now's location. A day that has begun is 0: from the start.
func BeginningOfDay(s string, now time.Time) (contract.Hour, error) {
	day, err := time.ParseInLocation("2006-01-02", strings.TrimSpace(s), now.Location())
	if err != nil {
		return 0, &InputError{Field: "from", Value: s, Why: "not a date like 2026-12-31"}
	}
	if !day.After(now) {
		return 0, nil
	}
	return hourAtOrAfter(day)
}

func midnightAtOrAfter(t time.Time) (contract.Hour, error) {
	u := t.UTC()
	m := time.Date(u.Year(), u.Month(), u.Day(), 0, 0, 0, 0, time.UTC)
	if m.Before(u) {
		m = m.AddDate(0, 0, 1)
	}
	return hourAtOrAfter(m)
}

func hourAtOrAfter(t time.Time) (contract.Hour, error) {
	h := (t.Unix() + 3599) / 3600
	if h < 1 || t.Year() > 9999 || h >= int64(^contract.Hour(0)) {
		return 0, &InputError{Field: "until", Value: t.Format("2006-01-02"), Why: "out of range"}
	}
	return contract.Hour(h), nil
}
