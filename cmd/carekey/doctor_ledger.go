package main

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/embedded"
)

// examineLedger opens the ledger and looks at its clock and its gate.
func (a *app) examineLedger(ctx context.Context, e *exam) []finding {
	if e.place.ledger == "" {
		return nil
	}
	l, err := a.openForDoctor(ctx, e.place)
	if e.place.settings == nil && is[*embedded.NoLedgerError](err) {
		return nil // init makes one
	}
	if err != nil {
		return []finding{failed("ledger", err)}
	}
	e.ledger = l
	return []finding{
		good("ledger", fmt.Sprintf("opens, and its head verifies: %s", e.place.ledger)),
		a.examineClock(ctx, l),
		examineGate(l),
	}
}

func (a *app) openForDoctor(ctx context.Context, p place) (*ledger, error) {
	if p.settings != nil {
		l, err := a.openPinned(ctx, p)
		if err != nil {
			return nil, err
		}
		if _, err := lastHour(ctx, l.Services); err != nil {
			l.close()
			return nil, err
		}
		return l, nil
	}
	return a.openLedger(p.ledger)
}

func (a *app) examineClock(ctx context.Context, l *ledger) finding {
	const check, code = "clock", "clock-doubtful"
	last, err := lastHour(ctx, l.Services)
	if err != nil {
		return failed(check, err)
	}
	now := contract.Hour(max(0, a.now().Unix()/3600))
	switch {
	case now < last:
		return advise(check, code, fmt.Sprintf("your clock says %s, and the ledger's last entry is later: %s", day(now), day(last)), "set your clock")
	case now-last > maxIdle:
		return advise(check, code, fmt.Sprintf("your clock says %s, and the ledger's last entry is of %s", day(now), day(last)), "set your clock, or, if it is right, add --accept-clock to the next command that writes")
	}
	return good(check, "fits the ledger's time")
}

func examineGate(l *ledger) finding {
	g := l.Ledger.Properties().Gate
	if g == ledgerclient.Advisory {
		return good("gate", "advisory: on a folder ledger, that each opening leaves an entry is a rule of honest software")
	}
	return good("gate", string(g))
}
