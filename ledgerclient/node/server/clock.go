package server

import (
	"context"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// ClockTolerance is how far the clock may be off from the monotonic clock since
// the start, and from the operator's reference, before the node stops ordering and
// releasing.
const ClockTolerance = 5 * time.Minute

// ErrClockOff: the node's clock cannot be relied upon. against "ledger", "monotonic"
// or "reference"; by, how far it is ahead, to the second; negative: behind
const ErrClockOff fault.Code = "clock-off"

func clockOff(against string, by time.Duration) error {
	return ErrClockOff.With("by", by.Round(time.Second), "against", against)
}

// clockGuard keeps the rule of PROTOCOL.md, section 6. The clock is compared with
// the monotonic one whenever it is needed, with the ledger and the reference now
// and then.
type clockGuard struct {
	wall      func() time.Time
	uptime    func() time.Duration // monotonic, since some moment
	reference func(context.Context) (time.Time, error)

	mu       sync.Mutex
	anchor   time.Time     // what the clock said
	anchored time.Duration // at that uptime
	found    error         // against ledger or reference; nil: right
}

func newClockGuard(wall func() time.Time, uptime func() time.Duration, reference func(context.Context) (time.Time, error)) *clockGuard {
	g := &clockGuard{wall: wall, uptime: uptime, reference: reference}
	g.set(wall())
	return g
}

func (g *clockGuard) set(t time.Time) {
	g.anchor, g.anchored = t.Round(0), g.uptime() // Round strips Go's own monotonic reading
}

// off tells why the clock is not to be relied upon; nil if it is.
func (g *clockGuard) off() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found != nil {
		return g.found
	}
	return apart("monotonic", g.wall().Round(0).Sub(g.anchor), g.uptime()-g.anchored)
}

// apart is an ErrClockOff if the clock went otherwise than it should.
func apart(against string, went, should time.Duration) error {
	if by := went - should; by > ClockTolerance || by < -ClockTolerance {
		return clockOff(against, by)
	}
	return nil
}

// look compares the clock with the hour of the last entry and with the reference.
// A reference that does not answer changes nothing; one that agrees is believed
// over the monotonic clock, which stands still while a machine sleeps.
// idle is how far the folder itself finds the clock past that hour, 0 if it believes it.
func (g *clockGuard) look(ctx context.Context, last contract.Hour, idle contract.Hour) error {
	g.mu.Lock()
	was := g.found
	g.mu.Unlock()
	var found error
	if idle > 0 {
		found = clockOff("ledger", time.Duration(idle)*time.Hour)
	}
	now := g.wall()
	// Ledger time never goes back. It may be of the hour that begins now, by a clock
	// that was a little ahead.
	if begins := time.Unix(int64(last)*3600, 0); begins.Sub(now) > ClockTolerance {
		found = clockOff("ledger", now.Sub(begins))
	}
	agreed := false
	if found == nil && g.reference != nil {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		ref, err := g.reference(ctx)
		cancel()
		if err == nil {
			found = apart("reference", g.wall().Sub(ref), 0)
			agreed = found == nil
		} else if e, ok := fault.As(was, ErrClockOff); ok && e.Value("against") == "reference" {
			found = e // it was off when the reference last answered
		}
	}
	g.mu.Lock()
	if g.found = found; agreed {
		g.set(g.wall())
	}
	g.mu.Unlock()
	return g.off()
}
