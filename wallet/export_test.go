package wallet

import (
	"context"
	"errors"
	"time"

	"filippo.io/age"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
)

// Wholes are plans that give records whole.
func Wholes(records ...Record) (out []RecordPlan) {
	for _, r := range records {
		out = append(out, RecordPlan{Record: r, Whole: true})
	}
	return out
}

// Handed says what is wrong with a head that somebody handed on.
func (lg Log) Handed(ctx context.Context, note string) error { return lg.gossip(ctx, note) }

// ReadFiled reads what a keeper at hand filed about a consent of one's own.
func (cs Consents) ReadFiled(ctx context.Context, k ledgerclient.NearKeeper, id contract.ID) error {
	return cs.w.with(ctx, func() error {
		_, t, _ := cs.granted(id)
		filed, whys, err := k.FiledAll(ctx, []contract.ID{id})
		if err = errors.Join(append(whys, err)...); err != nil {
			return err
		}
		return cs.verifyFiled("keeper 1", k.Key(), t, &filed[0])
	})
}

// GiveAll gives consents as one batch, if all can be signed.
func (gs Grants) GiveAll(ctx context.Context, plans []*GrantPlan) error {
	return gs.w.with(ctx, func() error {
		s, err := gs.Sign(ctx, plans)
		if err == nil {
			err = errors.Join(s.Errs...)
		}
		if err == nil {
			err = s.send(ctx, "")
		}
		for _, c := range s.changes {
			if c != nil && err == nil {
				err = failure(c)
			}
		}
		return err
	})
}

// PrepareAll builds and signs grants as GiveAll does and drops them.
func (gs Grants) PrepareAll(ctx context.Context, plans []*GrantPlan) error {
	return gs.w.with(ctx, func() error {
		s, err := gs.Sign(ctx, plans)
		if err == nil {
			err = errors.Join(append(s.Errs, s.Wait())...)
		}
		return err
	})
}

// Twist changes a grant before it is entered, as a grantor with a program of his
// own can: everything is hashed, sealed and signed anew as it should be.
type Twist struct {
	To       crypto.Address // if not zero: the recipient that the terms name
	Lock     bool           // the terms commit to another lock key
	Envelope bool           // the envelope holds another version than the terms show
	Size     bool           // the envelope names another size of the file
	Sum      bool           // the envelope names other bytes of the file
	Longer   bool           // the terms show a longer window than the entry has
	Unsigned bool           // the terms are not signed by the address they name
	Title    string         // if not empty: the terms show it
	Head     string         // if not empty: the terms bring it as the newest head

	// Change changes envelope and terms before they are sealed and signed.
	Change func(*payload.Envelope, *payload.Terms)
}

// GiveTwisted enters a plan's grant with a twist.
func (gs Grants) GiveTwisted(ctx context.Context, p *GrantPlan, twist Twist) (id contract.ID, err error) {
	w := gs.w
	err = w.with(ctx, func() error {
		ground := gs.newGround()
		if err := gs.addPlan(ctx, ground, p); err != nil {
			return err
		}
		ch, err := gs.prepare(p, ground)
		if err != nil {
			return err
		}
		ledger := w.client.ID()
		seed, _ := w.view.Seed(ch.Entry.SelfTag)
		key, tr := seed.Key(), ch.Value.(*consentEffect).Terms
		author := key.Public()
		offsets, err := crypto.NewOffsets(ledger, key, p.To.Address)
		if err != nil {
			return err
		}
		seal := func(part ledgerclient.Part, plain []byte) []byte {
			sealed, serr := crypto.SealPayload(w.sealContext(part, author), plain, 0, offsets.Seal, w.keys.Self())
			err = errors.Join(err, serr)
			return sealed
		}
		envelopeBlob := ch.Puts[1].Blob
		if twist.Envelope {
			env := payload.Envelope{V: payload.Version, Ledger: ledger, Author: author}
			for _, r := range tr.Records {
				env.Records = append(env.Records, payload.EnvelopeRecord{Record: r.Record, Version: r.Version + 1, File: "x"})
			}
			envelopeBlob = crypto.Blob(crypto.NewSalt(), seed.LockKey().Lock(ledger, author, seal(ledgerclient.PartEnvelope, payload.Marshal(&env))))
			tr.Envelope = crypto.BlobHash(envelopeBlob)
		}
		if twist.Size || twist.Sum {
			env := payload.Envelope{V: payload.Version, Ledger: ledger, Author: author}
			for _, r := range p.Records {
				m := ground.versions[versionOf{r.ID, r.Version}]
				er := payload.EnvelopeRecord{Record: r.ID, Version: m.Version, FileKey: m.key, Content: m.Content, ContentSize: m.ContentSize,
					AgeSize: m.AgeSize, Head: m.Head, File: m.File, Size: m.Size, SHA256: m.SHA256}
				if twist.Size {
					er.Size++
				}
				if twist.Sum {
					er.SHA256[0]++
				}
				env.Records = append(env.Records, er)
			}
			envelopeBlob = crypto.Blob(crypto.NewSalt(), seed.LockKey().Lock(ledger, author, seal(ledgerclient.PartEnvelope, payload.Marshal(&env))))
			tr.Envelope = crypto.BlobHash(envelopeBlob)
		}
		if twist.Change != nil {
			locked, oerr := crypto.OpenBlob(envelopeBlob)
			plain, uerr := seed.LockKey().Unlock(ledger, author, locked)
			if err := errors.Join(oerr, uerr); err != nil {
				return err
			}
			plain, oerr = w.keys.Open(w.sealContext(ledgerclient.PartEnvelope, author), plain)
			env, perr := payload.ParseEnvelope(plain)
			if err := errors.Join(oerr, perr); err != nil {
				return err
			}
			twist.Change(env, tr)
			envelopeBlob = crypto.Blob(crypto.NewSalt(), seed.LockKey().Lock(ledger, author, seal(ledgerclient.PartEnvelope, payload.Marshal(env))))
			tr.Envelope = crypto.BlobHash(envelopeBlob)
		}
		if twist.Longer {
			tr.NotAfter += 24
		}
		if twist.Lock {
			tr.Lock = crypto.Hash{1}
		}
		if twist.To != (crypto.Address{}) {
			tr.To = twist.To
		}
		if twist.Title != "" {
			tr.Records[0].Title = twist.Title
		}
		if twist.Head != "" {
			tr.Checkpoint = twist.Head
		}
		body := payload.Marshal(tr)
		sig, serr := w.keys.Sign(payload.TermsDigest(ledger, body))
		err = errors.Join(err, serr)
		if twist.Unsigned {
			sig = crypto.GenerateKey().Sign(payload.TermsDigest(ledger, body))
		}
		termsBlob := crypto.Blob(crypto.NewSalt(), seal(ledgerclient.PartTerms, append(sig[:], body...)))
		if err != nil {
			return err
		}
		pkg := tr.Pack(crypto.BlobHash(termsBlob))
		e := ch.Entry
		e.Commitment = pkg.Commitment()
		if err := e.Sign(ledger, key); err != nil {
			return err
		}
		id = e.ID(ledger)
		put := func(part ledgerclient.Part, blob []byte) outbox.Put {
			return outbox.Put{Part: part, Blob: blob, Locators: []crypto.Locator{seed.Locator(id, byte(part)), offsets.Locator(id, byte(part))}}
		}
		twisted, err := w.Changes().prepare(Granting, e, pkg.Marshal(), &consentEffect{Terms: tr}, put(ledgerclient.PartTerms, termsBlob), put(ledgerclient.PartEnvelope, envelopeBlob))
		if err != nil {
			return err
		}
		return errors.Join(w.Changes().do(ctx, twisted), failure(twisted))
	})
	return id, err
}

// IsKept reports whether the ledger holds the contacts and the name as they are now.
func (bk Book) IsKept() bool { return bk.w.notes.Book == bk.w.book.worth() }

// SetAddTogether bounds how many files are added in one step, and returns what undoes it.
func SetAddTogether(n int) (undo func()) {
	was := addTogether
	addTogether = n
	return func() { addTogether = was }
}

// SetDayOutsize bounds the bytes of outsize terms that are read in a day, and returns what
// undoes it.
func SetDayOutsize(n int64) (undo func()) {
	was := dayOutsize
	dayOutsize = n
	return func() { dayOutsize = was }
}

// SetMaxUnread bounds how many consents are tried in vain at a time, and returns what
// undoes it.
func SetMaxUnread(n int) (undo func()) {
	was := maxUnread
	maxUnread = n
	return func() { maxUnread = was }
}

// WaitSigned waits until all grants are signed that are to be.
func (w *Wallet) WaitSigned() {
	if w.signing != nil {
		<-w.signing
	}
}

// WriteNewer puts a sealed file of a version to come in the place of a file.
func (w *Wallet) WriteNewer(name string) error {
	return w.home.WriteSealed(name, map[string]int{"v": 99})
}

// Waits is how long the next step waits for the wallet's lock.
func (w *Wallet) Waits() time.Duration { return w.opt.Wait }

// Create makes a wallet on a ledger that is there, whose words the caller has.
func Create(ctx context.Context, opt Options, entropy crypto.Entropy, name, at string) (*Wallet, error) {
	m, err := Begin(ctx, opt, "", func(string) keyring.Store { return opt.Keyring })
	if err != nil {
		return nil, err
	}
	defer m.End()
	return m.Create(ctx, opt.Services, entropy, name, at, func() error { return nil })
}

// OwnedPart is what an owner knows of a part of a record.
type OwnedPart struct {
	recordPart
	Key crypto.PartKey
}

// OwnedParts returns the description of a record's newest version, the key of its frame
// and its parts.
func (rs Records) OwnedParts(ctx context.Context, id contract.ID) (m *payload.Metadata, k crypto.PartsFrameKey, parts []OwnedPart, err error) {
	err = rs.w.Look(ctx, func() error {
		t, p, err := rs.ownParts(ctx, id.String())
		if err != nil {
			return err
		}
		m = t.Versions[len(t.Versions)-1]
		if p == nil {
			return nil
		}
		k = p.FrameKey()
		for i := range p.Parts {
			parts = append(parts, OwnedPart{p.Parts[i], p.Key(i)})
		}
		return nil
	})
	return m, k, parts, err
}

// ContentBlob reads the content of a version as the store has it, without the list of
// pieces.
func (rs Records) ContentBlob(ctx context.Context, m *payload.Metadata) ([]byte, error) {
	b, err := rs.w.client.Store.Blob(ctx, crypto.Locator(m.Content))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	out := make([]byte, m.ContentSize)
	_, err = b.ReadAt(out, 0)
	return out, err
}

// AgeIdentity opens the wallet's records with age.
func (w *Wallet) AgeIdentity() age.Identity { return w.keys.RecordIdentity() }

// AddSalted adds a file whose parts have salts that an issuer gave.
func (rs Records) AddSalted(ctx context.Context, src Source, salts payload.Salts) (r Record, err error) {
	err = rs.w.with(ctx, func() error {
		in, err := rs.receive(ctx, src, nil, Describe{}, nil)
		if err != nil {
			return err
		}
		in.salts = &salts
		r, _, err = rs.put(ctx, nil, in, payload.Metadata{Version: 1, Title: "salted", Category: payload.Other, File: baseName(src.Name)}, nil, nil)
		return err
	})
	return r, err
}

// AddUnseen adds a file as programs did that did not look into it.
func (rs Records) AddUnseen(ctx context.Context, src Source) (r Record, err error) {
	err = rs.w.with(ctx, func() (err error) {
		r, _, err = rs.put(ctx, nil, &incoming{Reader: src}, payload.Metadata{Version: 1, Title: "unseen", Category: payload.Other, File: baseName(src.Name)}, nil, nil)
		return err
	})
	return r, err
}

// Gives counts the resources that go, by category.
func (r *RecordPlan) Gives() []Count {
	n := map[string]int{}
	for p := range r.resources() {
		if p.Stays == "" {
			n[string(p.Category)]++
		}
	}
	return Counts(n)
}

// Keeps counts the resources that stay, by why.
func (r *RecordPlan) Keeps() []Count {
	n := map[string]int{}
	for p := range r.resources() {
		if p.Stays != "" {
			n[p.Stays]++
		}
	}
	return Counts(n)
}

// Sensitive counts the sensitivities of the resources that go: one may have several.
func (r *RecordPlan) Sensitive() []Count {
	n := map[string]int{}
	for p := range r.resources() {
		for _, s := range p.Sensitive {
			if p.Stays == "" {
				n[string(s)]++
			}
		}
	}
	return Counts(n)
}

// SetMaxPlanned sets how many consents a watch has times for.
func SetMaxPlanned(n int) (undo func()) {
	was := maxPlanned
	maxPlanned = n
	return func() { maxPlanned = was }
}

// ByChance is what a watch adds to the time at which it finds a consent.
func ByChance(most time.Duration) time.Duration { return byChance(most) }

// Grant is the grant that a delivery is, for who twists it.
func (p *DeliveryPlan) Grant() *GrantPlan { return p.grant }
