package wallet

import (
	"context"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// SaidSince is what the sender of a record said of it since: that its delivery was withdrawn,
// if it was, and which deliveries correct it and were not accepted.
func (ds Deliveries) SaidSince(ctx context.Context, r Record) (withdrawn *Delivery, corrections []Delivery, err error) {
	if r.Source.Delivery == (contract.ID{}) {
		return nil, nil, nil
	}
	all, err := ds.List(ctx, false)
	for i := range all {
		d := &all[i]
		switch {
		case d.Address != r.Source.Address:
		case d.ID == r.Source.Delivery && d.Withdrawn != 0:
			withdrawn = d
		case d.Corrects == r.Source.Delivery && d.Waits():
			corrections = append(corrections, *d)
		}
	}
	return withdrawn, corrections, err
}

// Same are the other records whose newest version has the bytes of this one: what two people
// deliver is a record for each, since what the one says later is not the other's to say.
func (ds Deliveries) Same(ctx context.Context, r Record) (out []Record, err error) {
	err = ds.w.Look(ctx, func() error {
		rs := ds.w.Records()
		if err := rs.describeAll(ctx); err != nil {
			return err
		}
		for t := range rs.threads() {
			if m := t.Versions[len(t.Versions)-1]; m != nil && t.ID != r.ID && m.SHA256 == r.SHA256 {
				out = append(out, rs.of(t))
			}
		}
		return nil
	})
	return out, err
}
