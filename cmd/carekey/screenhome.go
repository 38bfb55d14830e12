package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
)

// home is who can see what until when, who has looked, and what waits for its owner. Before
// anything is asked it is what the wallet's folder tells.
func (x *glance) home(ctx context.Context) (*ui.View, error) {
	known, err := x.knownHome(ctx)
	if err != nil {
		return nil, err
	}
	v := live(x.view("Home", everywhere, func(ctx context.Context, s *session, asked bool) error {
		x.mu.Lock()
		before := x.accesses
		x.mu.Unlock()
		// Nothing was seen by somebody who was not there.
		o := &overview{session: s, peeks: !asked, before: before}
		err := o.status(ctx)
		if asked {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.accesses = o.Accesses
		}
		return err
	}))
	v.Of, v.ID = "home", "home"
	later := v.Known
	v.Known = func() *ui.Page {
		if p := later(); p != nil {
			return p
		}
		return known
	}
	return v, nil
}

// knownHome is home as the wallet knew it last: no service is asked. Nil if it knows nothing.
func (x *glance) knownHome(ctx context.Context) (*ui.Page, error) {
	a := x.paged("Home")
	p, err := a.ownPlace()
	if err != nil {
		return nil, err
	}
	key := a.key
	if key == nil { // another program holds it
		if key, err = a.keys(p).own(ctx); err != nil {
			return nil, err
		}
		defer closeUnlocked(key)
	}
	o := &overview{session: &session{app: a}, p: p}
	if o.places, err = (ledgers{a}).places(p); err != nil {
		return nil, err
	}
	asOf := x.now()
	for _, q := range everywhere(p) {
		n, err := wallet.ReadNames(ctx, wallet.Options{Dir: q.dir, Keyring: key, Ledger: q.id, Now: a.now})
		if err != nil || n.AsOf.IsZero() { // what is wrong is said when it is opened
			return nil, ctx.Err()
		}
		s := n.Summary()
		o.name, o.care, o.Contacts = n.Owner, n.Care, s.Contacts
		o.Consents, o.Inbox, o.Fetched = append(o.Consents, s.Consents...), append(o.Inbox, s.Inbox...), append(o.Fetched, s.Fetched...)
		o.Ended, o.Records = o.Ended+s.Ended, o.Records+s.Records
		g, err := knownGround(q, n.AsOf)
		if err != nil {
			return nil, nil
		}
		o.grounds = append(o.grounds, g)
		if n.AsOf.Before(asOf) {
			asOf = n.AsOf
		}
	}
	if len(o.places) > 1 {
		o.titles = ledgerTitles(p)
	}
	if err := o.text(); err != nil {
		return nil, err
	}
	a.page.AsOf = "as of " + datesOn(a.out, a.now).short(asOf.Local(), "2 Jan 15:04")
	return a.page, nil
}

// knownGround is what can be said of a ledger that was not asked.
func knownGround(q place, asOf time.Time) (ground, error) {
	known, err := wallet.OutOfReach(q.dir, q.id, q.at.properties(), &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("it is not asked yet")})
	if err != nil {
		return ground{}, err
	}
	return ground{Properties: known.Ledger.Properties(), since: asOf, away: true}, nil
}

// fetched is what its owner fetched and may open still, what ends soon first. A command has
// carekey inbox for it.
func (a *overview) fetched() error {
	if a.page == nil {
		return nil
	}
	wallet.SortByEnd(a.Fetched) // of several ledgers
	at := slices.IndexFunc(a.Fetched, func(r wallet.Received) bool { return !soon(r.Until, a.now()) })
	if at < 0 {
		at = len(a.Fetched)
	}
	for title, rs := range [2][]wallet.Received{a.Fetched[:at], a.Fetched[at:]} {
		if len(rs) == 0 {
			continue
		}
		a.print("\n%s", [...]string{"Fetched by you, and over within 7 days:", "Fetched by you, and open for longer:"}[title])
		if err := (inbox{a.session}).table(rs); err != nil {
			return err
		}
	}
	return nil
}
