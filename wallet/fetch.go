package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Opening is a consent whose keepers released the key. The file keys live only as
// long as it does.
type Opening struct {
	Consent Received
	Records []OpenedRecord
	Earlier bool // an access of this hour stood already: it was used, and keeps what was said with it

	delivery *payload.Delivery // of what was delivered; nil of a consent

	w        *Wallet
	contents *contents
}

// OpenedRecord is one record version that can be read now.
type OpenedRecord struct {
	// Metadata as far as terms and envelope describe it. File is hostile until SafeName. Of
	// parts of a record there is no more than their place until they are read, and then Size
	// and SHA256 are those of the file that is made of them.
	payload.Metadata
	ID contract.ID

	key  crypto.FileKey
	part *payload.EnvelopePart // nil if the whole was granted

	// Signed says who signed it. NotSigned is why what the sender says of that is wrong: then
	// nothing of it is read.
	Signed    Vouching
	NotSigned error
	proof     *payload.Proof // of parts that were read
}

// Part reports whether only parts of the record were granted: others may exist.
func (r *OpenedRecord) Part() bool { return r.part != nil }

// Read decrypts record i to dst. Every piece is checked before a byte of it is
// written, and what was written is the whole file only if no error is returned. Parts of a
// record are held in memory, and written once all of them are checked.
func (o *Opening) Read(ctx context.Context, i int, dst io.Writer, progress func(int64)) error {
	r := &o.Records[i]
	if r.NotSigned != nil {
		return r.NotSigned
	}
	if r.part != nil {
		parts, err := o.granted(ctx, r, progress)
		if err == nil {
			err = health.WriteSubset(dst, time.Time{}, parts)
		}
		return err
	}
	c, err := o.contents.open(ctx, &r.Metadata, r.ID)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.decrypt(ctx, dst, r.key.Identity(), r.SHA256, progress)
}

// checkReason refuses what would make an access larger than others. A control character
// takes six bytes in a payload, so that not many go in.
func checkReason(field, text string, most int, fits func(string) bool) error {
	if !utf8.ValidString(text) || len(text) > most {
		return ErrInput.With("field", field, "why", fmt.Sprintf("must be at most %d bytes of UTF-8, and has %d: ASCII takes one for a letter, other scripts two to four", most, len(text)))
	}
	if !fits(text) {
		return ErrInput.With("field", field, "why", "has too many control characters")
	}
	return nil
}

// OpenByCode opens the consent that a fetch code names.
func (in Inbox) OpenByCode(ctx context.Context, code crypto.FetchCode, reason string) (*Opening, error) {
	var o *Opening
	err := in.w.with(ctx, func() error {
		if code.Ledger != in.w.client.ID() {
			return ErrForeignCode.With("code", code.Ledger, "wallet", in.w.client.ID())
		}
		if err := in.w.view.Behind(); err != nil {
			return err
		}
		t := in.w.view.Thread(code.Consent)
		// The code carries the head its sender saw, but not the ledger's signature; the
		// terms have both, so that they can prove to others what the code only tells.
		if err := in.w.client.CheckPrefix(ctx, code.Size, code.Root, in.w.view.Head()); err != nil {
			if t != nil {
				if terr := in.terms(ctx, t); is[*ledgerclient.ForkError](terr) {
					return terr
				}
			}
			if is[*ledgerclient.ForkError](err) || is[*ledgerclient.RollbackError](err) {
				err = ErrCodeHistory.Of(err)
			}
			return err
		}
		if t == nil {
			if _, ok, err := in.w.client.Find(ctx, code.Consent); err != nil {
				return err
			} else if ok {
				return ErrNotYours.With("consent", code.Consent)
			}
			return ErrNotFound.With("noun", "consent", "query", code.Consent.String())
		}
		var err error
		o, err = in.open(ctx, t, reason)
		return err
	})
	return o, err
}

// OpenByID opens a consent of the inbox by its id.
func (in Inbox) OpenByID(ctx context.Context, id, reason string) (*Opening, error) {
	var o *Opening
	err := in.w.with(ctx, func() error {
		t, err := in.w.find(ctx, view.Received, id, "consent")
		if err != nil {
			return err
		}
		o, err = in.open(ctx, t, reason)
		return err
	})
	return o, err
}

// Pace says how many consents are best opened together. What is in them only those tell that
// were opened: the first are few, then as many as hold 64 MiB, which is what somebody leaves
// unread who opens them, reads them and is interrupted.
type Pace struct {
	opened int
	bytes  int64 // in them
}

const (
	firstAtOnce = 16
	inFlight    = 64 << 20 // bytes
)

// Add notes what was opened.
func (p *Pace) Add(o *Opening) {
	p.opened++
	for i := range o.Records {
		p.bytes += o.Records[i].Size
	}
}

// Next is how many of those that are left to open next, at least one.
func (p *Pace) Next(left int) int {
	fit := int64(firstAtOnce)
	if p.opened > 0 {
		fit = inFlight / max(1, p.bytes/int64(p.opened))
	}
	return int(max(1, min(fit, int64(left), ledgerclient.MaxBulk)))
}

// OpenAll opens consents of the inbox as OpenByID does each, in few requests, and
// says what became of each, in their order. The accesses are seen to have come together. How
// many are best opened at a time says [Pace].
func (in Inbox) OpenAll(ctx context.Context, ids []contract.ID, reason string) (opened []*Opening, errs []error, err error) {
	opened, errs = make([]*Opening, len(ids)), make([]error, len(ids))
	err = in.w.with(ctx, func() error {
		var ts []*view.Thread
		var of []int // by thread
		for i, id := range ids {
			if t := in.w.view.Thread(id); t != nil {
				ts, of = append(ts, t), append(of, i)
			} else {
				errs[i] = ErrNotFound.With("noun", "consent", "query", id.String())
			}
		}
		as, err := in.openAll(ctx, ts, reason)
		for k := range as {
			opened[of[k]], errs[of[k]] = as[k].opening, as[k].err
		}
		return err
	})
	return opened, errs, err
}

func (in Inbox) open(ctx context.Context, t *view.Thread, reason string) (*Opening, error) {
	as, err := in.openAll(ctx, []*view.Thread{t}, reason)
	if err != nil {
		return nil, err
	}
	return as[0].opening, as[0].err
}

// attempt is a consent on its way to be opened.
type attempt struct {
	t       *view.Thread
	tr      *payload.Terms
	keys    *crypto.Counterparty
	earlier bool            // an access of this hour stood already
	ended   bool            // the keepers have ended it
	change  *outbox.Change  // an access that is new; nil if it needs none
	access  *contract.Entry // to ask the keepers with
	refused *RefusedError   // what the ledger said to it
	lock    crypto.LockKey
	opening *Opening
	err     error // why it comes to nothing
}

// openAll writes accesses onto the ledger, asks the keepers for the keys and opens
// the envelopes. When the ledger refuses an access the keepers are asked all the
// same, so that the patient's audit shows the attempt. What is wrong with one is no
// reason for another.
func (in Inbox) openAll(ctx context.Context, ts []*view.Thread, reason string) ([]*attempt, error) {
	// An access that waited would show the patient an opening that never was.
	if err := in.w.view.Behind(); err != nil {
		return nil, err
	}
	in.reason, in.by = strings.TrimSpace(reason), strings.TrimSpace(in.by)
	if err := checkReason("reason", in.reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return nil, err
	}
	if err := checkReason("by", in.by, payload.MaxBy, payload.ByFits); err != nil {
		return nil, err
	}
	all := make([]*attempt, len(ts))
	of := map[*view.Thread]*attempt{}
	for i, t := range ts {
		all[i] = &attempt{t: t}
		of[t] = all[i]
		if !t.Got() {
			all[i].err = ErrNotYours.With("consent", t.ID)
		}
	}
	if err := in.eachTerms(ctx, threadsOf(going(all)), func(t *view.Thread, err error) error {
		of[t].err = err
		return nil
	}); err != nil {
		return nil, err
	}
	for _, a := range going(all) {
		a.err = in.begin(a)
	}
	for _, step := range []func(context.Context, []*attempt) error{in.enter, in.askKeepers, in.openEnvelopes} {
		if err := step(ctx, going(all)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// going are those of which nothing says that they come to nothing.
func going(all []*attempt) []*attempt {
	return slices.DeleteFunc(slices.Clone(all), func(a *attempt) bool { return a.err != nil })
}

func threadsOf(all []*attempt) []*view.Thread {
	ts := make([]*view.Thread, len(all))
	for i, a := range all {
		ts[i] = a.t
	}
	return ts
}

// begin is what comes before anything can be seen of an attempt.
func (in Inbox) begin(a *attempt) (err error) {
	t := a.t
	if t.Role != view.Received && !in.accepts { // its terms told what it is: that it was opened is for its owner to say
		return notConsent(in.w.view, t)
	}
	if a.tr, err = in.w.view.Terms(t); err != nil {
		return err
	}
	// Between the two ends ledger and keepers would still let it be opened: this wallet
	// does not, and puts no access onto the ledger.
	if now := in.w.view.Hour(); now >= t.Until() && now < t.NotAfter {
		return &RefusedError{By: "wallet", Rule: contract.RuleExpired, Consent: t.ID, Hour: now, Window: [2]contract.Hour{t.NotBefore, t.Until()}}
	}
	if a.keys, err = in.oneTimeKeys(t); err != nil {
		return err
	}
	a.earlier = accessOf(t, in.w.view.Hour()) != nil
	if in.w.BeforeOpening != nil {
		return in.w.BeforeOpening(in.of(t))
	}
	return nil
}

// enter finds the accesses to ask the keepers with: those of the present hour, which are
// put onto the ledger if none are there, or that were refused. Where the keepers have
// ended a consent that is active here, by a revocation that the ledger has not got yet or
// withholds, none is put onto the ledger: the patient's audit is to show an attempt and no
// opening.
func (in Inbox) enter(ctx context.Context, all []*attempt) error {
	var active []*attempt
	for _, a := range all {
		if in.w.Consents().statusOf(a.t) == StatusActive {
			active = append(active, a)
		}
	}
	k := make([]int, len(active))
	for i, a := range active {
		k[i] = a.tr.K
	}
	shares, err := in.w.Consents().shares(ctx, threadsOf(active), k)
	if err != nil {
		return err
	}
	for i, a := range active {
		a.ended, a.err = in.mayOpen(a, shares[i])
	}
	var changes []*outbox.Change
	for _, a := range going(all) {
		if in.begins != nil && !a.ended {
			if a.err = in.begins(); a.err != nil {
				continue
			}
		}
		if f := accessOf(a.t, in.w.view.Hour()); f != nil && !a.ended && a.t.Status == contract.StatusOpen {
			a.access, a.err = in.w.view.FollowUp(f)
			continue
		}
		if a.change, a.err = in.newAccess(a.t, a.tr.Author, a.keys); a.err != nil {
			continue
		}
		a.access = &a.change.Entry
		if a.ended {
			a.refused = in.refusedByKeeper(a.t, ledgerclient.Revoked)
			continue
		}
		if a.t.Status == contract.StatusClosed { // what the ledger would say is known
			a.refused = &RefusedError{By: "ledger", Rule: contract.RuleRevoked, Consent: a.t.ID, Hour: in.w.view.Hour(), Window: [2]contract.Hour{a.t.NotBefore, a.t.NotAfter}}
			continue
		}
		changes = append(changes, a.change)
	}
	rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	failed := in.w.Changes().do(ctx, changes...)
	for _, a := range going(all) {
		if slices.Contains(changes, a.change) {
			a.err = cmp.Or(failed, in.entered(a))
		}
	}
	return nil
}

// mayOpen judges what the keepers say of a grant that was received: *RefusedError if not
// enough of them hold theirs. An access without a release would tell the patient of an opening
// that never was. over reports that so many say that they have stopped, or destroyed their
// share, that the others do not open it.
func (in Inbox) mayOpen(a *attempt, h held) (over bool, err error) {
	switch {
	case h.held >= a.tr.K:
		return false, nil
	case h.ended > a.tr.N-a.tr.K:
		return true, nil
	}
	return false, cmp.Or(h.err, error(in.refusedByKeeper(a.t, ledgerclient.NoShare)))
}

// entered takes up what the ledger said to a new access.
func (in Inbox) entered(a *attempt) error {
	failed := failure(a.change)
	refused, ok := errors.AsType[*RefusedError](failed)
	if !ok {
		return failed
	}
	if f := accessOf(a.t, refused.Hour); f != nil && refused.Rule == contract.RuleOncePerHour {
		// Another machine of the same owner was faster: its access is as good.
		have, err := in.w.view.FollowUp(f)
		a.access = have
		return err
	}
	refused.Window = [2]contract.Hour{a.t.NotBefore, a.t.NotAfter}
	a.refused = refused
	return nil
}

// accessOf is the access of an hour, if it is what the ledger shows last of a consent.
func accessOf(t *view.Thread, h contract.Hour) *view.FollowUp {
	fs := t.FollowUps()
	if n := len(fs); n > 0 && fs[n-1].Kind == contract.KindAccess && fs[n-1].Hour == h {
		return &fs[n-1]
	}
	return nil
}

// refusedByKeeper is the error of a keeper's refusal.
func (in Inbox) refusedByKeeper(t *view.Thread, code ledgerclient.Code) *RefusedError {
	return &RefusedError{By: "keeper", Code: code, Consent: t.ID, Hour: in.w.view.Hour(), Window: [2]contract.Hour{t.NotBefore, t.NotAfter}}
}

// newAccess signs an access and seals its note.
func (in Inbox) newAccess(t *view.Thread, author crypto.PubKey, keys *crypto.Counterparty) (*outbox.Change, error) {
	ledger := in.w.client.ID()
	seed, tag, err := in.w.view.NewSeed()
	if err != nil {
		return nil, err
	}
	note := payload.Access{V: payload.Version, Ledger: ledger, Grant: t.ID, Author: keys.Sig, From: in.w.Address(), By: in.by, Reason: in.reason, Checkpoint: string(in.w.view.Head().Note)}
	sealed, err := crypto.SealPayload(in.w.sealContext(ledgerclient.PartAccess, keys.Sig), payload.Marshal(&note), payload.AccessRoom(len(in.w.client.Config().Nodes)), author, in.w.keys.Self())
	if err != nil {
		return nil, err
	}
	blob := crypto.Blob(crypto.NewSalt(), sealed)
	e := contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: keys.Sig, Subject: t.ID, SelfTag: tag,
		Commitment: contract.AccessCommitment(crypto.BlobHash(blob))}
	e.NotBefore, e.NotAfter = contract.Acceptance(in.w.view.Hour())
	if e.Signature, err = keys.Sign(e.ID(ledger)); err != nil {
		return nil, err
	}
	id := e.ID(ledger)
	part := byte(ledgerclient.PartAccess)
	return in.w.Changes().prepare(Accessing, e, nil, nil, outbox.Put{Part: ledgerclient.PartAccess, Blob: blob,
		Locators: []crypto.Locator{seed.Locator(id, part), keys.Locator(id, part)}})
}

// askKeepers sends the accesses to the keepers of each consent, all at the same time, and
// puts the first shares together that open it. What a keeper refuses, or what of it does not
// verify, keeps the others from nothing; without enough of them it is why it does not open.
func (in Inbox) askKeepers(ctx context.Context, all []*attempt) error {
	ledger := in.w.client.ID()
	desks := in.w.Consents().desks(threadsOf(all))
	shares := make([][]crypto.Share, len(all))
	why := make([]error, len(all)) // one is missing
	type no struct {
		key     crypto.PubKey
		attempt int
		err     error
	}
	var refusals []no
	requests := map[*desk][]ledgerclient.Request{}
	responses := map[*desk][]*crypto.PrivateKey{}
	answers := map[*desk][]ledgerclient.Answer{}
	var rest time.Duration // who has told no share is not waited for
	for _, d := range desks {
		var of []about
		for _, about := range d.of {
			a := all[about.i]
			if a.err != nil || about.line >= len(a.tr.Shares) {
				continue
			}
			if a.refused != nil {
				rest = ledgerclient.Patience // the patient is to see that it was tried
			}
			response := crypto.GenerateKey()
			req := ledgerclient.Request{Ledger: ledger, Keeper: d.key, Access: *a.access, Response: response.Public()}
			by := signer{Counterparty: a.keys}
			if ledgerclient.Sign(&req, &by); by.err != nil {
				a.err = by.err
				continue
			}
			of, requests[d], responses[d] = append(of, about), append(requests[d], req), append(responses[d], response)
		}
		d.of, answers[d] = of, make([]ledgerclient.Answer, len(of))
	}
	in.w.Consents().askAll(ctx, desks, rest, func(ctx context.Context, d *desk) []error {
		errs, mine := make([]error, len(d.of)), answers[d]
		ledgerclient.Releases(ctx, d.Keeper, requests[d], func(n int, a ledgerclient.Answer, err error) error {
			mine[n], errs[n] = a, err
			return nil
		})
		return errs
	}, func(d *desk, n int, err error) error {
		of := d.of[n]
		var share *crypto.Share
		var refused error
		if err == nil {
			share, refused, err = in.released(ctx, all[of.i], of, &requests[d][n], responses[d][n], &answers[d][n])
		}
		if share != nil {
			shares[of.i] = append(shares[of.i], *share)
		}
		if refused != nil {
			refusals = append(refusals, no{d.key, of.i, &ledgerclient.KeeperError{Grant: all[of.i].t.ID, Code: answers[d][n].Code}})
		}
		why[of.i] = worseOf(why[of.i], worseOf(err, refused))
		return err
	}, func() bool {
		for i, a := range all {
			if a.err == nil && (a.refused == nil && len(shares[i]) < a.tr.K || a.refused != nil && !a.refused.Filed) {
				return false
			}
		}
		return true
	})
	for i, a := range all {
		switch {
		case a.err != nil:
		case a.refused != nil:
			// What keepers say before they have signed it is not believed without an answer;
			// and one who has another log than this wallet's says more than a refusal.
			if a.err = why[i]; a.refused.Filed || a.err == nil || a.refused.By == "ledger" && !isOtherLog(a.err) {
				a.err = a.refused
			}
		case len(shares[i]) < a.tr.K:
			a.err = cmp.Or(why[i], error(in.refusedByKeeper(a.t, ledgerclient.NoShare)))
		default:
			var err error
			if a.lock, err = crypto.CombineShares(shares[i], a.tr.K); err != nil || a.lock.Hash(ledger, a.tr.Author) != a.tr.Lock {
				a.err = tampered("lock key of consent", a.t.ID, err)
			}
		}
	}
	for _, r := range refusals { // others gave theirs
		if all[r.attempt].err == nil {
			in.w.view.Failed(r.key, r.err)
		}
	}
	return nil
}

// isOtherLog reports whether an answer is not what its keeper signs, or is about a log that
// this wallet is not shown.
func isOtherLog(err error) bool {
	return isTampered(err) || is[*ledgerclient.ForkError](err) || is[*ledgerclient.RollbackError](err)
}

// released takes up the answer of a keeper: its share, or why it gives none; or why it is not
// to be believed.
func (in Inbox) released(ctx context.Context, a *attempt, of about, req *ledgerclient.Request, response *crypto.PrivateKey, answer *ledgerclient.Answer) (_ *crypto.Share, none, err error) {
	if err := answer.Verify(req, req.Keeper); err != nil {
		return nil, nil, &ledgerclient.TamperedError{What: "answer of " + of.name(), Err: err}
	}
	if err := in.w.view.SameLog(ctx, req.Keeper, answer.Size, answer.Root); err != nil && !in.w.view.DoWithout(err) {
		return nil, nil, err
	}
	fs := a.t.FollowUps()
	switch {
	case answer.Code == ledgerclient.Released && a.t.Status == contract.StatusClosed && answer.Size > fs[len(fs)-1].Index:
		return nil, nil, &ledgerclient.TamperedError{What: "answer of " + of.name(), Err: errors.New("it gives what was revoked in the log that it judged on")}
	case answer.Code == ledgerclient.Released:
	case a.refused != nil:
		if !a.refused.Filed && a.refused.Rule == "" {
			a.refused.Code = answer.Code
		}
		a.refused.Filed = true
		return nil, nil, nil
	default:
		filed := in.refusedByKeeper(a.t, answer.Code)
		filed.Hour, filed.Filed = answer.Hour, true
		return nil, filed, nil
	}
	share, err := crypto.OpenShare(crypto.ShareContext{Ledger: req.Ledger, Grant: a.t.ID, Keeper: req.Keeper, Access: a.access.ID(req.Ledger)}, response, answer.Sealed)
	if err != nil || int(share.Index) != of.line+1 || share.Hash(req.Ledger, a.tr.Author) != a.tr.Shares[of.line] {
		return nil, nil, &ledgerclient.TamperedError{What: "share of " + of.name(), Err: err}
	}
	return &share, nil, nil
}

// openEnvelopes opens what the shares unlock.
func (in Inbox) openEnvelopes(ctx context.Context, all []*attempt) error {
	envelopes := make([]wanted, len(all))
	for i, a := range all {
		envelopes[i] = envelopeOf(a.keys.Locator(a.t.ID, byte(ledgerclient.PartEnvelope)), a.t, a.tr)
	}
	shelf := &contents{w: in.w}
	if err := (stored{in.w}).readBlobs(ctx, envelopes, func(i int, blob []byte, err error) error {
		if err == nil {
			all[i].opening, err = in.openEnvelope(all[i], blob, shelf)
		}
		all[i].err = err
		return nil
	}); err != nil {
		return err
	}
	for _, a := range going(all) {
		shelf.add(a.opening.Records)
	}
	return nil
}

func (in Inbox) openEnvelope(a *attempt, blob []byte, shelf *contents) (*Opening, error) {
	ledger, t, tr, author := in.w.client.ID(), a.t, a.tr, a.tr.Author
	fail := func(err error) (*Opening, error) {
		return nil, notRead("envelope of consent", t.ID, err)
	}
	locked, err := crypto.OpenBlob(blob)
	if err != nil {
		return fail(err)
	}
	sealed, err := a.lock.Unlock(ledger, author, locked)
	if err != nil {
		return fail(err)
	}
	plain, err := a.keys.Open(in.w.sealContext(ledgerclient.PartEnvelope, author), sealed)
	if err != nil {
		return fail(err)
	}
	env, err := payload.ParseEnvelope(plain)
	if err != nil {
		return fail(err)
	}
	if env.Ledger != ledger || env.Author != author || len(env.Records)+len(env.Parts) != len(tr.Records) {
		return fail(errors.New("it belongs to another consent"))
	}
	other := errors.New("it holds other records than the terms show")
	o := &Opening{Consent: in.of(t), Earlier: a.earlier, delivery: env.Delivery, w: in.w, contents: shelf}
	if !tr.Letter.Announces(env.Delivery) {
		if in.accepts { // both are its sender's, who signed them: nobody else changed one
			return nil, ErrDeliveryUnlike.With("delivery", t.ID)
		}
		return fail(errors.New("it holds another file than the terms show"))
	}
	whole, parts := env.Records, env.Parts
	for _, shown := range tr.Records {
		if !shown.Root.IsZero() {
			if len(parts) == 0 || parts[0].Record != shown.Record || parts[0].Version != shown.Version || parts[0].Root != shown.Root {
				return fail(other)
			}
			p := &parts[0]
			parts = parts[1:]
			if p.Split != health.SplitVersion {
				return fail(WrongVersion("parts of a record", max(1, p.Split), health.SplitVersion))
			}
			o.Records = append(o.Records, OpenedRecord{Metadata: payload.Metadata{Version: p.Version, Category: payload.Part, File: partName(p.Record),
				Size: p.End - p.Start, Content: p.Content, ContentSize: p.ContentSize, Head: p.Head}, ID: p.Record, part: p})
			last := &o.Records[len(o.Records)-1]
			last.Signed, last.NotSigned = in.vouched(p.Vouched, tr.From, func(st *payload.Statement, _ *payload.Detail) bool { return st.Root == p.Root })
			continue
		}
		if len(whole) == 0 || whole[0].Record != shown.Record || whole[0].Version != shown.Version {
			return fail(other)
		}
		r := &whole[0]
		whole = whole[1:]
		key, err := crypto.ParseFileKey(r.FileKey[:])
		if err != nil {
			return fail(err)
		}
		o.Records = append(o.Records, OpenedRecord{Metadata: payload.Metadata{
			Version: r.Version, Title: shown.Title, Category: shown.Category, Date: shown.Date,
			File: r.File, Size: r.Size, SHA256: r.SHA256, Content: r.Content, ContentSize: r.ContentSize, AgeSize: r.AgeSize, Head: r.Head, Vouched: r.Vouched,
		}, ID: r.Record, key: key})
		last := &o.Records[len(o.Records)-1]
		last.Signed, last.NotSigned = in.vouched(r.Vouched, tr.From, func(_ *payload.Statement, d *payload.Detail) bool { return d.SHA256 == r.SHA256 && d.Size == r.Size })
	}
	return o, nil
}

// vouched checks what came with a granted record. A sender who says that somebody signed
// what he did not is like one who changed it: nothing of it is read.
func (in Inbox) vouched(v *payload.Vouched, giver crypto.Address, is func(*payload.Statement, *payload.Detail) bool) (Vouching, error) {
	if v == nil {
		return Vouching{}, nil
	}
	st, d, err := v.Read()
	if err != nil {
		return Vouching{}, err
	}
	if !is(st, d) {
		return Vouching{}, errOtherBytes
	}
	return in.w.Contacts().vouching(st, d, giver), nil
}
