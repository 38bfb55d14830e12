package server

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// ClockGoal is how far the clock of a node may be from those of the others before its operator
// is told.
const ClockGoal = 10 * time.Second

// maxLags is of how many of its newest signatures a node's clock is judged.
const maxLags = 8

// lags are how much later than the time in it the newest signatures of another node came here:
// what its clock is behind this one's, and what they were under way, which is never less than
// nothing.
type lags struct {
	newest time.Time // the latest time that it has signed
	last   []time.Duration
}

// take takes down when a signature came. One that was made for an older head, or comes by
// another way, says nothing.
func (l *lags) take(signed, came time.Time) {
	if !signed.After(l.newest) {
		return
	}
	l.newest = signed
	l.last = append(l.last[max(0, len(l.last)-maxLags+1):], came.Sub(signed))
}

// ahead is how far its clock is ahead of this one: not less than that; and not more, if one of
// the signatures came at once.
func (l *lags) ahead() (by time.Duration, known bool) {
	if len(l.last) == 0 {
		return 0, false
	}
	return -slices.Min(l.last), true
}

// clocks are how far each node's clock is ahead of the middle one, by the number of the node in
// the configuration; negative: behind. As long as fewer of them are wrong than may lie, the
// middle one is not. Of fewer than three nobody can say which is.
func (c *cosigner) clocks() map[int]time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	all := map[int]time.Duration{c.me: 0}
	for i, o := range c.others {
		if by, known := o.lags.ahead(); known && i != c.me && !o.missing(now) {
			all[i] = by
		}
	}
	if len(all) < 3 {
		return nil
	}
	sorted := slices.Sorted(maps.Values(all))
	n := len(sorted)
	middle := (sorted[(n-1)/2] + sorted[n/2]) / 2
	for i := range all {
		all[i] -= middle
	}
	return all
}

// clockGauges say whose clock is how far ahead, and how many are too far off.
func (c *cosigner) clockGauges(now map[string]float64) {
	clocks := c.clocks()
	if clocks == nil {
		return
	}
	off := 0
	for i, by := range clocks {
		now[fmt.Sprintf(`carekey_node_clock_ahead{node="%d"}`, i+1)] = by.Round(time.Millisecond).Seconds()
		if by.Abs() > ClockGoal {
			off++
		}
	}
	now["carekey_clocks_off"] = float64(off)
}

// tellClocks says in the log whose clock has come to be off, and whose is right again. It is for
// one at a time.
func (c *cosigner) tellClocks() {
	clocks := c.clocks()
	if clocks == nil {
		return
	}
	off := map[int]bool{}
	for _, i := range slices.Sorted(maps.Keys(clocks)) {
		by := clocks[i]
		if off[i] = by.Abs() > ClockGoal; off[i] && !c.off[i] {
			c.say.Warn("a clock is off", "node", i+1, "own", i == c.me, "ahead", by.Round(time.Second))
		} else if !off[i] && c.off[i] {
			c.say.Info("a clock is right again", "node", i+1)
		}
	}
	c.off = off
}
