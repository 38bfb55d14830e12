package wallet

import (
	"context"
	"slices"

	"github.com/carekey/carekey/ledgerclient/contract"
)

// Withdrawal is that a delivery which became a version of a record was withdrawn by its sender.
type Withdrawal struct {
	Version int    `json:"version"`
	At      Hour   `json:"at"`
	Why     string `json:"why,omitempty"` // the sender's words
}

// SaidSince is what the senders of a record's versions said of them since: that their delivery
// was withdrawn, and which deliveries correct it and were not accepted. What was withdrawn of
// an older version is said as well: a newer one, of whomever, takes nothing of that back.
func (ds Deliveries) SaidSince(ctx context.Context, r Record) (withdrawn []Withdrawal, corrections []Delivery, err error) {
	versions, _, err := ds.w.Records().History(ctx, r.ID.String())
	if err != nil {
		return nil, nil, err
	}
	from := map[contract.ID]Record{} // by the delivery
	for _, v := range versions {
		if v.Source.Delivery != (contract.ID{}) {
			from[v.Source.Delivery] = v
		}
	}
	if len(from) == 0 {
		return nil, nil, nil
	}
	all, err := ds.List(ctx, false)
	for _, d := range all {
		if v, is := from[d.ID]; is && d.Address == v.Source.Address && d.Withdrawn != 0 {
			withdrawn = append(withdrawn, Withdrawal{v.Version, d.Withdrawn, d.Why})
		}
		if v, is := from[d.Corrects]; is && d.Address == v.Source.Address && d.Waits() {
			corrections = append(corrections, d)
		}
	}
	slices.SortFunc(withdrawn, func(a, b Withdrawal) int { return a.Version - b.Version })
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
