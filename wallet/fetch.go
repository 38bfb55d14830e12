package wallet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
	"golang.org/x/text/unicode/norm"
)

// Opening is a consent whose keepers released the key. The file keys live only as
// long as it does.
type Opening struct {
	Consent Received
	Records []OpenedRecord
	Earlier bool // an access of this hour stood already: it was used, and keeps what was said with it

	w *Wallet
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
}

// Part reports whether only parts of the record were granted: others may exist.
func (r *OpenedRecord) Part() bool { return r.part != nil }

// Read decrypts record i to dst. Every piece is checked before a byte of it is
// written, and what was written is the whole file only if no error is returned. Parts of a
// record are held in memory, and written once all of them are checked.
func (o *Opening) Read(ctx context.Context, i int, dst io.Writer, progress func(int64)) error {
	r := &o.Records[i]
	if r.part != nil {
		parts, err := o.granted(ctx, r, progress)
		if err == nil {
			err = health.WriteSubset(dst, parts)
		}
		return err
	}
	c, err := o.w.content(ctx, &r.Metadata, r.ID)
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

// open writes an access onto the ledger, asks the keepers for the key and opens
// the envelope. When the ledger refuses the access the keepers are asked all the
// same, so that the patient's audit shows the attempt.
func (in Inbox) open(ctx context.Context, t *view.Thread, reason string) (*Opening, error) {
	if t.Role != view.Received {
		return nil, ErrNotYours.With("consent", t.ID)
	}
	// An access that waited would show the patient an opening that never was.
	if err := in.w.view.Behind(); err != nil {
		return nil, err
	}
	reason, in.by = strings.TrimSpace(reason), strings.TrimSpace(in.by)
	if err := checkReason("reason", reason, payload.MaxReason, payload.ReasonFits); err != nil {
		return nil, err
	}
	if err := checkReason("by", in.by, payload.MaxBy, payload.ByFits); err != nil {
		return nil, err
	}
	if err := in.terms(ctx, t); err != nil {
		return nil, err
	}
	tr, err := in.w.view.Terms(t)
	if err != nil {
		return nil, err
	}
	// Between the two ends ledger and keepers would still let it be opened: this wallet
	// does not, and puts no access onto the ledger.
	if now := in.w.view.Hour(); now >= t.Until() && now < t.NotAfter {
		return nil, &RefusedError{By: "wallet", Rule: contract.RuleExpired, Consent: t.ID, Hour: now, Window: [2]contract.Hour{t.NotBefore, t.Until()}}
	}
	keys, err := in.oneTimeKeys(t)
	if err != nil {
		return nil, err
	}
	earlier := accessOf(t, in.w.view.Hour()) != nil
	if in.w.BeforeOpening != nil {
		if err := in.w.BeforeOpening(in.of(t)); err != nil {
			return nil, err
		}
	}
	access, refused, err := in.attempt(ctx, t, tr, keys, reason)
	if err != nil {
		return nil, err
	}
	lock, err := in.askKeepers(ctx, t, tr, keys, access, refused)
	if err != nil {
		return nil, err
	}
	o, err := in.openEnvelope(ctx, t, tr, keys, lock)
	if err == nil {
		o.Earlier = earlier
	}
	return o, err
}

// attempt returns the access to ask the keepers with: the one of the present hour, which
// is put onto the ledger if none is there, or one that was refused. Where the keepers have
// ended a consent that is active here, by a revocation that the ledger has not got yet or
// withholds, none is put onto the ledger: the patient's audit is to show an attempt and no
// opening.
func (in Inbox) attempt(ctx context.Context, t *view.Thread, tr *payload.Terms, keys *crypto.Counterparty, reason string) (*contract.Entry, *RefusedError, error) {
	ended := false
	if in.w.Consents().statusOf(t) == StatusActive {
		var err error
		if ended, err = in.mayOpen(ctx, t, tr.K); err != nil {
			return nil, nil, err
		}
	}
	if in.begins != nil && !ended {
		if err := in.begins(); err != nil {
			return nil, nil, err
		}
	}
	if f := accessOf(t, in.w.view.Hour()); f != nil && !ended && t.Status == contract.StatusOpen {
		have, err := in.w.view.FollowUp(f)
		return have, nil, err
	}
	c, err := in.newAccess(t, tr.Author, keys, reason)
	if err != nil {
		return nil, nil, err
	}
	if ended {
		return &c.Entry, in.refusedByKeeper(t, ledgerclient.Revoked), nil
	}
	if err := in.w.Changes().do(ctx, c); err != nil {
		return nil, nil, err
	}
	failed := failure(c)
	refused, ok := errors.AsType[*RefusedError](failed)
	if !ok {
		return &c.Entry, nil, failed
	}
	if f := accessOf(t, refused.Hour); f != nil && refused.Rule == contract.RuleOncePerHour {
		// Another machine of the same owner was faster: its access is as good.
		have, err := in.w.view.FollowUp(f)
		return have, nil, err
	}
	refused.Window = [2]contract.Hour{t.NotBefore, t.NotAfter}
	return &c.Entry, refused, nil
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
func (in Inbox) newAccess(t *view.Thread, author crypto.PubKey, keys *crypto.Counterparty, reason string) (*outbox.Change, error) {
	ledger := in.w.client.ID()
	seed, tag, err := in.w.view.NewSeed()
	if err != nil {
		return nil, err
	}
	note := payload.Access{V: payload.Version, Ledger: ledger, Grant: t.ID, Author: keys.Sig, From: in.w.Address(), By: in.by, Reason: reason, Checkpoint: string(in.w.view.Head().Note)}
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

// askKeepers sends the access to every keeper until k shares are there, and gives
// the lock key back. refused is what the ledger said to the access, or nil.
func (in Inbox) askKeepers(ctx context.Context, t *view.Thread, tr *payload.Terms, keys *crypto.Counterparty, access *contract.Entry, refused *RefusedError) (crypto.LockKey, error) {
	ledger := in.w.client.ID()
	author := tr.Author
	var shares []crypto.Share
	var first error
	for i, k := range in.w.client.Keepers {
		response := crypto.GenerateKey()
		req := ledgerclient.Request{Ledger: ledger, Keeper: k.Key(), Access: *access, Response: response.Public()}
		by := signer{Counterparty: keys}
		if ledgerclient.Sign(&req, &by); by.err != nil {
			return crypto.LockKey{}, by.err
		}
		answer, err := k.Release(ctx, req)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if err := answer.Verify(&req, k.Key()); err != nil {
			return crypto.LockKey{}, &ledgerclient.TamperedError{What: fmt.Sprintf("answer of keeper %d", i+1), Err: err}
		}
		if err := in.w.view.SameLog(ctx, k.Key(), answer.Size, answer.Root); err != nil && !in.w.view.DoWithout(err) {
			return crypto.LockKey{}, err
		}
		if answer.Code != ledgerclient.Released {
			if refused != nil {
				if refused.Filed = true; refused.Rule == "" {
					refused.Code = answer.Code
				}
			} else if first == nil {
				filed := in.refusedByKeeper(t, answer.Code)
				filed.Hour, filed.Filed = answer.Hour, true
				first = filed
			}
			continue
		}
		share, err := crypto.OpenShare(crypto.ShareContext{Ledger: ledger, Grant: t.ID, Keeper: k.Key(), Access: access.ID(ledger)}, response, answer.Sealed)
		if err != nil || int(share.Index) != i+1 || share.Hash(ledger, author) != tr.Shares[i] {
			return crypto.LockKey{}, &ledgerclient.TamperedError{What: fmt.Sprintf("share of keeper %d", i+1), Err: err}
		}
		shares = append(shares, share)
	}
	if refused != nil {
		return crypto.LockKey{}, refused
	}
	if len(shares) < tr.K {
		return crypto.LockKey{}, first
	}
	lock, err := crypto.CombineShares(shares, tr.K)
	if err != nil || lock.Hash(ledger, author) != tr.Lock {
		return crypto.LockKey{}, tampered("lock key of consent", t.ID, err)
	}
	return lock, nil
}

func (in Inbox) openEnvelope(ctx context.Context, t *view.Thread, tr *payload.Terms, keys *crypto.Counterparty, lock crypto.LockKey) (*Opening, error) {
	ledger := in.w.client.ID()
	author := tr.Author
	fail := func(err error) (*Opening, error) {
		return nil, tampered("envelope of consent", t.ID, err)
	}
	blob, err := in.w.readBlob(ctx, keys.Locator(t.ID, byte(ledgerclient.PartEnvelope)), maxSmall, "envelope", t.ID)
	if err != nil {
		return nil, err
	}
	if crypto.BlobHash(blob) != tr.Envelope {
		return fail(errCommitment)
	}
	locked, err := crypto.OpenBlob(blob)
	if err != nil {
		return fail(err)
	}
	sealed, err := lock.Unlock(ledger, author, locked)
	if err != nil {
		return fail(err)
	}
	plain, err := keys.Open(in.w.sealContext(ledgerclient.PartEnvelope, author), sealed)
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
	o := &Opening{Consent: in.of(t), w: in.w}
	whole, parts := env.Records, env.Parts
	for _, shown := range tr.Records {
		if !shown.Root.IsZero() {
			if len(parts) == 0 || parts[0].Record != shown.Record || parts[0].Version != shown.Version || parts[0].Root != shown.Root {
				return fail(other)
			}
			p := &parts[0]
			parts = parts[1:]
			o.Records = append(o.Records, OpenedRecord{Metadata: payload.Metadata{Version: p.Version, Category: payload.Part, File: partName(p.Record),
				Size: p.End - p.Start, Content: p.Content, ContentSize: p.ContentSize, Head: p.Head}, ID: p.Record, part: p})
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
			File: r.File, Size: r.Size, SHA256: r.SHA256, Content: r.Content, ContentSize: r.ContentSize, AgeSize: r.AgeSize, Head: r.Head,
		}, ID: r.Record, key: key})
	}
	return o, nil
}

// SafeName turns a stranger's file name into one that is safe in a folder of any
// system: one path element, composed (two forms of one name clash everywhere, or
// nowhere), no control, invisible or reserved characters, no
// leading dot or dash, at most 120 bytes. id makes a name where nothing is left.
func SafeName(name string, id contract.ID) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	var b strings.Builder
	for _, r := range norm.NFC.String(strings.ToValidUTF8(name, "_")) {
		switch {
		case r < 0x20, r == 0x7f, strings.ContainsRune(`<>:"|?*`, r), !isVisible(r):
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	safe := shortName(trimName(b.String()))
	stem, _ := splitExt(safe)
	if strings.Trim(safe, "_. ") == "" || reservedOnWindows(stem) {
		safe = shortName(strings.TrimSuffix("record-"+hex.EncodeToString(id[:4])+"-"+safe, "-"))
	}
	return safe
}

// shortName cuts a name to 120 bytes, before the extension, which tells programs what the
// file is.
func shortName(name string) string {
	for len(name) > 120 {
		stem, ext := splitExt(name)
		if stem == "" || len(ext) > 20 {
			stem, ext = name, ""
		}
		_, n := utf8.DecodeLastRuneInString(stem)
		name = trimName(stem[:len(stem)-n] + ext)
	}
	return name
}

// trimName takes off what hides a file, makes it look like a flag, or is lost on
// Windows.
func trimName(name string) string {
	return strings.TrimRight(strings.TrimLeft(name, ".- "), ". ")
}
