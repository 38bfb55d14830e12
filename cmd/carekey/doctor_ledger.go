package main

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
)

// examineLedger opens the ledger that is meant and looks at it, and then at the wallet's
// other ones, if none was named.
func (e *exam) examineLedger(ctx context.Context) {
	p := e.place
	if p.home == "" {
		return
	}
	if e.ledger = e.examineAt(ctx, p, "the ledger's folder"); p.settings == nil {
		return
	}
	for _, other := range everywhere(p)[1:] {
		if l := e.examineAt(ctx, other, "the folder of another ledger"); l != nil {
			l.close()
		}
	}
}

// examineAt looks at the ledger in a place and returns it; nil if it cannot be opened.
func (e *exam) examineAt(ctx context.Context, p place, where string) *ledger {
	l, last, err := e.openForDoctor(ctx, p)
	if p.settings == nil && isNoLedger(err) {
		return nil // init makes one
	}
	if err != nil {
		e.failed("ledger", err)
		return nil
	}
	if l.away != nil {
		e.failed("ledger", l.away).Detail += ": other commands show what was verified last, and what you sign waits"
	} else {
		e.good("ledger", "opens, and its head verifies: "+p.at.shown())
	}
	if l.folder != nil {
		strange, damaged, err := l.folder.Strangers()
		strangers(e, where, strange, damaged, err)
		for _, err := range l.folder.CheckKeys() {
			e.failed("keys", err)
		}
	}
	if l.away == nil {
		if l.follows(ctx) {
			e.advise("order", "ledger-replica", "the folder follows an order kept elsewhere: nothing can be entered here", orderHint(p, ""))
		}
		e.examineClock(last)
	}
	e.good("gate", ground{Properties: l.Ledger.Properties()}.says(inShort))
	return l
}

// openForDoctor opens the ledger in a place and asks it for the hour of its last entry.
func (e *exam) openForDoctor(ctx context.Context, p place) (l *ledger, last contract.Hour, err error) {
	open := e.openPinned
	if p.settings == nil {
		open = e.openLedger
	}
	if l, err = open(ctx, p); err != nil || l.away != nil {
		return l, 0, err
	}
	if last, err = lastHour(ctx, l.Services); isAway(err) && p.settings != nil {
		err = l.outOfReach(p.dir, p.id, err)
	}
	if err != nil {
		l.close()
	}
	return l, last, err
}

func (e *exam) examineClock(last contract.Hour) {
	const check = "clock"
	switch now := e.hour(); {
	case now < last:
		e.advise(check, "clock-doubtful", fmt.Sprintf("your clock says %s, and the ledger's last entry is later: %s", day(now), day(last)), "set your clock")
	case now-last > folder.MaxIdle:
		f := e.failed(check, folder.ErrClock.With("last", last, "now", now))
		f.minor("")
		f.Fix = "set your clock, or, if it is right, add --accept-clock to the next command that writes"
	default:
		e.good(check, "fits the ledger's time")
	}
}
