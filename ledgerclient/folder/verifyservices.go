package folder

import (
	"context"
	"slices"
	"strconv"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// sharesUntil checks the shares of the grants whose windows end in an hour against the
// packages of their grants.
func (x *examination) sharesUntil(ctx context.Context, v vault, end contract.Hour) error {
	return x.keeperRecords(ctx, v.shares.path(end), "shares/"+strconv.FormatUint(uint64(end), 10), func(_ *segRecord, e entryAt, body []byte) (what string, _ error) {
		d, err := ledgerclient.Parse[ledgerclient.Deposit](body)
		if err != nil || !e.isGrant() || e.NotAfter != end || !slices.Contains(x.f.config.Keepers, d.Keeper) || !keeper.CheckShare(&d, x.f.id, e.Entry) {
			what = "not a share that a grant's author deposited"
		}
		d.Share.Wipe()
		return what, nil
	})
}

// filingsIn checks the revocations, acknowledgements and answers in a segment, with their
// signatures.
func (x *examination) filingsIn(ctx context.Context, n uint64) error {
	return x.keeperRecords(ctx, x.filings.path(n), "filings", func(r *segRecord, e entryAt, body []byte) (string, error) {
		return filingDamage(ctx, x.f, r, e, body)
	})
}

// linksIn checks the links in a segment, with the signatures of their deposits, and what
// counts their openings.
func (x *examination) linksIn(ctx context.Context, n uint64) error {
	return x.keeperRecords(ctx, x.links.path(n), "links", func(r *segRecord, _ entryAt, body []byte) (string, error) {
		return linkDamage(ctx, x.f, r, body)
	})
}

// keeperRecords checks the records in a segment of the keeper's, but for those that the mark
// knows byte by byte.
func (x *examination) keeperRecords(ctx context.Context, path, in string, check func(r *segRecord, e entryAt, body []byte) (what string, err error)) error {
	known := func(r *segRecord, body []byte) bool {
		d := x.next.digest(in, r, body)
		if !x.held[d] {
			return false
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.next.held = append(x.next.held, d)
		return true
	}
	_, err := x.segment(ctx, path, known, func(r *segRecord, e entryAt, body []byte) (what string, err error) {
		if what, err = check(r, e, body); what != "" || err != nil {
			return what, err
		}
		d := x.next.digest(in, r, body)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.next.held = append(x.next.held, d)
		x.found.Held++
		return "", nil
	})
	return err
}

// linkDamage says what is wrong with a record of links.
func linkDamage(ctx context.Context, f *Folder, r *segRecord, body []byte) (what string, err error) {
	switch r.kind {
	case keptLink:
		d, hash, ok := parseLink(body)
		if !ok || len(r.keys) != 2 || r.keys[0] != allLinks || r.keys[1] != crypto.Hash(d.Grant) {
			break
		}
		of, err := f.entries(ctx, d.Grant)
		if err != nil {
			return "", err
		}
		// What is behind it is looked at where it lies, and may be erased.
		if !of[0].isGrant() || !of[0].Author.Verify(hash, d.Signature) {
			return "not a link that a grant's author deposited", nil
		}
		return "", nil
	case keptLinkFile:
		if len(body) > 0 {
			return "", nil
		}
	case keptLinkStep:
		if codec.Parse(body, new(keeper.LinkStep).Fields) == nil {
			return "", nil
		}
	}
	return notWritten, nil
}

// filingDamage says what is wrong with a filing.
func filingDamage(ctx context.Context, f *Folder, r *segRecord, e entryAt, body []byte) (what string, err error) {
	// The keeper's own key may be damaged: that it is one of the ledger's is enough.
	bySome := func(verify func(crypto.PubKey) error) bool {
		return slices.ContainsFunc(f.config.Keepers, func(k crypto.PubKey) bool { return verify(k) == nil })
	}
	switch r.kind {
	case filedStop:
		stop, err := contract.ParseEntry(body)
		if err != nil || !e.isGrant() || stop.Kind != contract.KindRevoke || crypto.Hash(stop.Subject) != r.keys[0] || stop.Author != e.Author ||
			contract.CheckShape(&stop) != nil || contract.CheckSignature(f.id, &stop) != nil {
			return "not a revocation by a grant's author", nil
		}
	case filedAck:
		a, err := ledgerclient.Parse[ledgerclient.Acknowledgement](body)
		if err != nil || !e.isGrant() || !bySome(func(k crypto.PubKey) error { return a.Verify(f.id, contract.ID(r.keys[0]), k) }) {
			return "not an acknowledgement that was signed", nil
		}
	case filedRefused:
		refused, rest, err := ledgerclient.ParseRefused(body)
		if err != nil || len(rest) > 0 || r.keys[0] != underRequests(filedRefused, refused.Answer.Grant) || !bySome(func(k crypto.PubKey) error { return refused.Verify(f.id, k) }) {
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
