package folder

import (
	"context"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// verifyKeeper checks all that the keeper uses or shows: shares against the
// packages of their grants, revocations, acknowledgements and answers with their
// signatures. Damage goes into found.
func verifyKeeper(ctx context.Context, f *Folder, found *findings) error {
	v := vault{f.ground()}
	hours, err := v.shares.hours()
	if err = found.addError(err); err != nil {
		return err
	}
	public := f.config.Keepers[0]
	for _, end := range hours {
		err := found.verifySegment(ctx, f, v.shares.path(end), func(_ *segRecord, e entryAt, body []byte) (what string, _ error) {
			d, err := ledgerclient.Parse[ledgerclient.Deposit](body)
			if err != nil || !e.isGrant() || e.NotAfter != end || d.Keeper != public || !keeper.CheckShare(&d, f.id, e.Entry) {
				what = "not a share that a grant's author deposited"
			}
			d.Share.Wipe()
			return what, nil
		})
		if err != nil {
			return err
		}
	}
	filings, err := v.filings.list()
	if err = found.addError(err); err != nil {
		return err
	}
	for _, n := range filings {
		err := found.verifySegment(ctx, f, v.filings.path(n), func(r *segRecord, e entryAt, body []byte) (string, error) {
			return filingDamage(ctx, f, r, e, body)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filingDamage says what is wrong with a filing.
func filingDamage(ctx context.Context, f *Folder, r *segRecord, e entryAt, body []byte) (what string, err error) {
	public := f.config.Keepers[0]
	switch r.kind {
	case filedStop:
		stop, err := contract.ParseEntry(body)
		if err != nil || !e.isGrant() || stop.Kind != contract.KindRevoke || crypto.Hash(stop.Subject) != r.keys[0] || stop.Author != e.Author ||
			contract.CheckShape(&stop) != nil || contract.CheckSignature(f.id, &stop) != nil {
			return "not a revocation by a grant's author", nil
		}
	case filedAck:
		a, err := ledgerclient.Parse[ledgerclient.Acknowledgement](body)
		if err != nil || !e.isGrant() || a.Verify(f.id, contract.ID(r.keys[0]), public) != nil {
			return "not an acknowledgement that was signed", nil
		}
	case filedRefused:
		refused, rest, err := ledgerclient.ParseRefused(body)
		if err != nil || len(rest) > 0 || r.keys[0] != underRequests(filedRefused, refused.Answer.Grant) || refused.Verify(f.id, public) != nil {
			return "not a refused request that was signed", nil
		}
		of, err := f.entries(ctx, refused.Answer.Grant)
		if err != nil {
			return "", err
		}
		if !of[0].isGrant() || refused.Request.Access.Author != of[0].Counterparty {
			return "not a request by a grant's recipient", nil
		}
	default:
		if r.kind != filedCount || parseCount(body) == 0 {
			return notFiled, nil
		}
	}
	return "", nil
}
