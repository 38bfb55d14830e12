package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
)

// examineLedger opens the ledger and looks at its clock and its gate.
func (e *exam) examineLedger(ctx context.Context) []finding {
	if e.place.home == "" {
		return nil
	}
	l, err := e.openForDoctor(ctx, e.place)
	if e.place.settings == nil && errors.Is(err, folder.ErrNoLedger) {
		return nil // init makes one
	}
	if err != nil {
		return []finding{failed("ledger", err)}
	}
	e.ledger = l
	out := []finding{e.examineReach(e.place, l)}
	if f, ok := l.Ledger.(*folder.Folder); ok {
		out = append(out, strangers("the ledger's folder", f.Strangers)...)
		for _, err := range f.CheckKeys() {
			out = append(out, failed("keys", err))
		}
	}
	if l.away == nil && l.follows(ctx) {
		out = append(out, advise("order", "ledger-replica", "the folder follows an order kept elsewhere: nothing can be entered here", orderHint(e.place, "")))
	}
	if l.away == nil {
		out = append(out, e.examineClock(ctx, l))
	}
	return append(append(out, examineGate(l)), e.examineOthers(ctx, e.place)...)
}

// examineReach is about a ledger that was opened.
func (e *exam) examineReach(p place, l *ledger) finding {
	if l.away == nil {
		return good("ledger", fmt.Sprintf("opens, and its head verifies: %s", p.at.shown()))
	}
	f := explain(l.away)
	return finding{"ledger", false, broken, f.Code, f.Message + ": other commands show what was verified last, and what you sign waits", f.Hint, f.Exit}
}

// examineOthers looks at the wallet's other ledgers.
func (e *exam) examineOthers(ctx context.Context, p place) []finding {
	var out []finding
	if p.settings == nil {
		return nil
	}
	for _, at := range p.settings.Ledgers {
		if at.ID == p.id || stored(p.home, at.At).String() == p.at.String() {
			continue
		}
		l, err := e.openForDoctor(ctx, p.on(at))
		if err != nil {
			out = append(out, failed("ledger", err))
			continue
		}
		out = append(out, e.examineReach(p.on(at), l))
		if f, ok := l.Ledger.(*folder.Folder); ok {
			out = append(out, strangers("the folder of another ledger", f.Strangers)...)
		}
		l.close()
	}
	return out
}

func (e *exam) openForDoctor(ctx context.Context, p place) (*ledger, error) {
	if p.settings != nil {
		l, err := e.openPinned(ctx, p)
		if err != nil {
			return nil, err
		}
		if l.away != nil {
			return l, nil
		}
		if _, err = lastHour(ctx, l.Services); isAway(err) {
			err = l.outOfReach(p.dir, p.id, err)
		}
		if err != nil {
			l.close()
			return nil, err
		}
		return l, nil
	}
	return e.openLedger(ctx, p)
}

func (e *exam) examineClock(ctx context.Context, l *ledger) finding {
	const check, code = "clock", "clock-doubtful"
	last, err := lastHour(ctx, l.Services)
	if err != nil {
		return failed(check, err)
	}
	now := contract.Hour(max(0, e.now().Unix()/3600))
	switch {
	case now < last:
		return advise(check, code, fmt.Sprintf("your clock says %s, and the ledger's last entry is later: %s", day(now), day(last)), "set your clock")
	case now-last > maxIdle:
		return advise(check, code, fmt.Sprintf("your clock says %s, and the ledger's last entry is of %s", day(now), day(last)), "set your clock, or, if it is right, add --accept-clock to the next command that writes")
	}
	return good(check, "fits the ledger's time")
}

func examineGate(l *ledger) finding {
	return good("gate", ground{Properties: l.Ledger.Properties()}.says(inShort))
}
