package wallet

import (
	"context"
	"slices"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Explanation says why an opening is or is not allowed now.
type Explanation struct {
	Consent *Consent      `json:"-"` // nil if no consent concerns it
	Allowed bool          `json:"allowed"`
	Checks  []Check       `json:"checks"`           // in the order in which they are made
	Part    bool          `json:"part,omitempty"`   // of the record that was asked about, the consent gives parts only
	Others  []contract.ID `json:"others,omitempty"` // further consents that allow the same, or parts of it
}

// Check is one condition of an opening.
type Check struct {
	Name string `json:"check"` // "given", "record", "revoked", "begun", "ended", "share"
	OK   bool   `json:"ok"`
	Hour Hour   `json:"time,omitzero"` // when it began, ends, was revoked; 0 where no time matters
	// Of "share": how many of how many keepers say that they hold theirs; 0 of one keeper.
	Held    int `json:"held,omitempty"`
	Keepers int `json:"keepers,omitempty"`
}

// Explain says whether one consent allows an opening now, and why. What is
// true now only the ledger and the keepers know: they must be within reach.
func (cs Consents) Explain(ctx context.Context, id string) (x Explanation, err error) {
	err = cs.w.Look(ctx, func() error {
		if err := cs.w.view.Behind(); err != nil {
			return err
		}
		t, err := cs.w.find(ctx, view.OwnGrant, id, "consent")
		if err != nil {
			return err
		}
		if err := cs.ownTerms(ctx, t); err != nil {
			return err
		}
		x, err = cs.explain(ctx, t)
		return err
	})
	return x, err
}

// ExplainAccess says whether a contact may open a record's newest version now. If
// several consents concern it, the newest that allows it is shown and the others
// that do are named; if none does, the newest is.
func (cs Consents) ExplainAccess(ctx context.Context, to, record string) (x Explanation, err error) {
	err = cs.w.Look(ctx, func() error {
		if err := cs.w.view.Behind(); err != nil {
			return err
		}
		c, err := cs.w.Contacts().Named(to)
		if err != nil {
			return err
		}
		rec, err := cs.w.find(ctx, view.OwnRecord, record, "record")
		if err != nil {
			return err
		}
		ts, err := cs.threads(ctx)
		if err != nil {
			return err
		}
		x = Explanation{Checks: []Check{{Name: "given"}}}
		var others []*view.Thread
		for _, t := range slices.Backward(ts) {
			if t.Terms == nil || t.Terms.Peer != c.Address {
				continue
			}
			i := slices.IndexFunc(t.Terms.Set.Records, func(r payload.TermsRecord) bool { return r.Record == rec.ID })
			if i < 0 {
				continue
			}
			newest := t.Terms.Set.Records[i].Version == len(rec.Versions)
			if x.Allowed { // the keepers are asked about one consent only
				if newest && cs.statusOf(t) == StatusActive && cs.w.view.OpenHour() < t.Until() {
					others = append(others, t)
				}
				continue
			}
			y, err := cs.explain(ctx, t)
			if err != nil {
				return err
			}
			y.Checks, y.Part = append(y.Checks, Check{Name: "record", OK: newest}), !t.Terms.Set.Records[i].Root.IsZero()
			y.Allowed = y.Allowed && newest
			if y.Allowed || x.Consent == nil {
				x = y
			}
		}
		for _, t := range others {
			x.Others = append(x.Others, t.ID)
		}
		return cs.prove(ctx, others)
	})
	return x, err
}

func (cs Consents) explain(ctx context.Context, t *view.Thread) (Explanation, error) {
	if err := cs.prove(ctx, []*view.Thread{t}); err != nil {
		return Explanation{}, err
	}
	c := cs.of(t)
	now := Hour(cs.w.view.OpenHour())
	x := Explanation{Consent: &c, Checks: []Check{
		{Name: "given", OK: true, Hour: c.Granted},
		{Name: "revoked", OK: c.Revoked == 0, Hour: c.Revoked},
		{Name: "begun", OK: now >= c.NotBefore, Hour: c.NotBefore},
		{Name: "ended", OK: now < c.Until, Hour: c.Until},
	}}
	shares, err := cs.shares(ctx, []*view.Thread{t}, nil)
	if err != nil {
		return Explanation{}, err
	}
	config := cs.w.keepersOf(t)
	cs.tellLost([]*view.Thread{t}, shares)
	share := Check{Name: "share", OK: shares[0].held >= int(config.Release)}
	if shares[0].err != nil && !share.OK {
		return Explanation{}, shares[0].err
	}
	if n := len(config.Keepers); n > 1 {
		share.Held, share.Keepers = shares[0].held, n
	}
	x.Checks = append(x.Checks, share)
	x.Allowed = true
	for _, k := range x.Checks {
		x.Allowed = x.Allowed && k.OK
	}
	return x, nil
}
