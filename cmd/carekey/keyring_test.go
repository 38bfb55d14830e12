package main

import (
	"testing"
	"time"
)

// What is said of an unlocked key is never that it is locked before it is.
func TestClockTime(t *testing.T) {
	at := func(day, hour, minute, second, nano int) time.Time {
		return time.Date(2026, 11, day, hour, minute, second, nano, time.Local)
	}
	now := at(21, 15, 27, 40, 0)
	for want, until := range map[string][]time.Time{
		"15:42":             {at(21, 15, 42, 0, 0), at(21, 15, 41, 59, 0), at(21, 15, 41, 0, 1), at(21, 15, 42, 0, 0).UTC()},
		"15:43":             {at(21, 15, 42, 1, 0), at(21, 15, 42, 0, 1)},
		"16:00":             {at(21, 15, 59, 30, 0)},
		"22 Nov 2026 00:00": {at(21, 23, 59, 30, 0)},
		"22 Nov 2026 08:00": {at(22, 8, 0, 0, 0), at(22, 7, 59, 1, 0)},
	} {
		for _, u := range until {
			if got := clockTime(u, now); got != want {
				t.Errorf("%s: %s, want %s", u, got, want)
			}
		}
	}
}
